#!/usr/bin/perl
# Files come in as streams, are there whole or not at all, and go out safely.
use strict;
use warnings;
use Test::More;
use SBM::Stack;

my $stack = SBM::Stack->start(senderd => 0, upload_max => '1MiB');
my $media = "$stack->{dir}/stack/media";
my $path = '/api/v1/binarycontent/';
sub files { my @found = sort grep { -f } glob "$media/* $media/.[a-z]*"; return @found }

subtest 'a file goes in and comes out' => sub {
	my $bytes = join '', map { chr int rand 256 } 1 .. 300_000;
	my $answer = $stack->upload('hello world.mp3', 'audio/mpeg', $bytes);
	is($answer->{status}, 201, 'taken') or diag($answer->{content});
	my $url = $answer->{json}{content};
	like($url, qr{^\Q$stack->{url}\E/media/[\w.-]+\.mp3$}, 'under a name of ours, with its extension');
	is(scalar(my @files = files()), 1, 'one file in the media directory');
	my $served = $stack->get($url, authorization => undef);
	is($served->{status}, 200, 'nginx serves it');
	ok($served->{content} eq $bytes, 'byte for byte');
	is($served->{headers}{'x-content-type-options'}, 'nosniff', 'to be taken as what it says');
	like($served->{headers}{'content-type'}, qr{^audio/mpeg}, 'by its extension');
	same_json($stack->get("$path$answer->{json}{id}/")->{content}, $answer->{json}, 'the record names it');
};

subtest 'names that are traps' => sub {
	for my $name ('../../etc/passwd.txt', 'a/../../b.sh', "nul\0.mp3", '.htaccess', 'x.php', 'x.html', 'x' x 300 . '.mp3', '', "\x{c3}\x{a9}.mp3", '..') {
		my $before = files();
		my $answer = $stack->upload($name, 'application/octet-stream', 'x');
		like($answer->{status}, qr/^(?:201|400)$/, 'name ' . substr($name, 0, 30) =~ s/[^ -~]/?/gr);
		if ($answer->{status} == 201) {
			like($answer->{json}{content}, qr{/media/[\w.-]+$}, 'becomes one of ours');
			is(files() - $before, 1, 'in the media directory');
			unlike($stack->get($answer->{json}{content})->{headers}{'content-type'} // '', qr/html|php|javascript/, 'and is served as harmless');
		}
	}
	is($stack->get('/media/../sbm.conf')->{status} =~ /^4/ ? 'refused' : 'served', 'refused', 'nothing outside of the directory is served');
};

subtest 'too large' => sub {
	my @before = files();
	my $answer = $stack->upload('big.wav', 'audio/x-wav', 'x' x (1024 * 1024 + 200_000));
	is($answer->{status}, 413, 'refused');
	is_deeply([files()], \@before, 'nothing is left of it');
};

subtest 'aborted' => sub {
	my @before = files();
	my $count = $stack->get($path)->{json}{count};
	my ($body, %headers) = $stack->multipart('content', 'cut.wav', 'audio/x-wav', 'x' x 500_000);
	for my $part (0.1, 0.5, 0.99) {
		my $socket = $stack->connect;
		print $socket substr $stack->raw_request(POST => $path, $body, "Content-Type: $headers{content_type}"), 0, int(length($body) * $part);
		close $socket;
	}
	# A whole body that ends before its last boundary.
	my $cut = substr $body, 0, length($body) - 40;
	is($stack->post($path, $cut, %headers)->{status}, 400, 'a body that lacks its end is refused');
	is($stack->upload('after.wav', 'audio/x-wav', 'x')->{status}, 201, 'the next one is taken');
	is(scalar files(), @before + 1, 'nothing is left of those that were cut off');
	is($stack->get($path)->{json}{count}, $count + 1, 'nor in the list');
};

subtest 'what is no upload' => sub {
	is($stack->post($path, {})->{status}, 400, 'no file');
	is($stack->post($path, $stack->multipart('other', 'x.mp3', 'audio/mpeg', 'x'))->{status}, 400, 'another field');
	is($stack->post($path, 'x', content_type => 'multipart/form-data')->{status}, 400, 'no boundary');
	is($stack->post($path, $stack->multipart('content', 'empty.mp3', 'audio/mpeg', ''))->{status}, 400, 'an empty file');
};

subtest 'a file that changes and goes' => sub {
	my $made = $stack->upload('one.ogg', 'audio/ogg', 'one')->{json};
	my $answer = $stack->put("$path$made->{id}/", $stack->multipart('content', 'two.ogg', 'audio/ogg', 'two'));
	is($answer->{status}, 200, 'replaced');
	is($stack->get($answer->{json}{content})->{content}, 'two', 'by the new one');
	is($stack->delete("$path$made->{id}/")->{status}, 204, 'removed');
	is($stack->get("$path$made->{id}/")->{status}, 404, 'gone');
};

$stack->expect_log(qr/client intended to send too large body|client prematurely closed|\[error\].*media/);
$stack->finish;
done_testing;

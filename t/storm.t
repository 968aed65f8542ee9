#!/usr/bin/perl
# A storm of random and mutated requests: wrong types in every field, cut bodies, huge numbers, bad UTF-8, deep
# nesting, repeated headers, slow and aborted bodies. No answer is a 5xx, no worker dies, and the stack still answers.
#
# SBM_TEST_STORM is how many requests; SBM_TEST_SEED repeats a storm.
use strict;
use warnings;
use Test::More;
use JSON::PP ();
use SBM::Content;
use SBM::Stack;

my $count = $ENV{SBM_TEST_STORM} || 3000;
my $seed = $ENV{SBM_TEST_SEED} || time ^ $$;
srand $seed;
note("SBM_TEST_SEED=$seed");

my $stack = SBM::Stack->start(upload_max => '256KiB');
my $json = JSON::PP->new->utf8->allow_nonref->canonical;
my $schedule = make_schedule($stack);
my $set = make_set($stack, $schedule, ['One', 'Two', 'Three']);
my $whatsapp = make_set($stack, $schedule, ['One'], channel => 'whatsapp');
my $binary = $stack->upload('a.mp3', 'audio/mpeg', 'x')->{json}{id};
my $subscription = subscription($stack, subscribe($stack, $set, $schedule))->{id};
my @workers = $stack->children('sbm-api');

sub one { return $_[rand @_] }

# A good body for each list that takes one.
my %good = (
	'/api/v1/schedule/' => sub { { minute => '0', hour => '6,7', day_of_week => '1-5', day_of_month => '*', month_of_year => '*' } },
	'/api/v1/messageset/' => sub { { short_name => 'storm' . rand, label => 'x', notes => undef, next_set => $set, default_schedule => $schedule, content_type => 'text', channel => undef } },
	'/api/v1/message/' => sub { { messageset => one($set, $whatsapp), sequence_number => int rand 1000, lang => 'eng_ZA', text_content => 'Hello', binary_content => one(undef, $binary), metadata => { a => 1 } } },
	'/api/v1/binarycontent/' => sub { { content => 'x' } },
	'/api/v1/subscriptions/' => sub { { identity => 'storm', messageset => $set, schedule => $schedule, lang => 'eng_ZA', next_sequence_number => 1, active => $JSON::PP::false, metadata => { source => 'x' } } },
	'/api/v1/subscriptions/request' => sub { { data => { id => rand, identity => 'storm', messageset => $set, schedule => $schedule, lang => 'eng_ZA', next_sequence_number => 1, metadata => { a => [1, { b => undef }] } } } },
	'/api/v1/user/token/' => sub { { email => 'storm@example.org' } },
	'/api/token-auth/' => sub { { username => 'storm', password => 'x' } },
	'/api/v1/failed-tasks/' => sub { {} }, '/api/metrics/' => sub { {} }, '/api/v1/runsendestimate' => sub { {} },
	'/api/v1/behind-subscriptions/find_behind_subscriptions/' => sub { {} }, '/api/v1/sync_audio_files/' => sub { {} },
);
$good{$_->[0]} = $good{ $_->[1] } for ["/api/v1/schedule/$schedule/", '/api/v1/schedule/'], ["/api/v1/messageset/$set/", '/api/v1/messageset/'], ['/api/v1/message/1/', '/api/v1/message/'],
	["/api/v1/binarycontent/$binary/", '/api/v1/binarycontent/'], ["/api/v1/subscriptions/$subscription/", '/api/v1/subscriptions/'];
my @lists = sort keys %good;
# What is deleted or sent on the way is made up again by nobody: the records that the good bodies name are left alone.
my @others = map { "/api/v1/$_" } "schedule/$schedule/runs/", "messageset/$set/messages/", 'message/1/content/', 'messageset_languages/', 
	"subscriptions/$subscription/send", "subscriptions/$subscription/resend", "subscriptions/$subscription/deliveries/", "subscriptions/$subscription/upcoming/",
	'runs/1/', 'forecast/', 'openapi.json', '';
push @others, '/api/health/', '/metrics', '/healthz', '/readyz', '/api/', '/';
my @ids = (0, 1, -1, '1.0', 'abc', 99999999999, '9' x 40, '%00', '%ff', '..', '%2e%2e%2f', '00000000-0000-4000-8000-000000000000', 'x' x 2000, "\xc3\xa9", '%F0%9F%8C%B1', ' ');

sub nasty {
	my ($depth) = @_;
	return one(
		undef, JSON::PP::true, JSON::PP::false, 0, -1, 1.5, 1e308, 2147483648, '9' x 30, '', ' ', 'x' x 300, "a\x{2019}b", "\x{1f331}" x 40, "\x{0}", "\x{d7ff}\x{fffd}", "'; DROP TABLE x; --", '%s%n', '../../etc/passwd',
		'true', '1', '1.0', 'NaN', '-0', '2026-13-45T99:99:99Z', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59.999999+14:00', '1/2', '*/0', '60', 'mon', [], {}, [[]], { a => { b => [1] } }, [(1) x 50],
		$set, "$set", $schedule, $subscription, 'eng_ZA', \"raw", $depth ? () : { map { (one(qw(a data identity lang)) => nasty(1)) } 1 .. 3 },
	);
}

sub mutated_json {
	my ($body) = @_;
	my $target = ref $body->{data} eq 'HASH' && rand() < 0.9 ? $body->{data} : $body;
	for (1 .. 1 + rand 2) {
		my $key = one(sort keys %$target) // 'x';
		my $way = rand;
		if ($way < 0.15) { delete $target->{$key} } elsif ($way < 0.25) { $target->{ one('extra', 'id', "\x{e9}", '', 'created_at', '__proto__') } = nasty() } else { $target->{$key} = nasty() }
	}
	my $text = $json->encode(walk($body));
	return mutated_bytes($text) if rand() < 0.25;
	return $text;
}

# References to texts stand for numbers that Perl cannot hold.
sub walk {
	my ($value) = @_;
	return ref $value eq 'SCALAR' ? 0 : ref $value eq 'HASH' ? { map { ($_ => walk($value->{$_})) } keys %$value } : ref $value eq 'ARRAY' ? [map { walk($_) } @$value] : $value;
}

sub mutated_bytes {
	my ($text) = @_;
	for (1 .. 1 + rand 3) {
		my $at = int rand(1 + length $text);
		my $way = int rand 7;
		if ($way == 0) { $text = substr $text, 0, $at }
		elsif ($way == 1) { substr($text, $at, 1) = chr int rand 256 if $at < length $text }
		elsif ($way == 2) { substr($text, $at, 0) = one("\0", "\xff", "\xc0\x80", "\xed\xa0\x80", '"', '\\', '\\u0000', '\\ud800', '1e999', '9' x 400, ',', '{', ']', "\n", '-', "\x{7f}") }
		elsif ($way == 3) { substr($text, $at, int rand 10) = '' if $at < length $text }
		elsif ($way == 4) { $text .= substr $text, $at }
		elsif ($way == 5) { $text = '[' x (1 + rand 3000) . $text }
		else { $text =~ s/:\s*("[^"]*"|\d+)/':' . one('1e5', '-1', '123456789012345678901234567890', '0.1e-400', 'true', 'null', '[]', '"\\ud83c\\udf31"', '"\\udf31"')/e }
	}
	return $text;
}

sub body_for {
	my ($path) = @_;
	my $make = $good{$path} || $good{ one(@lists) };
	my $way = rand;
	return ('application/json', $json->encode($make->())) if $way < 0.1;
	return ('application/json', mutated_json($make->())) if $way < 0.7;
	my $fields = $make->();
	$fields->{ one(sort keys %$fields) // 'x' } = 'x' if rand() < 0.5;
	my @pairs = map { [$_, defined $fields->{$_} && !ref $fields->{$_} ? $fields->{$_} : one('', 'x', '{"a": 1}', '[')] } sort keys %$fields;
	if ($way < 0.8) {
		my $text = join '&', map { "$_->[0]=" . ($_->[1] =~ s/([^\w.*])/sprintf '%%%02X', ord $1/ger) } @pairs;
		$text = mutated_bytes($text) if rand() < 0.6;
		return ('application/x-www-form-urlencoded', $text);
	}
	if ($way < 0.95) {
		my $boundary = one('b', 'x' x 70, '----WebKit1', 'a"b', '');
		my $text = join '', map { "--$boundary\r\nContent-Disposition: form-data; name=\"$_->[0]\"" . one('', '; filename="a.mp3"', '; filename=', "; filename*=UTF-8''%e9.x") . "\r\n\r\n$_->[1]\r\n" } @pairs;
		$text .= "--$boundary--\r\n";
		$text = mutated_bytes($text) if rand() < 0.6;
		return ("multipart/form-data; boundary=" . one($boundary, "\"$boundary\"", 'other', ''), $text);
	}
	return (one('text/plain', '', 'application/json; charset=latin-1', 'application/x-unknown', 'x' x 500), join '', map { chr int rand 256 } 1 .. rand 200);
}

my @fields = qw(messageset schedule identity lang active completed version created_after created_before metadata metadata_has_key metadata_not_has_key messageset_contains next_sequence_number
	process_status id short_name content_type sequence_number limit offset format cursor key from days x);

sub path {
	my $path = one(@lists, @lists, @others);
	$path .= one(@ids) . one('', '/', '/', '//', '/x/') if rand() < 0.12;
	$path =~ s{/$}{} if rand() < 0.2;
	if (rand() < 0.35) {
		$path .= '?' . join one('&', '&', ';', '&&'), map {
			one(@fields) . one('=', '=', '=', '', '[]=') . one('', 1, -1, 'abc', 'true', '%00', '%', '%zz', '%ff%fe', '9' x 50, '{"a":1}', '%7B%22a%22%3A%20%5B1%5D%7D', '%7B', '2026-01-01', '2026-01-01T00:00:00%2B99:00', 'x' x 500, 'eng_ZA', $set, $subscription)
		} 1 .. 1 + rand 4;
	}
	return $path =~ s/[ \t]/+/gr;
}

sub request_bytes {
	my $path = path();
	my $plain = $path =~ s/\?.*//r;
	# Mostly what the path knows.
	my $method = rand() < 0.15 ? one(qw(GET POST PUT PATCH OPTIONS HEAD DELETE), one(qw(TRACE PROPFIND X get)))
		: $plain =~ m{/(?:[0-9a-f-]{36}|\d+)/?$} ? one(qw(GET PUT PATCH PATCH PATCH)) : $good{$plain} || $plain =~ m{/(?:re)?send$} ? one(qw(GET POST POST POST)) : 'GET';
	# The rows that the storm needs stay.
	$method = 'PATCH' if $method eq 'DELETE' && $plain =~ m{/(?:\Q$subscription\E|$set|$schedule|$binary|1)/?$};
	my ($type, $body) = $method =~ /^(?:POST|PUT|PATCH)$/ || rand() < 0.05 ? body_for($plain) : ('', '');
	my @lines = ("Host: " . one("$stack->{host}:$stack->{port}", "$stack->{host}:$stack->{port}", 'sbm.example.org', 'x' x 200));
	push @lines, rand() < 0.95 ? "Authorization: Token $stack->{token}" : one('Authorization: Basic !!!', 'Authorization: Token', 'Authorization: Basic ' . 'QQ==' x 100, "Authorization: Token \xff\xfe", "Authorization: Token $stack->{token}\r\nAuthorization: Token $stack->{token}");
	push @lines, "Content-Type: $type" if length $type;
	push @lines, one('Accept: text/html', 'Accept: */*;q=0', 'Accept: ' . 'a/b,' x 500, 'Accept: ;', "Accept: \xff", 'Accept: application/json; indent=4') if rand() < 0.15;
	push @lines, one('If-Match: *', 'If-Match: "', 'If-None-Match: W/"x", *', 'If-Match: ' . '"a",' x 300) if rand() < 0.1;
	push @lines, 'Idempotency-Key: ' . one('a', 'b', "\xff", 'x' x 500, '', "a\x01b") if rand() < 0.08;
	push @lines, 'X-Request-ID: ' . one('storm', "\xff", 'x' x 300, '"') if rand() < 0.05;
	push @lines, 'X-Forwarded-Proto: ' . one('https', 'x', 'https, http') if rand() < 0.05;
	push @lines, 'Transfer-Encoding: chunked' if rand() < 0.03 && length $body && ($body = sprintf("%x\r\n%s\r\n0\r\n\r\n", length $body, $body));
	push @lines, 'Content-Length: ' . length $body if length $body && !grep { /^Transfer/ } @lines;
	return ($method, $path, join("\r\n", "$method $path HTTP/1.1", @lines, '', $body));
}

my (%seen, @bad, $socket, $on_it);
for my $n (1 .. $count) {
	my ($method, $path, $bytes) = request_bytes();
	if (rand() < 0.02) {
		# Somebody who goes away in the middle, or stays without a word.
		my $gone = $stack->connect;
		print $gone substr $bytes, 0, int rand length $bytes;
		if (rand() < 0.2) { push @{ $stack->{silent} }, $gone } else { close $gone }
		next;
	}
	$socket ||= $stack->connect;
	my $answer = $stack->exchange($socket, $bytes, $method);
	if (!$answer) {
		# A kept connection may end between two requests; a fresh one must answer.
		$socket = $stack->connect;
		$answer = $stack->exchange($socket, $bytes, $method);
	}
	my $status = $answer ? $answer->{status} : 'nothing';
	$seen{$status}++;
	push @bad, "$status: " . substr($bytes, 0, 2000) . "\n--> " . substr($answer ? $answer->{content} : '', 0, 500) . "\n" if $status !~ /^[234]/;
	undef $socket if !$answer || ($answer->{headers}{connection} // '') =~ /close/i;
	last if @bad >= 20;
}
note(join ', ', map { "$_: $seen{$_}" } sort keys %seen);
is(scalar @bad, 0, "$count requests, no answer but 2xx, 3xx and 4xx") or diag(map { s/([^ -~\n])/sprintf '\\x%02x', ord $1/ger } @bad[0 .. ($#bad < 4 ? $#bad : 4)]);
cmp_ok($seen{$_} || 0, '>', 0, "some were answered $_") for 200, 201, 400, 404, 405;
is_deeply([$stack->children('sbm-api')], \@workers, 'no worker died');
is($stack->get('/api/health/')->{status}, 200, 'the stack still answers');
is($stack->post('/api/v1/subscriptions/request', hook($set, $schedule))->{status}, 201, 'and takes registrations');
poll_until { $stack->value('SELECT count(*) FROM delivery_queue') == 0 } 'the daemon goes on, too';
# nginx counts connections that are open at its end as lost.
delete $stack->{silent};
$stack->expect_log(qr/form a loop by next_set/, qr/\[(?:error|crit)\] .*(?:client|invalid|request)/);
# What clients say of a subscription need not add up.
$stack->finish(verify => 0);
done_testing;

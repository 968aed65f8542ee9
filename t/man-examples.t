#!/usr/bin/perl
# The examples of sbm-http(7), run as they stand: after "$ " a command, and below it what it prints, where "..."
# stands for anything. White space between the two does not count.
use strict;
use warnings;
use Test::More;
use SBM::Stack;

# Pairs of command and output, from the displays of the manual.
sub examples {
	my ($path) = @_;
	open my $in, '<', $path or die "could not read $path: $!\n";
	my (@examples, $inside);
	while (<$in>) {
		if (/^\.Bd -literal/) { $inside = 1; next }
		if (/^\.Ed/) { $inside = 0; next }
		next unless $inside;
		s/\\e/\\/g;
		if (s/^\$ //) { push @examples, { command => $_, output => '' } }
		elsif (@examples && !$examples[-1]{output} && $examples[-1]{command} !~ /\n\z/ms) { $examples[-1]{command} .= $_ }
		elsif (open_ended($examples[-1])) { $examples[-1]{command} .= $_ }
		else { $examples[-1]{output} .= $_ }
	}
	return @examples;
}

# The command goes on: a backslash or a pipe at its end, or a quote that is open.
sub open_ended {
	my ($example) = @_;
	return 0 if length $example->{output};
	my $text = $example->{command};
	return 1 if $text =~ /(?:\\|\|)\n\z/;
	my $quotes = () = $text =~ /'/g;
	return $quotes % 2;
}

my $stack = SBM::Stack->start(senderd => 1);
my @examples = examples($stack->source_dir . '/man/sbm-http.7');
cmp_ok(scalar @examples, '>', 15, 'the manual has examples');
my $kept = "$stack->{dir}/kept";
for my $example (@examples) {
	# What is on its way would change a record under a condition's feet.
	poll_until { $stack->value('SELECT count(*) FROM delivery_queue') == 0 } 'nothing is on its way';
	my ($title) = $example->{command} =~ /^(.*)/;
	local $ENV{URL} = $stack->{url};
	local $ENV{AUTH} = "Authorization: Token $stack->{token}";
	local $ENV{ID} = $stack->value('SELECT id FROM subscription ORDER BY created_at DESC LIMIT 1') // '';
	# What a command sets, the next ones know.
	my $got = do {
		open my $out, '-|', 'sh', '-c', "test -e '$kept' && . '$kept'\n$example->{command}\nset | grep '^ETAG=' >'$kept'" or die "could not start sh: $!\n";
		local $/;
		<$out> // '';
	};
	s/\s+//g for $got, my $wanted = $example->{output};
	my $pattern = join '.*?', map { quotemeta } split /\.\.\./, $wanted, -1;
	like($got, qr/^$pattern$/s, $title);
}
$stack->finish;
done_testing;

#!/usr/bin/perl
# The recorded answers of the original service, asked of this one by the player that came with them.
use strict;
use warnings;
use Test::More;
use SBM::Stack;

my $source = SBM::Stack::source_dir();
my $player = "$source/../shared/golden/play";
plan skip_all => 'the recorded answers are not here' unless -r $player;
plan skip_all => 'python3 is not installed' unless grep { -x "$_/python3" } split /:/, $ENV{PATH};

# The answers were recorded without a daemon, whose work would change what later steps read.
my $stack = SBM::Stack->start(senderd => 0);
my ($status, $users) = SBM::Stack::run($^X, "$source/t/golden-users", "$stack->{dir}/stack");
is($status, 0, 'the users are made') or diag($users);
open my $out, '>', "$stack->{dir}/users.json" or die "could not write users.json: $!\n";
print $out $users;
close $out;

for my $connections ('one for each request', 'one kept') {
	my $output;
	($status, $output) = SBM::Stack::run('python3', $player, '--base-url', $stack->{url}, '--users', "$stack->{dir}/users.json", '--psql', $stack->{env}{SBM_PSQL},
		$connections =~ /kept/ ? '--keep-alive' : ());
	my ($passed, $failed) = $output =~ /(\d+) passed, (\d+) failed/;
	is($status, 0, "connections: $connections; " . ($passed // 'none') . ' passed') or diag($output);
	cmp_ok($passed // 0, '>', 900, 'all steps were judged');
}
unlike($stack->log_text('sbm-api'), qr/status=5\d\d/, 'no answer was a 5xx');

$stack->expect_log(qr/client intended to send too large body|client sent invalid|\[error\].*client/);
$stack->finish;
done_testing;

#!/usr/bin/perl
# The recorded answers of the original service, step by step, where they lie beside the project.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use JSON::PP;
use SBM::Stack;
use Test::More;

my $source = dirname(dirname(abs_path(__FILE__)));
my $golden = $ENV{SBM_GOLDEN} || "$source/../shared/golden";
plan skip_all => "there are no recorded answers in $golden" unless -e "$golden/play";
plan skip_all => 'python3 is not installed' if system('python3 -c "" 2>/dev/null');

my $stack = SBM::Stack->start(senderd => 0, log_level => 'info');
my $users = "$stack->{dir}/users.json";
my $result = "$stack->{dir}/result.json";
system("$^X '$source/t/golden-users' '$stack->{dir}/stack' > '$users'") == 0 or BAIL_OUT('golden-users failed');

for my $how ([], ['--keep-alive']) {
	unlink $result;
	my $output = do {
		open my $out, '-|', 'python3', "$golden/play", '--base-url', $stack->{url}, '--users', $users, '--psql', $stack->{env}{SBM_PSQL}, '--json', $result, @$how or die "could not run play: $!\n";
		local $/;
		<$out>;
	};
	ok(-s $result, "play @$how plays") or diag($output), next;
	open my $in, '<', $result or die "could not open \"$result\": $!\n";
	for my $step (@{ decode_json(do { local $/; <$in> }) }) {
		next if $step->{category} eq 'skip';
		my $name = "@$how $step->{n} " . $step->{name} =~ s/#/no. /gr;
		utf8::encode($name);
		ok($step->{passed}, $name) or diag($step->{difference});
	}
}
# Requests that are refused by nginx itself stand in its error log.
$stack->expect_log(qr/\[error\].*client intended to send too large body/);
$stack->finish;
done_testing;

#!/usr/bin/perl
# What the unit tests leave out when there is no database, against a real server.
use strict;
use warnings;
use Test::More;
use SBM::Stack;

my @programs = map { SBM::Stack::build_dir() . "/t/unit/$_" } qw(test_db test_job);
-x or plan skip_all => "make check has not built $_" for @programs;

my $stack = SBM::Stack->start(senderd => 0);
my %option = $stack->{env}{SBM_PSQL} =~ / -([hpUd]) (\S+)/g;
local $ENV{SBM_TEST_DB} = "host=$option{h} port=$option{p} user=$option{U} dbname=$option{d}";
for my $program (@programs) {
	my $report = `$program 2>&1`;
	is($?, 0, "$program passes") or diag($report);
	unlike($report, qr/# SKIP/, 'with a server');
}
$stack->finish;
done_testing;

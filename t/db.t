#!/usr/bin/perl
# The adapter of PostgreSQL against a real server: the unit test that needs one.
use strict;
use warnings;
use Test::More;
use SBM::Stack;

my $program = SBM::Stack::build_dir() . '/t/unit/test_db';
-x $program or plan skip_all => 'make check has not built t/unit/test_db';

my $stack = SBM::Stack->start(senderd => 0);
my %option = $stack->{env}{SBM_PSQL} =~ / -([hpUd]) (\S+)/g;
local $ENV{SBM_TEST_DB} = "host=$option{h} port=$option{p} user=$option{U} dbname=$option{d}";
my $report = `$program 2>&1`;
is($?, 0, 'test_db passes') or diag($report);
unlike($report, qr/# SKIP/, 'with a server');
$stack->finish;
done_testing;

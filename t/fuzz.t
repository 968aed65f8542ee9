#!/usr/bin/perl
# Random and mutated requests against a whole stack; t/fuzz/stack makes longer runs.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

exec $^X, dirname(abs_path($0)) . '/fuzz/stack', '--count', $ENV{FUZZ_REQUESTS} || 500, '--seconds', 60 or die "could not start t/fuzz/stack: $!\n";

#!/usr/bin/perl
# The demonstration runs through, its summary agrees with itself, and it leaves nothing running.
use strict;
use warnings;
use Test::More;
use SBM::Stack;

my $source = SBM::Stack::source_dir();
plan skip_all => 'no demonstration in this tree' unless -x "$source/t/demo";
my $dir = ($ENV{SBM_TEST_DIR} || '/tmp') . "/sbm-demo-test-$$";
local $ENV{SBM_BUILD} = SBM::Stack::build_dir();
my ($status, $output) = SBM::Stack::run("$source/t/demo", '--once', '--dir', $dir);
is($status, 0, 'it ends well') or diag($output);
note(substr $output, -3000);
like($output, qr/"?[\w ]+"?.*\d/, 'it says what it did');
my @left = grep { (SBM::Stack::slurp("$_/cmdline") // '') =~ /\Q$dir\E/ } glob '/proc/[0-9]*';
is_deeply(\@left, [], 'nothing is left running');
unlike($output, qr/level=err|Sanitizer|runtime error/, 'no error');
require File::Path;
File::Path::remove_tree($dir);
done_testing;

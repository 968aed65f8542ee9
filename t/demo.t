#!/usr/bin/perl
# The demonstration runs through, its numbers agree with what is in its log, and it leaves nothing running.
use strict;
use warnings;
use File::Path qw(remove_tree);
use Test::More;
use SBM::Stack;

my $dir = ($ENV{SBM_TEST_DIR} || '/tmp') . "/sbm-demo-test-$$";
local $ENV{SBM_BUILD} = SBM::Stack::build_dir();
my ($status, $output) = SBM::Stack::run($^X, SBM::Stack::source_dir() . '/t/demo', qw(--once --weeks 2 --dir), $dir);
is($status, 0, 'it ends well') or diag($output);
my $lines = () = (SBM::Stack::slurp("$dir/stack/outbound.log") // '') =~ /\n/g;
cmp_ok($lines, '>', 30, 'messages went out');
like($output, qr/^\s+messages:.*\s$lines = $lines = $lines = $lines$/m, 'as many as it says');
unlike($output, qr/DIFFER/, 'all its numbers agree');
like($output, qr/completed$/m, 'somebody came to the end of her set');
like($output, qr/next$/m, 'somebody is on her way');
is_deeply([grep { (SBM::Stack::slurp("$_/cmdline") // '') =~ /\Q$dir\E/ } glob '/proc/[0-9]*'], [], 'nothing is left running');
my @errors = grep { /level=err|Sanitizer|runtime error/ } map { split /\n/, SBM::Stack::slurp($_) // '' } glob "$dir/stack/log/sbm*.log";
is_deeply(\@errors, [], 'no error in the logs');
remove_tree($dir);
done_testing;

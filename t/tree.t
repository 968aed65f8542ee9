#!/usr/bin/perl
# The source tree keeps its own rules: no SQL from input, clean manuals, one truth for each setting.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Test::More;
use SBM::Stack;

my $source = SBM::Stack::source_dir();
my $build = SBM::Stack::build_dir();
%ENV = SBM::Stack::clean_environment();
$ENV{SBM_CONF} = '/dev/null';
sub slurp { return SBM::Stack::slurp($_[0]) // '' }

subtest 'no SQL is put together from input' => sub {
	for my $file (sort glob "$source/src/{api,senderd,domain,ctl}/*.c") {
		my @bad = grep { /\bs?n?printf\w*\s*\([^;]*"\s*(?:SELECT|INSERT|UPDATE|DELETE|WITH)\s/ } split /\n/, slurp($file);
		is_deeply(\@bad, [], $file =~ s{.*/src/}{}r);
	}
};

SKIP: {
	my $mandoc = grep { -x "$_/mandoc" } split /:/, $ENV{PATH};
	skip 'mandoc is not installed', 1 unless $mandoc;
	subtest 'manuals are clean' => sub {
		my @pages = sort glob "$source/man/*.[1-9]";
		is_deeply([grep { my $page = $_; !grep { m{/\Q$page\E$} } @pages } qw(sbm.7 sbm-backup.7 sbm-api.8 sbm-senderd.8 sbmctl.8 sbm.conf.5 sbm-content.5 sbm-http.7 sbm-metrics.7 sbm-takeover.7)], [], 'all are there');
		for my $page (@pages) {
			my $output = join '', grep { !/referenced manual not found|outdated mandoc.db/ } `mandoc -T lint -W style '$page' 2>&1`;
			is($output, '', $page =~ s{.*/}{}r);
		}
	};
}

# Names of the table of settings, in its order.
my @settings = slurp("$source/src/base/settings.def") =~ /^SETTING\(\w+,\s*"(\w+)"/mg;

subtest 'settings' => sub {
	cmp_ok(scalar @settings, '>', 40, 'the table has them');
	my $page = slurp("$source/man/sbm.conf.5");
	my @described = $page =~ /^\.It Ic (\w+)/mg;
	is_deeply(\@described, \@settings, 'sbm.conf(5) describes each, in the order of the table');
	my $generated = `'$build/src/sbmctl' config man 2>&1`;
	ok(index(plain($page), plain($generated)) >= 0, 'in the words of the table') or diag('make sbm.conf.5 anew with: sbmctl config man');
	my $shown = `'$build/src/sbmctl' config show 2>&1`;
	is_deeply([grep { $shown !~ /^$_\b/m } @settings], [], 'sbmctl config show has each');
};
sub plain { return $_[0] =~ s/\s+/ /gr }

subtest 'manuals of sbmctl' => sub {
	my $page = slurp("$source/man/sbmctl.8");
	my ($table) = slurp("$source/src/ctl/commands.c") =~ /ctl_commands\[\] = \{(.*?)^\};/ms;
	my @commands = $table =~ /^\t\{"([a-z -]+)"/mg;
	cmp_ok(scalar @commands, '>', 30, 'the table of commands has them');
	is_deeply([grep { $page !~ /^\.It Ic \Q$_\E(?: |$)/m } @commands], [], 'sbmctl(8) describes each');
	my @missing;
	for my $command (@commands) {
		my ($line) = $page =~ /^\.It Ic \Q$command\E((?: .*)?)$/m;
		my $help = `'$build/src/sbmctl' $command --help 2>&1`;
		# The options of passwords have a list of their own.
		push @missing, map { "$command --$_" } grep { ($line // '') !~ /\Q$_\E\b/ && $page !~ /^\.It Fl -\Q$_\E\b/m } $help =~ /^  --([a-z-]+)/mg;
	}
	is_deeply(\@missing, [], 'and each of their options');
	my @migrations = glob "$source/sql/migrations/*.sql";
	my @versions = slurp("$source/man/sbm-backup.7") =~ /schema is at version (\d+)/g;
	is_deeply(\@versions, [scalar @migrations], 'sbm-backup(7) restores the schema of today');
};

subtest 'the sample file changes nothing' => sub {
	my $dir = tempdir(CLEANUP => 1);
	my $sample = `'$build/src/sbmctl' config sample 2>&1`;
	is_deeply([grep { $sample !~ /^#$_ = /m } @settings], [], 'it has each setting, commented out');
	open my $out, '>', "$dir/sample.conf" or die;
	print $out $sample =~ s/^#(\w+ = )/$1/mgr;
	close $out;
	my $output = `'$build/src/sbmctl' -c '$dir/sample.conf' config check 2>&1`;
	is($?, 0, 'with every line in force it is a good configuration') or diag($output);
	my ($with, $without) = map { local $ENV{SBM_CONF} = $_; join '', map { s/\s+\S*$//r . "\n" if /^(\w+)/ } sort split /\n/, `'$build/src/sbmctl' config show 2>&1` } "$dir/sample.conf", '/dev/null';
	is($with, $without, 'that says what the defaults say');
};

subtest 'texts' => sub {
	my @files = split /\n/, `cd '$source' && git ls-files 2>/dev/null`;
	plan skip_all => 'not a git checkout' unless @files;
	my @bad = grep { !m{^t/fuzz/|^t/tree\.t$} && slurp("$source/$_") =~ /\b(?:TODO|FIXME|XXX|lorem ipsum)\b/ } @files;
	is_deeply(\@bad, [], 'nothing is left for later without saying where');
	is_deeply([grep { slurp("$source/$_") =~ /^\x7fELF/ } @files], [], 'nothing compiled is among the sources');
};

done_testing;

#!/usr/bin/perl
# The daemons under what their units of systemd forbid: the same system calls are refused and the same families of
# addresses, by a filter that is made from the unit. What a sandbox denies shows only in production else.
use strict;
use warnings;
use File::Copy qw(copy);
use File::Temp qw(tempdir);
use Test::More;
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $build = SBM::Stack::build_dir();
my ($analyze) = grep { -x } map { "$_/systemd-analyze" } split /:/, $ENV{PATH};
my %number = map { /^#define __NR_(\w+) (\d+)$/ ? ($1 => $2) : () } `echo '#include <asm/unistd.h>' | cc -E -dM - 2>/dev/null`;
plan skip_all => 'systemd is not installed' unless $analyze;
plan skip_all => 'the numbers of system calls are not known' unless $number{prctl} && length pack('P', '') == 8;

# All values of a setting of a unit, in their order; an empty one takes back what was said.
sub values_of {
	my ($unit, $name) = @_;
	my @values;
	for ((SBM::Stack::slurp($unit) // '') =~ /^\Q$name\E=(.*)$/mg) {
		if (length) { push @values, $_ } else { @values = () }
	}
	return @values;
}

my %members;
sub calls {
	my ($word) = @_;
	return $word unless $word =~ /^@/;
	$members{$word} //= [map { /^    ([@\w-]+)$/ ? $1 : () } `'$analyze' --no-pager syscall-filter '$word' 2>/dev/null`];
	return map { calls($_) } @{ $members{$word} };
}

# As systemd reads it: the first line is a list of what is allowed, later ones add to it or, with ~, take away.
sub allowed {
	my ($unit) = @_;
	my %allowed = map { $_ => 1 } calls('@default');
	for my $value (values_of($unit, 'SystemCallFilter')) {
		my $less = $value =~ s/^~//;
		for my $call (map { calls($_) } split ' ', $value) {
			if ($less) { delete $allowed{$call} } else { $allowed{$call} = 1 }
		}
	}
	return grep { defined $number{$_} } sort keys %allowed;
}

# A program of the kernel's packet filter over the number of the call (at 0) and its first argument (at 16).
use constant { LOAD => 0x20, EQUALS => 0x15, RETURN => 0x06, ALLOW => 0x7fff0000, ERRNO => 0x00050000 };
sub instruction { return pack 'SCCL', @_ }
sub filter {
	my ($unit) = @_;
	my %family = (AF_UNIX => 1, AF_INET => 2, AF_INET6 => 10, AF_NETLINK => 16);
	my @families = map { $family{$_} // die "unknown family $_\n" } map { split } values_of($unit, 'RestrictAddressFamilies');
	my $denied = $number{EPERM} // 1;
	my $socket = join '', instruction(LOAD, 0, 0, 16), map({ instruction(EQUALS, 0, 1, $_), instruction(RETURN, 0, 0, ALLOW) } @families), instruction(RETURN, 0, 0, ERRNO | 97);
	my $text = instruction(LOAD, 0, 0, 0);
	$text .= instruction(EQUALS, 0, 1, $number{$_}) . instruction(RETURN, 0, 0, ALLOW) for grep { $_ ne 'socket' } allowed($unit);
	return $text . instruction(EQUALS, 0, length($socket) / 8, $number{socket}) . $socket . instruction(RETURN, 0, 0, ERRNO | $denied);
}

# A build directory whose daemons put on the filter before they begin.
my $dir = tempdir('sbm-units.XXXXXX', TMPDIR => 1, CLEANUP => 1);
mkdir $_ for "$dir/src", "$dir/real";
sub write_file {
	my ($path, $text, $mode) = @_;
	open my $out, '>:raw', $path or die "could not write \"$path\": $!\n";
	print $out $text;
	close $out or die;
	chmod $mode, $path;
}
chmod 0755, $dir;
for my $name (qw(sbm-api sbm-senderd sbmctl)) {
	copy("$build/src/$name", "$dir/real/$name") or die "could not copy $name: $!\n";
	chmod 0755, "$dir/real/$name";
}
symlink "$dir/real/sbmctl", "$dir/src/sbmctl";
my %filters;
for my $name (qw(sbm-api sbm-senderd)) {
	my $unit = "$build/systemd/$name.service";
	my @calls = allowed($unit);
	cmp_ok(scalar @calls, '>', 200, "$name: its unit allows what a service does");
	is_deeply([grep { my $call = $_; grep { $call eq $_ } @calls } qw(mount ptrace setuid chroot reboot init_module kexec_load settimeofday)], [], 'and nothing of an administrator');
	write_file("$dir/$name.filter", filter($unit), 0644);
	write_file("$dir/src/$name", <<"END", 0755);
#!$^X
open my \$in, '<:raw', '$dir/$name.filter' or die;
my \$filter = do { local \$/; <\$in> };
syscall($number{prctl}, 38, 1, 0, 0, 0) == 0 or die "no_new_privs: \$!\\n";
syscall($number{prctl}, 22, 2, pack('Sx![P]P', length(\$filter) / 8, \$filter)) == 0 or die "seccomp: \$!\\n";
# Finding leaks takes ptrace.
\$ENV{ASAN_OPTIONS} = join ':', grep { length } \$ENV{ASAN_OPTIONS} // '', 'detect_leaks=0';
exec { '$dir/real/$name' } '$dir/real/$name', \@ARGV or die "\$!\\n";
END
}

$ENV{SBM_BUILD} = $dir;
my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, sweep => '100ms', write_back => '20ms');
for my $name (qw(sbm-api sbm-senderd)) {
	like(SBM::Stack::slurp('/proc/' . $stack->pid($name) . '/status'), qr/^Seccomp:\s+2$/m, "$name is filtered");
}
my $schedule = make_schedule($stack);
my $set = make_set($stack, $schedule, ['One', 'Two', 'Three']);
is($stack->upload('a.mp3', 'audio/mpeg', 'x' x 5000)->{status}, 201, 'a file is taken');
subscribe($stack, $set, $schedule) for 1 .. 3;
fire($stack, $schedule);
settled($stack);
is(scalar $sink->accepted('outbound'), 3, 'messages are sent');
is($stack->post('/api/token-auth/', { username => 'nobody', password => 'wrong' })->{status}, 400, 'a password is hashed');
like($stack->get('/metrics')->{content}, qr/^sbm_/m, 'numbers are told');
for my $name (qw(sbm-api sbm-senderd)) {
	my ($reload) = values_of("$build/systemd/$name.service", 'ExecReload');
	is(system($reload =~ s/\$\{MAINPID\}/$stack->pid($name)/er), 0, "$reload");
	poll_until { $stack->log_text($name) =~ /msg="reloaded"/ } "$name reloads";
}
is($stack->get('/readyz')->{status}, 200, 'all is ready');
unlike($stack->log_text('sbm-*'), qr/Operation not permitted|signal=/, 'nothing was denied, and nothing died of it');
$stack->finish;
done_testing;

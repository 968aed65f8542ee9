#!/usr/bin/perl
# t/stack, as an operator who tries things out uses it.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Path qw(remove_tree);
use File::Temp qw(mkdtemp);
use Test::More;
use SBM::Stack;

my $source = SBM::Stack::source_dir();
my $top = mkdtemp('/tmp/sbm-stack-test.XXXXXX');
chmod 0755, $top;
$ENV{SBM_BUILD} = SBM::Stack::build_dir();
# Settings of whoever calls are none of the stack's.
$ENV{SBM_PAGE_SIZE} = 9;
$ENV{PGHOST} = '/nowhere';

sub stack { return SBM::Stack::run($^X, "$source/t/stack", @_) }

sub slurp { return SBM::Stack::slurp($_[0]) // '' }

# What a shell makes of DIR/env.
sub env {
	my ($dir) = @_;
	my ($status, $output) = SBM::Stack::run('/bin/sh', '-c', '. "$0"; for n in SBM_URL SBM_ADMIN_TOKEN SBM_PSQL SBM_CONF; do eval "echo \"\$n=\$$n\""; done', "$dir/env");
	return $output =~ /^(\w+)=(.*)$/mg;
}

sub get {
	my ($env, $path) = @_;
	my $answer = HTTP::Tiny->new->get("$env->{SBM_URL}$path", { headers => { Authorization => "Token $env->{SBM_ADMIN_TOKEN}" } });
	return $answer->{status} == 200 ? SBM::Stack::json_of($answer->{content}) : $answer->{status};
}

sub pid_of { my ($dir, $name) = @_; return slurp("$dir/pid/$name") =~ /^(\d+)$/m ? $1 : 0 }

# Processes whose command line or directory is in one of ours.
sub left_running {
	return grep { slurp("$_/cmdline") =~ /\Q$top\E/ || (readlink "$_/cwd" // '') =~ /^\Q$top\E/ } grep { $_ ne "/proc/$$" } glob '/proc/[0-9]*';
}

subtest 'a life' => sub {
	my $dir = "$top/one";
	my ($status, $output) = stack('start', $dir, 'page_size=2', 'SBM_TOKEN_CACHE=0', 'message_sender_token=a "quoted\\ one');
	is($status, 0, 'it starts') or diag($output);
	is($output, '', 'and says nothing');
	my %env = env($dir);
	like($env{SBM_URL}, qr{^http://127\.0\.0\.1:(2\d|3[01])\d{3}$}, 'on a port that the kernel gives to nobody');
	is(ref get(\%env, '/readyz'), 'HASH', 'it is ready');
	is(slurp("$dir/sbm.conf") =~ /^page_size = "2"$/m, 1, 'settings are in sbm.conf, under either name');
	is(slurp("$dir/sbm.conf") =~ /^token_cache = "0"$/m, 1, 'the other name');
	my ($rc, $rows) = SBM::Stack::run('/bin/sh', '-c', "$env{SBM_PSQL} -Atc 'SELECT current_database()'");
	is($rows, "sbm\n", 'SBM_PSQL reaches its database');
	is((stat "$dir/env")[2] & 077, 0, 'the token is for nobody else');
	SKIP: {
		skip 'not root', 1 if $>;
		is(scalar(grep { !(stat "/proc/" . pid_of($dir, $_))[4] } qw(postgres nginx sbm-api sbm-senderd)), 0, 'nothing runs as root');
	}
	($status, $output) = stack('status', $dir);
	is($status, 0, 'status: all is well');
	is(scalar(() = $output =~ /running, pid \d+/g), 4, 'four services run');

	my %before = map { $_ => pid_of($dir, $_) } qw(postgres nginx sbm-api sbm-senderd);
	($status, $output) = stack('start', $dir);
	is($status, 0, 'started again') or diag($output);
	is(pid_of($dir, $_), $before{$_}, "$_ was left alone") for sort keys %before;
	is({ env($dir) }->{$_}, $env{$_}, "$_ is the same") for qw(SBM_URL SBM_ADMIN_TOKEN);

	is(system("$env{SBM_PSQL} -qc \"INSERT INTO schedule (minute) VALUES ('7'), ('8'), ('9')\""), 0, 'rows are made');
	# Undefined would be 0, which is all of ourselves.
	kill 'KILL', grep { defined } values %before;
	($status, $output) = stack('status', $dir);
	is($status, 3, 'status: killed ones are missed');
	($status, $output) = stack('start', $dir);
	is($status, 0, 'it starts again after kill -9 of all') or diag($output);
	%env = env($dir);
	my $page = get(\%env, '/api/v1/schedule/');
	is($page->{count}, 3, 'its data is there');
	is(scalar @{ $page->{results} }, 2, 'and the settings that were given before');

	($status, $output) = stack('start', $dir, 'page_size=1');
	is($status, 0, 'another setting for a stack that runs') or diag($output);
	poll_until { @{ get(\%env, '/api/v1/schedule/')->{results} } == 1 } 'is taken over';

	($status, $output) = stack('stop', $dir);
	is($status, 0, 'it stops') or diag($output);
	is_deeply([left_running()], [], 'nothing is left running');
	is((stack('stop', $dir))[0], 0, 'twice is no error');
	is((stack('status', $dir))[0], 3, 'status: nothing runs');
};

subtest 'without the sender daemon, and side by side' => sub {
	# Too long for a socket's path.
	my $long = "$top/" . 'long' x 25;
	my ($status, $output) = stack('start', $long, '--no-senderd');
	is($status, 0, 'one with a long name starts') or diag($output);
	like(slurp("$long/env"), qr{^STACK_RUN='/tmp/sbm-run\.\w+'$}m, 'its sockets are elsewhere');
	my ($run) = slurp("$long/env") =~ /^STACK_RUN='(.*)'$/m;
	($status, $output) = stack('start', "$top/two", '--no-senderd');
	is($status, 0, 'another beside it') or diag($output);
	my %urls = map { { env($_) }->{SBM_URL} => 1 } $long, "$top/two";
	is(scalar keys %urls, 2, 'each has an address of its own');
	like((stack('status', $long))[1], qr/sbm-senderd +not wanted/, 'the sender daemon was not wanted');
	is(pid_of($long, 'sbm-senderd'), 0, 'and does not run');
	($status, $output) = stack('start', $long);
	is($status, 0, 'now it is') or diag($output);
	cmp_ok(pid_of($long, 'sbm-senderd'), '>', 1, 'and runs');
	is((stack('stop', $_))[0], 0, 'stopped') for $long, "$top/two";
	ok(!-e $run, 'the directory of sockets has gone');
	is_deeply([left_running()], [], 'nothing is left running');
};

subtest 'what cannot be' => sub {
	my ($status, $output) = stack('start', "$top/bad", 'page_size=none');
	isnt($status, 0, 'a bad value');
	like($output, qr/page_size.*a number from 1 to/, 'is shown as the program said it');
	is((stack('stop', "$top/bad"))[0], 0, 'what had started stops');
	($status, $output) = stack('start', "$top/bad", 'no_such_setting=1');
	isnt($status, 0, 'an unknown setting');
	like($output, qr/no_such_setting/, 'is named');
	stack('stop', "$top/bad");
	for my $case (['start'], ['start', "$top/x", '--bogus'], ['start', "$top/x", 'word'], ['begin', "$top/x"], ['status', "$top/nowhere"], ['stop', "$top/nowhere"], ['start', "$top/no/such/parent"], ['start', "$top/a b"]) {
		($status, $output) = stack(@$case);
		isnt($status, 0, "refused: @$case");
		like($output, qr/\S/, 'in words');
	}
	{
		local $ENV{SBM_BUILD} = '/nowhere';
		($status, $output) = stack('start', "$top/x");
		isnt($status, 0, 'no build');
		like($output, qr/not built in \/nowhere/, 'says where it looked');
	}
	mkdir "$top/full";
	open my $file, '>', "$top/full/mine" or die;
	close $file;
	SKIP: {
		skip 'not root', 2 if $>;
		($status, $output) = stack('start', "$top/full");
		isnt($status, 0, "somebody's directory");
		like($output, qr/not empty/, 'is not handed over');
	}
	is_deeply([left_running()], [], 'nothing is left running');
};

done_testing;

END {
	my $status = $?;
	stack('stop', $_) for grep { -e "$_/.state" } glob "$top/*";
	remove_tree($top);
	$? = $status;
}

#!/usr/bin/perl
# Backups put back: an older copy of the database, by pg_restore or as files, is held until somebody has looked;
# whatever is not one starts at once.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, clock => 1, write_back => '20ms', sweep => '100ms', workers => 2, probe_min => '50ms', probe_max => '200ms');
my $dir = "$stack->{dir}/stack";
my $schedule = make_schedule($stack);
my $set = make_set($stack, $schedule, [map { "Message $_" } 1 .. 40]);
my @mothers = map { subscribe($stack, $set, $schedule) } 1 .. 15;
my ($program) = map { s{/initdb$}{}r } sort { ($b =~ m{/(\d+)/bin})[0] <=> ($a =~ m{/(\d+)/bin})[0] } glob '/usr/lib/postgresql/*/bin/initdb';
my ($run) = $stack->{env}{STACK_RUN};

sub sent { return $sink->accepted('outbound') }
sub held { return $stack->value("SELECT count(*) FROM hold WHERE scope = 'all'") }
sub mark { return $stack->value('SELECT mark FROM guard') }
sub known { my ($mark) = (SBM::Stack::slurp("$dir/senderd.state") // '') =~ /^mark (\d+)/m; return $mark // -1 }
sub status { my (undef, $output) = $stack->ctl('status'); return $output }
sub shell {
	my ($command) = @_;
	my ($status, $output) = SBM::Stack::run('/bin/sh', '-c', $command);
	$status and die "$command: $output\n";
}
sub stop { my ($status, $output) = $stack->stack('stop', $dir); $status and die $output }
# The daemon was seen by the database after it was started.
sub up {
	$stack->up(@_);
	poll_until { known() >= 0 } 'the daemon has looked at its database';
}
# A run of all of them; returns when the daemons know of it.
sub send_all {
	my ($name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($before, $mark) = (scalar sent(), mark());
	fire($stack, $schedule);
	settled($stack);
	is(scalar sent(), $before + @mothers, "$name: each got one");
	poll_until { mark() > $mark && known() == mark() } 'the mark went up, in the database and in the file';
}
sub is_held {
	my ($why, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	poll_until { $stack->value('SELECT held_at IS NOT NULL FROM guard') eq 't' } "$name: it is held";
	like(status(), $why, 'the status says why');
	my $before = sent();
	fire($stack, $schedule);
	poll_until { $stack->value('SELECT count(*) FROM delivery_queue WHERE due_at <= now()') >= @mothers } 'a run is queued all the same';
	my $until = time + 1;
	poll_until { time > $until } 'a while goes by';
	is(scalar sent(), $before, 'nothing is sent');
	my ($status, $output) = $stack->ctl('resume', 'all');
	is($status, 0, 'resume all') or diag($output);
	settled($stack);
	is(scalar sent(), $before + @mothers, 'after that it goes on');
	is(held(), 0, 'nothing is held');
	poll_until { known() == mark() } 'the daemon knows it as its own';
}

send_all('before all');
is(held(), 0, 'a fresh database is not held');
is($stack->value('SELECT sent FROM guard'), 15, 'the messages are counted');

subtest 'a restart' => sub {
	stop();
	up();
	send_all('after it');
	is(held(), 0, 'holds nothing');
};

subtest 'pg_dump, and pg_restore in its place' => sub {
	shell("$program/pg_dump -h $run -p 5432 -U postgres -Fc -f $stack->{dir}/dump sbm");
	send_all('after the dump');
	send_all('and again');
	my $daemon = $stack->pid('sbm-senderd');
	$stack->expect_log(qr/all sending is held.*older copy: about 30 messages/, qr/terminating connection|the database/);
	kill TERM => $daemon;
	poll_until { !$stack->alive($daemon) } 'the daemon ends';
	shell("$program/dropdb -h $run -p 5432 -U postgres --force sbm && $program/createdb -h $run -p 5432 -U postgres -O sbm sbm && $program/pg_restore -h $run -p 5432 -U postgres -d sbm $stack->{dir}/dump");
	up();
	is_held(qr/older copy: about 30 messages, sent from \d{4}-\S+Z to \d{4}-\S+Z, are not in it/, 'the older copy');
	stop();
	up();
	is(held(), 0, 'a restart after that holds nothing');
};

subtest 'pg_restore into another database, with no state file' => sub {
	$stack->expect_log(qr/all sending is held.*copy in a new place/);
	shell("$program/pg_dump -h $run -p 5432 -U postgres -Fc -f $stack->{dir}/dump sbm");
	stop();
	unlink "$dir/senderd.state" or die;
	$stack->up(senderd => 0);
	shell("$program/psql -h $run -p 5432 -U postgres -d postgres -qc 'ALTER DATABASE sbm RENAME TO was'");
	shell("$program/createdb -h $run -p 5432 -U postgres -O sbm sbm && $program/pg_restore -h $run -p 5432 -U postgres -d sbm $stack->{dir}/dump");
	$stack->up;
	is_held(qr/copy in a new place, last at work at \d{4}-\S+Z/, 'the copy');
};

subtest 'a state directory that was lost' => sub {
	stop();
	unlink "$dir/senderd.state" or die;
	up();
	send_all('after it');
	is(held(), 0, 'holds nothing: the database is where it was');
	stop();
	open my $out, '>', "$dir/senderd.state" or die;
	print $out "nonsense\n";
	close $out;
	up();
	poll_until { $stack->log_text('sbm-senderd') =~ /state file is none/ } 'a bad file is told of';
	send_all('after that');
	is(held(), 0, 'holds nothing either');
};

subtest 'files of a stopped cluster put back' => sub {
	stop();
	shell("cp -a $dir/postgres $stack->{dir}/copy");
	up();
	send_all('after the copy');
	stop();
	shell("rm -r $dir/postgres && cp -a $stack->{dir}/copy $dir/postgres");
	$stack->expect_log(qr/all sending is held.*older copy: about 15 messages/);
	up();
	poll_until { held() } 'the older copy is held';
	fire($stack, $schedule);
	poll_until { $stack->value('SELECT count(*) FROM delivery_queue') == @mothers } 'a run is queued';
	my ($status, $output) = $stack->ctl(qw(queue cancel));
	is($status, 0, 'queue cancel');
	like($output, qr/would cancel 15 deliveries.*--yes/, 'tells what it would do');
	is($stack->value('SELECT count(*) FROM delivery_queue'), 15, 'and does not');
	my $before = sent();
	($status, $output) = $stack->ctl(qw(queue cancel --yes));
	is($status, 0, 'queue cancel --yes') or diag($output);
	like($output, qr/cancelled 15 deliveries/, 'does it');
	like(($stack->ctl(qw(queue cancel)))[1], qr/nothing is queued/, 'and then there are none');
	is(($stack->ctl(qw(resume all)))[0], 0, 'resume all');
	poll_until { known() == mark() } 'the daemon knows it as its own';
	settled($stack);
	is(scalar sent(), $before, 'nothing went out');
	send_all('the next run');
};

subtest 'the same under a daemon that runs' => sub {
	stop();
	shell("rm -r $stack->{dir}/copy && cp -a $dir/postgres $stack->{dir}/copy");
	up();
	send_all('after the copy');
	send_all('and again');
	$stack->expect_log(qr/all sending is held.*older copy: about 30 messages/);
	my $postgres = $stack->pid('postgres');
	my $before = sent();
	kill INT => $postgres;
	poll_until { !$stack->alive($postgres) } 'PostgreSQL ends';
	shell("rm -r $dir/postgres && cp -a $stack->{dir}/copy $dir/postgres");
	$stack->up;
	is_held(qr/older copy: about 30 messages/, 'the older copy');
	send_all('later');
};

subtest 'another database altogether' => sub {
	stop();
	$stack->up(senderd => 0);
	shell("$program/psql -h $run -p 5432 -U postgres -d postgres -qc 'DROP DATABASE was' -c 'ALTER DATABASE sbm RENAME TO was'");
	shell("$program/createdb -h $run -p 5432 -U postgres -O sbm sbm");
	my ($status, $output) = $stack->ctl('migrate', '--dir', SBM::Stack::source_dir() . '/sql/migrations');
	is($status, 0, 'a new one') or diag($output);
	stop();
	up();
	poll_until { $stack->value('SELECT place IS NOT NULL FROM guard') eq 't' } 'the daemon is at work in it';
	is(held(), 0, 'and holds nothing');
};

$stack->finish;
$sink->stop;
done_testing;

#!/usr/bin/perl
# Processes of the daemon die by kill -9 in the middle of runs, and two daemons share the work.  The judge is the
# sink: nobody is left out, and only what was in flight, or answered within the last write-back interval, comes
# twice, with the key of the first.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use SBM::Content;
use SBM::Judge;
use SBM::Stack;

my $MANY = $ENV{SBM_TEST_MANY} || 6000;
my $CONCURRENCY = 16;
my $judge = SBM::Judge->start;
my $stack = SBM::Stack->start($judge->settings, clock => 1, lease => '2s', sweep => '200ms', workers => 2, concurrency => $CONCURRENCY,
	batch => 100, fanout_chunk => 300);
my $schedule = make_schedule($stack);
my $set = make_set($stack, $schedule, [map { "Message $_" } 1 .. 40]);
$stack->sql("INSERT INTO subscription (identity, messageset_id, schedule_id, lang) SELECT gen_random_uuid(), $set, $schedule, 'eng_ZA' FROM generate_series(1, $MANY); ANALYZE subscription");
my $sent = 0;

# The children by their names, as the supervisor gives them.
sub processes {
	my ($of, $name) = @_;
	return grep { (SBM::Stack::slurp("/proc/$_/comm") // '') =~ /^\Q$name\E$/ } $stack->children($of);
}

# Kills when so much of the run has gone out. When that was.
sub kill_at {
	my ($share, $which) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	poll_until { $judge->stats->{keys} >= $share * $MANY } sprintf('%d%% is out', 100 * $share), 60;
	my @victims = $which->();
	kill KILL => @victims;
	my $when = time;
	poll_until { !grep { $stack->alive($_) } @victims } 'killed';
	return $when;
}

# The run ended as it should, whatever happened at the given times.
sub judge {
	my (@kills) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	settled($stack, 90);
	my $keys = $judge->keys;
	is(scalar keys %$keys, $MANY, 'as many deliveries as subscriptions went out');
	my @run = map { [$_->[0]] } $stack->rows('SELECT delivery_id FROM delivery WHERE run_id = (SELECT max(id) FROM run) AND state = \'sent\'');
	is(scalar(grep { !$keys->{ $_->[0] } } @run), 0, 'all that are marked as sent went out');
	is(scalar @run, $MANY, 'all that went out are marked');
	# A machine that is busy may take its time between an answer and its write-back.
	my $window = 0.25 + 0.75 * SBM::Stack::patience();
	my @repeated = grep { $keys->{$_}[0] > 1 } keys %$keys;
	my @stray = grep { my $first = $keys->{$_}[1]; !grep { $first > $_ - $window && $first <= $_ + 0.1 } @kills } @repeated;
	is(scalar @stray, 0, 'only what was under way when a process was killed came twice') or diag("kills at @kills; first sent at ", join ' ', map { $keys->{$_}[1] } @stray);
	note(scalar(@repeated), ' of ', $MANY, ' came twice after ', scalar(@kills), ' kills');
	$sent++;
	is($stack->value("SELECT count(*) FROM subscription WHERE schedule_id = $schedule AND next_sequence_number <> 1 + $sent"), 0, 'each subscription moved on by one');
	is($stack->value('SELECT count(*) FROM failed_task'), 0, 'no failed task');
}

subtest 'sender processes' => sub {
	$judge->forget;
	fire($stack, $schedule);
	my $daemon = $stack->pid('sbm-senderd');
	my @kills = map { kill_at($_, sub { (processes($daemon, 'sender'))[0] // () }) } 0.1, 0.4, 0.7;
	push @kills, kill_at(0.8, sub { processes($daemon, 'sender') });
	judge(@kills);
};

subtest 'the dispatcher, while it fans out, and the keeper' => sub {
	$judge->forget;
	fire($stack, $schedule);
	my $daemon = $stack->pid('sbm-senderd');
	my @kills = map { kill_at($_, sub { processes($daemon, 'dispatcher') }) } 0.02, 0.1, 0.3, 0.6;
	kill_at(0.7, sub { processes($daemon, 'keeper') });
	# Nothing that the dispatcher does sends anything.
	judge();
};

subtest 'the supervisor alone: its processes drain and leave' => sub {
	$judge->forget;
	fire($stack, $schedule);
	my $daemon = $stack->pid('sbm-senderd');
	my @children = $stack->children($daemon);
	kill_at(0.3, sub { $daemon });
	poll_until { !grep { $stack->alive($_) } @children } 'its processes end';
	$stack->up;
	judge();
};

subtest 'HUP, and then TERM and a start: nothing comes twice' => sub {
	$judge->forget;
	fire($stack, $schedule);
	my $daemon = $stack->pid('sbm-senderd');
	my @children = $stack->children($daemon);
	poll_until { $judge->stats->{keys} >= 0.2 * $MANY } 'a run is under way', 60;
	kill HUP => $daemon;
	poll_until { !grep { $stack->alive($_) } @children } 'other processes have taken over';
	poll_until { $judge->stats->{keys} >= 0.5 * $MANY } 'they go on', 60;
	kill TERM => $daemon;
	poll_until { !$stack->alive($daemon) } 'the daemon ends';
	my $sent = $judge->stats->{keys};
	is($stack->value("SELECT count(*) FROM delivery WHERE run_id = (SELECT max(id) FROM run) AND state = 'sent'"), $sent, 'all that it sent is written down');
	is($stack->value('SELECT count(*) FROM delivery_queue WHERE lease_until > now()'), 0, 'and the rest is free for others at once');
	$stack->up;
	judge();
};

subtest 'all of the daemon at once' => sub {
	$judge->forget;
	fire($stack, $schedule);
	my @kills;
	for my $share (0.2, 0.5) {
		my $daemon = $stack->pid('sbm-senderd');
		push @kills, kill_at($share, sub { my @children = $stack->children($daemon); ($daemon, @children) });
		$stack->up;
	}
	judge(@kills);
};

subtest 'in the middle of a fan-out, all of it' => sub {
	$judge->forget;
	$judge->behave(outbound => mode => 'delay', delay => 300);
	fire($stack, $schedule);
	my $daemon = $stack->pid('sbm-senderd');
	poll_until { $stack->value('SELECT count(*) FROM delivery_queue') > 0 } 'the fan-out has begun';
	my @victims = ($daemon, $stack->children($daemon));
	kill KILL => @victims;
	my $when = time;
	poll_until { !grep { $stack->alive($_) } @victims } 'killed';
	my ($fanned) = map { $_->[0] } $stack->rows("SELECT fanned_at IS NOT NULL FROM run ORDER BY id DESC LIMIT 1");
	note("fanned out at the kill: $fanned");
	$judge->behave('outbound');
	$stack->up;
	judge($when);
};

subtest 'two daemons share a run, and one is killed' => sub {
	$judge->forget;
	my ($endpoint) = SBM::Stack::slurp($stack->{env}{SBM_CONF}) =~ /^trigger_endpoint\s*=\s*"?([^"\n]+)/m;
	my $second = fork // die;
	if (!$second) {
		open STDERR, '>>', "$stack->{dir}/second.log";
		open STDOUT, '>&', \*STDERR;
		$ENV{SBM_CONF} = $stack->{env}{SBM_CONF};
		$ENV{SBM_TRIGGER_BIND} = "$endpoint.second";
		exec SBM::Stack::build_dir() . '/src/sbm-senderd' or POSIX::_exit(127);
	}
	poll_until { $stack->value("SELECT count(*) FROM daemon WHERE seen_at > now() - interval '15 seconds' AND name LIKE '%:$second'") } 'the second one is there';
	fire($stack, $schedule);
	my @children = $stack->children($second);
	my $claims = sub { $stack->value("SELECT count(DISTINCT pid) FROM pg_stat_activity WHERE application_name = 'sbm-senderd sender'") };
	poll_until { $claims->() == 4 } 'four sender processes are at it';
	my $when = kill_at(0.4, sub { ($second, @children) });
	waitpid $second, 0;
	judge($when);
	unlike(SBM::Stack::slurp("$stack->{dir}/second.log"), qr/level=err|Sanitizer|runtime error/, 'no error in its log');
};

$judge->behave('outbound');
$stack->expect_log(qr/signal=KILL|killed/i);
$stack->finish;
done_testing;

#!/usr/bin/perl
# The daemon is its own scheduler: each schedule fires at its minutes, once, and what was missed is made up once.
use strict;
use warnings;
use POSIX qw(strftime);
use Test::More;
use Time::Local qw(timegm);
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, clock => 1, write_back => '20ms', sweep => '100ms', workers => 1);

# Moves the clock to a time of day (UTC) on the so-manieth day from today.
my $midnight = int(time / 86400) * 86400;
sub go_to { my ($day, $hour, $minute, $second) = @_; $stack->move_clock($midnight + $day * 86400 + $hour * 3600 + $minute * 60 + ($second // 0) - time) }
sub runs { my ($schedule) = @_; return map { $_->[0] } $stack->rows("SELECT to_char(minute AT TIME ZONE 'UTC', 'HH24:MI') FROM run WHERE schedule_id = $schedule ORDER BY minute") }
# A schedule of every minute that nobody is on: its run of a minute tells that the daemon has looked at that minute.
my $probe;
sub make_probe { $probe = make_schedule($stack, minute => '*') }
sub daemon_has_looked {
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $minute = int($stack->now / 60) * 60;
	poll_until { $stack->value("SELECT count(*) FROM run WHERE schedule_id = $probe AND minute >= to_timestamp($minute)") } 'the daemon has looked at its clock';
}
# Runs of the schedules that matter.
sub run_count { return $stack->value("SELECT count(*) FROM run r JOIN schedule s ON s.id = r.schedule_id WHERE s.minute <> '*'") }

go_to(1, 5, 55);
my $six = make_schedule($stack, minute => '0', hour => '6');
my $quarters = make_schedule($stack, minute => '*/15', hour => '6');
my $set = make_set($stack, $six, [map { "Message $_" } 1 .. 40]);
make_probe();
poll_until { $stack->value('SELECT count(*) FROM schedule_tick') == 3 } 'the daemon knows the schedules';
go_to(1, 5, 59, 30);
daemon_has_looked();
my $mother = subscribe($stack, $set, $six);
my $sister = subscribe($stack, $set, $quarters);

subtest 'at its minute' => sub {
	is(run_count(), 0, 'nothing fires before its time');
	go_to(1, 6, 0, 5);
	poll_until { $sink->count('outbound') == 2 } 'both schedules fire at six';
	settled($stack);
	is_deeply([runs($six)], ['06:00'], 'as the run says');
	daemon_has_looked();
	for my $minute (1 .. 5) {
		go_to(1, 6, $minute, 1);
		daemon_has_looked();
	}
	is(run_count(), 2, 'once, however often the daemon looks');
	go_to(1, 6, 15, 1);
	poll_until { $sink->count('outbound') == 3 } 'a quarter past: the other one again';
	settled($stack);
	is(subscription($stack, $mother)->{next_sequence_number}, 2, 'the mother got one message');
	is(subscription($stack, $sister)->{next_sequence_number}, 3, 'her sister two');
};

subtest 'what was missed within the window is made up, once' => sub {
	$sink->forget;
	my $daemon = $stack->pid('sbm-senderd');
	kill TERM => $daemon;
	poll_until { !$stack->alive($daemon) } 'no daemon runs';
	# 6:30 and 6:45 pass by.
	go_to(1, 6, 50);
	$stack->up;
	poll_until { $sink->count('outbound') == 1 } 'the daemon makes it up';
	settled($stack);
	daemon_has_looked();
	is($sink->count('outbound'), 1, 'once for the two');
	is(subscription($stack, $sister)->{next_sequence_number}, 4, 'one message further');
	like($stack->log_text('sbm-senderd'), qr/missed|catch|made up/i, 'and says so');
};

subtest 'what was missed long ago is skipped' => sub {
	$sink->forget;
	my $daemon = $stack->pid('sbm-senderd');
	kill TERM => $daemon;
	poll_until { !$stack->alive($daemon) } 'no daemon runs';
	# Six o'clock of the next two days passes by.
	go_to(3, 12, 0);
	$stack->up;
	daemon_has_looked();
	poll_until { $stack->log_text('sbm-senderd') =~ /skip/i } 'the log says that firings were skipped';
	is($sink->count('outbound'), 0, 'nothing is sent at noon');
	go_to(4, 6, 0, 1);
	poll_until { $sink->count('outbound') == 2 } 'the next firing is a usual one';
	settled($stack);
};

subtest 'two daemons fire once' => sub {
	$sink->forget;
	my $build = SBM::Stack::build_dir();
	my $env = $stack->{env};
	# A second daemon on the same database needs a trigger socket of its own.
	my ($endpoint) = SBM::Stack::slurp($env->{SBM_CONF}) =~ /^trigger_endpoint\s*=\s*"?([^"\n]+)/m;
	my $second = fork // die;
	if (!$second) {
		open STDERR, '>>', "$stack->{dir}/second.log";
		open STDOUT, '>&', \*STDERR;
		$ENV{SBM_CONF} = $env->{SBM_CONF};
		$ENV{SBM_TRIGGER_BIND} = "$endpoint.second";
		exec "$build/src/sbm-senderd" or POSIX::_exit(127);
	}
	poll_until { $stack->value("SELECT count(*) FROM daemon WHERE seen_at > now() - interval '15 seconds'") >= 2 } 'two daemons are there';
	for my $day (5 .. 8) {
		go_to($day, 6, 0, 1);
		poll_until { $sink->count('outbound') == 2 * ($day - 4) } 'six o\'clock';
		settled($stack);
	}
	kill TERM => $second;
	waitpid $second, 0;
	is($?, 0, 'the second one ends cleanly');
	is($sink->count('outbound'), 8, 'each firing sent once');
	is_deeply([grep { /level=err|Sanitizer|runtime error/ } split /\n/, SBM::Stack::slurp("$stack->{dir}/second.log")], [], 'no error in its log');
};

subtest 'a whole programme in fast motion' => sub {
	go_to(9, 5, 0);
	my $weekly = make_schedule($stack, minute => '30', hour => '9', day_of_week => '2');
	my $next = make_set($stack, $weekly, ['Week A', 'Week B']);
	my $daily = make_schedule($stack, minute => '30', hour => '8');
	my $first = make_set($stack, $daily, [map { "Day $_" } 1 .. 5], next_set => $next);
	make_probe();
	poll_until { $stack->value("SELECT count(*) FROM schedule_tick WHERE schedule_id IN ($weekly, $daily, $probe)") == 3 } 'the daemon knows the schedules';
	$sink->forget;
	my $identity = subscribe($stack, $first, $daily);
	my $got = sub { [map { $_->{content} } grep { $_->{to_identity} eq $identity } map { json_of($_->{body}) } $sink->requests('outbound')] };
	for my $day (9 .. 31) {
		for my $time ([8, 30, 5], [9, 30, 5]) {
			go_to($day, @$time);
			# Every minute that matters has been looked at before the clock goes on.
			daemon_has_looked();
			settled($stack);
		}
	}
	is_deeply($got->(), ['Day 1', 'Day 2', 'Day 3', 'Day 4', 'Day 5', 'Week A', 'Week B'], 'five days, then two weeks: each message once, in order');
	my @all = subscription($stack, $identity);
	is(scalar(grep { $_->{completed} } @all), 2, 'both subscriptions are completed');
};

$stack->finish;
done_testing;

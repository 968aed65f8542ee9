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

# Moves the clock to a time of day (UTC) so many days from today.
my $midnight = int(time / 86400) * 86400;
sub go_to { my ($day, $hour, $minute, $second) = @_; $stack->move_clock($midnight + $day * 86400 + $hour * 3600 + $minute * 60 + ($second // 0) - time) }
sub runs { my ($schedule) = @_; my @runs = map { $_->[0] } $stack->rows("SELECT to_char(minute AT TIME ZONE 'UTC', 'HH24:MI') FROM run WHERE schedule_id = $schedule ORDER BY minute"); return @runs }
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

subtest 'with catch_up = skip, what was missed stays so' => sub {
	$sink->forget;
	my $daemon = $stack->pid('sbm-senderd');
	kill TERM => $daemon;
	poll_until { !$stack->alive($daemon) } 'no daemon runs';
	my $before = runs($quarters);
	# Half past six and a quarter to seven are well within the window.
	go_to(4, 6, 50);
	$stack->up(catch_up => 'skip');
	daemon_has_looked();
	like($stack->log_text('sbm-senderd'), qr/level=warn .*msg="missed firing is skipped" schedule=$quarters late_minutes=5$/m, 'the log says that it was skipped');
	is(scalar runs($quarters), $before, 'it is not made up');
	is($sink->count('outbound'), 0, 'nothing is sent');
	$stack->reconfigure(catch_up => 'one');
};

subtest 'the clock steps back over a firing, and forward again' => sub {
	go_to(4, 12, 0);
	daemon_has_looked();
	my $noon = make_schedule($stack, minute => '10', hour => '12');
	my $friend = subscribe($stack, $set, $noon);
	poll_until { $stack->value("SELECT count(*) FROM schedule_tick WHERE schedule_id = $noon") } 'the daemon knows the schedule';
	$sink->forget;
	for my $minute (10, 5, 10, 9, 11) {
		go_to(4, 12, $minute, 1);
		# The probe's run of a minute that comes again is there already: its tick tells.
		my $now = int($stack->now / 60) * 60;
		poll_until { $stack->value("SELECT checked_to = to_timestamp($now) FROM schedule_tick WHERE schedule_id = $probe") eq 't' } "12:$minute";
		settled($stack);
	}
	is_deeply([runs($noon)], ['12:10'], 'it fired once');
	is($sink->count('outbound'), 1, 'one message went out');
	is(subscription($stack, $friend)->{next_sequence_number}, 2, 'and she is at the next one');
	$stack->sql("UPDATE subscription SET active = false WHERE identity = '$friend'");
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

# The next time after $from when clocks in London change, found by the system's own library.
sub clock_change {
	my ($from, $to_summer) = @_;
	local $ENV{TZ} = 'Europe/London';
	POSIX::tzset();
	my $t = int($from / 3600) * 3600;
	$t += 3600 until (localtime $t)[8] == $to_summer && (localtime $t - 1)[8] != $to_summer;
	return $t;
}

subtest 'when clocks change' => sub {
	my $spring = clock_change($stack->now + 86400, 1);
	my $autumn = clock_change($spring, 0);
	delete $ENV{TZ};
	POSIX::tzset();
	$stack->sql('UPDATE subscription SET active = false');
	# At night there: 1:30 is skipped in spring, when it is 1:00 UTC, and comes twice in autumn.
	for my $change (['minutes that are skipped', $spring, [-7200, -1800, 0, 1800, 3600, 7200], ['01:00']], ['a minute that comes twice', $autumn, [-7200, -1800, 1800, 7200], ['00:30']]) {
		my ($name, $at, $times, $expected) = @$change;
		$stack->move_clock($at - 9000 - time);
		my $london = make_schedule($stack, minute => $name =~ /skipped/ ? '15,30' : '30', hour => '1', timezone => 'Europe/London');
		make_probe();
		poll_until { $stack->value("SELECT count(*) FROM schedule_tick WHERE schedule_id IN ($london, $probe)") == 2 } 'the daemon knows the schedule';
		my $woman = subscribe($stack, $set, $london);
		$sink->forget;
		for my $after (@$times) {
			$stack->move_clock($at + $after + 1 - time);
			daemon_has_looked();
			settled($stack);
		}
		is_deeply([runs($london)], $expected, "$name fire once");
		is($sink->count('outbound'), 1, 'one message went out');
		$stack->sql("UPDATE subscription SET active = false WHERE identity = '$woman'");
	}
};

subtest 'months of the history that are old go' => sub {
	my $months = sub { map { $_->[0] } $stack->rows("SELECT right(c.relname, 7) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = 'delivery'::regclass AND c.relname <> 'delivery_default' ORDER BY 1") };
	my $in_order = sub { map { sprintf '%04d_%02d', int($_ / 12), $_ % 12 + 1 } map { ((gmtime $stack->now)[5] + 1900) * 12 + (gmtime $stack->now)[4] + $_ } @_ };
	# In the month after the last messages.
	$stack->advance_clock(20 * 86400);
	my ($month) = $in_order->(-1);
	my $kept = $stack->value("SELECT count(*) FROM delivery WHERE to_char(finished_at AT TIME ZONE 'UTC', 'YYYY_MM') >= '$month'");
	my $old = $stack->value('SELECT count(*) FROM delivery') - $kept;
	ok($kept > 0 && $old > 0, "there are $kept deliveries of the month before, and $old older ones");
	$stack->reconfigure(delivery_keep => 1);
	poll_until { join(' ', $months->()) eq join ' ', $in_order->(-1 .. 2) } 'the month before is there, this one, and two to come' or diag($months->());
	is($stack->value('SELECT count(*) FROM delivery'), $kept, 'what is younger is all there');
	is($stack->value('SELECT count(*) FROM delivery_default'), 0, 'nothing lies where no month was made for it');
	like($stack->log_text('sbm-senderd'), qr/msg="old partitions of the history were dropped" months=\d+$/m, 'the log says so');
};

$stack->finish;
done_testing;

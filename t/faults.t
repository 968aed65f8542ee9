#!/usr/bin/perl
# Faults of the world around that take their time, or want two daemons: an identity store that is down for an hour, a
# trigger socket that is gone, answers that break off, daemons that start at once, and that share a rate.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use SBM::Content;
use SBM::Judge;
use SBM::Sink;
use SBM::Stack;

# All waits are a 720th of what they are, so that an hour takes five seconds; the service's clock goes along.
my $SCALE = 720;
my $HOUR = 3600 / $SCALE;
my $sink = SBM::Sink->start;
my $judge = SBM::Judge->start;
my $stack = SBM::Stack->start($sink->settings, clock => 1, sweep => '50ms', write_back => '20ms', lease => '2s', workers => 2, batch => 50, concurrency => 16,
	retry_base => '10ms', retry_max => int(900_000 / $SCALE) . 'ms', probe_min => '10ms', probe_max => int(60_000 / $SCALE) . 'ms');
my @texts = map { "Message $_" } 1 .. 40;

sub failed_tasks { return $stack->value('SELECT count(*) FROM failed_task') }
sub to { my ($identity) = @_; return grep { json_of($_->{body})->{to_identity} eq $identity } $sink->accepted('outbound') }

sub end_daemon {
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $daemon = $stack->pid('sbm-senderd');
	my @all = ($daemon, $stack->children($daemon));
	kill TERM => $daemon;
	return poll_until { !grep { $stack->alive($_) } @all } 'the daemon ends';
}

# Daemons of our own beside that of the stack, or instead of it, all at the same moment.
sub start_daemons {
	my ($count, %settings) = @_;
	my ($endpoint) = SBM::Stack::slurp($stack->{env}{SBM_CONF}) =~ /^trigger_endpoint\s*=\s*"?([^"\n]+)/m;
	pipe my $wait, my $go or die "could not make a pipe: $!\n";
	my @daemons = map {
		my $pid = fork // die "could not fork: $!\n";
		if (!$pid) {
			close $go;
			open STDERR, '>>', "$stack->{dir}/daemon$_.log";
			open STDOUT, '>&', \*STDERR;
			@ENV{qw(SBM_CONF SBM_TRIGGER_BIND SBM_STATE_FILE)} = ($stack->{env}{SBM_CONF}, "$endpoint.$_", "$stack->{dir}/stack/daemon$_.state");
			$ENV{ 'SBM_' . uc $_ } = $settings{$_} for keys %settings;
			sysread $wait, my $byte, 1;
			exec SBM::Stack::build_dir() . '/src/sbm-senderd' or POSIX::_exit(127);
		}
		$pid;
	} 1 .. $count;
	close $wait;
	close $go;
	return @daemons;
}

sub end_daemons {
	my (@daemons) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	kill TERM => @daemons;
	for (@daemons) {
		waitpid $_, 0;
		is($?, 0, 'a daemon ends cleanly');
	}
	is_deeply([map { grep { /level=err|Sanitizer|runtime error/ } split /\n/, SBM::Stack::slurp("$stack->{dir}/daemon$_.log") } 1 .. @daemons], [], 'no error in their logs');
}

# Subscribers by the hundred, for the judge; those of before have nothing to do with it.
sub crowd {
	my ($count) = @_;
	my $schedule = make_schedule($stack);
	my $set = make_set($stack, $schedule, \@texts);
	$stack->sql('UPDATE subscription SET active = false WHERE active');
	$stack->sql("INSERT INTO subscription (identity, messageset_id, schedule_id, lang, created_at) SELECT gen_random_uuid(), $set, $schedule, 'eng_ZA', '2020-01-01' FROM generate_series(1, $count)");
	return $schedule;
}

sub sent_once {
	my ($count, $schedule, $next) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $stats = $judge->stats;
	is("$stats->{keys} keys, $stats->{repeats} repeated", "$count keys, 0 repeated", 'each went out, once');
	is($stack->value("SELECT count(*) FROM subscription WHERE schedule_id = $schedule AND next_sequence_number = $next"), $count, 'each moved on');
	is(failed_tasks(), 0, 'no failed task');
}

subtest 'the identity store is down for an hour' => sub {
	my $minute = (gmtime($stack->now))[1];
	# Due at once, and each quarter of an hour.
	my $schedule = make_schedule($stack, minute => join ',', sort { $a <=> $b } map { ($minute + 2 + 15 * $_) % 60 } 0 .. 3);
	my $set = make_set($stack, $schedule, \@texts);
	my @mothers = map { subscribe($stack, $set, $schedule) } 1 .. 30;
	my ($unlucky, @others) = @mothers;
	poll_until { $stack->value("SELECT count(*) FROM schedule_tick WHERE schedule_id = $schedule") } 'the daemon knows the schedule';
	$sink->behave(identity => { status => 500, match => $unlucky });
	$stack->advance_clock(120);
	poll_until { $sink->accepted('outbound') == 29 } 'the first firing: all but one go out';
	poll_until {
		my ($other) = subscription($stack, $others[rand @others]);
		$stack->post("/api/v1/subscriptions/$other->{id}/send");
		$stack->value('SELECT coalesce(max(tries), 0) FROM delivery_queue') >= 2;
	} 'whose look-up fails again and again while others pass';
	$sink->close_down;
	poll_until { $stack->value('SELECT count(*) FROM delivery_queue WHERE tries = 0') == 0 } 'what was under way ends, and then nobody is there';
	# Only the unlucky one is left to call for, and what is said from now on is said after its tries were written down.
	my $said = sub { return scalar(() = $stack->log_text('sbm-senderd') =~ /msg="service is out; calls pause" service="identity store"/g) };
	my $before = $said->();
	poll_until { $said->() > $before } 'the daemon knows that it is out';
	my ($tries) = $stack->value('SELECT tries FROM delivery_queue');
	my $sent = $sink->accepted('outbound');
	my $asked = $sink->count('identity');
	my $runs = $stack->value('SELECT count(*) FROM run');
	my $began = time;
	for my $minute (1 .. 59) {
		$stack->advance_clock(60);
		if ($minute == 20) {
			$sink->behave(identity => { status => 502 });
			$sink->open;
		}
		$sink->behave(identity => { reset => 1 }) if $minute == 40;
		pause_briefly($HOUR / 60) while time - $began < $minute * $HOUR / 60;
	}
	poll_until { $stack->value('SELECT count(*) FROM run') == $runs + 3 } 'three more firings have come';
	is(scalar $sink->accepted('outbound'), $sent, 'for an hour nothing goes out');
	is($stack->value('SELECT count(*) FROM delivery_queue'), 30, 'each of them has one delivery that waits, however many firings there were');
	cmp_ok($sink->count('identity') - $asked, '<', 1000, 'the store is not hammered: ' . ($sink->count('identity') - $asked) . ' calls in 40 minutes');
	$sink->behave;
	settled($stack, 30);
	is(failed_tasks(), 0, 'no failed task');
	is(scalar $sink->accepted('outbound'), $sent + 30, 'nobody is flooded: one message each');
	is(scalar(to($unlucky)), 1, 'also to the one that had failed before');
	is($stack->value('SELECT max(tries) FROM delivery'), $tries, 'the outage used up no try');
	is($stack->value("SELECT count(*) FROM run WHERE schedule_id = $schedule AND queued + skipped <> 30"), 0, 'each run says what became of each of them');
};

end_daemon();
$stack->up($judge->settings);

subtest 'the trigger socket is gone' => sub {
	my $schedule = crowd(200);
	my ($path) = SBM::Stack::slurp($stack->{env}{SBM_CONF}) =~ /^trigger_endpoint\s*=\s*"?ipc:\/\/([^"\n,]+)/m;
	ok(unlink($path), 'somebody removes it');
	$judge->forget;
	fire($stack, $schedule);
	settled($stack, 30);
	sent_once(200, $schedule, 2);
	my $api = $stack->pid('sbm-api');
	my @before = $stack->children($api);
	kill HUP => $api;
	poll_until { !grep { $stack->alive($_) } @before } 'new workers find none';
	$judge->forget;
	fire($stack, $schedule);
	settled($stack, 30);
	sent_once(200, $schedule, 3);
};

subtest 'answers that break off, or take their time' => sub {
	my $schedule = crowd(400);
	my $next = 1;
	for (['201, and then the connection is lost, all of them', mode => 'cut'], ['one in ten of them', mode => 'cut', every => 10], ['slow for all', mode => 'delay', delay => 150]) {
		my ($name, %fault) = @$_;
		$judge->forget;
		$judge->behave(outbound => %fault);
		note($name);
		fire($stack, $schedule);
		settled($stack, 40);
		sent_once(400, $schedule, ++$next);
		$judge->behave('outbound');
	}
};

subtest 'two daemons start at the same moment' => sub {
	my $schedule = crowd(1000);
	my $minute = (gmtime($stack->now))[1];
	my $ticking = make_schedule($stack, minute => ($minute + 10) % 60);
	my $set = make_set($stack, $ticking, \@texts);
	my @mothers = map { subscribe($stack, $set, $ticking) } 1 .. 20;
	poll_until { $stack->value("SELECT count(*) FROM schedule_tick WHERE schedule_id = $ticking") } 'the daemon knows the schedule';
	for my $round (1 .. 3) {
		end_daemon() if $round == 1;
		$judge->forget;
		# A run that waits for them, a firing to be made up, a job, and a month to be made.
		fire($stack, $schedule);
		$stack->advance_clock($round == 1 ? 600 : 3600);
		$stack->advance_clock(24 * 31 * 3600) if $round == 3;
		$stack->post('/api/v1/runsendestimate/');
		my @daemons = start_daemons(2);
		poll_until { $stack->value("SELECT count(*) FROM run WHERE schedule_id = $ticking") == $round } 'the firing is made up';
		settled($stack, 60);
		poll_until { $stack->value('SELECT count(*) FROM job WHERE finished_at IS NULL') == 0 } 'the job is done';
		my $stats = $judge->stats;
		is("$stats->{keys} keys, $stats->{repeats} repeated", '1020 keys, 0 repeated', 'each of both went out, once');
		end_daemons(@daemons);
	}
	is($stack->value("SELECT string_agg(DISTINCT next_sequence_number::text, ' ') FROM subscription WHERE active"), '4', 'each moved on by one each time');
	is(failed_tasks(), 0, 'no failed task');
};

subtest 'two daemons share a rate' => sub {
	my ($rate, $many) = (80, 240);
	my $schedule = crowd($many);
	$judge->forget;
	fire($stack, $schedule);
	my @daemons = start_daemons(2, sender_rate => $rate);
	settled($stack, 60);
	sent_once($many, $schedule, 2);
	my $keys = $judge->keys;
	my @at = sort { $a <=> $b } map { $_->[1] } values %$keys;
	my $took = $at[-1] - $at[0];
	cmp_ok($took, '>', ($many - 1) / $rate - 1.05, sprintf '%d messages at %d a second by four processes: %.2f s', $many, $rate, $took);
	my ($most, $first) = (0, 0);
	for my $last (0 .. $#at) {
		$first++ while $at[$last] - $at[$first] > 1;
		$most = $last - $first + 1 if $last - $first + 1 > $most;
	}
	cmp_ok($most, '<=', 2 * $rate, "at most $most within a second");
	end_daemons(@daemons);
};

$stack->expect_log(qr/level=err.*database/);
$stack->finish;
done_testing;

#!/usr/bin/perl
# The database and the services around come and go; nothing is lost, nobody is flooded.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, clock => 1, write_back => '20ms', sweep => '100ms', retry_base => '50ms', retry_max => '200ms', probe_min => '50ms', probe_max => '200ms',
	call_timeout => '2s', connect_timeout => '2s', tries => 8, lease => '5s');
my $schedule = make_schedule($stack);
my $set = make_set($stack, $schedule, [map { "Message $_" } 1 .. 60]);
my @mothers = map { subscribe($stack, $set, $schedule) } 1 .. 40;

# Each mother got what she should, once, and the outage left no failed task.
sub all_is_well {
	my ($expected) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	settled($stack, 60);
	my %count;
	$count{ json_of($_->{body})->{to_identity} }++ for $sink->accepted('outbound');
	is_deeply([map { $count{$_} // 0 } @mothers], [($expected) x @mothers], 'each got every message once');
	is($stack->value('SELECT count(*) FROM failed_task'), 0, 'no failed task');
}

subtest 'the message sender is out' => sub {
	my $round = 0;
	my @outages = (
		['answers 503', { status => 503 }], ['answers 500 to all', { status => 500 }], ['refuses our token', { status => 401 }],
		['has enough', { status => 429, headers => { 'Retry-After' => 1 } }], ['resets connections', { reset => 1 }], ['never answers', { hang => 1 }],
	);
	for my $case (@outages) {
		my ($name, $behaviour) = @$case;
		$sink->forget;
		$sink->behave(outbound => $behaviour);
		fire($stack, $schedule);
		my $began = time;
		# Longer than all tries of a single delivery take.
		poll_until { time - $began > 2 && $sink->count('outbound') } "$name for a while";
		is(scalar $sink->accepted('outbound'), 0, 'nothing goes through');
		my $tried = $sink->count('outbound');
		# Each sender process tries what it has begun, libcurl up to five times when a kept connection turns out to be
		# dead, and then probes alone.
		cmp_ok($tried, '<', 500, 'it is not hammered');
		note("$name: $tried calls");
		$sink->behave;
		all_is_well(1);
	}
};

subtest 'the message sender cannot be reached' => sub {
	$sink->forget;
	$sink->close_down;
	fire($stack, $schedule);
	poll_until { $stack->log_text('sbm-senderd') =~ /message_sender|outbound|sender.*(?:out|pause|unreach)/i } 'the log says so';
	$sink->open;
	all_is_well(1);
};

subtest 'the identity store is out' => sub {
	$sink->forget;
	$sink->behave(identity => { status => 502 });
	fire($stack, $schedule);
	poll_until { $sink->count('identity') } 'it answers 502';
	my $began = time;
	poll_until { time - $began > 1 } 'for a while';
	is($sink->count('outbound'), 0, 'nothing goes out');
	$sink->behave;
	all_is_well(1);
};

subtest 'one in three fails and passes at the next try' => sub {
	$sink->forget;
	$sink->behave(outbound => { status => 500, every => 3 });
	fire($stack, $schedule);
	my $began = time;
	poll_until { $sink->accepted('outbound') >= 30 } 'most go through';
	$sink->behave;
	all_is_well(1);
};

# With work to do and no database for it, the daemon's processes wait.
sub waits_idly {
	my @processes = $stack->children('sbm-senderd');
	my ($began, %before) = (time, map { $_ => $stack->busy_seconds($_) } @processes);
	my $most = 0;
	poll_until {
		for my $pid (@processes) {
			my $busy = $stack->busy_seconds($pid) - $before{$pid};
			$most = $busy if $busy > $most;
		}
		time - $began > 2;
	} 'some time without the database';
	cmp_ok($most / (time - $began), '<', 0.5, 'none of the processes spins meanwhile');
}

subtest 'the database is stopped in the middle of a run, and started again' => sub {
	for my $how ('fast', 'killed') {
		$sink->forget;
		$sink->behave(outbound => { delay => 0.2 });
		fire($stack, $schedule);
		poll_until { $sink->count('outbound') >= 5 } 'a run is under way';
		my $postgres = $stack->pid('postgres');
		kill $how eq 'fast' ? 'INT' : 'QUIT', $postgres;
		poll_until { !$stack->alive($postgres) } "the database is down ($how)";
		my $answer = $stack->post('/api/v1/subscriptions/request', hook($set, $schedule));
		is($answer->{status}, 503, 'a registration is told to come again');
		ok(length($answer->{json}{detail} // ''), 'in words') and note($answer->{json}{detail});
		ok($answer->{headers}{'retry-after'}, 'and when');
		$answer = $stack->get('/api/health/');
		is($answer->{status}, 503, 'the health check says it');
		is($answer->{json}{up}, JSON::PP::false, 'down') if $answer->{json};
		is($stack->get('/healthz', authorization => undef)->{status}, 200, 'the workers live');
		waits_idly() if $how eq 'killed';
		$sink->behave;
		$stack->up;
		poll_until { $stack->get('/api/health/')->{status} == 200 } 'healthy again';
		is($stack->post('/api/v1/subscriptions/request', hook($set, make_schedule($stack)))->{status}, 201, 'registrations are taken');
		settled($stack, 60);
		# What was in flight when the write-back failed may come twice, always with the same key.
		my (%keys, %got);
		for my $call ($sink->accepted('outbound')) {
			my $identity = json_of($call->{body})->{to_identity};
			$keys{$identity}{ $call->{headers}{'idempotency-key'} } = 1;
			$got{$identity}++;
		}
		is(scalar(grep { !$got{$_} } @mothers), 0, 'nobody was left out');
		is_deeply([grep { keys %{ $keys{$_} } != 1 } @mothers], [], 'a repeat has the key of the first');
		note("stopped ($how): " . scalar(grep { ($got{$_} // 0) > 1 } @mothers) . ' of ' . @mothers . ' came twice');
		is($stack->value('SELECT count(*) FROM failed_task'), 0, 'no failed task');
		is($stack->value("SELECT count(DISTINCT next_sequence_number) FROM subscription WHERE identity IN ('" . join("','", @mothers) . "')"), 1, 'all are at the same message');
	}
};

$stack->expect_log(qr/database|connection|could not connect|terminat|server closed|message.sender|outbound|identity.store|sender/i, qr/\[error\].*upstream/);
$stack->finish;
done_testing;

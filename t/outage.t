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
	call_timeout => '2s', connect_timeout => '2s', tries => 8, lease => '20s');
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
		['has enough', { status => 429, headers => { 'Retry-After' => 3 } }], ['sends us elsewhere', { status => 307, headers => { Location => $sink->url . '/elsewhere/' } }],
		['resets connections', { reset => 1 }], ['never answers', { hang => 1 }],
	);
	for my $case (@outages) {
		my ($name, $behaviour) = @$case;
		$sink->forget;
		$sink->behave(outbound => $behaviour);
		# Longer than all tries of a single delivery take.
		my $while = $behaviour->{hang} || $name eq 'has enough' ? 4 : 2;
		$stack->reconfigure(call_timeout => '200ms') if $behaviour->{hang};
		fire($stack, $schedule);
		my $began = time;
		poll_until { time - $began > $while && $sink->count('outbound') } "$name for a while";
		is(scalar $sink->accepted('outbound'), 0, 'nothing goes through');
		my $tried = $sink->count('outbound');
		# Each sender process tries what it has begun, libcurl up to five times when a kept connection turns out to be
		# dead, and then probes alone.
		cmp_ok($tried, '<', 500, 'it is not hammered');
		note("$name: $tried calls");
		is($sink->count('other'), 0, 'nobody else is called');
		if ($name eq 'has enough') {
			my @at = sort { $a <=> $b } map { $_->{at} } $sink->requests('outbound');
			my ($longest) = sort { $b <=> $a } map { ($at[$_ + 1] // time) - $at[$_] } 0 .. $#at;
			# Two processes hear of it one after the other. The longest wait by itself is 0.2 s.
			cmp_ok($longest, '>', 1, sprintf 'no call for as long as it wants: %.2f s', $longest);
		}
		$stack->reconfigure(call_timeout => '2s') if $behaviour->{hang};
		$sink->behave;
		all_is_well(1);
	}
};

# How often the log says that the message sender went out, or is still, and why.
sub said_out { my ($why) = @_; return scalar(() = $stack->log_text('sbm-senderd') =~ /msg="service is out; calls pause" service="message sender" wait_ms=\d+ $why/g) }

subtest 'a message sender that is not who it says' => sub {
	plan skip_all => 'openssl is not installed' unless grep { -x "$_/openssl" } split /:/, $ENV{PATH};
	my ($key, $certificate, $heard) = map { "$stack->{dir}/$_" } qw(tls.key tls.crt tls.heard);
	my ($status, $output) = SBM::Stack::run(qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -keyout),
		$key, '-out', $certificate);
	is($status, 0, 'a certificate that nobody vouches for') or diag($output);
	my ($port, $server);
	for (1 .. 20) {
		$port = 20000 + int rand 12000;
		$server = fork // die "could not fork: $!\n";
		if (!$server) {
			open STDIN, '<', '/dev/zero';
			open STDOUT, '>', $heard;
			open STDERR, '>&', \*STDOUT;
			{ exec qw(openssl s_server -accept), "127.0.0.1:$port", '-key', $key, '-cert', $certificate }
			require POSIX;
			POSIX::_exit(127);
		}
		poll_until { !$stack->alive($server) || (SBM::Stack::slurp($heard) // '') =~ /^ACCEPT/m } 'it answers with TLS';
		last if $stack->alive($server);
		waitpid $server, 0;
	}
	$sink->forget;
	$stack->reconfigure(message_sender_url => "https://127.0.0.1:$port/sender/api/v1");
	my $before = said_out(my $why = qr/status=0 error="SSL peer certificate[^"]*"/);
	fire($stack, $schedule);
	poll_until { said_out($why) >= $before + 3 } 'the log says that it is out, and why, again and again' or diag($stack->log_text('sbm-senderd') =~ /.*service is out.*/g);
	is($stack->value('SELECT count(*) FROM delivery_queue'), scalar @mothers, 'all wait');
	unlike(SBM::Stack::slurp($heard), qr/POST|sender-token|Idempotency-Key/, 'it was told nothing');
	kill TERM => $server;
	waitpid $server, 0;
	$stack->reconfigure(message_sender_url => $sink->url . '/sender/api/v1');
	all_is_well(1);
};

subtest 'the message sender cannot be reached' => sub {
	$sink->forget;
	# Addresses are to be had as before.
	$stack->reconfigure(message_sender_url => 'http://127.0.0.1:1/sender/api/v1');
	my $before = said_out(my $why = qr/status=0 error="Could\S* connect/);
	fire($stack, $schedule);
	# Every process tries and waits, tries and waits, more often than a delivery has tries.
	poll_until { said_out($why) >= $before + 20 } 'the log says that nobody is there, again and again';
	is($stack->value('SELECT count(*) FROM delivery_queue WHERE tries = 0'), scalar @mothers, 'all wait, and have used up no try');
	$stack->reconfigure(message_sender_url => $sink->url . '/sender/api/v1');
	all_is_well(1);
	# The same with both of them gone.
	$sink->forget;
	$sink->close_down;
	fire($stack, $schedule);
	poll_until { $stack->log_text('sbm-senderd') =~ /msg="service is out; calls pause" service="identity store"/ } 'both are gone';
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
	for my $how ('fast', 'at once', 'killed') {
		$sink->forget;
		$sink->behave(outbound => { delay => 0.2 });
		fire($stack, $schedule);
		poll_until { $sink->count('outbound') >= 5 } 'a run is under way';
		my $postgres = $stack->pid('postgres');
		my $down = time;
		my @all = $how eq 'killed' ? ($postgres, $stack->children($postgres)) : $postgres;
		kill $how eq 'fast' ? 'INT' : $how eq 'at once' ? 'QUIT' : 'KILL', @all;
		poll_until { !grep { $stack->alive($_) } @all } "the database is down ($how)";
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
		$down = time - $down;
		is($stack->post('/api/v1/subscriptions/request', hook($set, make_schedule($stack)))->{status}, 201, 'registrations are taken');
		settled($stack, 60);
		# Nobody who had results died: they are written down late.
		my (%keys, %got);
		for my $call ($sink->accepted('outbound')) {
			my $identity = json_of($call->{body})->{to_identity};
			$keys{$identity}{ $call->{headers}{'idempotency-key'} } = 1;
			$got{$identity}++;
		}
		is(scalar(grep { !$got{$_} } @mothers), 0, 'nobody was left out');
		is_deeply([grep { keys %{ $keys{$_} } != 1 } @mothers], [], 'a repeat has the key of the first');
		my $twice = grep { ($got{$_} // 0) > 1 } @mothers;
		note(sprintf '%s, away for %.1f s: %d of %d came twice', $how, $down, $twice, scalar @mothers);
		is($twice, 0, 'none came twice');
		is($stack->value('SELECT count(*) FROM failed_task'), 0, 'no failed task');
		is($stack->value("SELECT count(DISTINCT next_sequence_number) FROM subscription WHERE identity IN ('" . join("','", @mothers) . "')"), 1, 'all are at the same message');
	}
};

# Two sender processes with some of the same run in hand, of which one comes back much later than the other.
subtest 'the database is away for longer than a lease' => sub {
	$sink->forget;
	$sink->behave(outbound => { delay => 0.3 });
	my $other = SBM::Stack->start($sink->settings, workers => 2, batch => 10, concurrency => 8, lease => '1s', sweep => '100ms');
	my $schedule = make_schedule($other);
	my $set = make_set($other, $schedule, ['One', 'Two']);
	my @mothers = map { subscribe($other, $set, $schedule) } 1 .. 160;
	my ($late) = grep { SBM::Stack::slurp("/proc/$_/comm") eq "sender\n" } $other->children('sbm-senderd');
	fire($other, $schedule);
	poll_until { $sink->count('outbound') >= 20 } 'a run is under way';
	my ($postgres, $began) = ($other->pid('postgres'), time);
	kill INT => $postgres;
	poll_until { !$other->alive($postgres) && time - $began > 2 } 'the database is away';
	kill STOP => $late;
	$sink->behave;
	$other->up;
	poll_until { $other->value('SELECT count(*) = 0 FROM delivery_queue WHERE lease_until IS NULL OR lease_until >= now()') eq 't' } 'one process ends all that is its own';
	cmp_ok($other->value('SELECT count(*) FROM delivery_queue'), '>', 0, 'what the other one has sent is left to it for a while');
	kill CONT => $late;
	settled($other, 60);
	my %count;
	$count{ json_of($_->{body})->{to_identity} }++ for $sink->accepted('outbound');
	is_deeply([map { $count{$_} // 0 } @mothers], [(1) x @mothers], 'each got the message once');
	$other->expect_log(qr/database|connection|could not connect|terminat|server closed/i, qr/\[error\].*upstream/);
	$other->finish;
};

$stack->expect_log(qr/database|connection|could not connect|terminat|server closed|message.sender|outbound|identity.store|sender/i, qr/\[error\].*upstream/);
$stack->finish;
done_testing;

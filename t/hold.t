#!/usr/bin/perl
# Pauses: of everything, of a schedule, of a message set. Nothing of what is paused goes out, nothing is lost,
# and nothing else waits for it.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, clock => 1, write_back => '20ms', sweep => '200ms', workers => 2, batch => 20, concurrency => 8, lease => '2s', fanout_chunk => 50);
my $schedule = make_schedule($stack);
my $other = make_schedule($stack);
my $texts = [map { "Message $_" } 1 .. 40];
my $set = make_set($stack, $schedule, $texts);
my $second = make_set($stack, $schedule, $texts);
my $free = make_set($stack, $other, $texts);
my @mothers = map { subscribe($stack, $set, $schedule) } 1 .. 60;
my @aunts = map { subscribe($stack, $second, $schedule) } 1 .. 20;
my @others = map { subscribe($stack, $free, $other) } 1 .. 10;

sub says {
	my ($words, $status, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($got, $output) = $stack->ctl(@$words);
	is($got, $status, "$name: exit status $status") or diag($output);
	like($output, $pattern, "$name: @$words");
}
sub count_of { my %is = map { $_ => 1 } @_; return scalar grep { $is{ json_of($_->{body})->{to_identity} } } $sink->accepted('outbound') }
sub queued { return $stack->value('SELECT count(*) FROM delivery_queue') }
# Waits until the daemon has had its second, and then for another look at what it did not do.
sub for_a_while { my $until = time + $_[0]; poll_until { time > $until } 'a while goes by' }
sub is_calm { my $n = $sink->count('outbound'); for_a_while(0.7); return is($sink->count('outbound'), $n, $_[0]) }
# Each of these got exactly as many messages.
sub got {
	my ($expected, $who, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %count;
	$count{ json_of($_->{body})->{to_identity} }++ for $sink->accepted('outbound');
	is_deeply([map { $count{$_} // 0 } @$who], [($expected) x @$who], $name);
}

# The newest run, which so many of 80 messages of have gone out, stands still: how far it is, how fast it went, and what is left.
sub tells_how_far {
	my ($sent) = @_;
	my ($run, $began) = @{ ($stack->rows('SELECT id, extract(epoch FROM created_at) FROM run ORDER BY id DESC LIMIT 1'))[0] };
	poll_until { defined $stack->get("/api/v1/runs/$run/")->{json}{fanned_at} } 'all deliveries of the run are made';
	# What is left takes as long as it took so far, in proportion.
	my $left = sub { ($stack->now - $began) * (80 - $sent) / $sent };
	for my $how (['the API', sub { $stack->get("/api/v1/runs/$run/")->{json} }], ['the status', sub { json_of(($stack->ctl('status', '--json'))[1])->{runs}[0] }],
		['the list of runs', sub { json_of(($stack->ctl(qw(run list --unfinished --json)))[1])->[0] }]) {
		my ($name, $ask) = @$how;
		my $least = $left->();
		my $told = $ask->();
		is_deeply([@$told{qw(id queued sent failed)}], [$run, 80, $sent, 0], "$name tells how far it is");
		cmp_ok($told->{per_second}, '>', 0, 'and how fast');
		ok($told->{seconds_left} >= $least - 0.1 && $told->{seconds_left} <= $left->() + 1, "and how long the rest takes: $told->{seconds_left} s");
	}
	$stack->advance_clock(60);
	poll_until { $stack->log_text('sbm-senderd') =~ /level=info .*msg="run is under way" run=$run schedule=\d+ queued=80 sent=$sent failed=0 cancelled=0 per_second=[\d.]+ seconds_left=\d+$/m }
		'the log tells it once a minute';
}

subtest 'a schedule that is paused before its run' => sub {
	says([qw(pause schedule), $schedule, '--reason', 'wrong texts'], 0, qr/schedule $schedule is paused/, 'pause');
	says([qw(pause schedule), $schedule], 0, qr/paused before/, 'pause again');
	says(['status'], 0, qr/schedule\s+$schedule\s.*wrong texts/, 'the status');
	fire($stack, $schedule);
	fire($stack, $other);
	poll_until { count_of(@others) == 10 } 'the other schedule sends';
	poll_until { $stack->value('SELECT count(*) FROM run WHERE fanned_at IS NOT NULL') == 2 } 'both runs are fanned out';
	is_calm('nothing of the paused one goes out');
	is(count_of(@mothers, @aunts), 0, 'not a single one');
	is(queued(), 80, 'all wait');
	is($stack->value('SELECT count(*) FROM delivery_queue WHERE attempt > 0'), 0, 'none was ever claimed');
	my ($status, $output) = $stack->ctl('status', '--json');
	is(json_of($output)->{queue}{held}, 80, 'the status counts them');
	is(json_of($output)->{queue}{due}, 0, 'none as due');
	fire($stack, $schedule);
	poll_until { $stack->value('SELECT count(*) FROM run WHERE fanned_at IS NOT NULL') == 3 } 'a second firing meanwhile';
	is(queued(), 80, 'makes no second delivery for anybody');
	says([qw(resume schedule), $schedule], 0, qr/is resumed/, 'resume');
	my $began = time;
	poll_until { count_of(@mothers, @aunts) > 0 } 'it goes on', 5;
	note(sprintf 'after %.2f s', time - $began);
	settled($stack);
	got(1, [@mothers, @aunts, @others], 'each got one message');
	says([qw(resume schedule), $schedule], 1, qr/is not paused/, 'nothing to resume');
};

subtest 'in mid-run' => sub {
	$sink->forget;
	$sink->behave(outbound => { delay => 0.5 });
	fire($stack, $schedule);
	poll_until { $sink->count('outbound') >= 5 } 'the run is under way';
	says([qw(pause all)], 0, qr/all is paused/, 'pause all');
	my $began = time;
	for_a_while(1);
	my $sent = $sink->count('outbound');
	cmp_ok($sent, '<', 80, "there is a rest ($sent sent)");
	is(scalar(grep { $_->{at} > $began + 1 } $sink->requests('outbound')), 0, 'no call later than a second after');
	my $identity = subscribe($stack, $set, $other);
	my $id = subscription($stack, $identity)->{id};
	is($stack->post("/api/v1/subscriptions/$id/send")->{status}, 201, 'a send of one is accepted');
	is_calm('nothing goes out');
	# A call that began within the second may have come in after it.
	$sent = $sink->count('outbound');
	is($sent, scalar $sink->accepted('outbound'), 'the calls under way were answered');
	poll_until { $stack->value('SELECT count(*) FROM delivery WHERE finished_at > now() - interval \'1 hour\'') >= $sent && queued() == 81 - $sent } 'and their results written back, the rest waits';
	is($stack->value('SELECT count(*) FROM delivery_queue WHERE lease_until > now()'), 0, 'in nobody\'s hands');
	tells_how_far($sent);
	$sink->behave;
	says([qw(resume all)], 0, qr/all is resumed/, 'resume all');
	settled($stack);
	got(1, [@mothers, @aunts, $identity], 'each got one message, none two');
	is($stack->get('/api/v1/runs/' . $stack->value('SELECT max(id) FROM run') . '/')->{json}{seconds_left}, 0, 'nothing is left of the run');
};

subtest 'a message set, by the API' => sub {
	$sink->forget;
	my $answer = $stack->post('/api/v1/holds/', { scope => 'messageset', messageset => $second, reason => 'under review' });
	is($answer->{status}, 201, 'paused') or diag($answer->{content});
	my $hold = $answer->{json}{id};
	is($stack->post('/api/v1/holds/', { scope => 'messageset', messageset => $second })->{status}, 400, 'not twice');
	is($stack->get('/api/v1/holds/')->{json}{results}[0]{reason}, 'under review', 'the list has it');
	fire($stack, $schedule);
	poll_until { count_of(@mothers) == 60 } 'the other set of the same schedule goes out';
	is_calm('and no more');
	is(count_of(@aunts), 0, 'nothing of the paused set');
	# A crash and a new daemon change nothing.
	my $daemon = $stack->pid('sbm-senderd');
	kill TERM => $daemon;
	poll_until { !$stack->alive($daemon) } 'the daemon ends';
	$stack->up;
	is_calm('a new one holds it too');
	is(count_of(@aunts), 0, 'still nothing');
	is($stack->delete("/api/v1/holds/$hold/")->{status}, 204, 'resumed');
	settled($stack);
	got(1, [@mothers, @aunts], 'each got one message');
};

subtest 'pauses and crashes in mid-run' => sub {
	for my $round (1 .. 3) {
		$sink->forget;
		$sink->behave(outbound => { delay => 0.1 });
		fire($stack, $schedule);
		poll_until { $sink->count('outbound') >= 8 * $round } 'a run is under way';
		my @processes = $stack->children('sbm-senderd');
		kill KILL => $processes[rand @processes];
		says(['pause', $round == 2 ? 'all' : ('schedule', $schedule)], 0, qr/is paused/, 'pause');
		my $paused = time;
		for_a_while(1.2);
		is_calm('nothing goes out');
		is(scalar(grep { $_->{at} > $paused + 1 } $sink->requests('outbound')), 0, 'no call later than a second after');
		kill KILL => $stack->children('sbm-senderd') if $round == 3;
		is_calm('nor after a crash');
		$sink->behave;
		says(['resume', $round == 2 ? 'all' : ('schedule', $schedule)], 0, qr/is resumed/, 'resume');
		settled($stack, 30);
		my (%keys, %got);
		for my $call ($sink->accepted('outbound')) {
			my $identity = json_of($call->{body})->{to_identity};
			$got{$identity}++;
			$keys{$identity}{ $call->{headers}{'idempotency-key'} } = 1;
		}
		is_deeply([grep { !$got{$_} } @mothers, @aunts], [], 'nobody was left out');
		is_deeply([grep { keys %{ $keys{$_} } > 1 } keys %keys], [], 'what was repeated after a crash has the key of the first');
		cmp_ok(scalar(grep { $_ > 1 } values %got), '<=', 16, 'no more than was in flight');
	}
};

subtest 'many that are held are passed by' => sub {
	$sink->forget;
	$stack->sql(<<"SQL");
INSERT INTO subscription (identity, messageset_id, schedule_id, lang) SELECT 'many-' || n, $set, $schedule, 'eng_ZA' FROM generate_series(1, 20000) n;
INSERT INTO hold (scope, schedule_id) VALUES ('schedule', $schedule);
INSERT INTO delivery_queue (subscription_id, created_at, due_at) SELECT id, now(), now() - interval '1 minute' FROM subscription WHERE identity LIKE 'many-%';
SQL
	fire($stack, $other);
	poll_until { count_of(@others) == 10 } 'what is due behind 20,000 held ones goes out', 60;
	is($stack->value("SELECT count(*) FROM delivery_queue WHERE gate IS NULL AND subscription_id IN (SELECT id FROM subscription WHERE identity LIKE 'many-%')"), 0, 'they were put aside');
	# Only what stands before the due ones was passed; the claim does not come across it again.
	my ($plan) = join "\n", map { $_->[0] } $stack->rows("SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)
		SELECT id FROM delivery_queue WHERE (due_at, id) > ('-infinity', 0) AND due_at <= now() AND (lease_until IS NULL OR lease_until < now()) ORDER BY due_at, id LIMIT 500");
	like($plan, qr/actual rows=0 loops=1/, 'a claim finds nothing to look at') or diag($plan);
	$stack->sql("DELETE FROM delivery_queue WHERE subscription_id IN (SELECT id FROM subscription WHERE identity LIKE 'many-%'); DELETE FROM subscription WHERE identity LIKE 'many-%'");
	says([qw(resume schedule), $schedule], 0, qr/is resumed/, 'resume');
	settled($stack);
};

subtest 'what cannot be' => sub {
	says([qw(pause schedule 999999)], 1, qr/there is no schedule 999999/, 'no such schedule');
	says([qw(pause everything)], 2, qr/expected all, schedule or messageset/, 'no such word');
	says([qw(pause schedule)], 2, qr/id/, 'no id');
	says([qw(pause all 3)], 2, qr/nothing may follow/, 'an id too many');
	for my $case ([{}, 'scope'], [{ scope => 'x' }, 'scope'], [{ scope => 'schedule' }, 'schedule'], [{ scope => 'all', schedule => $schedule }, 'schedule'],
		[{ scope => 'schedule', schedule => 999999 }, 'schedule'], [{ scope => 'messageset', schedule => $schedule }, 'messageset']) {
		my $answer = $stack->post('/api/v1/holds/', $case->[0]);
		is($answer->{status}, 400, "refused: $answer->{content}");
		ok($answer->{json}{ $case->[1] }, "for its $case->[1]");
	}
	my ($status, $output) = $stack->ctl(qw(user add nurse --no-password));
	($status, my $token) = $stack->ctl(qw(token add nurse));
	chomp $token;
	is($stack->post('/api/v1/holds/', { scope => 'all' }, authorization => "Token $token")->{status}, 403, 'only staff may pause');
	is($stack->get('/api/v1/holds/', authorization => "Token $token")->{status}, 403, 'or look');
	is($stack->value('SELECT count(*) FROM hold'), 0, 'nothing is paused');
};

$stack->expect_log(qr/signal=9|killed/i);
$stack->finish;
done_testing;

#!/usr/bin/perl
# Death by kill -9 at every write boundary there is: of the process that passes it, of its supervisor, of the whole
# daemon. Afterwards nothing is lost, only what was in the hands of a sender process that died comes twice, under the
# key of the first, and what holds always holds.
#
# Each boundary has one death here; SBM_TEST_MANY=3 gives it all three. Names of boundaries as arguments: only those.
use strict;
use warnings;
use HTTP::Tiny;
use Test::More;
use Time::HiRes qw(time);
use SBM::Content;
use SBM::Judge;
use SBM::Sink;
use SBM::Stack;

my $MANY = 180;
my $LAST = 30; # of these have their last message to come
my ($BATCH, $CONCURRENCY) = (40, 8);
my $HELD = $BATCH + 2 * $CONCURRENCY; # what a sender process may have in its hands
my @WHO = qw(process daemon supervisor);

my $judge = SBM::Judge->start;
my $stack = SBM::Stack->start($judge->settings, clock => 1, lease => '1s', sweep => '50ms', write_back => '20ms', workers => 1, batch => $BATCH,
	concurrency => $CONCURRENCY, fanout_chunk => 70, retry_base => '50ms', retry_max => '200ms', probe_min => '50ms', probe_max => '200ms',
	url => 'https://sbm.example.org', scheduler_api_token => 'scheduler-token', count_interval => '1s', count_timeout => '1s');
$stack->keep_psql;
my $schedule = make_schedule($stack);
my $next = make_set($stack, make_schedule($stack), ['Welcome']);
my $set = make_set($stack, $schedule, ['One', 'Two'], next_set => $next);
my ($sink, $round) = (undef, 0);

# What the daemon says that there is.
sub boundaries {
	local @ENV{qw(SBM_CONF SBM_DEBUG_DIE_AT)} = ($stack->{env}{SBM_CONF}, 'list');
	my ($status, $output) = SBM::Stack::run(SBM::Stack::build_dir() . '/src/sbm-senderd', '-t');
	is($status, 1, 'a boundary that is none is refused');
	my ($names) = $output =~ /there are: ([^"]*)/ or BAIL_OUT("no list of boundaries: $output");
	return split ' ', $names;
}

# ---- what makes a process pass a boundary: settings of the daemon, and what is done then

# Subscriptions of this round: on a schedule, some before their last message.
sub enrol {
	my ($on) = @_;
	$round++;
	$stack->sql("UPDATE subscription SET active = false WHERE active;
		INSERT INTO subscription (identity, messageset_id, schedule_id, lang, next_sequence_number, metadata)
		SELECT gen_random_uuid(), $set, $on, 'eng_ZA', CASE WHEN n <= $LAST THEN 2 ELSE 1 END, '{\"round\": $round}' FROM generate_series(1, $MANY) n");
}

sub run { fire($stack, $schedule) }

sub tick {
	my $minute = (gmtime($stack->now + 120))[1];
	my $ticking = make_schedule($stack, minute => $minute);
	$stack->sql("UPDATE subscription SET schedule_id = $ticking WHERE active");
	poll_until { $stack->value("SELECT count(*) FROM schedule_tick WHERE schedule_id = $ticking") } 'the scheduler has seen the schedule';
	$stack->advance_clock(120);
	return sub { is($stack->value("SELECT count(*) FROM run WHERE schedule_id = $ticking"), 1, 'it fired once') };
}

sub open_gate {
	$stack->sql("INSERT INTO hold (scope, schedule_id, reason) VALUES ('schedule', $schedule, 'test')");
	run();
	poll_until { $stack->value('SELECT count(*) FROM delivery_queue WHERE gate IS NOT NULL') == $MANY } 'all waits at a gate';
	$stack->sql('DELETE FROM hold');
}

sub requeue {
	$stack->sql("INSERT INTO failed_task (subscription_id, task_id, initiated_at, reason, kind) SELECT id, gen_random_uuid(), now(), 'test', 'next' FROM subscription WHERE active");
	is($stack->post('/api/v1/failed-tasks/')->{status}, 201, 'requeued');
}

# A job beside the run.
sub job { my ($path) = @_; return sub { is($stack->post("/api/v1$path")->{status}, 202, 'a job'); run() } }

sub months { $stack->advance_clock(70 * 86400); run() }

sub sync {
	my $made = make_schedule($stack, minute => 7);
	run();
	return sub {
		my ($query, @there) = ('');
		while (defined $query) {
			my $page = json_of(HTTP::Tiny->new->get($sink->url . "/scheduler/api/v1/schedule/$query")->{content});
			push @there, grep { $_->{endpoint} =~ m{/schedule/$made/send/$} } @{ $page->{results} };
			$query = defined $page->{next} ? $page->{next} =~ s/.*\?/?/r : undef;
		}
		is(scalar @there, 1, 'the scheduler has the schedule once');
		is($stack->value("SELECT scheduler_schedule_id FROM schedule WHERE id = $made"), $there[0]{id}, 'and its id is kept');
	};
}

# As a client that is told nothing, and asks again.
sub insist {
	my ($wanted, @request) = @_;
	my $answer;
	poll_until { $answer = $stack->post(@request); $answer->{status} == $wanted || $answer->{status} !~ /^5/ } "POST $request[0] is answered in the end";
	is($answer->{status}, $wanted, 'as it should be') or diag($answer->{content});
}

sub register {
	my @hooks = map { hook($set, $schedule) } 1 .. 10;
	insist(201, '/api/v1/subscriptions/request', $_) for @hooks;
	my $ids = join ',', map { "'$_->{data}{identity}'" } @hooks;
	is($stack->value("SELECT count(*) || ' ' || count(DISTINCT identity) FROM subscription WHERE identity IN ($ids)"), '10 10', 'each is registered once');
	$stack->sql("DELETE FROM subscription WHERE identity IN ($ids)");
	run();
}

sub ask {
	$stack->advance_clock(60);
	insist(202, "/api/v1/schedule/$schedule/send/") for 1 .. 3;
}

my %SCENES = (
	run => [\&run], tick => [\&tick], gate => [\&open_gate], requeue => [\&requeue], months => [\&months], register => [\&register], ask => [\&ask],
	judge => [\&run, surge_ratio => 100], behind => [job('/behind-subscriptions/find_behind_subscriptions/')], estimate => [job('/runsendestimate/')],
	sync => [\&sync], log => [\&run, identity_store_url => 'direct:', message_sender_url => "log:$stack->{dir}/stack/sent.log"],
	slow_store => [\&run], slow_sender => [\&run],
);
my %SLOW = (slow_store => [identity => 1100], slow_sender => [outbound => 400]);
# The number of times that it is passed before, where that is not none, so that all is in full swing.
my @CASES = (
	[qr/^api\.insert/ => 'register', 4], [qr/^api\./ => 'ask', 1],
	[qr/^dispatcher\.tick/ => 'tick', 1], [qr/judged/ => 'judge', 1], [qr/^dispatcher\.gates/ => 'gate', 1], [qr/^dispatcher\.fan/ => 'run', 2],
	[qr/told/ => 'run', 1], [qr/refreshed/ => 'slow_store', 1], [qr/renewed/ => 'slow_sender', 1], [qr/^sender\.log/ => 'log', 2],
	[qr/^sender\.(?:ask|post|answer)/ => 'run', 57], [qr/^sender\./ => 'run', 2],
	[qr/months/ => 'months', 1], [qr/behind/ => 'behind', 1], [qr/estimate/ => 'estimate', 1], [qr/^keeper/ => 'requeue', 1],
	[qr/^syncer/ => 'sync', 1], [qr/^/ => 'run', 1],
);

# ---- a round

sub deaths { my ($name, $who) = @_; my @all = $stack->log_text("sbm-*") =~ /dying at .* boundary=\Q$name\E who=$who\b/g; return scalar @all }

sub restart {
	my ($service, %settings) = @_;
	my $pid = $stack->pid($service);
	my @all = ($pid, $stack->children($pid));
	kill TERM => $pid;
	poll_until { !grep { $stack->alive($_) } @all } "$service ends" or kill KILL => @all;
	$stack->up(%settings);
}

# Key => how often it came out.
sub sent {
	my ($scene) = @_;
	my %times;
	if ($scene eq 'log') {
		$times{ json_of($_)->{delivery} }++ for split /\n/, SBM::Stack::slurp("$stack->{dir}/stack/sent.log") // '';
	} else {
		my $keys = $judge->keys;
		%times = map { $_ => $keys->{$_}[0] } keys %$keys;
	}
	return \%times;
}

sub is_as_it_should {
	my ($scene, $in_flight) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $times = sent($scene);
	is(scalar keys %$times, $MANY, 'each of them went out, under one key');
	my $again = grep { $_ > 1 } values %$times;
	$in_flight ? cmp_ok($again, '<=', $HELD, "$again came twice, no more than a process holds") : is($again, 0, 'none came twice');
	my ($row) = $stack->rows("SELECT count(*) FILTER (WHERE next_sequence_number = 2 AND active AND NOT completed), count(*) FILTER (WHERE completed AND NOT active AND process_status = 2),
		(SELECT count(*) FROM subscription f WHERE f.messageset_id = $next AND f.active AND f.identity IN (SELECT g.identity FROM subscription g WHERE g.metadata @> '{\"round\": $round}')),
		(SELECT count(*) FROM delivery d WHERE d.state = 'sent' AND d.subscription_id IN (SELECT g.id FROM subscription g WHERE g.metadata @> '{\"round\": $round}')),
		(SELECT count(*) FROM failed_task), (SELECT count(*) FROM job WHERE error IS NOT NULL), (SELECT sum(violations) FROM invariant)
		FROM subscription s WHERE metadata @> '{\"round\": $round}'");
	is_deeply($row, [$MANY - $LAST, $LAST, $LAST, $MANY, 0, 0, 0], 'moved on, completed, followed by the next set, in the history; no failed task, no failed job, no invariant broken');
}

sub die_at {
	my ($name, $who) = @_;
	my ($scene, $times) = @{ (grep { $name =~ $_->[0] } @CASES)[0] }[1, 2];
	my ($deed, %settings) = @{ $SCENES{$scene} };
	my $service = $name =~ /^api/ ? 'sbm-api' : 'sbm-senderd';
	if ($scene eq 'sync') {
		$sink ||= SBM::Sink->start;
		%settings = (scheduler_url => $sink->url . '/scheduler/api/v1', call_timeout => '200ms');
		restart('sbm-api', %settings);
	}
	unlink "$stack->{dir}/stack/sent.log";
	$judge->forget;
	enrol($schedule);
	my $before = deaths($name, $who);
	my $runs = $stack->value('SELECT count(*) FROM run');
	restart($service, %settings, debug_die_at => "$name:$times:$who");
	my @victims = ($stack->pid($service), $stack->children($service));
	$judge->behave($SLOW{$scene}[0], mode => 'delay', delay => $SLOW{$scene}[1]) if $SLOW{$scene};
	my $began = time;
	# An API that is gone is not there for its client either.
	my $up = sub { poll_until { !grep { $stack->alive($_) } @victims } 'all of it is gone'; $stack->up(debug_die_at => '') };
	my $waiter = $service eq 'sbm-api' && $who ne 'process' ? fork // die : undef;
	if (defined $waiter && !$waiter) {
		pause_briefly() while grep { $stack->alive($_) } @victims;
		$stack->up(debug_die_at => '');
		require POSIX;
		POSIX::_exit(0);
	}
	my $more = $deed->();
	poll_until { deaths($name, $who) > $before } "$who died at $name";
	$judge->behave($SLOW{$scene}[0]) if $SLOW{$scene};
	if (defined $waiter) {
		waitpid $waiter, 0;
		$stack->read_env;
	} elsif ($who ne 'process') {
		$up->();
	}
	poll_until { $stack->value('SELECT count(*) FROM run') > $runs } 'there is a run' if $scene eq 'tick';
	poll_until { $stack->value('SELECT (SELECT count(*) FROM job WHERE finished_at IS NULL) + (SELECT count(*) FROM scheduler_call)') == 0 } 'nothing else is left to do' if $scene =~ /behind|estimate|requeue|sync/;
	settled($stack, 30);
	is_as_it_should($scene, $who eq 'daemon' && $service eq 'sbm-senderd' || $who eq 'process' && $name =~ /^sender/);
	$more->() if ref $more eq 'CODE';
	note(sprintf '%.1f s', time - $began);
	# Back to how the others want it.
	my %back = ($judge->settings, surge_ratio => 0, call_timeout => '5s');
	$stack->{settings}{$_} = $back{$_} // '' for keys %settings;
	$stack->{settings}{debug_die_at} = '';
	restart('sbm-api') if $service eq 'sbm-api';
}

my @names = boundaries();
my $n = 0;
for my $name (@names) {
	next if @ARGV && !grep { $name =~ /^\Q$_\E/ } @ARGV;
	my $first = $n++;
	for (1 .. $ENV{SBM_TEST_MANY} || 1) {
		my $who = $WHO[$first++ % @WHO];
		# A daemon that is gone before it has started would only show that a stack does not start.
		$who = 'process' if $name =~ /^meter|months|state-file|\.marked/;
		subtest "$name, $who" => sub { die_at($name, $who) };
	}
}
cmp_ok($n, '>', 40, "$n boundaries") unless @ARGV;

$sink->stop if $sink;
$stack->expect_log(qr/signal=KILL|killed/i, qr/\[(?:error|crit)\].*upstream/, qr/level=err.*database/);
$stack->finish;
done_testing;

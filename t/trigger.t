#!/usr/bin/perl
# What the API accepted is sent: once, at once when the daemon is there, later when it was not.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $sink = SBM::Sink->start;
# With so slow a sweep whatever is quick here came by the trigger.
my $stack = SBM::Stack->start($sink->settings, clock => 1, write_back => '20ms', sweep => '60s', senderd => 0, retry_base => '50ms', probe_min => '50ms', lease => '2s');
my $schedule = make_schedule($stack);
my $set = make_set($stack, $schedule, ['One', 'Two', 'Three', 'Four', 'Five', 'Six', 'Seven', 'Eight', 'Nine']);

# How often each identity got each message.
sub received {
	my %count;
	$count{ join ' ', @{ json_of($_->{body}) }{qw(to_identity content)} }++ for $sink->accepted('outbound');
	return \%count;
}

my @mothers = map { subscribe($stack, $set, $schedule) } 1 .. 30;

subtest 'the daemon is down' => sub {
	my $began = time;
	fire($stack, $schedule);
	cmp_ok(time - $began, '<', 2 * SBM::Stack::patience(), 'the firing is answered at once');
	my $id = subscription($stack, subscribe($stack, $set, make_schedule($stack)))->{id};
	is($stack->post("/api/v1/subscriptions/$id/send")->{status}, 201, 'so is the send of one');
	is($stack->value('SELECT count(*) FROM run WHERE finished_at IS NULL'), 1, 'the run is written down');
	is($sink->count('outbound'), 0, 'nothing has been sent');
	$stack->up;
	poll_until { $sink->count('outbound') == 31 } 'when the daemon starts, all of it goes out';
	settled($stack);
	is_deeply([grep { $_ != 1 } values %{ received() }], [], 'once each');
	is($sink->count('outbound'), 31, 'and no more');
	my ($run) = $stack->rows('SELECT queued, sent, failed FROM run');
	is_deeply($run, [30, 30, 0], 'the run counts them');
};

subtest 'two firings in the same minute are one' => sub {
	$sink->forget;
	$stack->move_clock(int($stack->{offset} / 60) * 60 + 300);
	# The second half of a minute is no time to begin with: the next one might come between the calls.
	poll_until { ($stack->now % 60) < 50 } 'not at the end of a minute', 30;
	my @answers = map { $stack->post("/api/v1/schedule/$schedule/send/") } 1, 2;
	is_deeply([map { $_->{status} } @answers], [202, 202], 'both are accepted');
	is($answers[1]{content}, $answers[0]{content}, 'with the same answer');
	settled($stack);
	is($sink->count('outbound'), 30, 'each gets one message');
	is($stack->value('SELECT count(*) FROM run'), 2, 'there is one run more, not two');
};

subtest 'no second delivery while one is under way' => sub {
	$sink->forget;
	$sink->behave(outbound => { delay => 0.7 });
	fire($stack, $schedule);
	poll_until { $sink->count('outbound') >= 1 } 'a run is under way';
	my $id = subscription($stack, $mothers[0])->{id};
	fire($stack, $schedule);
	is($stack->post("/api/v1/subscriptions/$id/send")->{status}, 201, 'and one more asks for it');
	poll_until { $stack->value("SELECT count(*) FROM run WHERE fanned_at IS NOT NULL") == 4 } 'the second run has looked at all';
	$sink->behave;
	settled($stack);
	is_deeply([grep { $_ != 1 } values %{ received() }], [], 'nobody got a message twice');
	my ($queued, $skipped) = @{ ($stack->rows('SELECT sum(queued), sum(skipped) FROM run WHERE id IN (SELECT id FROM run ORDER BY id DESC LIMIT 2)'))[0] };
	is($queued + $skipped, 60, 'each of the two runs took each mother or says that it skipped her');
	is($sink->count('outbound'), $queued, 'as many messages as were queued');
};

subtest 'at once when the daemon is there' => sub {
	# The socket needs a moment after the start of a daemon; by now it is connected.
	my $lonely = make_schedule($stack);
	my $id = subscription($stack, subscribe($stack, $set, $lonely))->{id};
	my @took;
	for my $round (1 .. 5) {
		$sink->forget;
		my $began = time;
		is($stack->post("/api/v1/subscriptions/$id/send")->{status}, 201, 'sent');
		poll_until { $sink->count('outbound') == 1 } 'it came, long before any sweep', 10;
		push @took, ($sink->requests('outbound'))[0]{at} - $began;
		poll_until { $stack->value("SELECT count(*) FROM delivery_queue") == 0 } 'and is written back', 10;
	}
	@took = sort { $a <=> $b } @took;
	note(sprintf 'from request to outbound call: median %.1f ms', $took[2] * 1000);
	cmp_ok($took[2], '<', 5, 'by the trigger, not by the sweep');
};

subtest 'TERM lets calls in flight end' => sub {
	my $slow = make_schedule($stack);
	subscribe($stack, $set, $slow) for 1 .. 4;
	$sink->forget;
	$sink->behave(outbound => { delay => 0.5 });
	fire($stack, $slow);
	poll_until { $sink->count('outbound') >= 1 } 'calls are under way';
	my $daemon = $stack->pid('sbm-senderd');
	kill TERM => $daemon;
	poll_until { !$stack->alive($daemon) } 'the daemon ends';
	is($stack->value("SELECT count(*) FROM subscription WHERE schedule_id = $slow AND next_sequence_number = 2"), $sink->count('outbound'), 'what it had sent is written back');
	$sink->behave;
	$stack->up;
	settled($stack);
	is($sink->count('outbound'), 4, 'the rest goes out later, nothing twice');
};

subtest 'a send of one does not wait behind a run' => sub {
	my $long = make_schedule($stack);
	my $id = subscription($stack, my $one = subscribe($stack, $set, make_schedule($stack)))->{id};
	$stack->up(batch => 20, concurrency => 4, sweep => '200ms');
	$stack->sql("INSERT INTO subscription (identity, messageset_id, schedule_id, lang) SELECT gen_random_uuid(), $set, $long, 'eng_ZA' FROM generate_series(1, 400)");
	$sink->forget;
	$sink->behave(outbound => { delay => 0.1 });
	fire($stack, $long);
	poll_until { $sink->count('outbound') >= 5 } 'the run is under way';
	is($stack->post("/api/v1/subscriptions/$id/send")->{status}, 201, 'one is asked for');
	my $before = $sink->count('outbound');
	poll_until { received()->{"$one One"} } 'it goes out';
	$sink->behave;
	settled($stack);
	my @order = map { json_of($_->{body})->{to_identity} } $sink->accepted('outbound');
	is(scalar @order, 401, 'all went out');
	my ($place) = grep { $order[$_] eq $one } 0 .. $#order;
	cmp_ok($place, '<', $before + 50, "soon after it was asked for, long before the end of the run: $place of 401, asked for at $before");
};

$stack->finish;
done_testing;

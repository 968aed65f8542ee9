#!/usr/bin/perl
# What is known about one identity: its opt-out, and, at the keyboard, all of it shown and removed.
use strict;
use warnings;
use Test::More;
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, clock => 1, sweep => '100ms', write_back => '20ms', workers => 1, concurrency => 4, batch => 4,
	retry_base => '50ms', probe_min => '50ms', probe_max => '100ms');
my $schedule = make_schedule($stack);
my $next = make_set($stack, $schedule, ['Next']);
my $set = make_set($stack, $schedule, ['One', 'Two'], next_set => $next);

sub opt_out { my ($identity, @rest) = @_; return $stack->post("/api/v1/identities/$identity/optout/", undef, @rest) }
sub to { my ($identity) = @_; return grep { json_of($_->{body})->{to_identity} eq $identity } $sink->requests('outbound') }

sub says {
	my ($answer, %counts) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is($answer->{status}, 200, 'accepted') or diag($answer->{content});
	delete $answer->{json}{identity};
	is_deeply($answer->{json}, { subscriptions => 0, deactivated => 0, cancelled => 0, under_way => 0, %counts }, 'and what was done');
}

subtest 'nothing on its way' => sub {
	my $identity = subscribe($stack, $set, $schedule);
	my $once = hook($set, $schedule, identity => $identity);
	$stack->post('/api/v1/subscriptions/request', $once);
	is(opt_out($identity, authorization => undef)->{status}, 401, 'only for those who are logged in');
	is($stack->get("/api/v1/identities/$identity/optout/")->{status}, 405, 'only by POST');
	is($stack->value("SELECT count(*) FROM subscription WHERE identity = '$identity' AND active"), 2, 'until then nothing was done');
	says(opt_out($identity), subscriptions => 2, deactivated => 2);
	my @then = subscription($stack, $identity);
	is_deeply([map { $_->{active} ? 1 : 0 } @then], [0, 0], 'both subscriptions are inactive');
	is($stack->value("SELECT count(*) FROM subscription s JOIN api_user u ON u.id = s.updated_by_id WHERE identity = '$identity'"), 2, 'it is known who did it');
	$stack->advance_clock(60);
	says(opt_out($identity), subscriptions => 2);
	same_json([subscription($stack, $identity)], \@then, 'once more changes nothing, updated_at neither');
	is($stack->post('/api/v1/subscriptions/request', $once)->{status}, 201, 'the Hub repeats its registration');
	is(scalar(my @all = subscription($stack, $identity)), 2, 'which brings nobody back');
	$sink->forget;
	fire($stack, $schedule);
	settled($stack);
	is($sink->count('outbound'), 0, 'a run sends nothing');
	subscribe($stack, $set, $schedule, identity => $identity);
	is(subscription($stack, $identity)->{active} ? 1 : 0, 1, 'a new registration is one');
	says(opt_out($identity), subscriptions => 3, deactivated => 1);
};

subtest 'who is not there' => sub {
	says(opt_out(identity()));
	says(opt_out('%2B27820001001'));
	says(opt_out('%C3%A9%22%5C'));
	is(opt_out('x' x 37)->{status}, 400, 'an identity longer than any');
	is(opt_out('%FF')->{status} >= 400, 1, 'bytes that are no text');
};

subtest 'in the middle of a run' => sub {
	my @mothers = map { subscribe($stack, $set, $schedule) } 1 .. 40;
	$sink->forget;
	$sink->behave(outbound => { delay => 0.3 });
	fire($stack, $schedule);
	poll_until { $sink->count('outbound') >= 4 } 'the first messages are on their way';
	my %before = map { json_of($_->{body})->{to_identity} => 1 } $sink->requests('outbound');
	my ($under_way) = grep { $before{$_} } @mothers;
	my @waiting = grep { $stack->value("SELECT count(*) FROM delivery_queue q JOIN subscription s ON s.id = q.subscription_id WHERE s.identity = '$_' AND q.attempt = 0") } @mothers;
	cmp_ok(scalar @waiting, '>', 2, 'others wait for theirs');
	my $one = $waiting[-1];
	my $answer = opt_out($one);
	says($answer, subscriptions => 1, deactivated => 1, cancelled => 1);
	is($stack->value("SELECT count(*) FROM delivery_queue q JOIN subscription s ON s.id = q.subscription_id WHERE s.identity = '$one'"), 0, 'nothing is queued any more');
	$answer = opt_out($under_way);
	is($answer->{json}{deactivated}, 1, 'one whose message is on its way is stopped as well');
	is($answer->{json}{cancelled}, 0, 'that message is not called back');
	$sink->behave;
	settled($stack);
	is(scalar(to($one)), 0, 'the one who waited gets nothing');
	is(scalar(to($under_way)), 1, 'the other one got what was on its way');
	is($sink->count('outbound'), 39, 'everybody else got theirs, too');
	is(subscription($stack, $under_way)->{next_sequence_number}, 2, 'which counts');
	my ($cancelled) = @{ $stack->get('/api/v1/subscriptions/' . subscription($stack, $one)->{id} . '/deliveries/')->{json}{results} };
	is("$cancelled->{state}: $cancelled->{reason}", 'cancelled: Recipient opted out', 'the history says why');
	is($stack->value('SELECT cancelled FROM run ORDER BY id DESC LIMIT 1'), 1, 'and the run counts it');
	$sink->forget;
	fire($stack, $schedule);
	settled($stack);
	is($sink->count('outbound'), 38, 'the next run leaves both out');
	is($stack->value("SELECT count(*) FROM subscription WHERE messageset_id = $next AND identity IN ('$one', '$under_way')"), 0, 'neither goes on to the next set');
	$stack->sql("UPDATE subscription SET active = false WHERE active");
};

subtest 'while the service is out, held, or tried again later' => sub {
	my ($tried, $other) = map { subscribe($stack, $set, $schedule) } 1 .. 2;
	$sink->forget;
	$sink->behave(outbound => { status => 503 });
	fire($stack, $schedule);
	poll_until { $sink->count('outbound') > 0 } 'a call is refused';
	poll_until { opt_out($tried)->{json}{under_way} == 0 } 'the one who opts out is not under way any more';
	$sink->forget;
	$sink->behave;
	settled($stack);
	is(scalar(to($tried)), 0, 'nothing goes to her when the service is back');
	is(scalar(to($other)), 1, 'the other one gets hers');

	is(($stack->ctl('pause', 'schedule', $schedule))[0], 0, 'a pause');
	my $held = subscribe($stack, $set, $schedule);
	fire($stack, $schedule);
	poll_until { $stack->value("SELECT count(*) FROM delivery_queue WHERE gate IS NOT NULL") == 2 } 'deliveries wait for its end';
	says(opt_out($held), subscriptions => 1, deactivated => 1, cancelled => 1);
	$stack->ctl('resume', 'schedule', $schedule);
	settled($stack);
	is(scalar(to($held)), 0, 'nothing went out at its end');
	is(scalar(to($other)), 2, 'but what was held for others');
	opt_out($other);
};

subtest 'a deactivation by PATCH' => sub {
	$stack->ctl('pause', 'schedule', $schedule);
	my $identity = subscribe($stack, $set, $schedule);
	my $id = subscription($stack, $identity)->{id};
	fire($stack, $schedule);
	poll_until { $stack->value('SELECT count(*) FROM delivery_queue') == 1 } 'a delivery waits';
	$stack->patch("/api/v1/subscriptions/$id/", { active => JSON::PP::false });
	is($stack->value('SELECT count(*) FROM delivery_queue'), 1, 'it stays where it is');
	$stack->ctl('resume', 'schedule', $schedule);
	settled($stack);
	is(scalar(to($identity)), 0, 'and sends nothing when its turn comes');
	is($stack->value("SELECT state || ': ' || reason FROM delivery WHERE subscription_id = '$id'"), 'cancelled: Message sending aborted, status 0', 'it was cancelled');
};

$stack->finish;
done_testing;

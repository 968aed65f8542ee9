#!/usr/bin/perl
# What the service tells of itself and of what it did: health, troubles, deliveries, runs, what is to come, tokens.
use strict;
use warnings;
use Test::More;
use SBM::Content;
use SBM::Stack;

my $stack = SBM::Stack->start(clock => 1, token_cache => '0');
my $schedule = make_schedule($stack, minute => '0', hour => '8');
my $last = make_set($stack, $schedule, ['Farewell']);
my $set = make_set($stack, $schedule, ['One', 'Two', 'Three'], next_set => $last);
my $identity = subscribe($stack, $set, $schedule);
my $subscription = subscription($stack, $identity)->{id};

subtest 'what cannot be said back' => sub {
	my $answer = $stack->raw($stack->raw_request(POST => '/api/v1/schedule/', '{}', "Content-Type: ap\xfflication/json"));
	like($answer, qr{^HTTP/1\.1 415 .*Unsupported media type}s, 'a media type that is no UTF-8 is refused like others');
};

subtest 'what is to come' => sub {
	my $upcoming = $stack->get("/api/v1/subscriptions/$subscription/upcoming/?days=10")->{json};
	is_deeply([map { $_->{text_content} } @{ $upcoming->{results} }], ['One', 'Two', 'Three', 'Farewell'], 'the messages through the chain of sets');
	is_deeply([map { $_->{date} =~ /T08:00:00Z$/ ? 1 : 0 } @{ $upcoming->{results} }], [1, 1, 1, 1], 'when the schedule fires');
	is(substr($upcoming->{results}[3]{date}, 0, 10), substr(gmdate(3, $upcoming->{results}[0]{date}), 0, 10), 'one a day');
	my $forecast = $stack->get('/api/v1/forecast/?days=2')->{json};
	is_deeply([map { [$_->{messageset}, $_->{lang}, $_->{messages}] } @{ $forecast->{results} }], [[$set, 'eng_ZA', 1], [$set, 'eng_ZA', 1]], 'the forecast counts them');
	is($forecast->{messages}, 2, 'and adds them up');
	my $gap = make_set($stack, $schedule, ['One', 'Two', 'Three', 'Four'], next_set => $last);
	$stack->sql("DELETE FROM message WHERE messageset_id = $gap AND sequence_number = 2");
	my $waits = subscription($stack, subscribe($stack, $gap, $schedule))->{id};
	$upcoming = $stack->get("/api/v1/subscriptions/$waits/upcoming/?days=10")->{json};
	is_deeply([map { $_->{text_content} } @{ $upcoming->{results} }], ['One'], 'nothing comes behind a message that is missing');
	$forecast = $stack->get('/api/v1/forecast/?days=9')->{json};
	is_deeply([map { $_->{messages} } grep { $_->{messageset} == $gap } @{ $forecast->{results} }], [1], 'nor is it counted');
	$stack->sql("DELETE FROM subscription WHERE id = '$waits'; DELETE FROM messageset WHERE id = $gap");
	for my $days (qw(0 367 abc 1.5), '') {
		my $answer = $stack->get("/api/v1/forecast/?days=$days");
		is($answer->{status}, 400, "days=$days is refused");
		same_json($answer->{content}, { days => ['Enter a whole number from 1 to 366.'] }, 'by its name');
	}
	is($stack->get('/api/v1/subscriptions/00000000-0000-4000-8000-00000000dead/upcoming/')->{status}, 404, 'nothing for an unknown subscription');
};

sub gmdate {
	my ($days, $from) = @_;
	my ($y, $m, $d) = $from =~ /^(\d+)-(\d+)-(\d+)/;
	require Time::Local;
	my @t = gmtime(Time::Local::timegm(0, 0, 0, $d, $m - 1, $y) + 86400 * $days);
	return sprintf '%04d-%02d-%02d', $t[5] + 1900, $t[4] + 1, $t[3];
}

subtest 'what was done' => sub {
	for (1 .. 3) {
		fire($stack, $schedule);
		my $n = $_;
		poll_until { $stack->value('SELECT count(*) FROM delivery') == $n } "delivery $n is done";
	}
	poll_until { $stack->value('SELECT count(*) FROM run WHERE finished_at IS NULL') == 0 } 'the runs have ended';
	my $deliveries = $stack->get("/api/v1/subscriptions/$subscription/deliveries/?limit=2")->{json};
	is($deliveries->{count}, 3, 'three deliveries');
	is_deeply([map { $_->{sequence_number} } @{ $deliveries->{results} }], [3, 2], 'the newest first');
	is($deliveries->{results}[0]{state}, 'sent', 'sent');
	my $older = $stack->get($deliveries->{next})->{json};
	is_deeply([map { $_->{sequence_number} } @{ $older->{results} }], [1], 'the next page has the rest');
	my $newer = $stack->get($older->{previous})->{json};
	is_deeply([map { $_->{sequence_number} } @{ $newer->{results} }], [3, 2], 'the page before is as it was');
	my $runs = $stack->get("/api/v1/schedule/$schedule/runs/?limit=1")->{json};
	is($runs->{count}, 3, 'three runs');
	my $run = $stack->get($runs->{results}[0]{url})->{json};
	is_deeply([@$run{qw(schedule queued sent failed source)}], [$schedule, 1, 1, 0, 'api'], 'the newest sent one message');
	is($stack->get($stack->get($runs->{next})->{json}{next})->{json}{next}, undef, 'the third page is the last');
	is($stack->get("/api/v1/schedule/999/runs/")->{status}, 404, 'no runs of an unknown schedule');
	my $upcoming = $stack->get("/api/v1/subscriptions/$subscription/upcoming/")->{json};
	is($upcoming->{reason}, 'Subscription has completed', 'nothing more is to come, and why');
};

subtest 'sends that are refused' => sub {
	for my $verb (qw(send resend)) {
		for my $id ($subscription, 'abc', '00000000-0000-4000-8000-00000000dead') {
			my $answer = $stack->post("/api/v1/subscriptions/$id/$verb");
			is($answer->{status}, 400, "$verb of $id");
			ok(!$answer->{json}{accepted} && length $answer->{json}{reason}, $answer->{json}{reason} // 'no reason');
		}
	}
};

subtest 'failed tasks' => sub {
	my $ready = subscription($stack, subscribe($stack, $set, $schedule))->{id};
	$stack->sql("INSERT INTO failed_task (subscription_id, task_id, reason) SELECT '$ready', gen_random_uuid(), 'reason ' || n FROM generate_series(1, 5) n");
	my ($url, @seen) = '/api/v1/failed-tasks/?limit=2';
	while ($url) {
		my $page = $stack->get($url)->{json};
		push @seen, map { $_->{reason} } @{ $page->{results} };
		$url = $page->{next};
	}
	is_deeply(\@seen, [map { "reason $_" } reverse 1 .. 5], 'page by page, newest first');
	is($stack->post('/api/v1/failed-tasks/')->{status}, 201, 'sent again');
	poll_until { $stack->value('SELECT count(*) FROM failed_task') == 0 } 'they are gone';
	poll_until { $stack->get("/api/v1/subscriptions/$ready/deliveries/")->{json}{count} == 1 } 'one delivery came of them';
};

subtest 'tokens' => sub {
	my $first = $stack->make('/user/token/', { email => 'clinic@example.org' })->{token};
	my $second = $stack->make('/user/token/', { email => 'clinic@example.org' }, idempotency_key => 'once')->{token};
	isnt($first, $second, 'a new one each time');
	is($stack->get('/api/v1/', authorization => "Token $_")->{status}, 200, 'it works') for $first, $second;
	is($stack->value("SELECT count(*) FROM idempotency WHERE body LIKE '%$second%'"), 0, 'and is stored nowhere');
	is($stack->post('/api/v1/user/token/', { email => 'x@example.org' }, authorization => "Token $first")->{status}, 403, 'its user makes no others');
};

subtest 'metrics for the inside' => sub {
	my $answer = $stack->get('/metrics', authorization => undef);
	like($answer->{content}, qr/^sbm_daemons 1$/m, 'a daemon is there');
	is($stack->get('/metrics', x_forwarded_for => '192.0.2.1')->{status}, 200, 'told to one that names itself');
	is($stack->get('/metrics', x_forwarded_for => '192.0.2.1, 192.0.2.2')->{status}, 403, 'refused behind a load balancer');
	is($stack->get('/metrics', x_forwarded_for => ['192.0.2.1', '192.0.2.2'])->{status}, 403, 'and behind one that adds a header of its own');
};

subtest 'without a daemon' => sub {
	is($stack->get('/readyz')->{status}, 200, 'ready before');
	# All of it: the dispatcher says by itself that the daemon is there.
	my @daemon = ($stack->pid('sbm-senderd'), $stack->children('sbm-senderd'));
	kill 'STOP', @daemon;
	$stack->sql("UPDATE daemon SET seen_at = now() - interval '2 minutes'");
	my $answer = $stack->get('/readyz', authorization => undef);
	kill 'CONT', @daemon;
	is($answer->{status}, 503, 'not ready');
	is($answer->{json}{detail}, 'No sender daemon was seen within the last minute.', 'and why');
};

subtest 'without a database' => sub {
	$stack->expect_log(qr/./);
	my $postgres = $stack->pid('postgres');
	kill 'INT', $postgres;
	poll_until { !$stack->alive($postgres) } 'the database is gone';
	poll_until { $stack->get('/readyz')->{status} == 503 } 'not ready';
	is($stack->get('/healthz')->{status}, 200, 'a worker is alive all the same');
	my $answer = $stack->get('/api/health/');
	is($answer->{status}, 503, 'not healthy');
	ok($answer->{json} && !$answer->{json}{up}, 'and says so');
	is($stack->get('/api/health/', authorization => undef)->{status}, 401, 'to those who log in');
	like($stack->get('/metrics')->{content}, qr/^sbm_database_up 0$/m, 'metrics say it too');
	is($stack->get('/api/v1/schedule/')->{status}, 503, 'the rest waits');
	$stack->up;
	poll_until { $stack->get('/api/health/')->{status} == 200 } 'healthy again';
};

$stack->finish;
done_testing;

#!/usr/bin/perl
# Metrics go to the metrics service: added up, once, whatever it does; and nobody waits for it.
use strict;
use warnings;
use utf8;
use Test::More;
use Time::HiRes qw(time);
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, clock => 1, write_back => '20ms', retry_base => '20ms', retry_max => '50ms', probe_min => '50ms', probe_max => '200ms',
	tries => 2, call_timeout => '2s', metrics_url => $sink->url . '/metrics-api', metrics_auth_user => 'metrics-user', metrics_auth_password => 'metrics-pass', metrics_flush => '100ms');
my $schedule = make_schedule($stack);
my $set = make_set($stack, $schedule, [map { "Text $_" } 1 .. 30], short_name => 'one');

sub metric { my ($request) = @_; return %{ json_of($request->{body}) } }

# What the service took: key => sum, each post once by its Idempotency-Key.
sub sums {
	my (%sum, %seen);
	for my $post (grep { ($_->{status} // 0) =~ /^2/ } $sink->requests('metrics')) {
		next if $seen{ $post->{headers}{'idempotency-key'} }++;
		my ($key, $value) = metric($post);
		$sum{$key} += $value;
	}
	return \%sum;
}

sub sum_is {
	my ($key, $value, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	poll_until { (sums()->{$key} // 0) >= $value } $name;
	return is(sums()->{$key} // 0, $value, "$name: exactly");
}

my @mothers = map { subscribe($stack, $set, $schedule) } 1 .. 20;
my $sent = 0;
# Ends the daemon as its administrator would.
sub end_daemon {
	kill TERM => $stack->pid('sbm-senderd');
	poll_until { !(() = $stack->children('sbm-senderd')) } 'the daemon ends';
}

sub send_all { fire($stack, $schedule); settled($stack); $sent += @mothers }

subtest 'messages that were sent' => sub {
	send_all();
	send_all();
	sum_is('message.text.one.sum', 40, 'all of them, of their set');
	sum_is('message.text.sum', 40, 'and of their type');
	is_deeply([sort keys %{ sums() }], ['message.text.one.sum', 'message.text.sum'], 'and nothing else');
	my ($first) = $sink->requests('metrics');
	is("$first->{method} $first->{path}", 'POST /metrics-api/metrics/', 'posted to its path');
	is($first->{headers}{authorization}, 'Basic bWV0cmljcy11c2VyOm1ldHJpY3MtcGFzcw==', 'as that user');
	like($first->{headers}{'content-type'}, qr{^application/json}, 'as JSON');
	like($first->{body}, qr/^\{"message\.text\.\S+": \d+\.0\}$/, 'one number by its key, as the original wrote it');
	cmp_ok($sink->count('metrics'), '<', 40, 'added up, not one by one');
	my $available = $stack->get('/api/metrics/')->{json}{metrics_available};
	is(scalar(grep { my $key = $_; !grep { $_ eq $key } @$available } keys %{ sums() }), 0, 'by keys that GET /api/metrics/ lists');
};

subtest 'names that are no keys' => sub {
	$sink->forget;
	my $binary = $stack->upload('a.mp3', 'audio/mpeg', 'ID3')->{json}{id};
	my @sets = map { make_set($stack, $schedule, $_ eq 'naïve café' ? [] : ['Text'], short_name => $_, content_type => $_ eq 'naïve café' ? 'audio' : 'text') }
		'momconnect prebirth.hw_full.1', 'momconnect/prebirth-hw_full!1', '  -- ', 'naïve café';
	make_message($stack, $sets[3], 1, binary_content => $binary);
	for my $set (@sets) {
		my $id = subscription($stack, subscribe($stack, $set, make_schedule($stack)))->{id};
		$stack->post("/api/v1/subscriptions/$id/send");
	}
	settled($stack);
	sum_is('message.text.momconnect_prebirth_hw_full_1.sum', 2, 'two names that become the same key add up');
	sum_is('message.text..sum', 1, 'a name of nothing but signs');
	sum_is('message.audio.naïve_café.sum', 1, 'letters of other scripts stay');
	sum_is('message.audio.sum', 1, 'the other type');
};

subtest 'calls that fail' => sub {
	$sink->forget;
	$stack->expect_log(qr/service is out/);
	my $other = make_schedule($stack);
	my @ids = map { subscription($stack, subscribe($stack, $set, $other))->{id} } 1 .. 3;
	$sink->behave(outbound => { status => 400 });
	$stack->post("/api/v1/subscriptions/$ids[0]/send");
	settled($stack);
	sum_is('sbm.send_next_message.http_error.400.sum', 1, 'an answer 400');
	sum_is('subscriptions.send_next_message_errored.sum', 1, 'a failed task');
	# A call on a kept connection goes out again by itself, so one lost connection is no failed call.
	$sink->behave(identity => { reset => 1 });
	$stack->post("/api/v1/subscriptions/$ids[1]/send");
	poll_until { (sums()->{'sbm.send_next_message.connection_error.sum'} // 0) >= 1 } 'a connection that broke';
	$sink->behave;
	settled($stack);
	$sink->behave(outbound => { status => 401, limit => 1 });
	$stack->post("/api/v1/subscriptions/$ids[2]/send");
	settled($stack);
	sum_is('sbm.send_next_message.http_error.401.sum', 1, 'an answer 401');
	$sink->behave(outbound => { hang => 1, limit => 1 });
	$stack->post("/api/v1/subscriptions/$ids[1]/send");
	settled($stack);
	sum_is('sbm.send_next_message.timeout.sum', 1, 'no answer in time');
	$sink->behave;
};

subtest 'the service answers 500, refuses, hangs and comes back' => sub {
	$sink->forget;
	my $expected = 0;
	for my $case ([500 => { status => 500 }], [503 => { status => 503 }], ['reset' => { reset => 1 }], ['hang' => { hang => 1 }], ['401' => { status => 401 }], ['400' => { status => 400 }], ['slow' => { delay => 0.5 }]) {
		my ($name, $behaviour) = @$case;
		$sink->behave(metrics => $behaviour);
		my $before = $sink->count('metrics');
		my $began = time;
		send_all();
		send_all();
		$expected += 2 * @mothers;
		cmp_ok(time - $began, '<', 15 * SBM::Stack::patience(), "$name: nobody waits for it");
		poll_until { $sink->count('metrics') > $before } "$name: the service was asked";
		$sink->behave;
		sum_is('message.text.one.sum', $expected, "$name: all of it comes in the end");
		sum_is('message.text.sum', $expected, "$name: of both keys");
	}
	my %bodies;
	$bodies{ $_->{headers}{'idempotency-key'} }{ $_->{body} }++ for $sink->requests('metrics');
	is(scalar(grep { keys %$_ > 1 } values %bodies), 0, 'a post is repeated only as it was');
	like($stack->log_text('sbm-senderd'), qr/msg="service is out; calls pause" service="metrics service"/, 'the log says that it is out');
	like($stack->log_text('sbm-senderd'), qr/msg="service answers again" service="metrics service"/, 'and back');
	like($stack->log_text('sbm-senderd'), qr/msg="the metrics service refuses a metric; its sum is kept and posted again" key=message\.text\S* status=400/, 'and what it refuses');
};

subtest 'what /metrics tells of it' => sub {
	my $told = sub { my ($what) = @_; return $stack->get('/metrics', authorization => undef)->{content} =~ /^\Q$what\E (\S+)$/m ? $1 : 'nothing' };
	my ($paused, $outages) = map { $_ . '{service="metrics_service"}' } 'sbm_downstream_paused_processes', 'sbm_downstream_outages_total';
	my $calls = sub { return $told->("sbm_calls_total{service=\"metrics_service\",outcome=\"$_[0]\"}") };
	$sink->forget;
	my $answered = $calls->('2xx');
	cmp_ok($calls->($_), '>', 0, "calls that ended with $_") for qw(2xx 400 401 5xx connection_lost timeout);
	my $before = $told->($outages);
	$sink->behave(metrics => { status => 503, headers => { 'Retry-After' => 60 } });
	send_all();
	poll_until { $told->($paused) == 1 } 'an outage shows';
	is($told->($outages), $before + 1, 'and is counted');
	$sink->behave;
	my @old = $stack->children('sbm-senderd');
	kill HUP => $stack->pid('sbm-senderd');
	poll_until { !grep { $stack->alive($_) } @old } 'new processes ask at once';
	poll_until { $told->($paused) == 0 } 'its end shows, too';
	sum_is('message.text.one.sum', 20, 'nothing is lost');
	# What was answered before may have been counted after we looked.
	poll_until { $calls->('2xx') - $answered >= grep { ($_->{status} // 0) =~ /^2/ } $sink->requests('metrics') } 'all that was answered is counted';
};

subtest 'processes killed and reloaded' => sub {
	$sink->forget;
	$sink->behave(metrics => { status => 500 });
	send_all();
	my ($poster) = grep { (SBM::Stack::slurp("/proc/$_/comm") // '') =~ /metrics/ } $stack->children('sbm-senderd');
	$stack->expect_log(qr/child ended/);
	kill KILL => $poster;
	my @before = $stack->children('sbm-senderd');
	kill HUP => $stack->pid('sbm-senderd');
	poll_until { !grep { $stack->alive($_) } @before } 'a reload has changed all processes';
	send_all();
	$sink->behave;
	sum_is('message.text.one.sum', 40, 'nothing is lost and nothing comes twice');
};

subtest 'the scheduled metrics' => sub {
	$sink->forget;
	# 2026-11-25 was a Wednesday.
	$stack->move_clock(1795608000 - int time);
	my $daily = make_schedule($stack, minute => '0', hour => '3');
	my $sundays = make_schedule($stack, minute => '0', hour => '3', day_of_week => '0');
	$sink->behave(metrics => { status => 503 });
	subscribe($stack, $set, $daily) for 1 .. 3;
	subscribe($stack, $set, $sundays) for 1 .. 2;
	my $answer = $stack->post('/api/metrics/', undef, x_request_id => 'estimate-1');
	is($answer->{status}, 200, 'asked for');
	same_json($answer->{content}, { scheduled_metrics_initiated => \1 }, 'and begun');
	poll_until { $stack->value("SELECT outcome FROM job WHERE kind = 'metrics' AND finished_at IS NOT NULL") } 'the job does not wait for the service';
	is($stack->value("SELECT outcome FROM job WHERE kind = 'metrics'"), '5 metrics to be posted', 'what it did');
	$sink->behave;
	poll_until { keys %{ sums() } >= 5 } 'when it is back it gets them';
	is_deeply(sums(), { (map { ("subscriptions.send.estimate.$_.last" => 3) } 2 .. 5), 'subscriptions.send.estimate.6.last' => 5 }, 'from today to Sunday, each once');
	like($stack->log_text('sbm-senderd'), qr/rid=estimate-1 msg="metric" key=subscriptions\.send\.estimate\.6\.last value=5/, 'the log has them too');
	is_deeply({ map { (($_->{headers}{'x-request-id'} // '') => 1) } $sink->requests('metrics') }, { 'estimate-1' => 1 }, 'each call has the id of the request that asked for them');
	$sink->forget;
	$stack->post('/api/metrics/', undef, x_request_id => 'estimate-2');
	poll_until { keys %{ sums() } >= 5 } 'asked for once more';
	is_deeply({ map { (($_->{headers}{'x-request-id'} // '') => 1) } $sink->requests('metrics') }, { 'estimate-2' => 1 }, 'they have the id of that request');
	send_all();
	sum_is('message.text.one.sum', 20, 'sums');
	is((grep { $_->{body} =~ /message\.text\.one/ } $sink->requests('metrics'))[0]{headers}{'x-request-id'}, undef, 'are of no single request');
};

subtest 'at the end' => sub {
	end_daemon();
	$sink->forget;
	$stack->up(metrics_flush => '1h');
	send_all();
	is($sink->count('metrics'), 0, 'nothing was posted yet');
	end_daemon();
	is(sums()->{'message.text.one.sum'}, 20, 'what was counted is posted');
	$stack->up(metrics_flush => '1h');
	send_all();
	$sink->behave(metrics => { hang => 1 });
	end_daemon();
	like($stack->log_text('sbm-senderd'), qr/msg="metrics could not be posted before the end and are lost" metrics=2/, 'also when the service hangs, and says what is lost');
	$sink->behave;
};

subtest 'no metrics service' => sub {
	$sink->forget;
	$stack->up(metrics_url => '', metrics_flush => '100ms');
	ok(!grep({ (SBM::Stack::slurp("/proc/$_/comm") // '') =~ /metrics/ } $stack->children('sbm-senderd')), 'there is no process for it');
	send_all();
	$stack->post('/api/metrics/');
	poll_until { $stack->value("SELECT count(*) FROM job WHERE kind = 'metrics' AND outcome LIKE '% metrics in the log; metrics_url is not set'") == 1 } 'the estimate is computed and logged';
	is($sink->count('metrics'), 0, 'nothing is posted');
};

$stack->finish;
$sink->stop;
done_testing;

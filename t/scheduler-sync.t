#!/usr/bin/perl
# Schedules are kept in step with an external scheduler: what the original sent is sent, nothing is lost while the
# scheduler or the daemon is away, and nothing is made twice.
use strict;
use warnings;
use Test::More;
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, sweep => '100ms', workers => 1, url => 'https://sbm.example.org', retry_base => '20ms', retry_max => '200ms',
	probe_min => '50ms', probe_max => '200ms', call_timeout => '1s', scheduler_url => $sink->url . '/scheduler/api/v1',
	scheduler_api_token => 'scheduler-token', scheduler_inbound_api_token => 'inbound-token');

sub calls { return $sink->requests('scheduler') }
sub told { return [map { "$_->{method} $_->{path}" =~ s{/scheduler/api/v1}{}r } calls()] }
sub body { my ($call) = @_; return json_of($call->{body}) }
sub crons { return [map { body($_)->{cron_definition} // 'off' } grep { $_->{method} ne 'GET' } calls()] }
sub owed { return $stack->value('SELECT count(*) FROM scheduler_call') }
sub in_step { local $Test::Builder::Level = $Test::Builder::Level + 1; return poll_until { owed() == 0 } $_[0] // 'nothing is owed to the scheduler' }
sub id_of { my ($schedule) = @_; return $stack->value("SELECT scheduler_schedule_id FROM schedule WHERE id = $schedule") }
sub answered_id { my ($call) = @_; return json_of($call->{answer})->{id} }
sub ok_status { my ($answer, $status, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return is($answer->{status}, $status, $name) || diag($answer->{content}) }
sub definition { my ($id, $cron) = @_; return { frequency => undef, cron_definition => $cron, endpoint => "https://sbm.example.org/api/v1/schedule/$id/send/", auth_token => 'inbound-token' } }

subtest 'made, changed, deleted' => sub {
	my $id = $stack->make('/schedule/', { minute => '1', hour => '6', day_of_week => '1, 3,5' })->{id};
	in_step();
	is_deeply(told(), ['POST /schedule/'], 'a new schedule is posted');
	my ($post) = calls();
	same_json($post->{body}, definition($id, '1 6 * * 1,3,5'), 'with its definition');
	is($post->{headers}{authorization}, 'Token scheduler-token', 'and our token');
	like($post->{headers}{'content-type'}, qr{^application/json}, 'as JSON');
	like($post->{headers}{'idempotency-key'}, UUID, 'and a key');
	my $there = id_of($id);
	is($there, answered_id($post), 'the answered id is kept');
	$sink->forget;

	ok_status($stack->put("/api/v1/schedule/$id/", { minute => '2', hour => '6', day_of_week => '*', day_of_month => '*', month_of_year => '*' }), 200, 'changed by PUT');
	in_step();
	ok_status($stack->patch("/api/v1/schedule/$id/", { hour => '7' }), 200, 'by PATCH');
	in_step();
	ok_status($stack->patch("/api/v1/schedule/$id/", {}), 200, 'and by a PATCH that changes nothing');
	in_step();
	is_deeply(told(), [("PATCH /schedule/$there/") x 3], 'three changes are three calls');
	is_deeply(crons(), ['2 6 * * *', '2 7 * * *', '2 7 * * *'], 'each with the state of then');
	same_json((calls())[2]{body}, definition($id, '2 7 * * *'), 'whole');
	is(id_of($id), $there, 'the id stays');
	$sink->forget;

	ok_status($stack->delete("/api/v1/schedule/$id/"), 204, 'deleted');
	in_step();
	is_deeply(told(), ["PATCH /schedule/$there/"], 'it is switched off');
	same_json((calls())[0]{body}, { enabled => JSON::PP::false, active => JSON::PP::false }, 'so that it fires no more');
	$sink->forget;
};

subtest 'what needs no call' => sub {
	$stack->sql("INSERT INTO schedule (id) VALUES (5000)");
	ok_status($stack->delete('/api/v1/schedule/5000/'), 204, 'one that never reached the scheduler is deleted');
	my $id = make_schedule($stack);
	in_step();
	make_set($stack, $id, ['One']);
	$sink->forget;
	ok_status($stack->delete("/api/v1/schedule/$id/"), 409, 'one that is in use is not');
	ok_status($stack->patch("/api/v1/schedule/$id/", { minute => '61' }), 400, 'a bad change is refused');
	ok_status($stack->post('/api/v1/schedule/', { minute => 'sched500' }), 400, 'and a bad schedule');
	ok_status($stack->delete('/api/v1/schedule/999999/'), 404, 'and one that is not there is not there');
	my $zone = $stack->patch("/api/v1/schedule/$id/", { timezone => 'Africa/Johannesburg' });
	ok_status($zone, 400, 'a time zone is refused');
	like($zone->{content}, qr/only UTC/, 'with the reason');
	is(owed(), 0, 'nothing is owed');
	is_deeply(told(), [], 'and nothing was called');
};

subtest 'the built-in scheduler is off' => sub {
	make_schedule($stack, minute => '*');
	in_step();
	my $runs = $stack->value('SELECT count(*) FROM schedule_tick');
	is($runs, 0, 'it looks after no schedule');
};

subtest 'a creation and changes that follow closely' => sub {
	$sink->forget;
	# Long enough for the changes on a busy machine, and shorter than a call may take.
	$sink->behave(scheduler => { delay => 0.8 });
	my $id = $stack->make('/schedule/', { minute => '9' })->{id};
	poll_until { @{ told() } } 'the creation is under way';
	ok_status($stack->patch("/api/v1/schedule/$id/", { minute => $_ }), 200, "changed to $_ meanwhile") for 13, 14;
	$sink->behave;
	in_step();
	my $there = id_of($id);
	is_deeply(told(), ['POST /schedule/', "PATCH /schedule/$there/"], 'one creation, one change') or diag(explain(told()));
	is_deeply(crons(), ['9 * * * *', '14 * * * *'], 'the newest state is there');
	is(answered_id((calls())[0]), $there, 'in the schedule that was made');
};

subtest 'deleted while its creation is under way' => sub {
	$sink->forget;
	$sink->behave(scheduler => { delay => 0.3 });
	my $id = $stack->make('/schedule/', { minute => '11' })->{id};
	poll_until { @{ told() } } 'the creation is under way';
	ok_status($stack->delete("/api/v1/schedule/$id/"), 204, 'it is deleted');
	in_step();
	$sink->behave;
	my $there = answered_id((calls())[0]);
	is_deeply(told(), ['POST /schedule/', "PATCH /schedule/$there/"], 'what was made is switched off');
	is_deeply(crons(), ['11 * * * *', 'off'], 'and nothing else');
};

subtest 'deleted before it was carried over' => sub {
	$sink->close_down;
	my $id = $stack->make('/schedule/', { minute => '12' })->{id};
	poll_until { $stack->value('SELECT count(*) FROM scheduler_call WHERE last_error IS NOT NULL') } 'nobody is at the scheduler';
	$sink->forget;
	ok_status($stack->delete("/api/v1/schedule/$id/"), 204, 'it is deleted');
	# A try that began before might still reach a scheduler that is there again.
	in_step('what nobody was told needs no scheduler to be forgotten');
	$sink->open;
	is_deeply(told(), [], 'nothing is to be told');
};

subtest 'the scheduler refuses connections, and then answers 503' => sub {
	$sink->close_down;
	$sink->forget;
	my @ids = map { $stack->make('/schedule/', { minute => $_ })->{id} } 20 .. 24;
	$stack->patch("/api/v1/schedule/$ids[0]/", { minute => 30 });
	poll_until { $stack->log_text =~ /calls pause.*service=scheduler/ } 'it is seen to be out';
	is(owed(), 5, 'five schedules are owed a call');
	my ($status, $output) = $stack->ctl('status');
	like($output, qr/Calls owed to the scheduler\n.*create/s, 'the status tells of them') or diag($output);
	($status, $output) = $stack->ctl('status', '--json');
	is(scalar @{ json_of($output)->{scheduler_calls} }, 5, 'in JSON too');
	$sink->behave(scheduler => { status => 503, headers => { 'Retry-After' => 1 } });
	$sink->open;
	poll_until { @{ told() } } 'it is back, but not well';
	$sink->behave;
	in_step();
	my @made = grep { $_->{method} eq 'POST' && $_->{status} == 201 } calls();
	is_deeply([sort map { body($_)->{cron_definition} } @made], [map { "$_ * * * *" } 21 .. 24, 30], 'each is made once, as it is now');
	is($stack->value('SELECT count(*) FROM schedule WHERE id IN (' . join(',', @ids) . ') AND scheduler_schedule_id IS NOT NULL'), 5, 'and known');
};

subtest 'the scheduler answers 500 and 400' => sub {
	for my $status (500, 400) {
		$sink->forget;
		$sink->behave(scheduler => { status => $status, limit => 3 });
		my $id = $stack->make('/schedule/', { minute => '3' })->{id};
		in_step();
		$sink->behave;
		my @made = grep { $_->{method} eq 'POST' && $_->{status} == 201 } calls();
		is(scalar @made, 1, "$status three times: made once") or diag(explain(told()));
		is(id_of($id), answered_id($made[0]), 'and known');
	}
	$stack->expect_log(qr/the scheduler refuses a schedule/);
};

# Answers the list of schedules with one that calls the endpoint of ours.
sub listed { my ($id, $uuid) = @_; return '{"count": 2, "next": null, "previous": null, "results": [{"id": "5c000000-0000-4000-8000-00000000ffff", "endpoint": "https://other/"}, {"id": "' . $uuid . "\", \"endpoint\": \"https://sbm.example.org/api/v1/schedule/$id/send/\"}]}" }

subtest 'the connection is lost after the schedule was made' => sub {
	my $there = '5c000000-0000-4000-8000-000000000042';
	$sink->forget;
	$sink->behave(scheduler => { reset => 1 });
	my $id = $stack->make('/schedule/', { minute => '4' })->{id};
	poll_until { $stack->value('SELECT count(*) FROM scheduler_call WHERE in_doubt AND last_error IS NOT NULL') } 'its creation has no clear end';
	$sink->behave(scheduler => { match => '/schedule/ $', body => listed($id, $there) });
	in_step();
	is(scalar(grep { $_->{method} eq 'POST' } calls()), 1, 'it is posted no second time');
	is(id_of($id), $there, 'but found in the list');
	is(told()->[-1], "PATCH /schedule/$there/", 'and brought up to date');

	$sink->forget;
	$sink->behave(scheduler => { reset => 1 });
	$stack->patch("/api/v1/schedule/$id/", { minute => '5' });
	poll_until { @{ told() } > 1 } 'a change that is lost is sent again';
	$sink->behave;
	in_step();
	is_deeply([grep { $_ ne "PATCH /schedule/$there/" } @{ told() }], [], 'as a change');
};

subtest 'the scheduler has lost a schedule' => sub {
	my $id = $stack->make('/schedule/', { minute => '14' })->{id};
	in_step();
	my $old = id_of($id);
	$sink->forget;
	$sink->behave(scheduler => { match => "$old|/schedule/ \$", status => 404 });
	$stack->patch("/api/v1/schedule/$id/", { minute => '15' });
	poll_until { $stack->value('SELECT count(*) FROM scheduler_call WHERE tries > 1') } 'an address where there is nothing at all is tried again';
	is(scalar(grep { $_->{method} eq 'POST' } calls()), 0, 'without another schedule');
	my $empty = '{"count": 0, "next": null, "previous": null, "results": []}';
	$sink->behave(scheduler => { match => "$old", status => 404, list => $empty });
	in_step();
	is(scalar(grep { $_->{method} eq 'POST' } calls()), 1, 'when its list lacks it, it is made anew');
	isnt(id_of($id), $old, 'with another id');
	is(body((calls())[-1])->{cron_definition}, '15 * * * *', 'as it is now');
	$sink->behave;
};

subtest 'the database goes away while a creation is under way' => sub {
	$sink->forget;
	$sink->behave(scheduler => { delay => 0.5 });
	my $id = $stack->make('/schedule/', { minute => '16' })->{id};
	poll_until { @{ told() } } 'the scheduler has it';
	$stack->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'sbm-senderd%'");
	in_step();
	is_deeply(told(), ['POST /schedule/'], 'its answer is kept') or diag(explain(told()));
	is(id_of($id), answered_id((calls())[0]), 'and written as soon as that can be');
	$sink->behave;
	$stack->expect_log(qr/level=(?:err|warn).*(?:connection|terminat|administrator)/);
};

subtest 'the daemon is killed while a creation is under way' => sub {
	my $there = '5c000000-0000-4000-8000-000000000043';
	$sink->forget;
	$sink->behave(scheduler => { delay => 0.7 });
	my $id = $stack->make('/schedule/', { minute => '6' })->{id};
	poll_until { @{ told() } } 'the scheduler has the creation';
	kill KILL => $stack->pid('sbm-senderd'), $stack->children('sbm-senderd');
	$sink->behave(scheduler => { match => '/schedule/ $', body => listed($id, $there) });
	$stack->patch("/api/v1/schedule/$id/", { minute => '7' });
	$stack->up;
	in_step('the daemon goes on');
	is(scalar(grep { $_->{method} eq 'POST' } calls()), 1, 'no second schedule is made') or diag(explain(told()));
	is(id_of($id), $there, 'the first one is found');
	is(body((calls())[-1])->{cron_definition}, '7 * * * *', 'and has the newest state');
	$sink->behave;

	# Where the scheduler has no list, the key is what it can tell a repeat by.
	$sink->forget;
	$sink->behave(scheduler => { delay => 0.7 });
	$id = $stack->make('/schedule/', { minute => '8' })->{id};
	poll_until { @{ told() } } 'the scheduler has another creation';
	kill KILL => $stack->children('sbm-senderd');
	$sink->behave(scheduler => { match => '/schedule/ $', status => 405 });
	in_step('the daemon goes on');
	my @posts = grep { $_->{method} eq 'POST' } calls();
	is(scalar @posts, 2, 'it is posted again');
	is($posts[0]{headers}{'idempotency-key'}, $posts[1]{headers}{'idempotency-key'}, 'with the same key');
	$sink->behave;
};

subtest 'the daemon is away' => sub {
	kill TERM => $stack->pid('sbm-senderd');
	poll_until { !$stack->alive($stack->pid('sbm-senderd')) } 'the daemon ends';
	$sink->forget;
	my @ids = map { $stack->make('/schedule/', { minute => $_ })->{id} } 40 .. 49;
	$stack->patch("/api/v1/schedule/$_/", { hour => 1 }) for @ids;
	$stack->delete("/api/v1/schedule/$ids[9]/");
	is_deeply(told(), [], 'nothing is called meanwhile');
	$stack->up;
	in_step();
	is_deeply([sort @{ crons() }], [map { "$_ 1 * * *" } 40 .. 48], 'then each schedule is made once, but the deleted one');
	is_deeply([grep { !/^POST/ } @{ told() }], [], 'by one call each');
};

subtest 'a scheduler that is set and taken away by a reload' => sub {
	my $conf = $stack->{env}{SBM_CONF};
	my $text = SBM::Stack::slurp($conf);
	my $reload = sub {
		open my $out, '>', $conf or die "could not write \"$conf\": $!\n";
		print $out $_[0];
		close $out;
		my %before = map { $_ => 1 } $stack->children('sbm-senderd'), $stack->children('sbm-api');
		kill HUP => $stack->pid($_) for 'sbm-senderd', 'sbm-api';
		poll_until { !grep { $before{$_} } $stack->children('sbm-senderd'), $stack->children('sbm-api') } 'all processes are new';
	};
	(my $without = $text) =~ s/^scheduler_url\b.*\n//m;
	isnt($without, $text, 'the setting is taken away');
	$reload->($without);
	$sink->forget;
	my $id = make_schedule($stack);
	is(owed(), 0, 'nothing is owed');
	poll_until { $stack->value("SELECT count(*) FROM schedule_tick WHERE schedule_id = $id") } 'the daemon is the scheduler';
	$reload->($text);
	$stack->patch("/api/v1/schedule/$id/", {});
	in_step();
	is_deeply(told(), ['POST /schedule/'], 'the scheduler is told as soon as there is one');
};

subtest 'sbmctl schedules sync' => sub {
	$sink->forget;
	my $count = $stack->value('SELECT count(*) FROM schedule');
	my ($status, $output) = $stack->ctl('schedules', 'sync');
	is($status, 0, 'it is asked');
	unlike($output, qr/would record/, 'all are in step') or diag($output);
	my ($first, $second) = map { $_->[0] } $stack->rows('SELECT id FROM schedule ORDER BY id LIMIT 2');
	$stack->sql("UPDATE schedule SET minute = '59' WHERE id = $first; UPDATE schedule SET scheduler_schedule_id = NULL WHERE id = $second");
	($status, $output) = $stack->ctl('schedules', 'sync');
	like($output, qr/would record 2 calls; give --yes to do it/, 'two are not') or diag($output);
	is(owed(), 0, 'a look changes nothing');
	($status, $output) = $stack->ctl('schedules', 'sync', '--yes');
	is($status, 0, 'with --yes') or diag($output);
	in_step();
	is_deeply([sort map { $_->{method} } calls()], ['PATCH', 'POST'], 'one is changed and one made');
	$sink->forget;
	($status, $output) = $stack->ctl('schedules', 'sync', '--all', '--yes', '--json');
	is(scalar @{ json_of($output) }, $count, 'all of them when asked');
	in_step();
	is(scalar calls(), $count, 'by a call each');
	local $ENV{SBM_SCHEDULER_URL} = '';
	($status, $output) = $stack->ctl('schedules', 'sync');
	is($status, 1, 'without a scheduler it fails');
	like($output, qr/scheduler_url is not set/, 'and says why');
};

$stack->finish;
done_testing;

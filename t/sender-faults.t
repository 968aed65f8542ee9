#!/usr/bin/perl
# What goes wrong with single deliveries, and what people change while a message is on its way: nothing is lost,
# nothing is sent twice with another key, and one bad delivery does not stop the others.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use SBM::Content;
use SBM::Judge;
use SBM::Sink;
use SBM::Stack;

my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, clock => 1, sweep => '100ms', retry_base => '50ms', retry_max => '200ms', probe_min => '50ms',
	probe_max => '200ms', call_timeout => '1s', connect_timeout => '1s', tries => 5, lease => '2s', workers => 2);
my $serial = 0;

# A schedule of its own with a set and some subscribers.
sub group {
	my ($count, $texts, %fields) = @_;
	my $schedule = make_schedule($stack);
	my $set = make_set($stack, $schedule, $texts || ['One', 'Two', 'Three'], %fields);
	return ($schedule, $set, map { subscribe($stack, $set, $schedule) } 1 .. $count);
}

sub to { my ($identity) = @_; return grep { json_of($_->{body})->{to_identity} eq $identity } $sink->requests('outbound') }
sub failed_tasks { return $stack->value('SELECT count(*) FROM failed_task') }
# Not by name: the reason as the API shows it.
sub reasons { return map { $_->{reason} } @{ $stack->get('/api/v1/failed-tasks/')->{json}{results} } }

# Messages of others pass meanwhile: without them nobody can tell a bad delivery from a service that is out.
sub others_pass_until {
	my ($is, $name, @others) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	poll_until {
		my ($other) = subscription($stack, $others[rand @others]);
		$stack->post("/api/v1/subscriptions/$other->{id}/send") unless $other->{next_sequence_number} > 20;
		$is->();
	} $name, 40;
}

subtest 'one bad delivery does not stop the rest, and fails after its tries' => sub {
	my ($schedule, $set, @mothers) = group(20, [map { "Message $_" } 1 .. 30]);
	my $bad = $mothers[7];
	$sink->forget;
	$sink->behave(outbound => { status => 500, match => $bad });
	my $began = time;
	fire($stack, $schedule);
	poll_until { $sink->accepted('outbound') == 19 } 'all others go out';
	others_pass_until(sub { failed_tasks() }, 'it fails in the end', grep { $_ ne $bad } @mothers);
	settled($stack, 30);
	cmp_ok(scalar(to($bad)), '>=', 5, 'the bad one was tried as often as tries says');
	my %keys = map { $_->{headers}{'idempotency-key'} => 1 } to($bad);
	is(scalar keys %keys, 1, 'always with the same key');
	is_deeply([reasons()], [(reasons())[0]], 'there is one failed task');
	like((reasons())[0] // '', qr/500/, 'that says why');
	is(subscription($stack, $bad)->{next_sequence_number}, 1, 'its subscription stays where it is');

	$sink->behave;
	$sink->forget;
	is($stack->post('/api/v1/failed-tasks/')->{status}, 201, 'requeued');
	poll_until { $sink->accepted('outbound') == 1 } 'it goes out now';
	settled($stack);
	is(failed_tasks(), 0, 'the failed task is gone');
	is(subscription($stack, $bad)->{next_sequence_number}, 2, 'and it moved on');
};

subtest 'an outage of any length is no fault of a delivery that failed by itself before' => sub {
	my ($schedule, $set, @mothers) = group(20, [map { "Message $_" } 1 .. 30]);
	my $unlucky = $mothers[7];
	$sink->forget;
	$sink->behave(outbound => { status => 500, match => $unlucky });
	fire($stack, $schedule);
	poll_until { $sink->accepted('outbound') == 19 } 'all others go out';
	others_pass_until(sub { $stack->value('SELECT coalesce(max(tries), 0) FROM delivery_queue') >= 1 }, 'one has used up a try', grep { $_ ne $unlucky } @mothers);
	$sink->behave(outbound => { status => 500 });
	my $before = to($unlucky);
	# Many times as long as all of its tries take.
	poll_until { to($unlucky) > $before + 15 || failed_tasks() } 'then everything fails, and there is nobody else';
	is(failed_tasks(), 0, 'it is tried again and again');
	cmp_ok($stack->value('SELECT max(tries) FROM delivery_queue'), '<=', 3, 'and uses up no more of its tries');
	$sink->behave;
	settled($stack);
	is(scalar(grep { $_->{status} == 201 } to($unlucky)), 1, 'when all is well again it goes out, once');
	is(failed_tasks(), 0, 'no failed task');
	$stack->sql('DELETE FROM failed_task');
};

subtest 'what the message sender refuses fails at once' => sub {
	my ($schedule, $set, @mothers) = group(3);
	for my $status (400, 404, 409, 413, 422) {
		$sink->forget;
		$sink->behave(outbound => { status => $status, match => $mothers[0] });
		fire($stack, $schedule);
		settled($stack);
		is(scalar(to($mothers[0])), 1, "$status: tried once");
		is(failed_tasks(), 1, 'a failed task');
		is($sink->accepted('outbound') + 0, 2, 'the others went out') if $status < 413;
		$stack->sql('DELETE FROM failed_task');
	}
	$sink->behave;
};

subtest 'an acceptance that says nothing of use, or too much' => sub {
	my ($schedule, $set, @mothers) = group(2);
	$stack->sql("INSERT INTO message (messageset_id, sequence_number, lang, text_content) SELECT $set, n, 'eng_ZA', 'More' FROM generate_series(4, 9) n");
	for my $body ('', 'Created', '{"id": null}', '[1]', 'x' x 1_500_000) {
		$sink->forget;
		$sink->behave(outbound => { status => 201, body => $body });
		fire($stack, $schedule);
		settled($stack);
		is($sink->count('outbound'), 2, 'taken for what it is: ' . substr($body, 0, 20) . ', ' . length($body) . ' bytes');
	}
	$sink->forget;
	$sink->behave(outbound => { endless => 1 });
	fire($stack, $schedule);
	settled($stack);
	is($sink->count('outbound'), 2, 'taken once, with an answer that never ends');
	$sink->behave(identity => { endless => 1 });
	$sink->forget;
	fire($stack, $schedule);
	poll_until { $sink->count('identity') >= 8 } 'an address that never ends';
	is($sink->count('outbound'), 0, 'is none');
	$sink->behave;
	settled($stack);
	is($sink->count('outbound'), 2, 'which is asked for again');
	is(failed_tasks(), 0, 'no failed task');
};

subtest 'content that is missing, and added later' => sub {
	my ($schedule, $set, $mother) = group(1, ['One']);
	my ($stray) = subscription($stack, $mother);
	$stack->patch("/api/v1/subscriptions/$stray->{id}/", { lang => 'zul_ZA' });
	$sink->forget;
	fire($stack, $schedule);
	settled($stack);
	is($sink->count('identity'), 0, 'no address is asked for');
	is_deeply([reasons()], ['Message sending aborted, missing message'], 'the failed task says so');
	is(subscription($stack, $mother)->{next_sequence_number}, 1, 'the subscription stays');
	make_message($stack, $set, 1, lang => 'zul_ZA', text_content => 'Okokuqala');
	fire($stack, $schedule);
	settled($stack);
	is(json_of((to($mother))[0]{body})->{content}, 'Okokuqala', 'the next run sends it');
	is($stack->value("SELECT completed FROM subscription WHERE id = '$stray->{id}'"), 't', 'and that was all of the set');
	$stack->sql('DELETE FROM failed_task');
};

subtest 'requeueing one that is not ready any more' => sub {
	my ($schedule, $set, @mothers) = group(2);
	$sink->behave(outbound => { status => 400 });
	fire($stack, $schedule);
	settled($stack);
	is(failed_tasks(), 2, 'two failed');
	my ($gone) = subscription($stack, $mothers[0]);
	$stack->patch("/api/v1/subscriptions/$gone->{id}/", { active => JSON::PP::false });
	$sink->behave;
	$sink->forget;
	$stack->post('/api/v1/failed-tasks/');
	poll_until { failed_tasks() == 0 } 'both are taken out';
	settled($stack);
	is(scalar(to($mothers[0])), 0, 'nothing for the one who left');
	is(scalar(to($mothers[1])), 1, 'the other one gets hers');
	like($stack->log_text('sbm-senderd'), qr/requeued.*not_ready=1/, 'the log has the count');
};

subtest 'changed while its message is on its way' => sub {
	my $next = make_set($stack, make_schedule($stack), ['Next']);
	my ($schedule, $set, $left, $moved, $deleted, $last, $prepended, $plain) = group(6, ['One', 'Two', 'Three'], next_set => $next);
	my %id = map { $_ => subscription($stack, $_)->{id} } $left, $moved, $deleted, $last, $prepended, $plain;
	$stack->patch("/api/v1/subscriptions/$id{$last}/", { next_sequence_number => 3 });
	$stack->patch("/api/v1/subscriptions/$id{$prepended}/", { metadata => { prepend_next_delivery => 'Hello', other => 1 } });
	$sink->forget;
	$sink->behave(outbound => { delay => 0.8 });
	fire($stack, $schedule);
	poll_until { $sink->count('outbound') == 6 } 'all are on their way';
	$stack->patch("/api/v1/subscriptions/$id{$_}/", { active => JSON::PP::false }) for $left, $last;
	$stack->patch("/api/v1/subscriptions/$id{$moved}/", { next_sequence_number => 3 });
	is($stack->delete("/api/v1/subscriptions/$id{$deleted}/")->{status}, 204, 'one is deleted');
	$stack->patch("/api/v1/subscriptions/$id{$prepended}/", { metadata => { prepend_next_delivery => 'Another', other => 2 } });
	settled($stack);
	$sink->behave;
	is($sink->count('outbound'), 6, 'each was sent once');
	my $of = sub { my ($row) = $stack->rows("SELECT next_sequence_number, active, completed, process_status FROM subscription WHERE id = '$id{$_[0]}'"); $row };
	is_deeply($of->($plain), [2, 't', 'f', 0], 'who was left alone moved on');
	is_deeply($of->($left), [2, 'f', 'f', 0], 'who left moved on, and stays away');
	is_deeply($of->($moved), [3, 't', 'f', 0], 'who was moved stays where she was put');
	is_deeply($of->($last), [3, 'f', 't', 2], 'who left at her last message has completed');
	is($stack->value("SELECT count(*) FROM subscription WHERE identity = '$last'"), 1, 'and goes into no next set');
	like($stack->value("SELECT metadata FROM subscription WHERE id = '$id{$prepended}'"), qr/Another/, 'a text to prepend that is new stays for the next time');
	is($stack->value("SELECT state FROM delivery WHERE subscription_id = '$id{$deleted}'"), 'sent', 'what was sent to the deleted one is in the history');
	my ($run) = $stack->rows('SELECT queued, sent, failed, cancelled FROM run ORDER BY id DESC LIMIT 1');
	is_deeply($run, [6, 6, 0, 0], 'the run adds up');
};

subtest 'changed before its turn' => sub {
	my ($schedule, $set, @mothers) = group(3);
	$sink->close_down;
	fire($stack, $schedule);
	poll_until { $stack->value('SELECT count(*) FROM delivery_queue') == 3 } 'queued, with nobody to send to';
	my @ids = map { subscription($stack, $_)->{id} } @mothers;
	$stack->patch("/api/v1/subscriptions/$ids[0]/", { active => JSON::PP::false });
	$stack->delete("/api/v1/subscriptions/$ids[1]/");
	$stack->sql("UPDATE message SET text_content = 'Edited' WHERE messageset_id = $set AND sequence_number = 1");
	$sink->forget;
	$sink->open;
	settled($stack, 30);
	is($sink->accepted('outbound') + 0, 1, 'only the third is sent to');
	is(json_of((to($mothers[2]))[0]{body})->{content}, 'Edited', 'the text of now');
	is_deeply([map { $_->[0] } $stack->rows("SELECT reason FROM delivery WHERE state = 'cancelled' ORDER BY reason")],
		['Message sending aborted, status 0', 'Subscription was deleted'], 'the others say why not');
	is(failed_tasks(), 0, 'and are no failed tasks');
};

subtest 'the clock goes back between a registration and its firing' => sub {
	$stack->advance_clock(7200);
	my ($schedule, $set, $mother) = group(1);
	$stack->advance_clock(-7200);
	$sink->forget;
	fire($stack, $schedule);
	settled($stack);
	is(scalar(to($mother)), 1, 'she is sent to all the same');
};

subtest 'a result that the database does not take is kept, and its message not sent again' => sub {
	my ($schedule, $set, @mothers) = group(10);
	my $bad = (subscription($stack, $mothers[3]))[0]{id};
	$sink->forget;
	$stack->sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION \$\$not this one\$\$; END';
		CREATE TRIGGER refuse BEFORE INSERT ON delivery FOR EACH ROW WHEN (NEW.subscription_id = '$bad') EXECUTE FUNCTION refuse()");
	fire($stack, $schedule);
	poll_until { ($stack->value('SELECT string_agg(subscription_id::text, $$ $$) FROM delivery_queue') // '') eq $bad } 'all others end';
	my $lease = $stack->value("SELECT coalesce(lease_until, now()) + interval '4 s' FROM delivery_queue");
	poll_until { $stack->value("SELECT now() > '$lease'") eq 't' } 'two leases later';
	is(scalar to($mothers[3]), 1, 'it was sent once');
	$stack->sql('DROP FUNCTION refuse CASCADE');
	settled($stack, 30);
	is(scalar to($mothers[3]), 1, 'and no more when the database takes it');
	is(scalar $sink->accepted('outbound'), 10, 'as all were');
	is(failed_tasks(), 0, 'no failed task');
	is((subscription($stack, $mothers[3]))[0]{next_sequence_number}, 2, 'it moves on');
};

subtest 'a run whose deliveries the database does not take holds up no other' => sub {
	my ($bad_schedule, $bad_set, @unlucky) = group(3);
	my ($schedule, $set, @mothers) = group(3);
	$sink->forget;
	my $one = (subscription($stack, $unlucky[1]))[0]{id};
	$stack->sql("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION \$\$not this one\$\$; END';
		CREATE TRIGGER refuse BEFORE INSERT ON delivery_queue FOR EACH ROW WHEN (NEW.subscription_id = '$one') EXECUTE FUNCTION refuse()");
	fire($stack, $bad_schedule);
	fire($stack, $schedule);
	poll_until { $sink->accepted('outbound') == 3 } 'the run behind it goes out';
	is($stack->value("SELECT queued FROM run WHERE schedule_id = $bad_schedule"), 0, 'nothing of the other could be queued');
	$stack->sql('DROP FUNCTION refuse CASCADE');
	settled($stack, 30);
	is(scalar $sink->accepted('outbound'), 6, 'it goes out when the database takes it');
};

subtest 'an identity store that takes its time' => sub {
	$stack->reconfigure(call_timeout => '10s');
	my ($schedule, $set, @mothers) = group(5);
	my @ids = map { subscription($stack, $_)->{id} } @mothers;
	$sink->forget;
	$sink->behave(identity => { delay => 1.6 });
	fire($stack, $schedule);
	poll_until { $sink->count('identity') == 5 } 'all addresses are asked for';
	$stack->sql("UPDATE message SET text_content = 'Edited' WHERE messageset_id = $set AND sequence_number = 1");
	$stack->patch("/api/v1/subscriptions/$ids[0]/", { active => JSON::PP::false });
	$stack->delete("/api/v1/subscriptions/$ids[1]/");
	$stack->patch("/api/v1/subscriptions/$ids[2]/", { metadata => { prepend_next_delivery => 'News' } });
	settled($stack, 30);
	$sink->behave;
	is($sink->count('identity'), 5, 'each was asked for once');
	is_deeply([map { scalar(to($_)) } @mothers], [0, 0, 1, 1, 1], 'who left meanwhile is not sent to');
	is(json_of((to($mothers[4]))[0]{body})->{content}, 'Edited', 'what goes out is the text of the moment of sending');
	is(json_of((to($mothers[2]))[0]{body})->{content}, "News\nEdited", 'with what stands before it then');
};

subtest 'an identity store that does not answer while the message sender is out' => sub {
	$stack->reconfigure(concurrency => 4, call_timeout => '3s');
	my ($schedule, $set, @mothers) = group(100);
	$sink->forget;
	$sink->behave(outbound => { status => 503 });
	my $outages = sub { return scalar(() = $stack->log_text('sbm-senderd') =~ /service is out.*message sender/g) };
	my $seen = $outages->();
	fire($stack, $schedule);
	poll_until { $outages->() >= $seen + 8 } 'one is out';
	$sink->behave(outbound => { status => 503 }, identity => { hang => 1 });
	my $asked = $sink->count('identity');
	poll_until { $sink->count('identity') >= $asked + 2 } 'both processes wait for an address for the next probe';
	my $claims = sub { return $stack->value('SELECT sum(attempt) FROM delivery_queue') };
	my ($before, $began) = ($claims->(), time);
	poll_until { time - $began > 1 } 'for a while';
	cmp_ok($claims->() - $before, '<', 20, 'and claim nothing else meanwhile');
	$sink->behave;
	$stack->reconfigure(concurrency => 64, call_timeout => '1s');
	settled($stack, 30);
	is(scalar $sink->accepted('outbound'), 100, 'all are sent');
	is(failed_tasks(), 0, 'no failed task');
};

subtest 'a schedule that is made while no daemon runs' => sub {
	my $daemon = $stack->pid('sbm-senderd');
	kill TERM => $daemon;
	poll_until { !$stack->alive($daemon) } 'no daemon runs';
	my $set = make_set($stack, make_schedule($stack), ['One', 'Two']);
	# Its firing of just before was not owed; the one of a quarter later is.
	my @soon = gmtime($stack->now + 900);
	my @before = gmtime($stack->now - 900);
	my $schedule = make_schedule($stack, minute => "$before[1],$soon[1]", hour => "$before[2],$soon[2]");
	my $mother = subscribe($stack, $set, $schedule);
	$stack->advance_clock(1200);
	$sink->forget;
	$stack->up;
	poll_until { to($mother) } 'the daemon makes its firing up';
	settled($stack);
	is(scalar(to($mother)), 1, 'once');
	is($stack->value("SELECT count(*) FROM run WHERE schedule_id = $schedule"), 1, 'the one that was missed');
};

subtest 'the log of outbound messages cannot be written' => sub {
	my ($schedule, $set, @mothers) = group(30);
	my $log = "$stack->{dir}/stack/outbound-test.log";
	$stack->reconfigure(identity_store_url => 'direct:', message_sender_url => 'log:/dev/full');
	fire($stack, $schedule);
	poll_until { $stack->log_text('sbm-senderd') =~ m{could not write \W*/dev/full} } 'the disk is full';
	is($stack->value('SELECT count(*) FROM delivery_queue'), 30, 'all wait');
	$stack->reconfigure(message_sender_url => "log:$log");
	settled($stack, 30);
	my @lines = map { json_of($_) } split /\n/, SBM::Stack::slurp($log);
	is(scalar @lines, 30, 'all are written when there is room');
	my %delivery = map { $_->{delivery} => $_->{payload}{to_identity} } @lines;
	is(scalar keys %delivery, 30, 'each once');
	is_deeply([sort values %delivery], [sort @mothers], 'for each of them');
	is(failed_tasks(), 0, 'no failed task');
};

subtest 'faults in passing, by the thousand' => sub {
	my $judge = SBM::Judge->start;
	my $many = 2000;
	$stack->reconfigure($judge->settings, tries => 15);
	my ($schedule, $set) = group(0, [map { "Message $_" } 1 .. 20]);
	$stack->sql("INSERT INTO subscription (identity, messageset_id, schedule_id, lang) SELECT gen_random_uuid(), $set, $schedule, 'eng_ZA' FROM generate_series(1, $many)");
	my $at = 1;
	my @faults = (
		['500 for one in ten', outbound => mode => 'status', status => 500, every => 10],
		['one connection in ten is reset', outbound => mode => 'reset', every => 10],
		['one in ten is accepted and the answer lost', outbound => mode => 'lose', every => 10],
		['one in ten look-ups answered with something else', identity => mode => 'garbage', every => 10],
		['one in ten look-ups reset', identity => mode => 'reset', every => 10],
		['one in five hundred hangs', outbound => mode => 'hang', every => 500],
	);
	for (@faults) {
		my ($name, $service, %fault) = @$_;
		$judge->forget;
		$judge->behave($service, %fault);
		fire($stack, $schedule);
		settled($stack, 60);
		$judge->behave($service);
		my $stats = $judge->stats;
		is($stats->{keys}, $many, "$name: all are sent");
		$fault{mode} eq 'lose' ? cmp_ok($stats->{repeats}, '<', $many / 4, 'what was lost came again, with its key') : is($stats->{repeats}, 0, 'nothing twice');
		is(failed_tasks(), 0, 'no failed task');
		is($stack->value("SELECT count(*) FROM subscription WHERE schedule_id = $schedule AND next_sequence_number = " . ++$at), $many, 'all moved on');
	}
};

$stack->expect_log(qr/could not write/, qr/could not (?:be )?record|not this one/);
$stack->finish;
done_testing;

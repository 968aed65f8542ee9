#!/usr/bin/perl
# What is known about one identity: its opt-out, and, at the keyboard, all of it shown and removed.
use strict;
use warnings;
use Encode qw(decode_utf8);
use Test::More;
use Time::HiRes qw(time);
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
	$sink->behave(outbound => { delay => 0.5 });
	fire($stack, $schedule);
	poll_until { $sink->count('outbound') >= 4 } 'the first messages are on their way';
	my %before = map { json_of($_->{body})->{to_identity} => 1 } $sink->requests('outbound');
	my ($under_way) = grep { $before{$_} } @mothers;
	my $one = $stack->value('SELECT s.identity FROM delivery_queue q JOIN subscription s ON s.id = q.subscription_id WHERE q.attempt = 0 ORDER BY q.id DESC LIMIT 1');
	ok($one, 'others wait for theirs');
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

subtest 'many of them in a run' => sub {
	my @mothers = map { subscribe($stack, $set, $schedule) } 1 .. 90;
	$sink->forget;
	$sink->behave(outbound => { delay => 0.1 });
	fire($stack, $schedule);
	poll_until { $sink->count('outbound') > 0 } 'the run has begun';
	my %left;
	for my $identity (@mothers[map { 2 * $_ } 0 .. 44]) {
		my $counts = opt_out($identity)->{json};
		$left{$identity} = { %$counts, at => time };
	}
	$sink->behave;
	settled($stack, 60);
	my %sent;
	push @{ $sent{ json_of($_->{body})->{to_identity} } }, $_->{at} for $sink->requests('outbound');
	is_deeply([grep { $left{$_}{cancelled} && $sent{$_} } keys %left], [], 'those whose message was cancelled got none');
	is_deeply([grep { my $gone = $left{$_}; !$gone->{under_way} && grep { $_ > $gone->{at} } @{ $sent{$_} || [] } } keys %left], [], 'those who had none under way got none after the answer');
	is_deeply([grep { @{ $sent{$_} || [] } != 1 } grep { !$left{$_} } @mothers], [], 'all others got theirs once');
	is($stack->value('SELECT sent + cancelled FROM run ORDER BY id DESC LIMIT 1'), 90, 'the run counts all');
	$stack->sql('UPDATE subscription SET active = false WHERE active');
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

subtest 'an opt-out while the next subscription is being made' => sub {
	my $identity = subscribe($stack, $set, $schedule);
	my $id = subscription($stack, $identity)->{id};
	# What a sender process does in one transaction when the last message of a set was sent.
	my $pid = fork // die;
	if (!$pid) {
		$stack->sql("BEGIN; UPDATE subscription SET completed = true, active = false, process_status = 2 WHERE id = '$id';
			INSERT INTO subscription (identity, messageset_id, schedule_id, lang) VALUES ('$identity', $next, $schedule, 'eng_ZA');
			DO \$\$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))) LOOP
				PERFORM pg_sleep(0.01); END LOOP; END \$\$; COMMIT");
		require POSIX;
		POSIX::_exit(0);
	}
	poll_until { $stack->value("SELECT count(*) FROM pg_stat_activity WHERE query ~ 'pg_blocking_pids' AND state = 'active' AND pid <> pg_backend_pid()") > 0 } 'a send is being written back';
	says(opt_out($identity), subscriptions => 2, deactivated => 1);
	waitpid $pid, 0;
	is($stack->value("SELECT count(*) FROM subscription WHERE identity = '$identity' AND active"), 0, 'what came of it is stopped, too');
};

# sbmctl identity WORDS: exit status, standard output, standard error.
sub identity_ctl {
	my (@words) = @_;
	my $errors = "$stack->{dir}/stderr";
	my ($status, $output) = SBM::Stack::run('/bin/sh', '-c', 'exec "$@" 2>"$0"', $errors, SBM::Stack::build_dir() . '/src/sbmctl', '-c', $stack->{env}{SBM_CONF}, 'identity', @words);
	return ($status, $output, SBM::Stack::slurp($errors));
}

# The tables in which any of these texts stands. (A run keeps the id of the subscription that it came to last.)
sub found_in {
	my $pattern = join '|', map { s/([^\w-])/\\$1/gr } @_;
	my @tables = grep { $_ ne 'run' } map { $_->[0] } $stack->rows("SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY 1");
	return map { $_->[0] } $stack->rows(join ' UNION ALL ', map { "SELECT '$_' WHERE EXISTS (SELECT FROM $_ t WHERE t::text ~ '$pattern')" } @tables);
}

subtest 'shown and erased' => sub {
	my $once = hook($set, $schedule);
	my $identity = $once->{data}{identity};
	$stack->post('/api/v1/subscriptions/request', $once);
	my $made = $stack->post('/api/v1/subscriptions/', { identity => $identity, messageset => $next, schedule => $schedule, lang => 'eng_ZA', metadata => { name => 'Nomvula' } }, idempotency_key => 'made-once')->{json};
	my $other = subscribe($stack, $set, $schedule);
	my ($id) = map { $_->{id} } grep { $_->{messageset} == $set } subscription($stack, $identity);
	$sink->behave(outbound => { status => 400, body => '{"to_addr": ["' . SBM::Sink::address_of($identity) . ' is not a number"]}', match => '"Next"' });
	fire($stack, $schedule);
	settled($stack);
	$sink->behave;
	$stack->post("/api/v1/subscriptions/$id/resend");
	settled($stack);
	$stack->sql("INSERT INTO behind_subscription (subscription_id, messages_behind, current_messageset_id, current_sequence_number, expected_messageset_id, expected_sequence_number)
		VALUES ('$id', 2, $set, 1, $next, 1);
		INSERT INTO takeover_aside (entity, row_id, kind, reason, content, checksum) VALUES ('subscription', 'x', 'refused', 'why', '{\"identity\": \"$identity\"}', 0)");
	$stack->ctl('pause', 'schedule', $schedule);
	fire($stack, $schedule);
	poll_until { $stack->value("SELECT count(*) FROM delivery_queue WHERE gate IS NOT NULL AND subscription_id IN ('$id', '$made->{id}')") == 2 } 'more waits';

	my ($status, $output, $errors) = identity_ctl('show', $identity, '--json');
	is($status, 0, 'shown') or diag($errors);
	my $all = json_of($output);
	is_deeply($all->{counts}, { subscriptions => 2, active => 2, queued => 2, deliveries => 3, failed_tasks => 1, resend_requests => 1, behind => 1, answers => 1, put_aside => 1 }, 'how much there is');
	is_deeply([sort map { $_->{id} } @{ $all->{subscriptions} }], [sort $id, $made->{id}], 'its subscriptions');
	is_deeply([sort map { "$_->{state} $_->{kind}" } @{ $all->{deliveries} }], ['failed next', 'sent next', 'sent resend'], 'what was sent');
	is((grep { $_->{state} eq 'sent' } @{ $all->{deliveries} })[0]{to_addr}, SBM::Sink::address_of($identity), 'and where');
	is_deeply([map { scalar @{ $all->{$_} } } qw(queue failed_tasks resend_requests behind answers put_aside)], [2, 1, 1, 1, 1, 1], 'and the rest');
	like($errors, qr/outside of the database.*backups/s, 'and what is elsewhere');
	($status, $output) = identity_ctl('show', $identity, '--limit', 1);
	like($output, qr/^Subscriptions\nid\t.*\n\S+\t.*\n\nDeliveries in the queue\n/m, 'as tables, no longer than told');

	my $before = $stack->value("SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM subscription t");
	my @statistics = $stack->rows('SELECT messageset_id, sequence_number, lang, run_id, kind, state, created_at, finished_at FROM delivery ORDER BY 1, 2, 3, 4, 5, 6, 7, 8');
	($status, undef, $errors) = identity_ctl('erase', $identity);
	is($status, 0, 'a dry run');
	like($errors, qr/would erase 2 subscriptions, of which 2 are active, with 1 failed tasks and 1 resend requests, cancel 2 deliveries, take address and ids out of 3, and erase 1 stored answers and 1 rows/, 'says what would be done');
	is($stack->value("SELECT md5(string_agg(t::text, '' ORDER BY t::text)) FROM subscription t"), $before, 'and does nothing');

	is_deeply([found_in($identity, $id, SBM::Sink::address_of($identity))], [qw(behind_subscription delivery delivery_queue failed_task idempotency resend_request subscription takeover_aside)], 'these tables have it');
	($status, $output, $errors) = identity_ctl('erase', $identity, '--yes');
	is($status, 0, 'erased') or diag($errors);
	is($output, "erased: 2 subscriptions, 1 stored answers, 1 rows put aside; 5 deliveries are kept without address and ids\n", 'says what was done');
	is_deeply([found_in($identity, $id, $made->{id}, 'Nomvula', SBM::Sink::address_of($identity), $once->{data}{id})], [], 'no table has the identity, its subscriptions, its address');
	my @kept = $stack->rows("SELECT messageset_id, sequence_number, lang, run_id, kind, state, created_at, finished_at FROM delivery WHERE state <> 'cancelled' OR reason <> 'Recipient opted out' OR finished_at < (SELECT max(finished_at) FROM delivery) ORDER BY 1, 2, 3, 4, 5, 6, 7, 8");
	is_deeply(\@kept, \@statistics, 'the statistics are what they were');
	is($stack->value("SELECT count(*) FROM delivery WHERE reason = 'message sender answered 400'"), 1, 'of a reason what the service said is gone');
	is($stack->value('SELECT count(DISTINCT subscription_id) FROM delivery WHERE delivery_id IN (SELECT delivery_id FROM delivery ORDER BY finished_at DESC LIMIT 2)'), 2, 'the history still tells subscriptions apart');
	is(scalar(my @left = subscription($stack, $other)), 1, 'others are left alone');
	cmp_ok($stack->value("SELECT count(*) FROM delivery d JOIN subscription s ON s.id = d.subscription_id WHERE s.identity = '$other' AND d.to_addr IS NOT NULL"), '>', 0, 'their addresses, too');
	($status, undef, $errors) = identity_ctl($_, $identity), is($status, 1, "$_ again"), like($errors, qr/nothing is kept about the identity "\Q$identity\E"/, 'says so') for qw(show erase);
	is((identity_ctl('show', 'x' x 37))[0], 2, 'what is no identity');
	is((identity_ctl('show'))[0], 2, 'none at all');
	is((identity_ctl('show', $identity, '--limit', 'x'))[0], 2, 'no number');
	$stack->ctl('resume', 'schedule', $schedule);
	settled($stack);
	$stack->sql('UPDATE subscription SET active = false WHERE active');
};

# What JSON, SQL, paths and shells could take amiss.
subtest 'identities of odd characters' => sub {
	my @odd = ('a"b\\c', "it's/so?&#;%2F", "\b\f\x01\x1f\x7f\e[1m", "\xc3\xa9\xe2\x80\xa8.", '..', '-x', '{1,2}', 'NULL', 'identity', 'eng_ZA');
	my @answers = map { $stack->post('/api/v1/subscriptions/', { identity => decode_utf8($_), messageset => $set, schedule => $schedule, lang => 'eng_ZA' }, idempotency_key => 'odd-' . unpack 'H*', $_) } @odd;
	is_deeply([grep { $_->{status} != 201 } @answers], [], 'are taken');
	$stack->ctl('pause', 'schedule', $schedule);
	fire($stack, $schedule);
	poll_until { $stack->value('SELECT count(*) FROM delivery_queue WHERE gate IS NOT NULL') == @odd } 'a delivery of each waits';
	my $all = @odd;
	for my $identity (@odd) {
		my $name = unpack 'H*', $identity;
		says(opt_out($identity =~ s/([^\w.-])/sprintf '%%%02X', ord $1/ger), subscriptions => 1, deactivated => 1, cancelled => 1);
		my (undef, $output) = identity_ctl('show', '--json', '--', $identity);
		is(json_of($output)->{counts}{answers}, 1, "$name: one stored answer is its own");
		unlike((identity_ctl('show', '--', $identity))[1], qr/[\x00-\x08\x0b-\x1f\x7f]/, "$name: a terminal is told no control characters");
		my ($status, undef, $errors) = identity_ctl('erase', '--yes', '--', $identity);
		is($status, 0, "$name: erased") or diag($errors);
		is($stack->value('SELECT count(*) FROM subscription WHERE active'), --$all, "$name: nobody else");
	}
	is($stack->value("SELECT count(*) FROM idempotency WHERE key LIKE 'odd-%'"), 0, 'with all answers');
	$stack->ctl('resume', 'schedule', $schedule);
	settled($stack);
};

subtest 'deleted before' => sub {
	my $identity = subscribe($stack, $set, $schedule);
	my $address = SBM::Sink::address_of($identity);
	fire($stack, $schedule);
	settled($stack);
	$stack->delete('/api/v1/subscriptions/' . subscription($stack, $identity)->{id} . '/');
	is((identity_ctl('show', $identity))[0], 1, 'nothing leads there any more');
	my ($status, $output) = identity_ctl('show', $identity, '--address', $address, '--json');
	is_deeply([map { $_->{to_addr} } @{ json_of($output)->{strays} }], [$address], 'but its address');
	like((identity_ctl('erase', $identity, '--address', $address))[2], qr/would erase 0 subscriptions.* out of 1, /, 'a dry run');
	($status, $output) = identity_ctl('erase', $identity, '--address', $address, '--yes');
	like("$status $output", qr/^0 erased: 0 subscriptions.*; 1 deliveries are kept/, 'erased');
	is_deeply([found_in($address)], [], 'nothing is left');
	is((identity_ctl('erase', $identity, '--address', $address, '--yes'))[0], 1, 'not a second time');
	is((identity_ctl('show', $identity, '--address', ''))[0], 2, 'no address');
};

subtest 'erased while its message is on its way' => sub {
	my $identity = subscribe($stack, $set, $schedule);
	$sink->forget;
	$sink->behave(outbound => { delay => 1 });
	fire($stack, $schedule);
	poll_until { scalar(to($identity)) } 'a call is under way';
	my ($status, $output, $errors) = identity_ctl('erase', $identity, '--yes');
	is($status, 0, 'it waits for its end') or diag($errors);
	like($output, qr/^erased: 1 subscriptions,.* 1 deliveries are kept/, 'and erases that, too');
	$sink->behave;
	settled($stack);
	is_deeply([found_in($identity, SBM::Sink::address_of($identity))], [], 'nothing is left');
};

subtest 'one with very many' => sub {
	my $identity = 'hotline';
	$stack->sql("INSERT INTO subscription (identity, messageset_id, schedule_id, lang, created_at) SELECT '$identity', $set, $schedule, 'eng_ZA', '2020-01-01' FROM generate_series(1, 2500);
		INSERT INTO delivery (delivery_id, subscription_id, messageset_id, sequence_number, lang, kind, state, to_addr, tries, created_at, finished_at)
		SELECT gen_random_uuid(), s.id, $set, n, 'eng_ZA', 'next', 'sent', '+27820001001', 0, now(), now() - n * interval '1 minute'
		FROM (SELECT id FROM subscription WHERE identity = '$identity' ORDER BY id LIMIT 20) s, generate_series(1, 450) n");
	$stack->post('/api/v1/failed-tasks/');
	fire($stack, $schedule);
	my ($status, $output, $errors) = identity_ctl('erase', $identity, '--yes');
	is($status, 0, 'erased, in the middle of a run') or diag($errors);
	like($output, qr/^erased: (\d+) subscriptions,/, $output =~ s/\n//r);
	settled($stack, 60);
	is($stack->value("SELECT count(*) FROM subscription WHERE identity = '$identity'"), 0, 'all of it');
	is($stack->value("SELECT count(*) FROM delivery WHERE to_addr = '+27820001001'"), 0, 'in parts');
};

$stack->finish;
done_testing;

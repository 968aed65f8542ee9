#!/usr/bin/perl
# Subscriptions that are behind: found, as a straightforward computation finds them; sent to; moved to where they
# should be. While the daemon sends.
use strict;
use warnings;
use POSIX qw(strftime);
use Test::More;
use SBM::Content;
use SBM::Lifecycle;
use SBM::Stack;

srand 20261123;
my $stack = SBM::Stack->start(clock => 1, write_back => '20ms', sweep => '200ms');
# In the middle of a minute, so that none ends while we look.
$stack->move_clock(30 - time % 60);
my $now = int $stack->now;

sub says {
	my ($words, $status, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($got, $output) = $stack->ctl(@$words);
	is($got, $status, "$name: exit status $status") or diag($output);
	like($output, $pattern, "$name: @$words") if $pattern;
	return $output;
}
sub iso { return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $_[0]) }
# All that a repair may change.
sub state { return $stack->value("SELECT md5((SELECT string_agg(s::text, ' ' ORDER BY id) FROM subscription s) || (SELECT count(*) FROM delivery_queue) || (SELECT count(*) FROM delivery))") }

# None of them fires by itself while the test runs.
my $hour = ((gmtime $now)[2] + 12) % 24;
my @schedules = map { make_schedule($stack, %$_) }
	{ minute => '0', hour => "$hour", day_of_week => '1,4' },
	{ minute => '30', hour => "$hour" },
	{ minute => '*/20', hour => "$hour", day_of_week => '6', day_of_month => '1-20/3' },
	{ minute => '15', hour => "$hour", day_of_month => '2,12,22' };
my $last = make_set($stack, $schedules[1], [map { "Last $_" } 1 .. 4]);
my $middle = make_set($stack, $schedules[2], [map { "Middle $_" } 1 .. 3], next_set => $last);
my $first = make_set($stack, $schedules[0], [map { "First $_" } 1 .. 5], next_set => $middle);
my $alone = make_set($stack, $schedules[3], [map { "Alone $_" } 1 .. 6]);
# Zulu: fewer messages, and none at all in the middle.
make_message($stack, $first, $_, lang => 'zul_ZA', text_content => "Okokuqala $_") for 1 .. 2;
make_message($stack, $last, $_, lang => 'zul_ZA', text_content => "Okokugcina $_") for 1 .. 2;

sub add_subscriptions {
	my ($count, %fixed) = @_;
	my @rows;
	for (1 .. $count) {
		my %s = (set => (($first) x 4, $middle, $last, $alone)[rand 7], schedule => $schedules[rand 4], lang => rand() < 0.8 ? 'eng_ZA' : 'zul_ZA',
			initial => rand() < 0.8 ? 1 : 1 + int rand 4, next => 1 + int rand 5, created => $now - 86400 * 70 * rand() ** 2, state => rand() < 0.9 ? 'true, false, 0' :
			('false, false, 0', 'false, true, 2', 'true, false, -1', 'true, false, 1')[rand 4], %fixed);
		push @rows, sprintf "('%s', %d, %d, '%s', %d, %d, to_timestamp(%.6f), %s)", identity(), @s{qw(set schedule lang initial next created state)};
	}
	$stack->sql('INSERT INTO subscription (identity, messageset_id, schedule_id, lang, initial_sequence_number, next_sequence_number, created_at, active, completed, process_status) VALUES ' . join ', ', @rows);
}
add_subscriptions(400);
my $ready = $stack->value('SELECT count(*) FROM subscription WHERE active AND NOT completed AND process_status = 0');

# { id => subscription } of those that are ready, and the programme.
sub subscriptions {
	my %all;
	for ($stack->rows('SELECT id, messageset_id, schedule_id, lang, initial_sequence_number, next_sequence_number, extract(epoch FROM created_at), identity
		FROM subscription WHERE active AND NOT completed AND process_status = 0')) {
		my %s;
		(my $id, @s{qw(set schedule lang initial next created identity)}) = @$_;
		$all{$id} = \%s;
	}
	return %all;
}
sub programme { return read_programme(sub { $stack->rows($_[0]) }, $now - 86400 * 80, $_[0]) }

# What diff should list.
sub expected {
	my ($end) = @_;
	my $p = programme($end);
	my %all = subscriptions();
	my %behind;
	for my $id (keys %all) {
		my $at = expected_position($p, $all{$id}, $end);
		$behind{$id} = "$at->{behind} $all{$id}{set}/$all{$id}{next} $at->{set}/$at->{number}" if $at->{behind} > 0;
	}
	return \%behind;
}
sub listed {
	my @words = @_;
	my $output = says(['lifecycle', 'diff', '--json', @words], 0, undef, "diff @words");
	my ($json, $rest) = $output =~ /\A(\[.*\n?\])\n(.*)\z/s or return diag($output);
	my %rows = map { $_->{subscription} => "$_->{messages_behind} $_->{current_messageset_id}/$_->{current_sequence_number} $_->{expected_messageset_id}/$_->{expected_sequence_number}" } @{ json_of($json) };
	return (\%rows, $rest);
}

subtest 'diff' => sub {
	my $before = state();
	for my $end ($now, $now - 86400 * 20, $now - 86400 * 200, $now + 86400 * 30) {
		my ($rows, $rest) = listed($end == $now ? () : ('--end-date', iso($end)));
		my $expected = expected($end);
		is_deeply($rows, $expected, 'is what a straightforward computation gives, at ' . iso($end));
		my $count = keys %$rows;
		like($rest, qr/^sbmctl: $count of $ready ready subscriptions are behind, by \d+ messages$/m, 'and counts them');
		cmp_ok($count, '>', 100, 'many are behind') if $end >= $now;
	}
	my ($at_date) = listed('--end-date', strftime('%Y-%m-%d', gmtime $now));
	is_deeply($at_date, expected($now - $now % 86400), 'a date is its beginning');
	is_deeply((listed('--end-date', strftime('%Y%m%d', gmtime $now)))[0], $at_date, "also as the original's command has it");
	is(state(), $before, 'nothing is changed');
};

subtest 'diff of some' => sub {
	my $all = expected($now);
	my ($rows) = listed('--message-set', $first);
	is_deeply($rows, { map { $_ => $all->{$_} } grep { $all->{$_} =~ m{^\d+ $first/} } keys %$all }, 'of one message set');
	($rows) = listed('--message-set', $stack->value("SELECT short_name FROM messageset WHERE id = $middle"), '--limit', 3);
	is_deeply($rows, { map { $_ => $all->{$_} } grep { $all->{$_} =~ m{^[123] $middle/} } keys %$all }, 'of one by its name, and no more than three behind');
	my $lines = says(['lifecycle', 'diff', '--limit', 1], 0, qr/^subscription\tidentity\tlang\tmessages behind\t/, 'as lines');
	is(scalar(grep { /^[0-9a-f-]{36}\t/ } split /\n/, $lines), scalar(grep { /^1 / } values %$all), 'one for each');
	my $counts = says(['lifecycle'], 0, qr/^id\tshort name\tready\tbehind\t/, 'without a word it counts');
	for my $set ($first, $middle, $last, $alone) {
		my @behind = map { /^(\d+) $set\// ? $1 : () } values %$all;
		my $sum = eval { join '+', 0, @behind };
		my ($count, $messages) = (scalar @behind, eval $sum);
		like($counts, qr/^$set\tset\.\d+\t\d+\t$count\t$messages\t/m, "set $set");
	}
};

subtest 'wrong usage' => sub {
	says([qw(lifecycle fly)], 2, qr/expected diff, send or fast-forward, not "fly"/, 'an unknown word');
	says([qw(lifecycle diff --end-date yesterday)], 2, qr/--end-date: expected a date/, 'a date');
	says([qw(lifecycle diff --end-date 20261341)], 2, qr/--end-date/, 'no such date');
	says([qw(lifecycle diff --end-date 2400-01-01)], 2, qr/--end-date/, 'too late');
	says([qw(lifecycle diff --limit 0)], 2, qr/--limit/, 'a limit of nothing');
	says([qw(lifecycle diff --yes)], 2, qr/--yes belongs to/, '--yes with diff');
	says([qw(lifecycle diff --message-set nonsuch)], 1, qr/there is no message set "nonsuch"/, 'an unknown message set');
};

subtest "the API's job" => sub {
	is($stack->post('/api/v1/behind-subscriptions/find_behind_subscriptions/')->{status}, 202, 'asked for');
	poll_until { $stack->value('SELECT count(*) FROM job WHERE finished_at IS NULL') == 0 } 'done';
	my %rows = map { $_->[0] => $_->[1] } $stack->rows("SELECT subscription_id, concat(messages_behind, ' ', current_messageset_id, '/', current_sequence_number, ' ', expected_messageset_id, '/', expected_sequence_number) FROM behind_subscription");
	is_deeply(\%rows, (listed())[0], 'finds the same');
};

# From here on messages go out: nobody waits for content that is not there.
$stack->sql("DELETE FROM subscription WHERE lang = 'zul_ZA' OR next_sequence_number > (SELECT count(*) FROM message m WHERE m.messageset_id = subscription.messageset_id AND m.lang = subscription.lang)");

subtest 'send' => sub {
	my $behind = expected($now);
	my $count = keys %$behind;
	my $before = state();
	says(['lifecycle', 'send'], 0, qr/would queue one message for each of $count subscriptions; give --yes to do it/, 'dry');
	says(['lifecycle', 'send', '--verbose', '--limit', 2], 0, qr/^subscription\tidentity.*give --yes/ms, 'dry, with a list');
	is(state(), $before, 'nothing is changed');
	my @some = grep { $behind->{$_} =~ /^[12] / } keys %$behind;
	my $few = @some;
	my %was = subscriptions();
	$stack->ctl('pause', 'all');
	says(['lifecycle', 'send', '--limit', 2, '--yes'], 0, qr/queued $few messages; 0 had one under way, 0 changed meanwhile/, 'to those that are at most two behind');
	says(['lifecycle', 'send', '--limit', 2, '--yes'], 0, qr/queued 0 messages; $few had one under way/, 'a second time while they wait');
	$stack->ctl('resume', 'all');
	settled($stack);
	my %sent = map { $_->[0] => "$_->[1] $_->[2]/$_->[3]" } $stack->rows('SELECT subscription_id, count(*), min(messageset_id), min(sequence_number) FROM delivery WHERE state = \'sent\' GROUP BY subscription_id');
	is_deeply(\%sent, { map { $_ => "1 $was{$_}{set}/$was{$_}{next}" } @some }, 'each got its next message, once');
};

subtest 'send while a run sends' => sub {
	$stack->sql("DELETE FROM delivery");
	add_subscriptions(1500, lang => 'eng_ZA', set => $first, schedule => $schedules[0], next => 1, initial => 1, state => 'true, false, 0', created => $now - 86400 * 10);
	# All are three to four behind: a message by the run, or by us, or one by each, but no number twice.
	my $pid = fork // die;
	if (!$pid) { exec $^X, '-e', 'exec @ARGV', SBM::Stack::build_dir() . '/src/sbmctl', '-c', $stack->{env}{SBM_CONF}, 'run', 'fire', $schedules[0] }
	says(['lifecycle', 'send', '--message-set', $first, '--yes'], 0, qr/queued \d+ messages/, 'both at once') for 1 .. 3;
	waitpid $pid, 0;
	settled($stack);
	is($stack->value("SELECT count(*) FROM (SELECT FROM delivery WHERE state = 'sent' GROUP BY subscription_id, messageset_id, sequence_number HAVING count(*) > 1) d"), 0, 'no message went twice to anybody');
	is($stack->value("SELECT count(*) FROM subscription s WHERE messageset_id = $first AND created_at = to_timestamp($now - 864000) AND next_sequence_number <> 1 +
		(SELECT count(*) FROM delivery d WHERE d.subscription_id = s.id)"), 0, 'and everybody is behind the last one that she got');
};

subtest 'fast-forward' => sub {
	$stack->sql('DELETE FROM subscription WHERE NOT active');
	my $end = $now + 86400 * 4;
	my @option = ('--end-date', iso($end));
	my $p = programme($end);
	my %all = subscriptions();
	my %expected;
	my ($moved, $completed, $made) = (0, 0, 0);
	for my $s (values %all) {
		next unless expected_position($p, $s, $end)->{behind} > 0;
		my @rows = fast_forwarded($p, $s, $end);
		$moved++;
		$completed++ if $rows[0]{complete};
		$made += $#rows;
		$expected{ $s->{identity} } = join ', ', sort map { sprintf '%d/%d %s since %s', $_->{set}, $_->{number}, $_->{complete} ? 'completed' : 'ready', iso($_->{created}) } @rows;
	}
	cmp_ok($made, '>', 10, 'some have next sets');
	my $before = state();
	my $says = "move $moved subscriptions, complete $completed of them and make $made to follow";
	says(['lifecycle', 'fast-forward', @option], 0, qr/would $says; give --yes to do it/, 'dry');
	is(state(), $before, 'nothing is changed');
	says(['lifecycle', 'fast-forward', @option, '--yes'], 0, qr/moved $moved subscriptions, completed $completed of them and made $made to follow; 0 had a delivery under way, 0 changed meanwhile/, 'done');
	my %got;
	push @{ $got{ $_->[0] } }, "$_->[1] since " . iso($_->[2]) for $stack->rows("SELECT identity, concat(messageset_id, '/', next_sequence_number, CASE WHEN completed AND NOT active AND process_status = 2 THEN ' completed' WHEN active AND process_status = 0 THEN ' ready' ELSE ' broken' END), extract(epoch FROM created_at) FROM subscription");
	is_deeply({ map { $_ => join ', ', sort @{ $got{$_} } } keys %expected }, \%expected, 'all are where they should be, along the chain');
	my $after = state();
	says(['lifecycle', 'fast-forward', @option, '--yes'], 0, qr/0 of \d+ ready subscriptions are behind.*moved 0 subscriptions/s, 'a second time');
	is(state(), $after, 'changes nothing');
};

subtest 'fast-forward while messages are queued' => sub {
	$stack->sql('DELETE FROM subscription');
	my %late = (lang => 'eng_ZA', set => $alone, schedule => $schedules[3], next => 1, initial => 1, state => 'true, false, 0', created => $now - 86400 * 35);
	add_subscriptions(15, %late);
	$stack->ctl('pause', 'all');
	says(['run', 'fire', $schedules[3]], 0, qr/./, 'a run that is paused');
	poll_until { $stack->value('SELECT count(*) FROM delivery_queue') == 15 } 'is queued';
	add_subscriptions(5, %late);
	my $behind = expected($now);
	is(scalar keys %$behind, 20, 'all are behind');
	my $before = state();
	says([qw(lifecycle fast-forward)], 0, qr/15 of them have a delivery under way and would be left .*would move 20 subscriptions/s, 'dry');
	says([qw(lifecycle send)], 0, qr/15 of them have a delivery under way and would be left .*would queue one message for each of 20/s, 'send, dry');
	is(state(), $before, 'nothing is changed');
	says([qw(lifecycle fast-forward --yes)], 0, qr/moved 5 subscriptions, .*; 15 had a delivery under way, 0 changed meanwhile/, 'the others are moved');
	$stack->ctl('resume', 'all');
	settled($stack);
	is($stack->value("SELECT count(*) FROM delivery WHERE messageset_id = $alone AND sequence_number = 1 AND state = 'sent' AND subscription_id IN (SELECT id FROM subscription WHERE messageset_id = $alone)"), 15, 'what was queued goes out as it was');
	says([qw(lifecycle fast-forward --yes)], 0, qr/moved 15 subscriptions, .*; 0 had a delivery under way, 0 changed meanwhile/, 'and then these are moved');
	my %is = subscriptions();
	is_deeply({ map { $_ => "$is{$_}{set}/$is{$_}{next}" } keys %is }, { map { $_ => (split / /, $behind->{$_})[2] } keys %$behind }, 'nobody is ahead');
	$stack->sql('DELETE FROM subscription');
};

subtest 'a loop of message sets' => sub {
	$stack->sql("UPDATE messageset SET next_set_id = $middle WHERE id = $last");
	add_subscriptions(1, lang => 'eng_ZA', set => $middle, schedule => $schedules[1], next => 1, initial => 1, state => 'true, false, 0', created => $now - 86400 * 60);
	my $name = $stack->value("SELECT short_name FROM messageset WHERE id = $middle");
	my $before = state();
	says([qw(lifecycle diff --message-set), $middle], 1, qr/message set \S+ leads back to itself by next_set: \d+ subscriptions? there, counted once around/, 'is told');
	says([qw(lifecycle fast-forward --yes --message-set), $middle], 1, qr/counted once around and not moved/, 'and nobody is moved in it');
	is(state(), $before, 'nothing is changed');
	$stack->sql("UPDATE messageset SET next_set_id = NULL WHERE id = $last");
};

$stack->finish;
done_testing;

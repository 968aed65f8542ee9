#!/usr/bin/perl
# What an administrator mends: subscriptions that were made twice or stand still, notices before the next message,
# failed tasks. While the daemon sends.
use strict;
use warnings;
use Test::More;
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

srand 20261123;
my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, clock => 1, write_back => '20ms', sweep => '200ms');
my $schedule = make_schedule($stack);
my $set = make_set($stack, $schedule, [map { "Message $_" } 1 .. 20]);
my $other = make_set($stack, $schedule, [map { "Other $_" } 1 .. 20]);
my ($name, $other_name) = map { $stack->value("SELECT short_name FROM messageset WHERE id = $_") } $set, $other;

sub says {
	my ($words, $status, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($got, $output) = $stack->ctl(@$words);
	is($got, $status, "$name: exit status $status") or diag($output);
	like($output, $pattern, "$name: @$words") if $pattern;
	return $output;
}
sub state { return $stack->value("SELECT md5(coalesce((SELECT string_agg(s::text, ' ' ORDER BY id) FROM subscription s), '') || (SELECT count(*) FROM delivery_queue) || (SELECT count(*) FROM delivery) || (SELECT count(*) FROM failed_task))") }
sub unchanged(&$) { my ($block, $name) = @_; my $before = state(); $block->(); local $Test::Builder::Level = $Test::Builder::Level + 1; is(state(), $before, $name) }
sub add { my ($rows) = @_; $stack->sql("INSERT INTO subscription (identity, messageset_id, schedule_id, lang, next_sequence_number, created_at, metadata, process_status) VALUES $rows") }
sub content_of { return map { json_of($_->{body})->{content} } grep { json_of($_->{body})->{to_identity} eq $_[0] } $sink->accepted('outbound') }

subtest 'reset' => sub {
	add(join ', ', map { my $s = $_; map { sprintf "('%s', %d, %d, 'eng_ZA', 1, now(), NULL, %d)", identity(), ($set, $other)[$_ % 2], $schedule, $s } 1 .. 9 } 0, 1, -1);
	my $stands = qr/^id\tshort name\tsubscriptions\t.*^$set\t$name\t4\t.*^$other\t$other_name\t5\t/ms;
	unchanged {
		says([qw(subscriptions reset)], 0, $stands, 'what stands still');
		says([qw(subscriptions reset)], 0, qr/would reset 9 subscriptions to ready; give --yes to do it/, 'dry');
		says([qw(subscriptions reset --message-set nonsuch)], 1, qr/no message set "nonsuch"/, 'an unknown set');
		says([qw(subscriptions reset --status 0)], 2, qr/other than 0.*and 2/, 'those that are ready');
		says([qw(subscriptions reset --status x)], 2, qr/process_status/, 'no number');
		says([qw(subscriptions reset --status 7)], 0, qr/no active subscription has process_status 7/, 'none');
	} 'nothing is changed';
	says([qw(subscriptions reset --yes --message-set), $other_name], 0, qr/reset 5 subscriptions/, 'of one set');
	is($stack->value('SELECT count(*) FROM subscription WHERE process_status = 1'), 4, 'the others stand');
	says([qw(subscriptions reset --yes)], 0, qr/reset 4 subscriptions/, 'all');
	says([qw(subscriptions reset --yes --status -1)], 0, qr/reset 9 subscriptions/, 'those without a recipient');
	is($stack->value('SELECT count(*) FROM subscription WHERE process_status = 0'), 27, 'all are ready');
	fire($stack, $schedule);
	settled($stack);
	is(scalar $sink->accepted('outbound'), 27, 'and get their message');
	$stack->sql('DELETE FROM subscription');
};

# { id => id of the first of its group }, by comparing each with all before it.
sub duplicates {
	my ($within, @fields) = @_;
	my (%of, %groups);
	for ($stack->rows("SELECT id, extract(epoch FROM created_at), concat_ws('/', " . join(', ', @fields) . ') FROM subscription WHERE active AND NOT completed ORDER BY created_at, id')) {
		my ($id, $at, $key) = @$_;
		my ($near) = grep { $at - $_->{at} <= $within } @{ $groups{$key} || [] };
		$of{$id} = $near->{first} if $near;
		push @{ $groups{$key} }, { at => $at, first => $near ? $near->{first} : $id };
	}
	return \%of;
}
sub listed {
	my ($output) = says(['subscriptions', 'duplicates', '--json', @_], 0, qr/^\[/, "duplicates @_");
	my ($json) = $output =~ /\A(\[.*?\n?\])\n/s;
	return { map { $_->{subscription} => $_->{duplicate_of} } @{ json_of($json) } };
}

subtest 'duplicates' => sub {
	my @people = map { identity() } 1 .. 60;
	add(join ', ', map { sprintf "('%s', %d, %d, '%s', %d, timestamptz '2026-01-01 00:00+00' + %d * interval '1 second', NULL, 0)", $people[rand @people], ($set, $other)[rand 2], $schedule, rand() < 0.8 ? 'eng_ZA' : 'zul_ZA', 1 + rand 2, rand 600 } 1 .. 700);
	$stack->sql("UPDATE subscription SET active = false WHERE abs(hashtext(id::text)) % 10 = 0");
	my @usual = qw(identity version messageset_id schedule_id lang);
	# The last in order, and the longest that there may be.
	my $longest = "\xe6\x97\xa5" x 36;
	add(join ', ', map { "('$longest', $set, $schedule, 'eng_ZA', 1, timestamptz '2026-01-01 00:00+00', NULL, 0)" } 1, 2);
	unchanged {
		my $found = listed();
		is_deeply($found, duplicates(60, @usual), 'as a straightforward comparison finds them');
		cmp_ok(scalar keys %$found, '>', 50, 'there are many');
		my $count = keys %$found;
		says([qw(subscriptions duplicates)], 0, qr/^subscription\tduplicate of\t.*would remove $count duplicates and keep the oldest of each group; give --yes/ms, 'dry');
		is_deeply(listed(qw(--within 5)), duplicates(5, @usual), 'within five seconds');
		is_deeply(listed(qw(--within 0)), duplicates(0, @usual), 'in the same moment');
		is_deeply(listed(qw(--fields identity)), duplicates(60, 'identity'), 'alike in the identity alone');
		is_deeply(listed(qw(--within 20 --fields), 'identity,messageset,next_sequence_number'), duplicates(20, qw(identity messageset_id next_sequence_number)), 'in other fields');
		says([qw(subscriptions duplicates --fields messageset)], 2, qr/identity must be among them/, 'without the identity');
		says([qw(subscriptions duplicates --fields), 'identity,colour'], 2, qr/"colour" is not one of identity, version/, 'an unknown field');
		says([qw(subscriptions duplicates --within -1)], 2, qr/--within/, 'a time before');
	} 'nothing is changed';

	$stack->sql("DELETE FROM subscription WHERE identity = '$longest'");
	my $found = duplicates(60, @usual);
	my @kept = map { $_->[0] } $stack->rows('SELECT id FROM subscription ORDER BY id');
	@kept = grep { !$found->{$_} } @kept;
	# Under a run.
	$stack->sql("DELETE FROM delivery");
	make_message($stack, $set, $_, lang => 'zul_ZA', text_content => "Umlayezo $_") for 1 .. 3;
	make_message($stack, $other, $_, lang => 'zul_ZA', text_content => "Omunye $_") for 1 .. 3;
	$sink->behave(outbound => { delay => 0.2 });
	fire($stack, $schedule);
	poll_until { $stack->value('SELECT count(*) FROM delivery_queue') > 0 } 'a run is under way';
	my $count = keys %$found;
	says([qw(subscriptions duplicates --fix)], 0, qr/removed $count of $count duplicates/, '--fix');
	is_deeply([map { $_->[0] } $stack->rows('SELECT id FROM subscription ORDER BY id')], \@kept, 'these are gone, and no others');
	$sink->behave(outbound => {});
	settled($stack);
	is($stack->value("SELECT count(*) FROM subscription s WHERE active AND (SELECT count(*) FROM delivery d WHERE d.subscription_id = s.id AND d.state = 'sent') <> 1"), 0, 'each of the others got one message');
	says([qw(subscriptions duplicates --yes)], 0, qr/removed 0 of 0 duplicates/, 'a second time');
	$stack->sql('DELETE FROM subscription');
	$sink->forget;
};

subtest 'a notice' => sub {
	my %who = map { $_ => identity() } qw(plain rich waits odd other);
	my $row = sub { my ($who, $set, $metadata) = @_; return sprintf "('%s', %d, %d, 'eng_ZA', 3, now(), %s, 0)", $who{$who}, $set, $schedule, $metadata ? "'$metadata'" : 'NULL' };
	add(join ', ', $row->('plain', $set), $row->('rich', $set, '{"prepend_next_delivery": null, "source": "hub"}'), $row->('waits', $set, '{"prepend_next_delivery": "Wait!"}'),
		$row->('odd', $set, '[1]'), $row->('other', $other));
	my @command = (qw(subscriptions prepend --message-set), $name, '--text', 'New: {{{lang}}} for {identity}, {messageset} {number}');
	unchanged {
		says(\@command, 0, qr/^for instance: New: \{eng_ZA\} for \S+, \Q$name\E 3\n.*1 of 4 active subscriptions have a notice that waits.*1 have metadata that is no object, or.*would put a notice before the next message of 2 subscriptions; give --yes/ms, 'dry');
		says([qw(subscriptions prepend)], 2, qr/either --audio or --text/, 'nothing to put');
		says([qw(subscriptions prepend --text x --audio http://x)], 2, qr/either/, 'both');
		says([qw(subscriptions prepend --text), '{id} ' x 400], 0, qr/^sbmctl: 4 have metadata.*longer than 4096 bytes, and get none.*of 0 subscriptions/ms, 'a long notice');
		says([qw(subscriptions prepend --text {name})], 2, qr/"\{name\}": fields are \{id\}/, 'an unknown field');
		says([qw(subscriptions prepend --text }x)], 2, qr/fields are/, 'a brace alone');
		says([qw(subscriptions prepend --text), ''], 2, qr/1 to 2000 bytes/, 'an empty text');
		says([qw(subscriptions prepend --text), "\xff"], 2, qr/UTF-8/, 'no UTF-8');
		says([qw(subscriptions prepend --audio notice.mp3)], 2, qr/https:/, 'no address');
		says([qw(subscriptions prepend --audio), 'https://x/a b'], 2, qr/blanks/, 'no address either');
		says([qw(subscriptions prepend --audio https://example.org/{lang}.mp3)], 0, qr/would put a notice before the next message of 0 subscriptions/, 'nobody listens');
	} 'nothing is changed';
	says([@command, '--yes'], 0, qr/put a notice before the next message of 2 subscriptions/, 'put in');
	says([@command, '--yes'], 0, qr/3 of 4 active subscriptions have a notice that waits.*of 0 subscriptions/s, 'a second time');
	same_json($stack->value("SELECT metadata FROM subscription WHERE identity = '$who{rich}'"), { prepend_next_delivery => "New: {eng_ZA} for $who{rich}, $name 3", source => 'hub' }, 'the rest of the metadata stays');
	for my $round (1, 2) { fire($stack, $schedule); settled($stack) }
	is_deeply([content_of($who{plain})], ["New: {eng_ZA} for $who{plain}, $name 3\nMessage 3", 'Message 4'], 'it goes out once');
	is_deeply([content_of($who{waits})], ["Wait!\nMessage 3", 'Message 4'], 'the one that waited was kept');
	is_deeply([content_of($who{other})], ['Other 3', 'Other 4'], 'others get none');
	$stack->sql('DELETE FROM subscription');
	$sink->forget;
};

subtest 'a recording, while a run sends' => sub {
	my $audio = make_set($stack, $schedule, undef, content_type => 'audio');
	my $file = $stack->upload('one.mp3', 'audio/mpeg', 'ID3 one')->{json}{id};
	make_message($stack, $audio, $_, binary_content => $file) for 1 .. 9;
	my $audio_name = $stack->value("SELECT short_name FROM messageset WHERE id = $audio");
	my @people = map { identity() } 1 .. 300;
	add(join ', ', map { "('$_', $audio, $schedule, 'eng_ZA', 1, now(), NULL, 0)" } @people);
	$sink->behave(outbound => { delay => 0.05 });
	fire($stack, $schedule);
	says([qw(subscriptions prepend --yes --audio), 'https://media.example.org/{lang}/{messageset}.mp3', '--message-set', $audio], 0, qr/for instance: https:\/\/media\.example\.org\/eng_ZA\/\Q$audio_name\E\.mp3\n.*of 300 subscriptions/s, 'put in');
	settled($stack);
	for my $round (1, 2) { fire($stack, $schedule); settled($stack) }
	my (%sent, %noticed);
	for (map { json_of($_->{body}) } $sink->accepted('outbound')) {
		my @urls = @{ $_->{metadata}{voice_speech_url} };
		$sent{ $_->{to_identity} }++;
		$noticed{ $_->{to_identity} }++ if @urls == 2 && $urls[0] eq "https://media.example.org/eng_ZA/$audio_name.mp3";
	}
	is_deeply([grep { ($sent{$_} // 0) != 3 } @people], [], 'everybody got three messages');
	is_deeply([grep { ($noticed{$_} // 0) != 1 } @people], [], 'and the notice before one of them');
	$stack->sql('DELETE FROM subscription');
	$sink->behave(outbound => {});
	$sink->forget;
};

subtest 'all of it at once, while runs send' => sub {
	my $next = make_set($stack, $schedule, [map { "Next $_" } 1 .. 6]);
	my $first = make_set($stack, $schedule, [map { "First $_" } 1 .. 6], next_set => $next);
	my $hour = ((gmtime $stack->now)[2] + 12) % 24;
	my $daily = make_schedule($stack, minute => '0', hour => "$hour");
	$stack->sql("INSERT INTO subscription (identity, messageset_id, schedule_id, lang, next_sequence_number, created_at, process_status)
		SELECT 'p' || n / 2, $first, CASE WHEN n % 3 = 0 THEN $daily ELSE $schedule END, 'eng_ZA', 1 + n % 6, now() - n % 100 * interval '1 day', CASE WHEN n % 10 = 0 THEN 1 ELSE 0 END FROM generate_series(1, 4000) n");
	my @commands = ([qw(lifecycle send --yes)], [qw(lifecycle fast-forward --yes --limit 3)], [qw(subscriptions prepend --text Hi --yes)],
		[qw(subscriptions duplicates --within 10000000 --yes)], [qw(subscriptions reset --yes)]);
	my @pids;
	for my $command (@commands) {
		push @pids, fork // die;
		next if $pids[-1];
		my $failed = grep { ($stack->ctl(@$command))[0] } 1 .. 3;
		require POSIX;
		POSIX::_exit($failed);
	}
	fire($stack, $_) for $schedule, $daily, $schedule;
	for my $i (0 .. $#pids) { waitpid $pids[$i], 0; is($?, 0, "three times: @{ $commands[$i] }") }
	settled($stack);
	is($stack->value("SELECT count(*) FROM (SELECT FROM delivery WHERE state = 'sent' GROUP BY subscription_id, messageset_id, sequence_number HAVING count(*) > 1) d"), 0, 'no message went twice to a subscription');
	is($stack->value('SELECT count(*) FROM subscription WHERE process_status = 1'), 0, 'none stands still');
	unlike($stack->log_text('postgres*'), qr/deadlock detected/, 'nobody had to wait for each other');
	$stack->sql('DELETE FROM subscription; DELETE FROM failed_task');
	$sink->forget;
};

subtest 'failed tasks' => sub {
	my $missing = 'Message sending aborted, missing message';
	add(join ', ', map { sprintf "('%s', %d, %d, 'eng_ZA', 21, now(), NULL, 0)", identity(), $_ < 7 ? $set : $other, $schedule } 1 .. 12);
	fire($stack, $schedule);
	settled($stack);
	is($stack->value('SELECT count(*) FROM failed_task'), 12, 'messages that are missing');
	my @ids = map { $_->[0] } $stack->rows("SELECT f.id FROM failed_task f JOIN subscription s ON s.id = f.subscription_id WHERE messageset_id = $set ORDER BY f.id");
	unchanged {
		my (undef, $json) = $stack->ctl(qw(tasks list --json --message-set), $set);
		is_deeply([map { $_->{id} } @{ json_of($json) }], [reverse @ids], 'the list, the newest first');
		says([qw(tasks list --limit 2)], 0, qr/\Aid\ttask id\tsubscription\tmessageset\tkind\tinitiated at\treason\n(?:\d+\t.*\Q$missing\E\n){2}\z/, 'two of them');
		says([qw(tasks list --count)], 0, qr/^$set\t\Q$missing\E\t6\t.*^$other\t\Q$missing\E\t6\t/ms, 'their numbers');
		says([qw(tasks list), $ids[0]], 0, qr/\A.*\n$ids[0]\t.*\n\z/, 'one by its id');
		says([qw(tasks requeue)], 0, qr/would requeue 12 failed tasks, of which 12 belong to subscriptions that are ready; give --yes/, 'requeue, dry');
		says([qw(tasks drop --message-set), $name], 0, qr/would drop 6 failed tasks, whose messages are not tried again; give --yes/, 'drop, dry');
		says([qw(tasks requeue --reason), 'Because'], 0, qr/there are no such failed tasks/, 'none with such a reason');
		says([qw(tasks requeue one)], 2, qr/ids of failed tasks, not "one"/, 'no id');
		says([qw(tasks list --count), 1 .. 1000], 0, qr/^$set\t/m, 'a thousand ids');
		says([qw(tasks list --limit 0)], 2, qr/--limit/, 'no limit');
	} 'nothing is changed';
	$stack->sql("UPDATE failed_task SET reason = E'HTTPError\\n500 Server Error\\tfor url' WHERE id IN ($ids[0], $ids[1])");
	says([qw(tasks list --count)], 0, qr/^$set\tHTTPError 500 Server Error for url\t2\t/m, 'a reason of two lines is listed on one');
	says([qw(tasks drop --reason), 'HTTPError 500 Server Error for url'], 0, qr/would drop 2 failed tasks/, 'and known by that');
	says([qw(tasks drop --reason), "HTTPError\n500 Server Error\tfor url"], 0, qr/would drop 2 failed tasks/, 'or as it is');
	says([qw(tasks drop --yes), @ids[0, 1]], 0, qr/dropped 2 failed tasks/, 'two are dropped');
	make_message($stack, $set, 21, text_content => 'Message 21');
	$stack->sql("UPDATE subscription SET active = false WHERE id = (SELECT subscription_id FROM failed_task WHERE id = $ids[2])");
	$sink->forget;
	says([qw(tasks requeue --yes --message-set), $name, '--reason', $missing], 0, qr/requeued 4 failed tasks as 3 deliveries; 0 had one under way, 1 not ready any more/, 'of one set');
	settled($stack);
	is(scalar $sink->accepted('outbound'), 3, 'goes out now');
	is($stack->value('SELECT count(*) FROM failed_task'), 6, 'the other set is left');
	says([qw(tasks requeue --yes)], 0, qr/requeued 6 failed tasks as 6 deliveries/, 'the rest');
	settled($stack);
	is($stack->value('SELECT count(*) FROM failed_task'), 6, 'fails again, once');
	says([qw(tasks drop --yes)], 0, qr/dropped 6 failed tasks/, 'all are dropped');
	says([qw(tasks drop --yes)], 0, qr/dropped 0 failed tasks/, 'and no more');
};

$stack->finish;
done_testing;

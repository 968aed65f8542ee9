#!/usr/bin/perl
# Taking over from the original: all of it, killed at any moment and begun again, again after the original went on,
# with rows that have no place; and the first run afterwards sends what the original would have sent next.
use strict;
use warnings;
use MIME::Base64 qw(encode_base64);
use POSIX qw(strftime);
use Test::More;
use SBM::Original;
use SBM::Sink;
use SBM::Stack;

# More than come in one batch.
my $SUBSCRIPTIONS = 24_000;
my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, senderd => 0, sweep => '100ms');
$stack->{sink} = $sink;
my $psql = $stack->{env}{SBM_PSQL};
my $original = SBM::Original->make($psql, $SUBSCRIPTIONS);
my $media = "$stack->{dir}/stack/media";

sub import_django { return $stack->ctl('import-django', $original->conninfo, @_) }
# The table that it prints: what => [original, here, put aside, added, changed, removed, checksums, equal].
sub table_of { return map { /^([a-z][a-z ]*)\t(\d.*)$/ ? ($1 => [split /\t/, $2]) : () } split /\n/, $_[0] }
sub all_equal { my %table = table_of($_[0]); return keys %table == 10 && !grep { $_->[-1] ne 'yes' } values %table }

# ---- what it refuses

my ($status, $output) = import_django();
is($status, 1, 'a database with users of its own is refused');
like($output, qr/not empty: there are users \(1\)/, 'which says why');
$stack->sql('DELETE FROM api_user');
($status, $output) = $stack->ctl('import-django', "$psql" =~ /-h (\S+)/ ? "host=$1 user=postgres dbname=postgres" : '');
is($status, 1, 'a database that is not the original\'s is refused');
like($output, qr/no database of the original.*missing: auth_group_permissions\.group_id, /, 'which names what is missing');
($status, $output) = $stack->ctl('import-django', 'host=/nonexistent dbname=x');
like("$status $output", qr/^1 sbmctl: could not connect to the original's database: /, 'one that is not there, too');
is(($stack->ctl('import-django', $original->conninfo, '--fired-until', 'yesterday'))[0], 2, 'a time that is none is wrong usage');
like((import_django('--yes', '--fired-until', strftime('%Y-%m-%dT%H:%M:%SZ', gmtime time + 3600)))[1], qr/^sbmctl: --fired-until: \S+ is to come: the original's data is of /, 'and a time to come, which would keep schedules from firing, is refused');
$stack->sql("INSERT INTO daemon VALUES ('host 1', '1', now(), now())");
like((import_django('--yes'))[1], qr/sbm-senderd runs: host 1; stop it/, 'and while a daemon could send, nothing is done');
$stack->sql('DELETE FROM daemon');

# ---- dry

($status, $output) = import_django();
is($status, 0, 'without --yes it compares');
my %table = table_of($output);
is_deeply([@{ $table{subscriptions} }[0 .. 3]], [$SUBSCRIPTIONS, 0, 0, '-'], 'and tells what there is');
like($output, qr/would take over \d+ rows.*give --yes/, 'and what it would do');
is($stack->value('SELECT count(*) FROM takeover') + $stack->value('SELECT count(*) FROM hold') + $stack->value('SELECT count(*) FROM api_user'), 0, 'and changes nothing');

# ---- ended in the midst of it, and begun again

sub begin_import {
	my ($log) = @_;
	my $pid = fork // die "could not fork: $!\n";
	return $pid if $pid;
	%ENV = (SBM::Stack::clean_environment(), SBM_CONF => $stack->{env}{SBM_CONF});
	open STDOUT, '>', $log;
	open STDERR, '>&', \*STDOUT;
	exec $stack->{env}{STACK_SBMCTL}, 'import-django', $original->conninfo, '--yes' or die;
}

# How: kill -9, or the connection to one of the databases is cut.
my %cut = (original => "application_name = 'sbmctl import-django'", store => "application_name = 'sbmctl'");
my $ended_early = 0;
for (['original', 0], ['kill', 1], ['store', 20_000], ['kill', 20_000]) {
	my ($how, $least) = @$_;
	my $log = "$stack->{dir}/import.log";
	my $pid = begin_import($log);
	my $ended;
	my $there = join ' AND ', map { "EXISTS (SELECT FROM pg_stat_activity WHERE $_)" } values %cut;
	pause_briefly() until ($ended = waitpid $pid, 1) || $stack->value("SELECT $there AND (SELECT count(*) FROM subscription) >= $least") eq 't';
	next if $ended;
	if ($how eq 'kill') { kill KILL => $pid } else { $stack->sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE $cut{$how}") }
	waitpid $pid, 0;
	$ended_early++ if $how eq 'kill' ? ($? & 127) == 9 : $? >> 8 == 1;
	like(SBM::Stack::slurp($log), qr/^sbmctl: .*(?:terminating connection|did not answer|closed the connection)/m, "cut off from the $how, it says so") if $how ne 'kill' && $?;
	# What the server was still at ends with the connection.
	poll_until { $stack->value("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'sbmctl%'") == 0 } "$how with $least there: its connections end";
}
{
	my $pid = begin_import("$stack->{dir}/import.log");
	pause_briefly() until $stack->value("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'");
	kill STOP => $pid;
	($status, $output) = import_django('--yes', '--put-aside');
	like("$status $output", qr/^1 sbmctl: another import-django is at this database/, 'two at once: the second one does nothing');
	kill KILL => $pid;
	waitpid $pid, 0;
	poll_until { $stack->value("SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'sbmctl%'") == 0 } 'its connections end';
}
cmp_ok($ended_early, '>=', 3, "it was ended in the midst of it $ended_early times");
cmp_ok($stack->value('SELECT count(*) FROM subscription'), '>', 0, 'some have come');
($status, $output) = import_django('--yes');
is($status, 3, 'begun again, it comes to its end; files are missing') or diag($output);
ok(all_equal($output), 'and all is equal') or diag($output);
like($output, qr/binary content 11: there is no file "20160501100101500000.mp3" in /, 'a missing file is named');
like($output, qr/^12 files are missing/m, 'all are counted');
like($output, qr/^\d+ subscriptions are in the midst of a send/m, 'those in the midst of a send are counted');
%table = table_of($output);
cmp_ok($table{subscriptions}[3], '<', $SUBSCRIPTIONS, 'the rows that had come before were not written again');

# ---- what has come

is_deeply([$stack->rows('SELECT id::text, next_sequence_number, process_status, md5(metadata::text), created_at, updated_at, created_by_id FROM subscription ORDER BY id LIMIT 500')],
	[$original->rows('SET timezone TO UTC; SELECT id::text, next_sequence_number, process_status, md5(metadata::text), created_at, updated_at, created_by_id FROM subscriptions_subscription ORDER BY id LIMIT 500')],
	'subscriptions with ids, positions, metadata and times');
is_deeply([$stack->rows('SELECT id, short_name, label, next_set_id, default_schedule_id, channel FROM messageset ORDER BY id')],
	[$original->rows('SELECT id, short_name, label, next_set_id, default_schedule_id, channel FROM contentstore_messageset ORDER BY id')], 'message sets');
is($stack->value('SELECT month_of_year FROM schedule WHERE id = 5'), '*', 'an empty cron field is a *, as the original takes it');
is($stack->value('SELECT text_content FROM message WHERE id = 101'), $original->value('SELECT text_content FROM contentstore_message WHERE id = 101'), 'texts with tabs, quotes and all');
is_deeply([$stack->rows(q{SELECT username, is_staff, is_active, array_to_string(permissions, ',') FROM api_user ORDER BY id})], [
	['admin', 't', 't', 'can_find_behind_subscriptions,view_behindsubscription'], ['hub@example.org', 'f', 't', ''], ['operator', 'f', 't', 'view_behindsubscription'],
	['scheduler', 'f', 't', 'can_find_behind_subscriptions,view_behindsubscription'], ['former', 't', 'f', ''],
], 'users with their permissions, also a group\'s and a superuser\'s');
my %next = map { $_ => $stack->value("SELECT nextval(pg_get_serial_sequence('$_', 'id'))") } qw(api_user schedule messageset binarycontent message failed_task);
is_deeply(\%next, { api_user => 10, schedule => 7, messageset => 8, binarycontent => 23, message => 245, failed_task => 481 }, 'the sequences stand behind the ids');
is($stack->value("SELECT count(*) FROM pg_indexes WHERE tablename = 'subscription'"), 6, 'the indexes are there again');
is($stack->value("SELECT count(*) FROM pg_constraint WHERE conrelid = 'subscription'::regclass AND contype = 'f' AND convalidated"), 4, 'the foreign keys, too');
is_deeply([map { $_->[0] } $stack->rows('SELECT scope FROM hold')], ['all'], 'sending is paused');
my @keys = map { $_->[0] } $original->rows('SELECT key FROM authtoken_token');
my @found = grep { index($stack->sql('SELECT * FROM api_token; SELECT * FROM takeover_aside; SELECT * FROM takeover_token'), $_) >= 0 } @keys;
is_deeply(\@found, [], 'no token is kept as it is');

# ---- users come in

my $admin = $original->value("SELECT t.key FROM authtoken_token t WHERE user_id = 1");
my $hub = $original->value("SELECT t.key FROM authtoken_token t WHERE user_id = 2");
my $former = $original->value("SELECT t.key FROM authtoken_token t WHERE user_id = 9");
sub with { return (authorization => $_[0]) }
is($stack->get('/api/v1/schedule/1/', with("Token $admin"))->{status}, 200, 'a token lets in');
is($stack->get('/api/v1/schedule/1/', with("Token $former"))->{status}, 401, 'one of a user who is not active does not');
is($stack->get('/api/v1/schedule/1/', with('Basic ' . encode_base64('admin:correct horse', '')))->{status}, 200, 'a password of the original does');
is($stack->get('/api/v1/schedule/1/', with('Basic ' . encode_base64('admin:wrong', '')))->{status}, 401, 'a wrong one does not');
is($stack->post('/api/v1/user/token/', { email => 'new@example.org' }, with("Token $hub"))->{status}, 403, 'who was no staff is none');
$stack->{token} = $admin;

# ---- the original goes on; a second pass

for my $name (map { $_->[0] } $original->rows('SELECT content FROM contentstore_binarycontent')) {
	open my $out, '>', "$media/$name" or die "could not write \"$media/$name\": $!\n";
}
$original->sql(q{
	UPDATE subscriptions_subscription SET next_sequence_number = next_sequence_number + 1, updated_at = now() WHERE schedule_id = 2 AND active;
	UPDATE subscriptions_subscription SET process_status = 0 WHERE process_status = 1;
	INSERT INTO contentstore_schedule (minute, hour, day_of_week, day_of_month, month_of_year) VALUES ('5', '5', '*', '*', '*');
	INSERT INTO contentstore_messageset (short_name, label, default_schedule_id, next_set_id, content_type, created_at, updated_at) VALUES ('new.set', '', 7, 1, 'text', now(), now());
	UPDATE contentstore_messageset SET next_set_id = 8 WHERE id = 3;
	UPDATE contentstore_messageset SET short_name = CASE id WHEN 1 THEN 'x' ELSE 'y' END WHERE id IN (1, 7);
	UPDATE contentstore_messageset SET short_name = CASE id WHEN 1 THEN 'whatsapp.mother.1' ELSE 'prebirth.mother.1' END WHERE id IN (1, 7);
	UPDATE contentstore_message SET sequence_number = sequence_number + 100 WHERE id IN (101, 102);
	UPDATE contentstore_message SET sequence_number = CASE id WHEN 101 THEN 2 ELSE 1 END WHERE id IN (101, 102);
	UPDATE contentstore_message SET metadata = '{"weight": 1.500}' WHERE id = 103;
	DELETE FROM subscriptions_resendrequest WHERE message_id = 104;
	DELETE FROM contentstore_message WHERE id = 104;
	INSERT INTO contentstore_message (id, messageset_id, sequence_number, lang, text_content, metadata, created_at, updated_at) VALUES (900, 1, 4, 'eng_ZA', 'a new text', '{}', now(), now());
	INSERT INTO subscriptions_subscription SELECT md5('late' || n)::uuid, 'late-' || n, 1, 1, 'eng_ZA', true, false, 0, '{}', now(), now(), 2, 2, 8, 7, 1 FROM generate_series(1, 100) n;
	DELETE FROM subscriptions_behindsubscription;
	DELETE FROM subscriptions_subscriptionsendfailure WHERE id <= 10;
	DELETE FROM subscriptions_resendrequest WHERE id <= 10;
	DELETE FROM subscriptions_subscription WHERE id = md5('subscription2')::uuid;
	DELETE FROM authtoken_token WHERE user_id = 4;
	INSERT INTO authtoken_token VALUES (md5('fresh') || left(md5('one'), 8), now(), 4);
	UPDATE auth_user SET is_staff = true WHERE id = 3;
	UPDATE contentstore_schedule SET day_of_month = '1-7' WHERE id = 6;
});
($status, $output) = import_django('--yes');
is($status, 0, 'a second pass') or diag($output);
ok(all_equal($output), 'makes all equal again') or diag($output);
%table = table_of($output);
is_deeply([@{ $table{subscriptions} }[3, 5], @{ $table{messages} }[3 .. 5], @{ $table{tokens} }[3 .. 5], $table{users}[4]], [100, 1, 1, 3, 1, 1, 0, 1, 1], 'it tells what it added, changed and removed');
is($stack->value("SELECT content->>'identity' FROM takeover_aside WHERE entity = 'subscription' AND kind = 'deleted'"), $original->value("SELECT md5('identity1')::uuid"), 'what was removed is kept aside');
is($stack->get('/api/v1/schedule/1/', with('Token ' . $original->value("SELECT md5('fresh') || left(md5('one'), 8)")))->{status}, 200, 'a new token lets in');
like($output, qr/^schedule 6 \(15 9 1-7 \* 1\): it restricts day_of_month and day_of_week; .*either/m, 'it names a schedule that will be fired on other days');
($status, $output) = import_django('--yes');
%table = table_of($output);
is_deeply([map { @{ $table{$_} }[3 .. 5] } sort keys %table], [(0) x 30], 'a third pass finds nothing to do');

# Most go, which makes all that follows quicker, too.
$original->sql(q{
	CREATE TEMP TABLE gone AS SELECT id FROM subscriptions_subscription WHERE created_at < (SELECT max(created_at) - interval '3 days' FROM subscriptions_subscription WHERE created_at < '2019-01-01');
	DELETE FROM subscriptions_subscriptionsendfailure WHERE subscription_id IN (SELECT id FROM gone);
	DELETE FROM subscriptions_resendrequest WHERE subscription_id IN (SELECT id FROM gone);
	SET LOCAL session_replication_role = replica;
	DELETE FROM subscriptions_subscription WHERE id IN (SELECT id FROM gone);
});
($status, $output) = import_django('--yes');
%table = table_of($output);
ok(all_equal($output) && $table{subscriptions}[5] > 5_000, 'thousands are removed') or diag($output);

# ---- rows that have no place

$original->sql(q{
	ALTER TABLE subscriptions_subscription DROP CONSTRAINT subscriptions_subscription_messageset_id_fkey;
	INSERT INTO contentstore_schedule (id, minute, hour, day_of_week, day_of_month, month_of_year) VALUES (60, '0', '6', 'mon-fri', '*', '*');
	INSERT INTO contentstore_messageset (id, short_name, label, default_schedule_id, content_type, created_at, updated_at) VALUES (61, 'by.name', '', 60, 'text', now(), now());
	INSERT INTO contentstore_messageset (id, short_name, label, default_schedule_id, next_set_id, content_type, created_at, updated_at) VALUES (62, 'before', '', 1, 61, 'text', now(), now());
	INSERT INTO contentstore_message (id, messageset_id, sequence_number, lang, text_content, metadata, created_at, updated_at) VALUES (910, 61, 1, 'eng_ZA', 'x', '{}', now(), now());
	INSERT INTO subscriptions_subscription SELECT md5('bad' || n)::uuid, 'bad-' || n, 1, 1, 'eng_ZA', true, false, 0, NULL, now(), now(), 2, 2, 60 + n, 1, 1 FROM generate_series(1, 3) n;
	INSERT INTO subscriptions_subscriptionsendfailure (task_id, initiated_at, reason, subscription_id) VALUES (md5('bad')::uuid, now(), 'x', md5('bad1')::uuid);
	UPDATE authtoken_token SET key = 'by-hand' WHERE user_id = 9;
});
($status, $output) = import_django('--yes');
is($status, 1, 'they stop it');
like($output, qr/^api_token of user 9: it is not of 40 hex digits/m, 'with the reason');
unlike($output, qr/by-hand/, 'that shows no token');
like($output, qr/1 of the tokens cannot be taken over.*--put-aside/, 'and what to do');
$original->sql("UPDATE authtoken_token SET key = md5('a') || left(md5('b'), 8) WHERE user_id = 9");
like((import_django('--yes'))[1], qr/^schedule 60: day_of_week: .*1 of the schedules cannot/ms, 'the next one, mended the first');
($status, $output) = import_django('--yes', '--put-aside');
is($status, 3, 'with --put-aside it goes on, and says that something wants a look') or diag($output);
ok(all_equal($output), 'all is equal but for those') or diag($output);
is_deeply([map { "$_->[0] $_->[1]" } $stack->rows("SELECT entity, row_id FROM takeover_aside WHERE kind = 'refused' ORDER BY 1, 2")],
	['failed_task 481', 'message 910', 'messageset 61', 'messageset 62', 'schedule 60', (map { 'subscription ' . $_->[0] } sort { $a->[0] cmp $b->[0] } $original->rows("SELECT md5('bad' || n)::uuid FROM generate_series(1, 3) n"))],
	'they, and what needs them, are put aside');
like($output, qr/^8 rows were put aside/m, 'which is told');
is($stack->value("SELECT reason FROM takeover_aside WHERE entity = 'messageset' AND row_id = '62'"), 'its next set 61 is not there', 'each with its reason');
$original->sql(q{UPDATE contentstore_schedule SET day_of_week = '1-5' WHERE id = 60; DELETE FROM subscriptions_subscription WHERE messageset_id = 63});
($status, $output) = import_django('--yes');
is($status, 0, 'mended, they come') or diag($output);
is($stack->value("SELECT count(*) FROM takeover_aside WHERE kind = 'refused'") . $stack->value("SELECT count(*) FROM subscription WHERE identity LIKE 'bad-%'"), '02', 'and nothing is aside any more');

# One that others here depend on already.
$original->sql("UPDATE contentstore_schedule SET day_of_week = 'mon-fri' WHERE id = 2");
($status, $output) = import_django('--yes', '--put-aside');
ok($status == 3 && all_equal($output), 'a schedule that cannot be read any more goes, with all that is on it') or diag($output);
is($stack->value('SELECT count(*) FROM schedule WHERE id = 2') + $stack->value('SELECT count(*) FROM messageset WHERE id = 3') + $stack->value('SELECT count(*) FROM subscription WHERE schedule_id = 2'), 0, 'nothing of it is left');
$original->sql("UPDATE contentstore_schedule SET day_of_week = '1-5' WHERE id = 2");
($status, $output) = import_django('--yes');
ok($status == 0 && all_equal($output), 'and comes back') or diag($output);

# ---- another original

my $other = SBM::Original->make($psql, 10, 'other');
$other->sql("UPDATE django_migrations SET applied = applied + interval '1 day'");
like(($stack->ctl('import-django', $other->conninfo, '--yes'))[1], qr/begun to be taken over from another original/, 'another original is refused');

# ---- an older one, without what came late

$other->sql(q{
	DROP TABLE subscriptions_resendrequest, subscriptions_estimatedsend, subscriptions_subscriptionsendfailure;
	ALTER TABLE contentstore_message DROP COLUMN metadata;
	ALTER TABLE contentstore_messageset DROP COLUMN channel, DROP COLUMN label;
	ALTER TABLE contentstore_schedule DROP COLUMN scheduler_schedule_id;
});
SBM::Original::run($psql, '-c "CREATE DATABASE older OWNER sbm"');
{
	local $ENV{SBM_DATABASE} = $original->conninfo =~ s/user=\S+ dbname=\S+/user=sbm dbname=older/r;
	is(($stack->ctl('migrate', '--dir', SBM::Stack::source_dir() . '/sql/migrations'))[0], 0, 'a store for an older original');
	($status, $output) = $stack->ctl('import-django', $other->conninfo, '--yes');
	is($status, 0, 'it comes, too') or diag($output);
	ok(all_equal($output), 'and all is equal') or diag($output);
}

# ---- the cut-over: the next run sends what the original would have sent

($status, $output) = import_django('--yes', '--fired-until', '2026-01-05T08:30:00Z');
like($output, qr/^all schedules count as fired up to 2026-01-05T08:30:00Z$/m, 'it tells where the scheduler goes on');
is($stack->value('SELECT checked_to FROM schedule_tick WHERE schedule_id = 2') =~ s/[+]00$//r, '2026-01-05 08:30:00', 'schedules count as fired until then');
# Few enough to be sent quickly: those of one schedule that were made last.
$original->sql(q{UPDATE subscriptions_subscription SET active = false WHERE schedule_id = 6 AND created_at < (SELECT max(created_at) - interval '2 days' FROM subscriptions_subscription WHERE schedule_id = 6)});
# Of two schedules one fired before the original fired no more, and one since; the others do not while this runs.
my $now = time;
my $month = ((gmtime)[4] + 6) % 12 + 1;
my ($before, $since) = map { my (undef, $minute, $hour) = gmtime $_; "minute = '$minute', hour = '$hour', day_of_week = '*', day_of_month = '*', month_of_year = '*'" } $now - 1800, $now - 600;
$original->sql("UPDATE contentstore_schedule SET month_of_year = '$month'; UPDATE contentstore_schedule SET $before WHERE id = 5; UPDATE contentstore_schedule SET $since WHERE id = 7");
import_django('--yes', '--fired-until', strftime('%Y-%m-%dT%H:%M:%SZ', gmtime $now - 1200));
my @expected = $original->rows(q{
	SELECT s.identity, concat(s.metadata->>'prepend_next_delivery' || E'\n', m.text_content), m.metadata, t.channel
	FROM subscriptions_subscription s
	JOIN contentstore_messageset t ON t.id = s.messageset_id
	JOIN contentstore_message m ON m.messageset_id = s.messageset_id AND m.lang = s.lang AND m.sequence_number = s.next_sequence_number
	WHERE s.schedule_id = 6 AND s.active AND NOT s.completed AND s.process_status = 0} =~ s/concat\((.*?), m\.text_content\)/replace(replace(concat($1, m.text_content), E'\\n', '\\n'), E'\\t', '\\t')/r);
cmp_ok(scalar @expected, '>', 500, 'the original would send ' . @expected);
is(($stack->ctl('resume', 'all'))[0], 0, 'sending is resumed');
$stack->up(senderd => 1);
$stack->{token} = $admin;
is($stack->post('/api/v1/schedule/6/send/', {})->{status}, 202, 'the schedule is fired');
poll_until { ($stack->value('SELECT count(*) FROM run WHERE schedule_id = 6 AND finished_at IS NOT NULL') // 0) == 1 } 'and sent', 60;
sub sent_as { my ($body) = @_; return [$body->{to_identity}, $body->{content} =~ s/\n/\\n/gr =~ s/\t/\\t/gr, json_text($body->{metadata}), $body->{channel} // ''] }
sub json_text { return JSON::PP->new->canonical->encode($_[0]) }
my @sent = map { join "\0", @{ sent_as(JSON::PP->new->utf8->decode($_->{body})) } } $sink->accepted('outbound');
my @wanted = map { my @row = @$_; utf8::decode($row[1]); join "\0", $row[0], $row[1], json_text(JSON::PP->new->decode($row[2])), $row[3] } @expected;
is_deeply([sort @sent], [sort @wanted], 'the sink got what the original would have sent next, each once');
poll_until { $stack->value('SELECT count(*) FROM run WHERE schedule_id = 7 AND finished_at IS NOT NULL') == 1 } 'a firing that fell between the two services is made up';
is_deeply([$stack->rows("SELECT schedule_id, extract(epoch FROM minute)::bigint / 60, source FROM run WHERE schedule_id <> 6")], [[7, int(($now - 600) / 60), 'scheduler']],
	'once, and nothing that the original had fired');
like((import_django('--yes'))[1], qr/sbm-senderd runs/, 'and the take-over has ended');

$stack->finish;
done_testing;

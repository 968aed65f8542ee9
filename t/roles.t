#!/usr/bin/perl
# The roles of PostgreSQL: each program has what it needs, which all tests show, since t/stack gives each its own; and
# no more, which this one does.
use strict;
use warnings;
use Test::More;
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, sweep => '100ms', write_back => '20ms');
my $schedule = make_schedule($stack);
my $set = make_set($stack, $schedule, ['One', 'Two', 'Three']);
subscribe($stack, $set, $schedule);
fire($stack, $schedule);
settled($stack);
is(scalar $sink->accepted('outbound'), 1, 'messages are sent');
is_deeply([$stack->rows("SELECT DISTINCT usename, split_part(application_name, ' ', 1) FROM pg_stat_activity WHERE datname = 'sbm' AND application_name LIKE 'sbm%' ORDER BY 1")],
	[['sbm_api', 'sbm-api'], ['sbm_senderd', 'sbm-senderd']], 'each program under its own role');

# What the database says to a statement of a role: '' when it was done.
sub refusal {
	my ($role, $sql) = @_;
	my ($error) = eval { $stack->sql("SET ROLE $role;\nBEGIN;\n$sql;\nROLLBACK;\n"); '' } // $@ =~ /ERROR:\s+(.*)/;
	return $error;
}
sub may { my ($role, $sql, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; is(refusal($role, $sql), '', "$role: $name") }
sub may_not { my ($role, $sql, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; like(refusal($role, $sql), qr/permission denied|must be owner|must be superuser/, "$role: not $name") }

for my $role (qw(sbm_api sbm_senderd sbm_read)) {
	may_not($role, 'DROP TABLE delivery_queue', 'drop a table');
	may_not($role, 'ALTER TABLE subscription ADD COLUMN more text', 'change a table');
	may_not($role, 'TRUNCATE subscription', 'empty a table');
	may_not($role, 'CREATE TABLE more (n integer)', 'make a table');
	may_not($role, 'CREATE TEMP TABLE more (n integer)', 'make one for itself');
	may_not($role, 'DELETE FROM delivery', 'remove history');
	may_not($role, "UPDATE delivery SET state = 'sent'", 'rewrite history');
	may_not($role, 'DELETE FROM schema_migration', 'touch the record of migrations');
	may_not($role, "UPDATE api_user SET password = ''", 'change passwords');
	may_not($role, "COPY subscription TO PROGRAM 'cat'", 'run programs');
	may_not($role, "INSERT INTO takeover_index VALUES ('x')", 'have statements run by a take-over');
	may_not($role, 'SELECT FROM takeover_user', 'see what a take-over has on its way');
	may_not($role, 'SELECT * FROM takeover_user', 'read what a take-over brings');
	may($role, 'SELECT count(*) FROM invariant', 'look at the invariants');
	is($stack->value("SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls FROM pg_roles WHERE rolname = '$role'"), 'f', "$role: no attributes");
	is($stack->value("SELECT count(*) FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member WHERE r.rolname = '$role'"), 0, "$role: a member of nothing");
}

may_not('sbm_api', 'DELETE FROM api_user', 'remove users');
may_not('sbm_api', 'UPDATE api_token SET revoked_at = NULL', 'revive tokens');
may_not('sbm_api', 'UPDATE guard SET mark = 0', 'touch the guard');
may_not('sbm_api', 'SELECT delivery_months_drop(now())', 'drop months of history');
may('sbm_api', "UPDATE subscription SET lang = 'afr_ZA'", 'change subscriptions');

may_not('sbm_senderd', 'SELECT password FROM api_user', 'read password hashes');
may_not('sbm_senderd', 'SELECT * FROM api_token', 'read tokens');
may_not('sbm_senderd', 'SELECT body FROM idempotency WHERE false FOR UPDATE', 'touch stored answers');
may_not('sbm_senderd', "UPDATE message SET text_content = ''", 'change messages');
may_not('sbm_senderd', "UPDATE schedule SET minute = '*'", 'change schedules');
may_not('sbm_senderd', 'DELETE FROM messageset', 'remove sets');
may_not('sbm_senderd', 'DELETE FROM hold', 'end a pause');
may('sbm_senderd', "SELECT delivery_month_make(now() + interval '20 months')", 'make months of history');
may('sbm_senderd', "SELECT delivery_months_drop(now() - interval '20 months')", 'drop months of history');
is($stack->value("SELECT string_agg(DISTINCT pg_get_userbyid(relowner), ' ') FROM pg_class WHERE relname ~ '^delivery'"), 'sbm', 'which the owner owns');

may_not('sbm_read', 'SELECT password FROM api_user', 'read password hashes');
may_not('sbm_read', 'SELECT digest FROM api_token', 'read the digests of tokens');
may_not('sbm_read', 'SELECT * FROM idempotency', 'read stored answers');
may_not('sbm_read', 'INSERT INTO hold (scope) VALUES (\'all\')', 'pause');
may('sbm_read', 'SELECT username FROM api_user', 'read the names of users');
may('sbm_read', 'SELECT * FROM run, delivery, subscription', 'read the rest');

# A role that is nobody's does not get in.
$stack->sql('CREATE ROLE somebody LOGIN');
my ($status, $output) = SBM::Stack::run('/bin/sh', '-c', $stack->{env}{SBM_PSQL} =~ s/-U postgres/-U somebody/r . ' -Atc "SELECT 1" 2>&1');
isnt($status, 0, 'others are refused');
like($output, qr/permission denied for database/, 'by the database');

# What grants.sql names is there, so that no name in it is out of date.
my $grants = SBM::Stack::slurp(SBM::Stack::source_dir() . '/sql/grants.sql');
my %there = map { $_->[0] => 1 } $stack->rows("SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace");
is_deeply([grep { !$there{$_} } $grants =~ /^ {12}"(\w+)":/mg], [], 'every table that grants.sql names is there');

# A new table is covered by the next migrate; run again, it changes nothing.
$stack->sql('SET ROLE sbm; CREATE TABLE brand_new (n integer)');
may_not('sbm_api', 'SELECT * FROM brand_new', 'read a table that no migrate has seen');
my $rights = sub { return [$stack->rows("SELECT relname, relacl FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname <> 'brand_new' AND NOT relispartition ORDER BY 1")] };
my $before = $rights->();
($status, $output) = $stack->ctl('migrate', '--dir', SBM::Stack::source_dir() . '/sql/migrations');
is($status, 0, 'migrate') or diag($output);
is_deeply($rights->(), $before, 'the rights are the same');
may($_, 'SELECT * FROM brand_new', 'read a new table') for qw(sbm_api sbm_senderd sbm_read);
$stack->sql('DROP TABLE brand_new');

$stack->finish;
$sink->stop;
done_testing;

#!/usr/bin/perl
# Every statement of sql/queries prepares against the migrated schema.
use strict;
use warnings;
use File::Temp qw(tempdir);
use Test::More;
use SBM::Stack;

my $stack = SBM::Stack->start(senderd => 0);
my $source = SBM::Stack::source_dir();

# As the programs send them: parts that several share are pasted in.
my $generated = tempdir(CLEANUP => 1) . '/queries';
system("$source/sql/gen-queries", $generated, glob "$source/sql/queries/*.sql") == 0 or die "could not run gen-queries\n";
my @statements;
for (split /\n/, SBM::Stack::slurp("$generated.c")) {
	if (/^\t\[DB_Q_\w+\] = \{"(\w+)",$/) {
		push @statements, { name => $1, text => '' };
	} elsif (my ($line) = /^\t\t"(.*)\\n"/) {
		$statements[-1]{text} .= $line =~ s/\\(["\\])/$1/gr . "\n";
	}
}
cmp_ok(scalar @statements, '>', 50, 'there are statements: ' . @statements);

# One session for all, each error told by the statement's name. Some are for the original's tables.
my $script = "CREATE SCHEMA original;\nSET search_path = original;\n" . SBM::Stack::slurp("$source/t/original/schema.sql") . "SET search_path = public, original;\n";
$script .= "\\set ON_ERROR_STOP off\n\\set VERBOSITY terse\n";
for my $statement (@statements) {
	my $text = $statement->{text} =~ s/;\s*\z//r;
	$script .= "\\echo == $statement->{name}\nPREPARE \"$statement->{name}\" AS\n$text;\n";
}
my $output = $stack->sql($script);
my %problem;
my $current = '';
for (split /\n/, $output) {
	if (/^== (\S+)/) { $current = $1 } elsif (/ERROR|FATAL/) { $problem{$current} //= $_ }
}
# What cannot be prepared at all: transaction control, locks and DDL.
my $utility = qr/^\s*(?:BEGIN|COMMIT|ROLLBACK|SET|LOCK|CREATE|ALTER|DROP|TRUNCATE|COPY)\b/i;
for my $statement (@statements) {
	next if $statement->{text} =~ $utility;
	ok(!$problem{ $statement->{name} }, "$statement->{name} can be prepared") or diag($problem{ $statement->{name} });
	unlike($statement->{text}, qr/\bLIMIT \$\d/i, "$statement->{name}: no LIMIT by parameter, which a generic plan takes for the whole table") if $statement->{name} =~ /claim/;
}
my %used;
for my $file (glob "$source/src/*/*.[ch]") {
	my $text = SBM::Stack::slurp($file);
	$used{ lc $1 } = 1 while $text =~ /\bDB_Q_(\w+)/g;
}
is_deeply([grep { !$used{$_} } map { $_->{name} } @statements], [], 'each statement is used');

# The tables that the original has too keep its columns.
my %columns = (
	schedule => 'id minute hour day_of_week day_of_month month_of_year', messageset => 'id short_name label content_type channel default_schedule_id created_at updated_at',
	message => 'id messageset_id sequence_number lang metadata text_content created_at updated_at', binarycontent => 'id',
	subscription => 'id identity version messageset_id schedule_id initial_sequence_number next_sequence_number lang active completed process_status metadata created_at updated_at created_by_id',
	failed_task => 'id task_id initiated_at reason subscription_id',
	behind_subscription => 'id messages_behind current_messageset_id current_sequence_number expected_messageset_id expected_sequence_number created_at subscription_id',
	resend_request => 'id', estimated_send => 'id',
);
for my $table (sort keys %columns) {
	my %there = map { $_->[0] => 1 } $stack->rows("SELECT column_name FROM information_schema.columns WHERE table_name = '$table'");
	is_deeply([grep { !$there{$_} } split ' ', $columns{$table}], [], "$table has the original's columns");
}

# A send must leave the subscription's indexes alone, so that its update is HOT.
my @touched = $stack->rows("SELECT i.relname, a.attname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
	JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey)
	WHERE x.indrelid = 'subscription'::regclass AND a.attname IN ('next_sequence_number', 'updated_at', 'metadata', 'process_status')");
is_deeply(\@touched, [], 'no index of subscription has a column that a send changes');

$stack->finish;
done_testing;

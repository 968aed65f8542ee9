#!/usr/bin/perl
# The sample programme: well formed, loaded through the API, loaded again without a change, and sent.
use strict;
use warnings;
use utf8;
use Encode qw(encode_utf8);
use Test::More;
use SBM::Content;
use SBM::Stack;

my $source = SBM::Stack::source_dir();
my $stack = SBM::Stack->start(clock => 1, write_back => '20ms');
my $programme = json_of(SBM::Stack::slurp("$source/t/programme/programme.json"));
my @sets = @{ $programme->{sets} };

subtest 'loaded' => sub {
	my ($status, $output) = SBM::Stack::run("$source/t/programme/load", $stack->{url}, $stack->{token});
	is($status, 0, 'through the API') or diag($output);
	like($output, qr/^8 message sets, 4 schedules, 549 messages in 3 languages/, 'and says what');
	note($output);
	is($stack->value('SELECT count(*) FROM message'), 549, 'all messages are there');
	is($stack->value('SELECT count(*) FROM binarycontent'), 27 + 9, 'recordings and pictures, too');
	is($stack->value('SELECT count(*) FROM messageset a JOIN messageset b ON b.id = a.next_set_id'), 5, 'the chain of sets');
	($status, $output) = SBM::Stack::run("$source/t/programme/load", $stack->{url}, $stack->{token});
	is($status, 0, 'a second time');
	like($output, qr/\b0 files sent; 0 records made, 0 changed, 561 kept/, 'nothing changes');
};

subtest 'every message fits' => sub {
	my @rows = $stack->rows("SELECT s.short_name, m.sequence_number, m.lang, length(m.text_content), m.text_content FROM message m JOIN messageset s ON s.id = m.messageset_id");
	is_deeply([grep { $_->[3] > 160 } @rows], [], 'into 160 characters');
	my %times;
	$times{ $_->[4] }++ for @rows;
	is_deeply([grep { $times{$_} > 1 } keys %times], [], 'no text is there twice');
	for my $set (@sets) {
		my @counts = map { $_->[0] } $stack->rows("SELECT count(*) FROM message m JOIN messageset s ON s.id = m.messageset_id WHERE s.short_name = '$set->{short_name}' GROUP BY m.lang");
		is(scalar @counts, 3, "$set->{short_name} has three languages");
		is_deeply([@counts[1, 2]], [@counts[0, 0]], 'with as many messages each');
	}
	my @days = $stack->rows("SELECT DISTINCT s.day_of_week FROM schedule s JOIN messageset m ON m.default_schedule_id = s.id");
	is(scalar @days, 4, 'one, two, three and seven days a week');
};

subtest 'out as a sheet, and in again' => sub {
	my $sheet = "$stack->{dir}/sheet.csv";
	is(($stack->ctl('content', 'lint'))[1], "nothing was found in 549 messages of 8 message sets\n", 'nothing is wrong with it');
	like(($stack->ctl('content', 'export', '--output', $sheet))[1], qr/^549 messages/, 'all of it');
	my $before = $stack->value('SELECT md5(string_agg(m::text, chr(10) ORDER BY id)) FROM message m');
	like(($stack->ctl('content', 'import', $sheet, '--yes', '--remove'))[1], qr/nothing to change\n.*549 rows as stored/, 'in again');
	is($stack->value('SELECT md5(string_agg(m::text, chr(10) ORDER BY id)) FROM message m'), $before, 'changes nothing');
	$stack->sql('DELETE FROM message');
	like(($stack->ctl('content', 'import', $sheet, '--yes'))[1], qr/added 549, changed 0 and removed 0/, 'into empty sets');
	$stack->ctl('content', 'export', '--output', "$sheet.again");
	is(SBM::Stack::slurp("$sheet.again"), SBM::Stack::slurp($sheet), 'gives the same');
};

subtest 'somebody goes through the first two weeks with her baby' => sub {
	my %set = map { $_->{short_name} => $_ } @{ $stack->get('/api/v1/messageset/')->{json}{results} };
	my $first = $set{'baby.firstweeks'};
	my $identity = subscribe($stack, $first->{id}, $first->{default_schedule}, lang => 'zul_ZA', metadata => { to_addr => '+27820001001' });
	for my $day (1 .. 14) {
		fire($stack, $first->{default_schedule});
		settled($stack);
	}
	my @sent = map { json_of($_) } split /\n/, SBM::Stack::slurp("$stack->{dir}/stack/outbound.log");
	@sent = map { $_->{payload} || $_->{body} || $_ } @sent;
	is(scalar @sent, 14, 'fourteen messages are in the log of what went out');
	is($sent[0]{content}, 'Siyakwamukela, mntwana! Nawe mama, wenze kahle. Namuhla nidinga ukufudumala, ubisi nokuphumula kuphela.', 'in her language');
	is($sent[0]{to_addr}, '+27820001001', 'to her address');
	my @all = subscription($stack, $identity);
	is_deeply([map { $_->{messageset} } @all], [map { $set{$_}{id} } qw(baby.firstweeks baby.early)], 'then she is in the next set');
	is_deeply([map { $_->{completed} ? 1 : 0 } @all], [1, 0], 'the first one is completed');
};

$stack->finish;
done_testing;

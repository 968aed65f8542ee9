#!/usr/bin/perl
# Messages as a sheet: out, through a translator's hands, and in again; and message sets cloned.
use strict;
use warnings;
use utf8;
use Encode qw(encode_utf8 decode_utf8 encode);
use Test::More;
use SBM::Content;
use SBM::Stack;

my $stack = SBM::Stack->start(senderd => 0, clock => 1);
my $schedule = make_schedule($stack);
my $HEAD = 'messageset,sequence_number,lang,text_content,binary_content,metadata';
my $serial = 0;

# sbmctl content WORDS: exit status, standard output and standard error.
sub content {
	my (@words) = @_;
	my $errors = "$stack->{dir}/stderr";
	my ($status, $output) = SBM::Stack::run('/bin/sh', '-c', 'exec "$@" 2>"$0"', $errors, SBM::Stack::build_dir() . '/src/sbmctl', '-c', $stack->{env}{SBM_CONF}, 'content', @words);
	return ($status, $output, SBM::Stack::slurp($errors));
}

sub export {
	my (@words) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $output, $errors) = content('export', @words);
	is($status, 0, "export @words") or diag($errors);
	return $output;
}

sub sheet_file {
	my ($bytes) = @_;
	my $path = "$stack->{dir}/sheet" . ++$serial . '.csv';
	open my $out, '>:raw', $path or die "could not write \"$path\": $!\n";
	print $out utf8::is_utf8($bytes) ? encode_utf8($bytes) : $bytes;
	close $out;
	return $path;
}

# Imports a text: exit status, and both outputs with the file's name left out.
sub import_text {
	my ($text, @words) = @_;
	my $path = sheet_file($text);
	my ($status, $output, $errors) = content('import', $path, @words);
	return ($status, map { s/\Q$path\E/FILE/gr } $output, $errors);
}

sub imports {
	my ($text, $words, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, $output, $errors) = import_text($text, @$words);
	is($status, 0, $name) or diag($errors);
	like($errors, $pattern, "$name: the sums") or diag($output);
	return $output;
}

# All errors of a sheet, one line each.
sub refused {
	my ($text, $wanted, $name, @words) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = state_of();
	my ($status, undef, $errors) = import_text($text, '--yes', @words);
	is($status, 1, "$name: refused");
	my @lines = split /\n/, decode_utf8($errors);
	my $count = @$wanted;
	like(pop @lines // '', qr/^sbmctl: nothing was changed: the sheet has $count errors?$/, "$name: how many errors");
	is_deeply([grep { $lines[$_] !~ $wanted->[$_] } 0 .. $#$wanted], [], "$name: row and column of each") or diag(encode_utf8(join "\n", @lines));
	is(scalar @lines, $count, "$name: no more of them");
	is(state_of(), $before, "$name: nothing was written");
}

sub state_of { return $stack->value("SELECT md5(coalesce(string_agg(m::text, E'\\n' ORDER BY id), '')) FROM message m") }

my $plain = make_set($stack, $schedule, undef, short_name => 'plain');
my $audio = make_set($stack, $schedule, undef, short_name => 'audio, "late"', content_type => 'audio');
my $chat = make_set($stack, $schedule, undef, short_name => 'chat', channel => 'WhatsApp');
my @files = map { $stack->upload("tone$_.mp3", 'audio/mpeg', "ID3$_")->{json} } 1 .. 3;
my @names = map { $_->{content} =~ m{([^/]+)$} } @files;

subtest 'an empty store' => sub {
	is(export(), "$HEAD\r\n", 'is a head alone');
	imports("$HEAD\r\n", ['--yes'], qr/nothing to change/, 'which changes nothing');
};

subtest 'filled from a sheet' => sub {
	my $sheet = join "\r\n", $HEAD, 'plain,1,eng_ZA,"Hello, mother",,', 'plain,1,zul_ZA,Sawubona,,"{""b"": 1.10, ""a"": [null]}"',
		'plain,2,eng_ZA,"two' . "\n" . 'lines with ""quotes""",,', "\"audio, \"\"late\"\"\",1,eng_ZA,,$names[0],", 'chat,1,fra_FR,"à bientôt; 🌱",,', '';
	my ($status, $output, $errors) = import_text($sheet);
	is($status, 0, 'a dry run');
	like($errors, qr/would add 5, change 0 and remove 0 messages; give --yes/, 'says what would be done');
	is($stack->value('SELECT count(*) FROM message'), 0, 'and does nothing');
	like($output, qr/^new\tplain\t1\teng_ZA\t-$/m, 'it lists them');
	imports($sheet, ['--yes'], qr/added 5, changed 0 and removed 0/, 'done');
	my ($message) = @{ $stack->get("/api/v1/message/?messageset=$plain&sequence_number=2")->{json}{results} };
	is($message->{text_content}, "two\nlines with \"quotes\"", 'a text with everything in it');
	is($stack->value("SELECT metadata FROM message WHERE lang = 'zul_ZA'"), '{"a": [null], "b": 1.10}', 'metadata with every digit');
	is($stack->value("SELECT binary_content_id FROM message WHERE messageset_id = $audio"), $files[0]{id}, 'a file by its name');
	my $export = export();
	is_deeply([map { s/,.*//sr } split /\r\n/, $export =~ s/"[^"]*(?:""[^"]*)*"/q/gr], ['messageset', 'q', 'chat', ('plain') x 3], 'the export is in the order of sets');
};

# Texts that spreadsheets, or readers of CSV, could take amiss.
my @odd = ('=1+1', '+27820001001', '-5', '@home', "'quoted'", "'=1+1", "''-x", " =x", "\ttab", 'a "b" c', '""', "\"\n\"", 'a;b', ' blanks around ', "line\r\nline\nline\r", "\x{feff}mark", 'é🙂', 'NULL', '\\N', '{}', "'", '');
subtest 'the way there and back is exact' => sub {
	my $n = 100;
	for my $text (@odd) {
		my $quoted = encode_utf8($text) =~ s/'/''/gr;
		$stack->sql("INSERT INTO message (messageset_id, sequence_number, lang, text_content, metadata, updated_at) VALUES ($plain, " . $n++ . ", 'eng_ZA', '$quoted', '$n', '2026-01-01')");
	}
	$stack->sql(encode_utf8 "INSERT INTO message (messageset_id, sequence_number, lang, text_content, binary_content_id, metadata) VALUES
		($plain, -3, '=1+1', NULL, $files[1]{id}, '\"=x\"'), ($plain, 99, 'afr_ZA', NULL, NULL, '{\"a\": 1e3, \"\\\\u00e9\": \"\\\\u0001\"}'), ($plain, 98, 'afr_ZA', 'It’s', NULL, 'null')");
	# The API makes no such names; an older store may have them.
	my $padded = $stack->value("INSERT INTO messageset (short_name, default_schedule_id) VALUES (' padded ', $schedule) RETURNING id");
	$stack->sql("INSERT INTO message (messageset_id, sequence_number, lang, text_content) VALUES ($padded, 1, 'xh ', 'Molo'), ($padded, 1, 'xh', 'Molweni')");
	my $before = state_of();
	my $export = export();
	unlike($export, qr/(?:^|,)"?[=+\-@\t](?!\d+,)/m, 'no field begins like a formula');
	is($export =~ /[^\r]\n/ ? 1 : 0, 1, 'newlines within texts stay as they are');
	$stack->advance_clock(3600);
	my $rows = $stack->value('SELECT count(*) FROM message');
	for my $way (['as it is', $export], ['with a byte order mark', "\xef\xbb\xbf$export"], ['with blank lines', "\r\n$export\r\n,,,,,\r\n"]) {
		imports($way->[1], ['--yes', '--remove'], qr/nothing to change\n.*\b$rows rows as stored/, $way->[0]);
		is(state_of(), $before, 'not even updated_at');
	}
	is(export(), $export, 'the same bytes again');
	for my $separator (qw(semicolon tab)) {
		my $other = export('--separator', $separator, '--bom');
		like($other, qr/^\xef\xbb\xbfmessageset/, "$separator: with a mark when asked for");
		isnt($other, $export, 'other bytes');
		imports($other, ['--yes', '--remove', '--separator', $separator], qr/nothing to change/, "$separator: and back");
	}
	# A spreadsheet that quotes every field loses the difference between no text and an empty one.
	my $all_quoted = join "\n", map { join ',', map { /^"/ ? $_ : "\"$_\"" } /\G((?:"(?:[^"]|"")*"|[^,"]*))(?:,|$)/g } grep { !/\n|\r/ } split /\r\n/, $export;
	imports($export =~ s/,,/,"",/gr =~ s/,,/,"",/gr =~ s/,\r\n/,""\r\n/gr, ['--yes'], qr/nothing to change/, 'every empty field in quotes');
	is(state_of(), $before, 'nothing is touched');

	# Into a store that has nothing.
	$stack->sql('CREATE TABLE kept AS SELECT messageset_id, sequence_number, lang, text_content, binary_content_id, metadata FROM message');
	$stack->sql(encode_utf8 "DELETE FROM message WHERE NOT (text_content IS NULL AND binary_content_id IS NULL OR text_content = '' OR text_content ~ '^\\s|\\s\$|\x{2019}' OR messageset_id <> $plain)");
	imports($export, ['--yes'], qr/added \d+, changed 0/, 'what is gone comes back');
	is($stack->value('SELECT count(*) FROM (SELECT messageset_id, sequence_number, lang, text_content, binary_content_id, metadata FROM message EXCEPT SELECT * FROM kept) x'), 0, 'as it was');
	is(export(), $export, 'to the byte');
	$stack->sql("DROP TABLE kept; DELETE FROM message WHERE sequence_number NOT IN (1, 2); DELETE FROM messageset WHERE id = $padded");
};

subtest 'a translator fills it in' => sub {
	my $sheet = decode_utf8(export('--message-set', 'plain', '--lang', 'eng_ZA', '--add-lang', 'fra_FR', '--add-lang', 'fra_FR'));
	is_deeply([grep { /fra_FR/ } split /\r\n/, $sheet], ['plain,1,fra_FR,,,', 'plain,2,fra_FR,,,'], 'rows to be filled in');
	imports($sheet, ['--yes'], qr/nothing to change\nsbmctl: 2 rows as stored, 2 not filled in/, 'left empty they are nothing');
	$sheet =~ s/plain,1,fra_FR,,,/plain, 1 ,fra_FR,  Bonjour maman !\x{a0},,/;
	my $output = imports($sheet, ['--yes'], qr/added 1, changed 0 and removed 0.*\n.*1 not filled in/, 'one is filled in');
	is($output, "action\tmessageset\tsequence number\tlang\tcolumns\nnew\tplain\t1\tfra_FR\t-\n", 'and listed');
	is($stack->value("SELECT text_content FROM message WHERE lang = 'fra_FR' AND messageset_id = $plain"), 'Bonjour maman !', 'blanks around it are dropped');
	my @before = $stack->rows('SELECT id, updated_at FROM message ORDER BY id');
	$stack->advance_clock(60);
	imports("lang,sequence_number,messageset,text_content\nzul_ZA,1,plain,Sanibonani\n", ['--yes'], qr/changed 1/, 'a sheet of fewer columns in another order');
	is($stack->value("SELECT text_content || metadata::text FROM message WHERE lang = 'zul_ZA'"), 'Sanibonani{"a": [null], "b": 1.10}', 'leaves the others alone');
	my %after = map { @$_ } $stack->rows('SELECT id, updated_at FROM message ORDER BY id');
	is(scalar(grep { $after{ $_->[0] } ne $_->[1] } @before), 1, 'one row has another updated_at');
	my ($status, $json) = import_text("$HEAD\nplain,1,zul_ZA,Molo,$names[2],\n", '--json');
	is_deeply(json_of($json), [{ action => 'changed', messageset => 'plain', sequence_number => 1, lang => 'zul_ZA', columns => ['text_content', 'binary_content', 'metadata'] }], 'as JSON');
};

subtest 'removal only when asked for' => sub {
	my $sheet = "messageset,sequence_number,lang,text_content\nplain,1,eng_ZA,Hello again\n";
	imports($sheet, [], qr/would add 0, change 1 and remove 0/, 'without --remove');
	my $output = imports($sheet, ['--remove'], qr/would add 0, change 1 and remove 1/, 'with it');
	like($output, qr/^removed\tplain\t2\teng_ZA\t-$/m, 'what is listed is of this set and language alone');
	imports($sheet, ['--remove', '--yes'], qr/changed 1 and removed 1/, 'done');
	is($stack->value("SELECT count(*) FROM message WHERE messageset_id = $plain"), 3, 'other languages stay');
};

subtest 'errors' => sub {
	my ($status, undef, $errors) = content('import', "$stack->{dir}/nowhere.csv");
	is($status, 1, 'a file that is not there');
	like($errors, qr/nowhere\.csv/, 'is named');
	refused('', [qr/^FILE: the file is empty/], 'an empty file');
	refused(encode('UTF-16', "$HEAD\n"), [qr/^FILE: the file is UTF-16/], 'UTF-16');
	refused(encode_utf8("$HEAD\nplain,1,eng_ZA,ok,,\n") . "plain,2,fra_FR,caf\xe9,,\n", [qr/^FILE: line 3 of the file holds bytes that are not UTF-8/], 'Latin-1');
	refused("$HEAD\nplain,1,eng_ZA,\0,,\n", [qr/^FILE: line 2 of the file holds/], 'a NUL');
	refused("$HEAD\nplain,1,eng_ZA,say \"hi\",,\n", [qr/^FILE: row 2: line 2 of the file: there is a quote within a field/], 'a stray quote');
	refused("$HEAD\nplain,1,eng_ZA,\"a\nb,,\n", [qr/^FILE: row 2: line 2 of the file: the quote that opens a field here is never closed/], 'an open quote');
	refused("plain,1,eng_ZA,Hello,,\n", [qr/^FILE: row 1, messageset: the column is missing/, qr/^FILE: row 1, sequence_number/, qr/^FILE: row 1, lang/, (qr/^FILE: row 1: there is no column "/) x 4], 'no head');
	refused("messageset;sequence_number;lang;text_content\n", [(qr/missing/) x 3, qr/^FILE: row 1: there is no column/, qr/^FILE: row 1: the columns seem to be separated otherwise; try --separator semicolon/], 'semicolons');
	refused("$HEAD,lang,comment\n", [qr/^FILE: row 1, lang: the column is there twice/, qr/^FILE: row 1: there is no column "comment"/], 'columns');
	refused("$HEAD\r\n\r\n" . join("\r\n", 'plain,1,eng_ZA,Fine,,', 'nobody,1,eng_ZA,Text,,', 'plain,x,eng_ZA,Text,,', 'plain,3,,Text,,', 'plain,3,english_ZA,Text,,',
		'plain,4,eng_ZA,It’s “so”,,', 'chat,2,eng_ZA,"a', 'b",,', 'plain,5,eng_ZA,,nothing.mp3,', 'plain,6,eng_ZA,Text,,{a}', 'plain,7,eng_ZA,Text,,1e999', 'plain,1,eng_ZA,Twice,,',
		'plain,8,eng_ZA,one, two,,,x', 'plain,1,fra_FR,,,', 'plain,99999999999,eng_ZA,x,,', 'plain,9,eng_ZA,,,"{""a"": 1}"', 'plain,10,eng_ZA,x,,"""\\u0000"""', ''),
		[qr/^FILE: row 4, messageset: there is no message set "nobody"/, qr/^FILE: row 5, sequence_number: "x" is not a whole number/, qr/^FILE: row 6, lang: this must be filled in/,
		qr/^FILE: row 7, lang: "english_ZA" is longer than 6/, qr/^FILE: row 8, text_content: Text "It’s “so”" has special characters.*: ’ “ ”/, qr/^FILE: row 9, text_content: Text for WhatsApp/,
		qr/^FILE: row 10, binary_content: there is no binary content with the file "nothing\.mp3"/, qr/^FILE: row 11, metadata: this is not JSON/, qr/^FILE: row 12, metadata: .*too large/,
		qr/^FILE: row 13: message 1 of plain in eng_ZA is in row 3 already/, qr/^FILE: row 14: the row has more fields/, qr/^FILE: row 15, text_content: a message must have a text or a file/,
		qr/^FILE: row 16, sequence_number/, qr/^FILE: row 17, text_content: a message must have/, qr/^FILE: row 18, metadata: this is not JSON/], 'all at once');
	my (undef, undef, $many) = import_text("$HEAD\n" . join '', map { "plain,a$_,eng_ZA,x,,\n" } 1 .. 250);
	my @lines = split /\n/, $many;
	is(scalar @lines, 102, 'no more than a hundred are listed');
	is_deeply([@lines[100, 101]], ['FILE: and 150 more', 'sbmctl: nothing was changed: the sheet has 250 errors'], 'but counted');
	is((content('import'))[0], 2, 'no file named');
	is((content('export', '--separator', 'dot'))[0], 2, 'no such separator');
	is((content('export', '--message-set', 'nobody'))[0], 1, 'no such message set');
	is((content('export', '--output', "$stack->{dir}/no/where.csv"))[0], 1, 'no such directory');
	open my $huge, '>', "$stack->{dir}/huge.csv" or die;
	truncate $huge, 129 << 20;
	like(join(' ', content('import', "$stack->{dir}/huge.csv")), qr/^1 .*huge\.csv" is larger than 128 MiB; take it in by parts/s, 'a file that is too large');
	like(join(' ', content('export', '--output', '/dev/full')), qr/^1 .*could not write \/dev\/full/s, 'a full disk');
};

subtest 'from standard input, and many' => sub {
	my $text = join "\n", 'messageset,sequence_number,lang,text_content', map({ "chat,$_,swa_KE,Habari $_" } 1 .. 3000), '';
	my ($status, $output) = SBM::Stack::run('/bin/sh', '-c', "exec '" . SBM::Stack::build_dir() . "/src/sbmctl' -c '$stack->{env}{SBM_CONF}' content import - --yes 2>&1 >/dev/null <'" . sheet_file($text) . "'");
	like($output, qr/added 3000, changed 0/, 'added');
	is($stack->value("SELECT count(*) FROM message WHERE lang = 'swa_KE' AND text_content = 'Habari ' || sequence_number"), 3000, 'all of them as they are');
	my $export = export('--message-set', $chat, '--lang', 'swa_KE');
	is(scalar(split /\r\n/, $export), 3001, 'and out again');
};

subtest 'sheets that somebody spoilt' => sub {
	my @pieces = ('"', ',', "\n", "\r", "'", '=', '""', ';', "\xc3", "\xef\xbb\xbf", "\0", '9' x 30, 'x' x 300, '{"a":', '\\', '');
	my $sheet = export('--message-set', 'plain');
	srand 5;
	my (%ended, @odd_ends);
	for (1 .. 80) {
		my $spoilt = $sheet;
		substr $spoilt, rand length $spoilt, rand 6, $pieces[rand @pieces] for 0 .. rand 4;
		my ($status, undef, $errors) = import_text($spoilt);
		$ended{$status}++;
		push @odd_ends, "$status $errors" unless $status == 1 ? $errors =~ /^sbmctl: nothing was changed: the sheet has/m : $status == 0 && $errors =~ /^sbmctl: (?:would|there is nothing)/m;
	}
	is_deeply(\@odd_ends, [], 'each is taken, or refused with its errors');
	cmp_ok($ended{$_} // 0, '>', 0, "exit status $_: $ended{$_} of them") for 0, 1;
};

subtest 'clone' => sub {
	$stack->patch("/api/v1/messageset/$plain/", { next_set => $chat, notes => 'Notes', label => 'Plain' });
	is((content('clone', 'nobody', 'new'))[0], 1, 'what is not there');
	is((content('clone', 'plain', 'chat'))[0], 1, 'to what is there');
	is((content('clone', 'plain', ' new'))[0], 2, 'a name with blanks around it');
	is((content('clone', 'plain', 'x' x 101))[0], 2, 'a name that is too long');
	my ($status, undef, $errors) = content('clone', 'plain', 'plain.2');
	like("$status $errors", qr/^0 sbmctl: would make the message set "plain\.2" with 3 messages/, 'a dry run');
	is($stack->value("SELECT count(*) FROM messageset WHERE short_name = 'plain.2'"), 0, 'does nothing');
	($status, my $output) = content('clone', 'plain', 'plain.2', '--label', 'Plain, anew', '--yes');
	like("$status $output", qr/^0 message set \d+ "plain\.2" has 3 messages$/, 'done');
	my ($old, $new) = map { my $name = $_; $stack->get("/api/v1/messageset/?short_name=$name")->{json}{results}[0] } 'plain', 'plain.2';
	is_deeply([@$new{qw(label notes next_set default_schedule content_type channel)}], ['Plain, anew', 'Notes', $chat, $schedule, 'text', undef], 'the set');
	my ($from, $to) = map { export('--message-set', $_) } 'plain', 'plain.2';
	is($to =~ s/^plain\.2,/plain,/gmr, $from, 'its messages');
	is((content('clone', 'plain', 'plain.2', '--yes'))[0], 1, 'not a second time');
};

$stack->expect_log(qr/prog=sbmctl/);
$stack->finish;
done_testing;

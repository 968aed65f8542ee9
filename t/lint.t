#!/usr/bin/perl
# What sbmctl content lint finds in content, one rule after the other, and that it finds nothing in what is well.
use strict;
use warnings;
use utf8;
use Encode qw(encode_utf8 decode_utf8);
use Test::More;
use SBM::Content;
use SBM::Stack;

my $stack = SBM::Stack->start(senderd => 0);
my $schedule = make_schedule($stack);

# Exit status, and the findings as "rule set number lang: detail".
sub lint {
	my (@words) = @_;
	my ($status, $output) = $stack->ctl('content', 'lint', '--json', @words);
	return ($status, map { my $f = $_; join(' ', map { $_ // '-' } @$f{qw(rule messageset sequence_number lang)}) . ": $f->{detail}" } @{ json_of($output) });
}

sub finds {
	my ($wanted, $name, @words) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($status, @found) = lint(@words);
	is($status, @$wanted ? 1 : 0, "$name: exit status");
	is(scalar @found, scalar @$wanted, "$name: how many") or return diag(encode_utf8(join "\n", @found));
	is_deeply([grep { $found[$_] !~ $wanted->[$_] } 0 .. $#found], [], $name) or diag(encode_utf8(join "\n", @found));
}

# Past the rules of the API.
sub put { my ($set, $number, $text, $lang) = @_; $stack->sql(encode_utf8("INSERT INTO message (messageset_id, sequence_number, lang, text_content) VALUES ($set, $number, '" . ($lang // 'eng_ZA') . "', " . (defined $text ? "'$text'" : 'NULL') . ')')) }
sub away { my ($set) = @_; $stack->sql("UPDATE messageset SET next_set_id = NULL; DELETE FROM messageset WHERE id = $set") }

my $file = $stack->upload('tone.mp3', 'audio/mpeg', 'ID3')->{json};
my $good = make_set($stack, $schedule, ['One', 'Two'], short_name => 'good');
make_message($stack, $good, $_, lang => 'zul_ZA', text_content => "Okwe-$_") for 1, 2;
make_message($stack, $good, 3, lang => $_, text_content => 'Three', binary_content => $file->{id}) for qw(eng_ZA zul_ZA);

subtest 'nothing' => sub {
	my ($status, $output) = $stack->ctl('content', 'lint');
	is("$status $output", "0 nothing was found in 6 messages of 1 message sets\n", 'is what is well');
	finds([], 'as JSON');
};

subtest 'sequences and languages' => sub {
	my $set = make_set($stack, $schedule, ['One', 'Two'], short_name => 'gaps');
	put($set, $_, "Text $_") for 5, 6, 9;
	finds([qr/^gap gaps - -: no language has 3, 4, 7, 8; whoever/], 'numbers that no language has');
	put($set, $_, "Text $_") for 3, 4, 7, 8;
	put($set, $_, "Umbhalo $_", 'zul_ZA') for 1, 2, 8;
	finds([qr/^language gaps - zul_ZA: lacks 3-7, 9, which/], 'what one language lacks');
	finds([qr/^language gaps/], 'of this set', '--message-set', 'gaps');
	finds([], 'of another set', '--message-set', $good);
	finds([], 'a rule that is ignored', '--ignore', 'language');
	put($set, $_, "Umbhalo $_", 'zul_ZA') for 3 .. 7, 9;
	put($set, 0, 'Nothing'), put($set, -2, 'Less', 'zul_ZA');
	finds([qr/^number gaps -2 zul_ZA: comes before/, qr/^number gaps 0 eng_ZA/, qr/^language gaps - eng_ZA: lacks -2/, qr/^language gaps - zul_ZA: lacks 0/], 'numbers below 1');
	away($set);
	$set = make_set($stack, $schedule, [], short_name => 'hollow');
	finds([qr/^empty_set hollow - -: has no messages/], 'a set without messages');
	away($set);
};

subtest 'texts and files of messages' => sub {
	my $set = make_set($stack, $schedule, ['One'], short_name => 'texts');
	put($set, 2, undef), put($set, 3, " \n "), put($set, 4, 'It’s');
	make_message($stack, $set, 5, binary_content => $file->{id});
	finds([qr/^empty_text texts 2 eng_ZA: has no text/, qr/^empty_text texts 3/, qr/^special texts 4 eng_ZA: .*: ’$/, qr/^empty_text texts 5 eng_ZA: has a picture/], 'texts');
	away($set);
	$set = make_set($stack, $schedule, undef, short_name => 'voice', content_type => 'audio');
	put($set, 1, 'It’s said, not read' x 100);
	my $lost = $stack->upload('lost.mp3', 'audio/mpeg', 'ID3')->{json};
	my ($name) = $lost->{content} =~ m{([^/]+)$};
	make_message($stack, $set, 2, binary_content => $lost->{id});
	unlink "$stack->{dir}/stack/media/$name" or die "could not remove $name: $!\n";
	finds([qr/^audio_file voice 1 eng_ZA: is an audio message without a file/, qr/^file_gone voice 2 eng_ZA: its file "\Q$name\E" of binary content $lost->{id} is not in/], 'files');
	away($set);
	my $unused = $stack->upload('unused.mp3', 'audio/mpeg', 'ID3')->{json};
	my ($first, $second) = map { my ($id, $n) = @$_; qr/^file_unused - - -: no message has binary content $id with the file "\Q$n\E"/ }
		sort { $a->[1] cmp $b->[1] } map { [$_->{id}, $_->{content} =~ m{([^/]+)$}] } $lost, $unused;
	finds([$first, $second], 'files that no message has');
	my (undef, @found) = lint();
	is(scalar(grep { /not in the media directory either/ } @found), 1, 'one of them is not there either');
	$stack->sql("DELETE FROM binarycontent WHERE id IN ($lost->{id}, $unused->{id})");
};

subtest 'texts that do not fit' => sub {
	my $set = make_set($stack, $schedule, undef, short_name => 'long');
	put($set, 1, 'a' x 459), put($set, 2, 'a' x 460), put($set, 3, 'a' x 200 . 'ê'), put($set, 4, 'ç' . 'a' x 201), put($set, 5, '€' x 230);
	finds([qr/^too_long long 2 eng_ZA: takes 4 SMS: 460 GSM-7 septets$/, qr/^too_long long 4 eng_ZA: takes 4 SMS: 202 UCS-2 units, because of "ç"$/, qr/^too_long long 5 eng_ZA: takes 4 SMS: 460 GSM-7/], 'more than 3 SMS');
	finds([], 'more than 4', '--sms-parts', 4);
	finds([(qr/^too_long long/) x 5], 'more than 1', '--sms-parts', 1);
	away($set);
	$set = make_set($stack, $schedule, undef, short_name => 'chat', channel => 'WHATSAPP_1');
	put($set, 1, 'é' x 1024), put($set, 2, 'é' x 1025), put($set, 3, "a\nb");
	finds([qr/^too_long chat 2 eng_ZA: has 1025 characters; WhatsApp takes 1024/, qr/^whatsapp chat 3 eng_ZA: has a newline/], 'what WhatsApp refuses');
	away($set);
};

subtest 'chains and schedules' => sub {
	my ($third) = my @sets = map { make_set($stack, $schedule, ['One'], short_name => "chain.$_") } 3, 2, 1;
	$stack->patch("/api/v1/messageset/$sets[$_]/", { next_set => $sets[$_ - 1] }) for 1, 2;
	finds([], 'a chain');
	$stack->patch("/api/v1/messageset/$third/", { next_set => $sets[1] });
	finds([qr/^loop chain\.2 - -: the chain of sets comes back: chain\.2 -> chain\.3 -> chain\.2$/], 'a loop is told once');
	$stack->patch("/api/v1/messageset/$third/", { next_set => $third });
	finds([qr/^loop chain\.3 - -: .*: chain\.3 -> chain\.3$/], 'a set that is followed by itself');
	$stack->patch("/api/v1/messageset/$third/", { next_set => undef });
	make_message($stack, $sets[2], 1, lang => 'fra_FR', text_content => 'Un');
	finds([qr/^next_language chain\.1 - fra_FR: leads on to chain\.2, which has no message/], 'a language that ends half way');
	away($_) for @sets;
	my $never = $stack->value("INSERT INTO schedule (day_of_month, month_of_year) VALUES ('31', '2') RETURNING id");
	$stack->sql("UPDATE messageset SET default_schedule_id = $never WHERE id = $good");
	finds([qr/^schedule good - -: its default schedule $never never fires/], 'a schedule that never fires');
	$stack->sql("UPDATE messageset SET default_schedule_id = $schedule WHERE id = $good");
};

subtest 'at the keyboard' => sub {
	my ($status, $output) = $stack->ctl('content', 'lint', '--ignore', 'no_such_rule');
	is($status, 2, 'a rule that is not there');
	is(($stack->ctl('content', 'lint', '--sms-parts', 0))[0], 2, 'no SMS at all');
	is(($stack->ctl('content', 'lint', '--message-set', 'nobody'))[0], 1, 'a message set that is not there');
	put($good, 4, 'Four');
	($status, $output) = $stack->ctl('content', 'lint');
	is("$status $output", "1 rule\tmessageset\tsequence number\tlang\tdetail\nlanguage\tgood\t-\tzul_ZA\tlacks 4, which other languages have\n", 'a table');
	local $ENV{SBM_MEDIA_DIR} = "$stack->{dir}/nowhere";
	($status, $output) = $stack->ctl('content', 'lint');
	is($status, 1, 'without the files');
	like($output, qr/could not look into media_dir, ".*nowhere"/, 'it says so, and nothing else');
};

$stack->finish;
done_testing;

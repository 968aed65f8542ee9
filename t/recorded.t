#!/usr/bin/perl
# What the original service sent in recorded scenarios, sent by this one: the same requests come in, the same
# payloads go out, the subscriptions end in the same state. Its accidents are left out, or told as what should be.
use strict;
use warnings;
use utf8;
use Encode qw(encode_utf8);
use Test::More;
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $recording = SBM::Stack::source_dir() . '/../shared/golden/outbound.json';
plan skip_all => 'the recordings are not here' unless -r $recording;
my @scenarios = @{ json_of(SBM::Stack::slurp($recording))->{scenarios} };

my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, clock => 1, write_back => '20ms', url => 'https://sbm.example.org', retry_base => '20ms', tries => 2);
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

# The content of the recording, made by its own requests, so that it has the same ids.
my %file;
my $schedule = make_schedule($stack);
my ($content) = grep { $_->{scenario} eq 'content made' } @scenarios;
for my $request (@{ $content->{http} }) {
	my $answer = $request->{path} =~ /binarycontent/
		? $stack->upload($request->{response_body} =~ /mp3/ ? 'a.mp3' : 'a.png', 'application/octet-stream', 'x')
		: $stack->post($request->{path}, $request->{body_json});
	is($answer->{status}, $request->{status}, "$request->{path}: made") or BAIL_OUT($answer->{content});
	my ($id) = $request->{response_body} =~ /"id":(\d+)/;
	is($answer->{json}{id}, $id, 'with the recorded id');
	my ($type) = $request->{response_body} =~ m{/media/.*\.(mp3|png)};
	$file{$type} = $answer->{json}{content} =~ s{.*/media/}{}r if $type;
}
$stack->patch('/api/v1/messageset/3/', { channel => 'JUNE_VOICE' });
$stack->patch('/api/v1/messageset/5/', { next_set => 6 });

# The state before each: what differs from a fresh subscription of id-1 to set 1.
my %before = (
	'send: text, first of three' => {}, 'send: text, second of three' => { next => 2 }, 'send: audio' => { messageset => 2 },
	'send: text with an image (metadata of the message kept, image_url replaced)' => { messageset => 4 },
	'send: message metadata passed on' => { messageset => 9 }, 'send: message metadata that is a list' => { messageset => 9, next => 2 },
	'send: set with a channel' => { messageset => 3 },
	'send: prepend_next_delivery, text' => { metadata => { other => 1, prepend_next_delivery => 'Welcome é' } },
	'send: prepend_next_delivery, audio' => { messageset => 2, metadata => { prepend_next_delivery => 'http://example.org/w.mp3' } },
	'send: prepend_next_delivery null' => { metadata => { prepend_next_delivery => undef } }, 'send: metadata null' => { metadata => undef },
	'send: last message, no next set (completed)' => { next => 3 },
	'send: last message with next set (new subscription)' => { messageset => 5, metadata => { a => 1 } },
	'send: two fires one after the other advance two messages' => {}, 'send: inactive' => { active => 0 }, 'send: completed' => { completed => 1 },
	'send: process_status 1' => { status => 1 }, 'send: missing message (sequence beyond the end)' => { next => 9 },
	'send: missing message (other language)' => { lang => 'zul_ZA' }, 'send: identity without address' => { identity => 'id-noaddr' },
	'send: identity with characters that need quoting' => { identity => 'a b/c?d=e&f#g%h' },
	'resend: next_sequence_number 1' => {}, 'resend: next_sequence_number 2' => { next => 2 }, 'resend: next_sequence_number 3' => { next => 3 },
	'resend: with prepend_next_delivery' => { next => 2, metadata => { prepend_next_delivery => 'Hello' } },
);

sub literal { my ($value) = @_; return defined $value ? "'" . $value =~ s/'/''/gr . "'" : 'NULL' }

sub put_subscription {
	my (%with) = @_;
	my %s = (identity => 'id-1', messageset => 1, next => 1, active => 1, completed => 0, status => 0, lang => 'eng_ZA', metadata => {}, %with);
	my $metadata = defined $s{metadata} ? JSON::PP->new->ascii->canonical->encode($s{metadata}) : undef;
	$stack->sql('DELETE FROM subscription; DELETE FROM failed_task; ' . sprintf(
		"INSERT INTO subscription (id, identity, messageset_id, schedule_id, next_sequence_number, active, completed, process_status, lang, metadata)
		VALUES ('55555555-5555-4555-8555-000000000001', %s, %d, %d, %d, %s, %s, %d, %s, %s)",
		literal($s{identity}), $s{messageset}, $schedule, $s{next}, $s{active} ? 'true' : 'false', $s{completed} ? 'true' : 'false', $s{status}, literal($s{lang}), literal($metadata)));
}

sub state_now {
	my @rows = $stack->rows("SELECT identity, messageset_id, next_sequence_number, initial_sequence_number, active, completed, process_status, lang, coalesce(metadata::text, 'null')
		FROM subscription ORDER BY messageset_id");
	return [map {
		my ($identity, $set, $next, $initial, $active, $completed, $status, $lang, $metadata) = @$_;
		join ' ', $identity, $set, $next, $initial, $active, $completed, $status, $lang, $json->encode($json->decode($metadata));
	} @rows];
}

sub state_recorded {
	my ($scenario) = @_;
	return [map { join ' ', @$_{qw(identity messageset next initial)}, (map { $_ ? 't' : 'f' } @$_{qw(active completed)}), @$_{qw(status lang)}, $json->encode($_->{metadata}) }
		sort { $a->{messageset} <=> $b->{messageset} } @{ $scenario->{subscriptions_after} }];
}

for my $scenario (grep { $before{ $_->{scenario} } } @scenarios) {
	subtest $scenario->{scenario} => sub {
		put_subscription(%{ $before{ $scenario->{scenario} } });
		my @recorded = @{ $scenario->{outbound} || [] };
		my ($lookup) = grep { $_->{path} =~ m{^/identity/} } @recorded;
		$sink->behave(identity => { body => $lookup->{stub_answer_body} }) if $lookup;
		$sink->forget;
		for my $request (@{ $scenario->{http} }) {
			$stack->advance_clock(60);
			my $answer = $stack->post($request->{path} =~ s{/schedule/1/}{/schedule/$schedule/}r);
			is($answer->{status}, $request->{status}, "$request->{path} answers $request->{status}");
			settled($stack);
		}
		my @expected = map { my $b = encode_utf8($_->{body}); $b =~ s{http://example\.com/media/\w+\.(\w+)}{https://sbm.example.org/media/$file{$1}}g; $json->encode($json->decode($b)) }
			grep { $_->{path} =~ m{/outbound/$} } @recorded;
		is_deeply([map { $json->encode($json->decode($_->{body})) } $sink->requests('outbound')], \@expected, 'the recorded payloads go out');
		is_deeply(state_now(), state_recorded($scenario), 'the subscription is as recorded');
		$sink->behave;
	};
}

subtest 'a success without an id is a success' => sub {
	for my $body ('{}', 'this is not json', '') {
		put_subscription();
		$sink->forget;
		$sink->behave(outbound => { status => 201, body => $body });
		fire($stack, $schedule);
		settled($stack);
		is($sink->count('outbound'), 1, "sent once, answered with \"$body\"");
		is($stack->value('SELECT next_sequence_number FROM subscription'), 2, 'and counted as sent');
	}
	$sink->behave;
};

subtest 'failures of one delivery' => sub {
	# Recorded as accidents: nothing tells of them there.
	for my $case (['metadata is a list', { metadata => [1] }], ['an audio message without a recording', { messageset => 2, next => 4 }]) {
		put_subscription(%{ $case->[1] });
		$sink->forget;
		fire($stack, $schedule);
		settled($stack);
		note("$case->[0]: ", join ' | ', map { @$_ } $stack->rows('SELECT reason FROM failed_task'));
		is($stack->value('SELECT count(*) FROM failed_task') + $sink->accepted('outbound'), 1, "$case->[0]: sent, or told why not");
	}
};

$stack->finish;
done_testing;

#!/usr/bin/perl
# A registration comes in from a Hub; its messages go out as the message sender expects them.
use strict;
use warnings;
use Test::More;
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $sink = SBM::Sink->start;
# The dry set is known by its id, which is 1 in a fresh database.
my $stack = SBM::Stack->start($sink->settings, clock => 1, write_back => '20ms', url => 'https://sbm.example.org', retry_base => '50ms', dry_run_messagesets => '1');
my $schedule = make_schedule($stack);
my $dry = make_set($stack, $schedule, ['Dry one', 'Dry two']);
is($dry, 1, 'the dry set has the id that the configuration names');

sub image { return $stack->upload('picture.png', 'image/png', "\x89PNG not really")->{json} }
sub media_name { my ($name) = $_[0]{content} =~ m{/media/([^/]+)$}; return $name }

# Subscribes somebody to the set, fires the schedule; the outbound request.
sub sent_to {
	my ($set, %data) = @_;
	$sink->forget;
	my $identity = subscribe($stack, $set, $schedule, %data);
	fire($stack, $schedule);
	settled($stack);
	my @outbound = grep { $_->{body} =~ /$identity/ } $sink->requests('outbound');
	is(scalar @outbound, 1, 'one message went out');
	# Later firings of the schedule are for others.
	return ($outbound[0], $identity);
}

# So that the next firing is for the next subscription alone.
sub retire {
	my ($identity) = @_;
	for my $subscription (subscription($stack, $identity)) {
		is($stack->patch("/api/v1/subscriptions/$subscription->{id}/", { active => JSON::PP::false })->{status}, 200, 'deactivated');
	}
}

subtest 'a text, from the webhook to the message sender' => sub {
	my $set = make_set($stack, $schedule, ["Text 1 \x{e9} \x{2603} \"q\"", 'Text 2', 'Text 3']);
	my $identity = identity();
	my $answer = $stack->post('/api/v1/subscriptions/request', hook($set, $schedule, identity => $identity));
	is($answer->{status}, 201, 'the webhook is accepted');
	same_json($answer->{content}, { accepted => JSON::PP::true }, 'and says so');

	my $stored = subscription($stack, $identity);
	is($stored->{messageset}, $set, 'the subscription is stored');
	is($stored->{next_sequence_number}, 1, 'at its first message');
	is($stack->value("SELECT count(*) FROM subscription WHERE identity = '$identity'"), 1, 'in the database, too');

	$sink->forget;
	my $firing = fire($stack, $schedule);
	same_json($firing->{content}, {}, 'the firing answers an empty object');
	settled($stack);

	my ($lookup) = $sink->requests('identity');
	is($lookup->{method}, 'GET', 'the address is looked up');
	is($lookup->{path}, "/identity/api/v1/identities/$identity/addresses/msisdn", 'for the identity');
	is($lookup->{query}, 'default=True&use_communicate_through=True', 'asking for the default address');
	is($lookup->{headers}{authorization}, 'Token identity-token', "with the identity store's token");
	like($lookup->{headers}{'user-agent'}, qr{^sbm/\d}, 'as sbm');

	my ($outbound, @more) = $sink->requests('outbound');
	is(scalar @more, 0, 'one message goes out');
	is("$outbound->{method} $outbound->{path}", 'POST /sender/api/v1/outbound/', 'to the message sender');
	is($outbound->{headers}{authorization}, 'Token sender-token', 'with its token');
	is($outbound->{headers}{'content-type'}, 'application/json', 'as JSON');
	like($outbound->{headers}{'user-agent'}, qr{^sbm/\d}, 'as sbm');
	same_json($outbound->{body}, {
		to_addr => SBM::Sink::address_of($identity), to_identity => $identity, delivered => 'false', resend => 'false',
		content => "Text 1 \x{e9} \x{2603} \"q\"", metadata => {},
	}, 'with exactly this body');
	like($outbound->{headers}{'idempotency-key'}, qr/^${\UUID}$/, "with the delivery's id as its key");

	my ($delivery) = $stack->rows("SELECT delivery_id, state, outbound_id, sequence_number, to_addr FROM delivery WHERE subscription_id = '$stored->{id}'");
	is_deeply($delivery, [$outbound->{headers}{'idempotency-key'}, 'sent', json_of($outbound->{answer})->{id}, 1, SBM::Sink::address_of($identity)],
		'the delivery is kept with the id that the message sender gave');
	my $after = subscription($stack, $identity);
	is($after->{next_sequence_number}, 2, 'the subscription is at its second message');
	is_deeply([@$after{qw(active completed process_status)}], [JSON::PP::true, JSON::PP::false, 0], 'and ready');
	isnt($after->{updated_at}, $stored->{updated_at}, 'its time of change moved');

	$sink->forget;
	fire($stack, $schedule);
	settled($stack);
	is_deeply([map { json_of($_->{body})->{content} } $sink->requests('outbound')], ['Text 2'], 'the next firing sends the next message');
	retire($identity);
};

subtest 'a text with an image' => sub {
	my $set = make_set($stack, $schedule, []);
	my $image = image();
	make_message($stack, $set, 1, text_content => 'With image', binary_content => $image->{id}, metadata => { keep => 'me', image_url => 'replaced' });
	make_message($stack, $set, 2, text_content => 'x');
	my ($outbound, $identity) = sent_to($set);
	same_json($outbound->{body}, {
		to_addr => SBM::Sink::address_of($identity), to_identity => $identity, delivered => 'false', resend => 'false', content => 'With image',
		metadata => { keep => 'me', image_url => 'https://sbm.example.org/media/' . media_name($image) },
	}, "the message's metadata is kept and gets the image's absolute address");
	retire($identity);
};

subtest 'a recording' => sub {
	my $set = make_set($stack, $schedule, [], content_type => 'audio');
	my $audio = $stack->upload('tune.mp3', 'audio/mpeg', 'ID3 not really')->{json};
	make_message($stack, $set, $_, binary_content => $audio->{id}) for 1, 2;
	my ($outbound, $identity) = sent_to($set);
	same_json($outbound->{body}, {
		to_addr => SBM::Sink::address_of($identity), to_identity => $identity, delivered => 'false', resend => 'false',
		metadata => { voice_speech_url => ['https://sbm.example.org/media/' . media_name($audio)] },
	}, 'no content, and the recording in a list');
	retire($identity);

	my $notice = 'https://sbm.example.org/media/notice.mp3';
	($outbound, $identity) = sent_to($set, metadata => { prepend_next_delivery => $notice });
	same_json(json_of($outbound->{body})->{metadata}, { voice_speech_url => [$notice, 'https://sbm.example.org/media/' . media_name($audio)] },
		'a recording to be played first stands before it');
	same_json(subscription($stack, $identity)->{metadata}, { prepend_next_delivery => undef }, 'once');
	retire($identity);
};

subtest 'a notice before the next text' => sub {
	my $set = make_set($stack, $schedule, ['The text', 'The next text', 'The last']);
	my ($outbound, $identity) = sent_to($set, metadata => { prepend_next_delivery => 'A notice', source => 'hub' });
	is(json_of($outbound->{body})->{content}, "A notice\nThe text", 'notice, newline, text');
	same_json(subscription($stack, $identity)->{metadata}, { prepend_next_delivery => undef, source => 'hub' }, 'the notice is gone, other keys stay');
	$sink->forget;
	fire($stack, $schedule);
	settled($stack);
	is_deeply([map { json_of($_->{body})->{content} } $sink->requests('outbound')], ['The next text'], 'the message after goes alone');
	retire($identity);
};

subtest 'a channel' => sub {
	my $set = make_set($stack, $schedule, ['On a channel', 'x'], channel => 'WHATSAPP_MAIN');
	my ($outbound, $identity) = sent_to($set);
	same_json($outbound->{body}, {
		to_addr => SBM::Sink::address_of($identity), to_identity => $identity, delivered => 'false', resend => 'false',
		content => 'On a channel', metadata => {}, channel => 'WHATSAPP_MAIN',
	}, 'goes along when the set has one');
	retire($identity);
};

subtest "a message's metadata goes out as it is stored" => sub {
	my $set = make_set($stack, $schedule, []);
	my $made = $stack->post('/api/v1/message/', qq({"messageset": $set, "sequence_number": 1, "lang": "eng_ZA", "text_content": "Meta",
		"metadata": {"price": 1.10, "big": 12345678901234567890, "template": {"vars": [1, 2.50]}}}), content_type => 'application/json');
	is($made->{status}, 201, 'metadata with exact numbers is taken') or diag($made->{content});
	make_message($stack, $set, 2, text_content => 'x');
	my $stored = $stack->value("SELECT metadata::text FROM message WHERE messageset_id = $set AND sequence_number = 1");
	my ($outbound, $identity) = sent_to($set);
	my ($metadata) = $outbound->{body} =~ /"metadata":\s*(\{.*?\}\})/;
	is($metadata =~ s/\s+//gr, $stored =~ s/\s+//gr, 'every number and key as the database gives it');
	retire($identity);
};

subtest 'the last message completes a subscription, and the next set follows' => sub {
	my $other = make_schedule($stack, minute => '7', hour => '7', day_of_month => '2', month_of_year => ((gmtime)[4] + 6) % 12 + 1 . '');
	my $last = make_set($stack, $other, ['Only one']);
	my $first = make_set($stack, $schedule, ['First and last'], next_set => $last);
	my ($outbound, $identity) = sent_to($first);
	my ($done, $follower, @more) = subscription($stack, $identity);
	is_deeply([@$done{qw(active completed process_status next_sequence_number)}], [JSON::PP::false, JSON::PP::true, 2, 1], 'completed, at its last message');
	is(scalar @more, 0, 'one subscription follows');
	is_deeply([@$follower{qw(messageset schedule lang next_sequence_number initial_sequence_number active completed process_status)}],
		[$last, $other, 'eng_ZA', 1, 1, JSON::PP::true, JSON::PP::false, 0], "to the next set, on that set's schedule, from the start");

	$sink->forget;
	fire($stack, $schedule);
	settled($stack);
	is($sink->count('outbound'), 0, 'nothing more comes on the old schedule');
	fire($stack, $other);
	settled($stack);
	is_deeply([map { json_of($_->{body})->{content} } $sink->requests('outbound')], ['Only one'], 'the new one sends');
	is(scalar(my @all = subscription($stack, $identity)), 2, 'a set without a next one ends there');
	is(subscription($stack, $identity)->{completed}, JSON::PP::true, 'completed');
};

subtest 'nobody to send to' => sub {
	my $set = make_set($stack, $schedule, ['x', 'y']);
	my $identity = 'lost-' . time;
	$sink->forget;
	subscribe($stack, $set, $schedule, identity => $identity);
	fire($stack, $schedule);
	settled($stack);
	is($sink->count('outbound'), 0, 'nothing is sent');
	my $after = subscription($stack, $identity);
	is($after->{process_status}, -1, 'the subscription says so');
	is($after->{next_sequence_number}, 1, 'and stays where it is');
	my ($failed) = grep { $_->{subscription} =~ /$after->{id}/ || ($_->{subscription_id} // '') eq $after->{id} } @{ $stack->get('/api/v1/failed-tasks/')->{json}{results} };
	is($failed && $failed->{reason}, 'Valid recipient could not be found', 'the failed task gives the reason');
};

subtest 'a message that is not there yet' => sub {
	my $set = make_set($stack, $schedule, []);
	$sink->forget;
	my $identity = subscribe($stack, $set, $schedule);
	fire($stack, $schedule);
	settled($stack);
	is($sink->count('outbound'), 0, 'nothing is sent');
	my $id = subscription($stack, $identity)->{id};
	is_deeply([$stack->rows("SELECT reason FROM failed_task WHERE subscription_id = '$id'")], [['Message sending aborted, missing message']], 'the failed task gives the reason');
	is(subscription($stack, $identity)->{process_status}, 0, 'the subscription stays ready');

	make_message($stack, $set, 1, text_content => 'Now it is there');
	make_message($stack, $set, 2, text_content => 'And another');
	my $answer = $stack->post('/api/v1/failed-tasks/');
	is($answer->{status}, 201, 'failed tasks are requeued');
	same_json($answer->{content}, { requeued_failed_tasks => JSON::PP::true }, 'and that is said');
	poll_until { $sink->count('outbound') == 1 } 'the message goes out';
	settled($stack);
	is(json_of(($sink->requests('outbound'))[0]{body})->{content}, 'Now it is there', 'the content added later');
	is($stack->value("SELECT count(*) FROM failed_task WHERE subscription_id = '$id'"), 0, 'the failed task is gone');
	retire($identity);
};

subtest 'an edited text goes out as edited' => sub {
	my $set = make_set($stack, $schedule, ['Old', 'x']);
	my ($outbound, $identity) = sent_to($set);
	is(json_of($outbound->{body})->{content}, 'Old', 'the first one has the old text');
	retire($identity);
	my $message = $stack->get("/api/v1/message/?messageset=$set&sequence_number=1")->{json}{results}[0];
	is($stack->patch("/api/v1/message/$message->{id}/", { text_content => 'New' })->{status}, 200, 'edited');
	($outbound, $identity) = sent_to($set);
	is(json_of($outbound->{body})->{content}, 'New', 'the next one has the new text');
	retire($identity);
};

subtest 'a message added to a set is sent before the subscription completes' => sub {
	my $set = make_set($stack, $schedule, ['One', 'Two']);
	my ($outbound, $identity) = sent_to($set);
	make_message($stack, $set, 3, text_content => 'Three');
	for my $expected (qw(Two Three)) {
		$sink->forget;
		fire($stack, $schedule);
		settled($stack);
		is_deeply([map { json_of($_->{body})->{content} } $sink->requests('outbound')], [$expected], $expected);
	}
	is(subscription($stack, $identity)->{completed}, JSON::PP::true, 'then it is completed');
};

subtest 'the send of one subscription' => sub {
	my $set = make_set($stack, $schedule, ['Mine', 'Mine too']);
	$sink->forget;
	my $identity = subscribe($stack, $set, $schedule);
	my $id = subscription($stack, $identity)->{id};
	my $answer = $stack->post("/api/v1/subscriptions/$id/send", undef, x_request_id => 'story-4711');
	is($answer->{status}, 201, 'accepted');
	same_json($answer->{content}, { accepted => JSON::PP::true }, 'and says so');
	poll_until { $sink->count('outbound') == 1 } 'its message goes out';
	settled($stack);
	is_deeply([map { $_->{headers}{'x-request-id'} } $sink->requests], ['story-4711', 'story-4711'], 'both calls carry the id of the request that asked for it');

	$sink->forget;
	$answer = $stack->post("/api/v1/subscriptions/$id/resend");
	is($answer->{status}, 202, 'a resend is accepted');
	poll_until { $sink->count('outbound') == 1 } 'the message goes out again';
	settled($stack);
	my $again = json_of(($sink->requests('outbound'))[0]{body});
	is("$again->{content} $again->{resend}", 'Mine true', 'the one before, marked as a resend');
	is(subscription($stack, $identity)->{next_sequence_number}, 2, 'it does not advance');
	my ($request) = $stack->rows("SELECT r.outbound, m.text_content FROM resend_request r JOIN message m ON m.id = r.message_id WHERE r.subscription_id = '$id'");
	is_deeply($request, [json_of(($sink->requests('outbound'))[0]{answer})->{id}, 'Mine'], 'its request knows what was sent');
	retire($identity);

	for my $verb (qw(send resend)) {
		$answer = $stack->post("/api/v1/subscriptions/$id/$verb");
		is($answer->{status}, 400, "an inactive one has no $verb");
		is($answer->{json}{accepted}, JSON::PP::false, 'it is not accepted');
		ok(length $answer->{json}{reason}, 'with a reason');
		for my $bad ('00000000-0000-4000-8000-00000000dead', 'abc') {
			$answer = $stack->post("/api/v1/subscriptions/$bad/$verb");
			is($answer->{status}, 400, "nor has $bad");
			ok(length $answer->{json}{reason}, 'with a reason');
		}
	}
};

subtest 'a dry run goes the whole way but for the message' => sub {
	$sink->forget;
	my $identity = subscribe($stack, $dry, $schedule);
	for my $round (1, 2) {
		fire($stack, $schedule);
		settled($stack);
	}
	is($sink->count('outbound'), 0, 'no message goes out');
	is(subscription($stack, $identity)->{completed}, JSON::PP::true, 'the subscription came to its end');
	is($stack->value("SELECT string_agg(DISTINCT state, ',') FROM delivery WHERE messageset_id = $dry"), 'dry_run', 'the deliveries say what they were');
};

subtest 'metadata that is no object cannot take an address' => sub {
	my $set = make_set($stack, $schedule, []);
	make_message($stack, $set, 1, text_content => 'x', metadata => [1, 2], binary_content => image()->{id});
	make_message($stack, $set, 2, text_content => 'y');
	$sink->forget;
	my $identity = subscribe($stack, $set, $schedule);
	fire($stack, $schedule);
	settled($stack);
	is($sink->count('outbound'), 0, 'nothing goes out');
	my $id = subscription($stack, $identity)->{id};
	like($stack->value("SELECT reason FROM failed_task WHERE subscription_id = '$id'"), qr/metadata/, 'the failed task says so');
	retire($identity);
};

subtest 'one that is refused does not hold up the others' => sub {
	my $set = make_set($stack, $schedule, ['Hello', 'x']);
	my @identities = map { subscribe($stack, $set, $schedule) } 1 .. 20;
	$sink->forget;
	$sink->behave(outbound => { status => 400, match => $identities[7], body => '{"to_addr": ["This is no number."]}' });
	fire($stack, $schedule);
	settled($stack);
	$sink->behave;
	is(scalar $sink->accepted('outbound'), 19, 'nineteen were sent');
	is($sink->count('outbound'), 20, 'the refused one was tried once');
	my $id = subscription($stack, $identities[7])->{id};
	is($stack->value("SELECT count(*) FROM failed_task WHERE subscription_id = '$id'"), 1, 'and is a failed task');
	my $answer = $stack->post('/api/v1/failed-tasks/');
	is($answer->{status}, 201, 'requeued');
	poll_until { scalar(my @ok = grep { $_->{body} =~ /$identities[7]/ } $sink->accepted('outbound')) == 1 } 'it goes out when the sender takes it';
	settled($stack);
};

$stack->finish;
done_testing;

#!/usr/bin/perl
# Whoever looks after a programme's content makes, reads, changes and removes it.
use strict;
use warnings;
use Test::More;
use SBM::Content;
use SBM::Stack;

my $stack = SBM::Stack->start(senderd => 0);
my ($true, $false) = (JSON::PP::true, JSON::PP::false);

subtest 'a schedule' => sub {
	my $answer = $stack->post('/api/v1/schedule/', { minute => '0', hour => '6, 18', day_of_week => '1-5' });
	is($answer->{status}, 201, 'made');
	my $made = $answer->{json};
	is_deeply([@$made{qw(minute hour day_of_week day_of_month month_of_year)}], ['0', '6, 18', '1-5', '*', '*'], 'with its fields');
	my $path = "/api/v1/schedule/$made->{id}/";
	same_json($stack->get($path)->{content}, $made, 'read');
	same_json($stack->get($path =~ s{/$}{}r)->{content}, $made, 'read without the slash');
	is($stack->patch($path, { hour => '7' })->{json}{hour}, '7', 'changed');
	is($stack->get($path)->{json}{minute}, '0', 'only what was named');
	is($stack->put($path, { minute => '5' })->{status}, 200, 'put');
	for my $bad (['minute', '60'], ['hour', 'banana'], ['day_of_week', 'mon'], ['day_of_month', 'L'], ['month_of_year', '0'], ['minute', '5-1'], ['hour', '*/0']) {
		my ($field, $value) = @$bad;
		$answer = $stack->post('/api/v1/schedule/', { $field => $value });
		is($answer->{status}, 400, "$field \"$value\" is refused");
		is(ref $answer->{json}{$field}, 'ARRAY', 'with an error on the field') or diag($answer->{content});
	}
	is($made->{timezone}, 'UTC', 'in UTC unless told otherwise');
	is($stack->patch($path, { timezone => $_ })->{json}{timezone}, $_, "or in $_") for 'Africa/Johannesburg', 'America/Argentina/Buenos_Aires', 'UTC';
	for my $zone ('Mars/Phobos', 'africa/johannesburg', 'Africa', 'Africa/', '../zoneinfo/UTC', '/usr/share/zoneinfo/UTC', 'UTC+2', 'tzdata.zi', 'posixrules/x', '.', 'x' x 65) {
		$answer = $stack->patch($path, { timezone => $zone });
		is($answer->{status}, 400, "\"$zone\" is no time zone");
		is(ref $answer->{json}{timezone}, 'ARRAY', 'with an error on the field') or diag($answer->{content});
	}
	is($stack->get($path)->{json}{timezone}, 'UTC', 'which stays as it was');
	is($stack->delete($path)->{status}, 204, 'removed');
	is($stack->get($path)->{status}, 404, 'gone');
};

subtest 'a message set and its messages' => sub {
	my $schedule = make_schedule($stack);
	my $answer = $stack->post('/api/v1/messageset/', {});
	is($answer->{status}, 400, 'an empty set is refused');
	same_json($answer->{content}, { short_name => ['This field is required.'], default_schedule => ['This field is required.'] }, 'with all errors at once');
	my $set = $stack->make('/messageset/', { short_name => 'mothers', default_schedule => $schedule });
	is($set->{content_type}, 'text', 'a set is for texts unless told otherwise');
	$answer = $stack->post('/api/v1/messageset/', { short_name => 'mothers', default_schedule => $schedule });
	is($answer->{status}, 400, 'a second set of that name is refused');

	my $first = make_message($stack, $set->{id}, 1, text_content => 'Hello');
	make_message($stack, $set->{id}, 1, lang => 'zul_ZA', text_content => 'Sawubona');
	$answer = $stack->post('/api/v1/message/', { messageset => $set->{id}, sequence_number => 1, lang => 'eng_ZA', text_content => 'Again' });
	is($answer->{status}, 400, 'a number is there once for each language');
	$answer = $stack->post('/api/v1/message/', { messageset => $set->{id}, sequence_number => 2, lang => 'eng_ZA', text_content => "It\x{2019}s" });
	same_json($answer->{content}, { text_content => ["Text \"It\x{2019}s\" has special characters which can be replaced: \x{2019}"] }, 'a curly apostrophe is refused');
	is($stack->post('/api/v1/message/', { messageset => $set->{id}, sequence_number => 2, lang => 'eng_ZA' })->{status}, 400, 'a message without text or file is refused');
	$answer = $stack->post('/api/v1/message/', { messageset => 9999, sequence_number => 'x', lang => 'toolong', text_content => 'x' });
	is_deeply([sort keys %{ $answer->{json} }], [qw(lang messageset sequence_number)], 'three wrong fields give three errors');

	my $whole = $stack->get("/api/v1/messageset/$set->{id}/messages/")->{json};
	is_deeply([map { $_->{text_content} } @{ $whole->{messages} }], ['Hello', 'Sawubona'], 'the set shows its messages');
	is_deeply([sort @{ $stack->get('/api/v1/messageset_languages/')->{json}{ $set->{id} } }], ['eng_ZA', 'zul_ZA'], 'and its languages');
	is($stack->get("/api/v1/message/$first->{id}/content/")->{json}{text_content}, 'Hello', 'a message shows its content');
	is(scalar @{ $stack->get("/api/v1/message/?messageset=$set->{id}&lang=zul_ZA")->{json}{results} }, 1, 'messages are filtered by language');
	is($stack->get('/api/v1/message/?messageset=abc')->{status}, 400, 'a bad value of a filter is refused');

	subscribe($stack, $set->{id}, $schedule);
	for my $path ("/api/v1/schedule/$schedule/", "/api/v1/messageset/$set->{id}/") {
		$answer = $stack->delete($path);
		is($answer->{status}, 409, 'what is in use is not removed');
		ok(length $answer->{json}{detail}, 'and the answer names what uses it') and note($answer->{json}{detail});
	}
};

subtest 'WhatsApp sets take no line breaks' => sub {
	my $set = make_set($stack, make_schedule($stack), [], channel => 'WhatsApp');
	for my $text ("a\nb", "a\tb", 'a    b') {
		my $answer = $stack->post('/api/v1/message/', { messageset => $set, sequence_number => 1, lang => 'eng_ZA', text_content => $text });
		is($answer->{status}, 400, 'refused');
		same_json($answer->{content}, ['Text for WhatsApp must not include newline, tabs, or 4 consecutive spaces.'], 'as recorded');
	}
	is(make_message($stack, $set, 1, text_content => 'a   b')->{text_content}, 'a   b', 'three spaces are fine');
};

subtest 'conditional requests' => sub {
	my $id = make_schedule($stack);
	my $path = "/api/v1/schedule/$id/";
	my $answer = $stack->get($path);
	my $tag = $answer->{headers}{etag};
	like($tag // '', qr{^(?:W/)?"[^"]+"$}, 'a record carries an ETag');
	$answer = $stack->get($path, if_none_match => $tag);
	is($answer->{status}, 304, 'unchanged: 304');
	is($answer->{content} // '', '', 'without a body');
	is($stack->patch($path, { hour => '3' }, if_match => '"something-else"')->{status}, 412, 'someone was faster: 412');
	is($stack->get($path)->{json}{hour}, '0', 'nothing was changed');
	is($stack->patch($path, { hour => '3' }, if_match => $tag)->{status}, 200, 'with the right tag it is changed');
	is($stack->get($path, if_none_match => $tag)->{status}, 200, 'now the old tag is old');
	is($stack->delete($path, if_match => $tag)->{status}, 412, 'and removes nothing');
	is($stack->delete($path, if_match => '*')->{status}, 204, 'any tag: removed');
};

subtest 'an Idempotency-Key makes a POST safe to repeat' => sub {
	my $before = $stack->value('SELECT count(*) FROM schedule');
	my @answers = map { $stack->post('/api/v1/schedule/', { hour => '4' }, idempotency_key => 'key-1') } 1 .. 3;
	is_deeply([map { $_->{status} } @answers], [201, 201, 201], 'three times 201');
	is_deeply([map { $_->{content} } @answers[1, 2]], [($answers[0]{content}) x 2], 'three times the same answer');
	is($stack->value('SELECT count(*) FROM schedule') - $before, 1, 'one record');
	my $other = $stack->post('/api/v1/schedule/', { hour => '5' }, idempotency_key => 'key-1');
	is($other->{status}, 422, 'the same key with another body is refused');
	my $refused = $stack->post('/api/v1/schedule/', { hour => 'x' }, idempotency_key => 'key-2');
	is($refused->{status}, 400, 'a refusal');
	is($stack->post('/api/v1/schedule/', { hour => 'x' }, idempotency_key => 'key-2')->{status}, 400, 'stays one');
};

subtest 'who may' => sub {
	my $path = '/api/v1/schedule/';
	my $answer = $stack->get($path, authorization => undef);
	is($answer->{status}, 401, 'nobody: 401');
	ok($answer->{headers}{'www-authenticate'}, 'and how to authenticate');
	is($stack->get($path, authorization => 'Token ' . '9' x 40)->{status}, 401, 'a wrong token: 401');
	$answer = $stack->post('/api/v1/user/token/', { email => 'bob@example.org' });
	is($answer->{status}, 201, 'staff make a token for somebody');
	my $token = $answer->{json}{token};
	like($token, qr/^[0-9a-f]{40}$/, 'of 40 hex digits');
	is($stack->get($path, authorization => "Token $token")->{status}, 200, 'which works');
	is($stack->post('/api/v1/user/token/', { email => 'eve@example.org' }, authorization => "Token $token")->{status}, 403, 'but makes no further ones');
	isnt($stack->post('/api/v1/user/token/', { email => 'bob@example.org' })->{json}{token}, $token, 'each call makes a new token');
	is($stack->value("SELECT count(*) FROM api_token WHERE digest = sha256('$token')"), 1, 'of which only the digest is kept');
};

subtest 'every answer carries the id of its request, and so does the log' => sub {
	my $answer = $stack->get('/api/v1/schedule/');
	like($answer->{headers}{'x-request-id'} // '', qr/^[\w.-]+$/, 'one that nginx gives');
	# What is logged at the usual level is what goes wrong; a refused login is.
	$answer = $stack->get('/api/v1/schedule/', x_request_id => 'test-4711');
	is($answer->{headers}{'x-request-id'}, 'test-4711', "or the caller's");
	poll_until { $stack->log_text =~ /test-4711/ } 'it is in a log';
	$answer = $stack->get('/api/v1/schedule/', x_request_id => "no\x{7f}good or far too long " . 'x' x 500);
	unlike($answer->{headers}{'x-request-id'} // '', qr/good/, 'a mad one is replaced');
};

subtest 'no input is answered by a crash' => sub {
	my @bad = (
		['{', 400], ['[1, 2', 400], ['"text"', 400], ['null', 400], ['', 400], ["{\"short_name\": \"\xff\xfe\"}", 400], ['{"short_name": "a\u0000b"}', 400],
		['[' x 100 . ']' x 100, 400], ['{"default_schedule": 99999999999999999999999}', 400], ['{"default_schedule": 1e400}', 400],
		['{"a": "' . 'x' x 1_200_000 . '"}', 413],
	);
	for my $case (@bad) {
		my ($body, $status) = @$case;
		my $answer = $stack->post('/api/v1/messageset/', $body, content_type => 'application/json');
		is($answer->{status}, $status, 'body ' . substr($body, 0, 30) =~ s/[^ -~]/?/gr) or diag(substr $answer->{content}, 0, 300);
		like($answer->{headers}{'content-type'}, qr{^application/json}, 'refused in JSON');
	}
	is($stack->post('/api/v1/messageset/', 'x', content_type => 'text/plain')->{status}, 415, 'another media type: 415');
	is($stack->get('/api/v1/messageset/', accept => 'image/png')->{status}, 406, 'another answer wanted: 406');
	my $answer = $stack->request(PATCH => '/api/v1/messageset/', {});
	is($answer->{status}, 405, 'another method: 405');
	like($answer->{headers}{allow}, qr/POST/, 'with those that there are');
	is($stack->get("/api/v1/$_")->{status}, 404, "$_ is not there") for 'nothing/', 'schedule/abc/', 'schedule/99999999999999999999/', 'subscriptions/abc/', 'messageset/1/nothing/';
	like($stack->raw("NONSENSE\r\n\r\n"), qr{^HTTP/1\.1 400}, 'not even HTTP: nginx answers');
	like($stack->raw($stack->raw_request(GET => '/api/v1/schedule/%00%ff/')), qr{^HTTP/1\.1 4\d\d}, 'NUL in a path');
	is($stack->get('/healthz', authorization => undef)->{status}, 200, 'and the service is well');
};

subtest 'health' => sub {
	is($stack->get('/healthz', authorization => undef)->{status}, 200, 'a worker lives');
	my $answer = $stack->get('/api/health/');
	is($answer->{status}, 200, 'healthy');
	is($answer->{json}{up}, $true, 'up');
	is($answer->{json}{result}{database}, 'Accessible', 'with its database');
	$answer = $stack->get('/readyz', authorization => undef);
	is($answer->{status}, 503, 'without a sender daemon it is not ready');
};

$stack->expect_log(qr/client intended to send too large body/);
$stack->finish;
done_testing;

#!/usr/bin/perl
# The OpenAPI document against the service that gives it: what each operation really answers is what it says.
# (That it has all of the tables, and no more, is t/unit/test_openapi's.)
use strict;
use warnings;
use Test::More;
use JSON::PP ();
use SBM::Content;
use SBM::Stack;

my $stack = SBM::Stack->start;
my $document = $stack->get('/api/v1/openapi.json', authorization => undef, accept => 'text/plain')->{json};

subtest 'the document' => sub {
	is($document->{openapi}, '3.1.0', 'comes without credentials, whatever Accept says');
	is($stack->get('/api/v1/openapi.json/')->{status}, 200, 'with a slash too');
	is($stack->post('/api/v1/openapi.json')->{status}, 405, 'and is only read');
};

# ---- values against schemas

sub resolve {
	my ($schema) = @_;
	while (my $pointer = $schema->{'$ref'}) {
		$schema = $document;
		$schema = $schema->{$_} // die "no $pointer\n" for split m{/}, $pointer =~ s{^#/}{}r;
	}
	return $schema;
}

sub type_of {
	my ($value) = @_;
	return 'null' unless defined $value;
	return 'object' if ref $value eq 'HASH';
	return 'array' if ref $value eq 'ARRAY';
	return 'boolean' if JSON::PP::is_bool($value);
	return 'string' unless JSON::PP->new->allow_nonref->encode($value) =~ /^-?\d/;
	return $value =~ /^-?\d+$/ ? 'integer' : 'number';
}

my %formats = (
	'uuid' => qr/^${\UUID}$/,
	'date-time' => qr/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z$/,
	'date' => qr/^\d{4}-\d\d-\d\d$/,
	'uri' => qr{^https?://[^/]+/},
);

# What is wrong with a value, one line each.
sub faults {
	my ($value, $schema, $at) = @_;
	$schema = resolve($schema);
	my @faults;
	if (my $all = $schema->{oneOf}) {
		return if grep { !faults($value, $_, $at) } @$all;
		return "$at fits none of its alternatives";
	}
	my $type = type_of($value);
	if (my $types = $schema->{type}) {
		my @types = ref $types ? @$types : $types;
		push @types, 'integer' if grep { $_ eq 'number' } @types;
		return "$at is $type, not @types" unless grep { $_ eq $type } @types;
	}
	push @faults, "$at is none of its words: $value" if $schema->{enum} && defined $value && !grep { $_ eq $value } @{ $schema->{enum} };
	push @faults, "$at is no $schema->{format}: $value" if $type eq 'string' && $schema->{format} && $formats{ $schema->{format} } && $value !~ $formats{ $schema->{format} };
	push @faults, "$at is too small: $value" if $type eq 'integer' && defined $schema->{minimum} && $value < $schema->{minimum};
	if ($type eq 'array' && $schema->{items}) {
		push @faults, faults($value->[$_], $schema->{items}, "$at\[$_]") for 0 .. $#$value;
	}
	if ($type eq 'object') {
		my $known = $schema->{properties} || {};
		push @faults, map { "$at lacks $_" } grep { !exists $value->{$_} } @{ $schema->{required} || [] };
		for my $key (sort keys %$value) {
			my $inner = $known->{$key} // (ref $schema->{additionalProperties} ? $schema->{additionalProperties} : undef);
			push @faults, $inner ? faults($value->{$key}, $inner, "$at.$key") : %$known ? "$at.$key is not in the document" : ();
		}
	}
	return @faults;
}

sub fits {
	my ($answer, $method, $path, $name) = @_;
	my $operation = $document->{paths}{$path}{$method} or return fail("$name: $method $path is not in the document");
	my $response = $operation->{responses}{ $answer->{status} } or return fail("$name: $answer->{status} is not in the document; it says " . join ', ', sort keys %{ $operation->{responses} });
	my $content = resolve($response)->{content} or return is($answer->{content} // '', '', "$name: no body");
	my ($type) = ($answer->{headers}{'content-type'} // '') =~ m{^([^;]+)};
	my $schema = $content->{ $type // '' } or return fail("$name: type " . ($type // 'none'));
	my @faults = faults($type eq 'application/json' ? $answer->{json} : $answer->{content}, $schema->{schema}, '');
	is(join("\n", @faults), '', "$name: $answer->{status}");
}

# ---- every operation that reads, on records that are there

my $schedule = make_schedule($stack);
my $next = make_set($stack, $schedule, ['Next']);
my $set = make_set($stack, $schedule, ['One', 'Two'], next_set => $next, notes => 'Notes');
my $binary = $stack->upload('tone.mp3', 'audio/mpeg', 'ID3')->{json}{id};
my $message = make_message($stack, $set, 3, binary_content => $binary, metadata => { a => [1.5, undef] })->{id};
my $identity = subscribe($stack, $set, $schedule);
my $subscription = subscription($stack, $identity)->{id};
fire($stack, $schedule);
poll_until { $stack->value('SELECT count(*) FROM delivery') == 1 } 'the delivery is done';
$stack->sql(<<"SQL");
INSERT INTO failed_task (subscription_id, task_id, reason) VALUES ('$subscription', gen_random_uuid(), 'why');
INSERT INTO behind_subscription (subscription_id, messages_behind, current_messageset_id, current_sequence_number, expected_messageset_id, expected_sequence_number)
VALUES ('$subscription', 2, $set, 1, $next, 1);
SQL

my %record = (
	schedule => $schedule, messageset => $set, message => $message, binarycontent => $binary, subscriptions => $subscription,
	'failed-tasks' => $stack->value('SELECT id FROM failed_task'), 'behind-subscriptions' => $stack->value('SELECT id FROM behind_subscription'),
	runs => $stack->value('SELECT id FROM run'),
	jobs => $stack->post('/api/v1/runsendestimate')->{json}{task_id},
	holds => $stack->make('/holds/', { scope => 'messageset', messageset => $next })->{id},
	identities => $identity,
);

sub path_of {
	my ($pattern) = @_;
	my ($list) = $pattern =~ m{^/api/v1/([^/]+)/\{} or return $pattern;
	return $pattern =~ s/\{\w+\}/$record{$list} \/\/ die "no record of $list\n"/er;
}

subtest 'what is read' => sub {
	for my $pattern (sort grep { $document->{paths}{$_}{get} } keys %{ $document->{paths} }) {
		my $path = path_of($pattern);
		# The schedule fires in some months.
		$path .= '?days=366' if grep { ($_->{name} // '') eq 'days' } @{ $document->{paths}{$pattern}{get}{parameters} };
		my $answer = $stack->get($path);
		is($answer->{status}, 200, $path);
		fits($answer, get => $pattern, $path);
		ok(scalar @{ $answer->{json}{results} }, 'there is something in it') if ref $answer->{json} eq 'HASH' && $answer->{json}{results};
		fits($stack->get($path, authorization => 'Token 0'), get => $pattern, 'wrong credentials') if !$document->{paths}{$pattern}{get}{security};
		fits($stack->get($path, accept => 'image/png'), get => $pattern, 'wrong Accept') if $document->{paths}{$pattern}{get}{responses}{406};
		fits($stack->get(path_of($pattern) =~ s/\Q$record{$1}\E/999999999/r), get => $pattern, 'none of that id') if $pattern =~ m{^/api/v1/([^/]+)/\{};
	}
};

subtest 'what is written' => sub {
	my $hook = hook($set, $schedule);
	my @cases = (
		['post', '/api/v1/schedule/', { minute => '5' }],
		['post', '/api/v1/schedule/', { minute => 'x' }],
		['put', '/api/v1/schedule/{id}/', { minute => '6', hour => '1' }],
		['patch', '/api/v1/schedule/{id}/', { minute => '7' }],
		['delete', '/api/v1/schedule/{id}/'],
		['post', '/api/v1/messageset/', { short_name => 'other', default_schedule => $schedule }],
		['post', '/api/v1/messageset/', {}],
		['post', '/api/v1/message/', { messageset => $set, sequence_number => 4, lang => 'eng_ZA', text_content => 'Four' }],
		['post', '/api/v1/message/', { messageset => $set, sequence_number => 5, lang => 'eng_ZA' }],
		['post', '/api/v1/subscriptions/', { identity => 'a', messageset => $set, schedule => $schedule, lang => 'eng_ZA' }],
		['patch', '/api/v1/subscriptions/{id}/', { metadata => { a => 1 } }],
		['post', '/api/v1/subscriptions/request/', $hook],
		['post', '/api/v1/subscriptions/request/', {}],
		['post', '/api/v1/subscriptions/{id}/send/'],
		['post', '/api/v1/subscriptions/{id}/resend/'],
		['post', '/api/v1/schedule/{id}/send/'],
		['post', '/api/v1/identities/{identity}/optout/'],
		['post', '/api/v1/runs/{id}/release/'],
		['post', '/api/v1/runs/{id}/cancel/'],
		['post', '/api/v1/holds/', { scope => 'schedule', schedule => $schedule, reason => 'why' }],
		['post', '/api/v1/holds/', {}],
		['delete', '/api/v1/holds/{id}/'],
		['post', '/api/v1/failed-tasks/'],
		['post', '/api/v1/behind-subscriptions/find_behind_subscriptions/'],
		['post', '/api/v1/runsendestimate/'],
		['post', '/api/v1/sync_audio_files/'],
		['post', '/api/metrics/'],
		['post', '/api/v1/user/token/', { email => 'nurse@example.org' }],
		['post', '/api/v1/user/token/', { email => 'nurse' }],
		['post', '/api/token-auth/', { username => 'nobody', password => 'x' }],
		['patch', '/api/v1/message/{id}/', 'no JSON'],
	);
	fits($stack->upload('a.wav', 'audio/wav', 'RIFF'), post => '/api/v1/binarycontent/', 'upload');
	for (@cases) {
		my ($method, $pattern, $body) = @$_;
		my $answer = $stack->request(uc $method, path_of($pattern), $body, defined $body ? (content_type => 'application/json') : ());
		cmp_ok($answer->{status}, '<', 500, "$method $pattern");
		fits($answer, $method, $pattern, "$method $pattern");
	}
	my %done = map { ("$_->[0] $_->[1]" => 1) } @cases;
	my @left = grep { !/^post .*binarycontent/ && !$done{$_} } map { my $path = $_; map { "$_ $path" } grep { $_ eq 'post' } keys %{ $document->{paths}{$path} } } sort keys %{ $document->{paths} };
	is("@left", '', 'every POST was tried');
};

$stack->finish;
done_testing;

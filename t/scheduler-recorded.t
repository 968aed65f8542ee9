#!/usr/bin/perl
# What the original service sent to its scheduler in recorded scenarios, sent by this one. Its accidents are told as
# what should be: a deleted schedule is switched off, one that never got there is not called, none is made twice.
use strict;
use warnings;
use Test::More;
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $recording = SBM::Stack::source_dir() . '/../shared/golden/outbound.json';
plan skip_all => 'the recordings are not here' unless -r $recording;
my %scenario = map { $_->{scenario} => $_ } @{ json_of(SBM::Stack::slurp($recording))->{scenarios} };

my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, sweep => '100ms', workers => 1, url => 'http://127.0.0.1:58000', retry_base => '20ms', retry_max => '100ms',
	scheduler_url => $sink->url . '/scheduler/api/v1', scheduler_api_token => 'scheduler-token', scheduler_inbound_api_token => 'inbound-token');

sub in_step { local $Test::Builder::Level = $Test::Builder::Level + 1; return poll_until { $stack->value('SELECT count(*) FROM scheduler_call') == 0 } 'nothing is owed' }
sub play { my ($request) = @_; return is($stack->request($request->{method}, $request->{path}, $request->{body_json})->{status}, $request->{status}, "$request->{method} $request->{path}") }
sub compare {
	my ($expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @got = grep { $_->{method} ne 'GET' && $_->{status} < 300 } $sink->requests('scheduler');
	return is(scalar @got, scalar @$expected, "$name: calls") && same_json([map { [@$_{qw(method path)}, json_of($_->{body})] } @got], [map { [@$_{qw(method path)}, json_of($_->{body})] } @$expected], $name);
}

# The stub answered with these ids.
sub answer_as { my ($call) = @_; $sink->behave(scheduler => { match => '"cron_definition"', body => $call->{stub_answer_body}, status => $call->{stub_answer} }) if $call }

for my $name ('schedule created through the API', 'schedule updated with PUT', 'schedule updated with PATCH', 'schedule PATCH that changes nothing still syncs',
	'schedule created, then deleted', 'schedule that was never synced is deleted') {
	my $s = $scenario{$name} or die "no scenario \"$name\"\n";
	my @expected = @{ $s->{outbound} };
	$_->{body} =~ s/^\{"active": false\}$/{"enabled": false, "active": false}/ for @expected;
	@expected = () if $name =~ /never synced/;
	$stack->sql('INSERT INTO schedule (id) VALUES (50)') if $name =~ /never synced/;
	$sink->forget;
	answer_as($s->{outbound}[0]);
	for my $request (@{ $s->{http} }) {
		play($request);
		in_step();
	}
	compare(\@expected, $name);
}
is($stack->value('SELECT scheduler_schedule_id FROM schedule WHERE id = 1'), (split /\|/, $scenario{'schedule created through the API'}{stored})[1], 'the recorded id is stored');

# Recorded with a text for the minute that is refused here.
subtest 'schedule created while the scheduler answers 500' => sub {
	my ($failed, $saved) = @scenario{'schedule created while the scheduler answers 500', 'that schedule saved again'};
	$sink->forget;
	answer_as($failed->{outbound}[0]);
	is($stack->post('/api/v1/schedule/', { minute => '4' })->{status}, 201, 'made');
	poll_until { $stack->value('SELECT tries FROM scheduler_call') > 0 } 'the scheduler does not want it';
	answer_as($saved->{outbound}[0]);
	play($saved->{http}[0]);
	in_step();
	my @calls = grep { $_->{status} < 300 && $_->{method} ne 'GET' } $sink->requests('scheduler');
	is(scalar(grep { $_->{method} eq 'POST' } @calls), 1, 'made there once');
	same_json($calls[-1]{body}, $saved->{outbound}[0]{body}, 'as it is now');
	like($stack->value('SELECT scheduler_schedule_id FROM schedule WHERE id = 3'), qr/03$/, 'and its id is stored');
};

subtest 'schedule created and changed within the round trip to the scheduler' => sub {
	my ($s) = map { $scenario{$_} } grep { /created and changed within/ } keys %scenario;
	my @recorded = @{ $s->{outbound} };
	$sink->forget;
	$sink->behave(scheduler => { match => '"cron_definition"', body => $recorded[0]{stub_answer_body}, delay => 0.3 });
	play($s->{http}[0]);
	poll_until { $sink->count('scheduler') } 'the creation is under way';
	play($s->{http}[1]);
	in_step();
	$recorded[1]{method} = 'PATCH';
	$recorded[1]{path} .= json_of($recorded[0]{stub_answer_body})->{id} . '/';
	compare(\@recorded, 'the second call changes what the first one made');
};

$stack->finish;
done_testing;

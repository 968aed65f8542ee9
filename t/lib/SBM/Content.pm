package SBM::Content;

# Small programmes for tests, made through the API: schedules, sets, messages, subscriptions by the Hub's webhook.
use strict;
use warnings;
use Exporter qw(import);
use Test::More;
use SBM::Stack;

our @EXPORT = qw(make_schedule make_set make_message subscribe subscription hook fire settled identity UUID);

use constant UUID => qr/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/;

my $serial = 0;

# Its id. Without fields: a schedule that the daemon does not fire by itself while a test runs.
sub make_schedule {
	my ($stack, %fields) = @_;
	my $month = ((gmtime)[4] + 6) % 12 + 1;
	%fields = (minute => '0', hour => '0', day_of_month => '1', month_of_year => "$month") unless %fields;
	return $stack->make('/schedule/', \%fields)->{id};
}

# The id of a set with these texts as its messages in eng_ZA. Options: any field of a set.
sub make_set {
	my ($stack, $schedule, $texts, %fields) = @_;
	my $set = $stack->make('/messageset/', { short_name => 'set.' . ++$serial, default_schedule => $schedule, %fields })->{id};
	my $sequence = 0;
	make_message($stack, $set, ++$sequence, text_content => $_) for @{ $texts || [] };
	return $set;
}

sub make_message {
	my ($stack, $set, $sequence, %fields) = @_;
	return $stack->make('/message/', { messageset => $set, sequence_number => $sequence, lang => 'eng_ZA', %fields });
}

sub identity { return sprintf '%08x-0000-4000-8000-%012x', $$, ++$serial }

# What the Hub posts for one registration. Options: fields of data.
sub hook {
	my ($set, $schedule, %data) = @_;
	return {
		hook => { id => 2, event => 'subscriptionrequest.added', target => 'http://sbm.example.org/api/v1/subscriptions/request' },
		data => {
			id => sprintf('%08x-1111-4000-8000-%012x', $$, ++$serial), identity => identity(), messageset => $set, schedule => $schedule,
			lang => 'eng_ZA', next_sequence_number => 1, version => 1,
			created_at => '2026-11-23T06:00:00.000000Z', updated_at => '2026-11-23T06:00:00.000000Z', %data,
		},
	};
}

# Subscribes somebody by the webhook; the identity.
sub subscribe {
	my ($stack, $set, $schedule, %data) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $hook = hook($set, $schedule, %data);
	my $answer = $stack->post('/api/v1/subscriptions/request', $hook);
	$answer->{status} == 201 or die "could not subscribe: $answer->{status} $answer->{content}\n";
	return $hook->{data}{identity};
}

# The subscriptions of an identity as the API shows them, oldest first.
sub subscription {
	my ($stack, $identity) = @_;
	my $answer = $stack->get("/api/v1/subscriptions/?identity=$identity");
	my @found = reverse @{ $answer->{json}{results} || [] };
	return wantarray ? @found : $found[-1];
}

# Fires a schedule as the scheduler does, a minute after the firing before when the stack has a clock.
sub fire {
	my ($stack, $schedule) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$stack->advance_clock(60) if -e "$stack->{dir}/clock";
	my $answer = $stack->post("/api/v1/schedule/$schedule/send/");
	is($answer->{status}, 202, 'the firing is accepted') or diag($answer->{content});
	return $answer;
}

# Waits until every run and every delivery is finished.
sub settled {
	my ($stack, $seconds) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return poll_until {
		$stack->value('SELECT (SELECT count(*) FROM delivery_queue) + (SELECT count(*) FROM run WHERE finished_at IS NULL)') == 0
	} 'all that was asked for is done', $seconds;
}

1;

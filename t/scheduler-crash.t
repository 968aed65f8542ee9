#!/usr/bin/perl
# Daemons die by kill -9 while schedules are made, changed and deleted and the scheduler loses answers. In the end it
# has each schedule once, as it is now, and fires none that is gone.
use strict;
use warnings;
use HTTP::Tiny;
use Test::More;
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $ROUNDS = $ENV{SBM_TEST_MANY} || 12;
my $seed = $ENV{SBM_TEST_SEED} || time ^ $$;
srand $seed;
note("SBM_TEST_SEED=$seed");

my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, sweep => '50ms', workers => 1, url => 'https://sbm.example.org', retry_base => '20ms', retry_max => '200ms',
	probe_min => '20ms', probe_max => '100ms', call_timeout => '500ms', scheduler_url => $sink->url . '/scheduler/api/v1',
	scheduler_api_token => 'scheduler-token', scheduler_inbound_api_token => 'inbound-token');

# All that the scheduler has.
sub there {
	my ($query, @all) = ('');
	while (defined $query) {
		my $page = json_of(HTTP::Tiny->new->get($sink->url . "/scheduler/api/v1/schedule/$query")->{content});
		push @all, @{ $page->{results} };
		$query = defined $page->{next} ? $page->{next} =~ s/.*\?/?/r : undef;
	}
	return @all;
}

my (@ids, %refused);
sub change_something {
	my $what = rand;
	my $answer = $what < 0.4 || !@ids ? $stack->post('/api/v1/schedule/', { minute => int rand 60 })
		: $what < 0.85 ? $stack->patch('/api/v1/schedule/' . $ids[rand @ids] . '/', { minute => int rand 60 })
		: $stack->delete('/api/v1/schedule/' . splice(@ids, rand @ids, 1) . '/');
	push @ids, $answer->{json}{id} if $answer->{status} == 201;
	$refused{ $answer->{status} }++ if $answer->{status} >= 300;
}

for my $round (1 .. $ROUNDS) {
	$sink->behave(scheduler => $round % 3 == 0 ? { reset => 1, every => 3 } : $round % 3 == 1 ? { delay => 0.03 } : { status => 500, every => 4 });
	for (1 .. 6) {
		change_something();
		pause_briefly(rand 0.03);
	}
	kill KILL => $stack->pid('sbm-senderd'), $stack->children('sbm-senderd');
	change_something();
	$stack->up;
}
is_deeply(\%refused, {}, 'the API takes every change, whatever the daemon does');
$sink->behave;
poll_until { $stack->value('SELECT count(*) FROM scheduler_call') == 0 } 'at last nothing is owed', 60;

my @on = grep { $_->{enabled} } there();
my %ours = map { $_->[0] => $_->[1] } $stack->rows("SELECT id, minute || ' * * * *' FROM schedule");
my @theirs = map { [$_->{endpoint} =~ m{/schedule/(\d+)/send/}, $_->{cron_definition}] } @on;
is(scalar @theirs, scalar keys %ours, 'as many schedules fire as there are: none twice, none that is gone') or diag(explain(\@theirs, \%ours));
is_deeply({ map { @$_ } @theirs }, \%ours, 'each at its minutes');
is_deeply([sort map { $_->{id} } @on], [sort map { $_->[0] } $stack->rows('SELECT scheduler_schedule_id FROM schedule')], 'by the ids that are kept');
note(scalar(grep { $_->{method} eq 'GET' } $sink->requests('scheduler')), ' look-ups, ', scalar(grep { $_->{method} eq 'POST' } $sink->requests('scheduler')), ' creations of ', scalar(there()), ' schedules');

$stack->expect_log(qr/level=err.*database/);
$stack->finish;
done_testing;

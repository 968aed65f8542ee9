#!/usr/bin/perl
# Hubs repeat their webhooks. A registration makes one subscription all the same.
use strict;
use warnings;
use Test::More;
use IO::Select;
use JSON::PP ();
use SBM::Content;
use SBM::Stack;

my $stack = SBM::Stack->start(senderd => 0);
my $json = JSON::PP->new->utf8->canonical;
my $schedule = make_schedule($stack);
my $set = make_set($stack, $schedule, ['One', 'Two']);
my $path = '/api/v1/subscriptions/request';

# Sends the same request from so many connections: all but the last byte first, then the last byte of each at once.
sub at_once {
	my ($count, $request) = @_;
	my @sockets = map { $stack->connect } 1 .. $count;
	print $_ substr $request, 0, -1 for @sockets;
	print $_ substr $request, -1 for @sockets;
	return map { $stack->read_all($_) } @sockets;
}

subtest 'delivered five times at once' => sub {
	for my $round (1 .. 10) {
		my $hook = hook($set, $schedule);
		my @answers = at_once(5, $stack->raw_request(POST => $path, $json->encode($hook), 'Content-Type: application/json'));
		is_deeply([map { m{^HTTP/1\.1 (\d+)} ? $1 : $_ } @answers], [(201) x 5], 'five times 201');
		is(scalar(grep { /"accepted":\s*true/ } @answers), 5, 'five times accepted');
		is($stack->value("SELECT count(*) FROM subscription WHERE identity = '$hook->{data}{identity}'"), 1, 'one subscription');
	}
};

subtest 'delivered again later' => sub {
	my $hook = hook($set, $schedule);
	is($stack->post($path, $hook)->{status}, 201, 'first');
	is($stack->post($path, $hook)->{status}, 201, 'second');
	is(scalar(my @found = subscription($stack, $hook->{data}{identity})), 1, 'one subscription');
	my $same = { data => { %{ $hook->{data} } } };
	delete $same->{data}{id};
	is($stack->post($path, $same)->{status}, 201, 'without an id of the Hub it is a new one');
	is(scalar(@found = subscription($stack, $hook->{data}{identity})), 2, 'two subscriptions');
};

subtest 'with an Idempotency-Key, five times at once' => sub {
	my $hook = hook($set, $schedule);
	delete $hook->{data}{id};
	my @answers = at_once(5, $stack->raw_request(POST => $path, $json->encode($hook), 'Content-Type: application/json', 'Idempotency-Key: hub-77'));
	is_deeply([map { m{^HTTP/1\.1 (\d+)} ? $1 : $_ } @answers], [(201) x 5], 'five times 201');
	is(scalar(my @found = subscription($stack, $hook->{data}{identity})), 1, 'one subscription');
};

subtest 'what is stored' => sub {
	my $hook = hook($set, $schedule, next_sequence_number => 2, lang => 'zul_ZA', metadata => { source => 'hub' });
	is($stack->post("$path/", $hook)->{status}, 201, 'accepted, with a slash too');
	my $stored = subscription($stack, $hook->{data}{identity});
	is_deeply([@$stored{qw(messageset schedule lang next_sequence_number initial_sequence_number active completed process_status)}],
		[$set, $schedule, 'zul_ZA', 2, 2, JSON::PP::true, JSON::PP::false, 0], 'as the Hub said, ready, its first number kept');
	same_json($stored->{metadata}, { source => 'hub' }, 'with its metadata');
	isnt($stored->{id}, $hook->{data}{id}, "under an id of its own, not the Hub's");
};

subtest 'what is refused' => sub {
	my $before = $stack->value('SELECT count(*) FROM subscription');
	my %cases = (
		'no data' => [{}, { data => ['This field is required.'] }],
		'no set of that id' => [hook(9999, $schedule), { messageset => ['Invalid pk "9999" - object does not exist.'] }],
		'no number' => [hook($set, $schedule, next_sequence_number => undef), { next_sequence_number => ['This field may not be null.'], initial_sequence_number => ['This field may not be null.'] }],
	);
	for my $name (sort keys %cases) {
		my ($body, $expected) = @{ $cases{$name} };
		my $answer = $stack->post($path, $body);
		is($answer->{status}, 400, "$name: refused");
		same_json($answer->{content}, $expected, 'in the recorded words');
	}
	is($stack->value('SELECT count(*) FROM subscription'), $before, 'nothing is stored');
};

subtest 'many at once' => sub {
	my $before = $stack->value('SELECT count(*) FROM subscription');
	my @pids;
	for my $child (1 .. 4) {
		my $pid = fork // die "could not fork: $!";
		if (!$pid) {
			my $bad = 0;
			delete $stack->{http};
			for (1 .. 100) {
				my $answer = $stack->post($path, hook($set, $schedule, id => undef, identity => "many-$child-$_"));
				$bad++ if $answer->{status} != 201;
			}
			require POSIX;
			POSIX::_exit($bad ? 1 : 0);
		}
		push @pids, $pid;
	}
	my @status = map { waitpid $_, 0; $? } @pids;
	is_deeply(\@status, [0, 0, 0, 0], 'all of 400 registrations are accepted');
	is($stack->value('SELECT count(*) FROM subscription') - $before, 400, 'all of them are stored');
};

$stack->finish;
done_testing;

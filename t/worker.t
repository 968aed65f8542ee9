#!/usr/bin/perl
# Workers die, configurations are wrong, services are restarted: what was answered stays true.
use strict;
use warnings;
use Test::More;
use SBM::Content;
use SBM::Stack;

my $stack = SBM::Stack->start(senderd => 0, api_workers => 2, api_workers_slow => 1);
my $schedule = make_schedule($stack);
my $set = make_set($stack, $schedule, ['One', 'Two']);
my $path = '/api/v1/subscriptions/request';

# Posts registrations from so many clients until told to stop; each writes down what was answered 201.
sub load {
	my ($clients) = @_;
	my @pids;
	for my $client (1 .. $clients) {
		my $pid = fork // die "could not fork: $!";
		if ($pid) { push @pids, $pid; next }
		my $stop = 0;
		$SIG{TERM} = sub { $stop = 1 };
		delete $stack->{http};
		open my $out, '>', "$stack->{dir}/accepted.$client" or die;
		my $n = 0;
		until ($stop) {
			my $identity = "load-$client-" . ++$n;
			my $answer = $stack->post($path, hook($set, $schedule, id => "$identity-$$", identity => $identity));
			print $out "$identity $answer->{status}\n";
		}
		close $out;
		require POSIX;
		POSIX::_exit(0);
	}
	return @pids;
}

sub end_load { my (@pids) = @_; kill TERM => @pids; waitpid $_, 0 for @pids }

# Of what the clients wrote: all answers, those with 201, and those of them that are not stored.
sub tally {
	my @answers;
	for my $file (glob "$stack->{dir}/accepted.*") {
		open my $in, '<', $file or die;
		push @answers, map { [split] } <$in>;
		unlink $file;
	}
	my %stored = map { $_->[0] => 1 } $stack->rows("SELECT identity FROM subscription WHERE identity LIKE 'load-%'");
	my @accepted = grep { $_->[1] == 201 } @answers;
	return (\@answers, \@accepted, [grep { !$stored{ $_->[0] } } @accepted]);
}

sub workers { return $stack->children('sbm-api') }

subtest 'kill -9 of workers under load' => sub {
	is(scalar(my @first = workers()), 3, 'three workers');
	my @pids = load(4);
	for my $round (1 .. 5) {
		my $before = $stack->value('SELECT count(*) FROM subscription');
		poll_until { $stack->value('SELECT count(*) FROM subscription') > $before + 20 } 'the load runs';
		my ($victim) = workers();
		kill KILL => $victim;
		poll_until { my @now = workers(); @now == 3 && !grep { $_ == $victim } @now } 'the supervisor started another worker';
		like($stack->log_text('sbm-api'), qr/pid=$victim|child=$victim|\b$victim\b.*signal=9|signal=9.*\b$victim\b/, 'and said who died');
	}
	end_load(@pids);
	my ($answers, $accepted, $lost) = tally();
	note(scalar @$answers, ' requests, ', scalar @$accepted, ' accepted');
	is(scalar @$lost, 0, 'nothing that was accepted is lost');
	my @other = grep { $_->[1] != 201 && $_->[1] !~ /^50[234]$/ } @$answers;
	is(scalar @other, 0, 'those that a killed worker had were told so') or diag(explain([@other[0 .. ($#other < 4 ? $#other : 4)]]));
	cmp_ok(@$answers - @$accepted, '<=', 5 * 6, 'and they were few');
	is($stack->get('/api/v1/schedule/')->{status}, 200, 'the service answers');
};

subtest 'HUP takes a good configuration over, with no request lost' => sub {
	my $conf = $stack->{env}{SBM_CONF};
	my $good = SBM::Stack::slurp($conf);
	is(scalar @{ $stack->get('/api/v1/messageset/?limit=x')->{json}{results} }, 1, 'one message set');
	make_set($stack, $schedule, []) for 1 .. 4;
	my @pids = load(3);
	my @old = workers();
	edit($conf, "$good\npage_size = 2\n");
	kill HUP => $stack->pid('sbm-api');
	poll_until { @{ $stack->get('/api/v1/messageset/')->{json}{results} || [] } == 2 } 'the new page size holds';
	poll_until { my %now = map { $_ => 1 } workers(); !grep { $now{$_} } @old } 'by new workers; the old ones have gone';
	end_load(@pids);
	my ($answers, $accepted, $lost) = tally();
	is(scalar(grep { $_->[1] != 201 } @$answers), 0, 'every request of ' . @$answers . ' was answered meanwhile');
	is(scalar @$lost, 0, 'and stored');

	my @now = workers();
	edit($conf, "$good\npage_size = banana\n");
	kill HUP => $stack->pid('sbm-api');
	poll_until { $stack->log_text('sbm-api') =~ /page_size.*banana|banana.*page_size/ } 'a bad file is refused in words';
	is(scalar @{ $stack->get('/api/v1/messageset/')->{json}{results} }, 2, 'the old settings stay');
	is_deeply([workers()], \@now, 'and so do the workers');
	edit($conf, $good);
	kill HUP => $stack->pid('sbm-api');
	poll_until { @{ $stack->get('/api/v1/messageset/')->{json}{results} || [] } == 5 } 'a mended file is taken';
};

sub edit {
	my ($path, $text) = @_;
	open my $out, '>', $path or die "could not write \"$path\": $!\n";
	print $out $text;
	close $out;
}

subtest 'TERM drains' => sub {
	# A request that waits for a lock is under way when TERM comes.
	my $pid = open my $locker, '|-', "exec $stack->{env}{SBM_PSQL} -X -q -o /dev/null 2>/dev/null" or die;
	$locker->autoflush(1);
	print $locker "BEGIN;\nLOCK TABLE subscription IN SHARE MODE;\n";
	poll_until { $stack->value("SELECT count(*) FROM pg_locks WHERE relation = 'subscription'::regclass AND mode = 'ShareLock' AND granted") } 'the table is locked';
	my $socket = $stack->connect;
	print $socket $stack->raw_request(POST => $path, JSON::PP::encode_json(hook($set, $schedule, identity => 'drained')), 'Content-Type: application/json');
	poll_until { $stack->value("SELECT count(*) FROM pg_locks WHERE relation = 'subscription'::regclass AND NOT granted") } 'a request waits for it';
	my $api = $stack->pid('sbm-api');
	kill TERM => $api;
	poll_until { $stack->log_text('sbm-api') =~ /drain|stop|TERM/i } 'sbm-api says that it ends';
	ok($stack->alive($api), 'it waits for the request');
	print $locker "COMMIT;\n";
	close $locker;
	like($stack->read_all($socket), qr{^HTTP/1\.1 201}, 'which is answered');
	poll_until { !$stack->alive($api) } 'then it ends';
	is($stack->value("SELECT count(*) FROM subscription WHERE identity = 'drained'"), 1, 'what was answered is stored');
	$stack->up(senderd => 0);
	is($stack->get('/api/v1/schedule/')->{status}, 200, 'started again, it answers');
};

subtest 'kill -9 of the supervisor takes its workers along' => sub {
	my $api = $stack->pid('sbm-api');
	my @orphans = workers();
	kill KILL => $api;
	poll_until { !grep { $stack->alive($_) } @orphans } 'no worker outlives it';
	$stack->up(senderd => 0);
	is($stack->get('/api/v1/schedule/')->{status}, 200, 'started again, it takes its old socket over');
};

# Workers that were killed are reported as errors, and nginx reports what they left undone.
$stack->expect_log(qr/signal=9|killed|banana|page_size|could not reload/, qr/\[error\].*(?:upstream|connect\(\) to unix)|\[crit\].*connect\(\) to unix/);
$stack->finish;
done_testing;

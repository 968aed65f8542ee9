#!/usr/bin/perl
# Jobs of the daemon: a lease that is renewed while one is worked at, a fence when it was lost all the same, and what
# the service tells of them.
use strict;
use warnings;
use Test::More;
use SBM::Content;
use SBM::Stack;

my $stack = SBM::Stack->start(lease => '1s', sweep => '100ms');
my $schedule = make_schedule($stack);
my $set = make_set($stack, $schedule, ['One']);
subscribe($stack, $set, $schedule) for 1 .. 3;

sub job { my ($id) = @_; return $stack->get("/api/v1/jobs/$id/")->{json} }

# A transaction that holds a job up until it is told to end.
sub hold_up {
	my ($table) = @_;
	open my $psql, '|-', "exec $stack->{env}{SBM_PSQL} -X -q -A -t >/dev/null" or die "psql: $!\n";
	$psql->autoflush(1);
	print $psql "BEGIN;\nLOCK TABLE $table IN ACCESS EXCLUSIVE MODE;\n";
	poll_until { $stack->value("SELECT count(*) FROM pg_locks WHERE relation = '$table'::regclass AND mode = 'AccessExclusiveLock' AND granted") } "$table is locked";
	return $psql;
}

my $second;

# The keeper that is at a job, of either daemon: it has a child, which renews the lease.
sub worker {
	my $worker;
	poll_until {
		($worker) = grep { (SBM::Stack::slurp("/proc/$_/comm") // '') =~ /keeper/ && (() = $stack->children($_)) } map { $stack->children($_) } 'sbm-senderd', $second
	} 'a keeper is at it';
	return $worker;
}

# Another daemon on the same database.
sub second_daemon {
	my ($program) = grep { -x } map { SBM::Stack::build_dir() . "/$_" } 'src/sbm-senderd', 'sbm-senderd';
	my $pid = fork // die "could not fork: $!\n";
	if (!$pid) {
		open STDERR, '>>', "$stack->{dir}/stack/log/second.log";
		open STDOUT, '>&', \*STDERR;
		%ENV = (SBM::Stack::clean_environment(), SBM_CONF => $stack->{env}{SBM_CONF}, SBM_TRIGGER_BIND => "ipc://$stack->{dir}/second.sock");
		{ exec $program }
		require POSIX;
		POSIX::_exit(127);
	}
	poll_until { $stack->log_text('second') =~ /msg="started"/ } 'a second daemon is there';
	return $pid;
}

subtest 'what is told of jobs' => sub {
	my $id = $stack->post('/api/v1/runsendestimate')->{json}{task_id};
	poll_until { job($id)->{finished_at} } 'the job is done';
	my $job = job($id);
	is($job->{state}, 'done', 'and says so');
	is($job->{kind}, 'estimate', 'its kind');
	like($job->{outcome}, qr/^\d+ message sets send today$/, 'what came of it');
	is($job->{error}, undef, 'no error');
	$stack->post('/api/metrics/');
	my $list = $stack->get('/api/v1/jobs/?limit=1')->{json};
	is($list->{count}, 2, 'the list has both');
	is($list->{results}[0]{kind}, 'metrics', 'the newest first');
	is($stack->get($list->{next})->{json}{results}[0]{id}, $id, 'the next page has the other');
	is($stack->get("/api/v1/jobs/$_/")->{status}, 404, "none is \"$_\"") for '00000000-0000-4000-8000-000000000000', 'abc';
	is($stack->get('/api/v1/jobs/', authorization => undef)->{status}, 401, 'strangers see none');
	my (undef, $status) = $stack->ctl('status');
	like($status, qr/^\s*estimate\b.*\bdone\b/m, 'sbmctl status shows what the last of a kind came to');
};

$second = second_daemon();
# Also when the test ends before its time.
END { local $?; kill TERM => $second if $second }

subtest 'a job that takes longer than its lease' => sub {
	my $gate = hold_up('behind_subscription');
	my $id = $stack->post('/api/v1/behind-subscriptions/find_behind_subscriptions/')->{json}{task_id};
	poll_until { job($id)->{state} eq 'working' } 'it is worked at';
	my $until = $stack->value("SELECT lease_until + interval '2 s' FROM job WHERE id = '$id'");
	poll_until { $stack->value("SELECT lease_until > '$until' AND now() > '$until' FROM job WHERE id = '$id'") eq 't' } 'its lease was renewed again and again';
	is($stack->value("SELECT attempt FROM job WHERE id = '$id'"), 1, 'so the other daemon leaves it alone');
	close $gate;
	poll_until { job($id)->{finished_at} } 'it ends';
	is(job($id)->{outcome}, '0 of 3 subscriptions are behind', 'with its result');
	is($stack->value("SELECT attempt FROM job WHERE id = '$id'"), 1, 'it was done once');
};

subtest 'its process killed' => sub {
	my $gate = hold_up('behind_subscription');
	my $id = $stack->post('/api/v1/behind-subscriptions/find_behind_subscriptions/')->{json}{task_id};
	poll_until { job($id)->{state} eq 'working' } 'it is worked at';
	$stack->expect_log(qr/child ended.*group=keeper/);
	my $worker = worker();
	my @renewers = $stack->children($worker);
	kill KILL => $worker;
	poll_until { !grep { $stack->alive($_) } @renewers } 'its renewer goes with it';
	poll_until { $stack->value("SELECT attempt FROM job WHERE id = '$id'") > 1 } 'another process takes the job over';
	close $gate;
	poll_until { job($id)->{finished_at} } 'and ends it';
	is(job($id)->{state}, 'done', 'well');
};

subtest 'a process that slept too long' => sub {
	my $gate = hold_up('behind_subscription');
	my $id = $stack->post('/api/v1/behind-subscriptions/find_behind_subscriptions/')->{json}{task_id};
	poll_until { job($id)->{state} eq 'working' } 'a job is worked at';
	my $worker = worker();
	my @family = ($worker, $stack->children($worker));
	kill STOP => @family;
	poll_until { $stack->value("SELECT attempt FROM job WHERE id = '$id'") == 2 } 'another one takes it over';
	kill CONT => @family;
	close $gate;
	poll_until { $stack->log_text() =~ /msg="job ended too late; another process has taken it over" job=$id/ } 'the first comes too late, and says so';
	poll_until { job($id)->{finished_at} } 'the second ends it';
	is($stack->value("SELECT attempt FROM job WHERE id = '$id'"), 2, 'it was taken over once');
	is(job($id)->{state}, 'done', 'and is done');
};

kill TERM => $second;
waitpid $second, 0;
$second = undef;
$stack->finish;
done_testing;

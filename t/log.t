#!/usr/bin/perl
# Logs: one request's id from nginx to the last call that it causes, JSON, and the system's log.
use strict;
use warnings;
use IO::Socket::UNIX;
use POSIX ();
use Socket qw(SOCK_DGRAM);
use Test::More;
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, clock => 1, log_level => 'debug', sweep => '100ms', write_back => '20ms', probe_min => '50ms', probe_max => '200ms');
my $schedule = make_schedule($stack);
my $set = make_set($stack, $schedule, [map { "Message $_" } 1 .. 10]);
my @mothers = map { subscribe($stack, $set, $schedule) } 1 .. 3;
my $serial = 0;

sub lines { my ($log, $id) = @_; return grep { /(?:\brid=|"rid":")\Q$id\E\b/ } split /\n/, $stack->log_text($log) }
sub has_line { my ($log, $id, $pattern, $name) = @_; local $Test::Builder::Level = $Test::Builder::Level + 1; return poll_until { grep { $_ =~ $pattern } lines($log, $id) } $name }

subtest 'one id from the caller to the message sender' => sub {
	my ($id, $subscription) = ('story-' . ++$serial, subscription($stack, $mothers[0])->{id});
	# Held for a moment, so that it can be seen in the queue.
	$stack->ctl('pause', 'all');
	my $answer = $stack->post("/api/v1/subscriptions/$subscription/send", undef, x_request_id => $id);
	is($answer->{status}, 201, 'a message is asked for');
	is($answer->{headers}{'x-request-id'}, $id, 'the answer has the id');
	has_line('access', $id, qr/prog=nginx .* msg="request" method=POST path="\/api\/v1\/subscriptions\/$subscription\/send" status=201 seconds=[\d.]+ /, 'the log of nginx');
	has_line('sbm-api', $id, qr/level=debug prog=sbm-api pid=\d+ rid=$id msg="request" method=POST .* status=201 /, 'the log of sbm-api');
	is($stack->value("SELECT request_id FROM delivery_queue WHERE subscription_id = '$subscription'"), $id, 'the queue');
	$stack->ctl('resume', 'all');
	settled($stack);
	has_line('sbm-senderd', $id, qr/prog=sbm-senderd .*msg="delivery ended" .*subscription=$subscription outcome=sent/, 'the log of sbm-senderd');
	is_deeply([map { "$_->{method} " . ($_->{headers}{'x-request-id'} // '') } $sink->requests], ["GET $id", "POST $id"], 'the calls of identity store and message sender');
	is($stack->value("SELECT request_id FROM delivery WHERE subscription_id = '$subscription'"), $id, 'the history');
	like($stack->get("/api/v1/subscriptions/$subscription/deliveries/")->{content}, qr/"$id"/, 'which the API tells');
	is(scalar grep({ /^ts=\S+ level=\w+ prog=[\w-]+ / } lines('*', $id)), scalar lines('*', $id), 'all lines have the same form');
};

subtest 'one id for all that a firing causes' => sub {
	my $id = 'story-' . ++$serial;
	my $before = $sink->requests;
	$stack->advance_clock(60);
	is($stack->post("/api/v1/schedule/$schedule/send/", undef, x_request_id => $id)->{status}, 202, 'fired');
	settled($stack);
	my @calls = $sink->requests;
	is_deeply({ map { (($_->{headers}{'x-request-id'} // '') => 1) } @calls[$before .. $#calls] }, { $id => 1 }, 'every call has it');
	has_line('sbm-senderd', $id, qr/level=info .*msg="run finished" .* sent=3 /, 'and the line that says that the run has ended');
};

subtest 'JSON' => sub {
	$stack->up(log_format => 'json');
	my $id = 'story-' . ++$serial;
	# HUP takes a moment.
	poll_until { $stack->get('/api/v1/', x_request_id => $id); grep { /^\{/ } lines('sbm-api', $id) } 'lines are JSON';
	my ($line) = grep { /^\{/ } lines('sbm-api', $id);
	my $told = json_of($line);
	is_deeply([@$told{qw(level prog rid msg method path status)}], ['debug', 'sbm-api', $id, 'request', 'GET', '/api/v1/', 200], 'with the same fields');
};

subtest "the system's log" => sub {
	my ($path, $file) = ("$stack->{dir}/syslog", "$stack->{dir}/syslog.text");
	# Its queue holds ten lines: somebody reads all the time.
	my $begin = sub {
		unlink $path;
		my $socket = IO::Socket::UNIX->new(Type => SOCK_DGRAM, Local => $path) or die "could not listen at \"$path\": $!\n";
		chmod 0666, $path;
		my $pid = fork // die "could not fork: $!\n";
		return $pid if $pid;
		$SIG{TERM} = 'DEFAULT';
		open my $out, '>>', $file or POSIX::_exit(1);
		$out->autoflush(1);
		while (1) { defined recv $socket, my $text, 65536, 0 or POSIX::_exit(1); print $out "$text\n" }
	};
	my $end = sub { my ($pid) = @_; kill KILL => $pid; local $?; waitpid $pid, 0 };
	my $line;
	my $has = sub { my ($pattern) = @_; ($line) = grep { $_ =~ $pattern } split /\n/, SBM::Stack::slurp($file) // ''; return defined $line };
	my $syslog = $begin->();
	$stack->up(log_format => 'logfmt', log_to => 'syslog', syslog_socket => $path);
	my $id = 'story-' . ++$serial;
	poll_until { $stack->get('/api/v1/', x_request_id => $id); $has->(qr/rid=$id/) } 'lines arrive there';
	like($line, qr/^<31>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d sbm-api\[\d+\]: ts=\S+ level=debug prog=sbm-api pid=\d+ rid=$id /, 'in the form of syslog(3)');
	# So few lines that none finds the queue full.
	$stack->up(log_level => 'info');
	fire($stack, $schedule);
	poll_until { $has->(qr/run finished/) } 'the daemon tells there, too';
	like($line, qr/^<30>/, 'with its severity');
	settled($stack);
	$sink->behave(outbound => { status => 503 });
	fire($stack, $schedule);
	poll_until { $has->(qr/service is out/) } 'a warning';
	like($line, qr/^<28>/, 'with its severity');
	$sink->behave;
	settled($stack);
	$stack->up(log_level => 'debug');

	$end->($syslog);
	$id = 'story-' . ++$serial;
	is($stack->get('/api/v1/', x_request_id => $id)->{status}, 200, 'nobody waits for one that is away');
	poll_until { $stack->get('/api/v1/', x_request_id => $id); lines('sbm-api', $id) } 'its lines go to standard error';
	$syslog = $begin->();
	$id = 'story-' . ++$serial;
	poll_until { $stack->get('/api/v1/', x_request_id => $id); $has->(qr/rid=$id/) } 'it is found again';
	# It hangs.
	kill STOP => $syslog;
	$id = 'story-' . ++$serial;
	poll_until { $stack->get('/api/v1/', x_request_id => $id)->{status} == 200 && lines('sbm-api', $id) } 'what it does not take goes to standard error';
	$end->($syslog);
};

$stack->expect_log(qr/service is out/);
$stack->finish;
$sink->stop;
done_testing;

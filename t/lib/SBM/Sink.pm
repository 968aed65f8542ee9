package SBM::Sink;

# The other services, faked: an identity store, a message sender, a scheduler and a metrics API in one process
# on a loopback port. It writes down each request as it came, and can be told to misbehave.
#
#   my $sink = SBM::Sink->start($stack_dir);
#   SBM::Stack->start($sink->settings, ...);
#   $sink->behave(outbound => { status => 503 });   # until told otherwise
#   $sink->behave();                                # as it should be
#   $sink->requests('outbound');                    # method, path, query, headers, body, status, at
#
# A behaviour has: status, headers, body (text), delay (seconds before the answer), match (a regular expression
# on path and body: only those), every (only one in so many), limit (only the first so many), and
# list (what a GET of the scheduler answers, also where the rest does not apply),
# hang, reset (take the request, then nothing or a reset connection).
use strict;
use warnings;
use Errno qw(EAGAIN EINTR);
use IO::Select;
use IO::Socket::INET;
use JSON::PP ();
use Socket qw(SOL_SOCKET SO_LINGER);
use Time::HiRes qw(time);
use SBM::Stack ();

my $JSON = JSON::PP->new->utf8->canonical;
my $serial = 0;

sub start {
	my ($class, %option) = @_;
	my $dir = ($ENV{SBM_TEST_DIR} || '/tmp') . "/sbm-sink-$$-" . $serial++;
	mkdir $dir or die "could not make \"$dir\": $!\n";
	my $self = bless { dir => $dir, owner => $$, port => $option{port} }, $class;
	$self->open;
	return $self;
}

# Listens and forks the server; also after stop, on the same port.
sub open {
	my ($self) = @_;
	# Below the ports that the kernel gives to outgoing connections.
	for my $try (1 .. 200) {
		my $port = $self->{port} || 20000 + int rand 12000;
		$self->{listener} = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1024, ReuseAddr => 1, Proto => 'tcp');
		if ($self->{listener}) { $self->{port} = $port; last }
		select undef, undef, undef, 0.02 if $self->{port};
	}
	die "could not listen for the fake services: $!\n" unless $self->{listener};
	my $pid = fork // die "could not fork: $!\n";
	if (!$pid) {
		$SIG{TERM} = sub { require POSIX; POSIX::_exit(0) };
		eval { $self->serve };
		print STDERR "sink: $@" if $@;
		require POSIX;
		POSIX::_exit(1);
	}
	close delete $self->{listener};
	$self->{pid} = $pid;
	return $self;
}

# Ends the server; what it recorded stays readable.
sub close_down {
	my ($self) = @_;
	my $pid = delete $self->{pid} or return;
	kill TERM => $pid;
	waitpid $pid, 0;
}

sub stop {
	my ($self) = @_;
	$self->close_down;
	require File::Path;
	File::Path::remove_tree($self->{dir}) unless $ENV{SBM_TEST_KEEP};
}

sub DESTROY { my ($self) = @_; local $?; $self->stop if $self->{owner} == $$ }

sub url { my ($self) = @_; return "http://127.0.0.1:$self->{port}" }

# The settings that point a stack at us.
sub settings {
	my ($self) = @_;
	return (
		identity_store_url => $self->url . '/identity/api/v1', identity_store_token => 'identity-token',
		message_sender_url => $self->url . '/sender/api/v1', message_sender_token => 'sender-token',
	);
}

sub behave {
	my ($self, %behaviour) = @_;
	my $path = "$self->{dir}/behaviour";
	CORE::open(my $out, '>', "$path.new") or die "could not write \"$path.new\": $!\n";
	print $out $JSON->encode({ %behaviour, serial => $serial++ });
	close $out;
	rename "$path.new", $path or die "could not rename: $!\n";
}

# What came, in order; only of one service (identity, outbound, scheduler, metrics) when named.
sub requests {
	my ($self, $service) = @_;
	CORE::open(my $in, '<', "$self->{dir}/requests") or return;
	local $_;
	my @all;
	while (<$in>) {
		last unless /\n$/;
		my $request = $JSON->decode($_);
		push @all, $request if !defined $service || $request->{service} eq $service;
	}
	return @all;
}

sub count { my ($self, $service) = @_; return scalar(my @all = $self->requests($service)) }
# Those that were answered with success.
sub accepted { my ($self, $service) = @_; return grep { ($_->{status} // 0) =~ /^2/ } $self->requests($service) }

# Forgets what came so far.
sub forget {
	my ($self) = @_;
	CORE::open(my $out, '>>', "$self->{dir}/requests") or die;
	truncate $out, 0;
}

# ---- the server

sub serve {
	my ($self) = @_;
	my $listener = $self->{listener};
	$listener->blocking(0);
	my $select = IO::Select->new($listener);
	my (%in, @later, %used);
	local $SIG{PIPE} = 'IGNORE';
	CORE::open(my $record, '>>', "$self->{dir}/requests") or die "could not write requests: $!\n";
	$record->autoflush(1);
	my ($behaviour, $stamp) = ({}, '');
	while (1) {
		my $next = @later ? $later[0][0] - time : undef;
		my @ready = $select->can_read(defined $next ? ($next > 0 ? $next : 0) : undef);
		my $told = SBM::Stack::slurp("$self->{dir}/behaviour") // '{}';
		if ($told ne $stamp) {
			$behaviour = $JSON->decode($told);
			($stamp, %used) = ($told);
		}
		while (@later && $later[0][0] <= time) {
			my (undef, $socket, $answer) = @{ shift @later };
			reply($socket, $answer) if $in{$socket};
		}
		for my $socket (@ready) {
			if ($socket == $listener) {
				while (my $new = $listener->accept) {
					$new->blocking(0);
					$select->add($new);
					$in{$new} = { bytes => '' };
				}
				next;
			}
			my $state = $in{$socket};
			my $got = sysread $socket, $state->{bytes}, 65536, length $state->{bytes};
			next if !defined $got && ($! == EAGAIN || $! == EINTR);
			if (!$got) {
				$select->remove($socket);
				delete $in{$socket};
				close $socket;
				next;
			}
			while (my $request = take_request(\$state->{bytes})) {
				my ($answer, $rule) = answer_to($request, $behaviour, \%used);
				if ($rule->{endless}) {
					print $record $JSON->encode({ %$request, status => $answer->{status}, at => time }), "\n";
					give_endlessly($socket, $answer);
					$select->remove($socket);
					delete $in{$socket};
					close $socket;
					last;
				}
				$request->{status} = $rule->{hang} || $rule->{reset} ? undef : $answer->{status};
				$request->{answer} = $answer->{body};
				$request->{at} = time;
				print $record $JSON->encode($request), "\n";
				next if $rule->{hang};
				if ($rule->{reset}) {
					setsockopt $socket, SOL_SOCKET, SO_LINGER, pack 'ii', 1, 0;
					$select->remove($socket);
					delete $in{$socket};
					close $socket;
					last;
				}
				if ($rule->{delay}) {
					@later = sort { $a->[0] <=> $b->[0] } @later, [time + $rule->{delay}, $socket, $answer];
				} else {
					reply($socket, $answer);
				}
			}
		}
	}
}

# The next whole request at the front of the bytes, cut off from them.
sub take_request {
	my ($bytes) = @_;
	my $end = index $$bytes, "\r\n\r\n";
	return if $end < 0;
	my ($first, @lines) = split /\r\n/, substr $$bytes, 0, $end;
	my %headers = map { /^([^:]+):\s*(.*)$/ ? (lc $1 => $2) : () } @lines;
	my $length = $headers{'content-length'} || 0;
	return if length $$bytes < $end + 4 + $length;
	my $body = substr $$bytes, $end + 4, $length;
	substr($$bytes, 0, $end + 4 + $length) = '';
	my ($method, $target) = split ' ', $first;
	my ($path, $query) = split /\?/, $target, 2;
	my $service = $path =~ m{^/identity/} ? 'identity' : $path =~ m{^/sender/} ? 'outbound' : $path =~ m{^/scheduler/} ? 'scheduler' : $path =~ m{^/metrics} ? 'metrics' : 'other';
	return { method => $method, path => $path, query => $query // '', headers => \%headers, body => $body, service => $service };
}

sub answer_to {
	my ($request, $behaviour, $used) = @_;
	my $service = $request->{service};
	my $rule = $behaviour->{$service} || {};
	my $text = "$request->{path} $request->{body}";
	if (%$rule) {
		my $applies = !defined $rule->{match} || $text =~ /$rule->{match}/;
		$applies &&= ++$used->{"$service every"} % $rule->{every} == 0 if $rule->{every};
		$applies &&= ++$used->{"$service limit"} <= $rule->{limit} if $rule->{limit};
		$rule = {} unless $applies;
	}
	my $status = $rule->{status} // 200;
	my %answer = $service eq 'scheduler' && $status < 300 && !$rule->{hang} ? schedule($request) : $service eq 'identity' ? (status => 200, body => addresses($request->{path}))
		: $service eq 'outbound' ? (status => 201, body => '{"id": "' . uuid() . '"}')
		: (status => 200, body => '{}');
	if ($rule->{status}) {
		$answer{status} = $rule->{status};
		$answer{body} = $rule->{body} // '{"detail": "as it was told"}';
	} elsif (defined $rule->{body}) {
		$answer{body} = $rule->{body};
	}
	# The scheduler's list, whatever else it does.
	if ($service eq 'scheduler' && $request->{method} eq 'GET' && defined $behaviour->{scheduler}{list}) {
		@answer{qw(status body)} = (200, $behaviour->{scheduler}{list});
	}
	$answer{headers} = $rule->{headers} || {};
	return (\%answer, $rule);
}

# The scheduler: keeps what it is told, also when its answer is lost, and lists it in pages of three, oldest first.
my (%schedule, @made);
sub schedule {
	my ($request) = @_;
	my ($id) = $request->{path} =~ m{/schedule/([^/]+)/$};
	if ($request->{method} eq 'GET') {
		my ($from) = $request->{query} =~ /offset=(\d+)/;
		$from ||= 0;
		my @page = grep { defined } @made[$from .. $from + 2];
		my $next = $from + 3 < @made ? "http://nowhere.invalid/?offset=" . ($from + 3) : undef;
		return (status => 200, body => $JSON->encode({ count => scalar @made, next => $next, previous => undef, results => [map { $schedule{$_} } @page] }));
	}
	my $status = defined $id ? 200 : 201;
	push @made, $id //= uuid() unless defined $id && $schedule{$id};
	my $fields = eval { $JSON->decode($request->{body}) } || {};
	$schedule{$id} = { enabled => JSON::PP::true, %{ $schedule{$id} || {} }, %$fields, id => $id };
	return (status => $status, body => $JSON->encode($schedule{$id}));
}

# An identity that begins with "lost" has no address; the others have one made of their own letters.
sub addresses {
	my ($path) = @_;
	my ($identity) = $path =~ m{/identities/([^/]+)/};
	return '{"next": null, "previous": null, "results": []}' if !defined $identity || $identity =~ /^lost/;
	return '{"next": null, "previous": null, "results": [{"address": "' . address_of($identity) . '"}]}';
}

sub address_of { my ($identity) = @_; return '+27' . unpack('%32C*', $identity) . '-' . $identity }

sub uuid { return sprintf '%08x-%04x-4%03x-8%03x-%06x%06x', rand 2**32, rand 2**16, rand 2**12, rand 2**12, rand 2**24, rand 2**24 }

# An answer whose body never ends, by a process of its own, until the other side has enough.
sub give_endlessly {
	my ($socket, $answer) = @_;
	local $SIG{CHLD} = 'IGNORE';
	my $pid = fork // return;
	return if $pid;
	$socket->blocking(1);
	$SIG{PIPE} = sub { require POSIX; POSIX::_exit(0) };
	syswrite $socket, "HTTP/1.1 $answer->{status} X\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
	1 while syswrite $socket, "1000\r\n" . (' ' x 4096) . "\r\n";
	require POSIX;
	POSIX::_exit(0);
}

sub reply {
	my ($socket, $answer) = @_;
	my $headers = join '', map { "$_: $answer->{headers}{$_}\r\n" } sort keys %{ $answer->{headers} };
	my $bytes = "HTTP/1.1 $answer->{status} X\r\nContent-Type: application/json\r\nContent-Length: " . length($answer->{body}) . "\r\n$headers\r\n$answer->{body}";
	while (length $bytes) {
		my $n = syswrite $socket, $bytes;
		if (!defined $n) {
			return if $! != EAGAIN && $! != EINTR;
			IO::Select->new($socket)->can_write(1);
			next;
		}
		substr($bytes, 0, $n) = '';
	}
}

1;

package SBM::Stack;

# A whole stack of its own for one test file: started by t/stack in a fresh directory, driven through nginx,
# and looked over at its end: nobody left running, no error in a log that the test did not announce, no
# sanitizer report.
#
#   my $stack = SBM::Stack->start(senderd => 0, page_size => 10);
#   my $answer = $stack->post('/api/v1/schedule/', { minute => '5' });   # status, headers, content, json
#   is($answer->{status}, 201);
#   is($stack->value('SELECT count(*) FROM schedule'), 1);
#   poll_until { $stack->value(...) == 0 } 'the queue is empty';
#   $stack->finish;
use strict;
use warnings;
use Exporter qw(import);
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use HTTP::Tiny;
use IO::Socket::INET;
use IPC::Open3 qw(open3);
use JSON::PP ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Test::More;
use Time::HiRes qw(time);

our @EXPORT = qw(poll_until json_of same_json pause_briefly);

my $SOURCE = dirname(dirname(dirname(dirname(abs_path(__FILE__)))));
my $JSON = JSON::PP->new->utf8->canonical->allow_nonref;
my @LIVE;

# How much longer than usual all may take; checks under sanitizers set 4.
sub patience { return $ENV{SBM_TEST_PATIENCE} || 1 }

sub source_dir { return $SOURCE }
# Where sbm is built: SBM_BUILD, or the places where t/stack looks.
sub build_dir {
	my ($found) = grep { -x "$_/src/sbmctl" } $ENV{SBM_BUILD} || ('.', $SOURCE, "$SOURCE/build", "$SOURCE/../build");
	return abs_path($found // die "sbm is not built; run ./bootstrap build, or name the build directory in SBM_BUILD\n");
}

sub json_of { return $JSON->decode($_[0]) }

# Compares two JSON texts or values as JSON: order of keys and white space do not count, numbers and texts do.
sub same_json {
	my ($got, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($a, $b) = map { ref $_ ? $JSON->encode($_) : defined $_ ? $JSON->encode($JSON->decode($_)) : 'nothing' } $got, $expected;
	return is($a, $b, $name);
}

sub pause_briefly { select undef, undef, undef, $_[0] // 0.01 }

# Waits until the block is true and passes with $name; fails when that takes too long.
sub poll_until (&$;$) {
	my ($is, $name, $seconds) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $until = time + ($seconds || 20) * patience();
	my $wait = 0.005;
	while (1) {
		return pass($name) if $is->();
		return fail("$name (not within " . ($seconds || 20) * patience() . ' s)') if time > $until;
		pause_briefly($wait);
		$wait *= 1.5 if $wait < 0.1;
	}
}

# Head and body leave in two pieces: without this the second would wait for the other side's late acknowledgement.
{
	no warnings 'redefine';
	my $connect = \&HTTP::Tiny::Handle::connect;
	*HTTP::Tiny::Handle::connect = sub { my $self = $connect->(@_); setsockopt $self->{fh}, IPPROTO_TCP, TCP_NODELAY, 1; $self };
}

# ---- life

# Settings as name => value; senderd => 0 leaves the sender daemon out; clock => 1 gives the stack a clock to move.
sub start {
	my ($class, %settings) = @_;
	my $base = $ENV{SBM_TEST_DIR} || '/tmp';
	my $self = bless { dir => "$base/sbm-test-$$-" . scalar @LIVE, allowed => [], offset => 0, owner => $$ }, $class;
	mkdir $self->{dir} or die "could not make \"$self->{dir}\": $!\n";
	# The stack runs as another user when we are root.
	chmod 0755, $self->{dir};
	my $senderd = delete $settings{senderd} // 1;
	if (delete $settings{clock}) {
		$settings{clock_file} = "$self->{dir}/clock";
		$self->move_clock(0);
	}
	$self->{settings} = \%settings;
	push @LIVE, $self;
	$self->up(senderd => $senderd);
	return $self;
}

# Brings up what is not running, with further settings where given.
sub up {
	my ($self, %settings) = @_;
	my $senderd = delete $settings{senderd} // 1;
	$self->{settings} = { %{ $self->{settings} }, %settings };
	my @command = ('start', "$self->{dir}/stack", $senderd ? () : '--no-senderd', map { "$_=$self->{settings}{$_}" } sort keys %{ $self->{settings} });
	my ($status, $output) = $self->stack(@command);
	if ($status) {
		diag($output);
		die "the stack does not start: t/stack @command\n";
	}
	$self->read_env;
	return $self;
}

# Other settings, taken over by HUP: the sender daemon's processes of before are gone.
sub reconfigure {
	my ($self, %settings) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @before = $self->children('sbm-senderd');
	$self->up(%settings);
	return poll_until { !grep { $self->alive($_) } @before } 'the settings are taken over';
}

sub stack {
	my ($self, @arguments) = @_;
	local $ENV{SBM_BUILD} = build_dir();
	local $ENV{SBM_STACK_TIMEOUT} = 20 * patience();
	return run($^X, "$SOURCE/t/stack", @arguments);
}

sub read_env {
	my ($self) = @_;
	open my $in, '<', "$self->{dir}/stack/env" or die "could not read the stack's env: $!\n";
	while (<$in>) {
		next unless /^(?:export )?(\w+)=(.*)$/;
		my ($name, $value) = ($1, $2);
		$value =~ s/'((?:[^']|'\\'')*)'/my $t = $1; $t =~ s{'\\''}{'}g; $t/ge;
		$self->{env}{$name} = $value;
	}
	$self->{url} = $self->{env}{SBM_URL} =~ s{/+$}{}r;
	($self->{host}, $self->{port}) = $self->{url} =~ m{//([^:/]+):(\d+)} or die "unexpected SBM_URL $self->{url}\n";
	$self->{token} = $self->{env}{SBM_ADMIN_TOKEN};
	delete $self->{http};
}

# Stops the stack and looks at what it leaves. The last call of a test.
sub finish {
	my ($self) = @_;
	return if $self->{finished}++;
	$self->{sink}->stop if $self->{sink};
	$self->end_psql;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($broken, $rules) = $self->ctl('verify');
	is($broken, 0, 'all invariants hold') or diag($rules);
	my ($status, $output) = $self->stack('stop', "$self->{dir}/stack");
	is($status, 0, 'the stack stops') or diag($output);
	is_deeply([$self->left_running], [], 'nothing is left running');
	my @bad = $self->unexpected_log_lines;
	is(scalar @bad, 0, 'no unexpected error in the logs') or diag(@bad > 20 ? (@bad[0 .. 19], '...') : @bad);
	$self->clean;
}

sub clean {
	my ($self) = @_;
	return if $ENV{SBM_TEST_KEEP} && diag("kept: $self->{dir}");
	remove_tree($self->{dir}, { safe => 0, error => \my $ignored });
}

# A test that is told to end cleans up, too.
$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP);
END {
	my $status = $?;
	for my $stack (grep { $_->{owner} == $$ && !$_->{finished} } @LIVE) {
		# The test ended before its time: say what the logs have, and leave nothing behind.
		$stack->{sink}->stop if $stack->{sink};
		diag($stack->unexpected_log_lines);
		$stack->stack('stop', "$stack->{dir}/stack");
		$stack->clean;
	}
	$? = $status;
}

# Processes whose command line or environment names our directory.
sub left_running {
	my ($self) = @_;
	my @left;
	for my $proc (glob '/proc/[0-9]*') {
		my ($pid) = $proc =~ /(\d+)$/;
		next if $pid == $$;
		my $command = slurp("$proc/cmdline") // next;
		push @left, "$pid " . $command =~ tr/\0/ /r if index($command, $self->{dir}) >= 0;
	}
	return @left;
}

# ---- logs

# Says that lines that match are wanted in the logs.
sub expect_log { my ($self, @patterns) = @_; push @{ $self->{allowed} }, @patterns }

sub log_text {
	my ($self, $name) = @_;
	return join '', map { slurp($_) // '' } glob "$self->{dir}/stack/log/" . ($name // '*') . '.log';
}

my $BAD = qr/\blevel=err\b|"level":"err"|AddressSanitizer|LeakSanitizer|UndefinedBehaviorSanitizer|runtime error:|assertion|SUMMARY:|\[(?:emerg|alert|crit|error)\]|PANIC:|FATAL:/i;

sub unexpected_log_lines {
	my ($self) = @_;
	my @bad;
	for my $file (glob "$self->{dir}/stack/log/*") {
		my ($name) = $file =~ m{([^/]+)$};
		# PostgreSQL logs the statements that we let fail on purpose; what is wrong with ours is in our own logs.
		next if $name =~ /^postgres/;
		for my $line (split /\n/, slurp($file) // '') {
			next if $line !~ $BAD || grep { $line =~ $_ } @{ $self->{allowed} };
			push @bad, "$name: $line\n";
		}
	}
	return @bad;
}

# ---- processes

sub pid {
	my ($self, $name) = @_;
	my ($pid) = (slurp("$self->{dir}/stack/pid/$name") // '') =~ /^(\d+)/;
	# A signal to nobody would go to all of ourselves.
	return $pid || die "the stack has no $name\n";
}

# Process ids of the children of a process, or of a service by its name.
sub children {
	my ($self, $of) = @_;
	my $parent = $of =~ /^\d+$/ ? $of : $self->pid($of);
	my @found;
	for my $stat (glob '/proc/[0-9]*/stat') {
		my ($pid, $rest) = (slurp($stat) // next) =~ /^(\d+) \(.*\) (.*)/s or next;
		my ($state, $ppid) = split ' ', $rest;
		push @found, $pid if $ppid == $parent && $state ne 'Z';
	}
	return sort { $a <=> $b } @found;
}

# Seconds in which a process was running or wanted to, however busy the machine is; 0 when there is none.
sub busy_seconds {
	my ($self, $pid) = @_;
	my ($ran, $waited) = split ' ', slurp("/proc/$pid/schedstat") // return 0;
	return ($ran + $waited) / 1e9;
}

sub alive { my ($self, $pid) = @_; my ($state) = (slurp("/proc/$pid/stat") // return 0) =~ /\) (\S)/; return defined $state && $state ne 'Z' }

# ---- clock

# Moves the service's clock to so many seconds from the real one.
sub move_clock {
	my ($self, $seconds) = @_;
	my $path = "$self->{dir}/clock";
	open my $out, '>', "$path.new" or die "could not write \"$path.new\": $!\n";
	print $out "$seconds\n";
	close $out;
	rename "$path.new", $path or die "could not rename \"$path.new\": $!\n";
	$self->{offset} = $seconds;
	# The programs look at the file again after 20 ms.
	pause_briefly(0.03);
}

sub advance_clock { my ($self, $seconds) = @_; $self->move_clock($self->{offset} + $seconds) }
sub now { my ($self) = @_; return time + $self->{offset} }

# ---- HTTP

# One request as a client with a kept connection makes it. $body: a hash or array goes as JSON, a text as it is.
sub request {
	my ($self, $method, $path, $body, %headers) = @_;
	$self->{http} ||= HTTP::Tiny->new(agent => 'sbm-test', timeout => 30 * patience(), max_redirect => 0, keep_alive => 1);
	my %sent = (Authorization => "Token $self->{token}", Accept => 'application/json');
	$sent{'Content-Type'} = 'application/json' if ref $body;
	$sent{ header_name($_) } = $headers{$_} for keys %headers;
	delete @sent{ grep { !defined $sent{$_} } keys %sent };
	my $answer = $self->{http}->request($method, $path =~ m{^http} ? $path : $self->{url} . $path,
		{ headers => \%sent, defined $body ? (content => ref $body ? $JSON->encode($body) : $body) : () });
	$answer->{json} = eval { $JSON->decode($answer->{content}) } if ($answer->{headers}{'content-type'} // '') =~ m{^application/json};
	return $answer;
}

# content_type => Content-Type
sub header_name { return join '-', map { ucfirst lc } split /_/, $_[0] =~ s/-/_/gr }

sub get { my ($self, @rest) = @_; return $self->request(GET => $rest[0], undef, @rest[1 .. $#rest]) }
sub post { my ($self, @rest) = @_; return $self->request(POST => @rest) }
sub put { my ($self, @rest) = @_; return $self->request(PUT => @rest) }
sub patch { my ($self, @rest) = @_; return $self->request(PATCH => @rest) }
sub delete { my ($self, $path, %headers) = @_; return $self->request(DELETE => $path, undef, %headers) }

# Posts and expects 201; returns the record made.
sub make {
	my ($self, $path, $fields, %headers) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $answer = $self->post("/api/v1$path", $fields, %headers);
	$answer->{status} == 201 or die "could not make a record: POST $path: $answer->{status} $answer->{content}\n";
	return $answer->{json};
}

# Body and type of a multipart upload of one file.
sub multipart {
	my ($self, $field, $name, $type, $bytes) = @_;
	my $boundary = 'sbm-test-8c1a77';
	my $body = "--$boundary\r\nContent-Disposition: form-data; name=\"$field\"; filename=\"$name\"\r\nContent-Type: $type\r\n\r\n$bytes\r\n--$boundary--\r\n";
	return ($body, content_type => "multipart/form-data; boundary=$boundary");
}

sub upload {
	my ($self, $name, $type, $bytes) = @_;
	return $self->post('/api/v1/binarycontent/', $self->multipart('content', $name, $type, $bytes));
}

# A connection to nginx for bytes of one's own.
sub connect {
	my ($self) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => $self->{host}, PeerPort => $self->{port}, Timeout => 10) or die "could not connect to $self->{url}: $!\n";
	$socket->autoflush(1);
	return $socket;
}

# The bytes of a request on one connection, with our token.
sub raw_request {
	my ($self, $method, $path, $body, @lines) = @_;
	$body //= '';
	return join "\r\n", "$method $path HTTP/1.1", "Host: $self->{host}:$self->{port}", "Authorization: Token $self->{token}",
		'Connection: close', (length $body ? 'Content-Length: ' . length $body : ()), @lines, '', $body;
}

# All that comes until the other side closes; status line first.
sub read_all {
	my ($self, $socket) = @_;
	local $/;
	return scalar <$socket> // '';
}

# One request on a connection that stays open: status, headers, content; undef when the other side closed it.
sub exchange {
	my ($self, $socket, $bytes, $method) = @_;
	local $SIG{PIPE} = 'IGNORE';
	print $socket $bytes or return undef;
	my ($head, $chunk) = ('');
	while (defined($chunk = <$socket>)) {
		$head .= $chunk;
		last if $chunk =~ /^\r?\n$/ && $head =~ /\S/;
	}
	my ($status) = $head =~ m{^HTTP/1\.[01] (\d+)} or return undef;
	my %headers = map { /^([^:]+):\s*(.*?)\r?$/ ? (lc $1 => $2) : () } split /\n/, $head;
	my $content = '';
	if (($method // '') eq 'HEAD' || $status == 204 || $status == 304) {
	} elsif (($headers{'transfer-encoding'} // '') eq 'chunked') {
		while (defined(my $size = <$socket>)) {
			my $length = hex $size;
			read $socket, my $piece, $length + 2;
			last unless $length;
			$content .= substr $piece, 0, $length;
		}
	} elsif (defined $headers{'content-length'}) {
		read $socket, $content, $headers{'content-length'};
	} else {
		$content = $self->read_all($socket);
	}
	return { status => $status, headers => \%headers, content => $content };
}

sub raw { my ($self, $bytes) = @_; my $socket = $self->connect; print $socket $bytes; return $self->read_all($socket) }

# ---- database

# One psql for all that follows, for tests that ask a thousand times and leave PostgreSQL alone.
sub keep_psql {
	my ($self) = @_;
	my $pid = open3(my $in, my $out, undef, '/bin/sh', '-c', "exec $self->{env}{SBM_PSQL} -X -q -A -t -F '\t'");
	$self->{psql} = { pid => $pid, in => $in, out => $out };
	return;
}

sub end_psql {
	my ($self) = @_;
	my $psql = delete $self->{psql} or return;
	close $psql->{in};
	waitpid $psql->{pid}, 0;
	return;
}

sub ask_psql {
	my ($self, $text) = @_;
	my ($psql, $output) = ($self->{psql}, '');
	local $SIG{PIPE} = 'IGNORE';
	print { $psql->{in} } "$text;\n\\echo end of answer\n";
	$psql->{in}->flush;
	while (defined(my $line = readline $psql->{out})) {
		if ($line eq "end of answer\n") {
			die "psql: $output\n$text\n" if $output =~ /^(?:ERROR|FATAL|psql|server closed)/m;
			return $output;
		}
		$output .= $line;
	}
	die "psql ended: $output\n$text\n";
}

sub sql {
	my ($self, $text) = @_;
	return $self->ask_psql($text) if $self->{psql};
	my ($status, $output) = run('/bin/sh', '-c', "exec $self->{env}{SBM_PSQL} -X -q -A -t -v ON_ERROR_STOP=1 -F '\t' -f -", { input => $text });
	die "psql: $output\n$text\n" if $status;
	return $output;
}

sub rows { my ($self, $text) = @_; return map { [split /\t/, $_, -1] } split /\n/, $self->sql($text) }
sub value { my ($self, $text) = @_; my ($row) = $self->rows($text); return $row && $row->[0] }

# ---- programs

# Our own variables are no settings of sbm.
sub clean_environment {
	my %keep = %ENV;
	delete @keep{ grep { /^SBM_(?:BUILD|STACK_|TEST_)/ } keys %keep };
	return %keep;
}

sub ctl {
	my ($self, @arguments) = @_;
	my $options = ref $arguments[-1] ? pop @arguments : {};
	my $build = build_dir();
	my ($program) = grep { -x } "$build/src/sbmctl", "$build/sbmctl";
	local %ENV = clean_environment();
	$ENV{SBM_CONF} //= $self->{env}{SBM_CONF};
	return run($program, @arguments, $options);
}

# Runs a program: exit status, and both outputs together. Options: input.
sub run {
	my (@command) = @_;
	my $options = ref $command[-1] ? pop @command : {};
	my $in_path;
	my $pid = open3(my $in, my $out, undef, @command);
	# Small inputs only: all is written before the first output is read.
	local $SIG{PIPE} = 'IGNORE';
	print $in $options->{input} if defined $options->{input};
	close $in;
	my $output = do { local $/; <$out> } // '';
	waitpid $pid, 0;
	return ($? & 127 ? 128 + ($? & 127) : $? >> 8, $output);
}

sub slurp {
	my ($path) = @_;
	open my $in, '<', $path or return undef;
	local $/;
	return scalar <$in> // '';
}

1;

#!/usr/bin/perl
# What nginx decides before and after the service, with the files that production has.
use strict;
use warnings;
use IO::Socket::INET;
use POSIX ();
use Test::More;
use SBM::Stack;

my $stack = SBM::Stack->start(senderd => 0, upload_max => '2MiB');
my $HOST = "Host: $stack->{host}:$stack->{port}";
my $AUTH = "Authorization: Token $stack->{token}";

# Sends bytes from an address of our own. Status, headers (last one wins), body; how often each header came.
sub ask {
	my ($bytes, $from) = @_;
	local $SIG{PIPE} = 'IGNORE';
	my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $stack->{port}, LocalAddr => $from || '127.0.0.1', Timeout => 10) or die "could not connect: $!\n";
	print $socket $bytes;
	my $answer = $stack->read_all($socket);
	my ($head, $body) = split /\r\n\r\n/, $answer, 2;
	my ($line, @lines) = split /\r\n/, $head // '';
	my (%header, %times);
	for (@lines) {
		my ($name, $value) = /^([^:]+):\s*(.*)/ or next;
		$header{ lc $name } = $value;
		$times{ lc $name }++;
	}
	return { status => ($line // '') =~ m{^HTTP/1\.1 (\d+)} ? $1 : 'none', header => \%header, times => \%times, body => $body // '' };
}

sub request { my ($line, @headers) = @_; return join "\r\n", "$line HTTP/1.1", $HOST, $AUTH, 'Connection: close', @headers, '', '' }

subtest 'answers of its own are JSON' => sub {
	my $long = 'x' x 40000;
	my @cases = (
		['an unknown path', request('GET /nothing'), 404],
		['the root', request('GET /'), 404],
		['a method that it knows and refuses', request('TRACE /api/v1/'), 405],
		['a line that is no request', "nonsense\r\n\r\n", 400],
		['a version that there is not', "GET /api/v1/ HTTP/7.0\r\n$HOST\r\n\r\n", 400],
		['a coding that there is not', request('POST /api/v1/schedule/', 'Transfer-Encoding: gzip'), 400],
		['a path above the root', request('GET /media/../../etc/passwd'), 400],
		['a NUL in the path', request('GET /api/v1/schedule/%00/'), 400],
		['a very long path', request("GET /api/v1/?$long"), 414],
		['a very long header', request('GET /api/v1/', "X-Long: $long"), 431],
		['two Host headers', request('GET /api/v1/', 'Host: other.example.org'), 400],
		['no Host header', "GET /api/v1/ HTTP/1.1\r\nConnection: close\r\n\r\n", 400],
		['a Host that is not that of the address', request("GET http://other.example.org/api/v1/"), 400],
		['a body that says to be too long', request('POST /api/v1/schedule/', 'Content-Length: 1048577'), 413],
		['an upload that says to be too long', request('POST /api/v1/binarycontent/', 'Content-Length: 9000000'), 413],
	);
	for my $case (@cases) {
		my ($name, $bytes, $status) = @$case;
		my $answer = ask($bytes);
		is($answer->{status}, $status, "$name: $status");
		is($answer->{header}{'content-type'}, 'application/json', 'with the type');
		ok(ref eval { SBM::Stack::json_of($answer->{body}) } eq 'HASH' && SBM::Stack::json_of($answer->{body})->{detail}, 'and a detail') or diag($answer->{body});
		like($answer->{header}{'x-request-id'}, qr/^[0-9a-f]{32}$/, 'and a request id');
	}
	like(ask(request('TRACE /api/v1/'))->{body}, qr/Method \\"TRACE\\" not allowed/, 'the method is named');
};

subtest 'headers that hold everywhere' => sub {
	for my $path ('/api/v1/schedule/', '/nothing', '/media/nothing.mp3', '/healthz') {
		my $answer = ask(request("GET $path"));
		is($answer->{header}{'x-content-type-options'}, 'nosniff', "$path: nosniff");
		like($answer->{header}{'content-security-policy'}, qr/default-src 'none'/, 'nothing may run');
		is($answer->{times}{'x-request-id'}, 1, 'one request id');
		unlike($answer->{header}{server}, qr/\d/, 'no version');
	}
};

subtest 'request ids' => sub {
	is(ask(request('GET /api/v1/', 'X-Request-ID: caller-7.a_B'))->{header}{'x-request-id'}, 'caller-7.a_B', "the caller's, when it is sane");
	for my $bad ('with blank', 'x' x 65, '"quoted"', '-begins-with-a-dash', "\xc3\xa9", '') {
		like(ask(request('GET /api/v1/', "X-Request-ID: $bad"))->{header}{'x-request-id'}, qr/^[0-9a-f]{32}$/, "else one of its own: \"" . substr($bad, 0, 20) . '"');
	}
	$stack->get('/api/v1/nothing', x_request_id => 'find-me-1');
	poll_until { $stack->log_text('access') =~ qr/rid=find-me-1 msg="request" method=GET path="\/api\/v1\/nothing" status=404/ } 'it stands in the log of nginx';
};

subtest 'the scheme of links' => sub {
	my $link = sub { my ($from, @headers) = @_; return SBM::Stack::json_of(ask(request('GET /api/v1/', @headers), $from)->{body})->{schedule} };
	my $rest = "$stack->{host}:$stack->{port}/api/v1/schedule/";
	is($link->('127.0.0.1'), "http://$rest", 'that of the connection');
	is($link->('127.0.0.1', 'X-Forwarded-Proto: https'), "http://$rest", 'whatever a caller says');
	is($link->('127.0.0.2', 'X-Forwarded-Proto: https'), "https://$rest", 'unless it is a load balancer that we know');
	is($link->('127.0.0.2', 'X-Forwarded-Proto: gopher'), "http://$rest", 'and makes sense');
	is(ask("GET http://$stack->{host}:$stack->{port}/api/v1/ HTTP/1.1\r\n$HOST\r\n$AUTH\r\nConnection: close\r\n\r\n")->{status}, 200, 'an absolute address works too');
};

subtest 'paths reach the service as they are' => sub {
	is(ask(request("GET $_"))->{status}, 404, $_) for '/api/v1//schedule/', '/api//v1/schedule/', '//api/v1/schedule/', '/api/v1/schedule/%2e%2e/';
	is(ask(request("GET $_"))->{status}, 200, $_) for '/api/v1/schedule', '/api/v1/%73chedule/', '/healthz', '/healthz/';
};

subtest 'files' => sub {
	my $media = "$stack->{dir}/stack/media";
	my %files = ('a.mp3' => 'audio/mpeg', 'a.PNG' => 'image/png', 'a.html' => 'application/octet-stream', 'a.svg' => 'application/octet-stream', 'a.php' => 'application/octet-stream', 'a' => 'application/octet-stream');
	for my $name (sort keys %files) {
		open my $out, '>', "$media/$name" or die "could not write \"$media/$name\": $!\n";
		print $out '<script>alert(1)</script>';
		close $out;
		my $answer = ask("GET /media/$name HTTP/1.1\r\n$HOST\r\nConnection: close\r\n\r\n");
		is("$answer->{status} $answer->{header}{'content-type'}", "200 $files{$name}", "$name goes out as $files{$name}, to anybody");
	}
	open my $out, '>', "$media/.half" or die;
	close $out;
	symlink '/etc/passwd', "$media/link.mp3";
	is(ask(request("GET /media/$_"))->{status}, 404, "no $_") for '.half', '', 'nothing.mp3';
	is(ask(request('GET /media/link.mp3'))->{status}, 403, 'no link to elsewhere');
	is(ask(request('GET /media'))->{status}, 404, 'no list');
	is(ask(request('POST /media/a.mp3', 'Content-Length: 0'))->{status}, 405, 'no POST');
	is(ask(request('PUT /media/b.mp3', 'Content-Length: 1') . 'x')->{status}, 405, 'no PUT');
};

subtest 'bodies' => sub {
	is($stack->post('/api/v1/schedule/', '{"minute": "1"' . ' ' x 1_040_000 . '}', content_type => 'application/json')->{status}, 201, 'one of nearly 1 MiB arrives');
	is($stack->upload('big.mp3', 'audio/mpeg', 'x' x (2 << 20))->{status}, 201, 'an upload of upload_max arrives');
	is($stack->upload('bigger.mp3', 'audio/mpeg', 'x' x ((2 << 20) + 1))->{status}, 413, 'one of a byte more is refused');
};

# The example of production as it stands, with a certificate made for the moment, on ports of our own, in front of the
# same service.
subtest 'the example, over TLS' => sub {
	my $dir = "$stack->{dir}/site";
	my $openssl = grep { -x "$_/openssl" } split /:/, $ENV{PATH};
	my $curl = grep { -x "$_/curl" } split /:/, $ENV{PATH};
	plan skip_all => 'openssl or curl is not installed' unless $openssl && $curl;
	mkdir $_ or die "could not make \"$_\": $!\n" for $dir, "$dir/sbm", "$dir/log";
	my ($status, $output) = SBM::Stack::run(qw(openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=sbm.example.org
		-addext subjectAltName=DNS:sbm.example.org -keyout), "$dir/key.pem", '-out', "$dir/fullchain.pem");
	is($status, 0, 'a certificate') or diag($output);
	my ($plain, $tls);
	my $write = sub {
		my ($name, %changes) = @_;
		my $text = SBM::Stack::slurp(SBM::Stack::source_dir() . "/nginx/$name");
		for my $from (sort keys %changes) { $text =~ s/$from/$changes{$from}/g or die "nginx/$name has no \"$from\"\n" }
		open my $out, '>', "$dir/sbm/$name" or die;
		print $out $text;
		close $out;
	};
	my $run = $stack->{env}{STACK_RUN};
	$write->('http.conf', '/run/sbm/' => "$run/");
	$write->('locations.conf', '/var/lib/sbm/media/' => "$stack->{dir}/stack/media/");
	$write->('fastcgi.conf');
	my $user = join ' ', scalar getpwuid((stat $run)[4]), scalar getgrgid((stat _)[5]);
	my $pid;
	for (1 .. 20) {
		($plain, $tls) = map { 20000 + int rand 12000 } 1, 2;
		$write->('sbm.conf', 'listen 80' => "listen 127.0.0.1:$plain", 'listen 443' => "listen 127.0.0.1:$tls", 'listen \[::\]:80' => "listen [::1]:$plain", 'listen \[::\]:443' => "listen [::1]:$tls",
			'/etc/ssl/sbm' => $dir, 'access_log /var/log/nginx/sbm.log sbm buffer' => "access_log $dir/log/json.log sbm_json flush=1s buffer=64k;\n\taccess_log $dir/log/sbm.log sbm buffer", 'error_log /var/log/nginx' => "error_log $dir/log");
		open my $out, '>', "$dir/nginx.conf" or die;
		print $out $> ? '' : "user $user;\n", "pid $dir/pid;\nerror_log $dir/log/main.log;\ndaemon off;\nevents { worker_connections 256; }\nhttp {\n", map({ "\t${_}_temp_path $dir/$_;\n" } qw(client_body fastcgi proxy scgi uwsgi)),
			"\taccess_log off;\n\tinclude sbm/sbm.conf;\n}\n";
		close $out;
		my ($nginx) = grep { -x } map { "$_/nginx" } split(/:/, $ENV{PATH}), '/usr/sbin';
		my @command = ($nginx, '-p', $dir, '-c', "$dir/nginx.conf", '-e', "$dir/log/main.log");
		($status, $output) = SBM::Stack::run(@command, '-t');
		next if $output =~ /Address already in use/;
		is($status, 0, 'nginx -t') or diag($output);
		$pid = fork // die "could not fork: $!\n";
		if (!$pid) { open STDOUT, '>', "$dir/log/out"; open STDERR, '>&', \*STDOUT; exec @command or POSIX::_exit(127) }
		last;
	}
	my $ask = sub {
		my ($url, @options) = @_;
		my ($status, $text) = SBM::Stack::run('curl', '-s', '-i', '--max-time', 20, '--cacert', "$dir/fullchain.pem", map({ ('--resolve', "$_:127.0.0.1") } "sbm.example.org:$plain", "sbm.example.org:$tls", "other.example.org:$tls", "other.example.org:$plain"), @options, $url);
		my ($code) = $text =~ m{^HTTP/\S+ (\d+)};
		return ($code // "curl $status", $text);
	};
	my $site = "https://sbm.example.org:$tls";
	my @token = ('-H', $AUTH);
	poll_until { ($ask->("$site/healthz"))[0] eq '200' } 'it answers';
	my ($code, $text) = $ask->("$site/api/v1/schedule/", @token);
	is($code, 200, 'a request with a token');
	like($text, qr/^strict-transport-security: max-age=\d{8}/mi, 'browsers are to come by TLS only');
	like($text, qr/^HTTP\/2 /, 'HTTP/2');
	like($text, qr{"(?:next|count|results)"}, 'the answer is the list');
	like(($ask->("$site/api/v1/", @token))[1], qr{"https://sbm\.example\.org:$tls/api/v1/schedule/"}, 'links are https');
	is(($ask->("$site/api/v1/schedule/"))[0], 401, 'without a token');
	($code, $text) = $ask->("http://sbm.example.org:$plain/api/v1/schedule/", @token);
	is($code, 403, 'not without TLS');
	like($text, qr/Use https/, 'which it says');
	is(($ask->("http://other.example.org:$plain/"))[0], 421, 'not for another name');
	like(($ask->("https://other.example.org:$tls/"))[0], qr/^curl \d+$/, 'for which it has no certificate either');
	like(($ask->("$site/", '--tls-max', '1.1'))[0], qr/^curl \d+$/, 'no old TLS');
	($code, $text) = $ask->("$site/media/a.mp3");
	is($code, 200, 'a file, to anybody');
	is(($ask->("$site/metrics"))[0], 200, '/metrics from inside');
	is(($ask->("$site/metrics", '-H', 'X-Forwarded-For: 192.0.2.1, 10.0.0.1'))[0], 403, 'not through a load balancer');
	open my $body, '>', "$dir/body" or die;
	print $body '"' . 'x' x 1_100_000 . '"';
	close $body;
	is(($ask->("$site/api/v1/schedule/", '-H', 'Content-Type: application/json', '--data-binary', "\@$dir/body", @token))[0], 413, 'bodies are bounded');
	my @logins = map { ($ask->("$site/api/token-auth/", '-d', 'username=nobody&password=wrong'))[0] } 1 .. 14;
	is($logins[0], 400, 'a login is judged');
	is($logins[-1], 429, 'many are told to wait');
	is(($ask->("$site/api/v1/schedule/", @token))[0], 200, 'which troubles nobody else');
	my (undef, $codes) = SBM::Stack::run(qw(curl -s -Z --parallel-immediate --parallel-max 100 -o /dev/null -w %{http_code}\n -u nobody:wrong --cacert), "$dir/fullchain.pem", '--resolve', "sbm.example.org:$tls:127.0.0.1", "$site/api/v1/schedule/?offset=[1-100]");
	my %codes;
	# curl shows how far it is, too.
	$codes{$_}++ for $codes =~ /^(\d{3})$/mg;
	is_deeply([sort keys %codes], [401, 429], 'of a hundred passwords at once, by Basic authentication, some are judged') or diag($codes);
	poll_until { (SBM::Stack::slurp("$dir/log/sbm.log") // '') =~ m{rid=\w+ msg="request" method=POST path="/api/token-auth/" status=429} } 'all of it stands in the log';
	unlike(SBM::Stack::slurp("$dir/log/sbm.log"), qr/$stack->{token}|wrong/, 'but no token and no password');
	is(($ask->("$site/", @token, '--request-target', "/api/raw\xff\xc3bytes?x"))[0], 400, 'bytes that no path has');
	my @json;
	poll_until { grep { m{"path":"/api/raw",} } split /\n/, SBM::Stack::slurp("$dir/log/json.log") // '' } 'are not in the log';
	poll_until { @json = grep { ($_->{path} // '') eq '/api/token-auth/' } map { eval { SBM::Stack::json_of($_) } // {} } split /\n/, SBM::Stack::slurp("$dir/log/json.log") // ''; @json == 14 } 'as JSON, too';
	is_deeply([@{ $json[-1] }{qw(level prog msg method status)}], ['info', 'nginx', 'request', 'POST', 429], 'with the same fields');
	is(scalar grep({ !eval { SBM::Stack::json_of($_) } } split /\n/, SBM::Stack::slurp("$dir/log/json.log")), 0, 'and all of it is');
	$write->('locations.conf', '/var/lib/sbm/media/' => "$stack->{dir}/stack/media/", 'allow 127.0.0.0/8' => 'deny 127.0.0.0/8');
	kill HUP => $pid;
	poll_until { ($ask->("$site/metrics"))[0] eq '403' } '/metrics from outside';
	kill TERM => $pid;
	{ local $?; waitpid $pid, 0 }
};

subtest 'logins are limited where that is switched on' => sub {
	my $login = sub { return $stack->post('/api/token-auth/', { username => 'nobody', password => 'wrong' })->{status} };
	is($login->(), 400, 'a wrong password') for 1 .. 15;
	my ($status, $output) = $stack->stack('stop', "$stack->{dir}/stack");
	is($status, 0, 'stopped') or diag($output);
	($status, $output) = $stack->stack('start', "$stack->{dir}/stack", '--no-senderd', '--limit-logins');
	is($status, 0, 'started with --limit-logins') or diag($output);
	$stack->read_env;
	is($login->(), 400, 'the first ones are judged') for 1 .. 11;
	my $tries = 0;
	# One more is let through every two seconds.
	$tries++ until $tries > 200 || $login->() == 429;
	cmp_ok($tries, '<=', 200, 'then they are told to wait');
	is($stack->get('/api/v1/schedule/')->{status}, 200, 'which troubles nobody else');
};

$stack->expect_log(qr/client intended to send too large body|client sent|\[error\].*\/media\/|limiting requests|invalid host|symlink|\[error\].*client/);
$stack->finish;
done_testing;

#!/usr/bin/perl
# The files of binary contents are copied to the server of a voice platform, by SFTP to a real sshd.
use strict;
use warnings;
use Test::More;
use SBM::Content;
use SBM::Sshd;
use SBM::Stack;

plan skip_all => 'this needs the Debian package ' . SBM::Sshd::missing() if SBM::Sshd::missing();

my $sshd = SBM::Sshd->start;
# Of a session whose end the server does not answer, libssh2 keeps some memory; the process ends soon after.
$sshd->write('suppressions', "leak:libssh2\nleak:libcurl\n");
$ENV{LSAN_OPTIONS} = "suppressions=$sshd->{dir}/suppressions:print_suppressions=0";
# Told which types of keys to prefer, libssh2 1.10 moves its list by memcpy.
$sshd->write('suppressions.asan', "interceptor_via_lib:libssh2\n");
$ENV{ASAN_OPTIONS} = join ':', grep { length } $ENV{ASAN_OPTIONS} // '', "suppressions=$sshd->{dir}/suppressions.asan";
my $stack = SBM::Stack->start($sshd->settings, lease => '1s', retry_base => '10ms', call_timeout => '5s');
my $media = "$stack->{dir}/stack/media";

# Asks for a copy and waits for its end: the job.
sub sync {
	my $answer = $stack->post('/api/v1/sync_audio_files/');
	is($answer->{status}, 202, 'a copy is asked for');
	return ended($answer->{json}{task_id});
}

sub job { my ($id) = @_; return $stack->get("/api/v1/jobs/$id/")->{json} }

sub ended {
	my ($id) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	poll_until { job($id)->{finished_at} } 'the job ends';
	return job($id);
}

# What should be there: name => bytes.
sub local_files { return { map { ($_->[0] => SBM::Stack::slurp("$media/$_->[0]")) } $stack->rows('SELECT content FROM binarycontent') } }

sub spew {
	my ($path, $bytes) = @_;
	open my $out, '>', $path or die "could not write \"$path\": $!\n";
	print $out $bytes;
	close $out;
}

# Changes a setting without a new start.
sub reconfigure {
	my (%settings) = @_;
	my $conf = SBM::Stack::slurp($stack->{env}{SBM_CONF});
	$conf =~ s/^\Q$_\E *=.*\n//m, $conf .= "$_ = \"$settings{$_}\"\n" for keys %settings;
	spew($stack->{env}{SBM_CONF}, $conf);
	my @before = $stack->children('sbm-senderd');
	kill HUP => $stack->pid('sbm-senderd');
	poll_until { !grep { $stack->alive($_) } @before } 'the daemon has the new settings';
}

my @uploads = map { $stack->upload("tone-$_.mp3", 'audio/mpeg', join '', map { chr(rand 256) } 1 .. $_ * 1000)->{json}{id} } 1 .. 3;

subtest 'the first copy, and the second' => sub {
	my $job = sync();
	is($job->{state}, 'done', 'the first is done') or diag($job->{error});
	like($job->{outcome}, qr/^3 files copied \(6000 bytes\), 0 were there, 0 failed$/, 'and says what it did');
	is_deeply($sshd->files, local_files(), 'all is there, byte by byte, and nothing else');
	like($stack->log_text('sbm-senderd'), qr/"copied to the audio server" copied=3 bytes=6000/, 'the log has it');
	$job = sync();
	is($job->{outcome}, '0 files copied (0 bytes), 3 were there, 0 failed', 'the second finds all of it');
	$stack->upload('late.wav', 'audio/wav', 'RIFF');
	is(sync()->{outcome}, '1 files copied (4 bytes), 3 were there, 0 failed', 'the third what came since');
	my (undef, $status) = $stack->ctl('status');
	like($status, qr/sync_audio\b.*\bdone\s+1 files copied \(4 bytes\)/, 'sbmctl status shows the last one');
};

subtest 'changed files, odd names, what is none of ours' => sub {
	my ($name) = sort keys %{ local_files() };
	spew("$media/$name", 'another text');
	spew("$sshd->{dir}/voice/by hand.txt", 'kept');
	$stack->sql(q{INSERT INTO binarycontent (content) VALUES ('two words "and" quotes.mp3'), ('deep/er/naïve \\ 100%.mp3'), ('deep/er/b.mp3')});
	SBM::Stack::run('mkdir', '-p', "$media/deep/er");
	spew("$media/$_", "of $_") for 'two words "and" quotes.mp3', "deep/er/na\xc3\xafve \\ 100%.mp3", 'deep/er/b.mp3';
	is(sync()->{outcome}, '4 files copied (' . (12 + 29 + 28 + 16) . ' bytes), 3 were there, 0 failed', 'what has another size is copied again, and new ones are');
	is_deeply($sshd->files, { %{ local_files() }, 'by hand.txt' => 'kept' }, 'all is there; what others put there stays');
	is(sync()->{outcome}, '0 files copied (0 bytes), 7 were there, 0 failed', 'the next finds all of it');
	$stack->sql(q{DELETE FROM binarycontent WHERE content LIKE '%/%' OR content LIKE '% %'});
	SBM::Stack::run('rm', '-r', glob "$sshd->{dir}/voice/*");
};

subtest 'files that are not there, or may not be' => sub {
	$stack->expect_log(qr/msg="job failed".*files were not copied/);
	$stack->sql(q{INSERT INTO binarycontent (content) VALUES ('gone.mp3'), ('../sbm.conf'), ('/etc/passwd')});
	my $job = sync();
	is($job->{state}, 'failed', 'the job fails');
	like($job->{error}, qr/^3 files were not copied; first "gone\.mp3": No such file/, 'and names the first of them');
	like($job->{outcome}, qr/^4 files copied .* 3 failed$/, 'the others are copied');
	is((() = $stack->log_text('sbm-senderd') =~ /msg="could not copy a file to the audio server"/g), 3, 'the log names each');
	$stack->sql(q{DELETE FROM binarycontent WHERE content IN ('gone.mp3', '../sbm.conf', '/etc/passwd')});
	is_deeply($sshd->files, local_files(), 'nothing else got there');
};

subtest 'killed in mid-upload' => sub {
	my $big = $stack->upload('big.wav', 'audio/wav', 'x' x (20 << 20))->{json}{id};
	my $name = $stack->value("SELECT content FROM binarycontent WHERE id = $big");
	my $id = $stack->post('/api/v1/sync_audio_files/')->{json}{task_id};
	poll_until { grep { /^\.sbm-.*\.part$/ } keys %{ $sshd->files } } 'the upload has begun, under another name';
	$sshd->suspend('STOP');
	my ($worker) = grep { (SBM::Stack::slurp("/proc/$_/comm") // '') =~ /audio/ } $stack->children('sbm-senderd');
	$stack->expect_log(qr/child ended.*group=audio/);
	kill KILL => $worker;
	my $files = $sshd->files;
	ok(!exists $files->{$name} || length $files->{$name} == 20 << 20, 'nobody can read half of it by its name');
	$sshd->suspend('CONT');
	my $job = ended($id);
	is($job->{state}, 'done', 'another process takes the job over when its lease has run out');
	is(length($sshd->files->{$name} // ''), 20 << 20, 'the file is whole');
	is(scalar(grep { /part/ } keys %{ $sshd->files }), 0, 'and nothing is left half done');
	cmp_ok($stack->value("SELECT attempt FROM job WHERE id = '$id'"), '>=', 2, 'it was claimed again');
};

subtest 'a reload in mid-upload' => sub {
	my $big = $stack->upload('second.wav', 'audio/wav', 'y' x (20 << 20))->{json}{id};
	my $name = $stack->value("SELECT content FROM binarycontent WHERE id = $big");
	my $id = $stack->post('/api/v1/sync_audio_files/')->{json}{task_id};
	poll_until { grep { /^\.sbm-.*\.part$/ } keys %{ $sshd->files } } 'the upload has begun';
	$sshd->suspend('STOP');
	my @before = $stack->children('sbm-senderd');
	kill HUP => $stack->pid('sbm-senderd');
	poll_until { !grep { $stack->alive($_) } @before } 'the process that is at it ends, though the server says nothing';
	$sshd->suspend('CONT');
	is(ended($id)->{state}, 'done', 'the next one does the job');
	is(length($sshd->files->{$name} // ''), 20 << 20, 'the file is whole');
	is(scalar(grep { /part/ } keys %{ $sshd->files }), 0, 'and nothing is left half done');
};

subtest 'the server\'s key' => sub {
	$stack->expect_log(qr/msg="job failed".*host key/, qr/msg="job failed".*known_hosts/);
	my $before = $sshd->files;
	$stack->upload('more.wav', 'audio/wav', 'RIFFmore');
	$sshd->know;
	my $job = sync();
	is($job->{state}, 'failed', 'an unknown one is refused');
	my $fingerprint = $sshd->fingerprint('host');
	like($job->{error}, qr/the host key of 127\.0\.0\.1, port $sshd->{port}, is not in "\Q$sshd->{dir}\E\/known_hosts": it sent ED25519 \Q$fingerprint\E; .*ssh-keyscan -t ed25519,ecdsa -p $sshd->{port} 127\.0\.0\.1/,
		'with the file, the fingerprint as ssh-keygen has it, and what to do');
	$sshd->know('host-new');
	$job = sync();
	like($job->{error}, qr/is not the one in "\Q$sshd->{dir}\E\/known_hosts": it sent ED25519 \Q$fingerprint\E/, 'so is another one');
	$sshd->know('host', '@revoked host');
	like(sync()->{error}, qr/is revoked in "\Q$sshd->{dir}\E\/known_hosts": it sent ED25519 \Q$fingerprint\E/, 'so is one that was revoked');
	$sshd->make_key('rsa', 'rsa');
	$sshd->know('rsa');
	like(sync()->{error}, qr/(?:its first key in "\Q$sshd->{dir}\E\/known_hosts" may be of a type that it does not offer|is not the one in)/, 'one of a type that it has not is asked for in vain');
	unlink "$sshd->{dir}/known_hosts";
	like(sync()->{error}, qr/could not read audio_ftp_known_hosts "\Q$sshd->{dir}\E\/known_hosts": No such file/, 'and any, when there is no file');
	is_deeply([sort keys %{ $sshd->files }], [sort keys %$before], 'nothing was uploaded');
	$sshd->know('@revoked host-new', 'host');
	is(sync()->{state}, 'done', 'with the right one it works again');
	SBM::Stack::run('ssh-keygen', '-q', '-H', '-f', "$sshd->{dir}/known_hosts");
	chmod 0644, "$sshd->{dir}/known_hosts";
	unlike(SBM::Stack::slurp("$sshd->{dir}/known_hosts"), qr/^\[127/m, 'names in the file are hashed');
	is(sync()->{state}, 'done', 'which changes nothing');
};

subtest 'the server gone, and silent' => sub {
	$stack->expect_log(qr/msg="job failed".*(?:connect|nothing moved|Failure|session)/i);
	$stack->upload('even more.wav', 'audio/wav', 'RIFFmore');
	$sshd->stop;
	my $tries = sub { return scalar(() = $stack->log_text('sbm-senderd') =~ /the audio server is away; trying again/g) };
	my $before = $tries->();
	my $job = sync();
	is($job->{state}, 'failed', 'the job fails');
	like($job->{error}, qr/127\.0\.0\.1, port $sshd->{port}: .*connect/i, 'and says that nobody is there');
	is($tries->() - $before, 2, 'after three tries');
	$sshd->open;
	reconfigure(call_timeout => '300ms', connect_timeout => '300ms');
	$sshd->suspend('STOP');
	$job = sync();
	$sshd->suspend('CONT');
	is($job->{state}, 'failed', 'so it does when the server says nothing');
	like($job->{error}, qr/127\.0\.0\.1, port $sshd->{port}: /, 'with a reason') or diag(explain($job));
	reconfigure(call_timeout => '5s', connect_timeout => '5s');
	is(sync()->{state}, 'done', 'and works again when it is back');
	is_deeply($sshd->files, local_files(), 'all is there');
};

subtest 'logins' => sub {
	$stack->expect_log(qr/msg="job failed".*does not let/, qr/msg="job failed".*audio_ftp_/);
	reconfigure(audio_ftp_pass => 'wrong');
	like(sync()->{error}, qr/does not let "voice" in by that password/, 'a wrong password is refused');
	unlike($stack->log_text('sbm-senderd') . $stack->value('SELECT string_agg(error, \' \') FROM job'), qr/correct horse|wrong"/, 'and not told');
	reconfigure($sshd->settings(key => 1));
	is(sync()->{state}, 'done', 'a key opens');
	$sshd->write('authorized', '');
	like(sync()->{error}, qr/does not let "voice" in by that key/, 'one that is not authorized does not');
	reconfigure(audio_ftp_key => "$sshd->{dir}/nothing");
	like(sync()->{error}, qr/could not read audio_ftp_key "\Q$sshd->{dir}\E\/nothing"/, 'one that is not there neither');
	reconfigure(audio_ftp_key => '');
	like(sync()->{error}, qr/neither audio_ftp_key nor audio_ftp_pass is set/, 'without any nothing is tried');
	reconfigure($sshd->settings, audio_ftp_root => "$sshd->{dir}/nowhere");
	$stack->expect_log(qr/msg="job failed".*nowhere/i, qr/msg="job failed"/);
	like(sync()->{error}, qr/nowhere/, 'a root that is not there is named');
	reconfigure(audio_ftp_root => 'voice');
	is(sync()->{state}, 'done', 'a root below the directory of the login works');
	is_deeply($sshd->files, local_files(), 'and is the same place');
	reconfigure(audio_ftp_host => '');
	like(sync()->{outcome}, qr/audio_ftp_host is not set/, 'without a server there is nothing to do');
};

$sshd->stop;
$stack->finish;
done_testing;

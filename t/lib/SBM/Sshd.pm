package SBM::Sshd;

# A real sshd of OpenSSH for one test, with SFTP alone: on a loopback port, with keys, users and files of its own in
# a directory, and no rights beyond those of the stack's user. Users come from a file of ours by libnss_wrapper.
#
#   my $sshd = SBM::Sshd->start;
#   SBM::Stack->start($sshd->settings);       # login by password; $sshd->settings(key => 1): by key
#   $sshd->files;                             # name => bytes, of what was uploaded
#   $sshd->stop; $sshd->open;                 # gone, and back
use strict;
use warnings;
use Fcntl qw(:mode);
use IO::Socket::INET;
use SBM::Stack ();

my $SSHD = '/usr/sbin/sshd';
my $serial = 0;

sub wrapper { return (glob '/usr/lib/*/libnss_wrapper.so')[0] }

# What is missing here, or undef.
sub missing {
	return "openssh-server, which has $SSHD" unless -x $SSHD;
	return 'libnss-wrapper' unless wrapper();
	return undef;
}

sub user { return $> ? getpwuid $> : $ENV{SBM_STACK_USER} || 'nobody' }

sub start {
	my ($class) = @_;
	my $dir = ($ENV{SBM_TEST_DIR} || '/tmp') . "/sbm-sshd-$$-" . $serial++;
	mkdir $dir, 0755 or die "could not make \"$dir\": $!\n";
	my (undef, undef, $uid, $gid) = getpwnam user() or die 'there is no user ' . user() . "\n";
	my $self = bless { dir => $dir, uid => $uid, gid => $gid, owner => $$, password => 'correct horse' }, $class;
	mkdir "$dir/voice", 0755 or die "could not make \"$dir/voice\": $!\n";
	$self->make_key($_) for qw(host host-new user);
	$self->write('authorized', SBM::Stack::slurp("$dir/user.pub"));
	$self->write('passwd', "voice:x:$uid:${gid}::$dir:/bin/sh\n");
	$self->write('group', "voice:x:$gid:\n");
	$self->write('shadow', 'voice:' . crypt($self->{password}, '$6$sbmsbmsbm$') . ":19000:0:99999:7:::\n");
	chown $uid, $gid, $dir, glob "$dir/*";
	$self->open;
	$self->know('host');
	return $self;
}

sub make_key {
	my ($self, $name, $type) = @_;
	my ($status, $output) = SBM::Stack::run('ssh-keygen', '-q', '-t', $type // 'ed25519', '-N', '', '-C', 'test', '-f', "$self->{dir}/$name");
	die "ssh-keygen: $output\n" if $status;
}

sub write {
	my ($self, $name, $text) = @_;
	CORE::open(my $out, '>', "$self->{dir}/$name") or die "could not write \"$name\": $!\n";
	print $out $text;
	close $out or die "could not write \"$name\": $!\n";
}

# Has the file of known hosts name these keys, in lines that may begin with a mark: know('@revoked host', 'host').
sub know {
	my ($self, @keys) = @_;
	my $text = '';
	for (@keys) {
		my ($mark, $key) = /^(?:(@\S+) )?(.*)/;
		my ($type, $bytes) = split ' ', SBM::Stack::slurp("$self->{dir}/$key.pub");
		$text .= ($mark ? "$mark *" : "[127.0.0.1]:$self->{port}") . " $type $bytes\n";
	}
	$self->write('known_hosts', $text);
}

sub fingerprint {
	my ($self, $key) = @_;
	my (undef, $output) = SBM::Stack::run('ssh-keygen', '-l', '-f', "$self->{dir}/$key.pub");
	return (split ' ', $output)[1];
}

# Listens; also after stop, on the same port.
sub open {
	my ($self) = @_;
	for (1 .. 50) {
		my $port = $self->{port} || 20000 + int rand 12000;
		$self->{port} = $port if IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Listen => 1, ReuseAddr => 1);
		last if $self->{port};
	}
	$self->write('sshd_config', <<END);
Port $self->{port}
ListenAddress 127.0.0.1
HostKey $self->{dir}/host
AuthorizedKeysFile $self->{dir}/authorized
PidFile none
StrictModes no
UsePAM no
KbdInteractiveAuthentication no
Subsystem sftp internal-sftp
ForceCommand internal-sftp
MaxStartups 100
END
	my $pid = fork // die "could not fork: $!\n";
	if (!$pid) {
		$ENV{LD_PRELOAD} = wrapper();
		$ENV{ 'NSS_WRAPPER_' . uc $_ } = "$self->{dir}/$_" for qw(passwd group shadow);
		CORE::open(STDERR, '>>', "$self->{dir}/log");
		if (!$>) {
			$) = "$self->{gid} $self->{gid}";
			$( = $self->{gid};
			($<, $>) = ($self->{uid}, $self->{uid});
		}
		{ exec $SSHD, '-D', '-e', '-f', "$self->{dir}/sshd_config" }
		require POSIX;
		POSIX::_exit(127);
	}
	$self->{pid} = $pid;
	my $until = time + 20 * SBM::Stack::patience();
	until (IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port})) {
		die "sshd does not start:\n" . (SBM::Stack::slurp("$self->{dir}/log") // '') if time > $until || waitpid($pid, 1) != 0;
		SBM::Stack::pause_briefly(0.02);
	}
}

# Ends it with all its sessions.
sub stop {
	my ($self) = @_;
	my $pid = delete $self->{pid} or return;
	kill KILL => $self->sessions($pid);
	kill TERM => $pid;
	waitpid $pid, 0;
}

# The processes below one.
sub sessions {
	my ($self, $pid) = @_;
	return map { ($_, $self->sessions($_)) } SBM::Stack->children($pid);
}

sub suspend { my ($self, $signal) = @_; kill $signal, $self->{pid}, $self->sessions($self->{pid}) }

sub settings {
	my ($self, %option) = @_;
	return (
		audio_ftp_host => '127.0.0.1', audio_ftp_port => $self->{port}, audio_ftp_user => 'voice', audio_ftp_root => "$self->{dir}/voice",
		audio_ftp_known_hosts => "$self->{dir}/known_hosts",
		audio_ftp_key => $option{key} ? "$self->{dir}/user" : '', audio_ftp_pass => $option{key} ? '' : $self->{password},
	);
}

# All that is there: path below the root => bytes.
sub files {
	my ($self, $below) = @_;
	$below //= '';
	my %found;
	opendir my $directory, "$self->{dir}/voice/$below" or return {};
	for my $name (grep { !/^\.\.?$/ } readdir $directory) {
		my $path = "$self->{dir}/voice/$below$name";
		%found = (%found, -d $path ? %{ $self->files("$below$name/") } : ("$below$name" => SBM::Stack::slurp($path) // ''));
	}
	return \%found;
}

sub DESTROY {
	my ($self) = @_;
	return if $self->{owner} != $$;
	local $?;
	$self->stop;
	require File::Path;
	File::Path::remove_tree($self->{dir}) unless $ENV{SBM_TEST_KEEP};
}

1;

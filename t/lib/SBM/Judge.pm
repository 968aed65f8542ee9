package SBM::Judge;

# The fast sink of t/bench as an identity store and a message sender that count: how often each delivery, by its
# Idempotency-Key, was accepted, and when first.
#
#   my $judge = SBM::Judge->start;
#   SBM::Stack->start($judge->settings, ...);
#   $judge->behave(outbound => mode => 'status', status => 503, every => 10);
#   my $stats = $judge->stats;     # addresses, outbound, accepted, keys, repeats, most, cpu_ms
#   my $keys = $judge->keys;       # key => [times, seconds since 1970]
use strict;
use warnings;
use HTTP::Tiny;
use SBM::Stack ();

sub start {
	my ($class) = @_;
	my $program = SBM::Stack::build_dir() . '/t/bench/sink';
	-x $program or system('make', '-s', '-C', SBM::Stack::build_dir(), 't/bench/sink') == 0 or die "could not build t/bench/sink\n";
	# The kernel gives ports from 32768 on to outgoing connections: one of those may be taken when we want it.
	for my $try (1 .. 50) {
		my $pid = open my $out, '-|', $program, 20000 + int rand 12000 or die "could not run \"$program\": $!\n";
		my $line = <$out> // '';
		return bless { pid => $pid, out => $out, port => $1, owner => $$, http => HTTP::Tiny->new(timeout => 60) }, $class if $line =~ /^port (\d+)/;
		close $out;
	}
	die "could not find a port for the sink\n";
}

sub settings {
	my ($self) = @_;
	my $base = "http://127.0.0.1:$self->{port}";
	return (identity_store_url => "$base/identity/api/v1", identity_store_token => 'identity-token',
		message_sender_url => "$base/sender/api/v1", message_sender_token => 'sender-token');
}

sub control {
	my ($self, $path) = @_;
	my $answer = $self->{http}->get("http://127.0.0.1:$self->{port}/control/$path");
	$answer->{success} or die "the sink did not answer: $answer->{status} $answer->{content}\n";
	return $answer->{content};
}

sub stats { return SBM::Stack::json_of($_[0]->control('stats')) }
sub keys { return { map { my ($key, $times, $us) = split ' '; ($key => [$times, $us / 1e6]) } split /\n/, $_[0]->control('keys') } }
sub forget { $_[0]->control('reset') }

# Without a mode: as it should be.
sub behave {
	my ($self, $service, %fault) = @_;
	$fault{mode} //= 'none';
	$self->control('fault?' . join '&', "service=$service", map { "$_=$fault{$_}" } sort CORE::keys %fault);
}

sub stop {
	my ($self) = @_;
	return unless $self->{pid} && $self->{owner} == $$;
	kill KILL => $self->{pid};
	local $?;
	close $self->{out};
	delete $self->{pid};
}

sub DESTROY { $_[0]->stop }

1;

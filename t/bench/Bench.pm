package Bench;

# What the benchmarks share: a stack of their own, some content in it, and the load client.
use strict;
use warnings;
use Exporter qw(import);
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(remove_tree);
use File::Temp qw(tempdir);
use HTTP::Tiny;
use JSON::PP ();
use POSIX qw(sysconf _SC_CLK_TCK);
use SBM::Stack ();

our @EXPORT = qw(program start_stack stop_stack call load load_begin load_end psql make_content add_subscriptions line stack_env cpu_us);

my $SOURCE = dirname(dirname(dirname(abs_path(__FILE__))));
my $JSON = JSON::PP->new->utf8->canonical;
my ($dir, %env, $owner);
my $http = HTTP::Tiny->new(keep_alive => 0, timeout => 60);

sub fail { print STDERR "bench: ", @_, "\n"; exit 2 }

# Starts a stack with the given settings ("api_workers=4"), with the sender daemon when { senderd => 1 } stands
# before them; it is gone when the program ends.
sub start_stack {
	my (@settings) = @_;
	my $options = ref $settings[0] ? shift @settings : {};
	$dir = tempdir('sbm-bench.XXXXXX', TMPDIR => 1);
	chmod 0755, $dir;
	$owner = $$;
	system("$SOURCE/t/stack", 'start', "$dir/stack", $options->{senderd} ? () : '--no-senderd', @settings) == 0 or fail('the stack did not start');
	open my $in, '<', "$dir/stack/env" or fail("could not read $dir/stack/env: $!");
	/^(\w+)='(.*)'$/ and $env{$1} = $2 while <$in>;
	return "$dir/stack";
}

sub stack_env { return $env{ $_[0] } }

# Before another one is started.
sub stop_stack {
	return unless defined $dir && $owner == $$;
	local $?;
	system("$SOURCE/t/stack", 'stop', "$dir/stack");
	remove_tree($dir);
	undef $dir;
}

END { stop_stack() }

# An answer of the API as data; anything but 2xx ends the program.
sub call {
	my ($method, $path, $body) = @_;
	my $answer = $http->request($method, "$env{SBM_URL}$path", {
		headers => { Authorization => "Token $env{SBM_ADMIN_TOKEN}", 'Content-Type' => 'application/json' },
		defined $body ? (content => $JSON->encode($body)) : (),
	});
	fail("$method $path: $answer->{status} $answer->{content}") unless $answer->{success};
	return $answer->{content} =~ /^[\[{]/ ? $JSON->decode($answer->{content}) : undef;
}

sub psql {
	my ($sql) = @_;
	open my $out, '-|', split(' ', $env{SBM_PSQL}), '-AtqX', '-v', 'ON_ERROR_STOP=1', '-c', $sql or fail("psql: $!");
	my @lines = <$out>;
	close $out or fail("psql failed: $sql");
	chomp @lines;
	return wantarray ? @lines : $lines[0];
}

# A client of ours, built when it is not there yet.
sub program {
	my ($name) = @_;
	my $build = SBM::Stack::build_dir();
	-x "$build/t/bench/$name" || system('make', '-s', '-C', $build, "t/bench/$name") == 0 or fail("could not build t/bench/$name");
	return "$build/t/bench/$name";
}

# Starts the load client; load_end waits for its numbers. Options as in load.c; the last one is a path.
sub load_begin {
	my (@options) = @_;
	my $path = pop @options;
	my @command = (program('load'), '-H', "Authorization: Token $env{SBM_ADMIN_TOKEN}", @options);
	push @command, $path =~ /^http:/ ? $path : "$env{SBM_URL}$path";
	my $pid = open my $out, '-|', @command or fail("could not run the load client: $!");
	return { out => $out, pid => $pid };
}

sub load_end {
	my ($load) = @_;
	my $line = readline $load->{out};
	close $load->{out};
	fail('the load client failed') unless defined $line && $line =~ /^requests=/;
	return { $line =~ /(\w+)=(\S+)/g };
}

sub load { return load_end(load_begin(@_)) }

sub tree {
	my ($pid) = @_;
	my @children = map { split } map { slurp($_) } glob "/proc/$pid/task/*/children";
	return ($pid, map { tree($_) } @children);
}

sub slurp {
	open my $in, '<', $_[0] or return '';
	local $/;
	return readline($in) // '';
}

# Microseconds of CPU that a service of the stack has used up to now, by the kernel's own account.
sub cpu_us {
	my ($service) = @_;
	my $root = slurp("$env{STACK_PID}/$service") =~ /(\d+)/ ? $1 : return 0;
	my ($ns, $ticks) = (0, 0);
	for my $pid (tree($root)) {
		$ns += (split ' ', slurp($_))[0] // 0 for glob "/proc/$pid/task/*/schedstat";
		# What its children used that have ended: fields 16 and 17 of proc(5), behind the name in parentheses.
		my @stat = split ' ', slurp("/proc/$pid/stat") =~ s/^.*\) //sr;
		$ticks += ($stat[13] // 0) + ($stat[14] // 0);
	}
	return $ns / 1000 + $ticks * 1_000_000 / sysconf(_SC_CLK_TCK);
}

# One line of a report from what load gave.
sub line {
	my ($name, $r) = @_;
	printf "%-46s %8d/s  p50 %7.2f ms  p99 %7.2f  p99.9 %7.2f  max %7.2f  each %d to %d  unserved %d  failed %d\n", $name, $r->{rate},
		$r->{p50_us} / 1000, $r->{p99_us} / 1000, $r->{p999_us} / 1000, $r->{max_us} / 1000, $r->{least}, $r->{most}, $r->{unserved},
		$r->{failed};
	return $r->{unserved} + $r->{failed};
}

# A schedule and a set of messages, by the API. Their ids.
sub make_content {
	my $schedule = call(POST => '/api/v1/schedule/', { minute => '0', hour => '8', day_of_week => '1,4' })->{id};
	my $set = call(POST => '/api/v1/messageset/', { short_name => 'bench.set', content_type => 'text', default_schedule => $schedule })->{id};
	call(POST => '/api/v1/message/', { messageset => $set, sequence_number => $_, lang => 'eng_ZA', text_content => "Message $_ of the set." })
		for 1 .. 10;
	return ($schedule, $set);
}

# Rows as subscribers have them, straight into the table. The id of one.
sub add_subscriptions {
	my ($count, $schedule, $set) = @_;
	psql(qq{INSERT INTO subscription (identity, messageset_id, schedule_id, lang, metadata, created_at)
		SELECT gen_random_uuid(), $set, $schedule, 'eng_ZA', '{"source": "bench", "scheduler_schedule_id": "123456789"}',
			now() - n * interval '1 second'
		FROM generate_series(1, $count) AS n});
	psql('VACUUM ANALYZE subscription');
	return psql('SELECT id FROM subscription ORDER BY created_at LIMIT 1');
}

1;

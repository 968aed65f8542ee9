#!/usr/bin/perl
# A file includes only its own room and those above it, its own header first, and libraries only in io.
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);
use Test::More;

my $source = dirname(dirname(abs_path(__FILE__)));

my %above = (
	base => [],
	io => [qw(base)],
	domain => [qw(base io)],
	rest => [qw(base io domain)],
	api => [qw(base io domain rest)],
	senderd => [qw(base io domain)],
	ctl => [qw(base io domain)],
);
# The C library's and the kernel's; any other header in angle brackets is a library's.
my %libc = map { ("$_.h" => 1) } qw(
	assert ctype dirent endian err errno fcntl float fnmatch ftw getopt glob grp inttypes langinfo libgen limits
	locale malloc math netdb poll pthread pwd regex sched search semaphore setjmp signal stdalign stdarg stdatomic
	stdbool stddef stdint stdio stdlib stdnoreturn string strings syslog termios threads time uchar unistd utime
	wchar wctype
);

sub is_libc { my ($header) = @_; return $libc{$header} || $header =~ m{^(sys|linux|arpa|netinet|net)/} }

sub read_lines {
	my ($path) = @_;
	open my $in, '<', $path or die "could not open \"$path\": $!\n";
	return <$in>;
}

# What is wrong with the includes of one file.
sub complaints {
	my ($room, $file) = @_;
	my @wrong;
	my $first = 1;
	my $number = 0;
	for (read_lines("$source/src/$room/$file")) {
		$number++;
		my ($open, $header) = /^\s*#\s*include\s*([<"])([^>"]+)/ or next;
		if ($open eq '<') {
			push @wrong, "line $number: <$header> is a library's header: only io includes those" unless $room eq 'io' || is_libc($header);
		} elsif ($header ne 'config.h') {
			my ($other) = $header =~ m{^([a-z]+)/};
			push @wrong, "line $number: \"$header\" is not named by its room" unless defined $other;
			push @wrong, "line $number: $room must not include \"$header\"" if defined $other && !grep { $_ eq $other } $room, @{ $above{$room} };
			my $own = "$room/" . $file =~ s/\.c$/.h/r;
			push @wrong, "line $number: \"$own\" comes first" if $first && $file =~ /\.c$/ && -e "$source/src/$own" && $header ne $own;
			$first = 0;
		}
	}
	return @wrong;
}

opendir my $rooms, "$source/src" or die "could not open \"$source/src\": $!\n";
is_deeply([sort grep { !/^\./ && -d "$source/src/$_" } readdir $rooms], [sort keys %above], 'the rooms of src');

for my $room (sort keys %above) {
	my @files = map { s{.*/}{}r } sort glob "$source/src/$room/*.[ch]";
	my @wrong = map { my $file = $_; map { "src/$room/$file: $_" } complaints($room, $file) } @files;
	ok(!@wrong, "$room: the includes of " . @files . ' files') or diag(join "\n", @wrong);
}
done_testing;

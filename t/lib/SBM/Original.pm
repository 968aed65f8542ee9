package SBM::Original;

# A database as the original has it, in the server of a stack, to be taken over.
#
#   my $original = SBM::Original->make($psql, 1000);   # $psql: the SBM_PSQL of the stack
#   $original->conninfo;
#   $original->sql('UPDATE ...');
use strict;
use warnings;
use Cwd qw(abs_path);
use File::Basename qw(dirname);

my $DIR = dirname(dirname(dirname(abs_path(__FILE__)))) . '/original';

# With so many subscriptions; undef: the tables alone.
sub make {
	my ($class, $psql, $subscriptions, $name) = @_;
	$name //= 'original';
	my $self = bless { psql => $psql =~ s/-d \S+/-d $name/r, name => $name }, $class;
	run($psql, qq{-c "CREATE DATABASE $name"});
	run($self->{psql}, "-f '$DIR/schema.sql'");
	run($self->{psql}, "-v subscriptions=$subscriptions -f '$DIR/generate.sql'") if defined $subscriptions;
	return $self;
}

sub run {
	my ($psql, $rest) = @_;
	my $output = `$psql -q -A -t -F '\t' -v ON_ERROR_STOP=1 $rest 2>&1`;
	die "psql $rest: $output\n" if $?;
	return $output;
}

sub conninfo {
	my ($self) = @_;
	my ($host) = $self->{psql} =~ /-h (\S+)/;
	return "host=$host port=5432 user=postgres dbname=$self->{name}";
}

sub sql {
	my ($self, $text) = @_;
	$text =~ s/'/'\\''/g;
	return run($self->{psql}, "-c '$text'");
}

sub rows { my ($self, $text) = @_; return map { [split /\t/, $_, -1] } split /\n/, $self->sql($text) }
sub value { my ($self, $text) = @_; my ($row) = $self->rows($text); return $row && $row->[0] }

1;

package SBM::Lifecycle;

# Where subscriptions should be, worked out in the most straightforward way: all firings of a schedule written
# down, and counted one by one. The judge of what the service works out.
#
#   schedules: { id => { minute, hour, day_of_week, day_of_month, month_of_year } }, in UTC
#   sets:      { id => { next, schedule, size => { lang => messages } } }
# Times are seconds since 1970.
use strict;
use warnings;
use Exporter qw(import);
use POSIX qw(floor);

our @EXPORT = qw(read_programme expected_position fast_forwarded);

sub values_of {
	my ($field, $low, $high) = @_;
	my %is;
	for my $part (split /,/, $field =~ s/\s+//gr) {
		my ($range, $step) = split m{/}, $part;
		my ($from, $to) = $range eq '*' ? ($low, $high) : split /-/, $range;
		$to //= defined $step ? $high : $from;
		for (my $value = $from; $value <= $to; $value += $step // 1) { $is{$value} = 1 }
	}
	return %is;
}

# The minutes (as seconds) at which a schedule fires after one time and up to another.
sub firings {
	my ($schedule, $after, $until) = @_;
	my %minute = values_of($schedule->{minute}, 0, 59);
	my %hour = values_of($schedule->{hour}, 0, 23);
	my %day = values_of($schedule->{day_of_month}, 1, 31);
	my %month = values_of($schedule->{month_of_year}, 1, 12);
	my %weekday = map { $_ % 7 => 1 } do { my %w = values_of($schedule->{day_of_week}, 0, 7); keys %w };
	my ($any_day, $any_weekday) = (keys %day == 31, keys %weekday == 7);
	my @all;
	for (my $date = floor($after / 86400); $date * 86400 <= $until; $date++) {
		my (undef, undef, undef, $mday, $mon, undef, $wday) = gmtime $date * 86400;
		next unless $month{ $mon + 1 };
		next unless $any_day ? $weekday{$wday} : $any_weekday ? $day{$mday} : $day{$mday} || $weekday{$wday};
		for my $h (sort { $a <=> $b } keys %hour) {
			push @all, map { $date * 86400 + $h * 3600 + $_ * 60 } sort { $a <=> $b } keys %minute;
		}
	}
	return grep { $_ > $after && $_ <= $until } @all;
}

# The programme of a database; query: SQL to rows. With all firings since a time.
sub read_programme {
	my ($query, $since, $until) = @_;
	my %p = (until => $until);
	for ($query->('SELECT id, minute, hour, day_of_week, day_of_month, month_of_year FROM schedule')) {
		my %schedule;
		(my $id, @schedule{qw(minute hour day_of_week day_of_month month_of_year)}) = @$_;
		$p{schedules}{$id} = { %schedule, firings => [firings(\%schedule, $since, $until)] };
	}
	$p{sets}{ $_->[0] } = { next => $_->[1], schedule => $_->[2], size => {} } for $query->('SELECT id, next_set_id, default_schedule_id FROM messageset');
	$p{sets}{ $_->[0] }{size}{ $_->[1] }++ for $query->('SELECT messageset_id, lang FROM message');
	return \%p;
}

# Firings after one minute and up to another.
sub runs {
	my ($p, $schedule, $after, $end) = @_;
	return grep { $_ > $after && $_ <= $end } @{ $p->{schedules}{$schedule}{firings} };
}

sub minute { return floor($_[0] / 60) * 60 }

# One step: where it should be in its own set, whether that should be completed, and its last run.
sub standing {
	my ($p, $s, $end) = @_;
	my $max = $p->{sets}{ $s->{set} }{size}{ $s->{lang} } // 0;
	my @runs = runs($p, $s->{schedule}, minute($s->{created}), $end);
	my $n = @runs + $s->{initial} - 1;
	my $needed = $max - $s->{initial} + 1;
	return { max => $max, complete => $n >= $max, number => $n >= $max ? $max : $n + 1, last => $needed > 0 ? $runs[$needed - 1] : undef };
}

sub follow_on {
	my ($p, $s, $created) = @_;
	my $next = $p->{sets}{ $s->{set} }{next};
	return { set => $next, schedule => $p->{sets}{$next}{schedule}, lang => $s->{lang}, initial => 1, next => 1, created => $created };
}

# { behind, set, number } of a subscription { set, schedule, lang, initial, next, created }.
sub expected_position {
	my ($p, $s, $end) = @_;
	my $behind = 0;
	$end = minute($end);
	while (1) {
		my $is = standing($p, $s, $end);
		$behind += $is->{number} - $s->{next} if $is->{number} > $s->{next};
		$behind++ if $is->{complete} && $is->{max};
		return { behind => $behind, set => $s->{set}, number => $is->{number} } if !$is->{complete} || !$p->{sets}{ $s->{set} }{next};
		$s = follow_on($p, $s, $is->{last} // $s->{created});
	}
}

# The rows that a fast forward leaves: its own, and those that follow; each { set, number, complete, created }.
sub fast_forwarded {
	my ($p, $s, $end) = @_;
	my @rows;
	$end = minute($end);
	while (1) {
		my $is = standing($p, $s, $end);
		my $number = $is->{number} > $s->{next} ? $is->{number} : $s->{next};
		push @rows, { set => $s->{set}, number => $number, complete => $is->{complete} ? 1 : 0, created => $s->{created} };
		return @rows if !$is->{complete} || !$p->{sets}{ $s->{set} }{next};
		$s = follow_on($p, $s, defined $is->{last} ? $is->{last} + 60 : minute($s->{created}));
	}
}

1;

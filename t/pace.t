#!/usr/bin/perl
# How fast and when messages go: rates, quiet hours, and runs that are far larger than expected. The sink is the
# judge, by the times at which calls came in.
use strict;
use warnings;
use Test::More;
use Time::HiRes qw(time);
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, clock => 1, write_back => '20ms', sweep => '100ms', workers => 3, batch => 50, concurrency => 8);
my @texts = map { "Message $_" } 1 .. 60;
my $schedule = make_schedule($stack);
my $plain = make_set($stack, $schedule, \@texts);
my $whatsapp = make_set($stack, $schedule, \@texts, channel => 'WHATSAPP');
my $lagos = make_schedule($stack, minute => '0', hour => '0', day_of_month => '1', month_of_year => (gmtime)[4] + 1 <= 6 ? '12' : '1', timezone => 'Africa/Lagos');
my $evening = make_set($stack, $lagos, \@texts);

# Restarts the daemon with other settings.
sub with {
	my (%settings) = @_;
	my $daemon = $stack->pid('sbm-senderd');
	kill TERM => $daemon;
	poll_until { !$stack->alive($daemon) } 'the daemon ends';
	$stack->up(%settings);
}
sub when { my ($match) = @_; my @at = sort { $a <=> $b } map { $_->{at} } grep { !$match || $_->{body} =~ $match } $sink->requests('outbound'); return @at }
# The most that came within any stretch of so many seconds.
sub most_within {
	my ($seconds, @at) = @_;
	my ($most, $first) = (0, 0);
	for my $last (0 .. $#at) {
		$first++ while $at[$last] - $at[$first] > $seconds;
		$most = $last - $first + 1 if $last - $first + 1 > $most;
	}
	return $most;
}
sub sent_once {
	my (@who) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my %count;
	$count{ json_of($_->{body})->{to_identity} }++ for $sink->accepted('outbound');
	is_deeply([map { $count{$_} // 0 } @who], [(1) x @who], 'each got one message, none two');
}

subtest 'as many calls at once as may be' => sub {
	my @mothers = map { subscribe($stack, $plain, $schedule) } 1 .. 70;
	for my $service (qw(identity outbound)) {
		$sink->forget;
		$sink->behave($service => { delay => 0.5 });
		fire($stack, $schedule);
		settled($stack, 30);
		my @at = sort { $a <=> $b } map { $_->{at} } $sink->requests($service);
		is(scalar @at, 70, "$service: one call each");
		# Whose answer has not gone out yet when the next call comes.
		my $most = most_within(0.49, @at);
		cmp_ok($most, '<=', 3 * 8, "at most $most at once by three processes");
		cmp_ok($most, '>', 1, 'and not one after the other');
		$sink->behave;
	}
	sent_once(@mothers);
	$sink->forget;
	$stack->sql('UPDATE subscription SET active = false');
};

subtest 'a rate for all' => sub {
	my @mothers = map { subscribe($stack, $plain, $schedule) } 1 .. 90;
	with(sender_rate => 30);
	fire($stack, $schedule);
	settled($stack, 30);
	sent_once(@mothers);
	my @at = when();
	my $took = $at[-1] - $at[0];
	cmp_ok($took, '>', 89 / 30 - 1.05, sprintf '90 messages at 30 a second: %.2f s', $took);
	cmp_ok($took, '<', 3 * 2 * SBM::Stack::patience(), 'and not much longer than it must');
	cmp_ok(most_within(1, @at), '<=', 60, 'three processes together: at most ' . most_within(1, @at) . ' within a second');
	with(sender_rate => 2);
	$sink->forget;
	$stack->sql("UPDATE subscription SET active = false WHERE identity NOT IN ('" . join("','", @mothers[0 .. 5]) . "')");
	fire($stack, $schedule);
	settled($stack, 30);
	sent_once(@mothers[0 .. 5]);
	@at = when();
	cmp_ok($at[-1] - $at[0], '>', 5 / 2 - 1.05, sprintf 'six at two a second: %.2f s', $at[-1] - $at[0]);
	$stack->sql('UPDATE subscription SET active = false');
};

subtest 'a rate for a channel' => sub {
	$sink->forget;
	my @by_whatsapp = map { subscribe($stack, $whatsapp, $schedule) } 1 .. 60;
	my @mothers = map { subscribe($stack, $plain, $schedule) } 1 .. 40;
	# Those of the slow channel stand in front of all others.
	$stack->sql("UPDATE subscription SET id = overlay(id::text placing '00000000' from 1 for 8)::uuid WHERE messageset_id = $whatsapp");
	with(sender_rate => 0, sender_rate_channels => 'SMS=500 WHATSAPP=20');
	fire($stack, $schedule);
	poll_until { when(qr/^(?!.*WHATSAPP)/s) == 40 } 'the others do not wait';
	cmp_ok(scalar when(qr/WHATSAPP/), '<', 60, 'those of the channel do');
	settled($stack, 30);
	sent_once(@by_whatsapp, @mothers);
	my @at = when(qr/WHATSAPP/);
	my $took = $at[-1] - $at[0];
	cmp_ok($took, '>', 59 / 20 - 1.05, sprintf '60 messages at 20 a second: %.2f s', $took);
	cmp_ok($took, '<', 3 * 2.5 * SBM::Stack::patience(), 'and not much longer than it must');
	cmp_ok(most_within(1, @at), '<=', 40, 'at most ' . most_within(1, @at) . ' within a second');
	$stack->sql('UPDATE subscription SET active = false');
};

subtest 'rates, after the clock of the database was set back' => sub {
	with(sender_rate => 1000, sender_rate_channels => 'WHATSAPP=20');
	$sink->forget;
	my @by_whatsapp = map { subscribe($stack, $whatsapp, $schedule) } 1 .. 30;
	my @mothers = map { subscribe($stack, $plain, $schedule) } 1 .. 10;
	$stack->sql("INSERT INTO sender_rate (lane) VALUES (''), ('WHATSAPP') ON CONFLICT DO NOTHING; UPDATE sender_rate SET next_at = now() + interval '1 hour', fed_at = now() + interval '1 hour'");
	fire($stack, $schedule);
	settled($stack, 30);
	sent_once(@by_whatsapp, @mothers);
	$stack->sql('UPDATE subscription SET active = false');
};

# Moves the clock to a time of day (UTC) so many days from today.
my $midnight = int(time / 86400) * 86400;
sub go_to { my ($day, $hour, $minute) = @_; $stack->move_clock($midnight + $day * 86400 + $hour * 3600 + $minute * 60 - int time) }
sub nothing_goes { my $n = $sink->count('outbound'); my $until = time + 0.8; poll_until { time > $until } 'a while goes by'; return is($sink->count('outbound'), $n, $_[0]) }
sub send_now { is($stack->post("/api/v1/schedule/$_[0]/send/")->{status}, 202, 'the firing is accepted') }

subtest 'quiet hours' => sub {
	$sink->forget;
	my @in_utc = map { subscribe($stack, $plain, $schedule) } 1 .. 5;
	my @in_lagos = map { subscribe($stack, $evening, $lagos) } 1 .. 5;
	go_to(40, 19, 30);
	with(sender_rate_channels => '', send_window => '08:00-20:00');
	send_now($_) for $schedule, $lagos;
	poll_until { $sink->count('outbound') == 5 } 'half past seven in the evening: the messages go out';
	nothing_goes('but not where it is half past eight');
	sent_once(@in_utc);
	is($stack->value("SELECT gate FROM delivery_queue GROUP BY gate"), 'window Africa/Lagos', 'those wait');
	my ($status, $output) = $stack->ctl('status');
	like($output, qr/window Africa\/Lagos\s+5/, 'as the status says');
	go_to(41, 6, 59);
	nothing_goes('a minute to eight in Lagos: nothing');
	go_to(41, 7, 0);
	poll_until { $sink->count('outbound') == 10 } 'at eight there, they go';
	settled($stack);
	sent_once(@in_utc, @in_lagos);

	with(send_window => '20:00-06:00');
	go_to(42, 21, 0);
	$sink->forget;
	send_now($schedule);
	settled($stack);
	is($sink->count('outbound'), 5, 'a window over midnight: open in the evening');
	go_to(43, 5, 59);
	send_now($schedule);
	settled($stack);
	is($sink->count('outbound'), 10, 'and in the early morning');
	go_to(43, 6, 0);
	send_now($schedule);
	nothing_goes('and closed at six');
	with(send_window => '');
	settled($stack);
	is($sink->count('outbound'), 15, 'without a window, what waited goes out');
	$stack->sql('UPDATE subscription SET active = false');
};

subtest 'a run that is far larger than expected' => sub {
	with(surge_ratio => 3, surge_min => 10);
	$sink->forget;
	my $odd = make_schedule($stack);
	my $set = make_set($stack, $odd, \@texts);
	my @few = map { subscribe($stack, $set, $odd) } 1 .. 5;
	fire($stack, $odd);
	settled($stack);
	is($sink->count('outbound'), 5, 'a first run goes out');
	my @more = map { subscribe($stack, $set, $odd) } 1 .. 10;
	fire($stack, $odd);
	settled($stack);
	is($sink->count('outbound'), 5 + 15, 'three times as many are not too many');
	my @many = map { subscribe($stack, $set, $odd) } 1 .. 31;
	$sink->forget;
	fire($stack, $odd);
	my $run = $stack->value('SELECT max(id) FROM run');
	poll_until { defined $stack->get("/api/v1/runs/$run/")->{json}{held_at} } 'more than that: the run is held';
	nothing_goes('nothing goes out');
	my $answer = $stack->get("/api/v1/runs/$run/")->{json};
	is_deeply([@$answer{qw(held_messages held_expected released_at queued)}], [46, 15, undef, 0], 'it says why');
	like($stack->log_text('sbm-senderd'), qr/level=warn .*run is held.*run=$run .*messages=46 expected=15/, 'so does the log');
	my ($status, $output) = $stack->ctl('status');
	like($output, qr/Runs held for their size\n.*\n\s*$run\s+$odd\s+\S+\s+46\s+15\b/, 'and the status') or diag($output);
	# Also when another daemon looks at it anew.
	with();
	nothing_goes('a new daemon holds it too');
	($status, $output) = $stack->ctl(qw(run release), $run);
	is($status, 0, 'released') or diag($output);
	settled($stack);
	sent_once(@few, @more, @many);
	ok($stack->get("/api/v1/runs/$run/")->{json}{released_at}, 'as its answer says');
	is(($stack->ctl(qw(run release), $run))[0], 1, 'only once');
	is($stack->post("/api/v1/runs/$run/release/")->{status}, 409, 'by the API likewise');

	$stack->sql("INSERT INTO subscription (identity, messageset_id, schedule_id, lang, created_at) SELECT 'n' || n, $set, $odd, 'eng_ZA', '2020-01-01' FROM generate_series(1, 200) n");
	$sink->forget;
	fire($stack, $odd);
	$run = $stack->value('SELECT max(id) FROM run');
	poll_until { defined $stack->get("/api/v1/runs/$run/")->{json}{held_at} } 'the next surge';
	my $state = sub { return (grep { $_->{id} == $run } @{ SBM::Stack::json_of(($stack->ctl(qw(run list --json)))[1]) })[0]{state} };
	is($state->(), 'held', 'is held');
	is($stack->post("/api/v1/runs/$run/cancel/")->{status}, 200, 'is cancelled');
	is($state->(), 'cancelled', 'which the list says at once');
	settled($stack);
	is($state->(), 'cancelled', 'and at its end');
	is($sink->count('outbound'), 0, 'and sends nothing');
};

$stack->finish;
done_testing;

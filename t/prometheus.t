#!/usr/bin/perl
# What /metrics tells: exact sums over all workers and all processes of the daemons, whoever of them dies; and what is
# made of it, alerts and a dashboard, names nothing that is not there.
use strict;
use warnings;
use List::Util qw(sum0);
use Test::More;
use SBM::Content;
use SBM::Sink;
use SBM::Stack;

my $source = SBM::Stack::source_dir();
my $sink = SBM::Sink->start;
my $stack = SBM::Stack->start($sink->settings, api_workers => 3, api_workers_slow => 2, sweep => '100ms', write_back => '20ms',
	probe_min => '100ms', probe_max => '200ms', count_interval => '200ms', count_invariants => '200ms', count_timeout => '2s');
my $schedule = make_schedule($stack);
my $set = make_set($stack, $schedule, [map { "Message $_" } 1 .. 9]);
my ($promtool) = grep { -x } map { "$_/promtool" } split /:/, $ENV{PATH};

# All samples, by name and labels as they stand there; and what is wrong with the text.
my (%type, @wrong);
sub scrape {
	my $text = $stack->get('/metrics', authorization => undef)->{content};
	my (%sample, %seen);
	(%type, @wrong) = ();
	my $metric = '';
	for (split /\n/, $text) {
		if (/^# HELP (\w+) \S/) {
			push @wrong, "$1 comes twice" if $seen{$1}++;
			$metric = $1;
		} elsif (/^# TYPE (\w+) (counter|gauge|histogram)$/) {
			push @wrong, "TYPE of $1 below HELP of $metric" unless $1 eq $metric;
			$type{$metric} = $2;
		} elsif (/^(\w+)(\{\w+="[^"]*"(?:,\w+="[^"]*")*\})? (-?[0-9.]+(?:e[+-]?\d+)?)$/) {
			my ($name, $key, $value) = ($1, $1 . ($2 // ''), $3);
			push @wrong, "$key stands below $metric" unless $name =~ /^\Q$metric\E(?:_bucket|_sum|_count)?$/;
			push @wrong, "$key comes twice" if exists $sample{$key};
			push @wrong, "$key does not end in _total" if ($type{$metric} // '') eq 'counter' && $name !~ /_total$/;
			$sample{$key} = $value;
		} else {
			push @wrong, $_;
		}
	}
	return \%sample;
}

# The sum of the samples of a metric that match.
sub total {
	my ($sample, $metric, $labels) = @_;
	$labels //= qr/^/;
	return sum0(map { $sample->{$_} } grep { /^\Q$metric\E(?:\{|$)/ && $_ =~ $labels } keys %$sample);
}

sub requests { my ($sample, $route, $status) = @_; return total($sample, 'sbm_http_requests_total', qr/route="\Q$route\E".*status="$status"/) }

# Waits until a metric has that value.
sub comes_to {
	my ($value, $name, @what) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $is;
	poll_until { ($is = total(scrape(), @what)) == $value } "$name: $value" or diag("it is $is");
}

sub workers { return grep { $stack->alive($_) } $stack->children('sbm-api') }

# So many of each of these from each of so many clients at once.
sub ask {
	my ($clients, $times, @requests) = @_;
	my @pids;
	for (1 .. $clients) {
		my $pid = fork // die "could not fork: $!";
		if ($pid) { push @pids, $pid; next }
		delete $stack->{http};
		for (1 .. $times) {
			$stack->request(@$_) for @requests;
		}
		require POSIX;
		POSIX::_exit(0);
	}
	waitpid $_, 0 for @pids;
}

my $identity = subscribe($stack, $set, $schedule);
my $id = subscription($stack, $identity)->{id};

subtest 'requests are counted over all workers' => sub {
	my @requests = ([GET => "/api/v1/subscriptions/$id/"], [GET => '/api/v1/schedule/?limit=1'], [POST => '/api/v1/messageset/', {}], [GET => "/api/nothing/$id/"], [BREW => '/api/v1/schedule/']);
	my %expected = (
		'/api/v1/subscriptions/{id}/ 200' => 40, '/api/v1/schedule/ 200' => 40, '/api/v1/messageset/ 400' => 40, 'none 404' => 40, '/api/v1/schedule/ 405' => 40,
	);
	my $before = scrape();
	ask(4, 10, @requests);
	my $after;
	my $grown = sub { my ($route, $status) = split ' ', $_[0]; return requests($after, $route, $status) - requests($before, $route, $status) };
	poll_until { $after = scrape(); !grep { $grown->($_) != $expected{$_} } keys %expected } 'each once, by the pattern of its route and its status'
		or diag(explain({ map { $_ => $grown->($_) } keys %expected }));
	is(requests($after, '/api/v1/schedule/', 405), total($after, 'sbm_http_requests_total', qr/method="other"/), 'a method that nobody knows is "other"');
	is(scalar(grep { /\Q$id\E/ } keys %$after), 0, 'no path stands in a label');
	cmp_ok(total($after, 'sbm_database_statements_total', qr/sbm-api/), '>', 80, 'statements are counted');
	is(total($after, 'sbm_http_workers'), 5, 'five workers');
	cmp_ok(total($after, 'sbm_http_workers_busy'), '>=', 1, 'one of which is busy with us');

	my $series = keys %$after;
	$stack->get("/api/nothing/$_/") for 1 .. 30;
	is(scalar keys %{ scrape() }, $series, 'other unknown paths make no other series');
};

subtest 'and outlive them' => sub {
	my $before;
	poll_until { my $is = requests($before = scrape(), '/metrics', 200); pause_briefly(0.05); requests($before = scrape(), '/metrics', 200) == $is + 1 } 'all is counted';
	my @old = workers();
	kill KILL => @old[0, 1];
	poll_until { my @now = workers(); @now == @old && !grep { $_ == $old[0] || $_ == $old[1] } @now } 'two workers were killed, and others started';
	poll_until { $stack->get("/api/v1/subscriptions/$id/")->{status} == 200 } 'they answer';
	my $after = scrape();
	my @back = grep { ($type{ /^(\w+)/ && $1 =~ s/_(?:bucket|sum|count)$//r } // '') ne 'gauge' && $after->{$_} < $before->{$_} && !/duration_seconds_sum/ } keys %$before;
	is_deeply(\@back, [], 'no counter went back');
	is(total($after, 'sbm_process_starts_total', qr/sbm-api/) - total($before, 'sbm_process_starts_total', qr/sbm-api/), 2, 'two starts more');
	@old = workers();
	kill HUP => $stack->pid('sbm-api');
	poll_until { my %now = map { $_ => 1 } workers(); keys %now && !grep { $now{$_} } @old } 'a reload puts new ones in the place of all';
	ask(3, 5, [GET => "/api/v1/subscriptions/$id/"]);
	comes_to(requests($after, '/api/v1/subscriptions/{id}/', 200) + 15, 'requests go on from there', 'sbm_http_requests_total', qr/subscriptions\/\{id\}\/",.*status="200"/);
	@old = $stack->children('sbm-senderd');
	kill HUP => $stack->pid('sbm-senderd');
	poll_until { !grep { $stack->alive($_) } @old } 'a reload of the daemon does the same';
	for my $program ('sbm-api', 'sbm-senderd') {
		my ($told, $open);
		poll_until {
			$told = total(scrape(), 'sbm_database_connections', qr/"$program"/);
			$open = $stack->value("SELECT count(*) FROM pg_stat_activity WHERE application_name ~ '^$program' AND application_name !~ 'lease'");
			$told == $open && $open > 1;
		} "$program: the connections of the new ones are counted, whatever the old ones did at their end" or diag("$told, but there are $open");
	}
};

subtest 'histograms' => sub {
	my $sample = scrape();
	my %bucket;
	/^sbm_http_request_duration_seconds_bucket\{(.*),le="([^"]+)"\}$/ and push @{ $bucket{$1} }, [$2 eq '+Inf' ? 9**9**9 : $2, $sample->{$_}] for keys %$sample;
	cmp_ok(scalar keys %bucket, '>', 5, 'there are some');
	for my $labels (sort keys %bucket) {
		my @in_order = map { $_->[1] } sort { $a->[0] <=> $b->[0] } @{ $bucket{$labels} };
		my $count = $sample->{"sbm_http_request_duration_seconds_count{$labels}"};
		my @bad;
		push @bad, 'not monotone: ' . join ' ', @in_order if grep { $in_order[$_] < $in_order[$_ - 1] } 1 .. $#in_order;
		push @bad, "+Inf is $in_order[-1], the count $count" if $in_order[-1] != $count;
		push @bad, 'no time' unless $sample->{"sbm_http_request_duration_seconds_sum{$labels}"} > 0;
		my $requests = total($sample, 'sbm_http_requests_total', qr/\Q{$labels,\E/);
		push @bad, "$requests requests, the count $count" if $requests != $count;
		is_deeply(\@bad, [], $labels);
	}
};

subtest 'the format' => sub {
	scrape();
	is_deeply(\@wrong, [], 'is as Prometheus reads it');
	SKIP: {
		skip 'promtool is not installed (Debian package prometheus)', 3 unless $promtool;
		my ($status, $output) = SBM::Stack::run($promtool, 'check', 'metrics', { input => $stack->get('/metrics')->{content} });
		is("$status $output", '0 ', 'promtool check metrics finds nothing');
		($status, $output) = SBM::Stack::run($promtool, 'check', 'rules', "$source/prometheus/sbm.rules.yml");
		is($status, 0, 'promtool check rules neither') or diag($output);
		($status, $output) = SBM::Stack::run($promtool, 'test', 'rules', "$source/t/prometheus.rules.yml");
		is($status, 0, 'alerts come when they should, and not else') or diag($output);
	}
};

# What the history has, by state.
sub history { return $stack->value("SELECT count(*) FROM delivery WHERE state = '$_[0]'") }

subtest 'the daemon' => sub {
	subscribe($stack, $set, $schedule) for 1 .. 19;
	subscribe($stack, $set, $schedule, identity => "lost-$_") for 1 .. 3;
	subscribe($stack, $set, $schedule, lang => 'afr_ZA') for 1 .. 2;
	$sink->behave(outbound => { status => 400, match => 'Message 1"', limit => 4 });
	fire($stack, $schedule);
	settled($stack);
	$sink->behave;
	comes_to(1, 'runs finished', 'sbm_runs_finished_total');
	comes_to(16, 'messages sent', 'sbm_messages_sent_total');
	is(scalar $sink->accepted('outbound'), 16, 'as the sink says');
	my $sample = scrape();
	is($sample->{'sbm_messages_sent_total{content_type="text"}'}, 16, 'all of them text');
	is($sample->{'sbm_deliveries_failed_total{reason="no_recipient"}'}, 3, 'without a recipient');
	is($sample->{'sbm_deliveries_failed_total{reason="missing_message"}'}, 2, 'without a message');
	is($sample->{'sbm_deliveries_failed_total{reason="message_sender_refused"}'}, 4, 'refused');
	is($sample->{'sbm_calls_total{service="message_sender",outcome="2xx"}'}, 16, 'calls that succeeded');
	is($sample->{'sbm_calls_total{service="message_sender",outcome="400"}'}, 4, 'and did not');
	is($sample->{'sbm_calls_total{service="identity_store",outcome="2xx"}'}, $sink->count('identity'), 'addresses asked for');
	is($sample->{'sbm_deliveries_queued_total'}, 25, 'queued');
	poll_until { total(scrape(), 'sbm_failed_tasks') == 9 } 'failed tasks that wait';
};

subtest 'and its processes die' => sub {
	my ($sender) = grep { (SBM::Stack::slurp("/proc/$_/comm") // '') =~ /^sender$/ } $stack->children('sbm-senderd');
	my ($meter) = grep { (SBM::Stack::slurp("/proc/$_/comm") // '') =~ /^meter$/ } $stack->children('sbm-senderd');
	my $starts = total(scrape(), 'sbm_process_starts_total', qr/senderd/);
	kill KILL => $sender, $meter;
	comes_to($starts + 2, 'processes started', 'sbm_process_starts_total', qr/senderd/);
	fire_again();
	comes_to(history('sent'), 'messages sent', 'sbm_messages_sent_total');
	is(scalar $sink->accepted('outbound'), history('sent'), 'as the sink says');

	my $before = scrape();
	my $daemon = $stack->pid('sbm-senderd');
	kill TERM => $daemon;
	poll_until { !$stack->alive($daemon) } 'the daemon ends';
	is_deeply([$stack->rows('SELECT daemon FROM daemon_total')], [['all that are gone']], 'its counts are with those of the others that are gone');
	my $after = scrape();
	is_deeply([grep { /^sbm_(?:messages|deliver|calls|runs|process).*_total/ && $after->{$_} < $before->{$_} } keys %$before], [], 'no counter went back');
	$stack->up;
	fire_again();
	comes_to(history('sent'), 'another one goes on from there', 'sbm_messages_sent_total');
};

# A minute's run of the schedule is one, so each time under another minute.
sub fire_again {
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$stack->sql('UPDATE run SET minute = minute - interval \'1 hour\' * (SELECT count(*) FROM run)');
	fire($stack, $schedule);
	settled($stack);
}

subtest 'a daemon that was taken for gone' => sub {
	poll_until { $stack->value("SELECT count(*) FROM daemon_total WHERE daemon LIKE '%:%'") == 1 } 'it is there';
	# As the keeper of its counts does it after a day.
	my ($fold) = SBM::Stack::slurp("$source/sql/queries/measurement.sql") =~ /-- name: daemon_total_fold\n(.*?)\n\n/s;
	$stack->sql('UPDATE daemon_total SET seen_at = now() - interval \'2 days\' WHERE daemon LIKE \'%:%\'; ' . $fold =~ s/\$1/NULL/r);
	fire_again();
	comes_to(history('sent'), 'begins another row, and counts nothing twice', 'sbm_messages_sent_total');
};

subtest 'an outage' => sub {
	$sink->behave(outbound => { status => 503, headers => { 'Retry-After' => 1 } });
	$stack->sql("UPDATE run SET minute = minute - interval '1 day'");
	fire($stack, $schedule);
	poll_until { total(scrape(), 'sbm_downstream_paused_processes', qr/message_sender/) > 0 } 'calls are paused';
	poll_until { total(scrape(), 'sbm_delivery_lag_seconds') > 0 } 'what is due waits';
	poll_until { my $s = scrape(); total($s, 'sbm_run_messages', qr/queued/) > 0 && total($s, 'sbm_runs', qr/sending/) == 1 } 'a run is under way';
	cmp_ok(total(scrape(), 'sbm_downstream_outages_total', qr/message_sender/), '>', 0, 'the outage is counted');
	$sink->behave;
	settled($stack);
	poll_until { total(scrape(), 'sbm_downstream_paused_processes') == 0 } 'and over';
	poll_until { total(scrape(), 'sbm_delivery_lag_seconds') == 0 } 'nothing waits';
	comes_to(history('sent'), 'each message is sent and counted once', 'sbm_messages_sent_total');
};

subtest 'a broken rule' => sub {
	my @rules = sort map { $_->[0] } $stack->rows("SELECT name FROM invariant");
	is_deeply([sort map { /^sbm_invariant_violations\{invariant="(\w+)"\}$/ ? $1 : () } keys %{ scrape() }], \@rules, 'there is a gauge for each');
	comes_to(0, 'broken rules', 'sbm_invariant_violations');
	$stack->sql("INSERT INTO delivery_queue (subscription_id, due_at, lease_until) VALUES ('00000000-0000-4000-8000-00000000dead', now() + interval '1 day', now() - interval '2 minutes')");
	poll_until { scrape()->{'sbm_invariant_violations{invariant="lease_in_time"}'} == 1 } 'one that is broken shows as 1';
	comes_to(1, 'and no other', 'sbm_invariant_violations');
	comes_to(1, 'the delivery is counted as one that waits', 'sbm_deliveries', qr/retrying/);
	$stack->sql("DELETE FROM delivery_queue WHERE subscription_id = '00000000-0000-4000-8000-00000000dead'");
	comes_to(0, 'mended', 'sbm_invariant_violations');
	my $checked = scrape()->{'sbm_invariant_checked_timestamp_seconds{invariant="lease_in_time"}'};
	poll_until { scrape()->{'sbm_invariant_checked_timestamp_seconds{invariant="lease_in_time"}'} > $checked } 'it is checked again and again';
};

subtest 'the cost of a scrape' => sub {
	# Rows that nobody sends, and enough of them to make a plan for.
	$stack->sql("INSERT INTO delivery_queue (subscription_id, due_at) SELECT gen_random_uuid(), now() + interval '1 day' FROM generate_series(1, 20000)");
	$stack->sql('ANALYZE delivery_queue');
	my ($read) = SBM::Stack::slurp("$source/sql/queries/measurement.sql") =~ /-- name: measurement_read\n(.*)/s;
	my $plan = $stack->sql("EXPLAIN $read");
	unlike($plan, qr/Seq Scan on delivery_queue/, 'does not grow with the queue') or diag($plan);
	comes_to(20000, 'deliveries that wait', 'sbm_deliveries', qr/retrying/);
	$stack->sql('DELETE FROM delivery_queue');
};

subtest 'alerts and dashboard' => sub {
	my $sample = scrape();
	my %there = map { /^(\w+)/ ? ($1 => 1) : () } keys %$sample;
	my $rules = SBM::Stack::slurp("$source/prometheus/sbm.rules.yml");
	my @of_rules = $rules =~ /^\s+expr: (.*)$/mg;
	my $dashboard = json_of(SBM::Stack::slurp("$source/prometheus/grafana.json"));
	my @of_dashboard = map { $_->{expr} } map { @{ $_->{targets} || [] } } @{ $dashboard->{panels} };
	cmp_ok(scalar @of_rules, '>', 10, 'expressions of alerts');
	cmp_ok(scalar @of_dashboard, '>', 40, 'and of the dashboard');
	my %named;
	for my $expression (@of_rules, @of_dashboard) {
		my @names = $expression =~ /\b((?:sbm|process)_\w+)/g;
		ok(@names && !grep({ !$there{$_} } @names), $expression);
		$named{ $_ =~ s/_(?:bucket|sum|count)$//r } = 1 for @names;
	}
	is_deeply([grep { /^sbm_/ && !$named{$_} } sort keys %type], [], 'no metric of ours is left out of both');
	my $page = SBM::Stack::slurp("$source/man/sbm-metrics.7");
	is_deeply([sort grep { $page !~ /^\.It (?:.* )?Va \Q$_\E\b/m } keys %type], [], 'and each is described in sbm-metrics(7)');
	is_deeply([sort grep { !$type{$_} } $page =~ /\bVa ((?:sbm|process)_\w+)/g], [], 'which describes no other');
};

$stack->expect_log(qr/signal=KILL|child ended/, qr/\[error\].*(?:upstream|connect\(\) to unix)|\[crit\].*connect\(\) to unix/);
$stack->finish;
done_testing;

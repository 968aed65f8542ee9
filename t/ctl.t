#!/usr/bin/perl
# An administrator at the keyboard: what sbmctl says, does, and ends with.
use strict;
use warnings;
use File::Copy qw(copy);
use Test::More;
use SBM::Content;
use SBM::Stack;

my $stack = SBM::Stack->start(senderd => 0, token_cache => '100ms');

sub says {
	my ($words, $status, $pattern, $name, $options) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($got, $output) = $stack->ctl(@$words, $options || {});
	is($got, $status, "$name: exit status $status") or diag($output);
	like($output, $pattern, "$name: what it says") if $pattern;
	return $output;
}

sub let_in { my ($token) = @_; return $stack->get('/api/v1/schedule/', authorization => "Token $token")->{status} == 200 }

subtest 'help' => sub {
	my $help = says(['--help'], 0, qr/usage: sbmctl/i, 'help');
	my @commands = map { /^\s+((?:[a-z]+ ?){1,3}?)(?:\s{2,}|\s+[A-Z\[-]|$)/ ? $1 =~ s/\s+$//r : () } split /\n/, $help;
	for my $needed ('migrate', 'user add', 'user list', 'user deactivate', 'user password', 'token add', 'token list', 'token revoke', 'config check', 'config show', 'status') {
		like($help, qr/^\s+(?:sbmctl )?\Q$needed\E\b/m, "names $needed");
		says([split(' ', $needed), '--help'], 0, qr/usage: sbmctl.*\Q$needed\E/i, "$needed --help");
	}
	says([], 2, qr/usage|--help/i, 'no command');
	says(['dance'], 2, qr/dance/, 'an unknown command');
	says(['user', 'dance'], 2, qr/dance|user/, 'an unknown word after a known one');
	says(['user', 'add'], 2, qr/usage|NAME/, 'a missing operand');
	says(['user', 'list', '--what'], 2, qr/--what/, 'an unknown option');
	says(['user', 'list', 'extra'], 2, qr/extra|usage/, 'one operand too many');
	says(['--version'], 0, qr/\b\d+\.\d+\.\d+\b/, 'version');
	says(['user', 'add', '--help'], 0, qr/^Add a user of the API\.$/m, 'a command is explained in a sentence');
};

subtest 'users and tokens' => sub {
	says(['user', 'add', 'rosa', '--password-stdin'], 0, undef, 'add', { input => "secret words\n" });
	says(['user', 'add', 'rosa', '--no-password'], 1, qr/rosa/, 'the same once more');
	says(['user', 'add', 'bad:name', '--no-password'], 2, qr/colon/, 'a bad name');
	says(['user', 'add', 'nora', '--permission', 'fly'], 2, qr/fly.*view_behindsubscription/, 'a bad permission');
	says(['user', 'list'], 0, qr/^rosa\b/m, 'list');
	my $generated = says(['user', 'add', 'olga'], 0, qr/^password: \S{12,}$/m, 'without a password one is made');

	my $answer = $stack->post('/api/token-auth/', { username => 'rosa', password => 'secret words' }, authorization => undef);
	is($answer->{status}, 200, 'the password lets her in') or diag($answer->{content});
	ok(let_in($answer->{json}{token}), 'and the token that she got');
	is($stack->post('/api/token-auth/', { username => 'rosa', password => 'secret word' }, authorization => undef)->{status}, 400, 'another one does not');
	is($stack->value("SELECT count(*) FROM api_user WHERE username = 'rosa' AND password LIKE '\$y\$%'"), 1, 'kept as a yescrypt hash');

	my ($token) = says(['token', 'add', 'rosa'], 0, qr/^[0-9a-f]{40}$/m, 'a token') =~ /([0-9a-f]{40})/;
	ok(let_in($token), 'lets her in');
	says(['token', 'add', 'nobody'], 1, qr/nobody/, 'a token for nobody');
	says(['token', 'list', 'nobody'], 1, qr/there is no user "nobody"/, 'the tokens of nobody');
	says(['token', 'list', 'olga'], 0, qr/^id\tusername\t[^\n]*\n\z/, 'of one who has none');
	is_deeply([map { $_->{email} } grep { $_->{username} eq 'olga' } @{ SBM::Stack::json_of(says(['user', 'list', '--json'], 0, undef, 'users as JSON')) }], [undef], 'null for what is not there');
	my ($id) = map { $_->[0] } $stack->rows("SELECT t.id FROM api_token t WHERE t.digest = sha256('$token')");
	my $list = says(['token', 'list'], 0, qr/^\s*$id\b.*rosa/m, 'the list');
	unlike($list, qr/$token/, 'does not show tokens');
	says(['token', 'revoke', $id], 0, undef, 'revoke');
	poll_until { !let_in($token) } 'then it lets nobody in';
	says(['token', 'revoke', $id], 1, qr/revoked|no such/, 'revoke again');
	says(['token', 'revoke', 'abc'], 2, qr/token list/, 'revoke what is no id');

	($token) = says(['token', 'add', 'rosa'], 0, undef, 'another token') =~ /([0-9a-f]{40})/;
	says(['user', 'deactivate', 'rosa'], 0, undef, 'deactivate');
	poll_until { !let_in($token) } 'she is let in no more';
	is($stack->get('/api/v1/schedule/', authorization => "Token $token")->{json}{detail}, 'User inactive or deleted.', 'in the recorded words');
	says(['user', 'deactivate', 'nobody'], 1, qr/nobody/, 'deactivate nobody');
	says(['user', 'password', 'rosa', '--password-stdin'], 0, undef, 'a new password', { input => "other words\n" });
	says(['user', 'password', 'rosa', '--password-stdin'], 1, qr/empty/, 'an empty one', { input => "\n" });
};

subtest 'verify' => sub {
	says(['verify'], 0, qr/delivered_once\t.*\t0\t/, 'all rules hold');
	$stack->sql("INSERT INTO schedule (id) VALUES (9001)");
	$stack->sql("INSERT INTO run (id, schedule_id, minute, queued, sent) VALUES (9001, 9001, '2026-01-01', 3, 2)");
	says(['verify'], 1, qr/run_adds_up\t.*\t1\t9001: 3 queued; 2 sent/, 'a run whose sums do not agree is told');
	my $id = $stack->value("INSERT INTO messageset (id, short_name, default_schedule_id) VALUES (9001, 'verify', 9001);
		INSERT INTO subscription (identity, messageset_id, schedule_id, lang) VALUES ('verify', 9001, 9001, 'eng_ZA') RETURNING id");
	$stack->sql("INSERT INTO delivery_queue (subscription_id, lease_until) VALUES ('$id', now() - interval '2 minutes')");
	$stack->sql("INSERT INTO delivery (delivery_id, subscription_id, messageset_id, sequence_number, lang, run_id, kind, state, tries, created_at, finished_at)
		SELECT gen_random_uuid(), '$id', 9001, 1, 'eng_ZA', 9001, 'next', 'sent', 0, now(), now() FROM generate_series(1, 2)");
	$stack->sql("UPDATE subscription SET completed = true, active = false, process_status = 2, next_sequence_number = 7,
		updated_at = (SELECT max(finished_at) FROM delivery WHERE subscription_id = '$id') WHERE id = '$id'");
	my %violations = map { $_->{name} => $_->{violations} } @{ SBM::Stack::json_of(says(['verify', '--json'], 1, qr/lease_in_time/, 'so are others')) };
	is_deeply(\%violations, { delivered_once => 1, ready_has_schedule => 0, lease_in_time => 1, completed_at_end => 1, run_adds_up => 1 }, 'each by its own rule');
	$stack->sql("DELETE FROM delivery WHERE subscription_id = '$id'; DELETE FROM delivery_queue WHERE subscription_id = '$id'; DELETE FROM subscription WHERE id = '$id'; DELETE FROM messageset WHERE id = 9001; DELETE FROM schedule WHERE id = 9001");
	is_deeply([grep { defined $_->{example} } @{ SBM::Stack::json_of(says(['verify', '--json'], 0, undef, 'and they hold again')) }], [], 'without examples');
};

subtest 'migrate' => sub {
	my @migrate = ('migrate', '--dir', SBM::Stack::source_dir() . '/sql/migrations');
	says([@migrate], 0, qr/nothing to do/, 'a second time');
	my $dir = "$stack->{dir}/migrations";
	mkdir $dir;
	for my $file (glob SBM::Stack::source_dir() . '/sql/migrations/*.sql') {
		my ($name) = $file =~ m{([^/]+)$};
		open my $out, '>', "$dir/$name" or die;
		print $out SBM::Stack::slurp($file), $name =~ /^0001/ ? "-- edited\n" : '';
		close $out;
	}
	copy(SBM::Stack::source_dir() . "/sql/$_", "$dir/..") or die "could not copy: $!\n" for 'invariants.sql', 'grants.sql';
	says(['migrate', '--dir', $dir], 1, qr/0001.*differs/s, 'an edited old file is refused');
	says(['migrate', '--dir', "$stack->{dir}/nowhere"], 1, qr/nowhere/, 'a directory that is not there');
	# Several at once on an empty database: one does it, the others wait and find it done.
	$stack->sql('CREATE DATABASE empty OWNER sbm');
	my ($database) = SBM::Stack::slurp($stack->{env}{SBM_CONF}) =~ /^database\s*=\s*"?([^"\n]+)/m;
	$database =~ s/dbname=\w+/dbname=empty/;
	my @pids;
	for (1 .. 4) {
		my $pid = fork // die;
		if (!$pid) {
			$ENV{SBM_DATABASE} = $database;
			my ($status, $output) = $stack->ctl(@migrate);
			print STDERR $output if $status;
			require POSIX;
			POSIX::_exit($status);
		}
		push @pids, $pid;
	}
	is_deeply([map { waitpid $_, 0; $? >> 8 } @pids], [0, 0, 0, 0], 'four at once all succeed');
	local $ENV{SBM_DATABASE} = $database;
	says([@migrate, '--status'], 0, qr/0001/, 'and it is applied');
};

subtest 'config' => sub {
	says(['config', 'check'], 0, qr/fine/, 'the configuration of the stack');
	my $conf = "$stack->{dir}/bad.conf";
	for my $case (["page_sizes = 3\n", qr/bad\.conf.*1.*page_sizes/s], ["page_size = 99999999\n", qr/page_size.*1.*10000/s], ["\nnonsense\n", qr/2/], ["sweep = 3 fortnights\n", qr/sweep/]) {
		open my $out, '>', $conf or die;
		print $out $case->[0];
		close $out;
		says(['-c', $conf, 'config', 'check'], 1, $case->[1], "refused: $case->[0]" =~ s/\n/ /gr);
	}
	says(['config', 'show'], 0, qr/page_size\s+1000/, 'show');
	unlike(says(['config', 'show'], 0, undef, 'show'), qr/host=.*dbname=sbm/, 'secrets stay hidden');
	{
		local $ENV{SBM_PAGE_SIZE} = 7;
		says(['config', 'show'], 0, qr/page_size\s+7\b/, 'the environment goes over the file');
	}
};

subtest 'status' => sub {
	my ($status, $output) = $stack->ctl('status');
	like($output, qr/daemon/i, 'it speaks of daemons') or diag($output);
	my $schedule = make_schedule($stack);
	my $set = make_set($stack, $schedule, ['One', 'Two']);
	subscribe($stack, $set, $schedule) for 1 .. 3;
	fire($stack, $schedule);
	$stack->up;
	settled($stack);
	poll_until { ($stack->ctl('status'))[1] =~ /sbm|:\d+|\d+/ } 'a daemon is there';
	($status, $output) = $stack->ctl('status');
	is($status, 0, 'all is well') or diag($output);
	like($output, qr/\b3\b/, 'the last run is told') or diag($output);
	is($stack->get('/readyz', authorization => undef)->{status}, 200, 'and the service is ready');
	note($output);
};

subtest 'pauses by name' => sub {
	my $schedule = make_schedule($stack);
	my $set = make_set($stack, $schedule, ['One']);
	my $name = $stack->value("SELECT short_name FROM messageset WHERE id = $set");
	says(['pause', 'messageset', $name], 0, qr/^messageset \Q$name\E is paused$/, 'a message set by its short name');
	says(['pause', 'messageset', $set], 0, qr/^messageset $set was paused before$/, 'is the same as by its id');
	subscribe($stack, $set, $schedule);
	fire($stack, $schedule);
	poll_until { ($stack->ctl('status'))[1] =~ /^pause \d+\t1\t/m } 'the status says for which pause a delivery waits';
	says(['resume', 'messageset', $name], 0, qr/is resumed/, 'and resumed');
	settled($stack);
	says(['pause', 'messageset', 'nowhere'], 1, qr/there is no message set "nowhere"/, 'one that there is not');
	says(['run', 'list', '--schedule', 999999], 1, qr/there is no schedule 999999/, 'runs of a schedule that there is not');
	says(['run', 'list', '--schedule', make_schedule($stack)], 0, qr/^id\t[^\n]*\n\z/, 'of one that has none');
};

subtest 'as a user of the system whom the database does not know' => sub {
	my ($database) = SBM::Stack::slurp($stack->{env}{SBM_CONF}) =~ /^database\s*=\s*"?([^"\n]+)/m;
	local $ENV{SBM_DATABASE} = $database =~ s/user=\w+/user=root/r;
	says(['status'], 1, qr/role "root" does not exist.*runuser -u sbm -- sbmctl/s, 'root is told how');
};

subtest 'without a database' => sub {
	local $ENV{SBM_DATABASE} = "host=$stack->{dir}/nowhere dbname=sbm";
	says(['user', 'list'], 1, qr/database|connect/, 'it says that it cannot be reached');
};

$stack->expect_log(qr/prog=sbmctl/);
$stack->finish;
done_testing;

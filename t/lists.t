#!/usr/bin/perl
# A client follows `next` blindly, and sees each row once, whatever others do meanwhile.
use strict;
use warnings;
use Test::More;
use SBM::Content;
use SBM::Stack;

my $stack = SBM::Stack->start(senderd => 0, page_size => 50, page_size_max => 250);
my $schedule = make_schedule($stack);
my $set = make_set($stack, $schedule, ['One', 'Two']);
my $other = make_set($stack, $schedule, ['Uno']);
my $list = '/api/v1/subscriptions/';

# All pages from a first one: the ids in order, the pages.
sub follow {
	my ($path, $between) = @_;
	my (@ids, @pages);
	while (defined $path) {
		my $answer = $stack->get($path);
		is($answer->{status}, 200, 'a page') if $answer->{status} != 200;
		push @pages, $answer->{json};
		push @ids, map { $_->{id} } @{ $answer->{json}{results} };
		$path = $answer->{json}{next};
		$between->(scalar @pages) if $between;
		last if @pages > 1000;
	}
	return (\@ids, \@pages);
}

# Rows by SQL, as many registrations make them; some at the same moment.
$stack->sql("INSERT INTO subscription (identity, messageset_id, schedule_id, lang, metadata, created_at)
	SELECT 'mother-' || i, CASE WHEN i % 10 = 0 THEN $other ELSE $set END, $schedule, CASE WHEN i % 3 = 0 THEN 'zul_ZA' ELSE 'eng_ZA' END,
		jsonb_build_object('i', i, CASE WHEN i % 2 = 0 THEN 'even' ELSE 'odd' END, true), timestamptz '2026-01-01' + (i / 7) * interval '1 second'
	FROM generate_series(1, 300) i; ANALYZE subscription");
my @expected = map { $_->[0] } $stack->rows('SELECT id FROM subscription ORDER BY created_at DESC, id DESC');

subtest 'pages' => sub {
	my ($ids, $pages) = follow("$list?limit=29");
	is_deeply($ids, \@expected, 'following next gives every row once, newest first');
	is(scalar @$pages, 11, 'in pages of the size asked for');
	is_deeply([map { $_->{count} } @$pages], [(300) x 11], 'with the count on each');
	is($pages->[0]{previous}, undef, 'the first page has none before it');
	like($pages->[1]{previous}, qr{^\Q$stack->{url}$list\E\?}, 'the second one has, at the address of the request');
	my $back = $pages->[10]{previous};
	my @back;
	while (defined $back) {
		my $page = $stack->get($back)->{json};
		unshift @back, map { $_->{id} } @{ $page->{results} };
		$back = $page->{previous};
		last if @back > 2000;
	}
	is_deeply(\@back, [@expected[0 .. 289]], 'and previous leads back over every row');
};

subtest 'rows that come meanwhile move nothing' => sub {
	my $new = 0;
	my ($ids) = follow("$list?limit=30", sub { subscribe($stack, $set, $schedule) for 1 .. 3; $new += 3 });
	my %seen;
	$seen{$_}++ for @$ids;
	is(scalar(grep { $_ > 1 } values %seen), 0, 'no row twice');
	is(scalar(grep { !$seen{$_} } @expected), 0, 'no row left out');
	$stack->sql("DELETE FROM subscription WHERE created_at > '2026-06-01'");
};

subtest 'limit and offset' => sub {
	is_deeply([map { $_->{id} } @{ $stack->get("$list?limit=5&offset=150")->{json}{results} }], [@expected[150 .. 154]], 'by hand');
	is(scalar @{ $stack->get("$list?$_")->{json}{results} }, 50, "$_: the default") for 'limit=0', 'limit=-1', 'limit=x', 'limit=';
	is(scalar @{ $stack->get("$list?limit=251")->{json}{results} }, 250, 'a larger limit than the largest is cut');
	is(scalar @{ $stack->get("$list?offset=300")->{json}{results} }, 0, 'beyond the end: nothing');
	is(scalar @{ $stack->get("$list?limit=10&unknown=thing")->{json}{results} }, 10, 'unknown parameters are ignored');
};

subtest 'filters' => sub {
	my %cases = (
		'lang=zul_ZA' => "lang = 'zul_ZA'", "messageset=$other" => "messageset_id = $other", 'identity=mother-7' => "identity = 'mother-7'",
		'active=true' => 'active', 'completed=true' => 'completed', 'metadata_has_key=even' => "metadata ? 'even'",
		'metadata_not_has_key=even' => "NOT metadata ? 'even'", 'created_after=2026-01-01T00:00:20Z' => "created_at >= '2026-01-01T00:00:20Z'",
		'created_before=2026-01-01T00:00:20Z' => "created_at <= '2026-01-01T00:00:20Z'", "lang=zul_ZA&messageset=$other" => "lang = 'zul_ZA' AND messageset_id = $other",
	);
	for my $query (sort keys %cases) {
		my $page = $stack->get("$list?$query&limit=250")->{json};
		my @wanted = map { $_->[0] } $stack->rows("SELECT id FROM subscription WHERE $cases{$query} ORDER BY created_at DESC, id DESC");
		my @first = @wanted > 250 ? @wanted[0 .. 249] : @wanted;
		is_deeply([map { $_->{id} } @{ $page->{results} }], \@first, "$query: its rows");
		is($page->{count}, scalar @wanted, 'and their count');
	}
	my ($ids, $pages) = follow("$list?lang=zul_ZA&limit=30");
	is(scalar @$ids, 100, 'links keep the filter');
	like($pages->[0]{next}, qr/lang=zul_ZA/, 'and show it');
	is($stack->get("$list?$_")->{status}, 400, "$_ is refused") for 'active=abc', 'messageset=abc', 'created_after=yesterday';
};

subtest 'behind a proxy' => sub {
	my $socket = $stack->connect;
	my $answer = $stack->exchange($socket, "GET $list?limit=1 HTTP/1.1\r\nHost: sbm.example.org:8443\r\nAuthorization: Token $stack->{token}\r\n\r\n");
	like(json_of($answer->{content})->{next}, qr{^http://sbm\.example\.org:8443/}, "links begin with the request's own host");
};

subtest 'every list answers' => sub {
	for my $name (qw(schedule messageset message binarycontent subscriptions failed-tasks behind-subscriptions)) {
		my $answer = $stack->get("/api/v1/$name/");
		is($answer->{status}, 200, $name);
		is_deeply([sort keys %{ $answer->{json} }], [qw(count next previous results)], 'with the keys of a page');
		is_deeply($stack->get("/api/v1/$name")->{json}{results}, $answer->{json}{results}, 'with and without its slash');
	}
};

$stack->finish;
done_testing;

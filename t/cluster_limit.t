#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Limits, duplicates and rows in caches: two nodes are as one.

use strict;
use warnings;

use lib 't/lib';

use Mojo::Promise;
use Test::IM;
use Test::IM::Cluster;
use Test::More;
use Time::HiRes qw/ sleep time /;

Test::IM::Cluster->skip;

my $cl = Test::IM::Cluster->new->run(workers => 2, balancer => 0,
    app => 'rate 20; web_instances 4; sig_failures 6; sig_block 60s;
            group_rate 10;');
my ($one, $two) = @{ $cl->nodes };
my $svc = 'group_open_http_svc';

$one->users(qw/ ann bob /);

sub text { [{ MsgType => 'TIMTextElem', MsgContent => { Text => "$_[0]" } }] }

# many calls at once, to the nodes in turn; the answers
sub burst {
    my ($n, $command, $body) = @_;
    my @json;

    Mojo::Promise->all(map {
        my ($i, $im) = ($_, ($one, $two)[$_ % 2]);
        my $url = $im->url("/v4/$command", sdkappid => $im->app_id,
            identifier => $im->admin, usersig => $im->usersig($im->admin),
            random => 1, contenttype => 'json');

        $im->ua->post_p($url => json => $body->($i))
               ->then(sub { $json[$i] = shift->res->json });
    } 0 .. $n - 1)->wait;

    return @json;
}

subtest 'calls per second' => sub {
    my $start = time;
    my ($ok, $refused) = (0, 0);

    while (time < $start + 3) {
        my @json = burst(60, 'openim/query_online_status',
                         sub { { To_Account => ['ann'] } });
        $ok += grep { $_->{ErrorCode} == 0 } @json;
        $refused += grep { $_->{ErrorCode} } @json;
    }

    # the first and the last second are not whole
    my $took = time - $start;
    cmp_ok $ok, '<=', 20 * ($took + 2), "$ok together in $took s, not each";
    cmp_ok $ok, '>=', 20, 'what is allowed is served';
    cmp_ok $refused, '>', 0, 'more is refused';
    sleep 1.2;
};

subtest 'messages per second' => sub {
    my $gid = $one->group(owner => 'ann');
    my ($i, $ok) = (1, 0);

    sleep 1 - (time - int time);

    my @json = burst(16, "$svc/send_group_msg", sub {
        { GroupId => $gid, Random => $i++, MsgBody => text($i) } });
    $ok += grep { $_->{MsgSeq} } @json;

    cmp_ok $ok, '>=', 8, "$ok pass";
    sleep 1.2;
};

subtest 'duplicates at once' => sub {
    my @json = burst(10, 'openim/sendmsg', sub { {
        From_Account => 'ann', To_Account => 'bob', MsgSeq => 5,
        MsgRandom => 6, MsgBody => text('x') } });
    my %key = map { ($_->{MsgKey} // $_->{ErrorInfo}) => 1 } @json;

    is keys %key, 1, 'one message';

    my $gid = $one->group(owner => 'ann');

    @json = burst(6, "$svc/send_group_msg", sub { { GroupId => $gid,
        Random => 77, MsgBody => text('same') } });
    my %seq = map { ($_->{MsgSeq} // $_->{ErrorInfo}) => 1 } @json;
    is_deeply [keys %seq], [1], 'one number';

    sleep 1.2;
    @json = burst(6, 'openim/sendmsg', sub { {
        From_Account => 'ann', To_Account => 'bob', MsgLifeTime => 0,
        MsgSeq => 7, MsgRandom => 8, MsgBody => text('x') } });
    %key = map { ($_->{MsgKey} // $_->{ErrorInfo}) => 1 } @json;
    is keys %key, 1, 'one that is not stored';
    sleep 1.2;
};

subtest 'forged tickets' => sub {
    my $try = sub {
        my ($im) = @_;
        return $im->rest('openim/query_online_status',
            { To_Account => ['ann'] }, user => 'administrator',
            sig => $im->usersig('administrator', key => 'wrong' x 8))->code;
    };

    my @codes = map { $try->($_ % 2 ? $one : $two) } 1 .. 12;
    my %codes;
    $codes{$_}++ for @codes;
    is keys %codes, 2, 'refused, then blocked';
    cmp_ok $codes{ $codes[0] }, '<=', 8, 'both nodes count together';
};

subtest 'changes are seen at once' => sub {
    my $gid = $one->group(owner => 'ann');

    for my $n (1 .. 5) {
        my ($im, $other) = $n % 2 ? ($one, $two) : ($two, $one);

        is $other->group_info($gid)->{ErrorCode}, 0, 'in its cache';
        sleep 0.2;
        $im->rest("$svc/modify_group_base_info",
                  { GroupId => $gid, Name => "name $n" })->code_is(0);

        ok $other->wait_for(sub {
            sleep 0.1;
            ($other->group_info($gid)->{Name} // '') eq "name $n" }, 4),
            'the other node has the new name';
    }
};

done_testing;

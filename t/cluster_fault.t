#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Two nodes behind a balancer while Redis is emptied, restarted and away, and
# a node is killed: nothing that was acknowledged is lost or doubled.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Cluster;
use Test::IM::GroupLoad;
use Test::IM::Load;
use Test::More;
use Time::HiRes qw/ sleep time /;

Test::IM::Cluster->skip;

my $cl = Test::IM::Cluster->new->run(workers => 2,
    app => 'rate 0; group_rate 0; group_rate_normal 0; group_rate_low 0;
    group_rate_lowest 0; web_instances 4;');
my ($one, $two) = @{ $cl->nodes };

my $groups = Test::IM::GroupLoad->new(im => $cl->any, nodes => $cl->nodes)
             ->prepare;
my $load = Test::IM::Load->new(im => $cl->any, rest => 3, ws => 4,
                               pause => 0.03)->start;

$groups->start;

sub acks_go_on {
    my ($name) = @_;
    my ($acks, $group) = ($load->acks, $groups->acks);

    ok $load->run(60, sub { $load->acks > $acks + 20
                            && $groups->acks > $group + 5 }), $name;
}

sub status {
    my ($im, $user) = @_;
    return $im->rest('openim/query_online_status', { To_Account => [$user] })
              ->json('/QueryResult/0/Status');
}

acks_go_on('messages');

$cl->redis('FLUSHALL');
acks_go_on('Redis was emptied');

ok $load->run(60, sub { $cl->redis('--raw', 'KEYS', 'im:s:*') =~ /u4/ }),
    'presence is there again';

for (1 .. 2) {
    $cl->stop_redis;
    acks_go_on('Redis is away');
    $cl->start_redis;
    acks_go_on('and back');
    ok $load->run(60, sub { $cl->redis('--raw', 'KEYS', 'im:s:*') =~ /u4/ }),
        'presence is there again';
}

ok $cl->ready, 'the nodes are there';

my $eve = $two->ws_login('eve');
is status($one, 'eve'), 'Online', 'somebody on the second node';

$two->kill9_all;
my $killed = time;
$groups->move(1, $one);

acks_go_on('a node was killed');

my $key = $one->rest('openim/sendmsg', { From_Account => 'u1',
    To_Account => 'eve', MsgRandom => 5, MsgBody => [
    { MsgType => 'TIMTextElem', MsgContent => { Text => 'x' } }] })
    ->code_is(0)->json('/MsgKey');

ok $load->run(60, sub { status($one, 'eve') eq 'Offline' }),
    'its users are offline';
# a beat lives for 10 seconds
cmp_ok time - $killed, '<', 40, 'soon';

$eve = Test::IM::WS->new(im => $one, user => 'eve', a2 => $eve->a2,
    tinyid => $eve->tinyid, inst => $eve->inst)->open;
$eve->wslogin->code_is(0, 'they connect to the other node');
$eve->request('openim.getroammsg', { Peer_Account => 'u1', MaxCnt => 1,
    LastMsgTime => 0, MsgKey => '' })
    ->json_is('/MsgList/0/MsgRandom', 5, 'and have what was sent meanwhile');

$two->start;
ok $cl->ready, 'it is started again';
acks_go_on('with both');

$_->settle for $groups, $load;
$_->check for $load, $groups;

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Another Redis becomes the master: the nodes leave a server that takes no
# writes and find the one that does.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Cluster;
use Test::IM::GroupLoad;
use Test::More;
use Time::HiRes qw/ time /;

Test::IM::Cluster->skip;

my $second = Test::IM::Cluster->new;
$second->dir(File::Temp::tempdir('im-cluster-XXXXXXXX', TMPDIR => 1))
       ->start_redis;

my $cl = Test::IM::Cluster->new->run(workers => 2, balancer => 0,
    redis => '127.0.0.1:' . $second->redis_port, app => 'rate 0;
    group_rate 0; group_rate_normal 0; group_rate_low 0;
    group_rate_lowest 0;');
my ($one, $two) = @{ $cl->nodes };
my $random = 1;

$second->redis('REPLICAOF', '127.0.0.1', $cl->redis_port);

my @ws = ($one->ws_login('ann'), $two->ws_login('bob'));

sub delivered {
    my ($from, $to, $ws) = @_;

    $one->rest('openim/sendmsg', { From_Account => $from, To_Account => $to,
        MsgRandom => ++$random, MsgBody => [{ MsgType => 'TIMTextElem',
        MsgContent => { Text => 'x' } }] })->code_is(0);

    my $event = $ws->next_event('C2cMsgArray', 10) or return;

    return $event->{C2cMsgArray}[0]{MsgRandom} == $random;
}

sub status {
    my ($im, $user) = @_;
    return $im->rest('openim/query_online_status', { To_Account => [$user] })
              ->json('/QueryResult/0/Status');
}

# Each worker commands, one of each node listens, nobody is on the other one.
sub served_by {
    my ($redis, $other, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $clients = sub {
        return grep { !/cmd=client/ && !/flags=[MS]/ && /cmd=(\w+)/ }
               split /\n/, $_[0]->redis('CLIENT', 'LIST');
    };

    ok $one->wait_for(sub {
        $clients->($redis) == 6 && ($other ? $clients->($other) : 0) == 0
        && $cl->ready(0.1)
    }, 20), $name
        or diag join "\n", $clients->($redis);
}

sub listed {
    my ($redis, $user) = @_;
    return $redis->redis('--raw', 'KEYS', 'im:s:*') =~ /\b$user\b/;
}

served_by($cl, $second, 'the first one is the master');
ok delivered('ann', 'bob', $ws[1]), 'delivered';

subtest 'a failover' => sub {
    my $refused = $one->metric('im_redis_refused_total');
    my $groups = Test::IM::GroupLoad->new(im => $one, nodes => $cl->nodes)
                 ->prepare->start;

    ok $groups->run(30, sub { $groups->acks > 3 }), 'messages';

    $second->redis('REPLICAOF', 'NO', 'ONE');
    $second->redis('FLUSHALL');
    $cl->redis('REPLICAOF', '127.0.0.1', $second->redis_port);

    my $start = time;

    ok $groups->run(20, sub {
        listed($second, 'ann') && listed($second, 'bob')
    }), 'presence is on the new master';
    note sprintf '%.1f s', time - $start;
    $one->log_like(qr/\[error\].* is down, commands: READONLY/);
    cmp_ok $one->metric('im_redis_refused_total'), '>', $refused, 'counted';

    ok $groups->run(20, sub {
        my ($port, $new) = ($cl->redis_port, $second->redis_port);
        $cl->redis_port($new);
        my $ready = $cl->ready(0.1);
        $cl->redis_port($port);
        return $ready && status($one, 'bob') eq 'Online'
               && status($two, 'ann') eq 'Online';
    }), 'the nodes see each other';
    note sprintf '%.1f s', time - $start;

    ok delivered('ann', 'bob', $ws[1]), 'delivered there';

    my $acks = $groups->acks;
    ok $groups->run(30, sub { $groups->acks > $acks + 3 }), 'groups, too';
    $groups->settle;
    $groups->check;
    $groups->stop;

    is scalar(grep { /cmd=subscribe/ } split /\n/,
              $cl->redis('CLIENT', 'LIST')), 0, 'nobody listens to the old';
};

subtest 'a node enters what it has until it is known' => sub {
    my @keys = grep { /^im:[se]:/ } split /\n/,
               $second->redis('--raw', 'KEYS', 'im:*');

    ok scalar(grep({ /^im:e:n1$/ } @keys)), 'it was said to be known';
    $second->redis('DEL', @keys);

    ok $one->wait_for(sub { listed($second, 'ann') && listed($second, 'bob') },
        20), 'presence is there again';
};

subtest 'nodes that start now find it' => sub {
    $two->stop('stopped');
    $ws[1]->closed_ok(1012);
    $two->start;

    ok $one->wait_for(sub { ($two->metric('im_redis_connections') // 0) == 2 },
        10), 'found';

    $ws[1]->open;
    $ws[1]->wslogin->code_is(0);
    ok delivered('ann', 'bob', $ws[1]), 'delivered';
};

subtest 'the master is full' => sub {
    $second->redis('CONFIG', 'SET', 'maxmemory', 1);

    ok $one->wait_for(sub { $one->metric('im_redis_connections') == 0
                            && $two->metric('im_redis_connections') == 0 },
        20), 'then there is none';
    $one->log_like(qr/\[error\].* is down, (?:commands|bus): OOM/);

    $one->users('cid');
    is status($one, 'ann'), 'Online', 'a node goes on alone';

    $second->redis('CONFIG', 'SET', 'maxmemory', 0);

    ok $one->wait_for(sub { $one->metric('im_redis_connections') == 2
                            && $two->metric('im_redis_connections') == 2 },
        30), 'found again';
    ok $one->wait_for(sub { status($one, 'bob') eq 'Online' }, 10),
        'the nodes see each other';
};

subtest 'the master wants a password' => sub {
    $second->redis('CONFIG', 'SET', 'requirepass', 'p');
    $second->redis('-a', 'p', '--no-auth-warning', 'CLIENT', 'KILL', 'TYPE',
                   'normal');

    ok $one->wait_for(sub { $one->metric('im_redis_connections') == 0 }, 20),
        'then there is none';
    $one->log_like(qr/\[error\].* is down, commands: NOAUTH/);

    $second->redis('-a', 'p', '--no-auth-warning', 'CONFIG', 'SET',
                   'requirepass', '');
    ok $one->wait_for(sub { $one->metric('im_redis_connections') == 2
                            && $two->metric('im_redis_connections') == 2 },
        30), 'found again';
    ok $one->wait_for(sub { status($one, 'bob') eq 'Online' }, 10),
        'the nodes see each other';
};

$_->close for @ws;
$second->finish;

done_testing;

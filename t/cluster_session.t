#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Users and their instances on two nodes: messages, news, presence, kicks.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Cluster;
use Test::More;

Test::IM::Cluster->skip;

my $cl = Test::IM::Cluster->new->run(workers => 2,
    app => 'rate 0; web_instances 2; recall_time 60s;');
my ($one, $two) = @{ $cl->nodes };
my $random = 1;

$one->users(qw/ ann bob cid dan /);

sub text { { MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } } }

sub msg {
    my ($im, %o) = @_;

    return $im->rest('openim/sendmsg', {
        From_Account => 'ann', To_Account => 'bob', MsgRandom => $random++,
        SyncOtherMachine => 1, MsgBody => [text('hello')], %o })->code_is(0)
        ->json('/MsgKey');
}

sub item {
    my ($ws, $seconds) = @_;
    my $event = $ws->next_event('C2cMsgArray', $seconds // 30) or return;
    return $event->{C2cMsgArray}[0];
}

sub notify {
    my ($ws, $name) = @_;

    my $item = $ws->next_event(sub {
        my $list = $_[0]{C2cNotifyMsgArray} or return;
        return exists $list->[0]{$name};
    }) or return;

    return $item->{C2cNotifyMsgArray}[0]{$name};
}

sub states {
    my ($im, @users) = @_;

    my $reply = $im->rest('openim/query_online_status',
                          { To_Account => \@users })->code_is(0);

    return { map { $_->{To_Account} => $_->{Status} }
             @{ $reply->json('/QueryResult') } };
}

my $ann = $one->ws_login('ann');
my @bob = ($one->ws_login('bob'), $two->ws_login('bob'));

subtest 'messages' => sub {
    for my $im ($one, $two) {
        my ($seq) = split /_/, msg($im);

        is item($_)->{MsgSeq}, $seq, 'to both instances' for @bob;
        is item($ann)->{IsSyncMsg}, 1, 'and to the sender';
    }

    my @seq = map { (split /_/, msg($_ % 2 ? $one : $two))[0] } 1 .. 20;

    for my $ws (@bob) {
        my @got = map { item($ws)->{MsgSeq} } 1 .. 20;
        is_deeply \@got, \@seq, 'in order';
        $ws->no_event('C2cMsgArray', 0.2, 'once');
    }

    item($ann) for 1 .. 20;

    my $key = msg($two, MsgLifeTime => 0);
    ok item($_), 'one that is not stored' for @bob, $ann;
};

subtest 'what a client sends' => sub {
    my $reply = $bob[1]->request('openim.sendmsg', {
        To_Account => 'ann', MsgSeq => 77, MsgRandom => 78,
        MsgClientTime => 1, MsgBody => [text('x')] })->code_is(0);

    is item($ann)->{MsgSeq}, 77, 'to the peer on the other node';
    is item($bob[0])->{IsSyncMsg}, 1, 'to the own other instance';
    $bob[1]->no_event('C2cMsgArray', 0.2, 'not to the acting one');
};

subtest 'reads and recalls' => sub {
    my $key = msg($one);
    my ($time) = $key =~ /_(\d+)$/;

    item($_) for @bob, $ann;

    $bob[0]->request('openim.msgreaded', { C2CMsgReaded => { Cookie => '',
        C2CMsgReadedItem => [{ To_Account => 'ann', Receipt => 1,
                               LastedMsgTime => 0 + $time }] } })->code_is(0);

    ok notify($bob[1], 'ReadC2cMsgNotify'), 'the own other instance';

    $two->rest('openim/admin_msgwithdraw', { From_Account => 'ann',
        To_Account => 'bob', MsgKey => $key })->code_is(0);

    ok notify($_, 'WithdrawC2cMsgNotify'), 'recalled' for @bob, $ann;
};

subtest 'presence' => sub {
    for ($one, $two) {
        is_deeply states($_, qw/ ann bob cid /),
            { ann => 'Online', bob => 'Online', cid => 'Offline' },
            'both nodes see all';
    }

    my $cid = $two->ws_login('cid');
    is states($one, 'cid')->{cid}, 'Online', 'at once';

    $bob[0]->request('im_open_status.ws_get_user_status',
                     { To_Account => ['cid'] })
           ->json_is('/UserStatusList/0/Status', 1);

    $cid->close;
    ok $one->wait_for(sub { states($one, 'cid')->{cid} eq 'Offline' }), 'gone';
};

subtest 'news of presence' => sub {
    $ann->request('im_open_status.ws_status_subscribe',
                  { To_Account => ['cid'] })->code_is(0);

    my $status = sub {
        my $event = $ann->next_event('UserStatusList', $_[0] // 30) or return;
        return $event->{UserStatusList}[0]{Status};
    };

    my @cid = ($two->ws_login('cid'));
    is $status->(), 1, 'the first instance';

    push @cid, $one->ws_login('cid');
    ok !$status->(0.5), 'not the second one, on another node';

    $cid[0]->close;
    ok !$status->(1.5), 'not the end of one of them';

    $cid[1]->close;
    is $status->(), 2, 'the end of the last one';
};

subtest 'the number of instances' => sub {
    my $third = $two->ws_login('bob');

    my $push = $bob[0]->next_push('im_open_status.stat_forceoffline');
    ok $push, 'the oldest one is kicked on its node';
    $bob[0]->request('im_open_status.wshello')->code_is(1002);

    msg($one);
    ok item($_), 'the others live' for $bob[1], $third;
    item($ann);

    $one->rest('im_open_login_svc/kick', { UserID => 'bob' })->code_is(0);
    ok $_->next_push('im_open_status.stat_forceoffline'), 'kicked by REST'
        for $bob[1], $third;
    $_->close for @bob, $third;
};

subtest 'an instance connects to another node' => sub {
    my $first = $one->ws_login('dan');
    my $second = $two->ws(user => 'dan');

    $second->a2($first->a2)->tinyid($first->tinyid)->inst($first->inst);
    $second->wslogin->code_is(0);
    $first->closed_ok(1000);

    is states($_, 'dan')->{dan}, 'Online', 'it is online' for $one, $two;

    msg($one, To_Account => 'dan');
    ok item($second), 'and gets messages';

    $first->open;
    $first->wslogin->code_is(0);
    $second->closed_ok(1000);
    ok $first->request('im_open_status.wshello')->code_is(0), 'and back';
    ok $one->wait_for(sub {
        $cl->redis('HLEN', 'im:s:1400000001:dan') == 1 }), 'one entry';
    $first->close;
};

subtest 'an account is blocked or ends' => sub {
    my $cid = $two->ws_login('cid');

    $one->rest('im_open_login_svc/account_delete',
               { DeleteItem => [{ UserID => 'cid' }] })->code_is(0);
    ok $cid->next_push('im_open_status.stat_forceoffline'), 'deleted';
};

subtest 'many at once' => sub {
    my @users = map { "m$_" } 1 .. 20;
    $one->users(@users);

    my %ws = map { $_ => $cl->any->ws_login($_) } @users;
    my %want;

    for my $i (0 .. 99) {
        my $to = $users[$i % 20];
        my $key = msg($cl->any, To_Account => $to, From_Account => $users[0]);
        push @{ $want{$to} }, split /_.*/, $key;
    }

    delete $want{ $users[0] };

    for my $user (sort keys %want) {
        is_deeply [map { 0 + item($ws{$user})->{MsgSeq} } @{ $want{$user} }],
                  $want{$user}, "$user has all in order";
    }
};

done_testing;

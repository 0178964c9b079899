#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Recall: openim/admin_msgwithdraw and openim.msgwithdraw.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app =>
    'rate 0; web_instances 4;');
my $random = 1;

$im->users(qw/ ann bob cid /);

sub text { { MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } } }

sub msg {
    my (%o) = @_;

    return $im->rest('openim/sendmsg', {
        From_Account => 'ann', To_Account => 'bob', MsgRandom => $random++,
        MsgBody => [text('hello')], %o })->json('/MsgKey');
}

sub withdraw {
    my (%o) = @_;

    my %m = (From_Account => 'ann', To_Account => 'bob', %o);

    delete $m{$_} for grep { ref $m{$_} eq 'CODE' } keys %m;

    return $im->rest('openim/admin_msgwithdraw', \%m);
}

sub none { sub { } }

sub info {
    my ($key, %o) = @_;
    my ($seq, $rand, $time) = split /_/, $key;

    return { MsgInfo => {
        From_Account => 'ann', To_Account => 'bob', MsgSeq => 0 + $seq,
        MsgRandom => 0 + $rand, MsgTimeStamp => 0 + $time, %o } };
}

sub recalled {
    my ($ws) = @_;

    my $item = $ws->next_event(sub {
        my $notify = $_[0]{C2cNotifyMsgArray} or return;
        return exists $notify->[0]{WithdrawC2cMsgNotify};
    }) or return;

    return $item->{C2cNotifyMsgArray}[0]{WithdrawC2cMsgNotify}
                ->{C2cWithdrawInfoArray}[0];
}

sub unread {
    my ($user) = @_;

    return $im->rest('openim/get_c2c_unread_msg_num',
                     { To_Account => $user })->json('/AllC2CUnreadMsgNum');
}

subtest 'by REST' => sub {
    my @ws = map { $im->ws_login($_) } qw/ ann bob /;
    my $key = msg();

    is unread('bob'), 1, 'it is unread';
    withdraw(MsgKey => $key)->code_is(0);
    is unread('bob'), 0, 'it no longer counts';

    my ($seq, $rand, $time) = split /_/, $key;

    for (@ws) {
        is_deeply recalled($_), {
            From_Account => 'ann', To_Account => 'bob', MsgSeq => 0 + $seq,
            MsgRandom => 0 + $rand, MsgTime => 0 + $time,
            RevokerInfo => { Revoker_Account => 'administrator' } },
            'notice to both';
    }

    my $item = $im->rest('openim/admin_getroammsg', {
        From_Account => 'ann', To_Account => 'bob', MaxCnt => 1,
        MinTime => 0, MaxTime => time + 9 })->json('/MsgList/0');

    is $item->{MsgFlagBits}, 8, 'marked in the history';
    is_deeply $item->{MsgBody}, [text('hello')], 'with its body';

    for (['ann', 'bob'], ['bob', 'ann']) {
        my $ws = $ws[$_->[0] eq 'bob'];
        my $reply = $ws->request('openim.getroammsg', {
            Peer_Account => $_->[1], WithRecalledMsg => 1 });

        $reply->json_is('/MsgList/0/MsgFlagBits', 8)
              ->json_is('/MsgList/0/RevokerInfo/Revoker_Account',
                        'administrator');
        $ws->request('openim.getroammsg', { Peer_Account => $_->[1] })
           ->json_is('/MsgCnt', 0, 'not without WithRecalledMsg');
    }

    withdraw(MsgKey => $key)->code_is(20023);
};

subtest 'codes of REST' => sub {
    my $key = msg();

    withdraw()->code_is(90054);
    withdraw(MsgKey => 'x')->code_is(90054);
    withdraw(MsgKey => '1_2_-3')->code_is(90054);
    withdraw(MsgKey => '1_2_3')->code_is(20022);
    withdraw(MsgKey => $key, From_Account => none)->code_is(90008);
    withdraw(MsgKey => $key, From_Account => 'ghost')->code_is(90008);
    withdraw(MsgKey => $key, To_Account => none)->code_is(90003);
    withdraw(MsgKey => $key, To_Account => 'ghost')->code_is(90003);
    withdraw(MsgKey => $key, From_Account => 'bob', To_Account => 'ann')
        ->code_is(20022, 'the order matters');
    $im->rest('openim/admin_msgwithdraw', '{')->code_is(90001);
    $im->rest('openim/admin_msgwithdraw', {}, user => 'ann')->code_is(90009);
    withdraw(MsgKey => $key)->code_is(0);
};

subtest 'by a client' => sub {
    my @ann = map { $im->ws_login('ann') } 1, 2;
    my $bob = $im->ws_login('bob');
    my $cid = $im->ws_login('cid');
    my $key = msg();

    $bob->request('openim.msgwithdraw', info($key))
        ->code_is(20001, 'not the sender');
    $cid->request('openim.msgwithdraw', info($key, From_Account => 'cid'))
        ->code_is(20022);

    $ann[0]->request('openim.msgwithdraw', info($key))->code_is(0);

    is recalled($bob)->{RevokerInfo}{Revoker_Account}, 'ann', 'the peer';
    ok recalled($ann[1]), 'the other instance';
    $ann[0]->no_event('C2cNotifyMsgArray', 0.3, 'not the acting one');
    $cid->no_event('C2cNotifyMsgArray', 0.1, 'nobody else');

    $ann[0]->request('openim.msgwithdraw', info($key))->code_is(20023);
    $ann[0]->request('openim.msgwithdraw', info('1_2_3'))->code_is(20022);
    $ann[0]->request('openim.msgwithdraw', {})->code_is(20001);
    $ann[0]->request('openim.msgwithdraw', { MsgInfo => {} })
           ->code_is(90008);
    $ann[0]->request('openim.msgwithdraw', info($key, MsgSeq => 'x'))
           ->code_is(90004);
    $ann[0]->request('openim.msgwithdraw', info($key, MsgRandom => 'x'))
           ->code_is(90005);
    $ann[0]->request('openim.msgwithdraw', info($key, MsgTimeStamp => 'x'))
           ->code_is(90006);
    $ann[0]->request('openim.msgwithdraw', info($key, To_Account => undef))
           ->code_is(90003);
};

subtest 'too late' => sub {
    $im->reload(app => 'rate 0; web_instances 4; recall_time 1s;');

    my $ann = $im->ws_login('ann');
    my $late = msg();

    sleep 3;
    $ann->request('openim.msgwithdraw', info($late))
        ->code_is(20016, 'too late');
    withdraw(MsgKey => $late)->code_is(0, 'not for REST');

    $im->reload(app => 'rate 0; web_instances 4;');
};

subtest 'of a batch, and of what only one side has' => sub {
    my $key = $im->rest('openim/batchsendmsg', {
        From_Account => 'ann', To_Account => ['bob', 'cid'],
        MsgRandom => $random++, MsgBody => [text('x')] })->json('/MsgKey');

    withdraw(MsgKey => $key)->code_is(0);
    withdraw(MsgKey => $key, To_Account => 'cid')->code_is(0);

    $key = msg(SyncOtherMachine => 2);
    withdraw(MsgKey => $key)->code_is(0);

    $key = msg(To_Account => 'ann');
    my $ann = $im->ws_login('ann');
    withdraw(MsgKey => $key, To_Account => 'ann')->code_is(0, 'to oneself');
    ok recalled($ann), 'a notice';
    $ann->no_event(undef, 0.3, 'only one');
};

subtest 'a recall that was missed' => sub {
    my $bob = $im->ws_login('bob');
    my $cookie = $bob->request('openim.getmsg', { Cookie => '' })
                     ->json('/Cookie');
    $bob->close;

    my @keys = map { msg() } 1, 2;
    withdraw(MsgKey => $keys[0])->code_is(0);

    $bob->open->wslogin->code_is(0);
    my $reply = $bob->request('openim.getmsg', { Cookie => $cookie })
                    ->code_is(0)->json_is('/SyncFlag', 2);

    my @list = @{ $reply->json('/MsgList') };
    is scalar @list, 2, 'a message and a recall';
    is join('_', @{ $list[0] }{qw/ MsgSeq MsgRandom MsgTimeStamp /}),
       $keys[1], 'the message that is left';
    is $list[1]{EventArray}[0]{Event}, 10, 'the recall';
};

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Read reports, unread numbers, receipts.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app =>
    'rate 0; web_instances 4; unread_max 20;');
my $random = 1;

$im->users(qw/ ann bob cid dan eve /);

sub text { { MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } } }

sub msg {
    my (%o) = @_;

    return $im->rest('openim/sendmsg', {
        From_Account => 'ann', To_Account => 'bob', MsgRandom => $random++,
        MsgBody => [text('hello')], %o })->code_is(0)->json('/MsgKey');
}

sub unread {
    my ($user, $peer) = @_;

    my $reply = $im->rest('openim/get_c2c_unread_msg_num', {
        To_Account => $user, $peer ? (Peer_Account => [$peer]) : () })
        ->code_is(0);

    return $reply->json($peer ? '/C2CUnreadMsgNumList/0/C2CUnreadMsgNum'
                              : '/AllC2CUnreadMsgNum');
}

sub set_read {
    my (%o) = @_;

    return $im->rest('openim/admin_set_msg_read', {
        Report_Account => 'bob', Peer_Account => 'ann', %o });
}

sub notify {
    my ($ws, $name, $seconds) = @_;

    my $item = $ws->next_event(sub {
        my $list = $_[0]{C2cNotifyMsgArray} or return;
        return exists $list->[0]{$name};
    }, $seconds // 30) or return;

    return $item->{C2cNotifyMsgArray}[0]{$name};
}

sub read_report {
    my ($peer, $time) = @_;

    return { C2CMsgReaded => { Cookie => '', C2CMsgReadedItem => [
        { To_Account => $peer, Receipt => 1,
          LastedMsgTime => $time =~ /^\d+$/ ? 0 + $time : $time }] } };
}

subtest 'what counts' => sub {
    is unread('bob'), 0, 'nothing';
    msg() for 1 .. 3;
    msg(From_Account => 'cid');
    is unread('bob'), 4, 'all';
    is unread('bob', 'ann'), 3, 'of one';
    is unread('ann'), 0, 'not one\'s own';

    msg(SendMsgControl => ['NoUnread']);
    msg(MsgLifeTime => 0);
    is unread('bob', 'ann'), 3, 'not NoUnread, not online only';

    msg(From_Account => 'dan') for 1 .. 25;
    is unread('bob', 'dan'), 20, 'up to unread_max';
};

subtest 'codes of get_c2c_unread_msg_num' => sub {
    my $get = sub { $im->rest('openim/get_c2c_unread_msg_num', $_[0]) };

    $get->({ To_Account => 'bob', Peer_Account => ['cid', 'ghost', 'ann'] })
        ->code_is(0)
        ->json_is('/C2CUnreadMsgNumList', [
            { Peer_Account => 'cid', C2CUnreadMsgNum => 1 },
            { Peer_Account => 'ann', C2CUnreadMsgNum => 3 }])
        ->json_is('/ErrorList',
                  [{ Peer_Account => 'ghost', ErrorCode => 70107 }]);
    $get->({})->code_is(90003);
    $get->({ To_Account => 'ghost' })->code_is(90003);
    $get->({ To_Account => 'bob', Peer_Account => 'ann' })->code_is(90003);
    $get->({ To_Account => 'bob', Peer_Account => [1] })->code_is(90003);
    $get->({ To_Account => 'bob', Peer_Account => [('ann') x 10] })
        ->code_is(0);
    $get->({ To_Account => 'bob', Peer_Account => [('ann') x 11] })
        ->code_is(90011);
    $get->('')->code_is(90001);
    $im->rest('openim/get_c2c_unread_msg_num', {}, user => 'ann')
       ->code_is(90009);
};

subtest 'admin_set_msg_read' => sub {
    my @bob = map { $im->ws_login('bob') } 1, 2;
    my $ann = $im->ws_login('ann');
    my $time = time;

    set_read()->code_is(0);
    is unread('bob', 'ann'), 0, 'read';
    is unread('bob', 'cid'), 1, 'the others are not';

    for (@bob) {
        my $list = notify($_, 'ReadC2cMsgNotify')->{UinPairReadArray};
        is $list->[0]{From_Account}, 'ann', 'told to all of his';
        cmp_ok $list->[0]{LastReadTime}, '>=', $time, 'when';
    }

    my $receipt = notify($ann, 'C2cReadedReceipt');
    is $receipt->{To_Account}, 'bob', 'told to the peer';
    cmp_ok $receipt->{UinPairReadArray}[0]{LastReadTime}, '>=', $time,
           'when';

    msg();
    is unread('bob', 'ann'), 1, 'what comes in that second is unread';

    set_read(MsgReadTime => $time - 100)->code_is(0);
    is unread('bob', 'ann'), 1, 'it never moves back';
    $ann->no_event('C2cNotifyMsgArray', 0.3, 'and nobody is told');

    set_read(MsgReadTime => '' . (time + 1000))->code_is(0, 'a string');
    is unread('bob', 'ann'), 0, 'read';

    sleep 1;
    msg();
    is unread('bob', 'ann'), 1, 'the future is not read';

    set_read(Report_Account => 'ghost')->code_is(90008);
    set_read(Report_Account => undef)->code_is(90008);
    set_read(Peer_Account => 'ghost')->code_is(90003);
    set_read(Peer_Account => undef)->code_is(90003);
    set_read(MsgReadTime => 'x')->code_is(90001);
    $im->rest('openim/admin_set_msg_read', '')->code_is(90001);
    $im->rest('openim/admin_set_msg_read', {}, user => 'ann')
       ->code_is(90009);
};

subtest 'msgreaded' => sub {
    my @bob = map { $im->ws_login('bob') } 1, 2;
    my $ann = $im->ws_login('ann');

    my $key = msg();
    my ($time) = $key =~ /(\d+)$/;

    $bob[0]->request('openim.msgreaded', read_report('ann', $time))
           ->code_is(0);
    is unread('bob', 'ann'), 0, 'read';

    ok notify($bob[1], 'ReadC2cMsgNotify'), 'the other instance';
    ok !notify($bob[0], 'ReadC2cMsgNotify', 0.3), 'not the acting one';

    is_deeply notify($ann, 'C2cReadedReceipt')->{UinPairReadArray},
              [{ LastReadTime => 0 + $time }], 'the peer';

    $ann->request('openim.get_peer_read_time',
                  { To_Account => ['bob', 'cid', 'ghost', "x" x 99] })
        ->code_is(0)->json_is('/ReadTime', [0 + $time, 0, 0, 0]);

    $bob[0]->request('openim.msgreaded', read_report('ann', $time))
           ->code_is(0, 'again');
    ok !notify($ann, 'C2cReadedReceipt', 0.3), 'nothing is new';

    $bob[0]->request('openim.msgreaded', read_report('ghost', $time))
           ->code_is(0, 'nobody');
    $bob[0]->request('openim.msgreaded', {})->code_is(20001);
    $bob[0]->request('openim.msgreaded', { C2CMsgReaded => {} })
           ->code_is(20001);
    $bob[0]->request('openim.msgreaded', read_report('ann', 'x'))
           ->code_is(90006);
    $bob[0]->request('openim.msgreaded', read_report(undef, 1))
           ->code_is(90003);
    $bob[0]->request('openim.get_peer_read_time', {})->code_is(90003);
    $bob[0]->request('openim.get_peer_read_time',
                     { To_Account => [('ann') x 101] })->code_is(90011);
};

subtest 'read_all_unread_msg' => sub {
    my @eve = map { $im->ws_login('eve') } 1, 2;
    my $dan = $im->ws_login('dan');

    msg(From_Account => $_, To_Account => 'eve') for qw/ ann dan bob /;
    is unread('eve'), 3, 'three';

    $eve[0]->request('openim.read_all_unread_msg', { C2CReadAllMsg => 0 })
           ->code_is(0)->json_is('/C2CReadAllMsg', 0);
    is unread('eve'), 3, 'not asked for';

    $eve[0]->request('openim.read_all_unread_msg', { C2CReadAllMsg => 1 })
           ->code_is(0)->json_is('/C2CReadAllMsg', 1)
           ->json_is('/GroupReadInfoArray', []);
    is unread('eve'), 0, 'all are read';

    my $event = $eve[1]->next_event('C2CReadAllMsg');
    is $event->{Event}, 14, 'the other instance';
    $eve[0]->no_event('C2CReadAllMsg', 0.3, 'not the acting one');
    ok notify($dan, 'C2cReadedReceipt'), 'a peer';
};

subtest 'receipts of messages' => sub {
    my $ann = $im->ws_login('ann');
    my $bob = $im->ws_login('bob');

    my @keys = map { msg(IsNeedReadReceipt => $_) } 1, 0, 1;
    my @info = map { my @k = split /_/; { From_Account => 'ann',
        To_Account => 'bob', MsgSeq => 0 + $k[0], MsgRandom => 0 + $k[1],
        MsgTime => 0 + $k[2], MsgClientTime => 0 + $k[2] } } @keys;

    $bob->request('openim.c2c_msg_read_receipt', {
        Peer_Account => 'ann', C2CMsgInfo => [@info[0, 1, 0]] })
        ->code_is(0);

    my $event = $ann->next_event('C2cMsgInfo');
    is $event->{Event}, 16, 'an event';
    is $event->{Peer_Account}, 'bob', 'by whom';
    is scalar @{ $event->{C2cMsgInfo} }, 1, 'only those that want one';
    is $event->{C2cMsgInfo}[0]{MsgRandom}, $info[0]{MsgRandom}, 'which';
    is $event->{C2cMsgInfo}[0]{TinyId}, $ann->tinyid, 'the sender\'s TinyId';
    ok exists $event->{C2cMsgInfo}[0]{MsgClientTime}, 'MsgClientTime';

    my %read = map { $_->{MsgKey} => $_->{IsPeerRead} } @{
        $im->rest('openim/admin_getroammsg', {
            From_Account => 'ann', To_Account => 'bob', MaxCnt => 100,
            MinTime => 0, MaxTime => time + 9 })->json('/MsgList') };

    is $read{$keys[0]}, 1, 'IsPeerRead';
    is $read{$keys[1]}, 0, 'not of the other';

    $bob->request('openim.c2c_msg_read_receipt', {
        Peer_Account => 'ann', C2CMsgInfo => [$info[0]] })
        ->code_is(0, 'again');
    $ann->no_event('C2cMsgInfo', 0.3, 'nothing is new');

    my $rest = sub { $im->rest('openim/c2c_msg_read_receipt', {
        Operator_Account => 'bob', Peer_Account => 'ann',
        C2CMsgInfo => [{ From_Account => 'ann', To_Account => 'bob',
                         MsgKey => $keys[2] }], @_ }) };

    $rest->()->code_is(0);
    ok $ann->next_event('C2cMsgInfo'), 'by REST';

    $rest->(Operator_Account => undef)->code_is(90008);
    $rest->(Operator_Account => 'ghost')->code_is(90008);
    $rest->(Peer_Account => undef)->code_is(90003);
    $rest->(Peer_Account => 'ghost')->code_is(90003);
    $rest->(C2CMsgInfo => undef)->code_is(20001);
    $rest->(C2CMsgInfo => [])->code_is(20001);
    $rest->(C2CMsgInfo => [{}])->code_is(90054);
    $rest->(C2CMsgInfo => [({ MsgKey => '1_1_1' }) x 100])->code_is(0);
    $rest->(C2CMsgInfo => [({ MsgKey => '1_1_1' }) x 101])->code_is(20001);
    $im->rest('openim/c2c_msg_read_receipt', {}, user => 'ann')
       ->code_is(90009);

    $bob->request('openim.c2c_msg_read_receipt', { C2CMsgInfo => [] })
        ->code_is(90003);
    $bob->request('openim.c2c_msg_read_receipt',
                  { Peer_Account => 'ann', C2CMsgInfo => [] })
        ->code_is(20001);
    $bob->request('openim.c2c_msg_read_receipt',
                  { Peer_Account => 'ann', C2CMsgInfo => [{}] })
        ->code_is(90004);
};

subtest 'unread numbers at login' => sub {
    $im->users('fay');
    msg(From_Account => 'ann', To_Account => 'fay') for 1 .. 2;
    msg(From_Account => 'bob', To_Account => 'fay');
    msg(From_Account => 'fay', To_Account => 'cid');

    my $fay = $im->ws_login('fay');
    my $reply = $fay->request('openim.getmsg', { Cookie => '' })->code_is(0);

    my %count = map { $_->{From_Account} => $_->{UnreadCount} }
                @{ $reply->json('/C2CPairUnreadCount') };

    is_deeply \%count, { ann => 2, bob => 1 }, 'C2CPairUnreadCount';
    $reply->json_is('/MsgList', [])->json_is('/SyncFlag', 2)
          ->json_is('/EventArray', [])->json_like('/Cookie', qr/./);
};

subtest 'an account that was deleted' => sub {
    $im->users('gus', 'hal');
    msg(From_Account => 'gus', To_Account => 'hal');
    is unread('hal'), 1, 'unread';

    $im->rest('im_open_login_svc/account_delete',
              { DeleteItem => [{ UserID => 'gus' }] })->code_is(0);
    is unread('hal'), 1, 'it stays';

    $im->ws_login('hal')
       ->request('openim.msgreaded', read_report('gus', time))->code_is(0);
    is unread('hal'), 0, 'and can be read';
};

done_testing;

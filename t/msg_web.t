#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# C2C messages of clients: openim.sendmsg, getmsg, mutes and small commands.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2,
                            app => 'rate 0; web_instances 4;');
my $seq = 3_000_000_000;

$im->users(qw/ ann bob cid /);
$im->rest('im_open_login_svc/account_import', {
    UserID => 'ann', Nick => 'Ann', FaceUrl => 'https://example.org/a' });

sub text { { MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } } }

sub msg {
    my ($ws, %o) = @_;

    my %m = (To_Account => 'bob', MsgSeq => $seq++, MsgRandom => 77,
             MsgClientTime => 1700000000, MsgBody => [text('hello')],
             From_AccountNick => 'x', CloudCustomData => '', %o);

    return $ws->request('openim.sendmsg', \%m);
}

sub item {
    my ($ws, $seconds) = @_;

    my $event = $ws->next_event('C2cMsgArray', $seconds // 30) or return;

    return $event->{C2cMsgArray}[0];
}

my @ann = map { $im->ws_login('ann') } 1, 2;
my @bob = map { $im->ws_login('bob') } 1, 2;

subtest 'send and receive' => sub {
    my $reply = msg($ann[0], MsgSeq => 4294967295)->code_is(0);
    my $time = $reply->json('/MsgTime');

    cmp_ok abs($time - time), '<', 60, 'MsgTime';
    $reply->json_is('/MsgKey', "4294967295_77_$time");

    for (@bob) {
        my $item = item($_);
        is $item->{From_Account}, 'ann', 'From_Account';
        is $item->{From_AccountNick}, 'Ann', 'the profile\'s nick';
        is $item->{From_AccountHeadurl}, 'https://example.org/a', 'and face';
        is $item->{MsgSeq}, 4294967295, 'MsgSeq';
        is $item->{MsgClientTime}, 1700000000, 'MsgClientTime';
        is $item->{MsgTimeStamp}, $time, 'MsgTimeStamp';
        is $item->{TinyId}, $ann[0]->tinyid, 'TinyId';
    }

    my $item = item($ann[1]);
    is $item->{IsSyncMsg}, 1, 'the other instance';
    is $item->{From_Account}, 'bob', 'exchanged';
    is $item->{To_Account}, 'ann', 'To_Account';
    $ann[0]->no_event('C2cMsgArray', 0.3, 'not the acting one');
};

subtest 'a request that comes twice' => sub {
    my %m = (MsgSeq => 5, MsgRandom => 6);

    my $reply = msg($ann[0], %m)->code_is(0);
    msg($ann[0], %m)->code_is(0)->json_is('/MsgKey', $reply->json('/MsgKey'));
    msg($ann[1], %m)->code_is(0)->json_is('/MsgKey', $reply->json('/MsgKey'));

    ok item($bob[0]), 'pushed';
    $bob[0]->no_event('C2cMsgArray', 0.3, 'once');
    item($bob[1]);
    ok item($ann[1]), 'to the other instance';
    $ann[1]->no_event('C2cMsgArray', 0.1, 'once');

    # at the same time
    my @seq = map { $ann[0]->send_request('openim.sendmsg', {
        To_Account => 'bob', MsgSeq => 8, MsgRandom => 9,
        MsgBody => [text('x')] }) } 1 .. 5;
    my %key = map { $ann[0]->answer($_)->code_is(0)->json('/MsgKey') => 1 }
              @seq;

    is scalar keys %key, 1, 'one key';
    ok item($bob[0]), 'pushed';
    $bob[0]->no_event('C2cMsgArray', 0.3, 'once');
    item($bob[1]);
    item($ann[1]);
};

subtest 'fields' => sub {
    my $ws = $im->ws_login('cid');

    my $bad = sub { msg($ws, @_) };

    $bad->(To_Account => undef)->code_is(90003);
    $bad->(To_Account => 'ghost')->code_is(20003);
    $bad->(MsgSeq => 4294967296)->code_is(90004);
    $bad->(MsgRandom => undef)->code_is(90005);
    $bad->(MsgRandom => 4294967296)->code_is(0, 'as web SDK 1.7 has it');
    $bad->(MsgRandom => 4294967297)->code_is(90005);
    $bad->(MsgClientTime => 'x')->code_is(90006);
    $bad->(MsgBody => 'x')->code_is(90007);
    $bad->(MsgBody => [])->code_is(90002);
    $bad->(MsgBody => [{ MsgType => 'TIMGroupTipElem', MsgContent => {} }])
        ->code_is(90002);
    $bad->(MsgBody => [({ MsgType => 'TIMCustomElem',
                          MsgContent => { Data => '' } }) x 2])
        ->code_is(90010);
    $bad->(MsgLifeTime => 'x')->code_is(90044);
    $bad->(MsgLifeTime => -1)->code_is(90026);
    $bad->(OfflinePushInfo => 'x')->code_is(90043);
    $bad->(SendMsgControl => 'x')->code_is(90010);
    $bad->(MsgBody => [text('x' x 12288)])->code_is(80002);
    $bad->(MsgBody => [{ MsgType => 'TIMFileElem', MsgContent => {
        UUID => 'i', FileSize => 1, FileName => 'f' } }])
        ->code_is(0, 'the older form of a file');
    $bad->(MsgBody => [{ MsgType => 'TIMRelayElem', MsgContent => {
        Title => 't', MsgList => [] } }])->code_is(0);


    # what was sent
    for my $bob (@bob) {
        ok item($bob), 'a message' for 1 .. 3;
        ok !item($bob, 0.3), 'and no more';
    }
};

subtest 'online only' => sub {
    msg($ann[0], MsgLifeTime => 0, MsgSeq => 12345)->code_is(0);

    is item($bob[0])->{MsgLifeTime}, 0, 'received';
    is item($ann[1])->{MsgLifeTime}, 0, 'the other instance';
    item($bob[1]);

    my @list = @{ $im->rest('openim/admin_getroammsg', {
        From_Account => 'ann', To_Account => 'bob', MaxCnt => 50,
        MinTime => 0, MaxTime => time + 9 })->json('/MsgList') };

    ok !(grep { $_->{MsgSeq} == 12345 } @list), 'not stored';
};

subtest 'getmsg with a cookie' => sub {
    my $cookie = $bob[0]->request('openim.getmsg', { Cookie => '' })
                        ->json('/Cookie');

    $im->rest('openim/sendmsg', {
        From_Account => 'ann', To_Account => 'bob', MsgRandom => $_,
        MsgBody => [text("m$_")] }) for 1 .. 210;
    msg($bob[1], To_Account => 'ann', MsgBody => [text('mine')]);
    msg($bob[0], To_Account => 'ann', MsgBody => [text('own')]);
    $im->rest('openim/sendmsg', {
        From_Account => 'bob', To_Account => 'ann', MsgRandom => 1,
        MsgBody => [text('silent')] });
    $im->rest('openim/importmsg', {
        SyncFromOldSystem => 2, From_Account => 'ann', To_Account => 'bob',
        MsgRandom => 1, MsgTimeStamp => time, MsgBody => [text('old')] });

    my (@list, $flag, $pages);

    do {
        my $reply = $bob[0]->request('openim.getmsg', {
            Cookie => $cookie, SyncFlag => 0 })->code_is(0);

        cmp_ok scalar @{ $reply->json('/MsgList') }, '<=', 200, 'a page';
        push @list, @{ $reply->json('/MsgList') };
        ($cookie, $flag) = map { $reply->json($_) } qw{ /Cookie /SyncFlag };
    } while $flag == 1 && ++$pages < 10;

    is $flag, 2, 'done';
    is join(' ', map { $_->{MsgBody}[0]{MsgContent}{Text} } @list),
       join(' ', (map { "m$_" } 1 .. 210), 'mine'), 'oldest first';
    is $list[-1]{IsSyncMsg}, 1, 'of the other instance';
    is $list[-1]{From_Account}, 'ann', 'exchanged';

    $bob[0]->request('openim.getmsg', { Cookie => $cookie })
           ->json_is('/MsgList', [])->json_is('/SyncFlag', 2);
    $bob[0]->request('openim.getmsg', { Cookie => '?' })
           ->code_is(0, 'a strange cookie counts as none')
           ->json_has('/C2CPairUnreadCount');
    $bob[0]->request('openim.getmsg', { Cookie => 5 })->code_is(20001);
};

subtest 'a session that falls behind reads the same' => sub {
    my $ws = $im->ws_login('bob');
    my $tiny = $ws->tinyid;

    $ws->close;
    my $cookie = $bob[0]->request('openim.getmsg', {})->json('/Cookie');
    msg($ann[0], MsgBody => [text('gap')])->code_is(0);

    $ws->open->wslogin->code_is(0);
    is $ws->tinyid, $tiny, 'the same account';
    is $ws->request('openim.getmsg', { Cookie => $cookie })
          ->json('/MsgList/0/MsgBody/0/MsgContent/Text'), 'gap',
       'what came while it was away';
};

subtest 'do not disturb' => sub {
    my @ws = map { $im->ws_login('cid') } 1, 2;

    $ws[0]->request('openim.get_c2c_peer_mute_notifications',
                    { UpdateSeq => 0 })->code_is(0)
          ->json_is('/MuteNotificationsList', [])->json_is('/UpdateSeq', 0);

    my $set = sub { $ws[0]->request(
        'openim.set_c2c_peer_mute_notifications',
        { Peer_Account => $_[0], Mute_Notifications => $_[1] }) };

    my $n = $set->(['ann', 'ghost'], 2)->code_is(0)
                ->json_is('/ErrorList', [
                    { Peer_Account => 'ghost', ErrorCode => 70107 }])
                ->json('/UpdateSeq');

    my $sync = $ws[1]->next_event('C2cNotifyMsgArray')
                     ->{C2cNotifyMsgArray}[0]{MuteNotificationsSync};
    is_deeply $sync, { To_Account => 'ann', UpdateSeq => $n,
                       MuteNotifications => 2 }, 'the other instance';
    $ws[0]->no_event('C2cNotifyMsgArray', 0.3, 'not the acting one');

    $set->(['bob'], 1)->code_is(0);
    $ws[1]->request('openim.get_c2c_peer_mute_notifications', {})
          ->json_is('/MuteNotificationsList', [
              { Peer_Account => 'ann', MuteNotifications => 2 },
              { Peer_Account => 'bob', MuteNotifications => 1 }])
          ->json_like('/UpdateSeq', qr/^[1-9]/);

    $set->(['ann'], 0)->code_is(0);
    $ws[1]->request('openim.get_c2c_peer_mute_notifications', {})
          ->json_is('/MuteNotificationsList', [
              { Peer_Account => 'bob', MuteNotifications => 1 }]);

    $set->(['ann'], 3)->code_is(20001);
    $set->(['ann'], undef)->code_is(20001);
    $set->('ann', 1)->code_is(90003);
    $set->([], 1)->code_is(90011);
    $set->([('ann') x 30], 0)->code_is(0);
    $set->([('ann') x 31], 0)->code_is(90011);
};

subtest 'small commands' => sub {
    my $ws = $im->ws_login('cid');

    $ws->request('openim.authkey')->code_is(0)->json_is('/AuthKey', '');
    $ws->request('openim.deletemsg', { DelMsgList => [
        { From_Account => '@TIM#SYSTEM', MsgSeq => 1, MsgRandom => 2 }] })
       ->code_is(0);
    $ws->request('openim.deletemsg', {})->code_is(20001);

    my $seq = $ws->send_request('openim.ws_msg_push_ack',
                                { SessionData => 's' });
    $ws->heartbeat->code_is(0);
    ok !$ws->answer($seq, 0.3)->data, 'an ack is not answered';
};

done_testing;

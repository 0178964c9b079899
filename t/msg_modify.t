#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# modify_c2c_msg, by REST and by clients.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2,
                            app => 'rate 0; web_instances 4;');
my $random = 1;

$im->users(qw/ ann bob cid /);

sub text { { MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } } }

sub msg {
    my (%o) = @_;

    return $im->rest('openim/sendmsg', {
        From_Account => 'ann', To_Account => 'bob', MsgRandom => $random++,
        MsgBody => [text('first')], %o })->code_is(0)->json('/MsgKey');
}

sub modify {
    my (%o) = @_;

    return $im->rest('openim/modify_c2c_msg', {
        From_Account => 'ann', To_Account => 'bob',
        MsgBody => [text('second')], %o });
}

sub one {
    my ($key, %o) = @_;
    my ($seq, $rand, $time) = split /_/, $key;

    return { From_Account => 'ann', To_Account => 'bob', MsgSeq => 0 + $seq,
             MsgRandom => 0 + $rand, MsgTime => 0 + $time, MsgVersion => 0,
             MsgBody => [text('second')], CloudCustomData => '', %o };
}

sub stored {
    my ($key) = @_;

    my ($m) = grep { $_->{MsgKey} eq $key } @{
        $im->rest('openim/admin_getroammsg', {
            From_Account => 'ann', To_Account => 'bob', MaxCnt => 50,
            MinTime => 0, MaxTime => time + 9 })->json('/MsgList') };

    return $m;
}

subtest 'by REST' => sub {
    my @ws = map { $im->ws_login($_) } qw/ ann bob /;
    my $key = msg(CloudCustomData => 'c1');

    modify(MsgKey => $key)->code_is(0);

    for (@ws) {
        my $item = $_->next_event('C2cMsgModNotifys')
                      ->{C2cMsgModNotifys}[0];

        is $item->{From_Account}, 'ann', 'From_Account';
        is $item->{To_Account}, 'bob', 'To_Account';
        is_deeply $item->{MsgBody}, [text('second')], 'MsgBody';
        is $item->{CloudCustomData}, 'c1', 'CloudCustomData';
        is $item->{MsgVersion}, 1, 'MsgVersion';
        is join('_', @{ $item }{qw/ MsgSeq MsgRandom MsgTime /}), $key,
           'identity';
    }

    is_deeply stored($key)->{MsgBody}, [text('second')], 'stored';
    is stored($key)->{CloudCustomData}, 'c1', 'what is not given stays';

    modify(MsgKey => $key, MsgBody => undef, CloudCustomData => 'c2')
        ->code_is(0);
    is stored($key)->{CloudCustomData}, 'c2', 'the data alone';
    is_deeply stored($key)->{MsgBody}, [text('second')], 'the body stays';
    is $ws[1]->next_event('C2cMsgModNotifys')
             ->{C2cMsgModNotifys}[0]{MsgVersion}, 2, 'MsgVersion';
};

subtest 'codes of REST' => sub {
    my $key = msg();

    modify()->code_is(90054);
    modify(MsgKey => 'x')->code_is(90054);
    modify(MsgKey => '1_2_3')->code_is(20022);
    modify(MsgKey => $key, From_Account => undef)->code_is(90008);
    modify(MsgKey => $key, From_Account => 'ghost')->code_is(20003);
    modify(MsgKey => $key, To_Account => undef)->code_is(90003);
    modify(MsgKey => $key, To_Account => 'ghost')->code_is(90012);
    modify(MsgKey => $key, MsgBody => undef)->code_is(90010);
    modify(MsgKey => $key, MsgBody => {})->code_is(90007);
    modify(MsgKey => $key, MsgBody => [])->code_is(90002);
    modify(MsgKey => $key, MsgBody => [{ MsgType => 'x' }])->code_is(90002);
    modify(MsgKey => $key, CloudCustomData => 7)->code_is(90010);
    modify(MsgKey => $key, MsgBody => [text('x' x 12288)])->code_is(93000);
    modify(MsgKey => $key, MsgBody => undef, CloudCustomData => 'x' x 12280)
        ->code_is(93000, 'together with what is there');
    $im->rest('openim/modify_c2c_msg', '')->code_is(90001);
    $im->rest('openim/modify_c2c_msg', {}, user => 'ann')->code_is(90009);
    is_deeply stored($key)->{MsgBody}, [text('first')], 'nothing changed';

    $im->rest('openim/admin_msgwithdraw', {
        From_Account => 'ann', To_Account => 'bob', MsgKey => $key });
    modify(MsgKey => $key)->code_is(20023, 'recalled');
};

subtest 'by clients' => sub {
    my @ann = map { $im->ws_login('ann') } 1, 2;
    my $bob = $im->ws_login('bob');
    my $cid = $im->ws_login('cid');
    my $key = msg();

    $ann[0]->request('openim.modify_c2c_msg',
                     one($key, CloudCustomData => 'c'))
           ->code_is(0)->json_is('/MsgVersion', 1)
           ->json_is('/MsgBody', [text('second')])
           ->json_is('/CloudCustomData', 'c');

    ok $bob->next_event('C2cMsgModNotifys'), 'the peer';
    ok $ann[1]->next_event('C2cMsgModNotifys'), 'the other instance';
    $ann[0]->no_event('C2cMsgModNotifys', 0.3, 'not the acting one');

    $bob->request('openim.modify_c2c_msg', one($key))
        ->code_is(20027)->json_is('/MsgVersion', 1)
        ->json_is('/MsgBody', [text('second')])
        ->json_is('/CloudCustomData', 'c');

    $bob->request('openim.modify_c2c_msg',
                  one($key, MsgVersion => 1, MsgBody => [text('third')]))
        ->code_is(0, 'the receiver may, too')->json_is('/MsgVersion', 2);

    $cid->request('openim.modify_c2c_msg', one($key, MsgVersion => 2))
        ->code_is(20022, 'nobody else');

    my $bad = sub { $ann[0]->request('openim.modify_c2c_msg',
                                     one($key, MsgVersion => 2, @_)) };

    $bad->(MsgBody => [{ MsgType => 'TIMFileElem', MsgContent => {} }])
        ->code_is(90002, 'no rich media');
    $bad->(MsgBody => [])->code_is(90002);
    $bad->(MsgBody => 'x')->code_is(90007);
    $bad->(MsgBody => undef, CloudCustomData => undef)->code_is(90010);
    $bad->(MsgBody => [text('x' x 12288)])->code_is(80002);
    $bad->(MsgSeq => 'x')->code_is(90004);
    $bad->(MsgRandom => 'x')->code_is(90005);
    $bad->(MsgTime => 'x')->code_is(90006);
    $bad->(MsgTime => 5)->code_is(20022);
    $bad->(From_Account => undef)->code_is(90008);
    $bad->(To_Account => undef)->code_is(90003);
    $bad->(MsgVersion => 'x')->code_is(20001);

    my ($item) = grep { $_->{MsgVersion} && $_->{MsgVersion} == 2 }
                 @{ $bob->request('openim.getroammsg', {
                     Peer_Account => 'ann', MaxCnt => 100,
                     WithRecalledMsg => 1 })->json('/MsgList') };
    ok $item, 'MsgVersion in the history';
};

subtest 'two at once' => sub {
    my $ann = $im->ws_login('ann');
    my $bob = $im->ws_login('bob');
    my $key = msg();

    my $a = $ann->send_request('openim.modify_c2c_msg', one($key));
    my $b = $bob->send_request('openim.modify_c2c_msg', one($key));

    is join(' ', sort $ann->answer($a)->code, $bob->answer($b)->code),
       '0 20027', 'one wins';
};

done_testing;

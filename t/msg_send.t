#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# openim/sendmsg: fields, elements, duplicates, who receives it.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0; web_instances 4;');

$im->users(qw/ ann bob cid /);

my $random = 1;

sub text { { MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } } }

sub msg {
    my (%o) = @_;

    my %m = (To_Account => 'bob', From_Account => 'ann',
             MsgRandom => $random++, MsgBody => [text('hello')], %o);

    delete $m{$_} for grep { ref $m{$_} eq 'CODE' } keys %m;

    return $im->rest('openim/sendmsg', \%m);
}

sub none { sub { } }

sub elem { msg(MsgBody => [{ MsgType => $_[0], MsgContent => $_[1] }]) }

# how many messages of the two there are
sub stored {
    my ($from, $to) = @_;

    return $im->rest('openim/admin_getroammsg', {
        From_Account => $from, To_Account => $to, MaxCnt => 100,
        MinTime => 0, MaxTime => time + 10 })->json('/MsgCnt');
}


subtest 'the answer' => sub {
    my $reply = msg(MsgSeq => 771, MsgRandom => 90210)->code_is(0);
    my $time = $reply->json('/MsgTime');

    cmp_ok abs($time - time), '<', 60, 'MsgTime is the server\'s';
    $reply->json_is('/MsgKey', "771_90210_$time");

    $reply = msg(MsgTimeStamp => 5454457)->code_is(0);
    cmp_ok abs($reply->json('/MsgTime') - time), '<', 60,
           'MsgTimeStamp is not MsgTime';
    $reply->json_like('/MsgKey', qr/^\d+_\d+_\d+$/, 'MsgSeq is made');

    msg(From_Account => none)->code_is(0, 'from the administrator');
    msg(From_Account => '')->code_is(0, 'empty counts as absent');
    is stored('administrator', 'bob'), 2, 'both are his';
};

subtest 'each field' => sub {
    msg(To_Account => none)->code_is(90003);
    msg(To_Account => '')->code_is(90003);
    msg(To_Account => ['bob'])->code_is(90003);
    msg(To_Account => 'nobody')->code_is(90012);
    msg(To_Account => 'x' x 1000)->code_is(90012);
    msg(To_Account => "b\x{0}b")->code_is(90012);
    msg(From_Account => 7)->code_is(90008);
    msg(From_Account => 'nobody')->code_is(20003);
    msg(SyncOtherMachine => '1')->code_is(90031);
    msg(SyncOtherMachine => 7)->code_is(0);
    msg(MsgLifeTime => '1')->code_is(90044);
    msg(MsgLifeTime => -1)->code_is(90026);
    msg(MsgLifeTime => 999999999)->code_is(0);
    msg(MsgSeq => -1)->code_is(90004);
    msg(MsgSeq => 4294967295)->code_is(0);
    msg(MsgSeq => 4294967296)->code_is(90004);
    msg(MsgSeq => 'x')->code_is(90004);
    msg(MsgRandom => none)->code_is(90005);
    msg(MsgRandom => '7')->code_is(90005);
    msg(MsgRandom => 4294967295)->code_is(0);
    msg(MsgRandom => 4294967296)->code_is(90005);
    msg(MsgTimeStamp => 4294967295)->code_is(0);
    msg(MsgTimeStamp => 4294967296)->code_is(90006);
    msg(MsgTimeStamp => 'now')->code_is(90006);
    msg(MsgBody => none)->code_is(90002);
    msg(MsgBody => [])->code_is(90002);
    msg(MsgBody => {})->code_is(90007);
    msg(MsgBody => 'hello')->code_is(90007);
    msg(ForbidCallbackControl => 'x')->code_is(90001);
    msg(ForbidCallbackControl => ['ForbidBeforeSendMsgCallback'])->code_is(0);
    msg(SendMsgControl => ['NoUnread', 'Whatever'])->code_is(0);
    msg(SendMsgControl => 'NoUnread')->code_is(90010);
    msg(CloudCustomData => 7)->code_is(90010);
    msg(IsNeedReadReceipt => 2)->code_is(90010);
    msg(SupportMessageExtension => 'x')->code_is(90010);
    msg(OfflinePushInfo => 'x')->code_is(90043);
    msg(OfflinePushInfo => { PushFlag => 'x' })->code_is(90043);
    msg(OfflinePushInfo => { Title => 7 })->code_is(90043);
    msg(OfflinePushInfo => { ApnsInfo => 'x' })->code_is(90043);
    msg(OfflinePushInfo => { ApnsInfo => { BadgeMode => '1' } })
        ->code_is(90043);
    msg(OfflinePushInfo => { AndroidInfo => { Sound => 1 } })->code_is(90043);
    msg(OfflinePushInfo => { PushFlag => 0, Title => 't', Whatever => 1,
                             ApnsInfo => { BadgeMode => 1, Image => 'i' },
                             AndroidInfo => { OPPOChannelID => 'o' } })
        ->code_is(0);
    $im->rest('openim/sendmsg', '[1]')->code_is(90001);
    $im->rest('openim/sendmsg', '{')->code_is(90001);
    $im->rest('openim/sendmsg', { To_Account => 'bob' }, user => 'ann')
       ->code_is(90009, 'no administrator');
};

subtest 'elements' => sub {
    elem('TIMTextElem', { Text => '' })->code_is(0);
    elem('TIMTextElem', {})->code_is(90002);
    elem('TIMTextElem', { Text => 7 })->code_is(90002)
        ->json_like('/ErrorInfo', qr/Text/);
    elem('TIMTextElem', { Text => 'x', Whatever => [1] })->code_is(0);
    elem('TIMTextElem', 'x')->code_is(90002);
    msg(MsgBody => [{ MsgType => 'TIMTextElem' }])->code_is(90002);
    msg(MsgBody => [{ MsgContent => { Text => 'x' } }])->code_is(90002);
    msg(MsgBody => [{ MsgType => 1, MsgContent => {} }])->code_is(90002);
    msg(MsgBody => ['x'])->code_is(90002);
    elem('TIMNoElem', {})->code_is(90002);
    elem('TIMRelayElem', {})->code_is(90002, 'of clients only');
    elem('TIMGroupTipElem', {})->code_is(90002);

    elem('TIMLocationElem', { Desc => 'd', Latitude => 29.340656774469956,
                              Longitude => -116.77 })->code_is(0);
    elem('TIMLocationElem', { Desc => 'd', Latitude => '29.3',
                              Longitude => 1 })->code_is(90002);
    elem('TIMLocationElem', { Latitude => 1, Longitude => 1 })
        ->code_is(90002);

    elem('TIMFaceElem', { Index => 1, Data => "a\x{0}b" })->code_is(0);
    elem('TIMFaceElem', { Index => 1 })->code_is(0);
    elem('TIMFaceElem', { Data => 'x' })->code_is(90002);
    elem('TIMFaceElem', { Index => 'x' })->code_is(90002);

    elem('TIMCustomElem', { Data => "x\x{0}" })->code_is(0);
    elem('TIMCustomElem', { Sound => 'ding' })->code_is(0);
    elem('TIMCustomElem', {})->code_is(90002);
    elem('TIMCustomElem', { Data => {} })->code_is(90002);
    msg(MsgBody => [({ MsgType => 'TIMCustomElem',
                       MsgContent => { Data => 'x' } }) x 2])
        ->code_is(90010, 'two custom elements');
    msg(MsgBody => [text('a'), { MsgType => 'TIMFaceElem',
                                 MsgContent => { Index => 7 } }, text('b')])
        ->code_is(0, 'a mix');

    my %sound = (Url => 'u', UUID => 'i', Download_Flag => 2);

    elem('TIMSoundElem', { %sound, Size => 1, Second => 2 })->code_is(0);
    elem('TIMSoundElem', { Url => 'u', UUID => 'i' })
        ->code_is(0, 'Download_Flag is added');
    elem('TIMSoundElem', { %sound, Download_Flag => 1 })->code_is(90002);
    elem('TIMSoundElem', { UUID => 'i', Download_Flag => 2 })
        ->code_is(90002);
    elem('TIMSoundElem', { %sound, Size => -1 })->code_is(90002);
    elem('TIMFileElem', { %sound, FileName => 'f', FileSize => 1 })
        ->code_is(0);
    elem('TIMFileElem', { %sound, FileName => 1 })->code_is(90002);

    my %image = (UUID => 'i', ImageFormat => 1, ImageInfoArray => [
        { Type => 1, Size => 10, Width => 1, Height => 0, URL => 'u' }]);

    elem('TIMImageElem', \%image)->code_is(0);
    elem('TIMImageElem', { %image, ImageInfoArray => [] })->code_is(90002);
    elem('TIMImageElem', { %image, ImageInfoArray => ['x'] })
        ->code_is(90002);
    elem('TIMImageElem', { %image, ImageInfoArray => [{ Type => 1 }] })
        ->code_is(90002);

    my %video = (VideoUrl => 'u', VideoUUID => 'i', VideoSize => 1,
        VideoSecond => 1, VideoFormat => 'mp4', VideoDownloadFlag => 2,
        ThumbUrl => 'u', ThumbUUID => 'i', ThumbSize => 1, ThumbWidth => 1,
        ThumbHeight => 1, ThumbFormat => 'JPG', ThumbDownloadFlag => 2);

    elem('TIMVideoFileElem', \%video)->code_is(0);

    for my $name (qw/ VideoUrl ThumbUUID ThumbWidth VideoDownloadFlag /) {
        my %v = %video;
        delete $v{$name};
        elem('TIMVideoFileElem', \%v)->code_is(90002, "no $name");
    }
};

subtest 'size' => sub {
    my $frame = length '[{"MsgType":"TIMTextElem",'
                       . '"MsgContent":{"Text":""}}]';

    msg(MsgBody => [text('x' x (12288 - $frame))])->code_is(0);
    msg(MsgBody => [text('x' x (12289 - $frame))])->code_is(93000);
    msg(MsgBody => [text('x' x (12278 - $frame))],
        CloudCustomData => 'c' x 10)->code_is(0);
    msg(MsgBody => [text('x' x (12278 - $frame))],
        CloudCustomData => 'c' x 11)->code_is(93000);
};

subtest 'duplicates' => sub {
    $im->users('dup');

    my %m = (To_Account => 'dup', MsgSeq => 5, MsgRandom => 6);
    my $first = msg(%m)->code_is(0);

    sleep 1;
    msg(%m)->code_is(0)->json_is('/MsgKey', $first->json('/MsgKey'))
        ->json_is('/MsgTime', $first->json('/MsgTime'));
    msg(%m, CloudCustomData => 'x')->code_is(0)
        ->json_is('/MsgKey', $first->json('/MsgKey'), 'custom data is not in');
    is stored('ann', 'dup'), 1, 'stored once';

    msg(%m, MsgRandom => 7)->code_is(0);
    msg(%m, MsgSeq => 6)->code_is(0);
    msg(%m, MsgBody => [text('another')])->code_is(0);
    msg(%m, From_Account => 'cid')->code_is(0);
    is stored('ann', 'dup'), 4, 'another random, seq or body is another';

    # without MsgSeq only within a second
    my $same;

    for (1 .. 30) {
        my $r = $random++;
        my ($x, $y) = map { msg(To_Account => 'dup', From_Account => 'bob',
                                MsgRandom => $r)->json('/MsgKey') } 1 .. 2;
        $same = $x eq $y and last;
    }

    ok $same, 'the same without MsgSeq';
};

subtest 'duplicates are forgotten after dedup_c2c' => sub {
    my $other = Test::IM->new->run(app => 'dedup_c2c 1s; rate 0;');
    $other->users('ann', 'bob');

    my %m = (From_Account => 'ann', To_Account => 'bob', MsgSeq => 1,
             MsgRandom => 2, MsgBody => [text('x')]);

    my $first = $other->rest('openim/sendmsg', \%m)->json('/MsgTime');
    sleep 3;
    my $second = $other->rest('openim/sendmsg', \%m)->json('/MsgTime');

    cmp_ok $second, '>', $first, 'a new message';
};

subtest 'the receiver and the sender hear of it' => sub {
    my @ann = map { $im->ws_login('ann') } 1;
    my @bob = map { $im->ws_login('bob') } 1, 2;

    msg(SyncOtherMachine => 1, MsgSeq => 17, MsgRandom => 18,
        MsgTimeStamp => 1600000000, CloudCustomData => 'cloud',
        IsNeedReadReceipt => 1, SupportMessageExtension => 1,
        SendMsgControl => ['NoLastMsg'])->code_is(0);

    for my $bob (@bob) {
        my $item = $bob->next_event('C2cMsgArray')->{C2cMsgArray}[0];

        is $item->{From_Account}, 'ann', 'From_Account';
        is $item->{To_Account}, 'bob', 'To_Account';
        is $item->{MsgSeq}, 17, 'MsgSeq';
        is $item->{MsgRandom}, 18, 'MsgRandom';
        is $item->{MsgClientTime}, 1600000000, 'MsgClientTime';
        cmp_ok abs($item->{MsgTimeStamp} - time), '<', 60, 'MsgTimeStamp';
        is_deeply $item->{MsgBody}, [text('hello')], 'MsgBody';
        is $item->{CloudCustomData}, 'cloud', 'CloudCustomData';
        is $item->{TinyId}, $ann[0]->tinyid, 'TinyId is the sender\'s';
        is $item->{IsNeedReadReceipt}, 1, 'IsNeedReadReceipt';
        is $item->{SupportMessageExtension}, 1, 'SupportMessageExtension';
        is_deeply $item->{SendMsgControl}, { NoUnread => 0, NoLastMsg => 1 },
                  'SendMsgControl';
        ok !exists $item->{MsgLifeTime}, 'it is stored';
        ok !exists $item->{IsSyncMsg}, 'received';
    }

    my $item = $ann[0]->next_event('C2cMsgArray')->{C2cMsgArray}[0];

    is $item->{IsSyncMsg}, 1, 'IsSyncMsg';
    is $item->{From_Account}, 'bob', 'From and To are exchanged';
    is $item->{To_Account}, 'ann', 'To_Account';

    for my $sync (0, 2) {
        msg(SyncOtherMachine => $sync)->code_is(0);
        ok $bob[0]->next_event('C2cMsgArray'), "the receiver, $sync";
        $ann[0]->no_event('C2cMsgArray', 0.3, "not the sender, $sync");
    }

    msg(SyncOtherMachine => 1)->code_is(0);
    ok $ann[0]->next_event('C2cMsgArray'), 'again';
    ok $bob[0]->next_event('C2cMsgArray'), 'to both';

    my %dup = (MsgSeq => 99, MsgRandom => 99, SyncOtherMachine => 1);

    msg(%dup) for 1 .. 3;
    ok $ann[0]->next_event('C2cMsgArray'), 'once';
    ok $bob[0]->next_event('C2cMsgArray'), 'to both once';
    $ann[0]->no_event('C2cMsgArray', 0.3, 'duplicates are not pushed');
    $bob[0]->no_event('C2cMsgArray', 0.3, 'to nobody');
};

subtest 'order' => sub {
    my $bob = $im->ws_login('bob');
    my @sent = (1 .. 50);

    msg(MsgBody => [text("n$_")]) for @sent;

    my @got = map { $bob->next_event('C2cMsgArray')
                        ->{C2cMsgArray}[0]{MsgBody}[0]{MsgContent}{Text} }
              @sent;

    is_deeply \@got, [map { "n$_" } @sent], 'as it was accepted';
};

subtest 'online only' => sub {
    $im->users('on');
    my $on = $im->ws_login('on');
    my $ann = $im->ws_login('ann');

    my %m = (To_Account => 'on', MsgLifeTime => 0, MsgSeq => 3,
             MsgRandom => 4, SyncOtherMachine => 1);
    my $reply = msg(%m)->code_is(0);

    my $item = $on->next_event('C2cMsgArray')->{C2cMsgArray}[0];
    is $item->{MsgLifeTime}, 0, 'MsgLifeTime';
    ok $ann->next_event('C2cMsgArray'), 'the sender\'s terminal';

    msg(%m)->code_is(0)->json_is('/MsgKey', $reply->json('/MsgKey'));
    $on->no_event('C2cMsgArray', 0.3, 'a duplicate');

    is stored('ann', 'on'), 0, 'not stored';
    $im->rest('openim/admin_msgwithdraw',
              { From_Account => 'ann', To_Account => 'on',
                MsgKey => $reply->json('/MsgKey') })->code_is(20022);
    $im->rest('openim/get_c2c_unread_msg_num', { To_Account => 'on' })
       ->json_is('/AllC2CUnreadMsgNum', 0);
};

subtest 'to oneself' => sub {
    $im->users('self');
    my $self = $im->ws_login('self');

    msg(From_Account => 'self', To_Account => 'self')->code_is(0);

    is $self->next_event('C2cMsgArray')->{C2cMsgArray}[0]{IsSyncMsg}, 1,
       'own message';
    $self->no_event('C2cMsgArray', 0.3, 'once');
    is stored('self', 'self'), 1, 'stored once';
    $im->rest('openim/get_c2c_unread_msg_num', { To_Account => 'self' })
       ->json_is('/AllC2CUnreadMsgNum', 0);
};

subtest 'rest_rich_media off' => sub {
    my $other = Test::IM->new->run(app => 'rest_rich_media off;');
    $other->users('ann');

    my %m = (To_Account => 'ann', MsgRandom => 1);

    $other->rest('openim/sendmsg', { %m, MsgBody => [{
        MsgType => 'TIMFileElem', MsgContent => {
            Url => 'u', UUID => 'i', Download_Flag => 2 } }] })
          ->code_is(90002);
    $other->rest('openim/sendmsg', { %m, MsgBody => [{
        MsgType => 'TIMFaceElem', MsgContent => { Index => 1 } }] })
          ->code_is(0);
};

done_testing;

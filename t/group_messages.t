#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Messages of stored groups: numbers, duplicates, history, unread numbers,
# recall, receipts, modification, import.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0; group_rate 1000;
                                                  group_rate_normal 1000;');
my $svc = 'group_open_http_svc';
my $random = 1;

$im->users(qw/ ann bob cid /);

sub text { return [{ MsgType => 'TIMTextElem',
                     MsgContent => { Text => "$_[0]" } }] }

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

sub message {
    my ($gid, $text, %body) = @_;

    return rest('send_group_msg', GroupId => $gid, Random => $random++,
                MsgBody => text($text), %body);
}

sub history {
    my ($gid, %body) = @_;

    return rest('group_msg_get_simple', GroupId => $gid, ReqMsgNumber => 20,
                %body)->code_is(0);
}

my $gid = $im->group(Type => 'Public', owner => 'ann',
                     members => [qw/ bob cid /]);
my $bob = $im->ws_login('bob');
my $ann = $im->ws_login('ann');

subtest 'numbers and duplicates' => sub {
    message($gid, 'one', From_Account => 'ann')->code_is(0)
        ->json_is('/MsgSeq', 1);
    is message($gid, 'two', Random => 77)->json('/MsgSeq'), 2, 'the next one';
    is message($gid, 'two', Random => 77)->json('/MsgSeq'), 2, 'a duplicate';
    is message($gid, 'three', Random => 77)->json('/MsgSeq'), 3,
        'another body';

    my $item = $bob->next_event('GroupMsgArray')->{GroupMsgArray}[0];
    is $item->{MsgSeq}, 1, 'pushed';
    is $item->{From_Account}, 'ann', 'from';
    is $item->{GroupInfo}{GroupId}, $gid, 'GroupInfo';
    is $bob->next_event('GroupMsgArray')->{GroupMsgArray}[0]{MsgSeq}, $_,
        "$_ is next" for 2, 3;
    $bob->no_event('GroupMsgArray');

    $bob->request("$svc.send_group_msg", { GroupId => $gid, Random => 5,
        MsgBody => text('four') })->code_is(0)->json_is('/MsgSeq', 4);
    $bob->no_event('GroupMsgArray', 0.2, 'not to the sending connection');
    is $ann->next_event(sub { $_[0]{GroupMsgArray}
                              && $_[0]{GroupMsgArray}[0]{MsgSeq} == 4 })
       ->{GroupMsgArray}[0]{From_Account}, 'bob', 'to the other member';
};

subtest 'refusals' => sub {
    my $cid = $im->ws_login('cid');
    my $other = $im->group(owner => 'ann');

    $cid->request("$svc.send_group_msg", { GroupId => $other, Random => 1,
        MsgBody => text('x') })->code_is(10007);
    $cid->request("$svc.group_msg_get", { GroupId => $other,
        ReqMsgNumber => 1 })->code_is(10007);
    $cid->request("$svc.msg_read_report", { GroupId => $other,
        MsgReadedSeq => 1 })->code_is(10007);

    message($gid, 'x', To_Account => ['nobody'])->code_is(10004);
    message($gid, 'x', OnlineOnlyFlag => 1, SendMsgControl => ['NoUnread'])
        ->code_is(10004);
    message($gid, 'x', GroupAtInfo => [map { { GroupAtAllFlag => 0,
        GroupAt_Account => "u$_" } } 1 .. 31])->code_is(10053);
    message('nosuch', 'x')->code_is(10010);

    rest('group_msg_get_simple', GroupId => $gid)->code_is(10004);
    rest('group_msg_get_simple', GroupId => 'nosuch', ReqMsgNumber => 1)
        ->code_is(10010);
    rest('group_msg_get_simple', ReqMsgNumber => 1,
         GroupId => $im->group(Type => 'AVChatRoom'))->code_is(10007);
    $cid->close;
};

subtest 'history' => sub {
    my $reply = history($gid);

    is $reply->json('/IsFinished'), 1, 'IsFinished';
    is_deeply [map { $_->{MsgSeq} } @{ $reply->json('/RspMsgList') }],
        [4, 3, 2, 1], 'descending';
    is_deeply [map { $_->{MsgSeq} } @{ history($gid, ReqMsgSeq => 3,
        ReqMsgNumber => 2)->json('/RspMsgList') }], [3, 2], 'a part';
    is history($gid, ReqMsgSeq => 0)->json('/IsFinished'), 2, 'nothing';
    is history($im->group(owner => 'ann'))->json('/IsFinished'), 2, 'empty';

    rest('add_group_member', GroupId => $gid,
         MemberList => [{ Member_Account => 'administrator' }])->code_is(0);
    my $late = $im->ws_login('administrator');
    my $list = $late->request("$svc.group_msg_get", { GroupId => $gid,
        ReqMsgNumber => 100 })->code_is(0)->json('/RspMsgList');
    is_deeply [map { $_->{MsgSeq} } @$list], [5],
        'who joins sees what comes after it, the tip first';
    is $list->[0]{Event}, 4, 'the tip';
    $late->close;
};

subtest 'history from a number that cannot be' => sub {
    $im->rest("$svc/group_msg_get_simple", qq({"GroupId":"$gid",)
              . qq("ReqMsgNumber":10,"ReqMsgSeq":$_}))->code_is(0)
       ->json_is('/RspMsgList', [])->json_is('/IsFinished', 2)
        for 0, -1, '-9223372036854775808';
};

subtest 'unread numbers' => sub {
    my $unread = sub {
        return rest('get_joined_group_list', Member_Account => $_[0],
            ResponseFilter => { SelfInfoFilter => ['UnreadMsgNum'] })
            ->json('/GroupIdList/0/SelfInfo/UnreadMsgNum');
    };

    is $unread->('cid'), 5, 'all of them';
    is $unread->('bob'), 1, 'what came after his own message';
    message($gid, 'quiet', SendMsgControl => ['NoUnread'])->code_is(0);
    is $unread->('cid'), 5, 'a message that does not count';

    my $other = $im->ws_login('cid');
    $other->request("$svc.msg_read_report", { GroupId => $gid,
        MsgReadedSeq => 3 })->code_is(0);
    is $unread->('cid'), 2, 'read up to 3';
    $other->request("$svc.msg_read_report", { GroupId => $gid,
        MsgReadedSeq => 1 })->code_is(0);
    is $unread->('cid'), 2, 'never back';

    rest('set_unread_msg_num', GroupId => $gid, Member_Account => 'cid',
         UnreadMsgNum => 3)->code_is(0);
    is $unread->('cid'), 2, 'the last three, one of them does not count';
    rest('set_unread_msg_num', GroupId => $gid, Member_Account => 'nobody',
         UnreadMsgNum => 3)->code_is(10007);

    my $item = $other->request('recentcontact.page_get',
        { From_Account => 'cid' })->code_is(0)->json('/SessionItem/0');
    is $item->{ToAccount}, $gid, 'in the list of conversations';
    is $item->{UnreadMsgCount}, 2, 'with its number';
    is $item->{MsgSeq}, 6, 'and the last message';
    $other->close;
};

subtest 'who is mentioned' => sub {
    my $at = $im->group(owner => 'ann', members => ['cid']);

    message($at, '@cid', GroupAtInfo => [{ GroupAtAllFlag => 0,
        GroupAt_Account => 'cid' }])->code_is(0);
    message($at, '@all', GroupAtInfo => [{ GroupAtAllFlag => 1 }])
        ->code_is(0);

    my $tips = sub {
        my $cid = $im->ws_login('cid');
        my @tips = map { @{ $_->{GroupTips} } }
                   grep { $_->{Event} == 12 }
                   @{ $cid->request('openim.getmsg', { Cookie => '' })
                      ->code_is(0)->json('/EventArray') };

        $cid->request("$svc.msg_read_report", { GroupId => $at,
            MsgReadedSeq => 2 })->code_is(0);
        $cid->close;

        return join ' ', map { $_->{GroupAtTips}{MsgSeq} . ':'
                               . $_->{GroupAtTips}{GroupAtType}[0] } @tips;
    };

    is $tips->(), '1:1 2:2', 'kept for the next login';
    is $tips->(), '', 'until he has read';

    for ([[{ GroupAtAllFlag => 1, x => 'y' }], 0, [{ GroupAtAllFlag => 1 }]],
         [[{ GroupAt_Account => 'cid' }], 0,
          [{ GroupAtAllFlag => 0, GroupAt_Account => 'cid' }]],
         [[], 0, undef], [[{}], 10004], [['cid'], 10004],
         [[{ GroupAtAllFlag => 2 }], 10004],
         [[{ GroupAtAllFlag => '1' }], 10004],
         [[{ GroupAtAllFlag => 0 }], 10004],
         [[{ GroupAtAllFlag => 0, GroupAt_Account => 'x' x 33 }], 10004],
         [[({ GroupAtAllFlag => 1 }) x 31], 10053])
    {
        my ($list, $code, $passed) = @$_;

        message($at, 'x', GroupAtInfo => $list)->code_is($code);
        is_deeply history($at, ReqMsgNumber => 1)
            ->json('/RspMsgList/0/GroupAtInfo'), $passed, 'passed on'
            unless $code;
    }
};

subtest 'recall' => sub {
    my $recall = sub { rest('group_msg_recall', GroupId => $_[0],
                            MsgSeqList => [map { { MsgSeq => $_ } }
                                           @_[1 .. $#_]]) };

    $recall->($gid, 2, 99, 5)->code_is(0)->json_is('/RecallRetList', [
        { MsgSeq => 2, RetCode => 0 }, { MsgSeq => 99, RetCode => 10030 },
        { MsgSeq => 5, RetCode => 10032 } ]);
    $recall->($gid, 2)->json_is('/RecallRetList/0/RetCode', 10032);
    $recall->($im->group(Type => 'AVChatRoom'), 1)->code_is(10033);
    $recall->($gid)->code_is(10004);

    ok $bob->next_event(sub { ($_[0]{GroupTips} // [{}])->[0]{MsgBody}
                              {GroupWithdrawInfoArray} }), 'told';
    is history($gid, ReqMsgSeq => 2, ReqMsgNumber => 1)
       ->json('/RspMsgList/0/IsPlaceMsg'), 1, 'a place holder';
    is $bob->request("$svc.group_msg_get", { GroupId => $gid,
        ReqMsgSeq => 2, ReqMsgNumber => 1, WithRecalledMsg => 1 })
       ->json('/RspMsgList/0/IsPlaceMsg'), 2, 'a recalled one';

    $bob->request("$svc.group_msg_recall", { GroupId => $gid,
        MsgSeqList => [{ MsgSeq => 1 }] })->code_is(10007);
    is $bob->request("$svc.get_group_notify", { GroupId => $gid,
        NotifyType => 1, BeginTime => 0, EndTime => 0, Limit => 20 })
       ->code_is(0)->json('/NotifyMsgList/0/MsgSeq'), 2, 'asked for later';
    $bob->request("$svc.batch_get_group_notify", { NotifyReqList => [
        { GroupId => $gid, NotifyType => 1, BeginTime => 0 },
        { GroupId => 'nosuch', NotifyType => 1 } ] })->code_is(0)
        ->json_is('/NotifyRspList/0/NotifyMsgList/0/MsgSeq', 2)
        ->json_is('/NotifyRspList/0/ErrorCode', 0)
        ->json_is('/NotifyRspList/1/ErrorCode', 10010)
        ->json_is('/NotifyRspList/1/NotifyMsgList', []);
    $bob->request("$svc.batch_get_group_notify", $_)->code_is(10004)
        for {}, { NotifyReqList => [] }, { NotifyReqList => [{}] },
            { NotifyReqList => [({ GroupId => $gid }) x 51] };
};

subtest 'receipts' => sub {
    my $seq = $ann->request("$svc.send_group_msg", { GroupId => $gid,
        Random => 9, NeedReadReceipt => 1, MsgBody => text('read me') })
        ->code_is(0)->json('/MsgSeq');

    $bob->request("$svc.group_msg_receipt", { GroupId => $gid,
        MsgSeqList => [{ MsgSeq => $seq }] })->code_is(0) for 1, 2;
    rest('get_group_msg_receipt', GroupId => $gid,
         MsgSeqList => [{ MsgSeq => $seq }, { MsgSeq => 1 }])->code_is(0)
        ->json_is('/GroupMsgReceiptList', [
            { MsgSeq => $seq, Code => 0, ReadNum => 1, UnreadNum => 2 },
            { MsgSeq => 1, Code => 10062, ReadNum => 0, UnreadNum => 0 } ]);

    my $detail = sub { rest('get_group_msg_receipt_detail', GroupId => $gid,
                            MsgSeq => $seq, @_)->code_is(0) };
    $detail->(Filter => 0)->json_is('/ReadList', [{ Read_Account => 'bob' }]);
    my $page = $detail->(Filter => 1, Count => 1);
    $page->json_is('/UnreadList', [{ Unread_Account => 'administrator' }]);
    $page->json_is('/IsFinish', 0);
    $detail->(Filter => 1, Cursor => $page->json('/Cursor'))
        ->json_is('/UnreadList', [{ Unread_Account => 'cid' }]);
    rest('get_group_msg_receipt_detail', GroupId => $gid, MsgSeq => 1)
        ->code_is(10062);
};

subtest 'modification' => sub {
    my $modify = sub { $ann->request('openim.modify_group_msg',
        { GroupId => $gid, MsgSeq => 1, MsgVersion => $_[0],
          MsgBody => text($_[1]) }) };

    $modify->(0, 'changed')->code_is(0)->json_is('/MsgVersion', 1);
    $modify->(0, 'again')->code_is(20027);
    $im->rest('openim/modify_group_msg', { GroupId => $gid, MsgSeq => 1,
        @$_[1 .. $#$_] })->code_is($_->[0])
        for [90010], [90007, MsgBody => 'x'], [90002, MsgBody => []],
            [90010, CloudCustomData => 5], [20001, MsgSeq => 'x'];
    is history($gid, ReqMsgSeq => 1, ReqMsgNumber => 1)
       ->json('/RspMsgList/0/MsgVersion'), 1, 'nothing is changed by these';
    $bob->request('openim.modify_group_msg', { GroupId => $gid, MsgSeq => 1,
        MsgBody => text('x') })->code_is(10007);
    is $bob->next_event('GroupMsgModNotifys')->{GroupMsgModNotifys}[0]
       {MsgBody}[0]{MsgContent}{Text}, 'changed', 'told';
};

subtest 'hidden and deleted' => sub {
    $bob->request("$svc.delete_group_ramble_msg_by_seq", { GroupId => $gid,
        Deleter_Account => 'bob', Seqs => ['3'] })->code_is(0);
    is $bob->request("$svc.group_msg_get", { GroupId => $gid,
        ReqMsgSeq => 3, ReqMsgNumber => 1 })
       ->json('/RspMsgList/0/IsPlaceMsg'), 1, 'hidden from bob';
    is history($gid, ReqMsgSeq => 3, ReqMsgNumber => 1)
       ->json('/RspMsgList/0/IsPlaceMsg'), 0, 'not from others';

    rest('delete_group_msg_by_sender', GroupId => $gid,
         Sender_Account => 'bob')->code_is(0);
    is history($gid, ReqMsgSeq => 4, ReqMsgNumber => 1)
       ->json('/RspMsgList/0/IsPlaceMsg'), 1, "bob's message is deleted";
};

subtest 'import' => sub {
    my $old = $im->group(Type => 'Public');
    my $import = sub { rest('import_group_msg', GroupId => $old,
                            MsgList => [@_]) };
    my $msg = sub { return { From_Account => 'ann', SendTime => $_[0],
                             Random => $random++, MsgBody => text('old') } };
    my $now = time;

    $im->wait_for(sub { time > $now + 3 });

    my $first = $msg->($now + 1);
    my @r = @{ $import->($first, $msg->($now + 1), $msg->($now - 100),
                         $msg->($now + 2), $msg->($now + 100))
               ->code_is(0)->json('/ImportMsgResult') };

    is_deeply [map { $_->{Result} } @r], [0, 0, 10004, 0, 10004], 'results';
    is_deeply [map { $_->{MsgSeq} } @r], [1, 2, 0, 3, 0], 'numbers';
    is $import->($first)->json('/ImportMsgResult/0/MsgSeq'), 1,
        'once only';
    $import->()->code_is(10004);
    $import->({ %{ $msg->($now + 2) }, @$_ })->code_is(10004)
        for [From_Account => ''], [From_Account => 'x' x 33], [Random => -1],
            [Random => 4294967296];
    $import->(map { $msg->($now + 2) } 1 .. 21)->code_is(10004);

    rest('import_group_member', GroupId => $old, MemberList => [
        { Member_Account => 'ann', Role => 'Admin', UnreadMsgNum => 2 },
        { Member_Account => 'nobody' },
        { Member_Account => 'bob', JoinTime => 1 } ])->code_is(0)
        ->json_is('/MemberList', [
            { Member_Account => 'ann', Result => 1 },
            { Member_Account => 'nobody', Result => 0 },
            { Member_Account => 'bob', Result => 0 } ]);
};

$im->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Messages to some of the members: only they and the sender ever see them.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $svc = 'group_open_http_svc';
my $im = Test::IM->new->run(workers => 2, app => 'rate 0; web_instances 3;
    group_rate 0; group_rate_normal 0;');

$im->users(qw/ ann bob cid dan eve /);

my %client = map { $_ => $im->ws_login($_) } qw/ ann bob cid dan eve /;
my $ann2 = $im->ws_login('ann');
my $random = 1;

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

sub as {
    my ($user, $name, %body) = @_;
    $name = "$svc.$name" unless $name =~ /\./;
    return $client{$user}->request($name, \%body);
}

sub text { [{ MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } }] }

sub msg {
    my ($user, $gid, $text, @more) = @_;
    return as($user, 'send_group_msg', GroupId => $gid, Random => $random++,
              MsgBody => text($text), @more);
}

# the next message of a group that somebody hears, its text
sub heard {
    my ($who, $gid) = @_;

    my $ws = ref $who ? $who : $client{$who};
    my $event = $ws->next_event(sub { $_[0]{GroupMsgArray}
        && $_[0]{GroupMsgArray}[0]{ToGroupId} eq $gid });
    return $event && $event->{GroupMsgArray}[0];
}

sub words { my ($item) = @_; return $item->{MsgBody}[0]{MsgContent}{Text} }

sub history {
    my ($user, $gid) = @_;

    my $reply = $user
        ? as($user, 'group_msg_get', GroupId => $gid, ReqMsgSeq => 0,
             ReqMsgNumber => 20, WithRecalledMsg => 1)
        : rest('group_msg_get_simple', GroupId => $gid, ReqMsgNumber => 20);

    return join ' ', map { $_->{IsPlaceMsg} == 1 ? '-'
        : ref $_->{MsgBody} eq 'ARRAY' && @{ $_->{MsgBody} } ? words($_)
        : '?' } reverse @{ $reply->code_is(0)->json('/RspMsgList') };
}

my $gid = $im->group(owner => 'ann', members => [qw/ bob cid dan /]);

subtest 'delivery and history' => sub {
    msg(ann => $gid, 'a1')->code_is(0)->json_is('/MsgSeq', 1);
    msg(ann => $gid, 'secret', To_Account => [qw/ bob dan bob ann eve /])
        ->code_is(0)->json_is('/MsgSeq', 2);
    msg(bob => $gid, 'b3')->code_is(0)->json_is('/MsgSeq', 3);

    is words(heard($_ => $gid)), 'a1', "$_: to all" for qw/ bob cid dan /;

    for (qw/ bob dan /) {
        my $item = heard($_ => $gid);
        is words($item), 'secret', "$_ was named";
        is $item->{SendMsgControl}{NoUnread}, 1, 'it is not counted';
    }

    is words(heard(cid => $gid)), 'b3', 'cid hears the next one only';
    is words(heard($ann2, $gid)), 'a1', 'the other terminal of the sender';
    is words(heard($ann2, $gid)), 'secret', 'hears it, too';
    $client{eve}->no_event('GroupMsgArray');

    is history(ann => $gid), 'a1 secret b3', 'history of the sender';
    is history(bob => $gid), 'a1 secret b3', 'of who was named';
    is history(cid => $gid), 'a1 - b3', 'of somebody else: its place';
    is history('', $gid), 'a1 secret b3', 'by REST';

    my $page = as('cid', 'group_msg_get', GroupId => $gid, ReqMsgSeq => 2,
                  ReqMsgNumber => 1)->code_is(0);
    is_deeply [map { [@$_{qw/ MsgSeq IsPlaceMsg MsgBody /}] }
               @{ $page->json('/RspMsgList') }], [[2, 1, []], [1, 0,
        text('a1')]], 'a page that begins with it';
    ok $page->json('/IsFinished') != 2, 'is not the end';
};

subtest 'unread numbers and conversations' => sub {
    my $unread = sub { rest('get_joined_group_list',
        Member_Account => $_[0], ResponseFilter => {
            SelfInfoFilter => ['UnreadMsgNum'] })
        ->json('/GroupIdList/0/SelfInfo/UnreadMsgNum') };
    my $last = sub {
        my ($item) = grep { ($_->{ToAccount} // '') eq $gid }
            @{ as($_[0], 'recentcontact.page_get', StartTime => 0, StartIndex
                  => 0, TopTimeStamp => 0, TopStartIndex => 0,
                  From_Account => $_[0])
               ->code_is(0)->json('/SessionItem') };
        return $item;
    };

    is $unread->($_), 2, "$_: two of three" for qw/ cid dan /;

    msg(ann => $gid, 'hush', To_Account => ['dan'])->code_is(0);
    is $unread->($_), 2, "$_: still two" for qw/ cid dan /;
    is words($last->('dan')->{LastMsg}), 'hush', 'the last message of dan';
    is words($last->('cid')->{LastMsg}), 'b3', 'the last one that cid sees';
};

subtest 'what is not possible' => sub {
    msg(ann => $gid, 'x', To_Account => [map { "u$_" } 1 .. 51])
        ->code_is(10005, '51 receivers');
    msg(ann => $gid, 'x', To_Account => [qw/ eve nobody /])
        ->code_is(10004, 'no member among them');
    msg(ann => $gid, 'x', To_Account => ['ann'])->code_is(10004, 'himself');
    msg(ann => $gid, 'x', To_Account => [1])->code_is(10004, 'no string');
    msg(ann => $gid, 'x', To_Account => 'bob')->code_is(10004, 'no list');
    msg(eve => $gid, 'x', To_Account => ['bob'])
        ->code_is(10007, 'a sender who is no member');
    msg(eve => $gid, 'x', To_Account => ['nobody'])
        ->code_is(10007, 'who learns nothing');
    is history('', $gid), 'a1 secret b3 hush', 'nothing was sent';

    my $live = $im->group(Type => 'AVChatRoom', owner => 'ann');
    as('ann', 'apply_join_group', GroupId => $live)->code_is(0);
    msg(ann => $live, 'x', To_Account => ['ann'])->code_is(10004, 'live');
    msg(ann => $gid, 'all', To_Account => [])->code_is(0, 'an empty list');
    is words(heard(cid => $gid)), 'all', 'is to all';
};

subtest 'online only, by REST, @' => sub {
    rest('send_group_msg', GroupId => $gid, Random => $random++,
         From_Account => 'ann', OnlineOnlyFlag => 1, To_Account => ['bob'],
         MsgBody => text('now'))->code_is(0);
    rest('send_group_msg', GroupId => $gid, Random => $random++,
         From_Account => 'bob', To_Account => ['dan'], GroupAtInfo => [
             { GroupAtAllFlag => 0, GroupAt_Account => 'dan' },
             { GroupAtAllFlag => 0, GroupAt_Account => 'cid' },
             { GroupAtAllFlag => 1 }], MsgBody => text('at'))->code_is(0);
    msg(ann => $gid, 'end')->code_is(0);

    is words(heard(bob => $gid)), 'all', 'bob';
    is words(heard(bob => $gid)), 'now', 'online only';
    is words(heard(bob => $gid)), 'at', 'the sender whom REST names';
    is words(heard(cid => $gid)), 'end', 'cid hears neither';

    my $at = $client{dan}->next_event(sub { ($_[0]{Event} // 0) == 12 });
    is_deeply $at->{GroupTips}[0]{GroupAtTips}{GroupAtType}, [1],
        'who was named hears of @, @all is for nobody';
    $client{cid}->no_event(sub { ($_[0]{Event} // 0) == 12 });
};

subtest 'later changes' => sub {
    my $seq = msg(ann => $gid, 'first', To_Account => ['bob'],
                  NeedReadReceipt => 1, SupportMessageExtension => 1)
              ->code_is(0)->json('/MsgSeq');
    my $mod = sub { my ($item) = @_; return $item->{GroupMsgModNotifys}
                                            ? 1 : 0 };

    as('ann', 'openim.modify_group_msg', GroupId => $gid, MsgSeq => $seq,
       MsgVersion => 0, MsgBody => text('second'))->code_is(0);
    ok $client{bob}->next_event($mod), 'bob hears of the change';
    $client{cid}->no_event($mod);
    is history(cid => $gid) =~ /second/ ? 1 : 0, 0, 'cid does not read it';
    as('cid', 'openim.modify_group_msg', GroupId => $gid, MsgSeq => $seq,
       MsgVersion => 0, MsgBody => text('third'));
    unlike $client{cid}->request('openim.modify_group_msg',
        { GroupId => $gid, MsgSeq => $seq, MsgVersion => 0,
          MsgBody => text('x') })->json->{MsgBody} // '', qr/second/,
        'nor by a conflict';

    as('bob', 'group_msg_receipt', GroupId => $gid,
       MsgSeqList => [{ MsgSeq => $seq }])->code_is(0);
    as('cid', 'group_msg_receipt', GroupId => $gid,
       MsgSeqList => [{ MsgSeq => $seq }])->code_is(0);
    as('ann', 'get_group_msg_receipt', GroupId => $gid,
       MsgSeqList => [{ MsgSeq => $seq }])->code_is(0)
        ->json_is('/GroupMsgReceiptList/0/ReadNum', 1, 'one has read it')
        ->json_is('/GroupMsgReceiptList/0/UnreadNum', 0, 'of one');
    as('cid', 'get_group_msg_receipt', GroupId => $gid,
       MsgSeqList => [{ MsgSeq => $seq }])
        ->json_is('/GroupMsgReceiptList/0/Code', 10062, 'not for others');

    my $key = 'openim_msg_ext_http_svc.group_set_key_values';
    my %set = (GroupId => $gid, MsgSeq => $seq, OperateType => 1,
               ExtensionList => [{ Key => 'k', Value => 'v', Seq => 0 }]);
    as('bob', $key, %set)->code_is(0);
    as('cid', $key, %set)->code_is(23004);
    my $ext = sub { $_[0]{MsgExtensionNotify} ? 1 : 0 };
    ok $client{ann}->next_event($ext), 'the sender hears of extensions';
    $client{cid}->no_event($ext);

    as('ann', 'group_msg_recall', GroupId => $gid,
       MsgSeqList => [{ MsgSeq => $seq }])->code_is(0);
    my $gone = sub { $_[0]{GroupTips} && $_[0]{GroupTips}[0]{MsgBody}
                     {GroupWithdrawInfoArray} ? 1 : 0 };
    ok $client{bob}->next_event($gone), 'bob hears of the recall';
    $client{cid}->no_event($gone);
    like history(bob => $gid), qr/second$/, 'recalled, for who saw it';
    like history(cid => $gid), qr/-$/, 'a place for others';
};

subtest 'after a reload' => sub {
    msg(ann => $gid, 'kept', To_Account => ['bob'])->code_is(0);
    $im->reload;
    my ($bob, $cid) = map { $im->ws_login($_) } qw/ bob cid /;
    my $read = sub { $_[0]->request("$svc.group_msg_get", { GroupId => $gid,
        ReqMsgSeq => 0, ReqMsgNumber => 1 })->code_is(0)
        ->json('/RspMsgList/0') };
    is words($read->($bob)), 'kept', 'who was named';
    is $read->($cid)->{IsPlaceMsg}, 1, 'somebody else';
};

$im->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Members of live rooms who are connected by WebSocket, to any worker.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0; tip_rate 0;');

my $svc = 'group_open_http_svc';
my $random = 1;

$im->users('ann', 'bob', 'cid');

sub text { return [{ MsgType => 'TIMTextElem',
                     MsgContent => { Text => "$_[0]" } }] }

sub room {
    return $im->group(Type => 'AVChatRoom', owner => 'ann', @_);
}

# The next message, tip or notice of a room.

sub message {
    my ($ws, $seconds) = @_;
    my $item = $ws->next_event('GroupMsgArray', $seconds // 30);
    return $item && $item->{GroupMsgArray}[0];
}

sub tip {
    my ($ws, $op, $seconds) = @_;
    my $item = $ws->next_event(
        sub { $_[0]{Event} == 6 && $_[0]{GroupTips}[0]{MsgBody}{OpType}
              == $op }, $seconds // 30);
    return $item && $item->{GroupTips}[0];
}

sub notice {
    my ($ws, $type, $seconds) = @_;
    my $item = $ws->next_event(
        sub { $_[0]{Event} == 5 && $_[0]{GroupTips}[0]{MsgBody}{ReportType}
              == $type }, $seconds // 30);
    return $item && $item->{GroupTips}[0];
}

sub send_msg {
    my ($ws, $gid, $text, %body) = @_;
    return $ws->request("$svc.send_group_msg", {
        GroupId => $gid, Random => $random++, MsgBody => text($text),
        MsgPriority => 'Normal', OnlineOnlyFlag => 0, %body });
}

subtest 'join, messages, quit' => sub {
    my $gid = room();
    my $ann = $im->ws_login('ann');
    my $bob = $im->ws_login('bob');

    $ann->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0)
        ->json_is('/JoinedStatus', 'JoinedSuccess')
        ->json_is('/HugeGroupFlag', 1)
        ->json_hasnt('/LongPollingKey');

    $bob->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0);

    my $tip;
    do { $tip = tip($ann, 1) } until $tip->{MsgBody}{Operator_Account} eq 'bob';

    is_deeply $tip->{MsgBody}{List_Account}, ['bob'], 'the tip names him';
    is $tip->{MsgBody}{MemberNum}, 2, 'MemberNum';
    is $tip->{GroupInfo}{GroupType}, 'AVChatRoom', 'GroupInfo';
    is $tip->{From_Account}, '@TIM#SYSTEM', 'From_Account';
    ok $tip->{MsgSeq}, 'a number of its own';

    $bob->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0);
    ok !tip($ann, 1, 0.3), 'joining again is no news';

    my $reply = send_msg($bob, $gid, 'hello', CloudCustomData => 'c',
                         MsgClientTime => 1700000000, ClientSeq => 9)
                ->code_is(0);
    my $msg = message($ann);

    is $msg->{MsgSeq}, $reply->json('/MsgSeq'), 'MsgSeq';
    is $msg->{MsgTimeStamp}, $reply->json('/MsgTime'), 'MsgTimeStamp';
    is $msg->{From_Account}, 'bob', 'From_Account';
    is $msg->{ToGroupId}, $gid, 'ToGroupId';
    is $msg->{MsgClientTime}, 1700000000, 'MsgClientTime';
    is $msg->{TinyId}, $bob->tinyid, 'TinyId';
    is $msg->{ClientSeq}, 9, 'ClientSeq';
    is $msg->{MsgPriority}, 2, 'MsgPriority';
    is $msg->{CloudCustomData}, 'c', 'CloudCustomData';
    is_deeply $msg->{MsgBody}, text('hello'), 'MsgBody';
    ok !message($bob, 0.3), 'the sender hears nothing';

    $im->rest("$svc/send_group_msg", {
        GroupId => $gid, Random => $random++, MsgBody => text('rest'),
        From_Account => 'cid' })->code_is(0);

    is message($_)->{From_Account}, 'cid', 'all hear of it' for $ann, $bob;

    $bob->request("$svc.quit_group", { GroupId => $gid })->code_is(0);
    is tip($ann, 2)->{MsgBody}{MemberNum}, 1, 'a tip to the rest';
    $bob->request("$svc.quit_group", { GroupId => $gid })->code_is(10007);
    $ann->request("$svc.quit_group", { GroupId => $gid })->code_is(10009);

    send_msg($bob, $gid, 'no')->code_is(10007);
    send_msg($ann, $gid, 'yes')->code_is(0);
    ok !message($bob, 0.3), 'who has left hears nothing';

    $_->close for $ann, $bob;
};

subtest 'one order for everybody' => sub {
    my $gid = room();
    my @ws = map { $im->ws_login('ann') } 1;
    my @all = map { $im->ws_login($_) } qw/ bob cid /;

    $_->request("$svc.apply_join_group", { GroupId => $gid }) for @all;

    for my $n (1 .. 20) {
        send_msg($ws[0], $gid, $n, MsgPriority => 'High')->code_is(0);
    }

    for my $ws (@all) {
        my @msgs = map { message($ws) } 1 .. 20;

        is_deeply [map { $_->{MsgBody}[0]{MsgContent}{Text} } @msgs],
            [1 .. 20], 'in order';

        my @seqs = map { $_->{MsgSeq} } @msgs;
        is $seqs[-1] - $seqs[0], 19, 'without holes';
    }

    $_->close for @ws, @all;
};

subtest 'information' => sub {
    my $gid = room();
    my $bob = $im->ws_login('bob');

    my $self = sub {
        return $bob->request("$svc.get_group_self_member_info", {
            GroupIdList => [$gid, 'nosuch'],
            ResponseFilter => { GroupBaseInfoFilter => ['Type', 'Name'] } })
            ->code_is(0);
    };

    $self->()->json_is('/GroupInfo/0/SelfInfo/Role', 'NotMember')
            ->json_is('/GroupInfo/0/ErrorCode', 0)
            ->json_is('/GroupInfo/1/ErrorCode', 10010);

    $bob->request("$svc.get_group_info", { GroupIdList => [$gid] })
        ->json_is('/GroupInfo/0/ErrorCode', 10007);
    $bob->request("$svc.get_group_member_info", { GroupId => $gid })
        ->code_is(10007);

    $bob->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0);

    $self->()->json_is('/GroupInfo/0/SelfInfo/Role', 'Member')
            ->json_is('/GroupInfo/0/Type', 'AVChatRoom');

    $bob->request("$svc.get_group_public_info", {
        GroupIdList => [$gid],
        ResponseFilter => { GroupBasePublicInfoFilter => ['MemberNum'] } })
        ->json_is('/GroupInfo/0/ErrorCode', 0)
        ->json_is('/GroupInfo/0/MemberNum', 1);

    $bob->request("$svc.get_group_member_info", {
        GroupId => $gid, Limit => 100, Offset => 0 })->code_is(0)
        ->json_is('/MemberNum', 1)
        ->json_is('/MemberList/0/Member_Account', 'ann')
        ->json_is('/MemberList/1/Member_Account', 'bob');

    $bob->request("$svc.get_group_member_info", {
        GroupId => $gid, MemberRoleFilter => ['Member'],
        MemberInfoFilter => ['Role'] })
        ->json_is('/MemberList', [{ Member_Account => 'bob',
                                    Role => 'Member' }]);

    $bob->request('group_open_avchatroom_http_svc.get_members',
                  { GroupId => $gid, Timestamp => 0 })->code_is(0)
        ->json_is('/MemberList/0/Member_Account', 'bob')
        ->json_is('/NextTimestamp', 0);

    $bob->request("$svc.get_online_member_num", { GroupId => $gid })
        ->code_is(0)->json_is('/OnlineMemberNum', 1);

    $bob->request("$svc.get_joined_group_list", { Member_Account => 'bob' })
        ->code_is(0)->json_is('/TotalCount', 0)->json_is('/GroupIdList', []);
    $bob->request("$svc.get_joined_group_list", { Member_Account => 'ann' })
        ->code_is(10007);
    $bob->request('million_group_open_http_svc.get_joined_group_list',
                  { Member_Account => 'bob' })->code_is(11000);

    $bob->request("$svc.modify_group_base_info",
                  { GroupId => $gid, Name => 'mine' })->code_is(10007);
    $bob->request("$svc.destroy_group", { GroupId => $gid })->code_is(10007);
    $bob->request("$svc.forbid_send_msg", {
        GroupId => $gid, Members_Account => ['cid'], ShutUpTime => 1 })
        ->code_is(10007);
    $bob->request("$svc.send_group_system_notification",
                  { GroupId => $gid, Content => 'x' })->code_is(10007);

    $bob->close;
};

subtest 'create, modify, destroy by the owner' => sub {
    my $ann = $im->ws_login('ann');
    my $bob = $im->ws_login('bob');

    $ann->request("$svc.create_group", {
        Type => 'AVChatRoom', Name => 'x', Owner_Account => 'bob' })
        ->code_is(10007);

    my $seq = $ann->seq;
    my $create = { Type => 'AVChatRoom', Name => 'x', Owner_Account => 'ann',
                   MemberList => [], WebPushFlag => 1 };
    my $gid = $ann->request("$svc.create_group", $create)->code_is(0)
                  ->json('/GroupId');

    $ann->request("$svc.create_group", $create, seq => $seq)->code_is(0)
        ->json_is('/GroupId', $gid, 'a repeated frame creates nothing');

    $_->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0)
        for $ann, $bob;

    $ann->request("$svc.modify_group_base_info",
                  { GroupId => $gid, Name => 'y' })->code_is(0);
    is_deeply tip($bob, 6)->{MsgBody}{MsgGroupNewInfo},
        { GroupName => 'y' }, 'tip 6';

    $im->rest("$svc/send_group_system_notification",
              { GroupId => $gid, Content => 'hear' })->code_is(0);
    is notice($bob, 255)->{MsgBody}{UserDefinedField}, 'hear', 'notice 255';

    $ann->request("$svc.destroy_group", { GroupId => $gid })->code_is(0);
    ok notice($bob, 5), 'notice 5';
    send_msg($bob, $gid, 'x')->code_is(10010);

    $_->close for $ann, $bob;
};

subtest 'bans' => sub {
    my $gid = room();
    my $ann = $im->ws_login('ann');
    my $bob = $im->ws_login('bob');

    $_->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0)
        for $ann, $bob;

    $bob->request("$svc.ban_group_member", {
        GroupId => $gid, Members_Account => ['cid'], Duration => 5 })
        ->code_is(10007);
    $ann->request("$svc.ban_group_member", {
        GroupId => $gid, Members_Account => ['bob'], Duration => 3600,
        Description => 'why' })->code_is(0);

    my $notice = notice($bob, 21);
    is $notice->{MsgBody}{BanDuration}, 3600, 'BanDuration';
    is $notice->{MsgBody}{BanDescription}, 'why', 'BanDescription';
    is_deeply tip($ann, 10)->{MsgBody}{List_Account}, ['bob'], 'tip 10';

    send_msg($ann, $gid, 'x')->code_is(0);
    ok !message($bob, 0.3), 'he hears nothing more';
    send_msg($bob, $gid, 'x')->code_is(10007);
    $bob->request("$svc.apply_join_group", { GroupId => $gid })
        ->code_is(10007);

    $im->rest("$svc/unban_group_member",
              { GroupId => $gid, Members_Account => ['bob'] })->code_is(0);
    $bob->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0);

    $_->close for $ann, $bob;
};

subtest 'mutes reach other workers at once' => sub {
    my $gid = room();
    my $bob = $im->ws_login('bob');

    $bob->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0);
    send_msg($bob, $gid, 1)->code_is(0);

    for (1 .. 3) {
        $im->rest("$svc/forbid_send_msg", {
            GroupId => $gid, Members_Account => ['bob'], ShutUpTime => 60 });
        send_msg($bob, $gid, 2)->code_is(10017);

        $im->rest("$svc/forbid_send_msg", {
            GroupId => $gid, Members_Account => ['bob'], ShutUpTime => 0 });
        send_msg($bob, $gid, 3)->code_is(0);
    }

    $bob->close;
};

subtest 'attributes and counters' => sub {
    my $gid = room();
    my $ann = $im->ws_login('ann');
    my $bob = $im->ws_login('bob');
    my $attr = 'group_open_attr_http_svc.get_group_attr';

    $_->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0)
        for $ann, $bob;

    $ann->request("$svc.set_group_attr", {
        GroupId => $gid, GroupAttr => [{ key => 'song', value => '1' },
                                       { key => 'none', value => '' }],
        AttrMainSeq => 0, AttrControl => ['RaceConflict'] })->code_is(0)
        ->json_is('/AttrMainSeq', 1)
        ->json_is('/GroupAttrAry/0', { key => 'song', seq => 1 });

    is_deeply tip($bob, 6)->{MsgBody}{MsgGroupNewInfo}{GroupAttrOption},
        { AttrMainSeq => 1, OpType => 1, PushChangedAttrValFlag => 1,
          GroupAttrInfo => [{ Key => 'song', Val => '1', SubKeySeq => 1 },
                            { Key => 'none', Val => '', SubKeySeq => 1 }] },
        'the members hear of it';

    $bob->request($attr, { GroupId => $gid })->code_is(0)
        ->json_is('/GroupAttrAry', [{ key => 'song', value => '1', seq => 1 },
                                    { key => 'none', value => '', seq => 1 }]);

    $ann->request("$svc.set_group_attr", {
        GroupId => $gid, GroupAttr => [{ key => 'a', value => '' }],
        AttrMainSeq => 0, AttrControl => ['RaceConflict'] })->code_is(10056);
    $ann->request("$svc.modify_group_attr", {
        GroupId => $gid, GroupAttr => [{ key => 'song', value => '2',
                                         seq => 7 }],
        AttrControl => ['RaceConflict'] })->code_is(10056);
    $ann->request("$svc.modify_group_attr", {
        GroupId => $gid, GroupAttr => [{ key => 'song', value => '2',
                                         seq => 1 }],
        AttrControl => ['RaceConflict'] })->code_is(0)
        ->json_is('/AttrMainSeq', 2);
    $bob->request("$svc.modify_group_attr", {
        GroupId => $gid, GroupAttr => [{ key => 'song', value => '3' }] })
        ->code_is(10007);
    $ann->request("$svc.delete_group_attr", {
        GroupId => $gid, GroupAttr => [{ key => 'other' }] })->code_is(10050);

    $bob->request("$svc.update_group_counter", {
        GroupId => $gid, GroupCounter => [{ Key => 'like', Value => 5 }],
        Mode => 'Increase' })->code_is(0)
        ->json_is('/GroupCounter', [{ Key => 'like', Value => 5 }]);
    $bob->request("$svc.update_group_counter", {
        GroupId => $gid, GroupCounter => [{ Key => 'like', Value => 2 }],
        Mode => 'Decrease' })->code_is(0)
        ->json_is('/GroupCounter', [{ Key => 'like', Value => 3 }]);
    $ann->request("$svc.get_group_counter", { GroupId => $gid })->code_is(0)
        ->json_is('/GroupCounter', [{ Key => 'like', Value => 3 }]);

    $_->close for $ann, $bob;
};

subtest 'a reconnect finds the rooms again' => sub {
    my $gid = room();
    my $ann = $im->ws_login('ann');
    my $bob = $im->ws_login('bob');

    $bob->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0);

    for my $n (1 .. 6) {                  # to both workers
        $n % 2 ? $bob->cut : $bob->close;
        $bob->open->wslogin->code_is(0);

        send_msg($ann, $gid, "m$n")->code_is(0);
        is message($bob)->{MsgBody}[0]{MsgContent}{Text}, "m$n",
            "message after reconnect $n";
    }

    $bob->wslogout;
    $bob->wslogin->code_is(0);
    send_msg($bob, $gid, 'x')->code_is(10007, 'a logout leaves the rooms');

    $_->close for $ann, $bob;
};

subtest 'a worker dies' => sub {
    my $gid = room();
    my $bob = $im->ws_login('bob');

    $bob->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0);

    $im->kill_worker($_) for 0, 1;

    $bob->close->open->wslogin->code_is(0);

    $im->rest("$svc/send_group_msg", {
        GroupId => $gid, Random => $random++, MsgBody => text('alive') })
        ->code_is(0);
    ok message($bob), 'the room goes on';

    $bob->close;
};

done_testing;

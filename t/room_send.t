#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Messages to live rooms by REST, mutes, bans, notifications.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2,
                            app => 'rate 0; group_rate 1000;
                                    group_rate_normal 1000;');

my $svc = 'group_open_http_svc';

$im->users('ann', 'bob');

my $gid = $im->group(Type => 'AVChatRoom', owner => 'ann');
my $random = 1;

sub text { return [{ MsgType => 'TIMTextElem',
                     MsgContent => { Text => "$_[0]" } }] }

sub message {
    my (%body) = @_;

    return $im->rest("$svc/send_group_msg", {
        GroupId => $gid, Random => $random++, MsgBody => text('hi'), %body });
}

subtest 'numbers' => sub {
    my $first = message()->code_is(0)->json('/MsgSeq');
    my $reply = message(From_Account => 'bob')->code_is(0);

    is $reply->json('/MsgSeq'), $first + 1, 'the next one';
    cmp_ok abs($reply->json('/MsgTime') - time), '<', 60, 'MsgTime';
    is $im->group_info($gid)->{NextMsgSeq}, $first + 2, 'NextMsgSeq';
};

subtest 'duplicates' => sub {
    my $first = message(Random => 77)->code_is(0);
    my $again = message(Random => 77)->code_is(0);

    is $again->json('/MsgSeq'), $first->json('/MsgSeq'), 'the same MsgSeq';
    is $again->json('/MsgTime'), $first->json('/MsgTime'), 'the same time';

    isnt message(Random => 77, MsgBody => text('other'))->json('/MsgSeq'),
        $first->json('/MsgSeq'), 'another body';
    isnt message(Random => 77, From_Account => 'bob')->json('/MsgSeq'),
        $first->json('/MsgSeq'), 'another sender';
};

subtest 'refusals' => sub {
    message(Random => undef)->code_is(10004);
    message(Random => '1')->code_is(10004);
    message(Random => 4294967296)->code_is(0);
    message(Random => 4294967297)->code_is(10004);
    message(MsgBody => undef)->code_is(10004);
    message(MsgBody => [])->code_is(10004);
    message(MsgBody => [{ MsgType => "TIMTextElem",
                          MsgContent => { Text => 7 } }])->code_is(10004);
    message(MsgPriority => 'high')->code_is(10004);
    message(OnlineOnlyFlag => 1)->code_is(10004);
    message(To_Account => ['bob'])->code_is(10004);
    message(TopicId => 't')->code_is(11000);
    message(GroupId => 'nosuch')->code_is(10010);
    message(GroupId => '')->code_is(10015);
    message(GroupId => undef)->code_is(10004);
    message(From_Account => 'nobody')->code_is(10019);
    message(MsgBody => text('x' x 12200))->code_is(0);
    message(MsgBody => text('x' x 12300))->code_is(80002);
    message(CloudCustomData => 'x' x 12300)->code_is(80002);

    $im->rest("$svc/send_group_msg", '{')->code_is(10011);
    $im->rest("$svc/send_group_msg", {}, user => 'ann')->code_is(10007);

    for my $prio (qw/ High Normal Low Lowest REDPACKET COMMON LOVEMSG /) {
        message(MsgPriority => $prio)->code_is(0);
    }
};

subtest 'forbid_send_msg' => sub {
    my $mute = sub {
        return $im->rest("$svc/forbid_send_msg", {
            GroupId => $gid, Members_Account => ['bob'], ShutUpTime => 60,
            @_ });
    };

    $mute->()->code_is(0);
    message(From_Account => 'bob')->code_is(10017);
    message()->code_is(0, 'the administrator himself');

    my $reply = $im->rest("$svc/get_group_shutted_uin", { GroupId => $gid })
                   ->code_is(0)->json_is('/GroupId', $gid)
                   ->json_is('/ShuttedUinList/0/Member_Account', 'bob');

    cmp_ok abs($reply->json('/ShuttedUinList/0/ShuttedUntil') - time - 60),
        '<', 60, 'ShuttedUntil';

    $im->rest("$svc/get_group_muted_account", { GroupId => $gid })
       ->code_is(0)->json_is('/MutedAccountList/0/Member_Account', 'bob');

    $mute->(ShutUpTime => 0)->code_is(0);
    message(From_Account => 'bob')->code_is(0);
    $im->rest("$svc/get_group_shutted_uin", { GroupId => $gid })
       ->json_is('/ShuttedUinList', []);

    $mute->(ShutUpTime => undef, MuteTime => 4294967295)->code_is(0);
    message(From_Account => 'bob')->code_is(10017);
    $mute->(ShutUpTime => 0)->code_is(0);

    $mute->(ShutUpTime => undef)->code_is(10004);
    $mute->(ShutUpTime => -1)->code_is(10004);
    $mute->(ShutUpTime => 4294967296)->code_is(10004);
    $mute->(Members_Account => 'bob')->code_is(10004);
    $mute->(Members_Account => ['x' x 33])->code_is(10004);
    $mute->(Members_Account => [map { "u$_" } 1 .. 500])->code_is(0);
    $mute->(Members_Account => [map { "u$_" } 1 .. 501])->code_is(10005);
    $mute->(Members_Account => ['ann'])->code_is(10007);
    $mute->(GroupId => 'nosuch')->code_is(10010);
    $mute->(GroupId => '')->code_is(10015);

    is @{ $im->rest("$svc/get_group_shutted_uin", { GroupId => $gid })
             ->json('/ShuttedUinList') }, 500, 'a long list';
};

subtest 'ShutUpAllMember' => sub {
    $im->rest("$svc/modify_group_base_info",
              { GroupId => $gid, ShutUpAllMember => 'On' })->code_is(0);

    message(From_Account => 'bob')->code_is(10017);
    message(From_Account => 'ann')->code_is(0);
    message()->code_is(0);

    $im->rest("$svc/modify_group_base_info",
              { GroupId => $gid, ShutUpAllMember => 'Off' })->code_is(0);

    message(From_Account => 'bob')->code_is(0);
};

subtest 'send_group_system_notification' => sub {
    my $notify = sub {
        return $im->rest("$svc/send_group_system_notification", {
            GroupId => $gid, Content => 'hear', @_ });
    };

    $notify->()->code_is(0);
    $notify->(ToMembers_Account => [])->code_is(0);
    $notify->(ToMembers_Account => ['bob'])->code_is(10004);
    $notify->(ToMembers_Account => 'bob')->code_is(10004);
    $notify->(Content => undef)->code_is(10004);
    $notify->(Content => 'x' x 12288)->code_is(0);
    $notify->(Content => 'x' x 12289)->code_is(80002);
    $notify->(GroupId => 'nosuch')->code_is(10010);
    $notify->(GroupId => '')->code_is(10015);
};

subtest 'bans' => sub {
    my $ban = sub {
        return $im->rest("$svc/ban_group_member", {
            GroupId => $gid, Members_Account => ['bob'], Duration => 60,
            @_ });
    };

    my $list = sub {
        return $im->rest("$svc/get_group_ban_member", {
            GroupId => $gid, Offset => 0, @_ })->code_is(0);
    };

    $ban->()->code_is(0);
    $list->()->json_is('/BannedAccountList/0/Member_Account', 'bob')
             ->json_is('/NextOffset', 0);

    $im->rest("$svc/unban_group_member",
              { GroupId => $gid, Members_Account => ['bob'] })->code_is(0);
    $list->()->json_is('/BannedAccountList', []);

    $ban->(Members_Account => [map { "b$_" } 1 .. 20])->code_is(0);
    $ban->(Members_Account => [map { "b$_" } 1 .. 21])->code_is(10005);

    $list->(Limit => 15)->json_is('/NextOffset', 15);
    is @{ $list->(Limit => 15, Offset => 15)->json('/BannedAccountList') }, 5,
        'the second page';

    $ban->(Duration => 0)->code_is(10004);
    $ban->(Duration => undef)->code_is(10004);
    $ban->(Description => 'x' x 1001)->code_is(10004);
    $ban->(GroupId => 'nosuch')->code_is(10010);
};

subtest 'numbers go on after a power cut' => sub {
    my $last = message()->json('/MsgSeq');

    $im->kill9_all->start;

    cmp_ok message()->code_is(0)->json('/MsgSeq'), '>', $last,
        'none is used twice';
};

done_testing;

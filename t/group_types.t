#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Types of groups that an app adds or changes, made of switches.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $svc = 'group_open_http_svc';

my $im = Test::IM->new->run(workers => 2, app => <<'END');
rate 0;
group_type OAGroup base=Work history_unlimited=1 kick_mode=1
           activate_by_first_msg=0 max_member=3 default_msg_flag=1;
group_type Forum base=Public default_apply_option=2 owner_may_quit=1
           admins_settable=0 member_change_notice=2 mute_supported=0
           unread_supported=0 public_profile=0 owner_may_dissolve=0;
group_type Desk base=Forum member_may_modify_profile=1 apply_allowed=0
           kick_mode=2;
group_type Stage base=AVChatRoom guest_read=0 store_members=2
           msg_per_second=1 owner_may_dissolve=0;
group_type Public max_member=7;
END

$im->users(qw/ ann bob cid dan /);

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

my %client = map { $_ => $im->ws_login($_) } qw/ ann bob cid /;

sub as {
    my ($user, $name, %body) = @_;
    return $client{$user}->request("$svc.$name", \%body);
}

my $random = 1;

sub text { [{ MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } }] }

sub say_in {
    my ($user, $gid, $text) = @_;
    return as($user, 'send_group_msg', GroupId => $gid, Random => $random++,
              MsgBody => text($text));
}

subtest 'names' => sub {
    for (qw/ Work Meeting /) {
        my $gid = $im->group(Type => $_, owner => 'ann');
        like $im->group_info($gid)->{Type}, qr/^(Private|ChatRoom)$/,
            "$_ is stored under its old name";
    }

    rest('create_group', Type => $_, Name => 'x')->code_is(10004, $_)
        for qw/ work oagroup Nope Community /;

    my $gid = $im->group(Type => 'OAGroup', owner => 'ann');
    is $im->group_info($gid)->{Type}, 'OAGroup', 'an own name';

    my $list = sub { rest('get_appid_group_list', GroupType => $_[0]) };
    sleep 1;        # once a second
    is_deeply $list->('OAGroup')->code_is(0)->json('/GroupIdList'),
        [{ GroupId => $gid }], 'get_appid_group_list';
    sleep 1;
    $list->('Nope')->code_is(10004);

    is rest('get_joined_group_list', Member_Account => 'ann',
            GroupType => 'OAGroup')->json('/TotalCount'), 1,
        'get_joined_group_list';
    is rest('get_joined_group_list', Member_Account => 'ann',
            GroupType => 'Private')->json('/TotalCount'), 1,
        'it is not its base';
};

subtest 'OAGroup' => sub {
    my $gid = $im->group(Type => 'OAGroup', owner => 'ann',
                         members => ['bob']);

    is $im->group_info($gid)->{MaxMemberNum}, 3, 'max_member';
    rest('create_group', Type => 'OAGroup', Name => 'x',
         MaxMemberCount => 4)->code_is(10004);
    is rest('get_joined_group_list', Member_Account => 'bob',
            GroupType => 'OAGroup')->json('/TotalCount'), 1,
        'activate_by_first_msg';

    say_in(ann => $gid, 'before')->code_is(0);
    as('bob', 'add_group_member', GroupId => $gid,
       MemberList => [{ Member_Account => 'cid' }])->code_is(0)
        ->json_is('/MemberList/0/Result', 1, 'invite_mode of the base');

    my $list = as('cid', 'group_msg_get', GroupId => $gid, ReqMsgSeq => 0,
                  ReqMsgNumber => 10)->json('/RspMsgList');
    ok +(grep { ref $_->{MsgBody} eq 'ARRAY' && @{ $_->{MsgBody} }
                && $_->{MsgBody}[0]{MsgContent}{Text} eq 'before' } @$list),
        'history_unlimited';

    my ($cid) = grep { $_->{Member_Account} eq 'cid' }
                @{ $im->group_info($gid)->{MemberList} };
    is $cid->{MsgFlag}, 'Discard', 'default_msg_flag';

    as('cid', 'delete_group_member', GroupId => $gid,
       MemberToDel_Account => ['bob'])->code_is(0, 'kick_mode 1');
    is $im->group_info($gid)->{MemberNum}, 2, 'bob is out';
};

subtest 'Forum' => sub {
    my $gid = $im->group(Type => 'Forum', owner => 'ann');

    is $im->group_info($gid)->{ApplyJoinOption}, 'FreeAccess',
        'default_apply_option';
    as('cid', 'get_group_public_info', GroupIdList => [$gid])
        ->json_is('/GroupInfo/0/ErrorCode', 10007, 'public_profile');
    as('cid', 'apply_join_group', GroupId => $gid)->code_is(0)
        ->json_is('/JoinedStatus', 'JoinedSuccess');

    my $tip = $client{ann}->next_event(sub {
        ($_[0]{GroupTips}[0]{ToGroupId} // '') eq $gid
        && $_[0]{GroupTips}[0]{MsgBody}{OpType} });
    is $tip->{Event}, 6, 'member_change_notice 2: not stored';
    is $im->group_info($gid)->{NextMsgSeq}, 1, 'without a number';

    rest('modify_group_member_info', GroupId => $gid, Role => 'Admin',
         Member_Account => 'cid')->code_is(10007, 'admins_settable');
    rest('forbid_send_msg', GroupId => $gid, ShutUpTime => 60,
         Members_Account => ['cid'])->code_is(10007, 'mute_supported');

    say_in(ann => $gid, 'hi')->code_is(0);
    is rest('get_joined_group_list', Member_Account => 'cid',
            GroupType => 'Forum',
            ResponseFilter => { SelfInfoFilter => ['UnreadMsgNum'] })
       ->json('/GroupIdList/0/SelfInfo/UnreadMsgNum'), 0, 'unread_supported';

    as('ann', 'destroy_group', GroupId => $gid)
        ->code_is(10007, 'owner_may_dissolve');
    as('ann', 'quit_group', GroupId => $gid)->code_is(0, 'owner_may_quit');
    is $im->group_info($gid)->{Owner_Account}, '', 'there is no owner';
};

subtest 'Desk, which is based on Forum' => sub {
    my $gid = $im->group(Type => 'Desk', owner => 'ann', members => ['bob']);

    as('bob', 'modify_group_base_info', GroupId => $gid, Name => 'desk')
        ->code_is(0, 'member_may_modify_profile');
    as('cid', 'apply_join_group', GroupId => $gid)
        ->code_is(10007, 'apply_allowed');
    rest('delete_group_member', GroupId => $gid,
         MemberToDel_Account => ['bob'])->code_is(10004, 'kick_mode 2');
    is $im->group_info($gid)->{ApplyJoinOption}, 'DisableApply',
        'nobody can apply';
};

subtest 'Stage' => sub {
    my $gid = $im->group(Type => 'Stage', owner => 'ann');
    my $guest = $im->ws;

    $guest->open;
    $guest->request('group_open_http_noauth_svc.apply_join_group',
                    { GroupId => $gid })->code_is(10007, 'guest_read');

    as($_, 'apply_join_group', GroupId => $gid)->code_is(0)
        ->json_is('/HugeGroupFlag', 1) for qw/ ann bob cid /;
    is scalar @{ $im->group_info($gid)->{MemberList} }, 2, 'store_members';
    as('ann', 'destroy_group', GroupId => $gid)->code_is(10007);

    # all at once
    my $dropped = grep {
        ($client{bob}->answer($_)->json('/MsgDropReason') // '') ne ''
    } map {
        $client{bob}->send_request("$svc.send_group_msg", { GroupId => $gid,
            Random => $random++, MsgBody => text("n$_") })
    } 1 .. 6;

    cmp_ok $dropped, '>=', 3, 'msg_per_second';
};

subtest 'a built-in type with another limit' => sub {
    is $im->group_info($im->group(owner => 'ann'))->{MaxMemberNum}, 7,
        'max_member of Public';
    is $im->group_info($im->group(Type => 'Forum', owner => 'ann'))
        ->{MaxMemberNum}, 2000, 'what was based on it before';
};

subtest 'of one app only' => sub {
    my $two = Test::IM->new->run(app => 'rate 0;');

    $two->users('ann');
    $two->rest("$svc/create_group", { Type => 'Forum', Name => 'x' })
        ->code_is(10004);
    $two->finish;
};

$im->finish;
done_testing;

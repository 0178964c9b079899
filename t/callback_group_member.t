#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Callbacks of stored groups: invitations, members, messages, the end.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Receiver;
use Test::More;

my $svc = 'group_open_http_svc';
my $invite = 'Group.CallbackBeforeInviteJoinGroup';
my $joined = 'Group.CallbackAfterNewMemberJoin';
my $full = 'Group.CallbackAfterGroupFull';
my $gone = 'Group.CallbackAfterGroupDestroyed';
my $create = 'Group.CallbackBeforeCreateGroup';
my $before = 'Group.CallbackBeforeSendMsg';
my $after = 'Group.CallbackAfterSendMsg';

my $app = Test::IM::Receiver->new->start;

my $im = Test::IM->new->run(workers => 2,
    app => 'rate 0; callback ' . $app->url . ' all timeout=20s;');

$im->users(qw/ ann bob cid dan eve /);

my ($ann, $bob, $cid) = map { $im->ws_login($_) } qw/ ann bob cid /;
my $random = 1;

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

sub text { [{ MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } }] }

sub list { [map { { Member_Account => $_ } } @_] }

sub add { my ($gid, @users) = @_;
          return rest('add_group_member', GroupId => $gid,
                      MemberList => list(@users)) }

# the only request of a command so far
sub body {
    my ($command) = @_;

    my @list = $app->wait_requests($command, 1);
    is @list, 1, "$command once";

    my $body = $list[0]{body};
    like delete $body->{EventTime}, qr/^\d{13}$/, 'EventTime';
    is delete $body->{CallbackCommand}, $command, 'CallbackCommand';

    return $body;
}

# a later event of the same group tells that there was none before
sub none {
    my ($gid, @commands) = @_;

    rest('modify_group_base_info', GroupId => $gid, Name => 'n' . $random++)
        ->code_is(0);
    $app->wait_requests('Group.CallbackAfterGroupInfoChanged', 1);
    is scalar(my @list = $app->requests($_)), 0, "no $_" for @commands;
}

subtest 'invitations' => sub {
    my $gid = $im->group(owner => 'ann');

    $app->clear;
    $app->answer($invite => { RefusedMembers_Account => ['cid', 'nobody'] });
    add($gid, qw/ bob cid ghost ann bob /)->code_is(0)
        ->json_is('/MemberList', [
            { Member_Account => 'bob', Result => 1 },
            { Member_Account => 'cid', Result => 0 },
            { Member_Account => 'ghost', Result => 0 },
            { Member_Account => 'ann', Result => 2 },
            { Member_Account => 'bob', Result => 2 } ]);

    is_deeply body($invite), { GroupId => $gid, Type => 'Public',
        Operator_Account => 'administrator',
        DestinationMembers => list(qw/ bob cid ann /) }, 'asked';
    is_deeply body($joined), { GroupId => $gid, Type => 'Public',
        JoinType => 'Invited', Operator_Account => 'administrator',
        NewMemberList => list('bob') }, 'told';

    for ([1, 10016], [2, 10016], [120005, 120005], [10199, 10199]) {
        my ($verdict, $code) = @$_;

        $app->clear;
        $app->answer($invite => { ErrorCode => $verdict });
        add($gid, 'dan')->code_is($code, "verdict $verdict");
    }

    is $im->group_info($gid)->{MemberNum}, 2, 'nobody was added';
    none($gid, $joined);

    $app->clear;
    $app->answer($invite => { RefusedMembers_Account => ['dan'] });
    add($gid, 'dan')->code_is(0)->json_is('/MemberList/0/Result', 0, 'all');

    my $private = $im->group(Type => 'Private', owner => 'bob');
    $app->clear;
    $app->answer($invite => {}, mode => 'hold');
    my $seq = $bob->send_request("$svc.add_group_member",
        { GroupId => $private, MemberList => list('cid') });
    $app->wait_requests($invite, 1);
    rest('delete_group_member', GroupId => $private,
         MemberToDel_Account => ['bob'])->code_is(0);
    $app->release;
    $bob->answer($seq)->code_is(10010, 'the group has gone meanwhile');

    $app->clear;
    rest('import_group_member', GroupId => $gid, MemberList => list('eve'))
        ->code_is(0);
    none($gid, $invite, $joined);
};

subtest 'a full group' => sub {
    my $gid = $im->group(owner => 'ann', MaxMemberCount => 3,
                         ApplyJoinOption => 'FreeAccess');

    $app->clear;
    add($gid, 'bob')->code_is(0);
    none($gid, $full);

    $app->clear;
    add($gid, qw/ dan eve /)->code_is(10014);
    is_deeply body($full), { GroupId => $gid }, 'refused as full';

    $app->clear;
    add($gid, 'dan')->code_is(0);
    is_deeply body($full), { GroupId => $gid }, 'filled';

    $app->clear;
    $cid->request("$svc.apply_join_group", { GroupId => $gid })
        ->code_is(10014);
    is_deeply body($full), { GroupId => $gid }, 'an application';
    none($gid, 'Group.CallbackBeforeApplyJoinGroup');

    rest('modify_group_base_info', GroupId => $gid,
         ApplyJoinOption => 'NeedPermission')->code_is(0);
    $app->clear;
    $cid->request("$svc.apply_join_group", { GroupId => $gid })
        ->code_is(10014, 'nobody is asked to approve it');
    is_deeply body($full), { GroupId => $gid }, 'told';

    $app->clear;
    rest('delete_group_member', GroupId => $gid,
         MemberToDel_Account => ['dan'])->code_is(0);
    rest('import_group_member', GroupId => $gid, MemberList => list('eve'))
        ->code_is(0);
    none($gid, $full);
};

subtest 'approval' => sub {
    my $gid = $im->group(owner => 'ann');

    $app->clear;
    $cid->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0);
    is_deeply body('Group.CallbackBeforeApplyJoinGroup'),
        { GroupId => $gid, Type => 'Public', Requestor_Account => 'cid' },
        'asked';

    my $notice = $ann->next_event(sub {
        ($_[0]{GroupTips}[0]{ToGroupId} // '') eq $gid
        && ($_[0]{GroupTips}[0]{MsgBody}{ReportType} // 0) == 1 });
    $notice = $notice->{GroupTips}[0]{MsgBody};

    $ann->request("$svc.handle_apply_join_group", { GroupId => $gid,
        Applicant_Account => 'cid', HandleMsg => 'Agree',
        Authentication => $notice->{Authentication},
        MsgKey => $notice->{MsgKey} })->code_is(0);

    is_deeply body($joined), { GroupId => $gid, Type => 'Public',
        JoinType => 'Apply', Operator_Account => 'ann',
        NewMemberList => list('cid') }, 'told';
};

subtest 'how many groups somebody has created' => sub {
    my $new = sub { my ($type) = @_;
        $app->clear;
        $im->group(Type => $type, owner => 'eve');
        my $body = body($create);
        return "$body->{CreatedNum} $body->{CreateGroupNum}";
    };

    is $new->('Public'), '0 0', 'none';
    is $new->('Public'), '1 1', 'one';
    is $new->('ChatRoom'), '0 0', 'none of this type';
    is $new->('AVChatRoom'), '0 0', 'of a live one';
    is $new->('AVChatRoom'), '1 1', 'one live room';
};

subtest 'the end' => sub {
    my $gid = $im->group(owner => 'ann', members => [qw/ bob cid /]);

    $app->clear;
    $ann->request("$svc.destroy_group", { GroupId => $gid })->code_is(0);
    my $body = body($gone);
    is_deeply [sort map { $_->{Member_Account} }
               @{ delete $body->{MemberList} }], [qw/ ann bob cid /],
        'all members';
    is_deeply $body, { GroupId => $gid, Type => 'Public', Name => 'group',
                       Owner_Account => 'ann' }, 'told';
};

subtest 'a message that is rewritten' => sub {
    my $gid = $im->group(owner => 'ann', members => [qw/ bob cid /]);
    my %msg = (GroupId => $gid, Random => 4242, MsgBody => text('call 12345'));

    $app->clear;
    $app->answer($before => { MsgBody => text('call ***'),
                              CloudCustomData => 'seen' });

    my $seq = $ann->request("$svc.send_group_msg", { %msg })->code_is(0)
              ->json('/MsgSeq');

    my $got = $bob->next_event(sub { $_[0]{GroupMsgArray}
        && $_[0]{GroupMsgArray}[0]{ToGroupId} eq $gid })->{GroupMsgArray}[0];
    is_deeply $got->{MsgBody}, text('call ***'), 'delivered';
    is $got->{CloudCustomData}, 'seen', 'with the other text';

    is_deeply body($after)->{MsgBody}, text('call ***'), 'told';

    for my $reply ($cid->request("$svc.group_msg_get", { GroupId => $gid,
                       ReqMsgSeq => $seq, ReqMsgNumber => 1 }),
                   rest('group_msg_get_simple', GroupId => $gid,
                        ReqMsgNumber => 1))
    {
        my $row = $reply->code_is(0)->json('/RspMsgList/0');
        is_deeply $row->{MsgBody}, text('call ***'), 'stored';
        is $row->{CloudCustomData}, 'seen', 'with it';
    }

    $ann->request("$svc.send_group_msg", { %msg })->code_is(0)
        ->json_is('/MsgSeq', $seq, 'the same message once more');
    is scalar(my @list = $app->requests($before)), 1, 'it is asked about once';

    $app->clear;
    $app->answer($before => { MsgBody => [{ MsgType => 'Nonsense' }] });
    $ann->request("$svc.send_group_msg", { %msg, Random => 4243 })
        ->code_is(0);
    is_deeply body($after)->{MsgBody}, text('call 12345'),
        'what is no message changes nothing';
    $im->allow_log(qr/has answered with an illegal message/);
};

$im->finish;
done_testing;

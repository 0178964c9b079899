#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Bans from stored groups.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0;');
my $svc = 'group_open_http_svc';

$im->users(qw/ ann bob cid dan /);

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

sub role {
    my ($gid, $user) = @_;
    return rest('get_role_in_group', GroupId => $gid,
                User_Account => [$user])->json('/UserIdList/0/Role');
}

sub add {
    my ($gid, $user) = @_;
    return rest('add_group_member', GroupId => $gid,
                MemberList => [{ Member_Account => $user }]);
}

sub notice {
    my ($ws, $type) = @_;
    my $item = $ws->next_event(
        sub { $_[0]{Event} == 5 && $_[0]{GroupTips}[0]{MsgBody}{ReportType}
              == $type });
    return $item && $item->{GroupTips}[0]{MsgBody};
}

subtest 'a member is banned' => sub {
    my $gid = $im->group(Type => 'ChatRoom', owner => 'ann',
                         members => [qw/ bob cid /]);
    my $bob = $im->ws_login('bob');

    rest('ban_group_member', GroupId => $gid, Members_Account => ['bob'],
         Duration => 600, Description => 'spam')->code_is(0);

    is role($gid, 'bob'), 'NotMember', 'he is out';
    is $im->group_info($gid)->{MemberNum}, 2, 'MemberNum';
    is notice($bob, 4)->{RemarkInfo}, 'spam', 'he is told why';

    $bob->request("$svc.apply_join_group", { GroupId => $gid })
        ->code_is(10007);
    add($gid, 'bob')->code_is(0)->json_is('/MemberList/0/Result', 0);
    rest('import_group_member', GroupId => $gid, MemberList =>
         [{ Member_Account => 'bob' }])->code_is(0)
        ->json_is('/MemberList/0/Result', 0);

    my $list = rest('get_group_ban_member', GroupId => $gid, Offset => 0)
               ->code_is(0)->json_is('/NextOffset', 0);
    is $list->json('/BannedAccountList/0/Member_Account'), 'bob', 'listed';
    cmp_ok $list->json('/BannedAccountList/0/BannedUntil'), '>', time + 500,
        'until';

    rest('unban_group_member', GroupId => $gid, Members_Account => ['bob'])
        ->code_is(0);
    rest('get_group_ban_member', GroupId => $gid, Offset => 0)
        ->json_is('/BannedAccountList', []);
    $bob->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0);
    is role($gid, 'bob'), 'Member', 'he is back';
    $bob->close;
};

subtest 'it ends by itself' => sub {
    my $gid = $im->group(Type => 'ChatRoom', owner => 'ann');
    my $bob = $im->ws_login('bob');

    # again, if it has ended before the machine comes to ask
    for my $duration (2, 5, 10) {
        my $start = time;
        rest('ban_group_member', GroupId => $gid, Members_Account => ['bob'],
             Duration => $duration)->code_is(0);
        my $reply = $bob->request("$svc.apply_join_group",
                                  { GroupId => $gid });
        next if time - $start >= $duration && $duration < 10;
        $reply->code_is(10007);
        last;
    }

    ok $im->wait_for(sub {
        $bob->request("$svc.apply_join_group", { GroupId => $gid })->code == 0
    }), 'he can join';
    $bob->close;
};

subtest 'who was banned is not approved' => sub {
    my $gid = $im->group(owner => 'ann');
    my $ann = $im->ws_login('ann');
    my $bob = $im->ws_login('bob');

    $bob->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0)
        ->json_is('/JoinedStatus', 'WaitAdminApproval');

    my $apply = notice($ann, 1);

    rest('ban_group_member', GroupId => $gid, Members_Account => ['bob'],
         Duration => 600)->code_is(0);

    my %handle = (GroupId => $gid, Applicant_Account => 'bob',
                  HandleMsg => 'Agree', ApprovalMsg => '',
                  Authentication => $apply->{Authentication},
                  MsgKey => $apply->{MsgKey});

    $ann->request("$svc.handle_apply_join_group", \%handle)->code_is(10007);
    is role($gid, 'bob'), 'NotMember', 'no member';

    rest('unban_group_member', GroupId => $gid, Members_Account => ['bob'])
        ->code_is(0);
    $ann->request("$svc.handle_apply_join_group", \%handle)->code_is(0);
    is role($gid, 'bob'), 'Member', 'a member';
    $_->close for $ann, $bob;
};

subtest 'who may ban whom' => sub {
    my $gid = $im->group(owner => 'ann', members => [qw/ bob cid dan /]);

    rest('modify_group_member_info', GroupId => $gid, Role => 'Admin',
         Member_Account => $_)->code_is(0) for qw/ bob cid /;

    my $ban = sub { { GroupId => $gid, Members_Account => [$_[0]],
                      Duration => 9 } };
    my $bob = $im->ws_login('bob');
    my $dan = $im->ws_login('dan');

    $dan->request("$svc.ban_group_member", $ban->('cid'))->code_is(10007);
    $bob->request("$svc.ban_group_member", $ban->('ann'))->code_is(10007);
    $bob->request("$svc.ban_group_member", $ban->('cid'))->code_is(10007);
    $bob->request("$svc.ban_group_member", $ban->('dan'))->code_is(0);
    rest('ban_group_member', %{ $ban->('ann') })->code_is(10007);
    rest('ban_group_member', %{ $ban->('cid') })->code_is(0);
    is role($gid, 'cid'), 'NotMember', 'the admin is out';
    $_->close for $bob, $dan;
};

subtest 'refusals' => sub {
    my $gid = $im->group(owner => 'ann');
    my %ban = (GroupId => $gid, Members_Account => ['bob'], Duration => 9);

    rest('ban_group_member', %ban, @$_[1 .. $#$_])->code_is($$_[0])
        for [10004, Duration => 0], [10004, Duration => 4294967296],
            [10004, Duration => undef], [10004, Description => 'x' x 1001],
            [10005, Members_Account => [map { "u$_" } 1 .. 21]],
            [10010, GroupId => 'nosuch'], [10015, GroupId => ''];

    my $room = $im->group(Type => 'BChatRoom');
    rest('ban_group_member', %ban, GroupId => $room)->code_is(10007);
    rest('get_group_ban_member', GroupId => $room, Offset => 0)
        ->code_is(10007);
    rest('get_group_ban_member', GroupId => $gid, Offset => 0, Limit => 101)
        ->code_is(10004);
};

$im->finish;
done_testing;

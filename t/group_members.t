#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Stored groups: creation, members, roles, owner, leaving, dissolving.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0;');
my $svc = 'group_open_http_svc';

$im->users(qw/ ann bob cid dan eve /);

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

sub roles {
    my ($gid, @users) = @_;

    return join ' ', map { $_->{Role} }
           @{ rest('get_role_in_group', GroupId => $gid,
                   User_Account => \@users)->code_is(0)
              ->json('/UserIdList') };
}

subtest 'creation' => sub {
    my $gid = rest('create_group', Type => 'Public', Name => 'chess',
        Owner_Account => 'ann', MemberList => [
            { Member_Account => 'bob', Role => 'Admin' },
            { Member_Account => 'cid' }, { Member_Account => 'cid' },
            { Member_Account => 'ann' } ])->code_is(0)->json('/GroupId');

    is roles($gid, qw/ ann bob cid dan /), 'Owner Admin Member NotMember',
        'roles';

    my $info = $im->group_info($gid);
    is $info->{MemberNum}, 3, 'MemberNum';
    is $info->{NextMsgSeq}, 1, 'NextMsgSeq';
    is $info->{MaxMemberNum}, 2000, 'MaxMemberNum';
    is scalar @{ $info->{MemberList} }, 3, 'MemberList';

    my $new = sub { rest('create_group', Type => 'Public', Name => 'x', @_) };

    $new->(MemberList => [{ Member_Account => 'nobody' }])->code_is(10019);
    $new->(Type => 'Private', MemberList =>
           [{ Member_Account => 'bob', Role => 'Admin' }])->code_is(10004);
    $new->(Owner_Account => 'ann', MemberList =>
           [{ Member_Account => 'ann', Role => 'Admin' }])->code_is(10004);
    $new->(MaxMemberCount => 1, Owner_Account => 'ann', MemberList =>
           [{ Member_Account => 'bob' }])->code_is(10004);
    $new->(GroupId => 'own', Owner_Account => 'ann')->code_is(0);
    $new->(GroupId => 'own', Owner_Account => 'bob')->code_is(10021);
    $new->(GroupId => 'own', Owner_Account => 'ann')->code_is(10025);
};

subtest 'adding and removing' => sub {
    my $gid = $im->group(owner => 'ann', MaxMemberCount => 3);
    my $add = sub { rest('add_group_member', GroupId => $gid,
                         MemberList => [map { { Member_Account => $_ } } @_])
    };

    $add->(qw/ bob nobody ann bob /)->code_is(0)->json_is('/MemberList', [
        { Member_Account => 'bob', Result => 1 },
        { Member_Account => 'nobody', Result => 0 },
        { Member_Account => 'ann', Result => 2 },
        { Member_Account => 'bob', Result => 2 } ]);
    $add->(qw/ cid dan /)->code_is(10014);
    is $im->group_info($gid)->{MemberNum}, 2, 'nobody was added';
    $add->('nobody')->code_is(10019);
    $add->('cid')->code_is(0);
    $add->(map { "u$_" } 1 .. 501)->code_is(10005);
    rest('add_group_member', GroupId => 'nosuch', MemberList => [])
        ->code_is(10010);
    rest('add_group_member', GroupId => $gid)->code_is(10004);

    my $del = sub { rest('delete_group_member', GroupId => $gid,
                         MemberToDel_Account => [@_]) };

    $del->('ann')->code_is(10007);
    $del->(qw/ bob dan /)->code_is(0);
    is roles($gid, qw/ ann bob cid /), 'Owner NotMember Member', 'bob is out';
    is $im->group_info($gid)->{MemberNum}, 2, 'MemberNum';

    my $live = $im->group(Type => 'AVChatRoom', owner => 'ann');
    rest('add_group_member', GroupId => $live, MemberList =>
         [{ Member_Account => 'bob' }])->code_is(10007);
    rest('delete_group_member', GroupId => $live,
         MemberToDel_Account => ['bob'])->code_is(10004);
    rest('get_role_in_group', GroupId => $live, User_Account => ['bob'])
        ->code_is(10007);
};

subtest 'member list' => sub {
    my $gid = $im->group(owner => 'ann', members => [qw/ bob cid /]);
    my $list = sub { rest('get_group_member_info', GroupId => $gid, @_)
                     ->code_is(0) };

    my $reply = $list->();
    is $reply->json('/MemberNum'), 3, 'MemberNum';
    is_deeply [sort keys %{ $reply->json('/MemberList/0') }],
        [qw/ JoinTime LastSendMsgTime Member_Account MsgFlag MsgSeq NameCard
             Role ShutUpUntil /], 'all fields';
    is scalar @{ $list->(Limit => 2)->json('/MemberList') }, 2, 'Limit';
    is scalar @{ $list->(Limit => 2, Offset => 2)->json('/MemberList') }, 1,
        'Offset';
    $list->(MemberRoleFilter => ['Owner'], MemberInfoFilter => ['Role'])
        ->json_is('/MemberList', [{ Member_Account => 'ann',
                                    Role => 'Owner' }]);
};

subtest 'changes of a member' => sub {
    my $gid = $im->group(owner => 'ann', members => ['bob']);
    my $set = sub { rest('modify_group_member_info', GroupId => $gid,
                         Member_Account => 'bob', @_) };

    $set->(Role => 'Admin', NameCard => 'Bobby', MsgFlag => 'Discard',
           ShutUpTime => 600)->code_is(0);

    my ($bob) = grep { $_->{Member_Account} eq 'bob' }
                @{ $im->group_info($gid)->{MemberList} };

    is "@$bob{qw/ Role NameCard MsgFlag /}", 'Admin Bobby Discard', 'set';
    cmp_ok $bob->{ShutUpUntil}, '>', time + 500, 'muted';

    $set->(Role => 'Owner')->code_is(10004);
    $set->(MsgFlag => 'x')->code_is(10004);
    $set->(NameCard => 'x' x 51)->code_is(10004);
    $set->(AppMemberDefinedData => [{ Key => 'k', Value => 'v' }])
        ->code_is(10004);
    $set->(Member_Account => 'dan', NameCard => 'x')->code_is(10007);
    $set->(Member_Account => 'ann', Role => 'Member')->code_is(10004);
    $set->(GroupId => 'nosuch')->code_is(10010);

    my $private = $im->group(Type => 'Private', owner => 'ann',
                             members => ['bob']);
    $set->(GroupId => $private, ShutUpTime => 1)->code_is(10007);
    $set->(GroupId => $private, Role => 'Admin')->code_is(10007);
    rest('forbid_send_msg', GroupId => $private, ShutUpTime => 1,
         Members_Account => ['bob'])->code_is(10007);
    rest('get_group_shutted_uin', GroupId => $private)->code_is(0)
        ->json_is('/ShuttedUinList', []);
};

subtest 'owner' => sub {
    my $gid = $im->group(owner => 'ann', members => ['bob']);
    my $to = sub { rest('change_group_owner', GroupId => $gid,
                        NewOwner_Account => $_[0]) };

    $to->('dan')->code_is(10007);
    $to->('')->code_is(10004);
    $to->('bob')->code_is(0);
    is roles($gid, qw/ ann bob /), 'Member Owner', 'roles are swapped';
    is $im->group_info($gid)->{Owner_Account}, 'bob', 'Owner_Account';
    is $im->group_info($gid)->{InfoSeq}, 2, 'InfoSeq';

    rest('change_group_owner', NewOwner_Account => 'bob',
         GroupId => $im->group(Type => 'AVChatRoom', owner => 'ann'))
        ->code_is(10007);
};

subtest 'joined groups' => sub {
    my @gids = map { $im->group(Name => "g$_", owner => 'eve') } 1 .. 3;
    my $list = sub { rest('get_joined_group_list', Member_Account => 'eve',
                          @_)->code_is(0) };

    is_deeply [map { $_->{GroupId} } @{ $list->()->json('/GroupIdList') }],
        \@gids, 'in order';
    my $page = $list->(Limit => 1, Offset => 1, ResponseFilter => {
        GroupBaseInfoFilter => [qw/ Type Name NextMsgSeq /],
        SelfInfoFilter => [qw/ Role UnreadMsgNum /] });
    is $page->json('/TotalCount'), 3, 'TotalCount';
    is $page->json('/GroupIdList/0/Name'), 'g2', 'the second one';
    is_deeply $page->json('/GroupIdList/0/SelfInfo'),
        { Role => 'Owner', UnreadMsgNum => 0 }, 'SelfInfo';
    $list->(GroupType => 'Private')->json_is('/TotalCount', 0);
    rest('get_joined_group_list', Member_Account => 'eve',
         GroupType => 'x')->code_is(10004);
};

subtest 'dissolving' => sub {
    my $gid = $im->group(GroupId => 'gone', owner => 'ann',
                         members => [qw/ bob cid /]);

    rest('destroy_group', GroupId => $gid)->code_is(0);
    rest('destroy_group', GroupId => $gid)->code_is(10010);

    my $list = rest('get_joined_group_list', Member_Account => 'cid');
    ok !(grep { $_->{GroupId} eq $gid } @{ $list->json('/GroupIdList') }),
        'it is not listed';

    $im->group(GroupId => 'gone', owner => 'bob');
    is roles('gone', qw/ ann bob cid /), 'NotMember Owner NotMember',
        'another group of that GroupId has members of its own';
};

$im->finish;
done_testing;

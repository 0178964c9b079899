#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Live rooms: creation, profile, dissolution.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0;');

my $svc = 'group_open_http_svc';

$im->users('ann', 'bob');

sub create {
    my (%body) = @_;

    return $im->rest("$svc/create_group",
                     { Type => 'AVChatRoom', Name => 'show', %body });
}

subtest 'create_group' => sub {
    my $reply = create(Owner_Account => 'ann', Introduction => 'i',
                       Notification => 'n', FaceUrl => 'f')->code_is(0);

    my $gid = $reply->json('/GroupId');

    like $gid, qr/^\@TGS#a[0-9A-Z]{9,12}$/, 'assigned GroupId';
    isnt create()->json('/GroupId'), $gid, 'another one';

    my $info = $im->group_info($gid);

    is $info->{ErrorCode}, 0, 'get_group_info';
    is $info->{Type}, 'AVChatRoom', 'Type';
    is $info->{Name}, 'show', 'Name';
    is $info->{Introduction}, 'i', 'Introduction';
    is $info->{Notification}, 'n', 'Notification';
    is $info->{FaceUrl}, 'f', 'FaceUrl';
    is $info->{Owner_Account}, 'ann', 'Owner_Account';
    is $info->{ApplyJoinOption}, 'FreeAccess', 'ApplyJoinOption';
    is $info->{ShutUpAllMember}, 'Off', 'ShutUpAllMember';
    is $info->{NextMsgSeq}, 1, 'NextMsgSeq';
    is $info->{MemberNum}, 0, 'MemberNum';
    is $info->{MaxMemberNum}, 0, 'MaxMemberNum';
    is $info->{CreateTime}, $info->{LastInfoTime}, 'times';
    is $info->{Appid}, $im->app_id, 'Appid';
    is_deeply [map { $_->{Member_Account} . $_->{Role} }
               @{ $info->{MemberList} }], ['annOwner'], 'the owner is listed';
};

subtest 'GroupId of the app' => sub {
    create(GroupId => 'room 1', Owner_Account => 'ann')->code_is(0)
        ->json_is('/GroupId', 'room 1');

    create(GroupId => 'room 1', Owner_Account => 'bob')->code_is(10021);
    create(GroupId => 'room 1', Owner_Account => 'ann')->code_is(10025);
    create(GroupId => 'x' x 48)->code_is(0);
    create(GroupId => 'x' x 49)->code_is(10004);
    create(GroupId => "a\tb")->code_is(10004);
    create(GroupId => '@TGS#abc')->code_is(10004);
};

subtest 'refusals' => sub {
    create(Name => undef)->code_is(10004);
    create(Name => '')->code_is(10004);
    create(Name => 'n' x 30)->code_is(0);
    create(Name => 'n' x 31)->code_is(10004);
    create(Name => 7)->code_is(10004);
    create(Type => undef)->code_is(10004);
    create(Type => 'avchatroom')->code_is(10004);
    create(Introduction => 'i' x 240)->code_is(0);
    create(Introduction => 'i' x 241)->code_is(10004);
    create(Notification => 'i' x 300)->code_is(0);
    create(Notification => 'i' x 301)->code_is(10004);
    create(FaceUrl => 'i' x 100)->code_is(0);
    create(FaceUrl => 'i' x 101)->code_is(10004);
    create(ApplyJoinOption => 'Free')->code_is(10004);
    create(AppDefinedData => [{ Key => 'k', Value => 'v' }])->code_is(10004);
    create(AppDefinedData => [])->code_is(0);
    create(MemberList => 'ann')->code_is(10004);
    create(MemberList => [{ Member_Account => 'ann' }])->code_is(10007);
    create(MemberList => [{ Member_Account => 'ann', Role => 'Admin' }])
        ->code_is(10004);
    create(MemberList => [map { { Member_Account => "u$_" } } 1 .. 501])
        ->code_is(10005);
    create(MemberList => [])->code_is(0);
    create(Owner_Account => 'nobody')->code_is(10004);
    create(Type => 'Public', MaxMemberCount => 2001)->code_is(10004);

    for my $type (qw/ Private Work Public ChatRoom Meeting BChatRoom /) {
        create(Type => $type)->code_is(0);
    }

    $im->rest("$svc/create_group", '[1]')->code_is(10011);
    $im->rest("$svc/create_group", { Type => 'AVChatRoom', Name => 'x' },
              user => 'ann')->code_is(10007);
    $im->rest("$svc/no_such_command", {})->code_is(10003);
};

subtest 'get_group_info' => sub {
    my $gid = $im->group(Type => 'AVChatRoom', owner => 'ann');

    my $reply = $im->rest("$svc/get_group_info", {
        GroupIdList => [$gid, 'nosuch', ''],
        ResponseFilter => { GroupBaseInfoFilter => ['Name', 'MemberNum'],
                            MemberInfoFilter => ['Account', 'Role'] } })
        ->code_is(0);

    $reply->json_is('/GroupInfo/0', {
        GroupId => $gid, ErrorCode => 0, ErrorInfo => '', Name => 'group',
        MemberNum => 0,
        MemberList => [{ Member_Account => 'ann', Role => 'Owner' }] });

    $reply->json_is('/GroupInfo/1/ErrorCode', 10010);
    $reply->json_is('/GroupInfo/2/ErrorCode', 10015);

    $im->rest("$svc/get_group_info", { GroupIdList => [] })->code_is(10004);
    $im->rest("$svc/get_group_info", { GroupIdList => [map { "g$_" } 1 .. 51] })
        ->code_is(10004);
    $im->rest("$svc/get_group_info", { GroupIdList => [map { "g$_" } 1 .. 50] })
        ->code_is(0);
};

subtest 'ResponseFilter' => sub {
    my $gid = $im->group(owner => 'ann');
    my $list = { Member_Account => 'ann', Role => 'Owner' };

    for ([[], {}], [['Type'], { Type => 'Public' }],
         [undef, { Type => 'Public' }, GroupBaseInfoFilter => ['Type']],
         [['Role'], { MemberList => [$list] }, MemberInfoFilter => ['Role']],
         [[], {}, MemberInfoFilter => []],
         [undef, {}, MemberInfoFilter => undef])
    {
        my ($base, $result, %filter) = @$_;

        $im->rest("$svc/get_group_info", { GroupIdList => [$gid],
            ResponseFilter => { GroupBaseInfoFilter => $base && [grep
                { $_ ne 'Role' } @$base], %filter } })
           ->json_is('/GroupInfo/0', { GroupId => $gid, ErrorCode => 0,
                                       ErrorInfo => '', %$result });
    }

    for my $name (qw/ GroupBaseInfoFilter MemberInfoFilter
                      AppDefinedDataFilter_Group
                      AppDefinedDataFilter_GroupMember /)
    {
        $im->rest("$svc/get_group_info", { GroupIdList => [$gid],
            ResponseFilter => { $name => $_ } })->code_is(10004, $name)
            for 'Type', 5, {};
    }

    $im->rest("$svc/get_joined_group_list", { Member_Account => 'ann',
        ResponseFilter => { SelfInfoFilter => $_->[0] } })
       ->code_is($_->[1], 'SelfInfoFilter')
        for [['Role'], 0], [undef, 0], ['Role', 10004];
};

subtest 'a BChatRoom has no owner' => sub {
    my $gid = $im->group(Type => 'BChatRoom', owner => 'ann');

    is $im->group_info($gid)->{Owner_Account}, '', 'ignored';
    $im->rest("$svc/modify_group_member_info", { GroupId => $gid,
        Member_Account => 'ann', NameCard => 'x' })->code_is(10007);
    $im->rest("$svc/destroy_group", { GroupId => $gid })->code_is(0);
};

subtest 'modify_group_base_info' => sub {
    my $gid = $im->group(Type => 'AVChatRoom', owner => 'ann');
    my $seq = $im->group_info($gid)->{InfoSeq};

    $im->rest("$svc/modify_group_base_info", {
        GroupId => $gid, Name => 'new', Introduction => 'x',
        ShutUpAllMember => 'On', ApplyJoinOption => 'DisableApply',
        MaxMemberNum => 5 })->code_is(0);

    my $info = $im->group_info($gid);

    is $info->{Name}, 'new', 'Name';
    is $info->{Introduction}, 'x', 'Introduction';
    is $info->{ShutUpAllMember}, 'On', 'ShutUpAllMember';
    is $info->{ApplyJoinOption}, 'DisableApply', 'ApplyJoinOption';
    is $info->{MaxMemberNum}, 0, 'MaxMemberNum has no effect';
    is $info->{InfoSeq}, $seq + 1, 'InfoSeq';

    $im->rest("$svc/modify_group_base_info", {
        GroupId => $gid, Introduction => '', MuteAllMember => 'Off' })
        ->code_is(0);

    $info = $im->group_info($gid);

    is $info->{Introduction}, '', 'cleared';
    is $info->{ShutUpAllMember}, 'Off', 'MuteAllMember';

    $im->rest("$svc/modify_group_base_info", {
        GroupId => $gid, Name => 'new' })->code_is(0);
    is $im->group_info($gid)->{InfoSeq}, $seq + 2, 'nothing has changed';

    for my $bad ({ Name => '' }, { Name => 'n' x 31 },
                 { Introduction => 'i' x 241 }, { Notification => 'i' x 301 },
                 { FaceUrl => 'i' x 101 }, { ApplyJoinOption => 'x' },
                 { ShutUpAllMember => 'on' }, { MaxMemberNum => '5' },
                 { AppDefinedData => [{ Key => 'k', Value => '' }] })
    {
        $im->rest("$svc/modify_group_base_info", { GroupId => $gid, %$bad })
            ->code_is(10004);
    }

    $im->rest("$svc/modify_group_base_info", { GroupId => 'nosuch' })
        ->code_is(10010);
    $im->rest("$svc/modify_group_base_info", { GroupId => '' })
        ->code_is(10015);
};

subtest 'destroy_group' => sub {
    my $gid = $im->group(Type => 'AVChatRoom', GroupId => 'gone',
                         owner => 'ann');

    $im->rest("$svc/destroy_group", { GroupId => $gid })->code_is(0);
    $im->rest("$svc/destroy_group", { GroupId => $gid })->code_is(10010);
    is $im->group_info($gid)->{ErrorCode}, 10010, 'gone everywhere';

    create(GroupId => 'gone', Owner_Account => 'bob')->code_is(0);
    is $im->group_info('gone')->{Owner_Account}, 'bob', 'free again';

    $im->rest("$svc/destroy_group", { GroupId => 'x' x 49 })->code_is(10015);
    $im->rest("$svc/destroy_group", {})->code_is(10004);
};

subtest 'kept through a power cut' => sub {
    my $gid = $im->group(Type => 'AVChatRoom', owner => 'ann',
                         Name => 'kept');

    $im->kill9_all->start;

    is $im->group_info($gid)->{Name}, 'kept', 'the profile';
};

done_testing;

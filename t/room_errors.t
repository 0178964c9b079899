#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Codes of the commands of live rooms, and both sides of their limits.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;
use Time::HiRes qw/ sleep /;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0;');

my $svc = 'group_open_http_svc';

$im->users('ann', 'bob');

my $gid = $im->group(Type => 'AVChatRoom', owner => 'ann');

subtest 'every command looks at its GroupId' => sub {
    my %more = (
        "$svc/modify_group_base_info" => {},
        "$svc/destroy_group" => {},
        "$svc/send_group_msg" => {
            Random => 1,
            MsgBody => [{ MsgType => 'TIMTextElem',
                          MsgContent => { Text => 'x' } }] },
        "$svc/send_group_system_notification" => { Content => 'x' },
        "$svc/get_group_member_info" => {},
        "$svc/get_online_member_num" => {},
        "$svc/forbid_send_msg" => {
            Members_Account => ['bob'], ShutUpTime => 1 },
        "$svc/get_group_shutted_uin" => {},
        "$svc/get_group_muted_account" => {},
        "$svc/ban_group_member" => {
            Members_Account => ['bob'], Duration => 1 },
        "$svc/unban_group_member" => { Members_Account => ['bob'] },
        "$svc/get_group_ban_member" => { Offset => 0 },
        "$svc/set_group_attr" => { GroupAttr => [] },
        "$svc/modify_group_attr" => { GroupAttr => [] },
        "$svc/delete_group_attr" => { GroupAttr => [{ key => 'k' }] },
        "$svc/clear_group_attr" => {},
        "$svc/update_group_counter" => { GroupCounter => [] },
        "$svc/delete_group_counter" => {},
        "$svc/get_group_counter" => {},
        'group_open_attr_http_svc/get_group_attr' => {},
        'group_open_avchatroom_http_svc/get_members' => { Timestamp => 0 },
    );

    for my $command (sort keys %more) {
        my %body = %{ $more{$command} };

        $im->rest($command, { %body })->code_is(10004, "$command: none");
        $im->rest($command, { %body, GroupId => 7 })
           ->code_is(10004, "$command: a number");
        $im->rest($command, { %body, GroupId => 'nosuch' })
           ->code_is(10010, "$command: unknown");
        $im->rest($command, { %body, GroupId => 'x' x 49 })
           ->code_is(10015, "$command: too long");
        $im->rest($command, { %body, GroupId => "a\x{e4}" })
           ->code_is(10015, "$command: not printable");
    }
};

sub attr {
    my ($command, @pairs) = @_;
    my @list;

    while (my ($key, $value) = splice @pairs, 0, 2) {
        push @list, { key => $key, value => $value };
    }

    sleep 0.25;                               # 5 writes a second

    return $im->rest("$svc/${command}_group_attr",
                     { GroupId => $gid, GroupAttr => \@list });
}

subtest 'attributes' => sub {
    my $get = sub {
        my $list = $im->rest('group_open_attr_http_svc/get_group_attr',
                             { GroupId => $gid })->code_is(0)
                      ->json('/GroupAttrAry');
        return { map { $_->{key} => $_->{value} } @$list };
    };

    attr('set', a => 1)->code_is(10004);
    attr('set', '' => 'x')->code_is(10004);
    attr('set', 'k' x 32 => 'x')->code_is(0);
    attr('set', 'k' x 33 => 'x')->code_is(10045);
    attr('set', a => 'v' x 4000)->code_is(0);
    attr('set', a => 'v' x 4001)->code_is(10046);
    attr('set', map { ("k$_" => 'v') } 1 .. 16)->code_is(0);
    attr('set', map { ("k$_" => 'v') } 1 .. 17)->code_is(10047);
    attr('modify', k17 => 'v')->code_is(10047);
    attr('modify', k16 => 'w')->code_is(0);
    is $get->()->{k16}, 'w', 'modified';
    is keys %{ $get->() }, 16, 'the others stay';
    attr('set', map { ("k$_" => 'v' x 4000) } 1 .. 4)->code_is(0);
    attr('modify', k5 => 'v')->code_is(10048);
    attr('delete', 'k1')->code_is(0);
    attr('delete', 'k1')->code_is(10050);
    is join(' ', sort keys %{ $get->() }), 'k2 k3 k4', 'deleted';

    $im->rest("$svc/set_group_attr", { GroupId => $gid })->code_is(10004);
    $im->rest("$svc/clear_group_attr", { GroupId => $gid })->code_is(0);
    is_deeply $get->(), {}, 'cleared';

    sleep 1.2;

    my %codes;
    $codes{ $_->code }++
        for $im->rests((["$svc/clear_group_attr", { GroupId => $gid }]) x 30);
    ok $codes{10049}, 'over 5 writes a second';
};

subtest 'counters' => sub {
    my $update = sub {
        return $im->rest("$svc/update_group_counter",
                         { GroupId => $gid, @_ });
    };

    my $list = sub { [map { { Key => $_, Value => 1 } } @_] };

    $update->()->code_is(10004);
    $update->(GroupCounter => $list->('a'), Mode => 'Add')->code_is(10004);
    $update->(GroupCounter => [{ Key => 'a', Value => '1' }])->code_is(10004);
    $update->(GroupCounter => [{ Key => '', Value => 1 }])->code_is(10004);
    $update->(GroupCounter => $list->('k' x 128))->code_is(0);
    $update->(GroupCounter => $list->('k' x 129))->code_is(10004);
    $im->rest("$svc/delete_group_counter", { GroupId => $gid })->code_is(0);

    $update->(GroupCounter => $list->(1 .. 20))->code_is(10004);
    $update->(GroupCounter => $list->(map { "c$_" } 1 .. 20))->code_is(0);
    $update->(GroupCounter => $list->(map { "d$_" } 1 .. 21))->code_is(10063);
    $update->(GroupCounter => $list->('c21'))->code_is(10063);

    $im->rest("$svc/delete_group_counter",
              { GroupId => $gid, GroupCounterKeys => ['c1'] })->code_is(0);
    $update->(GroupCounter => $list->('c21'))->code_is(0);

    my $max = 9223372036854775807;
    $update->(GroupCounter => [{ Key => 'c21', Value => $max }])->code_is(0);
    $im->rest("$svc/get_group_counter",
              { GroupId => $gid, GroupCounterKeys => ['c21', 'none'] })
       ->json_is('/GroupCounter', [{ Key => 'c21', Value => $max }]);
};

subtest 'ordinary users' => sub {
    my $bob = $im->ws_login('bob');

    for my $command (qw/ get_group_member_info get_group_counter
                         get_group_shutted_uin get_group_muted_account
                         clear_group_attr delete_group_counter quit_group /)
    {
        $bob->request("$svc.$command", { GroupId => $gid })->code_is(10007);
    }

    $bob->request("$svc.update_group_counter", {
        GroupId => $gid, GroupCounter => [] })->code_is(10007);
    $bob->request("$svc.get_group_ban_member", {
        GroupId => $gid, Offset => 0 })->code_is(10007);
    $bob->request('group_open_attr_http_svc.get_group_attr',
                  { GroupId => $gid })->code_is(10007);
    $bob->request('group_open_avchatroom_http_svc.get_members',
                  { GroupId => $gid, Timestamp => 0 })->code_is(10007);

    my $need = $im->group(Type => 'AVChatRoom', owner => 'ann',
                          ApplyJoinOption => 'NeedPermission');

    $bob->request("$svc.apply_join_group", { GroupId => $need })
        ->code_is(0)->json_is('/JoinedStatus', 'WaitAdminApproval');
    $bob->request("$svc.apply_join_group", {
        GroupId => $gid, ApplyMsg => 'x' x 301 })->code_is(10004);
    $bob->request("$svc.apply_join_group", {
        GroupId => $gid, ApplyMsg => 'x' x 300 })->code_is(0);

    my @rooms = map { $im->group(Type => 'AVChatRoom') } 1 .. 64;

    for my $room (@rooms[0 .. 62]) {
        sleep 0.03;                           # 50 frames a second
        $bob->request("$svc.apply_join_group", { GroupId => $room })
            ->code_is(0);
    }

    $bob->request("$svc.apply_join_group", { GroupId => $rooms[63] })
        ->code_is(10037);
    $bob->request("$svc.quit_group", { GroupId => $rooms[0] })->code_is(0);
    $bob->request("$svc.apply_join_group", { GroupId => $rooms[63] })
        ->code_is(0);

    $bob->close;
};

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Live rooms: the owner's row, marks, broadcasts, what was said before, the
# list of joined groups.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0; tip_rate 0;');
my $svc = 'group_open_http_svc';
my $av = 'group_open_avchatroom_http_svc';
my $random = 1;

$im->users(qw/ ann bob cid /);

sub text { return [{ MsgType => 'TIMTextElem',
                     MsgContent => { Text => "$_[0]" } }] }

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }
sub room { return $im->group(Type => 'AVChatRoom', owner => 'ann', @_) }

sub join_room {
    my ($ws, $gid, %body) = @_;
    return $ws->request("$svc.apply_join_group", { GroupId => $gid, %body })
           ->code_is(0);
}

sub message {
    my ($ws) = @_;
    my $item = $ws->next_event('GroupMsgArray');
    return $item && $item->{GroupMsgArray}[0];
}

subtest "the owner's row" => sub {
    my $gid = room();
    my $ann = $im->ws_login('ann');
    my $bob = $im->ws_login('bob');
    my $set = sub { rest('modify_group_member_info', GroupId => $gid,
                         Member_Account => 'ann', @_) };

    join_room($_, $gid) for $ann, $bob;

    $set->(NameCard => 'Host')->code_is(0);
    $set->(NameCard => 'Host')->code_is(0);
    $ann->request("$svc.modify_group_member_info", { GroupId => $gid,
        Member_Account => 'ann', MsgFlag => 'Discard' })->code_is(0);

    my ($row) = grep { $_->{Member_Account} eq 'ann' }
        @{ rest('get_group_member_info', GroupId => $gid)
           ->json('/MemberList') };
    is "@$row{qw/ Role NameCard MsgFlag /}", 'Owner Host Discard', 'listed';

    $ann->request("$svc.get_group_self_member_info", { GroupIdList => [$gid] })
        ->json_is('/GroupInfo/0/SelfInfo/NameCard', 'Host');

    $ann->request("$svc.send_group_msg", { GroupId => $gid, Random => 1,
        MsgBody => text('hi') })->code_is(0);
    is message($bob)->{GroupInfo}{MsgFrom_AccountExtraInfo}{NameCard}, 'Host',
        'in his messages';

    is $im->group_info($gid)->{InfoSeq}, 1, 'the profile has not changed';

    $set->(Member_Account => 'bob', NameCard => 'x')->code_is(10007);
    $set->(Role => 'Member')->code_is(10007);
    $set->(ShutUpTime => 9)->code_is(10007);
    $set->(NameCard => 'x' x 51)->code_is(10004);
    $bob->request("$svc.modify_group_member_info", { GroupId => $gid,
        Member_Account => 'ann', NameCard => 'x' })->code_is(10007);
    $bob->request("$svc.modify_group_member_info", { GroupId => $gid,
        Member_Account => 'bob', NameCard => 'x' })->code_is(10007);
    rest('modify_group_member_info', NameCard => 'x', Member_Account => 'ann',
         GroupId => $im->group(Type => 'BChatRoom'))->code_is(10007);

    # web SDK 2.x mutes by this command

    my $mute = sub {
        my ($ws, $user, $seconds) = @_;
        return $ws->request("$svc.modify_group_member_info", {
            GroupId => $gid, Member_Account => $user,
            ShutUpTime => $seconds });
    };
    my $say = sub {
        return $bob->request("$svc.send_group_msg", { GroupId => $gid,
            Random => $_[0], MsgBody => text('hi') });
    };

    $mute->($ann, 'bob', 60)->code_is(0, 'the owner mutes');
    $say->(2)->code_is(10017);
    $mute->($bob, 'bob', 0)->code_is(10007);
    $mute->($bob, 'ann', 60)->code_is(10007);
    $mute->($ann, 'ann', 60)->code_is(10007, 'not himself');
    $mute->($ann, 'cid', 60)->code_is(10007, 'only who is in');
    $mute->($ann, 'bob', 0)->code_is(0);
    $say->(3)->code_is(0);
    $set->(Member_Account => 'bob', ShutUpTime => 9)->code_is(10007,
        'by REST there is forbid_send_msg');
    $_->close for $ann, $bob;
};

subtest 'marks' => sub {
    my $gid = room();
    my %ws = map { $_ => $im->ws_login($_) } qw/ bob cid /;

    join_room($_, $gid) for values %ws;

    my $mark = sub {
        my ($type, @list) = @_;
        return $im->rest("$av/modify_user_info", { GroupId => $gid,
            CommandType => $type, MemberList => [map {
                { Member_Account => $$_[0], Marks => [@$_[1 .. $#$_]] }
            } @list] });
    };
    my $list = sub {
        my $reply = $im->rest("$av/get_members", { GroupId => $gid,
            Timestamp => 0, @_ })->code_is(0);
        return join ' ', map { join ',', $_->{Member_Account},
                                         sort @{ $_->{Marks} } }
               sort { $a->{Member_Account} cmp $b->{Member_Account} }
               @{ $reply->json('/MemberList') };
    };

    is $list->(), 'bob cid', 'none at first';
    $mark->(1, ['bob', 1000, 1001], ['cid', 1001], ['dan', 1000])->code_is(0)
        ->json_is('/CommandType', 1)
        ->json_is('/MemberList', [
            { Member_Account => 'bob', Marks => [1000, 1001] },
            { Member_Account => 'cid', Marks => [1001] } ]);
    is $list->(), 'bob,1000,1001 cid,1001', 'set';
    is $list->(Mark => 1000), 'bob,1000,1001', 'found by mark';
    is $list->(Mark => 1001), 'bob,1000,1001 cid,1001', 'both';
    is $list->(Mark => 7777), '', 'nobody';
    $mark->(1, ['cid', 600])->code_is(0);
    is $list->(), 'bob,1000,1001', 'hidden';
    $mark->(2, ['cid', 600], ['bob', 1000])->code_is(0);
    is $list->(), 'bob,1001 cid,1001', 'removed';

    $mark->(1, ['bob', 1002 .. 1010])->code_is(0);
    $mark->(1, ['bob', 1011])->code_is(10004, 'ten different ones');
    $mark->(1, ['dan', 1000])->code_is(10004, 'nobody there');
    $mark->(3, ['bob', 1000])->code_is(10004);
    $mark->(1, ['bob', 999])->code_is(10004);
    $mark->(1, ['bob'])->code_is(10004);
    $mark->(1)->code_is(10004);
    $mark->(1, map { ["u$_", 1000] } 1 .. 501)->code_is(10005);
    $ws{bob}->request("$av.modify_user_info", { GroupId => $gid,
        CommandType => 1, MemberList => [{ Member_Account => 'bob',
        Marks => [1000] }] })->code_is(10007);

    my $ann = $im->ws_login('ann');
    my $own = sub { $ann->request("$av.modify_user_info", { GroupId => $gid,
        CommandType => $_[0], MemberList => [{ Member_Account => 'bob',
        Marks => [$_[1]] }] }) };

    $own->(2, 1002)->code_is(0, 'the owner');
    $own->(1, 1002)->code_is(0);
    $own->(1, 600)->code_is(10007, 'but not what administrators keep');
    $ann->close;

    $ws{bob}->request("$svc.quit_group", { GroupId => $gid })->code_is(0);
    join_room($ws{bob}, $gid);
    is $list->(), 'bob cid,1001', 'lost with the place';
    $mark->(1, ['bob', 1011])->code_is(0, 'and there is room for others');

    $gid = $im->group(owner => 'ann');
    $mark->(1, ['ann', 1000])->code_is(10007);
    $_->close for values %ws;
};

subtest 'a message to all rooms' => sub {
    my @gids = map { room() } 1 .. 3;
    my $stored = $im->group(owner => 'cid');
    my $bob = $im->ws_login('bob');
    my $cid = $im->ws_login('cid');

    join_room($bob, $_) for @gids[0, 1];
    join_room($cid, $gids[2]);

    my %msg = (Random => 7, MsgBody => text('to all'),
               CloudCustomData => 'c');
    my $seq = rest('send_broadcast_msg', %msg)->code_is(0)->json('/MsgSeq');

    my %got = map { my $m = message($bob); $m->{ToGroupId} => $m } 1, 2;
    is_deeply [sort keys %got], [sort @gids[0, 1]], 'in each room';
    is $got{$gids[0]}{From_Account}, 'administrator', 'from';
    is_deeply $got{$gids[0]}{MsgBody}, text('to all'), 'MsgBody';
    is message($cid)->{ToGroupId}, $gids[2], 'to others';
    $cid->no_event('GroupMsgArray', 0.2, 'not in a stored group');

    rest('send_broadcast_msg', %msg)->code_is(0)->json_is('/MsgSeq', $seq);
    $bob->no_event('GroupMsgArray', 0.2, 'once');

    rest('send_broadcast_msg', %msg, Random => 8, From_Account => 'ann')
        ->code_is(0)->json_is('/MsgSeq', $seq + 1);
    is message($bob)->{From_Account}, 'ann', 'from an account';
    rest('send_broadcast_msg', %msg, From_Account => 'nobody')
        ->code_is(10019);
    rest('send_broadcast_msg', Random => 1)->code_is(10004);
    rest('send_broadcast_msg', %msg, MsgBody => text('x' x 12300))
        ->code_is(80002);
    $_->close for $bob, $cid;
};

subtest 'what was said before' => sub {
    my $gid = room();
    my $ann = $im->ws_login('ann');
    my $bob = $im->ws_login('bob');

    is $im->group_info($gid)->{LastMsgTime}, 0, 'LastMsgTime, nothing yet';

    rest('send_group_msg', GroupId => $gid, Random => $random++,
         MsgBody => text($_))->code_is(0) for 1 .. 25;

    cmp_ok $im->group_info($gid)->{LastMsgTime}, '>', time - 60,
        'LastMsgTime';

    join_room($ann, $gid)->json_hasnt('/RspMsgList');

    my $reply = join_room($bob, $gid, HugeGroupHistoryMsgFlag => 1);
    is join(' ', map { $_->{MsgBody}[0]{MsgContent}{Text} }
                 @{ $reply->json('/RspMsgList') }),
        join(' ', 6 .. 25), 'the newest twenty';
    is $reply->json('/RspMsgList/0/Event'), 3, 'Event';
    $_->close for $ann, $bob;
};

subtest 'joined groups' => sub {
    my $gid = room(Name => 'room');
    my $bob = $im->ws_login('bob');
    my $list = sub { rest('get_joined_group_list', Member_Account => 'bob',
                          @_)->code_is(0) };

    my $before = $list->(WithHugeGroups => 1)->json('/TotalCount');

    join_room($bob, $gid);

    ok !(grep { $_->{GroupId} eq $gid }
         @{ $list->()->json('/GroupIdList') }), 'not by itself';

    my $reply = $list->(WithHugeGroups => 1, GroupType => 'AVChatRoom',
        ResponseFilter => { GroupBaseInfoFilter => [qw/ Type Name /],
                            SelfInfoFilter => [qw/ Role UnreadMsgNum /] });
    my ($item) = grep { $_->{GroupId} eq $gid }
                 @{ $reply->json('/GroupIdList') };
    is $item->{Name}, 'room', 'base fields';
    is_deeply $item->{SelfInfo}, { Role => 'Member', UnreadMsgNum => 0 },
        'SelfInfo';
    is $list->(WithHugeGroups => 1)->json('/TotalCount'), $before + 1,
        'TotalCount';
    $bob->close;
};

subtest 'the rate of broadcasts' => sub {
    $im->reload(app => 'rate 200;');

    my @codes = map { rest('send_broadcast_msg', Random => $random++,
                           MsgBody => text('x'))->code } 1 .. 20;

    is $codes[0], 0, 'the first';
    ok((grep { $_ == 10023 } @codes), 'then too often');
};

$im->finish;
done_testing;

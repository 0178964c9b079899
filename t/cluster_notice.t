#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# News of friends and profiles, tips and notices of groups, read state and
# recalls on two nodes: once for each reader, in one order.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Cluster;
use Test::IM::Sns;
use Test::More;

Test::IM::Cluster->skip;

my $cl = Test::IM::Cluster->new->run(workers => 2, app => 'rate 0;
    group_rate 0; group_rate_normal 0; group_rate_low 0;
    group_rate_lowest 0; web_instances 3; recall_time 60s;');
my ($one, $two) = @{ $cl->nodes };
my $svc = 'group_open_http_svc';
my $random = 1;

sns_server($cl->any);
$one->users(qw/ ann bob cid dan /);
allow($_, 'AllowAny') for qw/ ann bob /;

sub text { [{ MsgType => 'TIMTextElem', MsgContent => { Text => "$_[0]" } }] }

# so many as have to come, and what comes soon after them, as the reader sees
# it
sub all {
    my ($ws, $name, $n) = @_;
    my @got;

    while (my $event = $ws->next_event($name, @got < $n ? 30 : 0.5)) {
        push @got, $event->{$name};
    }

    return \@got;
}

my @bob = ($one->ws_login('bob'), $two->ws_login('bob'));
my @ann = ($one->ws_login('ann'), $two->ws_login('ann'));

subtest 'friends' => sub {
    is_deeply codes(add('ann', 'bob')), [0], 'added';

    for my $name (qw/ ann bob /) {
        my @list = map { all($_, 'FriendListMod', 1) }
                   $name eq 'ann' ? @ann : @bob;
        ok @{ $list[0] }, "news for $name";
        is_deeply $list[0], $list[1], 'the same on both nodes';
    }

    sns('friend_delete', 'ann', To_Account => ['bob'],
        DeleteType => 'Delete_Type_Both')->code_is(0);

    for my $name (qw/ ann bob /) {
        my @list = map { all($_, 'FriendListMod', 1) }
                   $name eq 'ann' ? @ann : @bob;
        is @{ $list[0] }, 1, "deleted: news for $name";
        is_deeply $list[0], $list[1], 'the same on both nodes';
    }

    add('ann', 'bob');
    all($_, 'FriendListMod', 1) for @ann, @bob;
};

subtest 'profiles' => sub {
    for my $im ($one, $two) {
        my @names = map { "Ann $_ " . $im->port } 1 .. 4;

        $im->rest('profile/portrait_set', { From_Account => 'ann',
            ProfileItem => [{ Tag => 'Tag_Profile_IM_Nick', Value => $_ }] })
            ->code_is(0) for @names;

        for my $ws (@ann, @bob) {
            is_deeply [map { $_->[0]{ProfileList}[0]{ValueBytes} }
                       @{ all($ws, 'ProfileDataMod', 4) }], \@names,
                'each once and in order';
        }
    }
};

subtest 'tips and notices of a group' => sub {
    my $gid = $one->group(owner => 'ann', members => ['bob']);

    all($_, 'GroupTips', 1) for @ann, @bob;

    for my $i (1 .. 4) {
        my ($here, $there) = ($one, $two)[$i % 2, 1 - $i % 2];

        $here->rest("$svc/modify_group_base_info", { GroupId => $gid,
            Name => "name $i" })->code_is(0);
        $there->rest("$svc/add_group_member", { GroupId => $gid,
            MemberList => [{ Member_Account => 'cid' }] })->code_is(0);
        $here->rest("$svc/delete_group_member", { GroupId => $gid,
            MemberToDel_Account => ['cid'] })->code_is(0);
        $there->rest("$svc/send_group_system_notification", {
            GroupId => $gid, Content => "notice $i",
            ToMembers_Account => ['bob'] })->code_is(0);
    }

    # three tips each time, and for bob a notice
    my @tips = map { [map { @$_ } @{ all(@$_) }] }
               map({ [$_, 'GroupTips', 12] } @ann),
               map({ [$_, 'GroupTips', 16] } @bob);
    my @key = map { [map { ($_->{MsgSeq} // '') . ' '
                           . ($_->{MsgBody}{OpType}
                              // "n$_->{MsgBody}{ReportType}")
                           . ' ' . ($_->{MsgBody}{UserDefinedField} // '') }
                     @$_] } @tips;

    # tips are in the order of the group, notices in that of the user
    my @of = map { [grep { !/ n/ } @$_] } @key;
    is @{ $of[0] }, 12, 'three tips each time';
    is_deeply $of[$_], $of[0], 'the same for all, in one order' for 1 .. 3;

    my %once = map { $_ => 1 } @{ $of[0] };
    is keys %once, 12, 'each once';

    for my $reader (@key[2, 3]) {
        is_deeply [map { /n\S+ (notice \d)/ ? $1 : () } @$reader],
            [map { "notice $_" } 1 .. 4], 'notices once and in order';
    }
};

subtest 'reads and recalls from both nodes' => sub {
    my @keys = map {
        ($one, $two)[$_ % 2]->rest('openim/sendmsg', {
            From_Account => 'ann', To_Account => 'bob', MsgRandom => $random++,
            MsgBody => text($_) })->code_is(0)->json('/MsgKey')
    } 1 .. 6;

    all($_, 'C2cMsgArray', 6) for @bob;

    ($two, $one)[$_ % 2]->rest('openim/admin_msgwithdraw', {
        From_Account => 'ann', To_Account => 'bob', MsgKey => $keys[$_] })
        ->code_is(0) for 0 .. 3;

    $two->rest('openim/admin_set_msg_read', { Report_Account => 'bob',
        Peer_Account => 'ann' })->code_is(0);

    my @got = map { all($_, 'C2cNotifyMsgArray', 5) } @bob;

    is_deeply $got[0], $got[1], 'the same on both nodes';
    is scalar(grep { $_->[0]{WithdrawC2cMsgNotify} } @{ $got[0] }), 4,
        'four recalls';
    is scalar(grep { $_->[0]{ReadC2cMsgNotify} } @{ $got[0] }), 1,
        'what was read';

    is $_->rest('openim/get_c2c_unread_msg_num', { To_Account => 'bob' })
        ->code_is(0)->json('/AllC2CUnreadMsgNum'), 0, 'nothing is unread'
        for $one, $two;
};

done_testing;

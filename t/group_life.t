#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# The life of groups: activation, members whose accounts are deleted, groups
# without owner, what is left in the store of a group that was dissolved.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, im => 'sweep_interval 500ms;',
                            app => 'rate 0; group_rate 0;
                                    group_rate_normal 0;');
my $svc = 'group_open_http_svc';
my $random = 1;

$im->users(qw/ ann bob cid dan eve /);

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

sub message {
    my ($gid, $text, %body) = @_;

    return rest('send_group_msg', GroupId => $gid, Random => $random++,
                MsgBody => [{ MsgType => 'TIMTextElem',
                              MsgContent => { Text => "$text" } }], %body);
}

sub tips {
    my ($gid, $op) = @_;

    return grep { ref $_->{MsgBody} eq 'HASH'
                  && $_->{MsgBody}{OpType} == $op }
           @{ rest('group_msg_get_simple', GroupId => $gid,
                   ReqMsgNumber => 20)->json('/RspMsgList') // [] };
}

sub delete_account {
    $im->rest('im_open_login_svc/account_delete', {
        DeleteItem => [map { { UserID => $_ } } @_] })->code_is(0);
}

my $mongo = ($ENV{IM_TEST_STORE} // '') eq 'mongo';

# Rows of tables.  MongoDB keeps its indexes itself.
sub rows {
    my @tables = @_;
    my $store = $im->dir . '/store';

    if ($mongo) {
        @tables = grep { !/\./ } @tables;

        my $replies = Test::IM::Mongo->for_folder($store)
            ->commands(im => map { { count => $_ } } @tables);

        return map { $tables[$_] => $replies->[$_]{n} } 0 .. $#tables;
    }

    return map {
        $_ => scalar grep { /^ / } `mdb_dump -n -s $_ $store/im.mdb 2>/dev/null`
    } @tables;
}

subtest 'what is left of a group that was dissolved' => sub {
    plan skip_all => 'no mdb_dump'
        unless $mongo || `which mdb_dump`;

    my %before = rows(qw/ group gno group_msg group_msg.dk group_msg.head
        member member.user read conv receipt receipt.ttl pend mute
        group_attr count job /);

    my $gid = $im->group(Type => 'Public', owner => 'ann',
                         GroupId => 'life', members => [qw/ bob cid /]);
    my $ann = $im->ws_login('ann');
    my $eve = $im->ws_login('eve');

    message($gid, $_, From_Account => 'ann')->code_is(0) for 1 .. 120;

    my $seq = $ann->request("$svc.send_group_msg", { GroupId => $gid,
        Random => 1, NeedReadReceipt => 1, MsgBody => [{
            MsgType => 'TIMTextElem', MsgContent => { Text => 'r' } }] })
        ->code_is(0)->json('/MsgSeq');
    $im->ws_login('bob')->request("$svc.group_msg_receipt", {
        GroupId => $gid, MsgSeqList => [{ MsgSeq => $seq }] })->code_is(0);

    $eve->request("$svc.apply_join_group", { GroupId => $gid,
        ApplyMsg => 'me' })->code_is(0);
    rest('forbid_send_msg', GroupId => $gid, Members_Account => ['bob'],
         ShutUpTime => 100)->code_is(0);
    $ann->request("$svc.set_group_attr", { GroupId => $gid, AttrMainSeq => 0,
        GroupAttr => [{ key => 'k', value => 'v' }] })->code_is(0);
    $ann->request('recentcontact.top', { OperationType => 1,
        RecentContactItem => [{ Type => 2, GroupId => $gid }] })->code_is(0);

    my %now = rows(keys %before);
    ok $now{$_} > $before{$_}, "rows in $_"
        for qw/ group_msg member read conv receipt pend mute /;

    rest('destroy_group', GroupId => $gid)->code_is(0);

    delete $before{count};

    my $left = sub {
        my %rows = rows(keys %before);

        return grep { $rows{$_} > ($_ eq 'job' ? 0 : $before{$_}) }
               sort keys %rows;
    };

    $im->wait_for(sub { !$left->() });
    is_deeply [$left->()], [], 'nothing, and the job is done';

    rest('create_group', GroupId => $gid, Type => 'Public', Name => 'again',
         Owner_Account => 'ann')->code_is(0);
    message($gid, 'first')->json_is('/MsgSeq', 1);
};

subtest 'members whose accounts are deleted' => sub {
    $im->users('old');

    my $gid = $im->group(Type => 'Public', owner => 'ann',
                         members => [qw/ bob old /]);
    my $own = $im->group(Type => 'ChatRoom', owner => 'old',
                         members => ['bob']);
    my $alone = $im->group(Type => 'Public', owner => 'old');
    my $bob = $im->ws_login('bob');

    delete_account('old');

    ok $im->wait_for(sub { $im->group_info($gid)->{MemberNum} == 2 }),
        'he has left';
    is_deeply [sort map { $_->{Member_Account} }
               @{ rest('get_group_member_info', GroupId => $gid)
                  ->json('/MemberList') }], [qw/ ann bob /], 'MemberList';

    my ($tip) = tips($gid, 2);
    is $tip->{MsgBody}{Operator_Account}, 'old', 'a tip tells';
    is_deeply $tip->{MsgBody}{List_Account}, ['old'], 'who';
    is $tip->{MsgBody}{MemberNum}, 2, 'MemberNum';
    ok $bob->next_event(sub { $_[0]{GroupTips}
        && ($_[0]{GroupTips}[0]{MsgBody}{OpType} // 0) == 2 }),
        'members who are online, too';

    ok $im->wait_for(sub { $im->group_info($own)->{MemberNum} == 1 }),
        'his own group';
    is $im->group_info($own)->{Owner_Account}, '', 'has no owner';
    message($own, 'on it goes', From_Account => 'bob')->code_is(0);
    rest('change_group_owner', GroupId => $own, NewOwner_Account => 'bob')
        ->code_is(0);
    is $im->group_info($own)->{Owner_Account}, 'bob', 'it gets a new one';

    ok $im->wait_for(sub {
        rest('get_group_info', GroupIdList => [$alone])
            ->json('/GroupInfo/0/ErrorCode') == 10010
    }), 'one that he was alone in is dissolved';

    $im->users('old');
    rest('get_joined_group_list', Member_Account => 'old')
        ->json_is('/TotalCount', 0, 'an account of that name has none');
};

subtest 'an owner of a Private group quits' => sub {
    my $gid = $im->group(Type => 'Private', owner => 'ann',
                         members => [qw/ bob cid /]);
    message($gid, 'hello', From_Account => 'ann')->code_is(0);

    my $ann = $im->ws_login('ann');
    my $bob = $im->ws_login('bob');

    $ann->request("$svc.quit_group", { GroupId => $gid })->code_is(0);
    is $im->group_info($gid)->{Owner_Account}, '', 'no owner';
    $bob->request("$svc.send_group_msg", { GroupId => $gid, Random => 1,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => 'x' } }] })->code_is(0);
    $bob->request("$svc.delete_group_member", { GroupId => $gid,
        MemberToDel_Account => ['cid'] })->code_is(10007);

    $im->ws_login($_)->request("$svc.quit_group", { GroupId => $gid })
        ->code_is(0) for qw/ bob cid /;
    rest('get_group_info', GroupIdList => [$gid])
        ->json_is('/GroupInfo/0/ErrorCode', 10010, 'the last one is gone');
};

subtest 'a Private group is activated by its first message' => sub {
    my $gid = $im->group(Type => 'Private', owner => 'ann',
                         members => [qw/ bob /]);
    my $bob = $im->ws_login('bob');
    my $joined = sub { return rest('get_joined_group_list',
        Member_Account => $_[0])->json('/TotalCount') };
    my @before = map { $joined->($_) } qw/ ann bob /;

    rest('add_group_member', GroupId => $gid,
         MemberList => [{ Member_Account => 'dan' }])->code_is(0);
    $bob->no_event('GroupTips', 0.3, 'nobody hears of it');
    is $joined->('dan'), 0, 'nor sees it';

    message($gid, 'hello', From_Account => 'ann')->code_is(0);

    is $bob->next_event('GroupTips')->{GroupTips}[0]{MsgBody}{ReportType}, 7,
        'notice 7';
    is $bob->next_event('GroupMsgArray')->{GroupMsgArray}[0]{MsgSeq}, 1,
        'and the message';
    is $joined->('bob'), $before[1] + 1, 'it is listed';
    is $joined->('dan'), 1, 'for who was added since, too';
};

subtest 'history expires' => sub {
    $im->reload(app => 'rate 0; history 3s;');

    my ($gid, $there);

    my $list = sub {
        my $reply = rest('group_msg_get_simple', GroupId => $gid,
                         ReqMsgNumber => 20);
        return scalar grep { !$_->{IsPlaceMsg} }
                      @{ $reply->json('/RspMsgList') // [] };
    };

    # again, if they are too old when the machine comes to ask
    for (1 .. 5) {
        $gid = $im->group(Type => 'Public', owner => 'ann');
        message($gid, $_)->code_is(0) for 1 .. 3;
        last if ($there = $list->()) == 3;
    }

    is $there, 3, 'there they are';
    ok $im->wait_for(sub { !$list->() }), 'gone';
    message($gid, 'next')->json_is('/MsgSeq', 4, 'numbers go on');
};

$im->finish;
done_testing;

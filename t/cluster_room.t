#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Live rooms on two nodes: one sequence of numbers, one audience.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Cluster;
use Test::More;
use Time::HiRes qw/ sleep /;

Test::IM::Cluster->skip;

my $cl = Test::IM::Cluster->new->run(workers => 2, app => 'rate 0; tip_rate 0;
    group_rate 0; group_rate_normal 0; group_rate_low 0;
    group_rate_lowest 0; web_instances 3;');
my ($one, $two) = @{ $cl->nodes };
my $svc = 'group_open_http_svc';
my $random = 1;

$one->users(qw/ ann bob cid /);

sub text { [{ MsgType => 'TIMTextElem', MsgContent => { Text => "$_[0]" } }] }

sub room { $one->group(Type => 'AVChatRoom', owner => 'ann', @_) }

sub say_to {
    my ($im, $gid, $text, %o) = @_;

    return $im->rest("$svc/send_group_msg", { GroupId => $gid,
        From_Account => 'ann', Random => $random++, MsgBody => text($text),
        %o })->code_is(0)->json('/MsgSeq');
}

sub message {
    my ($ws, $seconds) = @_;
    my $event = $ws->next_event('GroupMsgArray', $seconds // 30) or return;
    return $event->{GroupMsgArray}[0];
}

sub join_room {
    my ($im, $user, $gid) = @_;
    my $ws = $im->ws_login($user);
    $ws->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0);
    return $ws;
}

sub online {
    my ($im, $gid) = @_;
    return $im->rest("$svc/get_online_member_num", { GroupId => $gid })
              ->json('/OnlineMemberNum');
}

# the node that a user has left is told of it soon, and otherwise each minute
sub counts {
    my ($gid, $n, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok $one->wait_for(sub { online($one, $gid) == $n
                            && online($two, $gid) == $n }), $name
        or diag online($one, $gid) . ' ' . online($two, $gid);
}

subtest 'numbers and order' => sub {
    my $gid = room();
    my @ws = (join_room($one, 'ann', $gid), join_room($two, 'bob', $gid));

    my @seq = map { say_to($_ % 2 ? $one : $two, $gid, $_) } 1 .. 30;

    is_deeply [sort { $a <=> $b } @seq], \@seq, 'they rise';

    for my $ws (@ws) {
        my @got = map { message($ws)->{MsgSeq} } 1 .. 30;
        is_deeply \@got, \@seq, 'each message once and in order';
        $ws->no_event('GroupMsgArray', 0.2, 'no more');
    }

    my $reply = $ws[1]->request("$svc.send_group_msg", { GroupId => $gid,
        Random => 7, MsgBody => text('x'), MsgPriority => 'Normal' })
        ->code_is(0);
    is message($ws[0])->{MsgSeq}, $reply->json('/MsgSeq'), 'of a client';
    $ws[1]->no_event('GroupMsgArray', 0.3, 'not to the sender');

    is $_->group_info($gid)->{NextMsgSeq}, $reply->json('/MsgSeq') + 1,
        'NextMsgSeq' for $one, $two;
    $_->close for @ws;
};

subtest 'the first number' => sub {
    my $gid = room();
    is say_to($two, $gid, 'x'), 1, 'is 1, on the other node, too';
    is say_to($one, $gid, 'x'), 2, 'and then 2';
};

subtest 'members' => sub {
    my $gid = room();
    my $ann = join_room($one, 'ann', $gid);
    my $bob = join_room($two, 'bob', $gid);
    my $cid = $two->ws_login('cid');

    ok $ann->next_event(sub { $_[0]{GroupTips}
        && $_[0]{GroupTips}[0]{MsgBody}{Operator_Account} eq 'bob' }),
        'the tip of who joins on another node';

    counts($gid, 2, 'two');
    is $_->group_info($gid)->{MemberNum}, 2, 'MemberNum' for $one, $two;

    is_deeply [sort map { $_->{Member_Account} }
               @{ $_->group_info($gid)->{MemberList} }], [qw/ ann bob /],
        'the same list' for $one, $two;

    $one->rest("$svc/send_group_msg", { GroupId => $gid,
        From_Account => 'bob', Random => $random++, MsgBody => text('x') })
        ->code_is(0, 'a member of the other node speaks');

    my $again = $one->ws_login('bob');
    $again->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0);
    counts($gid, 2, 'the user counts once');
    $again->request("$svc.quit_group", { GroupId => $gid })->code_is(0);
    counts($gid, 1, 'he has left');
    message($bob, 0) while message($bob, 0);
    say_to($one, $gid, 'y');
    $bob->no_event('GroupMsgArray', 0.3, 'his other connection, too');
    $_->close for $ann, $bob, $cid, $again;
};

subtest 'a member connects to the other node' => sub {
    my $gid = room();
    my $bob = join_room($one, 'bob', $gid);
    my $moved = $two->ws(user => 'bob');

    $moved->a2($bob->a2)->tinyid($bob->tinyid)->inst($bob->inst);
    $moved->wslogin->code_is(0);
    $bob->closed_ok(1000);

    my $seq = say_to($one, $gid, 'x');
    is message($moved)->{MsgSeq}, $seq, 'and is still in the room';
    counts($gid, 1, 'he counts once');
    $moved->close;
};

subtest 'Redis is emptied while a member has no connection' => sub {
    my $gid = room();
    my $bob = join_room($two, 'bob', $gid);
    my $listed = sub {
        return grep { $_->{Member_Account} eq 'bob' }
               @{ $one->group_info($gid)->{MemberList} // [] };
    };

    ok $one->wait_for($listed), 'the other node knows him';
    $bob->close;
    ok $two->wait_for(sub {
        $two->rest('openim/query_online_status', { To_Account => ['bob'] })
            ->json('/QueryResult/0/Status') eq 'Offline'
    }), 'he has gone';

    $cl->redis('FLUSHALL');
    ok $cl->ready, 'the nodes are there again';
    ok $one->wait_for($listed), 'and knows him again';
    ok $cl->redis('--raw', 'KEYS', 'im:j:*'), 'from Redis';

    my $back = $one->ws(user => 'bob');
    $back->a2($bob->a2)->tinyid($bob->tinyid)->inst($bob->inst);
    $back->wslogin->code_is(0);
    my $seq = say_to($two, $gid, 'x');
    is message($back)->{MsgSeq}, $seq, 'he comes back to the other node';
    counts($gid, 1, 'once');
    $back->close;
};

subtest 'marks' => sub {
    my $gid = room();
    my $ann = join_room($one, 'ann', $gid);
    my $bob = join_room($two, 'bob', $gid);
    my $av = 'group_open_avchatroom_http_svc';

    my $mark = sub {
        my ($im, $type, @list) = @_;

        return $im->rest("$av/modify_user_info", { GroupId => $gid,
            CommandType => $type, MemberList => [map {
                { Member_Account => $$_[0], Marks => [@$_[1 .. $#$_]] }
            } @list] });
    };
    my $list = sub {
        my ($im, %o) = @_;

        return join ' ', sort map { join ',', $_->{Member_Account},
                                              @{ $_->{Marks} } }
               @{ $im->rest("$av/get_members", { GroupId => $gid,
                   Timestamp => 0, %o })->code_is(0)->json('/MemberList') };
    };
    my $shows = sub {
        my ($text, $name, %o) = @_;

        ok $one->wait_for(sub { $list->($one, %o) eq $text
                                && $list->($two, %o) eq $text }), $name
            or diag map { $list->($_, %o) . "\n" } $one, $two;
    };

    $mark->($one, 1, ['ann', 1000], ['bob', 1000, 1001], ['eve', 1000])
        ->code_is(0)->json_is('/MemberList', [
            { Member_Account => 'ann', Marks => [1000] },
            { Member_Account => 'bob', Marks => [1000, 1001] } ]);
    is $list->($_, Mark => 1001), 'bob,1000,1001', 'found at once'
        for $one, $two;
    $shows->('ann,1000 bob,1000,1001', 'all nodes see the marks of all');
    $shows->('ann,1000 bob,1000,1001', 'and find them', Mark => 1000);

    $mark->($two, 1, ['ann', 1002 .. 1009])->code_is(0);
    $mark->($_, 1, ['bob', 1010])
        ->code_is(10004, 'ten different ones in the room') for $one, $two;
    $mark->($one, 2, ['ann', 1000, 1002 .. 1009])->code_is(0);
    $mark->($two, 1, ['ann', 600])->code_is(0);
    $shows->('bob,1000,1001', 'hidden on all nodes');
    $mark->($two, 2, ['ann', 600])->code_is(0);

    my $moved = $one->ws(user => 'bob');
    $moved->a2($bob->a2)->tinyid($bob->tinyid)->inst($bob->inst);
    $moved->wslogin->code_is(0);
    $bob->closed_ok(1000);
    $shows->('ann bob,1000,1001', 'who connects elsewhere keeps his');

    $cl->redis('FLUSHALL');
    ok $one->wait_for(sub {
        $list->($one, Mark => 1001) eq 'bob,1000,1001'
        && $list->($two, Mark => 1001) eq 'bob,1000,1001';
    }, 15), 'they are there again after Redis was emptied';

    $moved->request("$svc.quit_group", { GroupId => $gid })->code_is(0);
    $shows->('ann', 'they end with the place');
    $moved->request("$svc.apply_join_group", { GroupId => $gid })
        ->code_is(0);
    $shows->('ann bob', 'which is a new one then');
    $_->close for $ann, $moved;
};

subtest 'guests' => sub {
    my $gid = room();
    my @guests = map { $_->ws } $one, $two, $two;
    my (@key, @start);

    for (0 .. 2) {
        my $join = $guests[$_]->request(
            'group_open_http_noauth_svc.apply_join_group',
            { GroupId => $gid })->code_is(0);
        $key[$_] = $join->json('/LongPollingKey');
        $start[$_] = $join->json('/StartSeq');
    }

    ok $one->wait_for(sub { online($one, $gid) == 3
                            && online($two, $gid) == 3 }), 'three';

    my @seq = map { say_to($_, $gid, 'x') } $one, $two;

    for my $i (0 .. 2) {
        my @got;
        ok $one->wait_for(sub {
            my $poll = $guests[$i]->request('group_open_long_polling_http_'
                . 'noauth_svc.get_msg', { Key => $key[$i],
                                          StartSeq => $start[$i] });
            $key[$i] = $poll->json('/Key');
            $start[$i] = $poll->json('/NextSeq');
            push @got, map { $_->{MsgSeq} }
                       @{ $poll->json('/RspMsgList') // [] };
            return @got >= 2;
        }), 'a guest reads';
        is_deeply \@got, \@seq, 'both messages';
    }
};

subtest 'bans, attributes, the end' => sub {
    my $gid = room();
    my $ann = join_room($one, 'ann', $gid);
    my $bob = join_room($two, 'bob', $gid);

    $one->rest('group_open_attr_http_svc/modify_group_attr', {
        GroupId => $gid, GroupAttr => [{ key => 'k', value => 'v' }] });
    $two->rest("$svc/ban_group_member", { GroupId => $gid,
        Members_Account => ['bob'], Duration => 60 })->code_is(0);
    ok $one->wait_for(sub { online($one, $gid) == 1 }), 'he is out';
    $bob->request("$svc.apply_join_group", { GroupId => $gid })
        ->code_is(10007);

    $two->rest("$svc/destroy_group", { GroupId => $gid })->code_is(0);
    ok $ann->next_event(sub { $_[0]{GroupTips}
        && ($_[0]{GroupTips}[0]{MsgBody}{ReportType} // 0) == 5 }),
        'the end is told on the other node';
    $_->close for $ann, $bob;
};

subtest 'a broadcast' => sub {
    my @gid = map { room() } 1 .. 3;
    my @ws = (join_room($one, 'ann', $gid[0]), join_room($two, 'bob', $gid[1]));

    $_->request("$svc.apply_join_group", { GroupId => $gid[2] })->code_is(0)
        for @ws;
    ok $one->wait_for(sub { $cl->redis('ZCARD', 'im:o:1400000001') >= 3 }),
        'the rooms are known';

    for my $im ($one, $two) {
        $im->rest("$svc/send_broadcast_msg", { From_Account => 'ann',
            Random => $random++, MsgBody => text('all') })->code_is(0);

        for my $i (0, 1) {
            my %got = map { ($_ ? $_->{ToGroupId} : '') => 1 }
                      map { scalar message($ws[$i]) } 1 .. 2;
            is_deeply [sort keys %got], [sort @gid[$i, 2]],
                'to the rooms of both nodes';
            $ws[$i]->no_event('GroupMsgArray', 0.3, 'once');
        }
    }

    $_->close for @ws;
};

subtest 'without Redis' => sub {
    my $gid = room();
    my @ws = (join_room($one, 'ann', $gid), join_room($two, 'bob', $gid));
    my $last = 0;

    $last = say_to($_, $gid, 'x') for $one, $two;
    message($_), message($_) for @ws;

    $cl->stop_redis;

    for my $im ($one, $two) {
        ok $im->wait_for(sub { $im->metric('im_redis_connections') == 0 }),
            'down';
    }

    for my $i (0, 1) {
        my $seq = say_to(($one, $two)[$i], $gid, 'alone');
        cmp_ok $seq, '>', $last, 'a greater number';
        is message($ws[$i])->{MsgSeq}, $seq, 'inside the node';
    }

    $_->no_event('GroupMsgArray', 0.2, 'not in the other') for @ws;

    $cl->start_redis;
    ok $cl->ready, 'back';
    ok $one->wait_for(sub {
        2 <= grep { /\n2\z/ }
             map { $cl->redis('--raw', 'PUBSUB', 'NUMSUB', $_) }
             split /\n/, $cl->redis('--raw', 'PUBSUB', 'CHANNELS', '*')
    }), 'both nodes listen';
    counts($gid, 2, 'and have told who is there');

    my @seq = map { say_to($_, $gid, 'again') } $one, $two, $one, $two;
    my %once = map { $_ => 1 } @seq;
    is keys %once, 4, 'no number twice';

    for my $ws (@ws) {
        is_deeply [map { message($ws)->{MsgSeq} } 1 .. 4], \@seq, 'for all';
    }

    counts($gid, 2, 'the audience');
    $_->close for @ws;
};

done_testing;

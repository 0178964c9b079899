#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Rates of a live room: in total, by priority, of tips.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $im = Test::IM->new->run(workers => 2,
                            app => 'rate 0; group_rate 20;
                                    group_rate_normal 8; group_rate_low 4;
                                    group_rate_lowest 2; tip_rate 2;');

my $svc = 'group_open_http_svc';
my $random = 1;

$im->users('ann', map { "u$_" } 1 .. 9);

my $gid = $im->group(Type => 'AVChatRoom', owner => 'ann');

# Sends in a second of its own; returns how many got a number, and the time
# that it took.

sub burst {
    my ($n, %body) = @_;

    my $sent = 0;

    sleep 1.1;

    my $start = time;

    for (1 .. $n) {
        my $reply = $im->rest("$svc/send_group_msg", {
            GroupId => $gid, Random => $random++, %body,
            MsgBody => [{ MsgType => 'TIMTextElem',
                          MsgContent => { Text => 'x' } }] })
            ->code_is(0);

        if ($reply->json('/MsgSeq')) {
            $reply->json_hasnt('/MsgDropReason');
            $sent++;

        } else {
            $reply->json_is('/MsgDropReason', 'MsgFreqCtrl');
        }
    }

    return ($sent, time - $start);
}

# A burst may touch two seconds of the server, never three.

sub limit_is {
    my ($limit, $n, $name, %body) = @_;

    my ($sent, $took) = burst($n, %body);

    cmp_ok $sent, '>=', $limit, "$name: at least $limit of $n";
    cmp_ok $sent, '<=', $limit * (int($took) + 2), "$name: not many more";
}

subtest 'priorities' => sub {
    limit_is(8, 18, 'Normal', From_Account => 'u1');
    limit_is(4, 10, 'Low', From_Account => 'u1', MsgPriority => 'Low');
    limit_is(2, 6, 'Lowest', From_Account => 'u1', MsgPriority => 'Lowest');

    my ($sent) = burst(15, From_Account => 'u1', MsgPriority => 'High');
    is $sent, 15, 'High knows the total only';

    ($sent) = burst(15, From_Account => 'ann');
    is $sent, 15, 'the owner, too';

    ($sent) = burst(15);
    is $sent, 15, 'and the administrator';
};

subtest 'in total' => sub {
    limit_is(20, 45, 'High', MsgPriority => 'High');
};

subtest 'what was dropped has no number' => sub {
    my $before = $im->group_info($gid)->{NextMsgSeq};
    my ($sent) = burst(12, From_Account => 'u1', MsgPriority => 'Low');

    is $im->group_info($gid)->{NextMsgSeq}, $before + $sent, 'no holes';
};

subtest 'notifications are exempt' => sub {
    my $before = $im->group_info($gid)->{NextMsgSeq};

    for (1 .. 30) {
        $im->rest("$svc/send_group_system_notification",
                  { GroupId => $gid, Content => 'x' })->code_is(0);
    }

    is $im->group_info($gid)->{NextMsgSeq}, $before + 30, 'all have numbers';
};

subtest 'tips' => sub {
    my @ws = map { $im->ws_login("u$_") } 1 .. 9;
    my $ann = $im->ws_login('ann');

    $ann->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0);
    sleep 1.1;

    my $start = time;

    $_->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0)
        for @ws;

    my $took = time - $start;
    my $n = 0;

    $n++ while $ann->next_event('GroupTips', $n < 2 ? 30 : 0.5);

    cmp_ok $n, '>=', 2, 'some tips';
    cmp_ok $n, '<=', 3 + 2 * (int($took) + 1), 'not one for each';
    is $im->group_info($gid)->{MemberNum}, 10, 'but all have joined';

    $_->close for $ann, @ws;
};

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Stored groups on two nodes: what members on both are told, in one order.

use strict;
use warnings;

use lib 't/lib';

use Mojo::Promise;
use Test::IM;
use Test::IM::Cluster;
use Test::More;

Test::IM::Cluster->skip;

my $cl = Test::IM::Cluster->new->run(workers => 2, app => 'rate 0;
    group_rate 0; group_rate_normal 0; group_rate_low 0;
    group_rate_lowest 0; web_instances 3;');
my ($one, $two) = @{ $cl->nodes };
my $svc = 'group_open_http_svc';
my $random = 1;

$one->users(qw/ ann bob cid /);

sub text { [{ MsgType => 'TIMTextElem', MsgContent => { Text => "$_[0]" } }] }

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

sub tip {
    my ($ws, $type, $seconds) = @_;
    my $event = $ws->next_event(sub {
        $_[0]{GroupTips} && ($_[0]{GroupTips}[0]{MsgBody}{OpType} // -1)
                            == $type }, $seconds // 30) or return;
    return $event->{GroupTips}[0];
}

subtest 'messages of both nodes' => sub {
    my $gid = $one->group(owner => 'ann', members => ['bob']);
    my @ws = ($one->ws_login('ann'), $two->ws_login('bob'));

    for my $im ($one, $two, $one, $two) {
        my $seq = say_to($im, $gid, 'hello');
        is message($_)->{MsgSeq}, $seq, "message $seq" for @ws;
    }

    $ws[1]->request("$svc.send_group_msg", { GroupId => $gid, Random => 99,
        MsgBody => text('x') })->code_is(0);
    is message($ws[0])->{From_Account}, 'bob', 'from a client there';
    $ws[1]->no_event('GroupMsgArray', 0.2, 'not to its own connection');

    $two->rest("$svc/group_msg_recall", { GroupId => $gid,
        MsgSeqList => [{ MsgSeq => 1 }] })->code_is(0);
    ok $_->next_event(sub {
        $_[0]{GroupTips} || $_[0]{GroupMsgArray} || $_[0]{Event} }),
        'a recall' for @ws;

    $_->close for @ws;
};

subtest 'members come and go' => sub {
    my $gid = $one->group(owner => 'ann', members => ['bob']);
    my @ws = ($one->ws_login('ann'), $two->ws_login('bob'),
              $two->ws_login('cid'));

    $one->rest("$svc/add_group_member", { GroupId => $gid,
        MemberList => [{ Member_Account => 'cid' }] })->code_is(0);

    ok tip($_, 1), 'the tip' for @ws[0, 1];

    my $seq = say_to($one, $gid, 'for all');
    ok $_->next_event(sub { $_[0]{GroupMsgArray}
        && $_[0]{GroupMsgArray}[0]{MsgSeq} == $seq }), 'a message'
        for @ws;

    $one->rest("$svc/delete_group_member", { GroupId => $gid,
        MemberToDel_Account => ['cid'] })->code_is(0);
    ok tip($_, 3), 'the tip' for @ws[0, 1];

    say_to($one, $gid, 'not for cid');
    message($ws[2], 0) while message($ws[2], 0);
    $ws[2]->no_event('GroupMsgArray', 0.3, 'who has gone hears nothing');

    $two->rest("$svc/modify_group_base_info", { GroupId => $gid,
        Name => 'new' })->code_is(0);
    is $one->group_info($gid)->{Name}, 'new', 'the other node sees a change';
    ok tip($ws[0], 6), 'and tells of it';

    $two->rest("$svc/destroy_group", { GroupId => $gid })->code_is(0);
    $one->rest("$svc/send_group_msg", { GroupId => $gid, Random => 1,
        MsgBody => text('x') })->code_is(10010);
    $_->close for @ws;
};

subtest 'senders on both nodes' => sub {
    my ($n, $count) = (8, 25);
    my @users = map { "s$_" } 1 .. $n;

    $one->users(@users);
    my $gid = $one->group(owner => 's1', members => [@users[1 .. $#users]]);
    my @ws = map { $_->ws_login('s1') } $one, $two;
    my (%seq, $failed, $one_of);

    $one_of = sub {
        my ($user, $i, $tries) = @_;
        my $im = ($one, $two)[($i + substr $user, 1) % 2];
        my $url = $im->url("/v4/$svc/send_group_msg",
            sdkappid => $im->app_id, identifier => $im->admin,
            usersig => $im->usersig($im->admin), random => 1,
            contenttype => 'json');

        return if $i > $count;
        return $im->ua->post_p($url => json => { GroupId => $gid,
            From_Account => $user, Random => $i, MsgBody => text("$user $i") })
        ->then(sub {
            my $json = shift->res->json;
            if (!$json || $json->{ErrorCode}) {
                die 'answer: ' . ($json && $json->{ErrorInfo}) if $tries > 20;
                return Mojo::Promise->timer(0.1)->then(sub {
                    $one_of->($user, $i, $tries + 1) });
            }
            $seq{"$user $i"} = $json->{MsgSeq};
            return $one_of->($user, $i + 1, 0);
        });
    };

    Mojo::Promise->all(map { $one_of->($_, 1, 0) } @users)
        ->catch(sub { $failed = "@_" })->wait;
    is $failed, undef, 'all were answered';

    my $total = $n * $count;
    is_deeply [sort { $a <=> $b } values %seq], [1 .. $total],
        "1 to $total, each once";

    my @texts = map { my $ws = $_; [map {
        my $m = message($ws);
        $m ? "$m->{MsgSeq} $m->{MsgBody}[0]{MsgContent}{Text}" : undef;
    } 1 .. $total] } @ws;

    my %by = reverse %seq;
    is_deeply $texts[$_], [map { "$_ $by{$_}" } 1 .. $total],
        'readers of node ' . ($_ + 1) . ' have all, in order' for 0, 1;
};

done_testing;

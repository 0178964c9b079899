#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Guests of web SDK 2.x, who poll by frames, and users of web SDK 1.7.

use strict;
use warnings;

use lib 't/lib';

use Mojo::JSON qw/ decode_json encode_json /;
use Mojo::UserAgent;
use Test::IM;
use Test::More;
use Time::HiRes qw/ time /;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0; poll_hold 60s;');

my $svc = 'group_open_http_svc';
my $get_msg = 'group_open_long_polling_http_noauth_svc.get_msg';
my $polls = '/v1/group_open_long_polling_http_noauth_svc/get_msg';
my $random = 1;

$im->users('ann', 'bob');

sub room { return $im->group(Type => 'AVChatRoom', owner => 'ann') }

sub say_to {
    my ($gid, $text, %body) = @_;

    return $im->rest("$svc/send_group_msg", {
        GroupId => $gid, Random => $random++, From_Account => 'ann', %body,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => $text } }] })->code_is(0);
}

subtest 'a guest of web SDK 2.x' => sub {
    my $gid = room();
    my $guest = $im->ws;

    my $join = $guest->request(
        'group_open_http_noauth_svc.apply_join_group', { GroupId => $gid })
        ->code_is(0)->json_is('/JoinedStatus', 'JoinedSuccess')
        ->json_is('/HugeGroupFlag', 1);

    my $key = $join->json('/LongPollingKey');
    my $start = time;

    my $poll = $guest->request($get_msg, {
        USP => 1, Key => $key, StartSeq => $join->json('/StartSeq'),
        HoldTime => 90, DownsizeFlag => 0 })
        ->code_is(0)->json_is('/RspMsgList', []);

    cmp_ok time - $start, '<', 30, 'answered at once';

    say_to($gid, 'one');

    $poll = $guest->request($get_msg, {
        Key => $poll->json('/Key'), StartSeq => $poll->json('/NextSeq') })
        ->code_is(0)->json_is('/RspMsgList/0/Event', 3)
        ->json_is('/RspMsgList/0/ToGroupId', $gid);

    $im->rest("$svc/modify_group_base_info",
              { GroupId => $gid, Name => 'new' })->code_is(0);

    $guest->request($get_msg, {
        Key => $poll->json('/Key'), StartSeq => $poll->json('/NextSeq') })
        ->code_is(0)->json_is('/RspMsgList/0/Event', 6, 'a tip is Event 6');

    $guest->request($get_msg, { Key => 'x' })->code_is(10007);
    $guest->request($get_msg, {})->code_is(10007);
    $guest->request('group_open_http_noauth_svc.quit_group',
                    { GroupId => $gid })->code_is(0);
    $guest->request('group_open_http_noauth_svc.apply_join_group',
                    { GroupId => 'nosuch' })->code_is(10010);

    $guest->close;
};

# A user of web SDK 1.7, by the tinyid and a2 of another login.

sub v1 {
    my ($ws, $path, $body) = @_;

    return $im->rest('', $body, path => $path,
                     query => { identifier => undef, usersig => undef,
                                tinyid => $ws->tinyid, a2 => $ws->a2 });
}

subtest 'a user of web SDK 1.7' => sub {
    my $gid = room();
    my $bob = $im->ws_login('bob');
    my $ann = $im->ws_login('ann');

    $ann->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0);

    my $key = v1($bob, "/v4/$svc/apply_join_group", { GroupId => $gid })
              ->code_is(0)->json('/LongPollingKey');

    my $tip;
    do {
        $tip = $ann->next_event('GroupTips')
    } until !$tip
            || $tip->{GroupTips}[0]{MsgBody}{Operator_Account} eq 'bob';
    ok $tip, 'a tip tells of him';

    v1($bob, "/v4/$svc/send_group_msg", {
        GroupId => $gid, From_Account => 'bob', Random => $random++,
        MsgPriority => 'LOVEMSG',
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => 'mine' } }] })->code_is(0);

    my $poll = v1($bob, $polls, { Key => $key })->code_is(0);
    my ($own) = grep { $_->{Event} == 3 } @{ $poll->json('/RspMsgList') };

    is $own->{MsgBody}[0]{MsgContent}{Text}, 'mine', 'his own comes back';
    is $own->{MsgPriority}, 3, 'MsgPriority';

    v1($bob, "/v4/$svc/send_group_msg", {
        GroupId => $gid, From_Account => 'ann', Random => 1,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => 'forged' } }] })
        ->code_is(10007);

    v1($ann, $polls, { Key => $poll->json('/Key') })
        ->status_is(403, 'the key of somebody else');

    my ($status, $data);

    my $ua = $bob->{poll_ua} = Mojo::UserAgent->new->inactivity_timeout(90);

    $ua->post($im->url($polls, sdkappid => $im->app_id, a2 => $bob->a2,
                       tinyid => $bob->tinyid)
              => encode_json({ Key => $poll->json('/Key'),
                               StartSeq => $poll->json('/NextSeq') })
              => sub {
        my ($ua, $tx) = @_;
        ($status, $data) = ($tx->res->code, decode_json($tx->res->body));
    });

    $bob->tick(sub { 0 }, 0.3);
    v1($bob, "/v4/$svc/quit_group", { GroupId => $gid })->code_is(0);
    $bob->tick(sub { $status });

    is $data->{ErrorCode}, 0, 'the held poll is answered';
    is $data->{Key}, '', 'without a key, so that he may join again';

    v1($bob, "/v4/$svc/apply_join_group", { GroupId => $gid })->code_is(0)
        ->json_has('/LongPollingKey');

    $im->rest("$svc/ban_group_member", {
        GroupId => $gid, Members_Account => ['bob'], Duration => 60 })
        ->code_is(0);
    v1($bob, $polls, { Key => $key })->status_is(403, 'banned');
    v1($bob, "/v4/$svc/apply_join_group", { GroupId => $gid })
        ->code_is(10007);

    $_->close for $ann, $bob;
};

subtest 'a name of the sender is new at once' => sub {
    my $gid = room();
    my $bob = $im->ws_login('bob');

    $bob->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0);

    for my $nick (qw/ Ann Anna Anne /) {
        $im->rest('profile/portrait_set', {
            From_Account => 'ann',
            ProfileItem => [{ Tag => 'Tag_Profile_IM_Nick',
                              Value => $nick }] })->code_is(0);
        say_to($gid, 'x');

        is $bob->next_event('GroupMsgArray')
               ->{GroupMsgArray}[0]{GroupInfo}{From_AccountNick}, $nick,
            $nick;
    }

    $bob->close;
};

done_testing;

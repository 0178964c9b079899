#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Two nodes on MongoDB and Redis: senders to one group on both, while the
# MongoDB server is killed and started again.

use strict;
use warnings;

use lib 't/lib';

use Mojo::Promise;
use Test::IM;
use Test::IM::Cluster;
use Test::IM::Load;
use Test::IM::Mongo;
use Test::More;

Test::IM::Cluster->skip;
Test::IM::Mongo->skip;

$ENV{IM_TEST_STORE} = 'mongo';

my $svc = 'group_open_http_svc';
my $cl = Test::IM::Cluster->new->run(workers => 2, app => 'rate 0;
    group_rate 0; group_rate_normal 0; group_rate_low 0;
    group_rate_lowest 0; web_instances 4;');
my $mongo = Test::IM::Mongo->for_folder($cl->dir . '/store');
my ($one, $two) = @{ $cl->nodes };
my @senders = map { "s$_" } 1 .. 6;

$one->users(@senders);

my $gid = $one->group(Type => 'Public', owner => 's1',
                      members => [@senders[1 .. $#senders]]);

my (%acked, %codes, $stop);

sub send_one {
    my ($k, $i) = @_;

    my $im = $cl->nodes->[$k % 2];
    my $url = $im->url("/v4/$svc/send_group_msg",
        sdkappid => $im->app_id, identifier => $im->admin,
        usersig => $im->usersig($im->admin), random => 1,
        contenttype => 'json');

    return $im->ua->post_p($url => json => {
        GroupId => $gid, From_Account => $senders[$k], Random => $i,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => "$k $i" } }]
    })->then(sub {
        my $json = shift->res->json;
        my $code = $json ? $json->{ErrorCode} : 'none';

        $codes{$code}++;
        $acked{"$k $i"} = $json->{MsgSeq} if $code eq '0';

        return $code eq '0';
    });
}

# One message after another, each until it is acknowledged.
sub sender {
    my ($k, $i, $new) = @_;

    return if $stop && $new;

    return send_one($k, $i)->then(sub {
        my ($ok) = @_;

        return Mojo::Promise->timer($ok ? 0.05 : 0.2)
               ->then(sub { sender($k, $ok ? $i + 1 : $i, $ok) });
    });
}

my $load = Test::IM::Load->new(im => $cl->any, rest => 2, ws => 3,
                               pause => 0.05);

# the server away: internal errors of UserSig and of commands
$load->retry->{$_} = 1 for 20005, 70500, 91000;
$load->start;

my ($failed, $ended);

Mojo::Promise->all(map { sender($_, 1, 1) } 0 .. $#senders)
    ->catch(sub { $failed = "@_" })->finally(sub { $ended = 1 });

sub acks_go_on {
    my ($name) = @_;
    my ($acks, $group) = ($load->acks, scalar keys %acked);

    ok $load->run(60, sub { $load->acks > $acks + 10
                            && keys %acked > $group + 10 }), $name;
}

acks_go_on('messages');

for my $seconds (5, 0) {
    $mongo->kill9;
    $load->run($seconds);
    $mongo->start;
    acks_go_on("the server was away for $seconds s");
}

$stop = 1;
ok $load->run(60, sub { $ended }), 'all was acknowledged in the end';
is $failed, undef, 'without a lost connection';
cmp_ok scalar(keys %codes), '>', 1, 'there were error codes meanwhile';
note join ' ', map { "$_:$codes{$_}" } sort keys %codes;

$load->settle;
$load->check_history;
$load->check_logins;
$load->check_seen;

for my $im ($one, $two) {
    my $next = $im->group_info($gid)->{NextMsgSeq};
    my (%text, %last, $disorder);

    for (my $from = $next - 1; $from > 0; $from -= 20) {
        my $list = $im->rest("$svc/group_msg_get_simple", {
            GroupId => $gid, ReqMsgSeq => $from, ReqMsgNumber => 20
        })->json('/RspMsgList') // [];

        $text{ $_->{MsgSeq} } = $_->{MsgBody}[0]{MsgContent}{Text} for @$list;
    }

    is_deeply [sort { $a <=> $b } keys %text], [1 .. $next - 1],
        'numbers from 1 on';
    is_deeply { reverse %text }, \%acked,
        'what was acknowledged, under its number, once';

    for my $seq (sort { $a <=> $b } keys %text) {
        my ($k, $i) = split / /, $text{$seq};
        $disorder++ if $i < ($last{$k} // 0);
        $last{$k} = $i;
    }

    is $disorder, undef, 'in the order of each sender';
}

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Login instances over WebSocket: what a login answers, a2, who ends whom.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;
use Time::HiRes qw/ sleep /;

use constant { WINDOWS => 1, ANDROID => 2, IPHONE => 3, MAC => 4, WEB => 7,
               MINI => 8, IPAD => 13 };

my $im = Test::IM->new->run(workers => 2);

sub kicked {
    my ($ws, $type, $name) = @_;

    my $push = $ws->next_push('im_open_status.stat_forceoffline');
    my $notify = $push && $push->{body}{EventArray}[0]{C2cNotifyMsgArray}[0]
                 {KickoutMsgNotify};

    is $notify && $notify->{KickType}, $type, $name;

    $ws->request('im_open_status.wshello')->code_is(1002)
       ->json_is('/KickType', $type)->json_has('/NewInstInfo');
    $ws->request('im_open_status.wslogout', { wslogout_type => 1 })
       ->code_is(0, 'its logout is answered OK');
}

sub alive {
    my ($ws, $name) = @_;

    $ws->request('im_open_status.wshello')->code_is(0, $name);
}

subtest 'the answer' => sub {
    my $ws = $im->ws(user => 'ann');
    my $reply = $ws->wslogin->code_is(0);

    like $reply->json('/A2Key'), qr/^[0-9a-f]{32}$/, 'A2Key';
    like $reply->json('/TinyId'), qr/^\d{18}$/, 'TinyId';
    cmp_ok $reply->json('/InstId'), '>', 0, 'InstId';
    cmp_ok abs($reply->json('/TimeStamp') - time), '<', 60, 'TimeStamp';
    is $reply->json('/HelloInterval'), 30, 'HelloInterval';

    $im->rest('im_open_login_svc/account_check',
              { CheckItem => [{ UserID => 'ann' }] })
       ->json_is('/ResultItem/0/AccountStatus', 'Imported',
                 'the first login made the account');
    $ws->close;
};

subtest 'a2 after a reconnect, and after a restart' => sub {
    my $ws = $im->ws_login('bob');
    my ($a2, $inst, $tinyid) = ($ws->a2, $ws->inst, $ws->tinyid);

    for my $how ('a cut', 'a reload', 'the end of the worker', 'kill -9') {

        $im->reload if $how eq 'a reload';

        if ($how eq 'the end of the worker') {
            $im->allow_log(qr/exited on signal 9/);
            $im->kill_worker($_) for 0, 1;
        }

        if ($how eq 'kill -9') {
            $im->kill9_all;
            $im->start;
        }

        $ws->cut;
        $ws->open;
        $ws->wslogin->code_is(0, "login by a2 after $how");
        is_deeply [$ws->a2, $ws->inst, $ws->tinyid], [$a2, $inst, $tinyid],
                  'the same instance';
        alive($ws, 'commands work');
    }

    my $second = $im->ws(user => 'bob');
    $second->a2($a2)->tinyid($tinyid)->inst($inst);
    $second->wslogin->code_is(0, 'on another socket while the first lives');
    is $second->inst, $inst, 'nobody is kicked';
    alive($second, 'it works');

    $second->request('im_open_status.wslogout', { wslogout_type => 0 })
           ->code_is(0);
    $second->request('im_open_status.wshello')->code_is(6014, 'ended');
    $ws->open;
    $ws->wslogin->code_is(6014, 'for all sockets');
};

subtest 'a login does not outlive its ticket' => sub {
    my $ws;

    # again, if it has expired before the machine comes to ask
    for my $expire (2, 5, 10) {
        my $time = int time;

        $ws = $im->ws(user => 'cy', sig => $im->usersig('cy',
            time => $time, expire => $expire));

        my @codes = map { $_->code } $ws->wslogin,
                    $ws->request('im_open_status.wshello');

        next if time - $time >= $expire && $expire < 10;
        is_deeply \@codes, [0, 0], 'alive';
        last;
    }

    $im->wait_for(sub {
        $ws->request('im_open_status.wshello')->code == 70001
    });
    $ws->request('im_open_status.wshello')->code_is(70001, 'expired');
    $ws->close;
};

subtest 'accounts are not made when that is off' => sub {
    my $closed = Test::IM->new->run(app => 'login_creates_account off;');

    $closed->ws(user => 'new')->wslogin->code_is(70107);
    $closed->users('known');
    $closed->ws(user => 'known')->wslogin->code_is(0);
    $closed->finish;
};

# the policies: [platform, ...] that log in in turn, then what happens to each
# when the last one does: 0 lives, 1 multi login, 2 another device

for my $case (
    ['multi', 'web_instances 1;', [WEB, ANDROID, IPHONE, MAC, WEB],
     [1, 0, 0, 0]],
    ['multi', 'web_instances 2;', [WEB, MINI, WEB], [1, 0]],
    ['multi', '', [ANDROID, ANDROID], [1]],
    ['none', '', [WEB, ANDROID], [2]],
    ['mobile_pc', '', [ANDROID, MAC, IPAD], [2, 0]],
    ['mobile_pc', '', [ANDROID, MAC, WEB], [0, 2]],
    ['different_platforms', '', [ANDROID, IPHONE, IPAD, WEB, MAC],
     [0, 0, 0, 0]],
    ['single', '', [IPHONE, ANDROID], [2]],
    ['double', '', [WEB, ANDROID, MAC], [0, 2]],
    ['triple', '', [WEB, ANDROID, MAC, WINDOWS], [0, 0, 2]],
    ['triple', '', [WEB, IPHONE, IPAD], [0, 2]])
{
    my ($policy, $app, $platforms, $ends) = @$case;

    subtest "multi_device $policy; $app @$platforms" => sub {
        my $server = Test::IM->new->run(workers => 2,
                         app => "multi_device $policy; $app");
        my @all;

        for my $platform (@$platforms) {
            my $ws = $server->ws(user => 'zoe', platform => $platform);

            $ws->wslogin->code_is(0);
            push @all, $ws;
        }

        for my $i (0 .. $#$ends) {
            $ends->[$i] ? kicked($all[$i], $ends->[$i], "number $i ends")
                        : alive($all[$i], "number $i lives");
        }

        alive($all[-1], 'the last one lives');

        $_->close for @all;
        $server->finish;
    };
}

$im->finish;

done_testing;

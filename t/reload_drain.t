#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# An old worker after a reload: what runs is answered, then sessions are
# closed with 1012.

use strict;
use warnings;

use lib 't/lib';

use Mojo::IOLoop;
use Mojo::JSON qw/ decode_json encode_json /;
use Mojo::UserAgent;
use Test::IM;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0; web_instances 4;');

$im->users(qw/ ann bob cid /);

# workers that were told to exit
sub exits { scalar(() = $im->log_text =~ /gracefully shutting down/g) }

sub body {
    my ($random, %o) = @_;

    return { To_Account => 'bob', MsgSeq => 7, MsgRandom => $random,
             MsgBody => [{ MsgType => 'TIMTextElem',
                           MsgContent => { Text => 'hello' } }], %o };
}

subtest 'sessions are closed with 1012' => sub {
    my @ws = map { $im->ws_login('ann', platform => 7) } 1 .. 3;

    sleep 1.6;
    $im->reload(wait => 0);
    $_->closed_ok(1012) for @ws;

    for my $ws (@ws) {
        my $inst = $ws->inst;

        $ws->open;
        $ws->wslogin->code_is(0, 'and begin again by a2');
        is $ws->inst, $inst, 'as the same instance';
        $ws->close;
    }
};

subtest 'a client that has come just now is not sent away at once' => sub {
    my $time = time;
    my $ws = $im->ws_login('ann');

    $im->reload(wait => 0);
    $ws->closed_ok(1012);

    cmp_ok time - $time, '>', 1.2, 'so it connects again by itself';
};

subtest 'a request that comes too late hastens the end' => sub {
    my $ws = $im->ws_login('ann');

    $ws->tick(sub { 0 }, 1.6);

    my $told = exits() + 2;

    kill HUP => $im->master_pid;
    ok $im->wait_for(sub { exits() == $told }), 'workers are told to exit';

    my $seq = $ws->send_request('openim.sendmsg', body(1));

    $ws->closed_ok(1012);
    is $ws->answer($seq, 0)->code, undef, 'it has no answer';

    $ws->open;
    $ws->request('openim.sendmsg', body(1), seq => $seq)
       ->code_is(0, 'but on the next connection');
    $ws->close;

    $im->reload;
};

subtest 'what runs is answered' => sub {
    plan skip_all => 'needs nginx --with-debug' unless $im->with_debug;

    $im->allow_log(qr/exited on signal 9/);

    my $body = body(99, From_Account => 'ann');
    my ($ann, $time, $seq, $rest);

    # a dead worker leaves the mark that this message is being sent: others
    # wait for 3 seconds; again, if these are over before the test is there

    for (1 .. 6) {
        $im->reload(im => 'fault before_commit 4;');
        $ann = $im->ws_login('ann');

        my $reply;

        for (1 .. 10) {
            $body->{MsgRandom}++;
            $time = time;
            $reply = $im->rest('openim/sendmsg', $body);
            last if !defined $reply->code;
        }

        is $reply->code, undef, 'a worker dies';
        ok $im->wait_for(sub { $im->worker_pids == 2 }), 'it has a successor';

        $ann->tick(sub { defined $ann->closed }, 0.3);

        if (defined $ann->closed) {
            $ann->open;
            $ann->wslogin->code_is(0);
        }

        undef $rest;
        $seq = $ann->send_request('openim.sendmsg',
                                  body($body->{MsgRandom}));

        $im->ua->post($im->url('/v4/openim/sendmsg',
            sdkappid => $im->app_id, identifier => $im->admin,
            usersig => $im->usersig($im->admin), random => 1,
            contenttype => 'json') => encode_json($body)
            => sub { $rest = $_[1]->res });

        $ann->tick(sub { 0 }, 1.8 - (time - $time));
        last if time - $time < 2.9;
        $ann->tick(sub { $rest });
    }

    ok !%{ $ann->answers }, 'they wait';
    kill HUP => $im->master_pid;

    my $answer = $ann->answer($seq)->code_is(0);

    cmp_ok time - $time, '>', 2.5, 'until the mark is gone';
    $ann->closed_ok(1012);

    $ann->tick(sub { $rest });
    my $data = $rest && decode_json($rest->body);

    is $data->{MsgKey}, $answer->json('/MsgKey'), 'REST as WebSocket';
};

done_testing;

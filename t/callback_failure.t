#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Receivers that fail: each way of it, both policies, the breaker, the limit
# of requests, and that nobody else is slower for it.

use strict;
use warnings;

use lib 't/lib';

use IO::Socket::INET;
use Mojo::IOLoop;
use Test::IM;
use Test::IM::Receiver;
use Test::More;
use Time::HiRes qw/ time /;

my $before = 'C2C.CallbackBeforeSendMsg';
my $after = 'C2C.CallbackAfterSendMsg';

my $app = Test::IM::Receiver->new->start;
my $key2 = 'k' x 64;
my $key3 = 'r' x 64;
my $key4 = 's' x 64;
my $dead = Test::IM->free_port;

# more applications: one refuses what could not be asked, one has a receiver
# that does not exist, one has patience; the others have it later
sub conf {
    my ($timeout) = @_;

    return (app => 'rate 0; callback ' . $app->url
                   . " $before $after timeout=$timeout;", im => <<"END");
    rate 0;
    app 2 {
        key $key2;
        callback @{[ $app->url ]} all timeout=$timeout fail=refuse;
    }
    app 3 {
        key $key3;
        callback http://127.0.0.1:$dead/ all timeout=60s fail=refuse;
    }
    app 4 {
        key $key4;
        callback @{[ $app->url ]} all timeout=60s fail=refuse;
    }
END
}

my $im = Test::IM->new->run(workers => 1, conf('500ms'));

$im->users(qw/ ann bob /);

my $random = 1;

sub on {
    my ($id, $command, $body) = @_;

    my %key = (2 => $key2, 3 => $key3, 4 => $key4);

    return $im->rest($command, $body, query => {
        sdkappid => $id, usersig => $im->usersig('administrator',
            sdkappid => $id, key => $key{$id}) });
}

sub body {
    return { To_Account => 'bob', From_Account => 'ann',
             MsgRandom => $random++,
             MsgBody => [{ MsgType => 'TIMTextElem',
                           MsgContent => { Text => 'hello' } }], @_ };
}

sub msg { $im->rest('openim/sendmsg', body()) }
sub msg2 { on(2, 'openim/sendmsg', body()) }
sub msg3 { on(3, 'openim/sendmsg', body()) }

# nothing is on its way, and the breakers of both are closed
sub heal {
    $app->clear;

    ok $im->wait_for(sub {
        msg();
        msg2();

        my %asked = map { $_->{query}{SdkAppid} => 1 } $app->requests($after);
        return $asked{2} && $asked{ $im->app_id };
    }), 'the receiver is asked again';

    ok $im->wait_for(sub { !$im->metric('im_callbacks_queued')
                           && !$im->metric('im_callbacks_in_flight') }),
       'nothing is left';

    $app->clear;
}

for my $id (2 .. 4) {
    on($id, 'im_open_login_svc/account_import', { UserID => $_ })
        ->code_is(0) for qw/ ann bob /;
}

subtest 'each way to fail' => sub {
    for (['hang', undef, mode => 'hang'],
         ['drip', undef, mode => 'drip'],
         ['reset', undef, mode => 'reset'],
         ['bytes', undef, mode => 'bytes'],
         ['huge', undef, mode => 'huge'],
         ['redirect', undef, mode => 'redirect'],
         ['status 500', { ErrorCode => 1 }, status => 500],
         ['status 204', { ErrorCode => 1 }, status => 204],
         ['empty', '', mode => 'text'],
         ['no JSON', '<html>ErrorCode 1</html>', mode => 'text'],
         ['no object', '[1]', mode => 'text'],
         ['no ErrorCode', '{"ActionStatus":"OK"}', mode => 'text'],
         ['ErrorCode is a string', '{"ErrorCode":"1"}', mode => 'text'],
         ['too late', { ErrorCode => 1 }, delay => 40])
    {
        my ($name, $json, %mode) = @$_;

        $app->clear;
        $app->answer($before => $json, %mode);

        my $start = time;
        msg()->code_is(0, "$name: delivered");
        cmp_ok time - $start, '<', 20, "$name: not later than that";

        $start = time;
        msg2()->code_is(80003, "$name: refused");
        cmp_ok time - $start, '<', 20, "$name: not later than that";

        my @list = $app->requests($before);
        is @list, 2, "$name: no second try" if $name ne 'reset';
    }

    is scalar(my @r = $app->requests('Redirected')), 0,
       'redirects are not followed';

    # what is answered is not late from now on
    $im->reload(conf('60s'));
    heal();
};

subtest 'other fields are not needed' => sub {
    $app->answer($before => '{"ErrorCode":0}', mode => 'text');
    msg2()->code_is(0);
    $app->answer($before => ' {"ErrorCode":1,"x":[{}]} ', mode => 'text');
    msg2()->code_is(20006);
    heal();
};

subtest 'nobody listens' => sub {
    my $start = time;
    msg3()->code_is(80003, 'refused');
    cmp_ok time - $start, '<', 20, 'at once';
    $im->log_like(qr/callback C2C\.CallbackBeforeSendMsg of app 3 failed/);
};

subtest 'breaker' => sub {
    my $opened = $im->metric('im_callback_breaker_opened_total');

    my $skipped = sub {
        return $im->metric('im_callbacks_total{result="skipped"}') };
    my $before = $skipped->();

    msg3()->code_is(80003) for 1 .. 15;

    is $im->metric('im_callback_breaker_opened_total'), $opened + 1, 'opens';
    cmp_ok $im->metric('im_callback_breakers_open'), '>=', 1, 'is open';
    ok $im->wait_for(sub { msg3(); $skipped->() >= $before + 3 }), 'skips';
    $im->log_like(qr/callbacks of app 3 have failed 10 times/);

    my $late = Test::IM::Receiver->new(port => $dead, path => '/')->start;

    ok $im->wait_for(sub { msg3()->code == 0 }), 'is tried again';
    $im->log_like(qr/callbacks of app 3 are answered again/);
    msg3()->code_is(0) for 1 .. 5;
    is $im->metric('im_callback_breakers_open'), 0, 'is closed';
    $late->stop;
};

subtest 'the breaker, half open' => sub {
    my $opened = $im->metric('im_callback_breaker_opened_total');
    my $msg4 = sub { on(4, 'openim/sendmsg', body()) };

    $app->answer($before => undef, mode => 'reset');
    $msg4->()->code_is(80003) for 1 .. 12;
    is $im->metric('im_callback_breaker_opened_total'), $opened + 1, 'opens';

    # one that is held; all others are refused at once
    $app->clear;
    $app->answer($before => {}, mode => 'hold');

    my %codes;
    my $timer = Mojo::IOLoop->recurring(0.1 => sub {
        $im->ua->post($im->url('/v4/openim/sendmsg', sdkappid => 4,
                identifier => 'administrator', random => 1,
                contenttype => 'json',
                usersig => $im->usersig('administrator', sdkappid => 4,
                                        key => $key4)),
            json => body(), sub {
                my ($ua, $tx) = @_;
                $codes{ ($tx->res->json // {})->{ErrorCode} // 'none' }++;
            });
    });

    my $end = time + 60;
    Mojo::IOLoop->one_tick until $app->requests($before) || time > $end;
    Mojo::IOLoop->remove($timer);

    $msg4->()->code_is(80003) for 1 .. 10;
    is scalar(my @list = $app->requests($before)), 1, 'one is tried';

    $app->release;
    $timer = Mojo::IOLoop->recurring(0.1 => sub { });
    Mojo::IOLoop->one_tick until $codes{0} || time > $end;
    Mojo::IOLoop->remove($timer);

    is $codes{0}, 1, 'its answer counts';
    $msg4->()->code_is(0, 'it is closed');
    heal();
};

subtest 'a receiver that hangs slows nobody else' => sub {
    my $good = Test::IM::Receiver->new(port => $dead, path => '/')->start;
    ok $im->wait_for(sub { msg3()->code == 0 }), 'app 3 has a receiver';

    $app->answer($before => undef, mode => 'hang');

    # many of them at once, more than may be in flight
    my $ua = Mojo::UserAgent->new->max_connections(0)->request_timeout(120)
                              ->inactivity_timeout(120);
    my $n = 400;
    my ($done, %codes) = (0);

    for (1 .. $n) {
        $ua->post($im->url('/v4/openim/sendmsg', sdkappid => 4,
                identifier => 'administrator', random => 1,
                contenttype => 'json',
                usersig => $im->usersig('administrator', sdkappid => 4,
                                        key => $key4)),
            json => body(), sub {
                my ($ua, $tx) = @_;
                $codes{ $tx->res->json->{ErrorCode} // 'none' }++;
                $done++;
            });
    }

    Mojo::IOLoop->one_tick
        until $im->metric('im_callbacks_in_flight') == 256 || $done == $n;

    is $im->metric('im_callbacks_in_flight'), 256, 'all that may hang';

    my ($slowest, $fast) = (0, 0);

    for (1 .. 20) {
        my $start = time;
        $fast++ if msg3()->code == 0;
        $slowest = time - $start if time - $start > $slowest;
    }

    is $fast, 20, 'app 3 is served meanwhile';
    cmp_ok $slowest, '<', 20, 'and not slower';

    # all that hang are reset
    $app->stop;

    Mojo::IOLoop->one_tick until $done == $n;

    is $codes{80003}, $n, 'all are refused';
    is $im->metric('im_callbacks_in_flight'), 0, 'none is left';

    $good->stop;
    $app->start;
    heal();
};

subtest 'after-callbacks' => sub {
    $app->answer($after => undef, mode => 'hang');

    my $start = time;
    msg()->code_is(0) for 1 .. 5;
    cmp_ok time - $start, '<', 30, 'nobody waits for them';

    $app->wait_requests($after, 1);
    $app->stop;
    ok $im->wait_for(sub { $im->metric('im_callbacks_queued') == 0 }),
       'the queue becomes empty';
    $app->start;
    heal();
};

subtest 'reload' => sub {
    $app->answer($after => {}, delay => 0.2);

    msg()->code_is(0) for 1 .. 6;
    $im->reload(wait => 0);

    my @list = $app->wait_requests($after, 6);
    is @list, 6, 'the old worker sends what waits';
    ok $im->wait_for(sub { $im->worker_pids == 1 }), 'and goes';
};

done_testing;

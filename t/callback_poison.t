#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# An event that the receiver always refuses, and those behind it.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Receiver;
use Test::More;

my $c2c = 'C2C.CallbackAfterSendMsg';
my $expired = 'im_outbox_events_total{result="expired"}';

my $app = Test::IM::Receiver->new->start;
my $conf = 'rate 0; callback ' . $app->url . " $c2c retry=on timeout=20s;";
my $im = Test::IM->new->run(workers => 2, app => "$conf outbox_life 4s;");
my $random = 1;

$im->users(qw/ ann bob /);

sub msg {
    $im->rest('openim/sendmsg', {
        From_Account => 'ann', To_Account => 'bob', MsgRandom => $random++,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => $_[0] } }] })->code_is(0);
}

sub texts {
    return map { $_->{body}{MsgBody}[0]{MsgContent}{Text} }
           $app->requests($c2c);
}

sub empty { $im->wait_for(sub { $im->metric('im_outbox_waiting') == 0 }, 60) }

subtest 'an event that is never taken' => sub {
    $app->answer($c2c => {}, status => 500, match => 'poison');

    my $delivered = $im->metric('im_outbox_events_total{result="delivered"}');

    msg($_) for qw/ before poison b1 b2 b3 /;

    ok empty(), 'nothing is left';

    my @texts = texts();
    my $tries = grep { $_ eq 'poison' } @texts;

    is_deeply [grep { $_ ne 'poison' } @texts], [qw/ before b1 b2 b3 /],
              'the others come, in order';
    cmp_ok $tries, '>', 2, 'after some tries';
    is $im->metric($expired), 1, 'it is dropped';
    is $im->metric('im_outbox_events_total{result="delivered"}'),
       $delivered + 4, 'the others are not';
    $im->log_like(qr/callback C2C\.\w+ of app \d+ is dropped, /);
    $im->log_like(qr/ delivery [0-9a-f]{32} has failed for \d+ s/);
};

subtest 'the receiver comes back in time' => sub {
    $im->reload(app => "$conf outbox_life 1h;");
    $app->clear;
    $app->answer($c2c => {}, status => 500);

    msg($_) for qw/ c1 c2 /;
    ok $im->wait_for(sub { texts() > 3 }), 'it is tried';

    $app->clear;
    ok empty(), 'nothing is left';
    is_deeply [texts()], [qw/ c1 c2 /], 'all come';
    is $im->metric($expired), 1, 'and none is dropped';
};

subtest 'the receiver is away for longer' => sub {
    $im->reload(app => "$conf outbox_life 1s;");
    $app->clear;

    $app->stop;
    msg("d$_") for 1 .. 3;

    ok $im->wait_for(sub { $im->metric($expired) == 4 }, 60),
       'all are dropped';
    ok empty(), 'nothing is left';

    $app->start;
    msg('d4');
    ok $im->wait_for(sub { grep { $_ eq 'd4' } texts() }),
       'a new one comes';
};

done_testing;

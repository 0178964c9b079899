#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# After-callbacks with retry=on on two nodes: one of them sends a stream, and
# when it dies with events that nobody has taken the other one does.

use strict;
use warnings;

use lib 't/lib';

use Test::IM::Cluster;
use Test::IM::Receiver;
use Test::More;

Test::IM::Cluster->skip;

my $after = 'C2C.CallbackAfterSendMsg';
my $app = Test::IM::Receiver->new->start;
my $cl = Test::IM::Cluster->new->run(nodes => 2, workers => 2, balancer => 0,
    app => 'rate 0; callback ' . $app->url . " $after retry=on timeout=1s;");
my ($one, $two) = @{ $cl->nodes };

$one->users(qw/ ann bob /);

my $random = 1;

sub msg {
    my ($im, $text) = @_;

    $im->rest('openim/sendmsg', {
        From_Account => 'ann', To_Account => 'bob', MsgRandom => $random++,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => $text } }] })->code_is(0);
}

sub text { $_[0]{body}{MsgBody}[0]{MsgContent}{Text} }

sub id { $_[0]{headers}{'X-IM-Delivery'} // $_[0]{headers}{'X-Im-Delivery'} }

# those of the list that were not there before, by their ids
sub once {
    my %seen;
    return grep { !$seen{ id($_) }++ } @_;
}

sub empty {
    my ($im) = @_;

    return $im->wait_for(sub { $im->metric('im_outbox_waiting') == 0 }, 20);
}

subtest 'events of both nodes' => sub {
    for my $n (1 .. 6) {
        msg($n % 2 ? $one : $two, "m$n");
    }

    my @list = once($app->wait_requests($after, 6));

    is_deeply [map { text($_) } @list], [map { "m$_" } 1 .. 6], 'in order';
    ok empty($_), 'nothing is left' for $one, $two;
};

subtest 'a node dies' => sub {
    $app->clear;
    $app->answer($after => {}, status => 500);

    # the one that has the lease is the one that tries

    msg($two, 'd1');
    $app->wait_requests($after, 1);

    my $tries = sub { $_[0]->metric('im_outbox_waiting') > 0 };
    my ($dies) = grep { $tries->($_) } $one, $two;
    ok $dies, 'a node tries to send' or return;

    my ($lives) = grep { $_ != $dies } $one, $two;

    msg($one, 'd2');
    msg($two, 'd3');

    ok $dies->wait_for(sub { $dies->metric('im_outbox_waiting') == 3 }, 20),
       'it knows of the events of both';
    is $lives->metric('im_outbox_waiting'), 0, 'the other one leaves them';

    my ($first) = $app->requests($after);

    $dies->kill9_all;
    $app->clear;

    msg($lives, 'd4');

    $lives->wait_for(sub { once($app->requests($after)) >= 4 }, 30);

    my @list = once($app->requests($after));

    is_deeply [map { text($_) } @list], [map { "d$_" } 1 .. 4],
              'the other one sends them, in order';
    is id($list[0]), id($first), 'as the same delivery';
    ok empty($lives), 'nothing is left';
};

done_testing;

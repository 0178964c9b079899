#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# After-callbacks without retry=on over a reload: what the old worker has
# still to send comes before what the new one sends.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Receiver;
use Test::More;
use Time::HiRes qw/ time /;

my $c2c = 'C2C.CallbackAfterSendMsg';
my $group = 'Group.CallbackAfterSendMsg';
my $profile = 'Profile.CallbackPortraitSet';

my $app = Test::IM::Receiver->new->start;
my $im = Test::IM->new->run(app => 'rate 0; callback ' . $app->url
                                   . " $c2c $group $profile timeout=60s;");
my $random = 1;

$im->users(qw/ ann bob /);
$im->group(Type => 'Public', GroupId => 'g', owner => 'ann');

sub text { [{ MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } }] }

# one event of each kind
sub events {
    my ($text) = @_;

    $im->rest('openim/sendmsg', {
        From_Account => 'ann', To_Account => 'bob', MsgRandom => $random++,
        MsgBody => text($text) })->code_is(0);
    $im->rest('group_open_http_svc/send_group_msg', {
        GroupId => 'g', From_Account => 'ann', Random => $random++,
        MsgBody => text($text) })->code_is(0);
    $im->rest('profile/portrait_set', {
        From_Account => 'ann', ProfileItem => [{
            Tag => 'Tag_Profile_IM_Nick', Value => $text }] })->code_is(0);
}

sub seen {
    my ($command) = @_;

    return [map {
        $_->{body}{MsgBody} ? $_->{body}{MsgBody}[0]{MsgContent}{Text}
                            : $_->{body}{ProfileItem}[0]{Value}
    } $app->requests($command)];
}

subtest 'a reload' => sub {
    $app->answer($_ => {}, mode => 'hold') for $c2c, $group, $profile;

    events("e$_") for 1 .. 6;

    my ($old) = $im->worker_pids;

    $im->reload(wait => 0);

    # the old one takes no new connections
    ok $im->wait_for(sub {
        Test::IM::cmdline($old) =~ /shutting down/
        || !grep { $_ == $old } $im->worker_pids }), 'the old one exits';

    events("e$_") for 7 .. 9;

    ok $im->wait_for(sub { @{ seen($_) } }), "$_: the first one"
        for $c2c, $group, $profile;
    is scalar(@{ seen($_) }), 1, 'the others are still to be sent'
        for $c2c, $group, $profile;

    $app->release;

    ok $im->wait_for(sub { @{ seen($_) } >= 9 }), "all of $_"
        for $c2c, $group, $profile;

    is_deeply seen($_), [map { "e$_" } 1 .. 9], "$_: in order"
        for $c2c, $group, $profile;
};

subtest 'the time after it' => sub {
    $app->clear;

    my $start = time;

    events('now');
    is scalar($app->wait_requests($_, 1)), 1, "$_ comes"
        for $c2c, $group, $profile;

    # an old worker is waited for 12 seconds
    cmp_ok time - $start, '<', 9, 'nobody is waited for';
};

subtest 'an old worker that was killed' => sub {
    $app->clear;
    $app->answer($_ => {}, mode => 'hold') for $c2c, $group, $profile;
    $im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);

    ok $im->wait_for(sub { $im->worker_pids == 1 }), 'one worker';
    events("k$_") for 1 .. 3;

    my ($old) = $im->worker_pids;

    $im->reload(wait => 0);
    kill KILL => $old;
    ok $im->wait_for(sub {
        !grep { $_ == $old } $im->worker_pids }), 'it is gone';

    # not over its connection
    $im->ua(Mojo::UserAgent->new);

    $app->clear;
    events('later');
    ok $im->wait_for(sub { grep { $_ eq 'later' } @{ seen($c2c) } }),
       'is waited for some seconds at most';
};

done_testing;

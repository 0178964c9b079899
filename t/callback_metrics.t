#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Counts and times of commands and callbacks per app, breakers per URL.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Receiver;
use Test::More;

my $before = 'C2C.CallbackBeforeSendMsg';
my $app = Test::IM::Receiver->new->start;
my $dead = Test::IM->free_port;
my $key2 = 'r' x 64;

my $im = Test::IM->new->run(workers => 2,
    app => 'rate 0; callback ' . $app->url . "?secret=1 $before timeout=20s;",
    im => "rate 0; app 2 { key $key2;
                           callback http://127.0.0.1:$dead/ $before; }");

my $id = $im->app_id;
my $random = 1;

sub msg {
    my ($app) = @_;

    return $im->rest('openim/sendmsg', {
        From_Account => 'ann', To_Account => 'bob', MsgRandom => $random++,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => 'hello' } }] },
        $app ? (query => { sdkappid => $app, usersig => $im->usersig(
            'administrator', sdkappid => $app, key => $key2) }) : ());
}

$im->users(qw/ ann bob /);

$im->rest('im_open_login_svc/account_import', { UserID => $_ }, query => {
    sdkappid => 2, usersig => $im->usersig('administrator', sdkappid => 2,
                                           key => $key2) })->code_is(0)
    for qw/ ann bob /;

# the sum of buckets, and whether they only grow
sub histogram {
    my ($name, $labels) = @_;

    my $text = $im->get('/metrics')->text;
    my @n = $text =~ /^${name}_bucket\{$labels,le="[\d.]+"\} (\d+)$/mg;
    my ($inf) = $text =~ /^${name}_bucket\{$labels,le="\+Inf"\} (\d+)$/m;
    my ($count) = $text =~ /^${name}_count\{$labels\} (\d+)$/m;
    my ($sum) = $text =~ /^${name}_sum\{$labels\} ([\d.]+)$/m;

    return unless defined $count;

    is scalar(@n), 13, 'bounds';
    is "@n", join(' ', sort { $a <=> $b } @n), 'each has those before it';
    cmp_ok $n[-1], '<=', $inf, 'all';
    is $inf, $count, 'count';

    return ($count, $sum);
}

subtest 'callbacks' => sub {
    $app->answer($before => {}, delay => 0.03);
    msg()->code_is(0) for 1 .. 5;
    $app->answer($before => {}, status => 500);
    msg()->code_is(0) for 1 .. 2;

    my $labels = qq{app="$id",command="$before"};
    my ($count, $sum) = histogram('im_callback_seconds', $labels);
    is $count, 7, 'seven';
    cmp_ok $sum, '>=', 0.15, 'their time';

    is $im->metric("im_callback_requests_total{$labels,result=\"ok\"}"), 5,
       'ok';
    is $im->metric("im_callback_requests_total{$labels,result=\"failed\"}"),
       2, 'failed';
};

subtest 'commands' => sub {
    my ($count, $sum) = histogram('im_command_seconds',
                                  qq{app="$id",command="openim/sendmsg"});
    is $count, 7, 'seven';
    cmp_ok $sum, '>=', 0.15, 'their time';

    is_deeply [histogram('im_command_seconds',
                         'app="2",command="openim/sendmsg"')], [],
              'none of the other app';
};

subtest 'breakers' => sub {
    msg(2)->code_is(0) for 1 .. 30;

    cmp_ok $im->metric('im_callback_breaker_open{app="2",url='
                       . "\"http://127.0.0.1:$dead/\"}"), '>=', 1, 'open';
    is $im->metric("im_callback_breaker_open{app=\"$id\",url=\""
                   . $app->url . '"}'), 0, 'closed, without arguments';
    cmp_ok $im->metric('im_callback_requests_total{app="2",command='
                       . "\"$before\",result=\"skipped\"}"), '>=', 1,
           'skipped';
};

done_testing;

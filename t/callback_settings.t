#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Callback settings made at run time: at once in all workers, over a reload
# and a restart; private addresses are refused.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Receiver;
use Test::More;
use Time::HiRes qw/ sleep /;

my $before = 'C2C.CallbackBeforeSendMsg';
my $after = 'C2C.CallbackAfterSendMsg';

my $one = Test::IM::Receiver->new->start;
my $two = Test::IM::Receiver->new->start;
my $key2 = 'r' x 64;

my $im = Test::IM->new->run(workers => 3,
    app => "rate 0; callback_private on; callback @{[ $one->url ]} $before
            timeout=20s;",
    im => "rate 0; app 2 { key $key2; }
           app 3 { key $key2; callback @{[ $one->url ]} $before
                              timeout=20s; }");

my $random = 1;

sub on {
    my ($id, $command, $body) = @_;

    return $im->rest($command, $body, query => {
        sdkappid => $id, usersig => $im->usersig('administrator',
            sdkappid => $id, key => $key2) });
}

sub body {
    return { From_Account => 'ann', To_Account => 'bob',
             MsgRandom => $random++,
             MsgBody => [{ MsgType => 'TIMTextElem',
                           MsgContent => { Text => 'hello' } }] };
}

sub msg { $im->rest('openim/sendmsg', body()) }
sub set { $im->rest('im_callback/set', { @_ }) }
sub get { $im->rest('im_callback/get', {})->code_is(0)->json }
sub count { scalar(my @list = $_[0]->requests) }

$im->users(qw/ ann bob /);

for my $id (2, 3) {
    on($id, 'im_open_login_svc/account_import', { UserID => $_ })->code_is(0)
        for qw/ ann bob /;
}

subtest 'the directive' => sub {
    msg()->code_is(0);
    is count($one), 1, 'is used';

    my $json = get();
    is $json->{Source}, 'directive', 'Source';
    is $json->{Url}, $one->url, 'Url';
    is_deeply $json->{Commands}, [$before], 'Commands';
    is $json->{Timeout}, 20000, 'Timeout';
    is $json->{Fail}, 'deliver', 'Fail';
    is $json->{Retry}, 0, 'Retry';
    is $json->{Signed}, 0, 'Signed';
};

subtest 'another URL' => sub {
    $_->clear for $one, $two;

    set(Url => $two->url)->code_is(0);
    msg()->code_is(0) for 1 .. 12;

    is count($two), 12, 'is asked by all workers, at once';
    is count($one), 0, 'and not the first one';

    my $json = get();
    is $json->{Source}, 'store', 'Source';
    is $json->{Url}, $two->url, 'Url';
    is_deeply $json->{Commands}, [$before], 'Commands stay as they are';
};

subtest 'each setting' => sub {
    $two->clear;

    set(Commands => [$before, $after], Timeout => 9700, Fail => 'refuse',
        Token => 'xxxxyyyy')->code_is(0);

    $two->answer($before => {}, status => 500);
    msg()->code_is(80003) for 1 .. 6;
    my ($r) = $two->requests($before);
    like $r->{query}{Sign}, qr/^[0-9a-f]{64}$/, 'Token';

    set(Fail => 'deliver')->code_is(0);
    msg()->code_is(0);
    is scalar(my @l = $two->wait_requests($after, 1)), 1, 'Commands';

    my $json = get();
    is $json->{Timeout}, 9700, 'Timeout';
    is $json->{Signed}, 1, 'Signed';
    ok !exists $json->{Token}, 'the token is a secret';

    set(Commands => ['all'], Retry => 1, Token => '')->code_is(0);
    $two->clear;
    msg()->code_is(0);
    ($r) = $two->wait_requests($after, 1);
    ok $r->{headers}{'X-IM-Delivery'} // $r->{headers}{'X-Im-Delivery'},
       'Retry';
    ok !exists $r->{query}{Sign}, 'no Token';
    cmp_ok scalar(@{ get()->{Commands} }), '>', 10, 'all';
};

subtest 'over a reload and a restart' => sub {
    $im->reload;
    is get()->{Url}, $two->url, 'Url';
    $im->stop->start;
    $two->clear;
    msg()->code_is(0);
    cmp_ok count($two), '>=', 1, 'Url';
    $two->wait_requests($after, 1);
};

subtest 'off, and back to the directive' => sub {
    set(Url => '')->code_is(0);
    $_->clear for $one, $two;
    msg()->code_is(0) for 1 .. 5;
    is count($two) + count($one), 0, 'nobody is asked';
    is get()->{Url}, '', 'Url';

    $im->rest('im_callback/reset', {})->code_is(0);
    msg()->code_is(0) for 1 .. 5;
    is count($one), 5, 'the directive';
    is get()->{Source}, 'directive', 'Source';
    $im->rest('im_callback/reset', {})->code_is(0);
};

subtest 'what is refused' => sub {
    for ([Url => 'ftp://x/', qr/must begin with http/],
         [Url => 'http://x/#', qr/illegal character/],
         [Url => 'http://x/' . 'x' x 1024, qr/Url/],
         [Url => 1, qr/Url/],
         [Commands => [], qr/no command/],
         [Commands => ['x'], qr/does not exist/],
         [Commands => 'all', qr/must be an array/],
         [Commands => [1], qr/array of strings/],
         [Timeout => 0, qr/Timeout/],
         [Timeout => 60001, qr/Timeout/],
         [Fail => 'no', qr/Fail/],
         [Retry => 2, qr/Retry/],
         [Token => 'x' x 129, qr/Token/])
    {
        my ($name, $value, $info) = @$_;
        my $r = set($name => $value)->code_is(60003);
        like $r->json->{ErrorInfo}, $info, $name;
    }

    is get()->{Source}, 'directive', 'nothing is changed';

    $im->rest("im_callback/$_", {}, user => 'ann')->code_is(60010)
        for qw/ get set reset /;
};

subtest 'private addresses' => sub {
    my $port = $one->port;

    on(3, 'openim/sendmsg', body())->code_is(0);      # a kept connection
    $one->clear;

    for my $url ("http://127.0.0.1:$port/im", "http://localhost:$port/im",
                 "http://[::1]:$port/im", "http://[::ffff:127.0.0.1]:$port/",
                 "http://0.0.0.0:$port/im", "http://2130706433:$port/im",
                 'http://10.0.0.1/', 'http://192.168.1.1/',
                 'http://172.16.0.1/', 'http://169.254.169.254/',
                 'http://100.64.0.1/', 'http://[fd00::1]/',
                 'http://[fe80::1]/', 'http://[64:ff9b::7f00:1]/')
    {
        for my $id (2, 3) {
            on($id, 'im_callback/set', { Url => $url, Commands => [$before],
                                         Fail => 'refuse' })->code_is(0);
            on($id, 'openim/sendmsg', body())->code_is(80003, $url);
        }
    }

    is count($one), 0, 'none is asked';
    $im->log_like(qr/failed: the address is private/);

    on(3, 'im_callback/reset', {})->code_is(0);
    on(3, 'openim/sendmsg', body())->code_is(0);
    is count($one), 1, 'the directive may';
};

done_testing;

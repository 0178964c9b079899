#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A worker that dies between the commit of a friendship and its news.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Sns;
use Test::More;

plan skip_all => 'needs a build --with-debug' unless Test::IM::with_debug();

my $im = Test::IM->new;

$im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);
$im->run(workers => 2, app => 'rate 0;', im => 'fault before_publish 1;');

sns_server($im);
$im->users(qw/ ann bob /);

my $bob = $im->ws_login('bob');

ok !defined add('ann', 'bob')->code, 'the worker dies, no answer';
$im->wait_for(sub { $im->worker_pids == 2 });

is_deeply codes(add('ann', 'bob')), [30001], 'it was done';
is relation('ann', 'bob'), 'BothWay', 'in both directions';
sns('friend_get', $_, StartIndex => 0)->json_is('/FriendNum', 1)
    for qw/ ann bob /;

if ($bob->tick(sub { defined $bob->closed }, 0.5)) {
    $bob->open;
    $bob->wslogin->code_is(0, 'his was the worker: a new connection');
    like $bob->request('sns.friend_get', { StartIndex => 0 })->text,
         qr/"ann"/, 'reads the list';

} else {
    $bob->request('im_open_status.wshello', { is_web_uniapp => 0 })
        ->code_is(0);
    is_deeply mod($bob, 1)->{FriendAdd_Account}, ['ann'], 'hears of it late';
}

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

plan skip_all => 'needs nginx --with-debug' unless Test::IM->with_debug;

# the tick of a worker is enough to come by

my $im = Test::IM->new->run(workers => 3, im => 'fault in_zone_lock 20;');

subtest 'a worker dies in the lock of the zone' => sub {
    $im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);

    $im->log_like(qr/exited on signal 9/, 'it dies');
    $im->log_like(qr/zone "im" was emptied .* 0 sessions/, 'others notice');

    ok $im->wait_for(sub { $im->worker_pids == 3 }), 'it has a successor';
    is $im->metric('im_up'), 1, 'all is well';
};

subtest 'its slot is free again' => sub {
    $im->reload(im => '', workers => 1);
    is $im->worker_pids, 1, 'a reload with less workers';

    $im->reload(workers => 3);
    is $im->worker_pids, 3, 'one with more';

    $im->kill_worker(1);
    is $im->worker_pids, 3, 'a kill';
};

subtest 'slots have a limit' => sub {
    my @pids = $im->worker_pids;

    $im->options->{workers} = 61;
    $im->write_conf;

    $im->allow_log(qr/at most 60 worker_processes/);
    kill HUP => $im->master_pid;
    $im->log_like(qr/at most 60 worker_processes/, '61 workers are refused');

    is_deeply [$im->worker_pids], \@pids, 'the workers stay';
    $im->options->{workers} = 3;
};

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# The connections to Redis: they come, they go, they come again.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Cluster;
use Test::More;

Test::IM::Cluster->skip;

my $cl = Test::IM::Cluster->new(redis_conf => '--requirepass secret');

sub beats { scalar grep { /\S/ } split /\n/, cli('KEYS', 'x:n:*') }

sub cli {
    return $cl->redis('--no-auth-warning', '-a', 'secret', '-n', 3, '--raw',
                      @_);
}

$cl->dir(File::Temp::tempdir('im-cluster-XXXXXXXX', TMPDIR => 1))->start_redis;

my $im = Test::IM->new->run(workers => 2, im => 'redis 127.0.0.1:'
    . $cl->redis_port . ' password=secret db=3 prefix=x: timeout=2s; node a;');

subtest 'start' => sub {
    ok $im->wait_for(sub { $im->metric('im_redis_connections') == 2 }),
        'each worker has a connection';
    ok $im->wait_for(sub { beats() == 1 }), 'the node beats';
    like cli('GET', 'x:n:a'), qr/^\d{13}$/, 'with its epoch';
    cmp_ok cli('PTTL', 'x:n:a'), '<=', 10000, 'for ten seconds';
};

subtest 'reload' => sub {
    my $epoch = cli('GET', 'x:n:a');

    $im->reload;

    ok $im->wait_for(sub { $im->metric('im_redis_connections') == 2 }),
        'new connections';
    ok $im->wait_for(sub {
        scalar(grep { /cmd=subscribe/ } split /\n/, cli('CLIENT', 'LIST')) == 1
    }), 'one worker listens';
    is cli('GET', 'x:n:a'), $epoch, 'the same epoch';
};

subtest 'a worker dies' => sub {
    $im->kill_worker($_) for 0, 1;

    ok $im->wait_for(sub { $im->metric('im_redis_connections') == 2 }),
        'new connections';
    ok $im->wait_for(sub {
        scalar(grep { /cmd=subscribe/ } split /\n/, cli('CLIENT', 'LIST')) == 1
    }), 'one worker listens';
};

subtest 'Redis is away' => sub {
    my $down = $im->metric('im_redis_down_total');

    $cl->stop_redis;
    ok $im->wait_for(sub { $im->metric('im_redis_connections') == 0 }), 'seen';
    $im->log_like(qr/\[error\].*redis 127\.0\.0\.1:\d+ is down, commands/);
    cmp_ok $im->metric('im_redis_down_total'), '>=', $down + 2, 'counted';

    $im->users('ann');

    $cl->start_redis;
    ok $im->wait_for(sub { $im->metric('im_redis_connections') == 2 }),
        'back';
    $im->log_like(qr/\[warn\].*redis 127\.0\.0\.1:\d+ is up again, commands/);
    ok $im->wait_for(sub { beats() == 1 }), 'the node beats';
};

subtest 'Redis is slow' => sub {
    kill STOP => $cl->redis_pid;

    my $down = $im->metric('im_redis_down_total');

    $im->users('bob');
    ok $im->wait_for(sub { $im->metric('im_redis_down_total') > $down }),
        'taken as down';

    kill CONT => $cl->redis_pid;
    ok $im->wait_for(sub { $im->metric('im_redis_connections') == 2 }),
        'back';
};

subtest 'emptied' => sub {
    cli('FLUSHALL');
    ok $im->wait_for(sub { beats() == 1 }), 'the node beats again';
};

$im->stop('stopped');
$cl->finish;

done_testing;

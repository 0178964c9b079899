#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# The connections to Redis: they come, they go, they come again.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Cluster;
use Test::IM::Proxy;
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

$cl = Test::IM::Cluster->new->run(workers => 2, balancer => 0,
                                  app => 'rate 0; dedup_c2c 20s;');

my ($one, $two) = @{ $cl->nodes };

subtest 'the time of a message, for nodes whose clocks are behind' => sub {
    my @call = ('openim/sendmsg', { From_Account => 'ann', MsgRandom => 1,
        To_Account => 'bob', MsgBody => [{ MsgType => 'TIMTextElem',
                                 MsgContent => { Text => 'x' } }] });
    my $markers = sub {
        return map { $cl->redis('GET', $_) =~ s/"//gr }
               grep { length } split /\n/, $cl->redis('--raw', 'KEYS',
                                                      'im:m:*');
    };

    $one->users(qw/ ann bob /)->rest(@call)->code_is(0);
    is_deeply [$markers->()], [], 'none without a MsgSeq';

    $call[1]{MsgSeq} = 2;
    my $key = $one->rest(@call)->code_is(0)->json('/MsgKey');

    is_deeply [$markers->()], [$key =~ s/^2_1_/d/r], 'Redis knows its time';
    is $two->rest(@call)->json('/MsgKey'), $key, 'the other node finds it';
};

subtest 'a node is back later than the other' => sub {
    my $proxy = Test::IM::Proxy->new(port => $one->free_port,
                                     to => $cl->redis_port)->start;
    my ($to, $port) = ($proxy->to, $proxy->port);

    $one->reload(im => $one->options->{im} =~ s/:$to\b/:$port/r);
    ok $cl->ready, 'it goes another way';

    my $gid = $one->users(qw/ ann bob /)->group(owner => 'ann',
                                                members => ['bob']);
    my $bob = $two->ws_login('bob');
    my $text = [{ MsgType => 'TIMTextElem', MsgContent => { Text => 'x' } }];
    my $random = 1;

    my $tell = sub {
        $one->rest('openim/sendmsg', { From_Account => 'ann',
            To_Account => 'bob', MsgRandom => ++$random, MsgBody => $text })
            ->code_is(0);
        $one->rest('group_open_http_svc/send_group_msg', { GroupId => $gid,
            From_Account => 'ann', Random => $random, MsgBody => $text })
            ->code_is(0);
    };
    my $heard = sub {
        my ($seconds) = @_;
        my $c2c = $bob->next_event('C2cMsgArray', $seconds);
        my $group = $bob->next_event('GroupMsgArray', $seconds);

        return join ' ', map { $_ // 'none' }
               $c2c && $c2c->{C2cMsgArray}[0]{MsgRandom},
               $group && $group->{GroupMsgArray}[0]{MsgRandom};
    };

    $tell->();
    is $heard->(30), '2 2', 'both are heard on the other node';

    # again, if the other node looks for another reason, which it may

    my $told;

    for (1 .. 5) {
        $proxy->cut;
        ok $one->wait_for(sub { $one->metric('im_redis_connections') == 0 }),
            'it has no connection';
        $tell->();
        $told = $heard->(0.5);
        last if $told eq 'none none';

        $proxy->start;
        ok $cl->ready, 'it has again';

        # both, in one look or in two
        my $all = $told;
        for (1 .. 5) {
            last if (() = $all =~ /\b$random\b/g) == 2;
            $all .= ' ' . $heard->(5);
        }
    }

    is $told, 'none none', 'nobody is told';

    $proxy->start;
    ok $cl->ready, 'it has again';
    is $heard->(10), "$random $random",
        'then the other node looks what there is';
    is $heard->(0.5), 'none none', 'once';

    $bob->close;
};

done_testing;

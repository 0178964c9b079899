#!/usr/bin/perl

# Copyright (C) The ngx_im authors

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2);

subtest 'text for Prometheus' => sub {
    my $reply = $im->get('/metrics')->status_is(200);

    is $reply->headers->content_type, 'text/plain; version=0.0.4', 'type';
    is $im->metric('im_up'), 1, 'up';
};

subtest 'the sums of all workers' => sub {
    my $before = $im->metric('im_requests_total{transport="rest"}');

    $im->rest('im_open_login_svc/account_check',
              { CheckItem => [{ UserID => 'nobody' }] }) for 1 .. 20;

    is $im->metric('im_requests_total{transport="rest"}'), $before + 20,
       'requests';

    my @ws = map { $im->ws_login("user$_") } 1 .. 6;

    is $im->metric('im_sessions{transport="ws"}'), 6, 'sessions';
    ok $im->wait_for(sub { $im->metric('im_connections{transport="ws"}') == 6
                       }), 'connections';
    cmp_ok $im->metric('im_requests_total{transport="ws"}'), '>=', 6,
           'frames';
    ok $im->wait_for(sub { $im->metric('im_store_commit_seconds_count') }),
       'commits';

    my $text = $im->get('/metrics')->text;
    my %seen;

    for (split /\n/, $text) {
        next if /^# TYPE \w+ (?:counter|gauge|histogram)$/;
        like $_, qr/^\w+(?:\{\w+="[^"]*"(?:,\w+="[^"]*")*\})? [0-9.]+$/, $_;
        s/ .*//;
        ok !$seen{$_}++, 'once' or diag $_;
    }

    for my $ws (@ws) {
        $ws->tx->finish;
        $ws->tick(sub { defined $ws->closed });
    }

    ok $im->wait_for(sub { $im->metric('im_connections{transport="ws"}') == 0
                       }), 'no connections';
};

subtest 'methods' => sub {
    is $im->ua->head($im->url('/metrics'))->res->code, 200, 'HEAD';
    is $im->ua->post($im->url('/metrics') => 'x')->res->code, 405, 'POST';
};

subtest 'workers come and go' => sub {
    $im->reload;
    is $im->metric('im_up'), 1, 'after a reload';

    my $sum = $im->metric('im_requests_total{transport="rest"}');

    cmp_ok $sum, '>=', 20, 'a reload leaves the counters';

    $im->kill_worker(0);
    is $im->metric('im_up'), 1, 'after a kill';
    is $im->metric('im_requests_total{transport="rest"}'), $sum,
       'and so does a kill';

    $im->kill9_all->start;
    is $im->metric('im_up'), 1, 'after a kill of all';
};

subtest 'changes that need a restart' => sub {
    my @pids = $im->worker_pids;

    $im->options->{im} = '';
    $im->write_conf;

    my $conf = $im->conf =~ s/zone 16m/zone 17m/r;
    Mojo::File::path($im->dir . '/nginx.conf')->spurt($conf);

    $im->allow_log(qr/"zone" was changed from 16777216 to 17825792/);
    kill HUP => $im->master_pid;
    $im->log_like(qr/"zone" was changed .* needs a restart/, 'zone');

    is_deeply [$im->worker_pids], \@pids, 'the workers stay';
};

done_testing;

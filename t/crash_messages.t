#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Workers and masters are killed at random while messages are sent: what was
# acknowledged is there once, in order, and was seen by its receiver.
#
# IM_TEST_SEED repeats a run.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Load;
use Test::More;

my $seed = $ENV{IM_TEST_SEED} // int rand 4294967295;

srand $seed;
note "IM_TEST_SEED=$seed";

my $kills = $ENV{IM_TEST_KILLS} // 24;
my $im = Test::IM->new->run(workers => 3, app => 'rate 0; web_instances 4;');

$im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);

my $load = Test::IM::Load->new(im => $im, rest => 4, ws => 4)->start;
my %done;

for my $n (1 .. $kills) {
    $load->run(0.1 + rand 0.7);

    # of six kills one is everything, one the master before the workers
    my $what = ('all', 'master', ('worker') x 3, 'two workers')[rand 6];
    $what = 'all' if $n == int $kills / 3;
    $what = 'master' if $n == int $kills / 2;

    $done{$what}++;

    if ($what =~ /worker/) {
        my @pids = $im->worker_pids;
        my @killed;

        push @killed, splice @pids, rand @pids, 1
            for 1 .. ($what eq 'worker' ? 1 : 2);

        kill KILL => @killed;

        $load->run(60, sub {
            my %now = map { $_ => 1 } $im->worker_pids;
            return keys %now == 3 && !grep { $now{$_} } @killed;
        }) or fail "kill $n: no new worker";

    } else {
        my @pids = $im->worker_pids;

        if ($what eq 'master') {
            # workers go on without it
            kill KILL => $im->master_pid;
            $load->run(0.1 + rand 0.3);
        }

        $im->kill9_all(@pids);
        $im->start;
    }

    my $acks = $load->acks;

    $load->run(60, sub { $load->acks >= $acks + 20 })
        or fail "kill $n of $what: nothing is acknowledged any more";
}

note join ', ', map { "$done{$_} times $_" } sort keys %done;

$load->run(60, sub { $load->acks > 500 });
$load->settle;
cmp_ok $load->acks, '>', 500, 'enough was sent';

subtest 'history' => sub { $load->check_history };
subtest 'fresh logins' => sub { $load->check_logins };
subtest 'receivers' => sub { $load->check_seen };

$load->stop;

diag "IM_TEST_SEED=$seed" unless Test::More->builder->is_passing;

done_testing;

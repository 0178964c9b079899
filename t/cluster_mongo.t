#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Two nodes on MongoDB and Redis behind a balancer: single chat, a stored group
# and a live room, while the MongoDB server is killed, Redis is emptied and
# killed, and a node is.  What was acknowledged is there afterwards, once and
# in order, and is heard by those who stay connected.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Cluster;
use Test::IM::GroupLoad;
use Test::IM::Load;
use Test::IM::Mongo;
use Test::More;
use Time::HiRes qw/ time /;

Test::IM::Cluster->skip;
Test::IM::Mongo->skip;

$ENV{IM_TEST_STORE} = 'mongo';

my $cl = Test::IM::Cluster->new->run(workers => 2, app => 'rate 0;
    group_rate 0; group_rate_normal 0; group_rate_low 0;
    group_rate_lowest 0; web_instances 4;');
my $mongo = Test::IM::Mongo->for_folder($cl->dir . '/store');
my ($one, $two) = @{ $cl->nodes };

my $groups = Test::IM::GroupLoad->new(im => $cl->any, nodes => $cl->nodes,
                                      pause => 0.1)->prepare;
my $load = Test::IM::Load->new(im => $cl->any, rest => 2, ws => 3,
                               pause => 0.1);

# the server away: internal errors of UserSig and of commands
$load->retry->{$_} = 1 for 20005, 70500, 91000;
$load->start;
$groups->start;

sub acks_go_on {
    my ($name) = @_;
    my ($acks, $group) = ($load->acks, $groups->acks);
    my $start = time;

    ok $load->run(60, sub { $load->acks > $acks + 10
                            && $groups->acks > $group + 3 }), $name;
    note sprintf '%s: %.1f s', $name, time - $start;
}

acks_go_on('messages');

for my $seconds (5, 0) {
    $mongo->kill9;
    $load->run($seconds);
    $mongo->start;
    acks_go_on("MongoDB was away for $seconds s");
}

cmp_ok scalar(keys %{ $groups->codes }), '>', 0,
    'there were error codes meanwhile';

# in the middle of commits, longer than any of them may last
kill STOP => $mongo->pid;
$load->run(7);
kill CONT => $mongo->pid;
acks_go_on('MongoDB was silent for 7 s');
cmp_ok $groups->slowest, '<', 30, 'no command waited longer';

$cl->redis('FLUSHALL');
acks_go_on('Redis was emptied');

$cl->stop_redis;
acks_go_on('Redis is away');
$cl->start_redis;
acks_go_on('and back');
ok $cl->ready, 'the nodes are there';

$two->kill9_all;
$groups->move(1, $one);
acks_go_on('a node was killed');

$two->start;
ok $cl->ready, 'it is started again';
acks_go_on('with both');

$_->settle for $groups, $load;
$_->check for $load, $groups;

done_testing;

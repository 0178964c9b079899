#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A node that has nothing to tell keeps what it listens by.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Cluster;
use Test::More;

Test::IM::Cluster->skip;

my $cl = Test::IM::Cluster->new->run(workers => 2);
my @nodes = @{ $cl->nodes };

sleep 12;

for my $im (@nodes) {
    unlike $im->log_text, qr/is down, bus: it does not forward/,
        'heard of itself all the time';
}

done_testing;

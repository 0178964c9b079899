#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# The unmodified web SDK 2.x on two workers, see t/sdk/.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Node;
use Test::More;

my $missing = node_missing(qw/ tim-js-sdk ws /);
plan skip_all => $missing if $missing;

my $im = Test::IM->new->run(workers => 2);

# c2c.js kills workers
$im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);

node_script($im, 'sdk/c2c.js');
node_script($im, 'sdk/live.js');
node_script($im, 'sdk/group.js');

done_testing;

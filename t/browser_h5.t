#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# The H5 page in Chromium.

use strict;
use warnings;

use lib 't/lib';

use File::Copy qw/ copy /;
use Test::IM;
use Test::IM::Node;
use Test::More;

my $missing = node_missing('playwright-core')
              // (chromium() ? undef : 'no chromium');
plan skip_all => $missing if $missing;

# the conf's own lines, its files where workers can read them
my $conf = Mojo::File::path("$Test::IM::top/conf/im.conf")->slurp;
my ($types) = $conf =~ /^( *types \{.*?\})/ms;
my ($app) = $conf =~ m{^( *location = /h5\.json \{.*?\n        \})}ms;

my $im = Test::IM->new;

$im->run(workers => 2, http => $types, app => 'group_rate 1000;',
         server => "$app location / { root html; }");

for my $file (glob "$Test::IM::top/conf/h5/*") {
    copy($file, $im->dir . '/html/') or die "$file: $!";
}

$im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);

node_script($im, 'browser/h5.js', 500);

done_testing;

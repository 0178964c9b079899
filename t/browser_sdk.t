#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# The unmodified web SDK 2.x in Chromium.

use strict;
use warnings;

use lib 't/lib';

use File::Copy qw/ copy /;
use Test::IM;
use Test::IM::Node;
use Test::More;

my $missing = node_missing(qw/ playwright-core tim-js-sdk /)
              // (chromium() ? undef : 'no chromium');
plan skip_all => $missing if $missing;

my $im = Test::IM->new->run(
    workers => 2,
    http => 'types { text/html html; application/javascript js; }',
    server => 'location /sdk/ { alias html/; }');

for my $file ("$Test::IM::top/t/browser/sdk.html",
              "$Test::IM::Node::node/node_modules/tim-js-sdk/tim-js.js")
{
    copy($file, $im->dir . '/html/') or die "$file: $!";
}

$im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);

node_script($im, 'browser/sdk.js', 400);

done_testing;

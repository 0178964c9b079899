#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# The acceptance test of the web protocol, where its files lie beside this
# folder.  It is run from a copy, which has its packages beside it.

use strict;
use warnings;

use lib 't/lib';

use File::Copy qw/ copy /;
use File::Path qw/ make_path /;
use Test::IM;
use Test::IM::Cluster;
use Test::IM::Node;
use Test::More;

my $from = "$Test::IM::top/../shared/acceptance/webv2";
my $to = "$Test::IM::build/acceptance";

plan skip_all => 'no acceptance test' unless -f "$from/driver.js";

my $missing = node_missing();
plan skip_all => $missing if $missing;

for my $file (glob("$from/*.js"), "$from/package.json", glob("$from/*/*.js"))
{
    my $copy = $to . substr $file, length $from;

    next if $copy =~ m{/node_modules/};

    make_path($copy =~ s{/[^/]*$}{}r);
    copy($file, $copy) or die "$copy: $!";
}

# What the driver gives a machine that has nothing else to do is too little for
# one that is loaded.

my $driver = Mojo::File::path("$to/driver.js");
my $text = $driver->slurp;

for (
    [qr/(?<=since = this\.events\.length, ms = )6000/, 30000],
    [qr/(?<=new Error\('no answer to ' \+ servcmd\)\), )5000/, 30000],
    [qr/(?<=new Error\('timeout'\)\), )30000/, 120000],
    [qr/(?<=setTimeout\(r, ms)(?=\)\))/,
     ' * (ms > 2000 ? 1 : Math.max(1, Math.min(3, '
     . "require('os').loadavg()[0] / 4)))"],
) {
    my ($pattern, $new) = @$_;

    $text =~ s/$pattern/$new/ or die "the driver has changed: $pattern";
}

$driver->spurt($text =~ s/(?:(?<=at, )|(?<=ms: ))8000/30000/gr);

if (!-d "$to/node_modules/tim-js-sdk") {
    system("cd '$to' && npm install --no-audit --no-fund --no-package-lock"
           . " --loglevel=error >npm.log 2>&1") == 0
        or plan skip_all => "npm install failed, see $to/npm.log";
}

# Once with one web instance for each user and once with two: other tests of
# the driver apply then.

for my $instances (1, 2) {

    my $im = Test::IM->new->run(workers => 2, app => <<"END",
        blacklist_report on;
        web_instances $instances;
END
                                server => <<'END');
    location /files/ {
        root files;
        im_upload;
        dav_methods PUT;
        create_full_put_path on;
        client_max_body_size 10m;
    }
END

    mkdir $im->dir . '/files';
    chmod 0777, $im->dir . '/files';        # workers are not root

    node_tap(['node', "$to/driver.js"], 900,
             WEBV2_URL => 'ws://127.0.0.1:' . $im->port,
             WEBV2_SDKAPPID => $im->app_id, WEBV2_KEY => $im->key,
             WEBV2_MULTI => $instances);

    $im->finish;
}

# Two nodes behind a balancer, which gives each connection to the next one.

SKIP: {
    skip 'needs redis-server', 1 unless $Test::IM::Cluster::server;

    my $files = File::Temp->newdir('im-files-XXXXXXXX', TMPDIR => 1);

    mkdir "$files/files";
    chmod 0777, $files, "$files/files";

    my $cl = Test::IM::Cluster->new->run(workers => 2, server => <<"END",
    location /files/ {
        root $files;
        im_upload;
        dav_methods PUT;
        create_full_put_path on;
        client_max_body_size 10m;
    }
END
                                         app => <<'END');
        blacklist_report on;
        web_instances 2;
END

    node_tap(['node', "$to/driver.js"], 900,
             WEBV2_URL => 'ws://127.0.0.1:' . $cl->any->port,
             WEBV2_SDKAPPID => $cl->any->app_id, WEBV2_KEY => $cl->key,
             WEBV2_MULTI => 2);
}

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Files: written with a ticket, read by anybody, kept by nginx's dav module.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw/ hmac_sha256 hmac_sha256_hex /;
use Mojo::File qw/ path /;
use Test::IM;
use Test::More;

my $im = Test::IM->new;

plan skip_all => 'nginx has no dav module'
    if !grep { /http_dav/ } `${\ Test::IM::nginx()} -V 2>&1`;

$im->run(workers => 2, server => <<'END', http => <<'LOG');
    location /files/ {
        root files;
        im_upload;
        dav_methods PUT;
        create_full_put_path on;
        client_max_body_size 1m;
        access_log uploads.log uploads;
    }
END
    log_format uploads '$request_method $im_uri $status';
LOG

my $file = '/files/1400000001/ab/0123456789abcdef-1.png';

sub ticket {
    my ($file, %o) = @_;

    my $key = hmac_sha256('ngx_im upload ticket 1', $o{key} // $im->key);
    my $expires = $o{expires} // time + 900;

    return (app => $o{app} // $im->app_id, expires => $expires,
            sign => hmac_sha256_hex("$expires\n" . ($o{path} // $file),
                                    $key));
}

sub put {
    my ($file, $data, @query) = @_;
    return $im->ua->put($im->url($file, @query), $data)->res;
}

sub mode { path($im->dir . '/files')->make_path->chmod(0777) }
mode();

subtest 'a file' => sub {
    my $res = put($file, 'first', ticket($file));
    is $res->code, 200, 'status';
    is $res->headers->header('Access-Control-Allow-Origin'), '*', 'origin';
    is $res->headers->location, undef, 'no location';

    $res = $im->ua->get($im->url($file))->res;
    is $res->code, 200, 'read';
    is $res->body, 'first', 'its contents';
    is $res->headers->header('Access-Control-Allow-Origin'), '*', 'origin';

    is put($file, 'second', ticket($file))->code, 200, 'written again';
    is $im->get($file)->text, 'second', 'its contents';

    is $im->ua->get($im->url("$file?imageView2/3/w/198/h/198"))->res->code,
       200, 'a query is ignored';
};

subtest 'tickets' => sub {
    my @good = ticket($file);
    my %good = @good;

    my %bad = (
        none => [],
        expired => [ticket($file, expires => time - 1)],
        'of another file' => [ticket($file, path => "${file}x")],
        'of another key' => [ticket($file, key => 'x' x 64)],
        'of an unknown app' => [ticket($file, app => 1)],
        'with another time' => [%good, expires => $good{expires} + 1],
        'cut' => [%good, sign => substr $good{sign}, 0, 62],
        'without sign' => [app => $good{app}, expires => $good{expires}],
    );

    for (sort keys %bad) {
        my $res = put('/files/new', 'x', @{ $bad{$_} });
        is $res->code, 403, $_;
        is $res->headers->header('Access-Control-Allow-Origin'), '*',
           "$_: the page sees it";

        is put($file, 'x', @{ $bad{$_} })->code, 403, "$_, a file that is";
    }

    is $im->get('/files/new')->status, 404, 'nothing was written';
    is $im->get($file)->text, 'second', 'nor here';
};

subtest 'methods' => sub {
    my $res = $im->ua->options($im->url($file))->res;
    is $res->code, 200, 'OPTIONS';
    is $res->headers->header('Access-Control-Allow-Origin'), '*', 'origin';
    like $res->headers->header('Access-Control-Allow-Methods'), qr/PUT/,
         'methods';
    is $res->headers->header('Access-Control-Allow-Headers'), '*', 'headers';

    is $im->ua->head($im->url($file))->res->code, 200, 'HEAD';
    is $im->ua->delete($im->url($file, ticket($file)))->res->code, 405,
       'DELETE';
    is $im->ua->post($im->url($file, ticket($file)) => 'x')->res->code, 405,
       'POST';
};

subtest 'a file that is too long' => sub {
    my $res = put($file, 'x' x (1024 * 1024 + 1), ticket($file));
    is $res->code, 413, 'refused';
    is $res->headers->header('Access-Control-Allow-Origin'), '*', 'origin';
};

subtest 'no secrets in the log' => sub {
    $im->ua->get($im->url($file, usersig => 'SECRET', x => 1, a2 => 'SECRET',
                          Key => 'SECRET', y => 2));
    $im->ua->get($im->url("$file?%61%32=SECRET&z"));

    my $log = path($im->dir . '/uploads.log');
    ok $im->wait_for(sub { -e $log && $log->slurp =~ /y=2/ }), 'log';

    my $text = $log->slurp;
    unlike $text, qr/SECRET|sign=[0-9a-f]/, 'no secrets';
    like $text, qr/x=1.*y=2|y=2.*x=1/, 'but the rest';
    like $text, qr/^PUT \Q$file\E\?\S*sign=\*\*\*\S* 200$/m, 'an upload';
};

subtest 'what is uploaded is not served as a page' => sub {
    my $conf = path("$Test::IM::top/conf/im.conf")->slurp;
    my ($location) = $conf =~ m{^(\s+location /files/ \{.*?^        \})}ms;

    ok $location, 'the location of conf/im.conf' or return;

    my $site = Test::IM->new->run(server => $location,
        http => 'types { text/html html; application/javascript js; }');

    path($site->dir . '/data')->make_path->chmod(0777);

    for my $name (qw/ x.html x.HTML x.js x.svg x.xml x /) {
        my $file = "/files/1400000001/ab/$name";
        my $key = hmac_sha256('ngx_im upload ticket 1', $site->key);
        my $expires = time + 900;

        is $site->ua->put($site->url($file, app => $site->app_id,
            expires => $expires,
            sign => hmac_sha256_hex("$expires\n$file", $key)),
            '<script>alert(1)</script>')->res->code, 200, "$name is written";

        my $headers = $site->ua->get($site->url($file))->res->headers;

        is $headers->content_type, 'application/octet-stream', 'its type';
        is $headers->header('X-Content-Type-Options'), 'nosniff', 'for sure';
        is $headers->header('Content-Security-Policy'), 'sandbox', 'alone';
    }
};

done_testing;

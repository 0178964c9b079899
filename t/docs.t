#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Every directive has a heading in docs/directives.md and a line in
# conf/im-full.conf; every command has a heading in docs/api/, and every code
# a row in docs/api/errors.md.

use strict;
use warnings;

use lib 't/lib';

use Mojo::File qw/ path /;
use Test::IM;
use Test::More;

my $top = $Test::IM::top;


sub headings {
    return map { $_ => 1 } map { /^#+ +(.*?) *$/mg }
           map { path($_)->slurp } @_;
}

subtest 'directives' => sub {
    my %heading = headings("$top/docs/directives.md");
    my $full = path("$top/conf/im-full.conf")->slurp;
    my %found;

    for my $file (glob "$top/src/*/ngx_*module.c") {
        my $text = path($file)->slurp;

        $found{$1} = 1 while $text =~
            /\{ ngx_string\("(\w+)"\),\s+NGX_[A-Z_|]*CONF/g;
        $found{$1} = 1 while $text =~ /ngx_im_setting(?:_flag)?\((\w+)[,)]/g;
    }

    delete $found{name};                         # of the macro itself

    cmp_ok scalar keys %found, '>', 40, 'directives were found';

    for my $name (sort keys %found) {
        ok $heading{$name}, "$name is described";
        like $full, qr/^[\s#{}]*(?:location [^{]*\{\s*)?$name\b/m,
             "$name is in im-full.conf";
    }

    my @wrong = grep { /^[a-z_0-9]+$/ && !$found{$_} } keys %heading;
    is "@wrong", '', 'nothing is described that is not there';
};

subtest 'the quick start has all transports' => sub {
    my $conf = path("$top/conf/im.conf")->slurp;
    my $source = path("$top/src/http/ngx_http_im_module.c")->slurp;

    for my $name (qw/ im_rest im_websocket im_events im_metrics /) {
        next unless $source =~ /ngx_string\("$name"\)/;
        like $conf, qr/\b$name;/, $name;
    }
};

subtest 'codes' => sub {
    my $source = path("$top/src/core/im_error.h")->slurp;
    my $page = path("$top/docs/api/errors.md")->slurp;

    my %code = $source =~ /\bE\(\w+,\s+(\d+),[\s\\]+"(.*?)"\)/g;
    my %row = $page =~ /^\| (\d+) \| (.*) \|$/mg;

    cmp_ok scalar keys %code, '>', 200, 'codes were found';
    is_deeply \%row, \%code, 'every code is in the table, with its text';
};

subtest 'commands' => sub {
    my %heading = headings(glob "$top/docs/api/*.md");
    my $n = 0;

    for my $file (glob "$top/src/api/im_cmd_*.c") {
        my $text = path($file)->slurp;

        while ($text =~ /\{ ngx_string\("([\w.]+)"\),\s+ngx_string\("(\w+)"\),
                         \s*\n?\s*im_cmd_/gx)
        {
            ok $heading{$2} || $heading{"$1/$2"} || $heading{"$1.$2"},
               "$1/$2 is described";
            $n++;
        }
    }

    ok 1, "$n commands";
};

done_testing;

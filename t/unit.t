#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Runs the programs of t/unit/.  Each t/unit/NAME.c has a main() that prints
# TAP, by ok.h, and exits with 0.  All of nginx and of the modules can be
# called: the programs are linked against the objects of the sanitizer build,
# which "./build.sh sanitize" makes.  What a program defines itself, or takes
# in by #include "core/im_x.c", replaces what the objects have.  One alone:
#
#   ./build.sh unit && build/sanitize/unit/NAME

use strict;
use warnings;

use Cwd qw/ abs_path /;
use File::Basename qw/ basename dirname /;
use TAP::Parser;
use Test::More;

my $top = abs_path(dirname(__FILE__) . '/..');
my $build = $ENV{IM_BUILD} // "$top/build";

plan skip_all => 'no sanitizer build' unless -x "$build/sanitize/nginx";

$ENV{IM_TEST_MONGO} //= "$build/mongo/bin/secantusd-py";

my $log = `$top/build.sh unit 2>&1`;

is $?, 0, 'the programs compile' or BAIL_OUT($log);

for my $source (sort glob "$top/t/unit/*.c") {
    my $name = basename($source, '.c');

    subtest $name => sub {
        my $err = "$build/sanitize/unit/$name.err";
        my $parser = TAP::Parser->new({
            exec => ['sh', '-c', 'exec "$0" 2>"$1"',
                     "$build/sanitize/unit/$name", $err] });

        while (my $result = $parser->next) {
            ok $result->is_ok, $result->description if $result->is_test;
        }

        ok !$parser->parse_errors, 'has a plan and keeps to it'
            or diag $parser->parse_errors;
        is $parser->exit, 0, 'exits with 0';
        is $parser->wait, 0, 'is not ended by a signal';

        open my $fh, '<', $err or die "$err: $!";
        my @lines = grep { /Sanitizer|runtime error/ } <$fh>;
        is "@lines", '', 'nothing found by a sanitizer';
    };
}

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A worker dies at each named point: what was acknowledged is stored once, a
# repeated message gets the same key, the others go on.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Load;
use Test::More;

plan skip_all => 'needs nginx --with-debug' unless Test::IM->with_debug;

my $im = Test::IM->new->run(workers => 3, app => 'rate 0; web_instances 4;');

$im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);

sub deaths { scalar(() = $im->log_text =~ /exited on signal 9/g) }

sub sessions { $im->metric('im_sessions{transport="ws"}') }

# passes before the worker dies: the logins have been by then
my @points = (
    [before_commit => 40], [mid_batch => 100], [after_commit => 40],
    [before_publish => 60], [in_zone_lock => 600], [in_bus_lock => 60],
    [after_publish => 60],
);

for my $point (@points) {
    my ($name, $passes) = @$point;

    subtest "$name" => sub {
        my $deaths = deaths();
        my $emptied = () = $im->log_text =~ /zone "im" was emptied/g;

        $im->reload(im => "fault $name $passes;");

        my $load = Test::IM::Load->new(im => $im, prefix => "$name-",
                                       rest => 3, ws => 3)->start;

        ok scalar $load->run(60, sub { deaths() > $deaths }),
           'a worker dies';

        my $acks = $load->acks;

        ok scalar $load->run(60, sub { $load->acks >= $acks + 100 }),
           'the others go on';

        ok scalar $load->run(60, sub { $im->worker_pids == 3 }),
           'it has a successor';

        if ($name eq 'in_zone_lock') {
            ok scalar $load->run(60, sub {
                my $n = () = $im->log_text =~ /zone "im" was emptied/g;
                return $n > $emptied;
            }), 'its zone is made anew';

            $load->run(1.5);

        } else {
            my $n = () = $im->log_text =~ /zone "im" was emptied/g;
            is $n, $emptied, 'the zone stays';
        }

        $load->settle;
        $load->check;
        $load->check_repetition;

        is deaths(), $deaths + 1, 'no other one dies';
        ok $im->wait_for(sub { sessions() == 3 }),
           'as many sessions as users';
        is $im->metric('im_users_online'), 3, 'all of them are known';

        $load->stop;

        ok $im->wait_for(sub {
            sessions() == 0 && $im->metric('im_users_online') == 0;
        }), 'none is left';
    };
}

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Reloads while messages are sent: no acknowledged one is lost, every user
# has a session again, old workers go, nothing is left behind.
#
#   IM_TEST_RELOADS  how many (50; 15 on MongoDB, where each takes seconds)

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Load;
use Test::More;
use Time::HiRes qw/ time /;

my $mongo = ($ENV{IM_TEST_STORE} // '') eq 'mongo';
my $reloads = $ENV{IM_TEST_RELOADS} // ($mongo ? 15 : 50);
my $im = Test::IM->new->run(workers => 2, shutdown => '90s',
                            app => 'rate 0; web_instances 4;');
my $load = Test::IM::Load->new(im => $im, rest => 3, ws => 4,
                               pause => 0.03)->start;

sub fds {
    my ($pid) = @_;

    return scalar grep { !/^\.\.?$/ }
           do { opendir my $dir, "/proc/$pid/fd" or return 0; readdir $dir };
}

# everything that could grow
sub usage {
    my %usage = (master => fds($im->master_pid));

    # those of sessions and requests come and go
    my ($all, $n) = (0, 0);

    for my $pid ($im->worker_pids) {
        $all += fds($pid);
        $n++;
    }

    $usage{workers} = $all;
    $usage{count} = $n;
    $usage{zone} = $im->metric('im_zone_used_bytes');
    $usage{entries} = $im->metric('im_zone_entries');
    $usage{users} = $im->metric('im_users_online');
    $usage{sessions} = $im->metric('im_sessions{transport="ws"}');

    return \%usage;
}

# Sends no more and waits until the users are back.
sub rest {
    $load->stopped(1);

    $load->run(60, sub {
        !grep { $_->{message} || $_->{ws} && !$_->{synced} }
             @{ $load->senders };
    });

    return usage();
}

sub go_on {
    $load->stopped(0);
    $load->next_message($_) for @{ $load->senders };
}

my ($before, $slowest, %old) = (undef, 0);
my $start = time;

# how long ago the oldest worker that is still there was told to exit
sub oldest {
    my %now = map { $_ => 1 } $im->worker_pids;

    delete @old{grep { !$now{$_} } keys %old};

    for my $time (values %old) {
        $slowest = time - $time if time - $time > $slowest;
    }

    return ($slowest, scalar keys %old, keys(%now) - keys(%old));
}

for my $n (1 .. $reloads) {
    my $acks = $load->acks;

    $old{$_} //= time for $im->worker_pids;

    kill HUP => $im->master_pid;

    # of three reloads two come while workers of an older one are there

    my $done = $load->run(90, sub {
        my (undef, $old, $new) = oldest();
        return $new == 2 && ($n % 3 || $old == 0);
    });

    if (!$done) {
        fail "reload $n: new workers come, old ones go";
        last;
    }

    $load->run(60, sub { $load->acks >= $acks + 20 })
        or fail "reload $n: messages are acknowledged";

    if ($n == 9) {
        $before = rest();
        go_on();
    }
}

$load->run(90, sub { (oldest())[1] == 0 })
    or fail 'old workers go';

note sprintf '%d reloads in %.1f s, old workers went within %.1f s',
             $reloads, time - $start, $slowest;

cmp_ok $slowest, '<', 80, 'old workers go before worker_shutdown_timeout';

# what is on its way out is waited for
my $after = rest();

$load->run(30, sub {
    return $after->{sessions} == 4 && $after->{users} == 4
           && $after->{zone} - $before->{zone} <= 2 * 4096
           || !($after = usage());
});

is $after->{count}, 2, 'there are two workers';
is $after->{sessions}, 4, 'as many sessions as users';
is $after->{users}, 4, 'all of them are known';

# a dead worker's channel may be there still
cmp_ok $after->{workers}, '<=', $before->{workers} + 8,
       'workers have no more descriptors than after nine';
cmp_ok $after->{master}, '<=', $before->{master} + 4, 'nor has the master';

cmp_ok $after->{zone} - $before->{zone}, '<=', 2 * 4096,
       'nothing is left in the zone';
note explain $before, $after;

$load->settle;

subtest 'history' => sub { $load->check_history };
subtest 'fresh logins' => sub { $load->check_logins };
subtest 'receivers' => sub { $load->check_seen };

$load->stop;

ok $im->wait_for(sub {
    $im->metric('im_sessions{transport="ws"}') == 0
    && $im->metric('im_users_online') == 0;
}), 'no session is left';

done_testing;

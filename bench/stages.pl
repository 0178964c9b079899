#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Samples of perf script, by stage: stages.pl NAME PID OBJECTS.

use strict;
use warnings;

my ($name, $pid, $objects) = @ARGV;

# object files, the first that fits

my @stages = (
    [qr{core/im_(json|schema)\.o|core/im_json\.o}, 'parse'],
    [qr{core/im_json_build\.o}, 'reply'],
    [qr{core/im_(usersig|ticket)\.o|api/im_api\.o}, 'verify'],
    [qr{^(domain|api|client)/}, 'rules'],
    [qr{^store/}, 'store'],
    [qr{^(live|web)/}, 'deliver'],
    [qr{^http/}, 'HTTP'],
    [qr{^core/}, 'rules'],
);

my @libs = ([qr/yajl/, 'parse'], [qr/crypto/, 'verify'],
            [qr/lmdb|bson/, 'store']);

my @calls = (
    [qr/_sys_(sendto|sendmsg|writev)$|^do_writev$/, 'kernel: sending'],
    [qr/_sys_recv/, 'kernel: receiving'],
    [qr/_sys_(pwrite|fdatasync|fsync|pread|msync)/, 'kernel: store'],
    [qr/_sys_epoll/, 'kernel: epoll'],
    [qr/page_fault/, 'kernel: page faults'],
    [qr/^schedule$/, 'kernel: switched away'],
);

my (%stage, %n, $all);

for my $object (glob "$objects/*/*.o") {
    my ($file) = $object =~ m{([^/]+/[^/]+)$};
    my ($stage) = map { $_->[1] } grep { $file =~ $_->[0] } @stages;

    for (`nm --defined-only '$object'`) {
        $stage{$1} = $stage if / [tT] (\S+)$/ && $stage;
    }
}

sub stage {
    my ($tid, @chain) = @_;

    return 'commit thread' if $tid != $pid;

    my ($top, $dso) = @{ $chain[0] };

    if ($dso =~ /kernel|unknown/ && $dso !~ /nginx/) {
        for my $frame (@chain) {
            for (@calls) {
                return $_->[1] if $frame->[0] =~ $_->[0];
            }
        }

        return 'kernel: other';
    }

    # a library's function belongs to whoever calls it, where that is known

    for my $frame (@chain) {
        return $stage{ $frame->[0] } if $stage{ $frame->[0] };

        for (@libs) {
            return $_->[1] if $frame->[1] =~ $_->[0];
        }
    }

    return $top =~ /^(ngx_|im_)/ ? 'HTTP' : 'memory, libc';
}

my ($tid, @chain);

while (<STDIN>) {
    if (/^\s*(\d+)\s*$/) {
        $tid = $1;

    } elsif (/^\s+[0-9a-f]+ (\S+?)(?:\+0x[0-9a-f]+)? \((.*)\)/) {
        push @chain, [$1, $2];

    } elsif (/^\s*$/ && @chain) {
        $n{ stage($tid, @chain) }++;
        $all++;
        @chain = ();
    }
}

printf "%s\t%s\t%.1f\n", $name, $_, 100 * $n{$_} / $all
    for sort { $n{$b} <=> $n{$a} } keys %n;

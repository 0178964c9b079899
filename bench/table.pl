#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Tables of a folder of results, as Markdown: medians of the rounds, and in
# brackets the least and the greatest.
#
#   bench/table.pl FOLDER
#
# With a file as second argument the CPU times as ratios to the limit go there,
# for plot.sh: file of results, case, system, median, least, greatest.

use strict;
use warnings;

my $dir = shift or die "table.pl FOLDER [FILE]\n";
my $ratios;

if (@ARGV) {
    open $ratios, '>', $ARGV[0] or die "$ARGV[0]: $!\n";
}


sub lines {
    my ($name) = @_;

    open my $fh, '<', "$dir/$name" or return;
    my @lines = <$fh>;
    chomp @lines;

    return @lines;
}

sub median {
    my @v = sort { $a <=> $b } @_;

    return 0 unless @v;
    return @v % 2 ? $v[@v / 2] : ($v[@v / 2 - 1] + $v[@v / 2]) / 2;
}

# "median (least to greatest)" by a format of one number
sub spread {
    my ($format, @v) = @_;

    @v = sort { $a <=> $b } @v;

    return '' unless @v;
    return sprintf $format, $v[0] if $v[0] == $v[-1];
    return sprintf "$format ($format to $format)", median(@v), $v[0], $v[-1];
}

sub row { print '| ', join(' | ', @_), " |\n" }

sub head {
    row(@_);
    row(map { '---' } @_);
}


print "- $_\n" for lines('machine'), lines('peers');
print "\n";


if (my @rows = lines('idle.tsv')) {
    my %names = (open => 'open', login => 'logged in');

    shift @rows;

    print "### Memory of an idle WebSocket connection, KB\n\n";
    head('connections', 'state', 'workers', 'of the worker', 'of the zone',
         'pages of the store\'s file');

    for (@rows) {
        my ($mode, $workers, $n, $own, $zone, $store) = split /\t/;
        row($n, $names{$mode}, $workers, $own, $zone, $store);
    }

    print "\n";
}


if (my @rows = lines('sendmsg.tsv')) {
    my (%v, %round);

    shift @rows;

    for (@rows) {
        my ($system, $workers, $round, $per_s, $cpu, $group, $p50, $p99)
            = split /\t/;

        push @{ $v{$system}{per_s} }, $per_s;
        push @{ $v{$system}{cpu} }, $cpu;
        push @{ $v{$system}{group} }, $group;
        push @{ $v{$system}{p50} }, $p50 if $p50;
        push @{ $v{$system}{p99} }, $p99 if $p99;

        $round{$system}{$round} = [$per_s, $cpu];
    }

    for my $round (keys %{ $round{im} }) {
        my ($im, $lmdb) = map { $round{$_}{$round} } qw/ im lmdb /;
        next unless $lmdb;

        push @{ $v{im}{x} }, $im->[0] / $lmdb->[0];
        push @{ $v{im}{xcpu} }, $im->[1] / $lmdb->[1];
    }

    print "### openim/sendmsg, 64 connections, durable\n\n";
    head('', 'messages/s', 'x', 'CPU us/message', 'x', 'in a commit',
         'p50 ms', 'p99 ms');

    for my $system (qw/ lmdb im /) {
        my $s = $v{$system};

        row($system eq 'im' ? 'ngx_im' : 'LMDB alone',
            spread('%.0f', @{ $s->{per_s} }),
            spread('%.2f', @{ $s->{x} || [1] }),
            spread('%.1f', @{ $s->{cpu} }),
            spread('%.2f', @{ $s->{xcpu} || [1] }),
            sprintf('%.0f', median(@{ $s->{group} })),
            spread('%.1f', @{ $s->{p50} || [] }),
            spread('%.1f', @{ $s->{p99} || [] }));
    }

    print "\n";
}


if (my @rows = lines('store.tsv')) {
    my (%v, %lmdb);

    my @cases = ([lmdb => 'LMDB, one node', 1],
                 [mongo => 'MongoDB, one node', 2],
                 [redis => 'MongoDB and Redis, one node', 3],
                 [nodes => 'MongoDB and Redis, two nodes', 3]);

    shift @rows;

    for (@rows) {
        my ($case, $round, @n) = split /\t/;

        push @{ $v{$case}[$_] }, $n[$_] for 0 .. $#n;

        $lmdb{$round} = $n[0] if $case eq 'lmdb';
        push @{ $v{$case}[6] }, $n[0] / $lmdb{$round} if $lmdb{$round};
    }

    print "### openim/sendmsg by store, 64 connections, durable\n\n";
    head('', 'messages/s', 'x', 'CPU us/message of the workers',
         'of the MongoDB server', 'of Redis', 'p50 ms', 'p99 ms');

    for (@cases) {
        my ($case, $name, $programs) = @$_;
        my $s = $v{$case} or next;

        row($name, spread('%.0f', @{ $s->[0] }), spread('%.3f', @{ $s->[6] }),
            map { $_ < $programs + 1 || $_ > 3
                  ? spread('%.0f', @{ $s->[$_] }) : '' } 1 .. 5);
    }

    print "\n$_\n" for lines('store.note');
    print "\n";
}


if (my @rows = lines('callback.tsv')) {
    my (%v, %round);

    my @cases = (
        [none => 'no callback'],
        [asked => 'before-callback', 'none'],
        [hung => 'the same, another app\'s receiver hangs', 'asked'],
        [lame => 'the same, it answers one request of four', 'asked']
    );

    shift @rows;

    # each case comes twice in a round

    for (@rows) {
        my ($case, $workers, $round, @n) = split /\t/;

        $round{$round}{$case}[$_] += $n[$_] / 2 for 0 .. 3;
    }

    for my $r (values %round) {
        for (@cases) {
            my ($case, $name, $other) = @$_;
            my $n = $r->{$case} or next;

            push @{ $v{$case}[$_] }, $n->[$_] for 0 .. 3;

            my $o = $other && $r->{$other} or next;

            push @{ $v{$case}[4] }, $n->[0] / $o->[0];
            push @{ $v{$case}[5] }, $n->[1] - $o->[1];
        }
    }

    print "### openim/sendmsg with a before-callback, 64 connections\n\n";
    head('', 'messages/s', 'x', 'CPU us/message', 'more', 'p50 ms', 'p99 ms');

    for (@cases) {
        my ($case, $name) = @$_;
        my $s = $v{$case};

        row($name, spread('%.0f', @{ $s->[0] }),
            spread('%.2f', @{ $s->[4] || [1] }),
            spread('%.1f', @{ $s->[1] }),
            spread('%.1f', @{ $s->[5] || [0] }),
            spread('%.1f', @{ $s->[2] }), spread('%.1f', @{ $s->[3] }));
    }

    print "\n";
}


# a line "## ... | systems | options | round ..." before each round, then a
# line RESULT of each system; the limit comes first, also with more processes

sub rounds {
    my ($name, $title, $note) = @_;

    my @log = lines($name) or return;
    my (@cases, %case, $case, $n, @systems);

    for (@log) {
        if (/^## \w+ \|(?: (limit\d*)\b.*? \|)? (-n .*?) \| .*?round/) {
            $case = ($1 // 'limit') . ", $2";
            $case =~ s/^limit, //;
            push @cases, $case unless $case{$case};
            $n = $case{$case}{rounds}++;
            next;
        }

        next unless s/^RESULT //;

        my %f = map { split /=/, $_, 2 } split ' ';
        my $s = $case{$case}{ $f{label} } //= {};

        push @systems, $f{label} unless grep { $_ eq $f{label} } @systems;

        $s->{bad} += ($f{dup} // $f{extra}) + ($f{stray} // 0) + $f{errors};
        $s->{failed}++, next if $f{lost} || !$f{ok};

        push @{ $s->{per_s} }, $f{per_s};
        push @{ $s->{$_} }, $f{$_} for qw/ cpu_per_m p50 p99 /;
        push @{ $s->{bytes} }, $f{bytes} if $f{bytes};

        $s->{round}{$n} = \%f;
    }

    print "### $title\n\n";

    for $case (@cases) {
        my ($first) = $case =~ /^(limit\d+)/;
        my $limit = $case{$case}{ $first // 'limit' }{round};

        print "`$case`, $case{$case}{rounds} rounds\n\n";
        head('', 'per second', 'x', 'CPU s per million', 'x', 'p50 ms',
             'p99 ms', 'p99 x', 'bytes', 'bad');

        for my $system (@systems) {
            my $s = $case{$case}{$system} or next;
            my @rounds = grep { $limit->{$_} } keys %{ $s->{round} };
            my %x;

            for my $key (qw/ per_s cpu_per_m p99 /) {
                my @x = map {
                    $s->{round}{$_}{$key} / ($limit->{$_}{$key} || 1)
                } @rounds;

                $x{$key} = spread('%.2f', @x);

                ratios($name, $case, $system, @x)
                    if $ratios && $key eq 'cpu_per_m';
            }

            row($system =~ /^im/ ? "ngx_$system" : $system,
                sprintf('%.0f', median(@{ $s->{per_s} || [] })), $x{per_s},
                sprintf('%.2f', median(@{ $s->{cpu_per_m} || [] })),
                $x{cpu_per_m},
                sprintf('%.2f', median(@{ $s->{p50} || [] })),
                sprintf('%.2f', median(@{ $s->{p99} || [] })), $x{p99},
                $s->{bytes} ? sprintf('%.0f', median(@{ $s->{bytes} })) : '',
                ($s->{bad} || 0) . ($s->{failed} ? " ($s->{failed} runs failed)"
                                                 : ''));
        }

        print "\n";
    }
}


sub ratios {
    my ($name, $case, $system, @x) = @_;

    return unless @x;

    @x = sort { $a <=> $b } @x;

    print $ratios join("\t", $name, $case, $system =~ /^im/ ? "ngx_$system"
                                                           : $system,
                       median(@x), $x[0], $x[-1]), "\n";
}


rounds('room.log', 'A message to all of a live room');
rounds('group.log', 'A message to all of a stored group');
rounds('guests.log', 'The same by each transport');
rounds('one.log', 'A message to one who is connected, not stored');


if (my @log = lines('big.log')) {
    my ($case, %r);

    print "### Very many readers of one room\n\n";
    head('readers', 'memory of workers KB each', 'messages',
         'deliveries/s', 'CPU s per million', 'p50 ms', 'p99 ms', 'lost',
         'REST calls', 'p50 ms', 'p99 ms', 'max ms');

    for (@log) {
        $case = $1 if /^## big \| (.*)/;
        %r = map { split /=/, $_, 2 } split ' ', $1 if /^RESULT (.*)/;

        if (/^MEMORY kb=(.*)/) {
            row($case, $1, @r{qw/ m per_s cpu_per_m p50 p99 lost rest_n
                                  rest_p50 rest_p99 rest_max /});
        }
    }

    print "\n";
}


if (my @rows = lines('stages.tsv')) {
    my (%v, %sum);

    shift @rows;

    for (@rows) {
        my ($load, $stage, $percent) = split /\t/;

        $v{$stage}{$load} = $percent;
        $sum{$stage} += $percent;
    }

    print "### CPU time of openim/sendmsg by stage, percent\n\n";
    head('stage', 'stored', 'not stored');

    row($_, map { $_ // '' } @{ $v{$_} }{qw/ stored one /})
        for sort { $sum{$b} <=> $sum{$a} || $a cmp $b } keys %sum;

    print "\n";
}

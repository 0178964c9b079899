#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# What is on the disk after a power failure: everything that was synced, and
# any part of what was not.  All writes to the store are recorded together
# with the acknowledgements; then nginx starts from such files.
#
#   IM_TEST_SEED  repeats the choice of moments and parts
#   IM_TEST_SYNC  sync= of the store (always): with others messages are lost

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Load;
use Test::More;

plan skip_all => 'is about files of LMDB'
    if ($ENV{IM_TEST_STORE} // 'lmdb') ne 'lmdb';

my ($cc) = grep { -x "/usr/bin/$_" } qw/ cc gcc /;

plan skip_all => 'needs a C compiler' unless $cc;

my $seed = $ENV{IM_TEST_SEED} // int rand 4294967295;

srand $seed;
note "IM_TEST_SEED=$seed";

my $sync = $ENV{IM_TEST_SYNC} // 'always';
my $cuts = 8;
my $key = join '', map { sprintf '%x', rand 16 } 1 .. 64;

# with a store at $dir
sub server {
    my $im = Test::IM->new(key => $key);
    my $dir = File::Temp::tempdir('im-test-XXXXXXXX', TMPDIR => 1);

    chmod 0755, $dir;
    mkdir "$dir/$_" for qw/ tmp html store /;

    return $im->dir($dir)->options({ workers => 2, im_block => <<"END_IM" });
im {
    zone 16m;
    bus 8m;
    store lmdb:$dir/store size=1g sync=$sync;

    app 1400000001 {
        key "$key";
        rate 0;
        web_instances 4;
    }
}
END_IM
}

my $im = server();
my $trace = $im->dir . '/trace';

is system($cc, qw/ -shared -fPIC -o /, $im->dir . '/trace.so',
          't/lib/trace.c', '-ldl'), 0, 'the recorder is built';

open my $log, '>>:raw', $trace or die "$trace: $!";
chmod 0666, $trace;
$log->autoflush(1);

{
    # the sanitizer wants to be the first
    my ($asan) = `ldd ${\ Test::IM::nginx() }` =~ m{(/\S*libasan\S*)};

    local $ENV{IM_TRACE} = $trace;
    local $ENV{LD_PRELOAD} = join ' ', $asan // (), $im->dir . '/trace.so';

    $im->run;
}

my @acked;

my $load = Test::IM::Load->new(im => $im, rest => 4, ws => 2, on_ack => sub {
    my ($m) = @_;

    push @acked, $m;
    syswrite $log, pack 'QQQ', ord 'A', scalar @acked, 0;
})->start;

$load->run(120, sub { $load->acks >= 500 });
$load->settle;
cmp_ok $load->acks, '>=', 500, 'enough was sent';

my %login = map { $_->{name} => $_->{ws} } @{ $load->users };

$load->stop;
$im->stop('nginx exits');


# the records: [kind, position, bytes]

open my $in, '<:raw', $trace or die "$trace: $!";

my @records;

while (read($in, my $head, 24) == 24) {
    my ($kind, $pos, $len) = unpack 'QQQ', $head;
    my $bytes = '';

    read($in, $bytes, $len) == $len or die 'half a record' if $len;
    push @records, [chr $kind, $pos, $bytes];
}

my ($first) = grep { $records[$_][0] eq 'A' } 0 .. $#records;

cmp_ok scalar(grep { $_->[0] eq 'S' } @records), '>', 20,
       'syncs were seen' if $sync eq 'always';
ok defined $first, 'acknowledgements were seen';

# moments: between any two records after the first acknowledgement

my %cut = map { int($first + 1 + rand($#records - $first)) => 1 }
              1 .. $cuts - 1;
$cut{$#records} = 1;

my ($disk, $acks, @loose) = ('', 0);

sub put {
    my ($image, $pos, $bytes) = @_;

    $$image .= "\0" x ($pos + length($bytes) - length $$image)
        if $pos + length $bytes > length $$image;
    substr $$image, $pos, length $bytes, $bytes;
}

for my $n (0 .. $#records) {
    my ($kind, $pos, $bytes) = @{ $records[$n] };

    if ($kind eq 'W') {
        push @loose, [$pos, $bytes];

    } elsif ($kind eq 'D') {
        put(\$disk, $pos, $bytes);
        @loose = grep { $_->[0] != $pos } @loose;

    } elsif ($kind eq 'S') {
        put(\$disk, @$_) for splice @loose;

    } elsif ($kind eq 'A') {
        $acks = $pos;
    }

    next unless $cut{$n};

    # of what is not safe any sectors are there

    my $image = $disk;
    my $whole = rand;

    for my $write (@loose) {
        my ($at, $data) = @$write;

        for (my $i = 0; $i < length $data; $i += 512) {
            put(\$image, $at + $i, substr $data, $i, 512)
                if rand() < $whole;
        }
    }

    check($n, \$image, scalar @loose);
}

sub check {
    my ($n, $image, $loose) = @_;

    subtest "a cut after record $n, $acks acknowledged, $loose loose" => sub {
        my $new = server();
        my $file = $new->dir . '/store/im.mdb';

        open my $out, '>:raw', $file or die "$file: $!";
        print $out $$image;
        close $out;

        chown +(getpwnam 'nobody')[2, 3], $file unless $>;

        $new->run;

        my (%have, %sent, @lost);

        $have{"$_->{From_Account} $_->{MsgKey}"}++
            for @{ $load->history($new) };
        $sent{"$_->{from} $_->{key}"} = 1 for @{ $load->messages };

        for my $m (@acked[0 .. $acks - 1]) {
            push @lost, "$m->{from} $m->{key}"
                unless $have{"$m->{from} $m->{key}"};
        }

        is "@lost", '', 'what was acknowledged is there';
        is join(' ', grep { $have{$_} > 1 } sort keys %have), '',
           'nothing twice';
        is join(' ', grep { !$sent{$_} } sort keys %have), '',
           'nothing else';

        my $m = $acked[$acks - 1];

        $new->rest('openim/sendmsg', { %{ $m->{body} },
            From_Account => $m->{from}, SyncOtherMachine => 1 })
            ->code_is(0)->json_is('/MsgKey', $m->{key},
                                  'a repetition is recognised');

        for my $user (sort keys %login) {
            my $old = $login{$user};
            my $ws = $new->ws(user => $user, a2 => $old->a2,
                              tinyid => $old->tinyid, inst => $old->inst);

            $ws->wslogin->code_is(0, "$user logs in by a2");
            $ws->close;
        }

        $new->stop('nginx exits');
    };
}

diag "IM_TEST_SEED=$seed" unless Test::More->builder->is_passing;

done_testing;

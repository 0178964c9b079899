#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A client that does not read for a while gets everything afterwards.

use strict;
use warnings;

use lib 't/lib';

use Socket qw/ SOL_SOCKET SO_RCVBUF /;
use Test::IM;
use Test::More;

# on the second port the system takes little for a client
my $im = Test::IM->new;
my $port = $im->free_port;

$im->run(workers => 2, app => 'rate 0;',
         server => "listen 127.0.0.1:$port sndbuf=16k;");

my $n = 0;

$im->users(qw/ ann bob /);

my $first = $im->port;
$im->port($port);
my $bob = $im->ws_login('bob');
$im->port($first);

sub buffer {
    setsockopt Mojo::IOLoop->stream($bob->tx->connection)->handle,
               SOL_SOCKET, SO_RCVBUF, shift
        or die "setsockopt: $!";
}

buffer(8192);

# The loop of the WebSocket does not run meanwhile, until it is behind: who
# takes nothing for 30 seconds is closed.

my $behind;

for (1 .. 300) {
    my $reply = $im->rest('openim/sendmsg', {
        From_Account => 'ann', To_Account => 'bob', MsgSeq => ++$n,
        MsgRandom => 1, MsgBody => [{
            MsgType => 'TIMTextElem',
            MsgContent => { Text => "$n " . join '', map {
                chr 35 + rand 56 } 1 .. 10000 } }] });

    $reply->code_is(0) if ($reply->code // -1) != 0;

    next if $n % 5;
    last if $behind;
    $behind = $im->metric('im_resyncs_total');
}

ok $behind, "it is behind after $n messages";

buffer(1048576);

my @got;

while (@got < $n) {
    my $event = $bob->next_event('C2cMsgArray') or last;
    push @got, map { $_->{MsgSeq} } @{ $event->{C2cMsgArray} };
}

is scalar @got, $n, 'all came';
is "@got", join(' ', 1 .. $n), 'in order, each once';
ok !defined $bob->closed, 'it is still connected';
$bob->no_event(undef, 0.3);

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A client that does not read for a while gets everything afterwards.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0;');
my $n = 900;

$im->users(qw/ ann bob /);

my $bob = $im->ws_login('bob');

# the loop of the WebSocket does not run meanwhile

for my $i (1 .. $n) {
    my $reply = $im->rest('openim/sendmsg', {
        From_Account => 'ann', To_Account => 'bob', MsgSeq => $i,
        MsgRandom => 1, MsgBody => [{
            MsgType => 'TIMTextElem',
            MsgContent => { Text => "$i " . 'x' x 11000 } }] });

    $reply->code_is(0) if ($reply->code // -1) != 0;
}

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

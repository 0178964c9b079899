#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# The order of a conversation's messages within one second: as they came,
# the same for both sides; by MsgSeq where the back end numbers them.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0;');

$im->users('ann', 'bob');

sub body { [{ MsgType => 'TIMTextElem', MsgContent => { Text => "$_[0]" } }] }

sub texts {
    my ($from, $to, %o) = @_;

    my (@all, $key, $max);

    for (1 .. 20) {
        my $page = $im->rest('openim/admin_getroammsg',
            { From_Account => $from, To_Account => $to, MaxCnt => $o{max} // 3,
              MinTime => int(time) - 60, MaxTime => $max // int(time) + 60,
              defined $key ? (LastMsgKey => $key) : () });

        unshift @all, map { $_->{MsgBody}[0]{MsgContent}{Text} }
                      @{ $page->json('/MsgList') };
        last if $page->json('/Complete');

        ($key, $max) = ($page->json('/LastMsgKey'),
                        $page->json('/LastMsgTime'));
    }

    return join ' ', @all;
}

# all of a run in one second
sub second { sleep 1 - (time - int time) + 0.01 }

subtest 'two clients whose MsgSeq lie apart' => sub {
    my $ann = $im->ws_login('ann');
    my $bob = $im->ws_login('bob');
    my ($n, $m) = (90000000, 5);

    second();

    for my $i (1 .. 8) {
        my ($ws, $to, $seq) = $i % 2 ? ($ann, 'bob', $n++) : ($bob, 'ann',
                                                              $m++);

        $ws->request('openim.sendmsg',
                     { To_Account => $to, MsgSeq => $seq,
                       MsgRandom => 100 - $i, MsgBody => body($i) })
           ->code_is(0);
    }

    is texts('ann', 'bob'), '1 2 3 4 5 6 7 8', 'as they came';
    is texts('bob', 'ann', max => 1), '1 2 3 4 5 6 7 8',
       'for the other side too, page by page';

    my $page = $ann->request('openim.getroammsg',
        { Peer_Account => 'bob', MaxCnt => 3, LastMsgTime => 0, MsgKey => '',
          GetDirection => 0 });

    is join(' ', map { $_->{MsgBody}[0]{MsgContent}{Text} }
                 @{ $page->json('/MsgList') }), '6 7 8', 'the newest page';

    $page = $ann->request('openim.getroammsg',
        { Peer_Account => 'bob', MaxCnt => 3, GetDirection => 0,
          LastMsgTime => $page->json('/LastMsgTime'),
          MsgKey => $page->json('/MsgKey') });

    is join(' ', map { $_->{MsgBody}[0]{MsgContent}{Text} }
                 @{ $page->json('/MsgList') }), '3 4 5', 'the next one';

    $_->close for $ann, $bob;
};

subtest 'a back end without MsgSeq' => sub {
    $im->users('cy', 'di');
    second();

    $im->rest('openim/sendmsg', { From_Account => 'cy', To_Account => 'di',
                                  MsgRandom => 50 - $_, MsgBody => body($_) })
       ->code_is(0) for 1 .. 7;

    is texts('cy', 'di'), '1 2 3 4 5 6 7', 'as they came';
};

subtest 'a back end with MsgSeq' => sub {
    my ($from, $to, %times);

    # again, if they were not all in one second
    for my $try (1 .. 10) {
        ($from, $to) = ("ed$try", "fi$try");
        $im->users($from, $to);
        second();

        %times = map {
            $im->rest('openim/sendmsg', {
                From_Account => $from, To_Account => $to, MsgSeq => $_,
                MsgRandom => 7, MsgBody => body($_) })
               ->code_is(0)->json('/MsgTime') => 1
        } 3, 1, 2, 5, 4;

        last if keys %times == 1;
    }

    is texts($from, $to), '1 2 3 4 5', 'by MsgSeq';
};

$im->finish;

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# C2C history: openim/admin_getroammsg and openim.getroammsg.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2,
                            app => 'rate 0; web_instances 4;');
my $now = time;
my $random = 1;

$im->users(qw/ ann bob cid dan eve /);

sub text { { MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } } }

# messages with times of our choice
sub old {
    my ($from, $to, $time, $text, %o) = @_;

    $im->rest('openim/importmsg', {
        SyncFromOldSystem => 2, From_Account => $from, To_Account => $to,
        MsgSeq => 0, MsgRandom => $random++, MsgTimeStamp => $time,
        MsgBody => [text($text)], %o })->code_is(0);
}

sub roam {
    my (%o) = @_;

    my %m = (From_Account => 'ann', To_Account => 'bob', MaxCnt => 20,
             MinTime => $now - 1000, MaxTime => $now, %o);

    delete $m{$_} for grep { ref $m{$_} eq 'CODE' } keys %m;

    return $im->rest('openim/admin_getroammsg', \%m);
}

sub none { sub { } }

sub texts {
    return join ' ', map { $_->{MsgBody}[0]{MsgContent}{Text} }
                     @{ $_[0]->json('/MsgList') };
}

for my $n (1 .. 10) {
    old($n % 2 ? ('ann', 'bob') : ('bob', 'ann'), $now - 200 + $n * 10,
        "n$n");
}

old('ann', 'cid', $now - 150, 'other');

subtest 'each field' => sub {
    roam()->code_is(0);
    roam(From_Account => none)->code_is(90008);
    roam(From_Account => 'ghost')->code_is(90008);
    roam(To_Account => none)->code_is(90003);
    roam(To_Account => 'ghost')->code_is(90003);
    roam(MaxCnt => none)->code_is(90001);
    roam(MaxCnt => 0)->code_is(90001);
    roam(MaxCnt => '5')->code_is(90001);
    roam(MaxCnt => 100000)->code_is(0);
    roam(MinTime => none)->code_is(90001);
    roam(MaxTime => none)->code_is(90001);
    roam(MinTime => $now + 1)->code_is(90001);
    roam(LastMsgKey => 'x')->code_is(90054);
    roam(LastMsgKey => '1_2')->code_is(90054);
    roam(LastMsgKey => '1_2_3_4')->code_is(90054);
    roam(LastMsgKey => '')->code_is(0);
    $im->rest('openim/admin_getroammsg', '')->code_is(90001);
    $im->rest('openim/admin_getroammsg', {}, user => 'ann')->code_is(90009);
};

subtest 'pages of REST' => sub {
    my $all = roam();

    is texts($all), join(' ', map { "n$_" } 1 .. 10), 'in order';
    $all->json_is('/Complete', 1)->json_is('/MsgCnt', 10)
        ->json_is('/MsgList/0/From_Account', 'ann')
        ->json_is('/MsgList/1/From_Account', 'bob')
        ->json_is('/MsgList/1/To_Account', 'ann')
        ->json_is('/LastMsgTime', $now - 190)
        ->json_is('/MsgList/0/MsgKey', $all->json('/LastMsgKey'));

    is texts(roam(From_Account => 'bob', To_Account => 'ann')), texts($all),
       'either order of the accounts';

    my $page = roam(MaxCnt => 4);
    is texts($page), 'n7 n8 n9 n10', 'first page';
    $page->json_is('/Complete', 0)->json_is('/MsgCnt', 4);

    $page = roam(MaxCnt => 4, MaxTime => $page->json('/LastMsgTime'),
                 LastMsgKey => $page->json('/LastMsgKey'));
    is texts($page), 'n3 n4 n5 n6', 'second page';
    $page->json_is('/Complete', 0);

    $page = roam(MaxCnt => 2, MaxTime => $page->json('/LastMsgTime'),
                 LastMsgKey => $page->json('/LastMsgKey'));
    is texts($page), 'n1 n2', 'last page';
    $page->json_is('/Complete', 1);

    $page = roam(MaxCnt => 4, MaxTime => $page->json('/LastMsgTime'),
                 LastMsgKey => $page->json('/LastMsgKey'));
    is texts($page), '', 'and no more';
    $page->json_is('/MsgCnt', 0)->json_is('/LastMsgTime', 0)
         ->json_is('/LastMsgKey', '')->json_is('/Complete', 1);

    is texts(roam(MinTime => $now - 160, MaxTime => $now - 140)),
       'n4 n5 n6', 'both ends of the range are included';
    is texts(roam(MinTime => 0, MaxTime => 0)), '', 'nothing';
};

subtest 'order within a second' => sub {
    my $time = $now - 50;

    old('dan', 'eve', $time, 'd', MsgSeq => 7, MsgRandom => 2);
    old('eve', 'dan', $time, 'e', MsgSeq => 7, MsgRandom => 3);
    old('dan', 'eve', $time, 'a', MsgSeq => 4294967295, MsgRandom => 1);
    old('dan', 'eve', $time, 'b', MsgSeq => 5, MsgRandom => 9);

    my %m = (From_Account => 'dan', To_Account => 'eve');
    is texts(roam(%m)), 'b d e a', 'by MsgSeq, then MsgRandom';

    my ($last, @got) = (undef);

    for (1 .. 4) {
        my $page = roam(%m, MaxCnt => 1, MaxTime => $time,
                        $last ? (LastMsgKey => $last) : ());
        unshift @got, texts($page);
        $last = $page->json('/LastMsgKey');
    }

    is "@got", 'b d e a', 'one by one';
};

subtest 'an answer of 13 KiB' => sub {
    $im->users('big');
    old('ann', 'big', $now - 100 + $_, 'x' x 6000) for 1 .. 4;
    old('ann', 'big', $now - 90, 'y' x 12000);

    my $page = roam(To_Account => 'big');
    $page->json_is('/MsgCnt', 1, 'the first is long')
         ->json_is('/Complete', 0);

    $page = roam(To_Account => 'big', MaxTime => $page->json('/LastMsgTime'),
                 LastMsgKey => $page->json('/LastMsgKey'));
    $page->json_is('/MsgCnt', 2)->json_is('/Complete', 0);
    cmp_ok length $page->text, '<', 14000, 'bytes';

    $page = roam(To_Account => 'big', MaxTime => $page->json('/LastMsgTime'),
                 LastMsgKey => $page->json('/LastMsgKey'));
    $page->json_is('/MsgCnt', 2)->json_is('/Complete', 1);
};

subtest 'a message that only the receiver has' => sub {
    $im->rest('openim/sendmsg', {
        SyncOtherMachine => 2, From_Account => 'cid', To_Account => 'dan',
        MsgRandom => 5, MsgBody => [text('mine')] })->code_is(0);

    my %range = (MinTime => 0, MaxTime => time + 10);

    is texts(roam(From_Account => 'cid', To_Account => 'dan', %range)),
       'mine', 'in one order';
    is texts(roam(From_Account => 'dan', To_Account => 'cid', %range)),
       'mine', 'in the other';

    my $cid = $im->ws_login('cid');
    my $dan = $im->ws_login('dan');

    is texts($cid->request('openim.getroammsg', { Peer_Account => 'dan' })),
       '', 'the sender has not';
    is texts($dan->request('openim.getroammsg', { Peer_Account => 'cid' })),
       'mine', 'the receiver has';
};

subtest 'clients' => sub {
    my $ann = $im->ws_login('ann');

    my $get = sub {
        my (%o) = @_;
        return $ann->request('openim.getroammsg', {
            Peer_Account => 'bob', MaxCnt => 15, LastMsgTime => 0,
            MsgKey => '', WithRecalledMsg => 1, GetDirection => 0, %o })
            ->code_is(0);
    };

    my $page = $get->(MaxCnt => 4);
    is texts($page), 'n7 n8 n9 n10', 'newest first';
    $page->json_is('/Complete', 0)->json_is('/MsgCnt', 4)
         ->json_is('/LastMsgTime', $now - 130);

    my $item = $page->json('/MsgList/1');
    is $item->{From_Account}, 'bob', 'the true sender';
    is $item->{To_Account}, 'ann', 'To_Account';
    is $item->{MsgFlagBits}, 0, 'MsgFlagBits';
    ok !exists $item->{IsSyncMsg}, 'never exchanged';

    my $bob = $im->ws_login('bob');
    is $item->{TinyId}, $bob->tinyid, 'TinyId';

    $page = $get->(MaxCnt => 6, MsgKey => $page->json('/MsgKey'),
                   LastMsgTime => $page->json('/LastMsgTime'));
    is texts($page), 'n1 n2 n3 n4 n5 n6', 'older';
    $page->json_is('/Complete', 1);

    $page = $get->(MaxCnt => 3, LastMsgTime => $now - 150);
    is texts($page), 'n3 n4 n5', 'up to a second';

    $page = $get->(MaxCnt => 3, LastMsgTime => $now - 150,
                   GetDirection => 1);
    is texts($page), 'n5 n6 n7', 'from a second on';
    $page->json_is('/Complete', 0)->json_is('/LastMsgTime', $now - 130);

    $page = $get->(MaxCnt => 9, LastMsgTime => $page->json('/LastMsgTime'),
                   MsgKey => $page->json('/MsgKey'), GetDirection => 1);
    is texts($page), 'n8 n9 n10', 'newer';
    $page->json_is('/Complete', 1);

    is texts($ann->request('openim.getroammsg', { Peer_Account => 'eve' })),
       '', 'nobody';

    for (['Peer_Account', undef, 90003], ['MaxCnt', 0, 90001],
         ['MsgKey', 'x', 90054], ['GetDirection', 2, 90001],
         ['LastMsgTime', 'x', 90001], ['Peer_Account', "x" x 40, 20003])
    {
        $ann->request('openim.getroammsg', {
            Peer_Account => 'bob', $_->[0] => $_->[1] })
            ->code_is($_->[2], "wrong $_->[0]");
    }
};

subtest 'deleted for oneself' => sub {
    my $ann = $im->ws_login('ann');
    my $bob = $im->ws_login('bob');

    my $list = roam()->json('/MsgList');
    my @keys = map { $list->[$_]{MsgKey} } 0, 1;

    $ann->request('openim.delete_c2c_msg_ramble', {
        To_Account => 'bob', MsgKeyList => [@keys, '1_1_1', @keys] })
        ->code_is(0);

    is texts($ann->request('openim.getroammsg', { Peer_Account => 'bob' })),
       join(' ', map { "n$_" } 3 .. 10), 'gone for ann';
    is texts($bob->request('openim.getroammsg', { Peer_Account => 'ann' })),
       join(' ', map { "n$_" } 1 .. 10), 'there for bob';
    is texts(roam()), join(' ', map { "n$_" } 1 .. 10), 'there for REST';

    $bob->request('openim.delete_c2c_msg_ramble', {
        To_Account => 'ann', MsgKeyList => \@keys })->code_is(0);
    is texts(roam()), join(' ', map { "n$_" } 3 .. 10), 'gone for both';

    $ann->request('openim.delete_c2c_msg_ramble', {
        To_Account => 'bob', MsgKeyList => \@keys })->code_is(0, 'again');

    for ([{ MsgKeyList => ['1_1_1'] }, 90003],
         [{ To_Account => 'bob' }, 20001],
         [{ To_Account => 'bob', MsgKeyList => ['x'] }, 90054],
         [{ To_Account => 'bob', MsgKeyList => [5] }, 90054],
         [{ To_Account => "b\x01", MsgKeyList => ['1_1_1'] }, 20003],
         [{ To_Account => 'bob', MsgKeyList => [('1_1_1') x 30] }, 0],
         [{ To_Account => 'bob', MsgKeyList => [('1_1_1') x 31] }, 20018])
    {
        $ann->request('openim.delete_c2c_msg_ramble', $_->[0])
            ->code_is($_->[1]);
    }
};

subtest 'messages go when they are old' => sub {
    my $other = Test::IM->new->run(app => 'history 2s; rate 0;');
    $other->users('ann', 'bob');

    my $cnt = sub {
        return $other->rest('openim/admin_getroammsg', {
            From_Account => 'ann', To_Account => 'bob', MaxCnt => 1,
            MinTime => 0, MaxTime => time + 9 })->json('/MsgCnt');
    };

    my $stored;

    # again, if it is too old when the machine comes to ask
    for (1 .. 5) {
        $other->rest('openim/sendmsg', {
            From_Account => 'ann', To_Account => 'bob', MsgRandom => $_,
            MsgBody => [text('short')] })->code_is(0);
        last if $stored = $cnt->();
    }

    is $stored, 1, 'stored';
    ok $other->wait_for(sub { !$cnt->() }), 'gone';
};

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# openim_msg_ext_http_svc: extensions of single-chat messages.

use strict;
use warnings;
use feature 'signatures';
no warnings 'experimental::signatures';

use lib 't/lib';

use Test::More;
use Test::IM;

my $im = Test::IM->new->run(app => 'web_instances 2; rate 0;');
my $random = 1;

$im->users(qw/ ann bob cid /);

my $ann = $im->ws_login('ann');
my $ann2 = $im->ws_login('ann');
my $bob = $im->ws_login('bob');

# a message of ann to bob, with its key
sub message (%more) {
    my $n = $random++;
    my $r = $ann->request('openim.sendmsg', {
        To_Account => 'bob', MsgSeq => $n, MsgRandom => $n,
        MsgClientTime => 4711, SupportMessageExtension => 1,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => 'hi' } }], %more })
        ->code_is(0);
    return "${n}_${n}_" . $r->json('/MsgTime');
}

sub set ($who, $key, $op, @pairs) {
    my $body = { From_Account => 'ann', To_Account => 'bob', MsgKey => $key,
                 OperateType => $op, @pairs ? (ExtensionList => [
                     map { ref $_ eq 'ARRAY'
                           ? { Key => $_->[0], Value => $_->[1],
                               Seq => $_->[2] // 0 } : $_ } @pairs]) : () };
    my $name = 'set_key_values';
    return ref $who ? $who->request("openim_msg_ext_http_svc.$name", $body)
                    : $im->rest("openim_msg_ext_http_svc/$name", $body);
}

sub get ($who, $key, %more) {
    my $body = { From_Account => 'ann', To_Account => 'bob', MsgKey => $key,
                 %more };
    my $name = 'get_key_values';
    return ref $who ? $who->request("openim_msg_ext_http_svc.$name", $body)
                    : $im->rest("openim_msg_ext_http_svc/$name", $body);
}

sub pairs ($r) {
    return [map { [@$_{qw/ Key Value Seq /}] }
            @{ $r->json('/ExtensionList') }];
}

my $key = message();


subtest 'set: the answer and what others hear' => sub {
    set($ann, $key, 1, ['vote', '1'], ['seen', 'y'])->code_is(0)
        ->json_is('/ExtensionList', [
            { ErrorCode => 0, Extension => { Key => 'vote', Value => '1',
                                             Seq => 1 } },
            { ErrorCode => 0, Extension => { Key => 'seen', Value => 'y',
                                             Seq => 2 } }])
        ->json_is('/Seq', 2);

    for my $ws ($ann2, $bob) {
        my $e = $ws->next_event('MsgExtensionNotify');
        is $e->{Event}, 22, 'Event';

        my $n = $e->{MsgExtensionNotify};
        is $n->{TinyId}, $ann->tinyid, 'TinyId of the sender';
        is $n->{ExtensionC2cMsgInfo}{MsgClientTime}, 4711, 'MsgClientTime';
        is $n->{ExtensionC2cMsgInfo}{MsgRandom}, 1, 'MsgRandom';
        is $n->{MsgOptType}, 1, 'MsgOptType';
        is $n->{MsgLastSeq}, 2, 'MsgLastSeq';
        is_deeply $n->{SetKVInfo}, [{ ClearMsgSeq => 0, MsgKeyValue => [
            { Key => 'vote', Value => '1', Seq => 1 },
            { Key => 'seen', Value => 'y', Seq => 2 }] }], 'SetKVInfo';
    }

    $ann->no_event('MsgExtensionNotify', 0.1, 'not the acting one');
};

subtest 'get' => sub {
    my $r = get($bob, $key)->code_is(0)->json_is('/CompleteFlag', 1)
        ->json_is('/LatestSeq', 2)->json_is('/ClearSeq', 0);
    is_deeply pairs($r), [['vote', '1', 1], ['seen', 'y', 2]], 'pairs';
    is_deeply pairs(get($bob, $key, startSeq => 2)->code_is(0)),
              [['seen', 'y', 2]], 'from a number on';
    is_deeply pairs(get('rest', $key, StartSeq => 3)->code_is(0)), [],
              'behind the last one';
};

subtest 'versions' => sub {
    my $r = set($bob, $key, 1, ['vote', '2', 0], ['new', 'n'])->code_is(0);
    $r->json_is('/ExtensionList/0', { ErrorCode => 23001,
        Extension => { Key => 'vote', Value => '1', Seq => 1 } })
      ->json_is('/ExtensionList/1/ErrorCode', 0);

    my $n = $ann->next_event('MsgExtensionNotify')->{MsgExtensionNotify};
    is_deeply [map { $_->{Key} } @{ $n->{SetKVInfo}[0]{MsgKeyValue} }],
              ['new'], 'only what was written is told';

    set($bob, $key, 1, ['vote', '2', 1])->code_is(0)
        ->json_is('/ExtensionList/0/ErrorCode', 0);
    $ann->next_event('MsgExtensionNotify');

    set('rest', $key, 1, ['vote', '3', 0])->code_is(0)
        ->json_is('/ExtensionList/0/ErrorCode', 0, 'not for administrators');
    is $ann->next_event('MsgExtensionNotify')->{MsgExtensionNotify}
           {SetKVInfo}[0]{MsgKeyValue}[0]{Value}, '3', 'all connections';

    set($bob, $key, 1, ['vote', '4', 0])
        ->json_is('/ExtensionList/0/ErrorCode', 23001);
    $bob->no_event(sub {
        (($_[0]{MsgExtensionNotify} // {})->{MsgLastSeq} // 0) > 5
    }, 0.1, 'nothing was written, nothing told');
};

subtest 'delete and clear' => sub {
    my $key = message();
    set($ann, $key, 1, ['a', '1'], ['b', '2'])->code_is(0);

    set($bob, $key, 2, { Key => 'a', Seq => 1 })->code_is(0)
        ->json_is('/ExtensionList/0', { ErrorCode => 0,
            Extension => { Key => 'a', Value => '', Seq => 3 } });

    my $e = $ann->next_event(sub {
        exists(($_[0]{MsgExtensionNotify} // {})->{DeleteKVInfo}) });
    is $e->{MsgExtensionNotify}{MsgOptType}, 2, 'others hear';

    is_deeply pairs(get($ann, $key)), [['b', '2', 2]], 'it is gone';
    is_deeply pairs(get($ann, $key, startSeq => 3)), [['a', '', 3]],
              'who asks for what is new hears of it';

    set($ann, $key, 1, ['a', 'again', 0])->code_is(0)
        ->json_is('/ExtensionList/0/ErrorCode', 0, 'it may be set anew');

    set($ann, $key, 3)->code_is(0)->json_is('/ExtensionList', []);
    $e = $bob->next_event(sub {
        exists(($_[0]{MsgExtensionNotify} // {})->{ClearKVInfo}) });
    is_deeply $e->{MsgExtensionNotify}{ClearKVInfo},
              [{ MsgKeyValue => [], ClearMsgSeq => 5 }], 'others hear';

    my $r = get($ann, $key)->json_is('/ClearSeq', 5)
        ->json_is('/LatestSeq', 5)->json_is('/ExtensionList', []);
};

subtest 'codes' => sub {
    my $plain = message(SupportMessageExtension => 0);
    set($ann, $plain, 1, ['a', '1'])->code_is(23002);
    get($ann, $plain)->code_is(23002);

    set($ann, '1_2_3', 1, ['a', '1'])->code_is(23004);
    get('rest', '1_2_3')->code_is(23004);
    set($ann, 'x', 1, ['a', '1'])->code_is(10004);

    my $recalled = message();
    my ($seq, $rand, $time) = split /_/, $recalled;
    $ann->request('openim.msgwithdraw', { MsgInfo => {
        From_Account => 'ann', To_Account => 'bob', MsgSeq => 0 + $seq,
        MsgRandom => 0 + $rand, MsgTimeStamp => 0 + $time } })->code_is(0);
    set($ann, $recalled, 1, ['a', '1'])->code_is(23004);

    my $cid = $im->ws_login('cid');
    set($cid, $key, 1, ['a', '1'])->code_is(23004, 'somebody else');
    get($cid, $key)->code_is(23004);
    $cid->close;

    set($ann, $key, 0, ['a', '1'])->code_is(10004);
    set($ann, $key, 4, ['a', '1'])->code_is(10004);
    set($ann, $key, 1)->code_is(10004);
    set($ann, $key, 1, ['', '1'])->code_is(10004);
    set($ann, $key, 1, ['k' x 101, '1'])->code_is(10004, '101 bytes');
    set($ann, $key, 1, ['k' x 100, 'v' x 1000])->code_is(0, '100, 1000');
    set($ann, $key, 1, ['v', 'v' x 1001])->code_is(10004, '1001 bytes');
    set($ann, $key, 1, map { ["m$_", 1] } 1 .. 21)->code_is(10004, '21 pairs');
    set($ann, $key, 1, { Value => 1 })->code_is(10004);

    $im->rest('openim_msg_ext_http_svc/set_key_values', {}, user => 'ann')
        ->code_is(10007);
    $im->rest('openim_msg_ext_http_svc/get_key_values', '[]')
        ->code_is(10011);
};

subtest '300 pairs, pages of 200, 200 writes a minute' => sub {
    my $key = message();

    for my $i (0 .. 14) {
        my $r = set('rest', $key, 1, map { ["p$i.$_", '1'] } 1 .. 20);
        $r->code_is(0) if $r->code;
    }

    set('rest', $key, 1, ['more', '1'])->code_is(10004, 'the 301st');
    set('rest', $key, 1, ['p0.1', '2'])->code_is(0, 'one of them');
    set('rest', $key, 2, { Key => 'p0.2' })->code_is(0);
    set('rest', $key, 1, ['more', '1'])->code_is(0, 'in its place');

    my $r = get('rest', $key)->code_is(0)->json_is('/CompleteFlag', 0);
    my @pairs = @{ pairs($r) };
    is @pairs, 200, 'a page';

    $r = get('rest', $key, StartSeq => $pairs[-1][2] + 1)->code_is(0)
        ->json_is('/CompleteFlag', 1);
    push @pairs, @{ pairs($r) };
    is @pairs, 300, 'and the rest';

    # all of them in one minute of the clock
    my (@codes, $minute);

    for (1 .. 4) {
        my $other = message();
        my $left = 60 - time % 60;

        sleep $left + 1 if $left < 12;
        $minute = int(time / 60);
        @codes = map { set('rest', $other, 1, ['n', "$_"])->code } 1 .. 201;
        last if int(time / 60) == $minute;
    }

    is_deeply \@codes, [(0) x 200, 23003], '200 writes, and one more';
    set('rest', $key, 1, ['p0.1', '3'])->code_is(0, 'of each message');
};

done_testing;

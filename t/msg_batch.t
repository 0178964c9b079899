#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# openim/batchsendmsg.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0;');
my $random = 1;

$im->users(qw/ ann bob cid /);
$im->rest('im_open_login_svc/multiaccount_import',
          { Accounts => [map { sprintf 'u%03d', $_ }
                         $_ * 100 .. $_ * 100 + 99] }) for 0 .. 4;

sub text { { MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } } }

sub batch {
    my (%o) = @_;

    my %m = (To_Account => ['bob', 'cid'], From_Account => 'ann',
             MsgRandom => $random++, MsgBody => [text('hello')], %o);

    delete $m{$_} for grep { ref $m{$_} eq 'CODE' } keys %m;

    return $im->rest('openim/batchsendmsg', \%m);
}

sub none { sub { } }

sub stored {
    my ($from, $to) = @_;

    return $im->rest('openim/admin_getroammsg', {
        From_Account => $from, To_Account => $to, MaxCnt => 100,
        MinTime => 0, MaxTime => time + 10 })->json('/MsgList');
}

subtest 'all sent' => sub {
    my @ws = map { $im->ws_login($_) } qw/ ann bob cid /;

    my $reply = batch(MsgSeq => 7, MsgRandom => 8, SyncOtherMachine => 1)
                ->code_is(0)->json_is('/ActionStatus', 'OK')
                ->json_hasnt('/ErrorList');

    $reply->json_like('/MsgKey', qr/^7_8_\d+$/);

    for my $i (1, 2) {
        my $item = $ws[$i]->next_event('C2cMsgArray')->{C2cMsgArray}[0];
        is $item->{From_Account}, 'ann', 'received';
    }

    my %to = map { $ws[0]->next_event('C2cMsgArray')
                         ->{C2cMsgArray}[0]{From_Account} => 1 } 1 .. 2;

    is_deeply \%to, { bob => 1, cid => 1 }, 'copies at the sender\'s';

    my @keys = map { stored('ann', $_)->[0]{MsgKey} } qw/ bob cid /;
    is_deeply \@keys, [($reply->json('/MsgKey')) x 2], 'one key for all';

    $im->rest('openim/admin_msgwithdraw',
              { From_Account => 'ann', To_Account => 'bob',
                MsgKey => $reply->json('/MsgKey') })->code_is(0);
    is stored('ann', 'cid')->[0]{MsgFlagBits}, 0, 'recalled one by one';
};

subtest 'some and all failed' => sub {
    batch(To_Account => ['bob', 'ghost', "x" x 99])->code_is(0)
        ->json_is('/ActionStatus', 'SomeError')
        ->json_is('/ErrorList', [
            { To_Account => 'ghost', ErrorCode => 70107 },
            { To_Account => 'x' x 99, ErrorCode => 70107 }])
        ->json_has('/MsgKey');

    batch(To_Account => ['ghost'])->code_is(90012)
        ->json_is('/ActionStatus', 'FAIL')
        ->json_is('/ErrorInfo', 'invalid To_Account')
        ->json_hasnt('/MsgKey');
};

subtest 'each field' => sub {
    batch(To_Account => none)->code_is(90028);
    batch(To_Account => 'bob')->code_is(90028);
    batch(To_Account => [])->code_is(90029);
    batch(To_Account => ['bob', 7])->code_is(90003);
    batch(To_Account => [map { "v$_" } 1 .. 501])->code_is(90011);
    batch(From_Account => none)->code_is(0, 'the administrator');
    batch(From_Account => '')->code_is(90008);
    batch(From_Account => 'ghost')->code_is(90008);
    batch(From_Account => 1)->code_is(90008);
    batch(MsgRandom => none)->code_is(90005);
    batch(MsgRandom => 4294967296)->code_is(90005);
    batch(MsgSeq => 4294967296)->code_is(90004);
    batch(MsgTimeStamp => 'x')->code_is(90006);
    batch(MsgLifeTime => -1)->code_is(90026);
    batch(MsgLifeTime => 'x')->code_is(90044);
    batch(SyncOtherMachine => 'x')->code_is(90031);
    batch(MsgBody => 'x')->code_is(90007);
    batch(MsgBody => none)->code_is(90002);
    batch(MsgBody => [{ MsgType => 'TIMTextElem' }])->code_is(90002);
    batch(MsgBody => [({ MsgType => 'TIMCustomElem',
                         MsgContent => { Data => 'x' } }) x 2])
        ->code_is(90010);
    batch(OfflinePushInfo => 7)->code_is(90043);
    batch(MsgBody => [text('x' x 12288)])->code_is(90055);
    $im->rest('openim/batchsendmsg', 'x')->code_is(90001);
    $im->rest('openim/batchsendmsg', {}, user => 'ann')->code_is(90009);
};

subtest '500 receivers, each once' => sub {
    my @to = map { sprintf 'u%03d', $_ } 0 .. 499;
    my %m = (To_Account => \@to, MsgSeq => 50, MsgRandom => 51,
             SyncOtherMachine => 2);

    my $reply = batch(%m)->code_is(0)->json_hasnt('/ErrorList');

    is scalar @{ stored('ann', 'u000') }, 1, 'the first';
    is scalar @{ stored('ann', 'u499') }, 1, 'the last';

    sleep 1;
    batch(%m)->code_is(0)->json_is('/MsgKey', $reply->json('/MsgKey'));
    is scalar @{ stored('ann', 'u499') }, 1, 'a repeated call adds nothing';

    batch(%m, To_Account => ['bob', @to[0 .. 9]])->code_is(0)
        ->json_is('/MsgKey', $reply->json('/MsgKey'));
    ok scalar(grep { $_->{MsgKey} eq $reply->json('/MsgKey') }
              @{ stored('ann', 'bob') }),
       'a new receiver gets the same key';

    batch(To_Account => ['u001', 'u001', 'ann'])->code_is(0);
    is scalar @{ stored('ann', 'u001') }, 2, 'duplicates are sent once';
    is scalar @{ stored('ann', 'ann') }, 1, 'the sender may be in the list';
};

subtest 'online only' => sub {
    my $bob = $im->ws_login('bob');

    my $n = @{ stored('ann', 'bob') };
    batch(MsgLifeTime => 0)->code_is(0);
    ok $bob->next_event('C2cMsgArray'), 'received';
    is scalar @{ stored('ann', 'bob') }, $n, 'not stored';
};

done_testing;

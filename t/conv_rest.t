#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# recentcontact/get_list and recentcontact/delete.

use strict;
use warnings;
use feature 'signatures';
no warnings 'experimental::signatures';

use lib 't/lib';

use Test::More;
use Test::IM;

my $im = Test::IM->new->run;
my $random = 1;

$im->users(qw/ ann bob cid dee /);

sub c2c ($from, $to) {
    $im->rest('openim/sendmsg', {
        From_Account => $from, To_Account => $to, MsgRandom => $random++,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => 'hi' } }] })->code_is(0);
}

sub list (%body) {
    my %all = (From_Account => 'ann', TimeStamp => 0, StartIndex => 0,
               TopTimeStamp => 0, TopStartIndex => 0, AssistFlags => 7,
               %body);
    delete $all{$_} for grep { !defined $all{$_} } keys %all;
    return $im->rest('recentcontact/get_list', \%all);
}

sub del (%body) {
    return $im->rest('recentcontact/delete', { From_Account => 'ann',
        Type => 1, To_Account => 'bob', %body });
}

sub peers ($r) {
    return [map { $_->{To_Account} } @{ $r->json('/SessionItem') }];
}

c2c('bob', 'ann');
sleep 1;
c2c('cid', 'ann');
sleep 1;
c2c('dee', 'ann');

my $ann = $im->ws_login('ann');


subtest 'get_list' => sub {
    my $r = list()->code_is(0)->json_is('/ErrorDisplay', '')
        ->json_is('/CompleteFlag', 1)->json_is('/StartIndex', 0);
    is_deeply peers($r), [qw/ dee cid bob /], 'newest first';
    $r->json_is('/SessionItem/0/Type', 1)
      ->json_is('/SessionItem/0/TopFlag', 0);
    ok abs($r->json('/SessionItem/0/MsgTime') - time) < 60, 'MsgTime';

    $ann->request('recentcontact.top', { OperationType => 1,
        RecentContactItem => [{ Type => 1, To_Account => 'bob' }] })
        ->code_is(0);

    $r = list()->code_is(0)->json_is('/SessionItem/0/TopFlag', 1);
    is_deeply peers($r), [qw/ bob dee cid /], 'pinned first';

    $r = list(AssistFlags => 0)->code_is(0)
        ->json_is('/SessionItem/2/TopFlag', 0);
    is_deeply peers($r), [qw/ dee cid bob /], 'pins not supported';

    $ann->request('recentcontact.clear_msg',
                  { Type => 1, To_Account => 'cid' })->code_is(0);
    is_deeply peers(list()->code_is(0)), [qw/ bob dee cid /],
              'with empty conversations';
    is_deeply peers(list(AssistFlags => 1)->code_is(0)), [qw/ bob dee /],
              'without';
};

subtest 'codes of get_list' => sub {
    list(From_Account => 'nobody')->code_is(50001);
    list($_ => undef)->code_is(50002)
        for qw/ From_Account TimeStamp StartIndex TopTimeStamp
                TopStartIndex AssistFlags /;
    list(StartIndex => '0')->code_is(50002);
    list(From_Account => 7)->code_is(50002);
    $im->rest('recentcontact/get_list', {}, user => 'ann')->code_is(50003);
    $im->rest('recentcontact/get_list', '[]')->code_is(50002);
    list(StartIndex => 5000)->code_is(0);
};

subtest 'delete' => sub {

    del()->code_is(0)->json_is('/ErrorDisplay', '');
    is_deeply $ann->next_event('RecentContactMod')->{RecentContactMod},
              [{ PushType => 1, RecentContactDeleteItem => {
                   RecentContactList => [{ Type => 1, UserId => 'bob' }]
                 } }], 'all instances hear of it';
    is_deeply peers(list()), [qw/ dee cid /], 'it is gone';

    my $r = $ann->request('openim.getmsg', { Cookie => '', SyncFlag => 0 });
    is_deeply [sort map { $_->{From_Account} }
               @{ $r->json('/C2CPairUnreadCount') }], [qw/ cid dee /],
              'and not unread';

    del()->code_is(0, 'again');
    del(To_Account => 'nobody')->code_is(0, 'no such conversation');

    $ann->request('openim.getroammsg', { Peer_Account => 'bob', MaxCnt => 15,
        LastMsgTime => 0, MsgKey => '' })->code_is(0)
        ->json_has('/MsgList/0', 'the history stays');
    del(To_Account => 'dee', ClearRamble => 1)->code_is(0);
    $ann->request('openim.getroammsg', { Peer_Account => 'dee', MaxCnt => 15,
        LastMsgTime => 0, MsgKey => '' })->code_is(0)
        ->json_is('/MsgList', [], 'unless it is cleared');
};

subtest 'codes of delete' => sub {
    del(From_Account => 'nobody')->code_is(50001);
    del(Type => 3)->code_is(50002);
    del(Type => 2)->code_is(50002);
    del(Type => 2, ToGroupid => 'g')->code_is(0);
    del(ClearRamble => 2)->code_is(50002);
    del(To_Account => '')->code_is(50002);
    del(To_Account => 'x' x 600)->code_is(50002);
    del(To_Account => "a\0b")->code_is(50002);
    del(Type => 2, ToGroupid => 'x' x 600)->code_is(50002);
    $im->rest('recentcontact/delete', { From_Account => 'ann' })
        ->code_is(50002);
    $im->rest('recentcontact/delete', {}, user => 'ann')->code_is(50003);
};

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# recentcontact: the list of conversations, pins, marks, deletion.

use strict;
use warnings;
use feature 'signatures';
no warnings 'experimental::signatures';

use lib 't/lib';

use Test::More;
use Test::IM;

my $im = Test::IM->new->run(app => 'web_instances 2; contacts_max 120;');
my ($from, @peers) = ('ann', 'bob', 'cid', 'dee');
my $random = 1;

$im->users($from, @peers);

sub text ($text) {
    return [{ MsgType => 'TIMTextElem', MsgContent => { Text => $text } }];
}

sub c2c ($from, $to, $text, %more) {
    my $r = $im->rest('openim/sendmsg', {
        From_Account => $from, To_Account => $to, MsgRandom => $random,
        MsgSeq => $random++,
        SyncOtherMachine => 1, MsgBody => text($text), %more });
    $r->code_is(0, "$from writes to $to");
    return $r->json('/MsgKey');
}

sub page ($ws, %body) {
    return $ws->request('recentcontact.page_get', {
        TimeStamp => 0, StartIndex => 0, TopTimeStamp => 0,
        TopStartIndex => 0, %body })->code_is(0, 'page_get');
}

sub peers ($reply) {
    return [map { $_->{To_Account} } @{ $reply->json('/SessionItem') }];
}

sub item ($reply, $peer) {
    my ($item) = grep { $_->{To_Account} eq $peer }
                 @{ $reply->json('/SessionItem') };
    return $item;
}

sub contact ($peer) { return { Type => 1, To_Account => $peer } }

my $ann = $im->ws_login($from);
my $other = $im->ws_login($from);

sub pushed ($type) {
    my $e = $other->next_event('RecentContactMod');
    is $e->{Event}, 11, 'the other instance hears of it';
    is $e->{RecentContactMod}[0]{PushType}, $type, "as PushType $type";
    $ann->no_event('RecentContactMod', 0.05, 'the acting one does not');
    return $e->{RecentContactMod}[0];
}


subtest 'an empty list' => sub {
    page($ann)->json_is('/SessionItem', [])->json_is('/GroupItem', [])
        ->json_is('/CompleteFlag', 1)->json_is('/StartIndex', 0)
        ->json_is('/TopStartIndex', 0)->json_has('/TimeStamp');
};

subtest 'conversations, newest first' => sub {
    c2c('bob', 'ann', 'one');
    sleep 1;
    c2c('cid', 'ann', 'two');
    c2c('cid', 'ann', 'three', CloudCustomData => 'cc');
    sleep 1;
    c2c('ann', 'dee', 'four');

    my $r = page($ann);

    is_deeply peers($r), ['dee', 'cid', 'bob'], 'order';
    is_deeply [map { $_->{UnreadMsgCount} } @{ $r->json('/SessionItem') }],
              [0, 2, 1], 'unread';

    my $i = item($r, 'cid');
    is $i->{Type}, 1, 'Type';
    is_deeply $i->{LastMsg}, { MsgBody => text('three'),
                               CloudCustomData => 'cc' }, 'LastMsg';
    is $i->{LastC2CMsgFrom_Account}, 'cid', 'sender';
    is $i->{LastMsgFlags}, 0, 'not recalled';
    is $i->{TopFlags}, 0, 'not pinned';
    is $i->{StandardMark}, '0', 'no marks';
    is $i->{CustomMark}, '', 'no custom data';
    is_deeply $i->{ContactGroupId}, [], 'no groups';
    is item($r, 'dee')->{LastC2CMsgFrom_Account}, 'ann', 'own message';
};

subtest 'a message that was recalled stays, with who has done it' => sub {
    my $key = c2c('bob', 'ann', 'oops');
    $im->rest('openim/admin_msgwithdraw', { From_Account => 'bob',
        To_Account => 'ann', MsgKey => $key })->code_is(0);

    my $i = item(page($ann), 'bob');
    is $i->{LastMsgFlags}, 8, 'LastMsgFlags';
    is $i->{LastMsg}{RevokerInfo}{Revoker_Account}, $im->admin,
       'RevokerInfo';
    is $i->{UnreadMsgCount}, 1, 'it does not count';
};

subtest 'NoLastMsg does not make a conversation' => sub {
    $im->users('eve');
    c2c('eve', 'ann', 'quiet', SendMsgControl => ['NoLastMsg']);
    is item(page($ann), 'eve'), undef, 'not in the list';
};

subtest 'pin and unpin' => sub {
    $ann->request('recentcontact.top', { OperationType => 1,
        RecentContactItem => [contact('bob')] })->code_is(0);
    is_deeply pushed(2)->{RecentContactTopItem},
              { RecentContactList => [{ Type => 1, UserId => 'bob' }] },
              'who it is';
    is item(page($ann), 'bob')->{TopFlags}, 1, 'pinned';

    $ann->request('recentcontact.top', { OperationType => 2,
        RecentContactItem => [contact('bob')] })->code_is(0);
    pushed(3);
    is item(page($ann), 'bob')->{TopFlags}, 0, 'unpinned';

    $ann->request('recentcontact.top', { OperationType => 1,
        RecentContactItem => [contact('nobody')] })->code_is(50001);
    $ann->request('recentcontact.top', { OperationType => 2,
        RecentContactItem => [contact('nobody')] })->code_is(0);

    for ({}, { OperationType => 3, RecentContactItem => [contact('bob')] },
         { OperationType => 1, RecentContactItem => [] },
         { OperationType => 1, RecentContactItem => [{ Type => 3 }] },
         { OperationType => 1, RecentContactItem => [{ Type => 1 }] },
         { OperationType => 1,
           RecentContactItem => [map { contact("u$_") } 1 .. 101] })
    {
        $ann->request('recentcontact.top', $_)->code_is(50002);
    }

    $ann->request('recentcontact.top', { OperationType => 1,
        RecentContactItem => [{ Type => 2, GroupId => 'g' }] })
        ->code_is(10010);
};

subtest 'marks and custom data' => sub {
    my $r = $ann->request('recentcontact.mark_contact', { MarkItem => [
        { OptType => 1, SetMark => [0, 63], ContactItem => contact('bob') },
        { OptType => 2, CustomMark => 'cd', ContactItem => contact('bob') },
        { OptType => 1, SetMark => [1], ContactItem => contact('nobody') },
        { OptType => 1, SetMark => [1],
          ContactItem => { Type => 2, ToGroupId => 'g' } } ] })->code_is(0);

    is_deeply [map { $_->{ResultCode} } @{ $r->json('/ResultItem') }],
              [0, 0, 50001, 10010], 'results';
    is_deeply $r->json('/ResultItem/3/ContactItem'),
              { Type => 2, ToGroupId => 'g' }, 'ContactItem of a group';

    my $mark = '1' . '0' x 62 . '1';
    my $bob = { Type => 1, UserId => 'bob' };

    is_deeply pushed(4)->{RecentContactMarkContact}
                       {RecentContactMarkContactItem},
              [{ RecentContactItem => $bob, OptType => 1,
                 StandardMark => $mark },
               { RecentContactItem => $bob, OptType => 2,
                 CustomMark => 'cd' }], 'what was set';

    my $i = item(page($ann), 'bob');
    is $i->{StandardMark}, $mark, 'StandardMark';
    is $i->{CustomMark}, 'cd', 'CustomMark';

    $ann->request('recentcontact.mark_contact', { MarkItem => [
        { OptType => 1, SetMark => [2], ClearMark => [63],
          ContactItem => contact('bob') },
        { OptType => 2, CustomMark => '', ContactItem => contact('bob') }
        ] })->code_is(0);
    pushed(4);

    $i = item(page($ann), 'bob');
    is $i->{StandardMark}, '101', 'StandardMark';
    is $i->{CustomMark}, '', 'CustomMark';

    my $c = contact('bob');

    for ([], [{ OptType => 1, ContactItem => $c }],
         [{ OptType => 1, SetMark => [], ContactItem => $c }],
         [{ OptType => 1, SetMark => [64], ContactItem => $c }],
         [{ OptType => 1, SetMark => [-1], ContactItem => $c }],
         [{ OptType => 1, SetMark => ['1'], ContactItem => $c }],
         [{ OptType => 2, ContactItem => $c }],
         [{ OptType => 2, CustomMark => 'x' x 257, ContactItem => $c }],
         [{ OptType => 3, CustomMark => 'x', ContactItem => $c }],
         [{ OptType => 2, CustomMark => 'x' }])
    {
        $ann->request('recentcontact.mark_contact', { MarkItem => $_ })
            ->code_is(50002);
    }

    $ann->request('recentcontact.mark_contact', { MarkItem => [
        { OptType => 2, CustomMark => 'x' x 256,
          ContactItem => contact('cid') } ] })->code_is(0, '256 bytes');
    pushed(4);
};

subtest 'delete' => sub {
    $ann->request('recentcontact.top', { OperationType => 1,
        RecentContactItem => [contact('bob')] })->code_is(0);
    pushed(2);

    my $r = $ann->request('recentcontact.batch_delete', { ClearRamble => 0,
        ContactItem => [contact('bob'), contact('nobody'), contact('bob'),
                        { Type => 2, ToGroupid => 'g' }] })->code_is(0);

    is_deeply $r->json('/ResultItem'), [
        map { { %$_, ResultCode => 0, ResultInfo => '' } }
        contact('bob'), contact('nobody'), contact('bob'),
        { Type => 2, ToGroupid => 'g' } ], 'ResultItem';

    is_deeply pushed(1)->{RecentContactDeleteItem},
              { RecentContactList => [{ Type => 1, UserId => 'bob' }] },
              'who it is';

    is item(page($ann), 'bob'), undef, 'not in the list';

    $r = $ann->request('openim.getroammsg', { Peer_Account => 'bob',
        MaxCnt => 15, LastMsgTime => 0, MsgKey => '' })->code_is(0);
    ok @{ $r->json('/MsgList') } > 0, 'the history stays';

    sleep 1;
    c2c('bob', 'ann', 'again');

    my $i = item(page($ann), 'bob');
    ok $i, 'the next message makes it anew';
    is $i->{UnreadMsgCount}, 1, 'with one unread message';
    is $i->{TopFlags}, 0, 'not pinned';
    is $i->{StandardMark}, '0', 'without marks';

    $ann->request('recentcontact.batch_delete', { ClearRamble => 1,
        ContactItem => [contact('bob')] })->code_is(0);
    pushed(1);

    $ann->request('openim.getroammsg', { Peer_Account => 'bob',
        MaxCnt => 15, LastMsgTime => 0, MsgKey => '' })->code_is(0)
        ->json_is('/MsgList', [], 'the history is hidden');

    my $bob = $im->ws_login('bob');
    $r = $bob->request('openim.getroammsg', { Peer_Account => 'ann',
        MaxCnt => 15, LastMsgTime => 0, MsgKey => '' })->code_is(0);
    ok @{ $r->json('/MsgList') } > 0, 'but not for the peer';
    $bob->close;

    for ({}, { ContactItem => [] }, { ContactItem => 'bob' },
         { ContactItem => [contact('bob')], ClearRamble => 2 })
    {
        $ann->request('recentcontact.batch_delete', $_)->code_is(50002);
    }
};

subtest 'clear_msg' => sub {
    $ann->request('recentcontact.clear_msg', contact('cid'))->code_is(0);

    my $i = item(page($ann), 'cid');
    ok $i, 'the conversation stays';
    ok !$i->{LastMsg}, 'without a message';

    $ann->request('openim.getroammsg', { Peer_Account => 'cid',
        MaxCnt => 15, LastMsgTime => 0, MsgKey => '' })->code_is(0)
        ->json_is('/MsgList', [], 'the history is hidden');

    $ann->request('recentcontact.clear_msg', { Type => 2,
        ToGroupid => 'g' })->code_is(0);
    $ann->request('recentcontact.clear_msg', {})->code_is(50002);
};

subtest 'pages of 100, at most contacts_max, pinned ones kept' => sub {
    my @many = map { sprintf 'm%03d', $_ } 1 .. 125;

    for (my $i = 0; $i < @many; $i += 100) {
        my $last = $i + 99 < $#many ? $i + 99 : $#many;
        $im->rest('im_open_login_svc/multiaccount_import',
                  { Accounts => [@many[$i .. $last]] })->code_is(0);
    }

    $im->users('pin');
    c2c('pin', 'ann', 'first');
    $ann->request('recentcontact.top', { OperationType => 1,
        RecentContactItem => [contact('pin')] })->code_is(0);
    sleep 1;

    $im->rest('openim/batchsendmsg', { From_Account => 'ann',
        SyncOtherMachine => 1, MsgRandom => 7, MsgSeq => 7,
        To_Account => \@many, MsgBody => text('all') })->code_is(0);

    my $one = page($ann);
    is @{ $one->json('/SessionItem') }, 100, 'a page';
    $one->json_is('/CompleteFlag', 0)->json_is('/StartIndex', 100);

    my $two = page($ann, StartIndex => 100);
    is @{ $two->json('/SessionItem') }, 20, 'the rest';
    $two->json_is('/CompleteFlag', 1)->json_is('/StartIndex', 0);
    ok item($two, 'pin'), 'the pinned one is there though it is old';

    my %seen;
    $seen{$_}++ for @{ peers($one) }, @{ peers($two) };
    is keys %seen, 120, 'each once';
};

done_testing;

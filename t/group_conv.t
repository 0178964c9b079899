#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Conversations of groups: deletion, pin, marks and read marks, and what a
# second instance of the user hears of them.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'web_instances 2; rate 0;');
my $svc = 'group_open_http_svc';
my $random = 1;

$im->users(qw/ ann bob cid /);

sub message {
    my ($gid, $text, %body) = @_;

    $im->rest("$svc/send_group_msg", { GroupId => $gid, Random => $random++,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => $text } }], %body })
       ->code_is(0, $text);
}

sub page {
    my $ws = shift;

    return $ws->request('recentcontact.page_get', {
        TimeStamp => 0, StartIndex => 0, TopTimeStamp => 0,
        TopStartIndex => 0 })->code_is(0, 'page_get')->json('/SessionItem');
}

sub item {
    my ($ws, $gid) = @_;
    my ($item) = grep { ($_->{ToAccount} // '') eq $gid } @{ page($ws) };
    return $item;
}

my $ann = $im->ws_login('ann');
my $other = $im->ws_login('ann');
my $gid = $im->group(Type => 'Public', owner => 'ann', members => ['bob']);

sub pushed {
    my $type = shift;
    my $event = $other->next_event('RecentContactMod');

    is $event->{Event}, 11, 'the other instance hears of it';
    is $event->{RecentContactMod}[0]{PushType}, $type, "as PushType $type";
    $ann->no_event('RecentContactMod', 0.05, 'the acting one does not');

    return $event->{RecentContactMod}[0];
}

subtest 'pin and marks' => sub {
    message($gid, 'one');

    $ann->request('recentcontact.top', { OperationType => 1,
        RecentContactItem => [{ Type => 2, GroupId => $gid }] })->code_is(0);
    is_deeply pushed(2)->{RecentContactTopItem},
        { RecentContactList => [{ Type => 2, GroupId => $gid }] }, 'pinned';
    is item($other, $gid)->{TopFlags}, 1, 'TopFlags';

    $ann->request('recentcontact.mark_contact', { MarkItem => [
        { OptType => 1, SetMark => [2],
          ContactItem => { Type => 2, ToGroupId => $gid } } ] })->code_is(0);
    pushed(4);
    is item($other, $gid)->{StandardMark}, '100', 'StandardMark';
};

subtest 'both kinds in one request' => sub {
    $ann->request('recentcontact.top', { OperationType => 2,
        RecentContactItem => [{ Type => 2, GroupId => $gid },
                              { Type => 1, To_Account => 'bob' }] })
        ->code_is(0);

    my $list = pushed(3)->{RecentContactTopItem}{RecentContactList};
    is_deeply [sort { $a->{Type} <=> $b->{Type} } @$list],
        [{ Type => 1, UserId => 'bob' }, { Type => 2, GroupId => $gid }],
        'unpinned';
};

subtest 'delete' => sub {
    message($gid, 'unread', From_Account => 'bob');

    my $r = $ann->request('recentcontact.batch_delete', { ClearRamble => 0,
        ContactItem => [{ Type => 2, ToGroupid => $gid }] })->code_is(0);
    is_deeply $r->json('/ResultItem'), [{ Type => 2, ToGroupid => $gid,
        ResultCode => 0, ResultInfo => '' }], 'ResultItem';
    is_deeply pushed(1)->{RecentContactDeleteItem},
        { RecentContactList => [{ Type => 2, GroupId => $gid }] },
        'which one it is';
    is item($_, $gid), undef, 'not in the list' for $ann, $other;

    my $history = sub {
        return @{ $ann->request("$svc.group_msg_get", { GroupId => $gid,
            ReqMsgNumber => 20 })->code_is(0)->json('/RspMsgList') // [] };
    };

    is $history->(), 2, 'the history stays';

    message($gid, 'again', From_Account => 'bob');
    my $i = item($other, $gid);
    is $i->{UnreadMsgCount}, 1, 'the next message makes it anew';
    is $i->{TopFlags}, 0, 'not pinned';
    is $i->{StandardMark}, '0', 'without marks';

    $ann->request('recentcontact.batch_delete', { ClearRamble => 1,
        ContactItem => [{ Type => 2, ToGroupid => $gid }] })->code_is(0);
    pushed(1);
    is $history->(), 0, 'the history is hidden';
};

subtest 'clear_msg' => sub {
    message($gid, 'to clear', From_Account => 'bob');

    $ann->request('recentcontact.clear_msg', { Type => 2,
        ToGroupid => $gid })->code_is(0);
    ok my $i = item($ann, $gid), 'the conversation stays';
    ok !$i->{LastMsg}, 'without a message';
};

subtest 'who is no member has no conversation' => sub {
    my $foreign = $im->group(Type => 'Public', owner => 'bob');
    my @contact = ({ Type => 2, ToGroupid => $foreign });

    $ann->request('recentcontact.batch_delete', { ContactItem => \@contact })
        ->code_is(0);
    $other->no_event('RecentContactMod', 0.2, 'nothing is told');
};

subtest 'read_all_unread_msg' => sub {
    my $second = $im->group(Type => 'Public', owner => 'bob',
                            members => ['ann']);
    my $foreign = $im->group(Type => 'Public', owner => 'bob');

    message($_, 'unread', From_Account => 'bob') for $gid, $second;

    my $seq = item($ann, $gid)->{MsgSeq};

    $ann->request('openim.read_all_unread_msg', { C2CReadAllMsg => 0,
        GroupReadInfo => [{ GroupId => $gid, MsgSeq => $seq },
                          { GroupId => $second, MsgSeq => 99 },
                          { GroupId => $foreign, MsgSeq => 1 },
                          { GroupId => 'nosuch', MsgSeq => 1 }] })
        ->code_is(0)->json_is('/C2CReadAllMsg', 0)
        ->json_is('/GroupReadInfoArray', [
            { GroupId => $gid, MsgSeq => $seq, RetCode => 0 },
            { GroupId => $second, MsgSeq => 1, RetCode => 0 },
            { GroupId => $foreign, MsgSeq => 1, RetCode => 10007 },
            { GroupId => 'nosuch', MsgSeq => 1, RetCode => 10010 }]);

    my $event = $other->next_event('C2CReadAllMsg');
    is $event->{Event}, 14, 'the other instance';
    is_deeply $event->{GroupReadInfoArray}, [
        { GroupId => $gid, LastReadMsgSeq => $seq },
        { GroupId => $second, LastReadMsgSeq => 1 }], 'GroupReadInfoArray';
    $ann->no_event('C2CReadAllMsg', 0.2, 'not the acting one');
    is item($ann, $_)->{UnreadMsgCount}, 0, 'read' for $gid, $second;

    $ann->request('openim.read_all_unread_msg', { C2CReadAllMsg => 0,
        GroupReadInfo => [{ GroupId => $gid, MsgSeq => 1 }] })->code_is(0);
    $other->no_event('C2CReadAllMsg', 0.2, 'a mark is not moved back');

    $ann->request('openim.read_all_unread_msg', { GroupReadInfo => $_ })
        ->code_is(20001)
        for [{}], [{ GroupId => $gid }], [{ MsgSeq => 1 }],
            [map { { GroupId => "g$_", MsgSeq => 1 } } 1 .. 501];
};

subtest 'a message that is not to be the last one' => sub {
    my $gid = $im->group(Type => 'Public', owner => 'ann');

    message($gid, 'shown');
    message($gid, 'quiet', SendMsgControl => ['NoLastMsg']) for 1 .. 3;

    my $item = item($ann, $gid);

    is $item->{LastMsg}{MsgBody}[0]{MsgContent}{Text}, 'shown',
        'the one before it is';
    is $item->{UnreadMsgCount}, 4, 'all are unread';
};

$im->finish;
done_testing;

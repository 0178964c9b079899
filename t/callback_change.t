#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Callbacks of what has changed: read reports, members' fields, attributes,
# receipts; and of messages that were refused.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Receiver;
use Test::More;

my $report = 'C2C.CallbackAfterMsgReport';
my $refused = 'Group.CallbackSendMsgException';
my $member = 'Group.CallbackAfterMemberFieldChanged';
my $attr = 'Group.CallbackAfterGroupAttrChanged';
my $receipt = 'Group.CallbackAfterReadReceipt';
my $before = 'Group.CallbackBeforeSendMsg';
my $after = 'Group.CallbackAfterSendMsg';

my $app = Test::IM::Receiver->new->start;
my $conf = 'rate 0; dirty_word_delay 0; callback ' . $app->url
           . " $report $refused $member $attr $receipt $before"
           . ' timeout=20s';
my $im = Test::IM->new->run(workers => 2, app => "$conf;");

my $admin = $im->admin;
my $random = 1;

$im->users(qw/ ann bob cid dan /);
$im->group(Type => 'Public', GroupId => 'g', owner => 'ann',
           members => [qw/ bob cid /]);
$im->group(Type => 'ChatRoom', GroupId => 'quiet', owner => 'ann');

my $bob = $im->ws_login('bob');

sub group { $im->rest("group_open_http_svc/$_[0]", $_[1]) }
sub text { [{ MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } }] }

# the n bodies of a command
sub bodies {
    my ($command, $n) = @_;

    my @list = $app->wait_requests($command, $n);
    is scalar(@list), $n, "$command, $n times";

    for my $r (@list) {
        is delete $r->{body}{CallbackCommand}, $command, 'CallbackCommand';
        like delete $r->{body}{EventTime}, qr/^\d{13}$/, 'EventTime';
    }

    $app->clear;

    return map { $_->{body} } @list;
}

sub none {
    my ($command) = @_;

    # another one of the same lane would be behind it
    group('modify_group_member_info', { GroupId => 'g',
        Member_Account => 'cid', NameCard => 'card ' . $random++ });
    $app->wait_requests($member, 1);
    is scalar(my @list = $app->requests($command)), 0, "no $command";
    $app->clear;
}

subtest 'read reports' => sub {
    for (['ann', 2], ['cid', 3]) {
        my ($from, $n) = @$_;

        $im->rest('openim/sendmsg', {
            From_Account => $from, To_Account => 'bob',
            MsgRandom => $random++, MsgBody => text('hello') })->code_is(0)
            for 1 .. $n;
    }

    my $time = time;
    my %read = (Report_Account => 'bob', Peer_Account => 'ann',
                MsgReadTime => $time);

    $im->rest('openim/admin_set_msg_read', { %read })->code_is(0);
    my ($body) = bodies($report, 1);
    cmp_ok delete $body->{LastReadTime}, '>=', $time - 5, 'LastReadTime';
    is_deeply $body, { Report_Account => 'bob', Peer_Account => 'ann',
                       UnreadMsgNum => 3 }, 'by an administrator';

    $bob->request('openim.msgreaded', { C2CMsgReaded => { Cookie => '',
        C2CMsgReadedItem => [{ To_Account => 'cid',
                               LastedMsgTime => time }] } })->code_is(0);
    ($body) = bodies($report, 1);
    delete $body->{LastReadTime};
    is_deeply $body, { Report_Account => 'bob', Peer_Account => 'cid',
                       UnreadMsgNum => 0 }, 'by a client';

    $im->rest('openim/admin_set_msg_read',
              { %read, MsgReadTime => $time - 100 })->code_is(0);
    none($report);
};

subtest 'fields of a member' => sub {
    my %body = (GroupId => 'g', Type => 'Public', Operator_Account => $admin,
                Member_Account => 'bob');

    my $set = sub {
        group('modify_group_member_info', { GroupId => 'g',
            Member_Account => 'bob', @_ })->code_is(0);
    };

    $app->clear;
    $set->(Role => 'Admin', NameCard => 'Bob');
    $set->(Role => 'Admin', NameCard => 'Bob');
    $set->(Role => 'Member');
    $set->(NameCard => '');

    is_deeply [bodies($member, 3)],
              [{ %body, Role => 'Admin', NameCard => 'Bob' },
               { %body, Role => 'Member' }, { %body, NameCard => '' }],
              'what has changed';

    $bob->request('group_open_http_svc.modify_group_member_info', {
        GroupId => 'g', Member_Account => 'bob', NameCard => 'B',
        MsgFlag => 'Discard' })->code_is(0);
    is_deeply [bodies($member, 1)],
              [{ %body, Operator_Account => 'bob', NameCard => 'B' }],
              'by himself';

    group('modify_group_member_info', { GroupId => 'g',
        Member_Account => 'ann', NameCard => 'A' })->code_is(0);
    is_deeply [bodies($member, 1)],
              [{ %body, Member_Account => 'ann', NameCard => 'A' }],
              'the card of the owner';

    $bob->request('group_open_http_svc.modify_group_member_info', {
        GroupId => 'g', Member_Account => 'bob',
        MsgFlag => 'AcceptAndNotify' })->code_is(0);
    sleep 1;
    is scalar(my @list = $app->requests($member)), 0, 'not of MsgFlag';
};

subtest 'attributes' => sub {
    my %body = (GroupId => 'g', Type => 'Public', Operator_Account => $admin);
    my $list = sub { [map { { key => $_->[0], value => $_->[1] } } @_] };

    group('set_group_attr', { GroupId => 'g',
        GroupAttr => $list->(['a', '1'], ['b', '2']) })->code_is(0);
    group('modify_group_attr', { GroupId => 'g',
        GroupAttr => $list->(['a', '3']) })->code_is(0);
    group('delete_group_attr', { GroupId => 'g',
        GroupAttr => [{ key => 'b' }] })->code_is(0);
    group('delete_group_attr', { GroupId => 'g',
        GroupAttr => [{ key => 'none' }] });
    group('clear_group_attr', { GroupId => 'g' })->code_is(0);

    is_deeply [bodies($attr, 4)], [
        { %body, OptionType => 'set',
          GroupAttr => $list->(['a', '1'], ['b', '2']) },
        { %body, OptionType => 'modify', GroupAttr => $list->(['a', '3']) },
        { %body, OptionType => 'delete', GroupAttr => [{ key => 'b' }] },
        { %body, OptionType => 'clear', GroupAttr => [] }], 'each change';
};

subtest 'receipts' => sub {
    my $seq = $im->ws_login('ann')->request(
        'group_open_http_svc.send_group_msg', { GroupId => 'g',
            Random => $random++, NeedReadReceipt => 1,
            MsgBody => text('read me') })->code_is(0)->json('/MsgSeq');

    $bob->request('group_open_http_svc.group_msg_receipt', {
        GroupId => 'g', MsgSeqList => [{ MsgSeq => $seq }] })->code_is(0)
        for 1, 2;

    is_deeply [bodies($receipt, 1)], [{
        GroupId => 'g', Type => 'Public', GroupMsgReceiptList => [{
            MsgSeq => $seq, ReadNum => 1, UnreadNum => 1,
            ReadReceiptMembers => [{ Member_Account => 'bob' }] }] }],
        'the first time';
};

subtest 'refused messages' => sub {
    group('forbid_send_msg', { GroupId => 'g', Members_Account => ['bob'],
                               MuteTime => 60 })->code_is(0);

    my $send = sub {
        return $bob->request('group_open_http_svc.send_group_msg', {
            GroupId => 'g', Random => 4711, MsgBody => text('hello'), @_ });
    };

    my $reply = $send->(CloudCustomData => 'c')->code_is(10017);
    my ($body) = bodies($refused, 1);

    ok length(delete $body->{ErrorInfo}), 'ErrorInfo';
    is_deeply $body, {
        GroupId => 'g', Type => 'Public', From_Account => 'bob',
        Operator_Account => 'bob', Random => 4711, OnlineOnlyFlag => 0,
        MsgBody => text('hello'), CloudCustomData => 'c',
        ErrorCode => 10017 }, 'of one who is muted';

    group('forbid_send_msg', { GroupId => 'g', Members_Account => ['bob'],
                               MuteTime => 0 })->code_is(0);
    $app->answer($before => { ErrorCode => 1 });
    $send->()->code_is(10016);
    none($refused);

    $send->(Random => 4712)->code_is(0);
    none($refused);

    $im->rest('openim_dirty_words/add', { DirtyWordsList => ['zoo'] })
        ->code_is(0);
    $send->(Random => 4713, MsgBody => text('a zoo'))->code_is(80001);
    ($body) = $app->wait_requests($refused, 1);
    is $body->{body}{ErrorCode}, 80001, 'a dirty word';
    is scalar(my @asked = $app->requests($before)), 0, 'nobody was asked';
    bodies($refused, 1);

    $im->ws_login('dan')->request('group_open_http_svc.send_group_msg', {
        GroupId => 'g', Random => 4714, MsgBody => text('hello') })
        ->code_is(10007);
    is +(bodies($refused, 1))[0]{ErrorCode}, 10007, 'no member';
};

subtest 'over the limit' => sub {
    $im->reload(app => "$conf $after; group_rate 1; group_rate_normal 1;");
    $app->clear;

    my @dropped = grep { $_->json->{MsgDropReason} } map {
        group('send_group_msg', { GroupId => 'g', From_Account => 'ann',
            Random => $random++, MsgBody => text('hello') })->code_is(0)
    } 1 .. 8;

    cmp_ok scalar(@dropped), '>', 0, 'some are dropped';
    is scalar(my @told = $app->wait_requests($after, 8 - @dropped)),
       8 - @dropped, 'the others are told';
    is scalar(my @asked = $app->requests($before)), 8, 'all were asked about';
    is $_->{ErrorCode}, 10023, 'each is told'
        for bodies($refused, scalar @dropped);
};

done_testing;

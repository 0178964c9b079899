#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Callbacks of groups: messages, creation, joining, leaving, changes.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Receiver;
use Test::More;

my $svc = 'group_open_http_svc';
my $before = 'Group.CallbackBeforeSendMsg';
my $after = 'Group.CallbackAfterSendMsg';

my $app = Test::IM::Receiver->new->start;

my $im = Test::IM->new->run(workers => 2,
    app => 'rate 0; web_instances 4; group_rate 1000;
            group_rate_normal 1000; callback ' . $app->url
           . ' all timeout=20s;');

$im->users(qw/ ann bob cid /);

my $random = 1;

sub text { [{ MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } }] }

# the body of the only request of a command so far
sub body {
    my ($command) = @_;

    my @list = $app->wait_requests($command, 1);
    is @list, 1, "$command once";

    my $body = $list[0]{body};
    like delete $body->{EventTime}, qr/^\d{13}$/, 'EventTime';
    is delete $body->{CallbackCommand}, $command, 'CallbackCommand';

    return $body;
}

my $gid = '@room';

subtest 'creation' => sub {
    my %group = (Type => 'AVChatRoom', GroupId => $gid, Name => 'concert',
                 Owner_Account => 'ann');

    $app->answer('Group.CallbackBeforeCreateGroup' => { ErrorCode => 1 });
    $im->rest("$svc/create_group", { %group })->code_is(10016);
    is $im->group_info($gid)->{ErrorCode}, 10010, 'there is none';

    $app->clear;
    $im->rest("$svc/create_group", { %group })->code_is(0);

    my %body = (Operator_Account => 'administrator', Owner_Account => 'ann',
                Type => 'AVChatRoom', Name => 'concert', MemberList => []);

    is_deeply body('Group.CallbackBeforeCreateGroup'),
              { %body, CreatedNum => 0, CreateGroupNum => 0 }, 'before';
    is_deeply body('Group.CallbackAfterCreateGroup'),
              { %body, GroupId => $gid }, 'after';
};

my $bob = $im->ws_login('bob');

subtest 'joining' => sub {
    my $join = 'Group.CallbackBeforeApplyJoinGroup';

    $app->clear;
    $app->answer($join => { ErrorCode => 10111, ErrorInfo => 'members only' });

    my $reply = $bob->request('group_open_http_svc.apply_join_group',
                              { GroupId => $gid })->code_is(10111);
    $reply->json_is('/ErrorInfo', 'members only');

    is_deeply body($join), { GroupId => $gid, Type => 'AVChatRoom',
                             Requestor_Account => 'bob' }, 'before';

    $app->clear;
    $bob->request('group_open_http_svc.apply_join_group',
                  { GroupId => $gid })->code_is(0);

    is_deeply body('Group.CallbackAfterNewMemberJoin'),
        { GroupId => $gid, Type => 'AVChatRoom', JoinType => 'Apply',
          Operator_Account => 'bob',
          NewMemberList => [{ Member_Account => 'bob' }] }, 'after';
};

sub msg {
    return $im->rest("$svc/send_group_msg", {
        GroupId => $gid, Random => $random++, MsgBody => text('hi'), @_ });
}

sub heard {
    my $item = $bob->next_event(sub { $_[0]{GroupMsgArray}
        && $_[0]{GroupMsgArray}[0]{MsgBody} });
    return $item->{GroupMsgArray}[0];
}

subtest 'messages' => sub {
    $app->clear;

    my $reply = msg(Random => 4711, From_Account => 'ann',
                    CloudCustomData => 'cloud')->code_is(0);

    my %body = (GroupId => $gid, Type => 'AVChatRoom', From_Account => 'ann',
                Operator_Account => 'administrator', Random => 4711,
                OnlineOnlyFlag => 0, MsgBody => text('hi'),
                CloudCustomData => 'cloud');

    is_deeply body($before), { %body }, 'before';
    is_deeply body($after), { %body, MsgSeq => $reply->json('/MsgSeq'),
                              MsgTime => $reply->json('/MsgTime') }, 'after';

    msg(Random => 4711, From_Account => 'ann')->code_is(0, 'once more');
    is scalar(my @list = $app->requests($before)), 1, 'not asked again';

    is heard()->{MsgBody}[0]{MsgContent}{Text}, 'hi', 'delivered';
};

subtest 'verdicts' => sub {
    for ([1, 10016], [3, 10016], [120001, 120001], [10150, 10150]) {
        my ($verdict, $code) = @$_;

        $app->clear;
        $app->answer($before => { ErrorCode => $verdict });
        msg()->code_is($code, "verdict $verdict");
    }

    $app->clear;
    $app->answer($before => { ErrorCode => 2 });
    my $reply = msg(Random => 99)->code_is(0, 'dropped');
    is $reply->json('/MsgSeq'), 0, 'no number';
    is $reply->json('/MsgDropReason'), undef, 'silently';

    $app->clear;
    is msg(Random => 99)->code_is(0)->json('/MsgSeq'), 0, 'and once more';

    $app->answer($before => { MsgBody => text('***'),
                              CloudCustomData => 'x' });
    $reply = msg()->code_is(0);
    my $got = heard();

    is $got->{MsgBody}[0]{MsgContent}{Text}, '***', 'rewritten';
    is $got->{MsgSeq}, $reply->json('/MsgSeq'), 'the only one delivered';
    is body($after)->{MsgBody}[0]{MsgContent}{Text}, '***', 'told';

    $app->clear;
    msg(ForbidCallbackControl => ['ForbidBeforeSendMsgCallback',
                                  'ForbidAfterSendMsgCallback'])
        ->code_is(0);
    heard();

    $bob->request('group_open_http_svc.send_group_msg', {
        GroupId => $gid, Random => $random++, MsgBody => text('web'),
        ForbidCallbackControl => ['ForbidBeforeSendMsgCallback'] })
        ->code_is(0);
    is body($before)->{Operator_Account}, 'bob',
       'a client cannot forbid it';
    $app->wait_requests($after, 1);
};

subtest 'a member who is muted meanwhile' => sub {
    $app->clear;
    $app->answer($before => {}, mode => 'hold');

    my $seq = $bob->send_request(
        'group_open_http_svc.send_group_msg',
        { GroupId => $gid, Random => $random++, MsgBody => text('late') });

    $app->wait_requests($before, 1);
    $im->rest("$svc/forbid_send_msg", { GroupId => $gid, ShutUpTime => 60,
        Members_Account => ['bob'] })->code_is(0);

    $app->release;
    $bob->answer($seq)->code_is(10017);
    $im->rest("$svc/forbid_send_msg", { GroupId => $gid, ShutUpTime => 0,
        Members_Account => ['bob'] })->code_is(0);
};

subtest 'changes' => sub {
    $app->clear;

    $im->rest("$svc/modify_group_base_info", { GroupId => $gid,
        Name => 'new', Notification => 'note', ApplyJoinOption => 'FreeAccess'
        })->code_is(0);

    is_deeply body('Group.CallbackAfterGroupInfoChanged'),
        { GroupId => $gid, Type => 'AVChatRoom', Name => 'new',
          Notification => 'note', Operator_Account => 'administrator' },
        'what has changed';
};

subtest 'leaving' => sub {
    $app->clear;

    $bob->request('group_open_http_svc.quit_group', { GroupId => $gid })
        ->code_is(0);

    is_deeply body('Group.CallbackAfterMemberExit'),
        { GroupId => $gid, Type => 'AVChatRoom', ExitType => 'Quit',
          Operator_Account => 'bob',
          ExitMemberList => [{ Member_Account => 'bob' }] }, 'quit';
};

subtest 'a group that goes meanwhile' => sub {
    $app->clear;
    $app->answer($before => {}, mode => 'hold');

    my $ann = $im->ws_login('ann');
    $ann->request('group_open_http_svc.apply_join_group',
                  { GroupId => $gid })->code_is(0);
    my $seq = $ann->send_request(
        'group_open_http_svc.send_group_msg',
        { GroupId => $gid, Random => $random++, MsgBody => text('late') });

    $app->wait_requests($before, 1);
    $im->rest("$svc/destroy_group", { GroupId => $gid })->code_is(0);
    $app->release;
    $ann->answer($seq)->code_is(10010);

    is_deeply body('Group.CallbackAfterGroupDestroyed'),
        { GroupId => $gid, Type => 'AVChatRoom', Owner_Account => 'ann',
          Name => 'new', MemberList => [] }, 'told';

    is scalar(my @list = $app->requests($after)), 0, 'no message is told';
};

done_testing;

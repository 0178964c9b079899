#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Callbacks of groups: recalled messages, another owner, groups and members
# that go without a request of theirs; and what fires none.

use strict;
use warnings;

use lib 't/lib';

use Mojo::JSON qw/ encode_json /;
use Test::IM;
use Test::IM::Receiver;
use Test::More;

my $svc = 'group_open_http_svc';
my $recall = 'Group.CallbackAfterRecallMsg';
my $owner = 'Group.CallbackAfterChangeGroupOwner';
my $exit = 'Group.CallbackAfterMemberExit';
my $gone = 'Group.CallbackAfterGroupDestroyed';
my $info = 'Group.CallbackAfterGroupInfoChanged';
my $create = 'Group.CallbackAfterCreateGroup';

my $app = Test::IM::Receiver->new->start;
my $im = Test::IM->new->run(workers => 2, im => 'group_sweep_interval 500ms;',
    app => 'rate 0; web_instances 4;
            group_type Short base=Public auto_recycle_seconds=1;
            group_type Online base=Public kick_offline_members=1;
            callback ' . $app->url . ' all timeout=20s;');

my $admin = $im->admin;
my $random = 1;

$im->users(qw/ ann bob cid dan eve /);
$im->group(Type => 'Public', GroupId => 'g', owner => 'ann',
           members => [qw/ bob cid /]);

my %client = map { $_ => $im->ws_login($_) } qw/ ann bob cid /;

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

sub as {
    my ($user, $name, %body) = @_;
    return $client{$user}->request("$svc.$name", \%body);
}

sub list { [map { { Member_Account => $_ } } @_] }
sub seqs { [map { { MsgSeq => $_ } } @_] }

sub post {
    my ($gid, %body) = @_;

    return rest('send_group_msg', GroupId => $gid, Random => $random++,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => 'hello' } }], %body)
        ->code_is(0)->json('/MsgSeq');
}

# the members of the only request about a group
sub body {
    my ($command, $gid) = @_;

    my @list = $app->wait_requests($command, 1, $gid);
    is scalar(@list), 1, "$command once";

    my $body = $list[0]{body};
    my $time = $command eq $recall ? qr/^\["\d{13}"\]$/ : qr/^\[\d{13}\]$/;

    is delete $body->{CallbackCommand}, $command, 'CallbackCommand';
    like encode_json([delete $body->{EventTime}]), $time, 'EventTime';

    return $body;
}

# A later event of the same group tells that there was no other one before.
sub none {
    my ($gid, $name) = @_;

    rest('modify_group_base_info', GroupId => $gid, Name => 'n' . $random++)
        ->code_is(0);
    is scalar(my @list = $app->wait_requests($info, 1, $gid)), 1,
       'the name';

    is_deeply [map { $_->{body}{CallbackCommand} }
               grep { ($_->{body}{GroupId} // $gid) eq $gid
                      && $_->{body}{CallbackCommand} !~ /^(State|$info)/ }
               $app->requests], [], $name;
}

subtest 'recalled messages' => sub {
    my @seq = map { post('g', From_Account => 'ann') } 1 .. 3;
    my @list = (GroupId => 'g', MsgSeqList => seqs(@seq[0, 1], 100));

    rest('group_msg_recall', @list)->code_is(0);
    is_deeply body($recall, 'g'), { GroupId => 'g', Type => 'Public',
        Operator_Account => $admin, MsgSeqList => seqs(@seq[0, 1]) },
        'those of it';

    $app->clear;
    rest('group_msg_recall', @list)->code_is(0);
    none('g', 'not twice');

    $app->clear;
    as('ann', 'group_msg_recall', GroupId => 'g',
       MsgSeqList => seqs($seq[2]))->code_is(0);
    is_deeply body($recall, 'g'), { GroupId => 'g', Type => 'Public',
        Operator_Account => 'ann', MsgSeqList => seqs($seq[2]) },
        'by a client';
};

subtest 'another owner' => sub {
    $app->clear;

    rest('change_group_owner', GroupId => 'g',
         NewOwner_Account => 'bob')->code_is(0);
    is_deeply body($owner, 'g'), { GroupId => 'g', Type => 'Public',
        Operator_Account => $admin, OldOwner_Account => 'ann',
        NewOwner_Account => 'bob' }, 'by the app';

    $app->clear;
    as('bob', 'change_group_owner', GroupId => 'g',
       NewOwner_Account => 'ann')->code_is(0);
    is_deeply body($owner, 'g'), { GroupId => 'g', Type => 'Public',
        Operator_Account => 'bob', OldOwner_Account => 'bob',
        NewOwner_Account => 'ann' }, 'by a client';

    $app->clear;
    rest('change_group_owner', GroupId => 'g',
         NewOwner_Account => 'ann')->code;
    none('g', 'the same one');
};

subtest 'a group of a client' => sub {
    $app->clear;

    my $gid = as('ann', 'create_group', Type => 'Private', Name => 'trip',
                 MemberList => list(qw/ cid bob cid /))->code_is(0)
              ->json('/GroupId');

    my %body = (Operator_Account => 'ann', Owner_Account => 'ann',
                Type => 'Private', Name => 'trip',
                MemberList => list(qw/ cid bob /));

    my $asked = body('Group.CallbackBeforeCreateGroup');
    delete @$asked{qw/ CreatedNum CreateGroupNum /};
    is_deeply $asked, \%body, 'asked';
    is_deeply body($create, $gid), { %body, GroupId => $gid }, 'told';

    as('ann', 'add_group_member', GroupId => $gid,
       MemberList => list(qw/ dan eve /))->code_is(0);
    is_deeply body('Group.CallbackBeforeInviteJoinGroup', $gid), {
        GroupId => $gid, Type => 'Private', Operator_Account => 'ann',
        DestinationMembers => list(qw/ dan eve /) }, 'asked about guests';
    is_deeply body('Group.CallbackAfterNewMemberJoin', $gid), {
        GroupId => $gid, Type => 'Private', Operator_Account => 'ann',
        JoinType => 'Invited', NewMemberList => list(qw/ dan eve /) },
        'told of them';

    as('ann', 'delete_group_member', GroupId => $gid,
       MemberToDel_Account => [qw/ dan eve ghost /])->code_is(0);
    is_deeply body($exit, $gid), { GroupId => $gid, Type => 'Private',
        ExitType => 'Kicked', Operator_Account => 'ann',
        ExitMemberList => list(qw/ dan eve /) }, 'removed';

    $app->clear;
    as('cid', 'quit_group', GroupId => $gid)->code_is(0);
    is_deeply body($exit, $gid), { GroupId => $gid, Type => 'Private',
        ExitType => 'Quit', Operator_Account => 'cid',
        ExitMemberList => list('cid') }, 'quit';

    $app->clear;
    as('ann', 'modify_group_base_info', GroupId => $gid, Name => 'trip',
       Introduction => 'where', FaceUrl => 'http://face/')->code_is(0);
    is_deeply body($info, $gid), { GroupId => $gid, Type => 'Private',
        Operator_Account => 'ann', Introduction => 'where',
        FaceUrl => 'http://face/' }, 'what has changed';
};

subtest 'a group that is recycled' => sub {
    $app->clear;

    my $gid = $im->group(Type => 'Short', owner => 'ann', Name => 'short',
                         members => ['bob']);
    my $body = body($gone, $gid);

    is_deeply [sort map { $_->{Member_Account} }
               @{ delete $body->{MemberList} }], [qw/ ann bob /],
        'who was in it';
    is_deeply $body, { GroupId => $gid, Type => 'Short', Name => 'short',
                       Owner_Account => 'ann' }, 'told';
};

subtest 'members who are not connected' => sub {
    my $gid = $im->group(Type => 'Online', owner => 'ann',
                         members => [qw/ bob dan /]);

    is_deeply body($exit, $gid), { GroupId => $gid, Type => 'Online',
        ExitType => 'Kicked', Operator_Account => '@TIM#SYSTEM',
        ExitMemberList => list('dan') }, 'are removed';
};

subtest 'an account that is deleted' => sub {
    my $alone = $im->group(owner => 'eve', Name => 'alone');
    my $gid = $im->group(owner => 'eve', members => [qw/ ann bob /]);

    $app->clear;
    $im->rest('im_open_login_svc/account_delete',
              { DeleteItem => [{ UserID => 'eve' }] })->code_is(0);

    is_deeply body($gone, $alone), { GroupId => $alone, Type => 'Public',
        Name => 'alone', Owner_Account => 'eve', MemberList => [] },
        'the group of nobody else';

    is_deeply body($exit, $_), { GroupId => $_, Type => 'Public',
        ExitType => 'Quit', Operator_Account => 'eve',
        ExitMemberList => list('eve') }, 'he has left'
        for $alone, $gid;

    is scalar(my @list = $app->wait_requests($gone, 1)), 1,
       'the other one stays';
};

subtest 'banned from a live room' => sub {
    my $gid = $im->group(Type => 'AVChatRoom', owner => 'ann');

    as($_, 'apply_join_group', GroupId => $gid)->code_is(0)
        for qw/ bob cid /;
    $app->wait_requests('Group.CallbackAfterNewMemberJoin', 2, $gid);

    $app->clear;
    rest('ban_group_member', GroupId => $gid, Duration => 60,
         Members_Account => [qw/ bob dan cid /])->code_is(0);
    is_deeply body($exit, $gid), { GroupId => $gid, Type => 'AVChatRoom',
        ExitType => 'Kicked', Operator_Account => $admin,
        ExitMemberList => list(qw/ bob cid /) }, 'who was in it';

    $app->clear;
    rest('ban_group_member', GroupId => $gid, Duration => 70,
         Members_Account => ['bob'])->code_is(0);
    rest('unban_group_member', GroupId => $gid,
         Members_Account => [qw/ bob cid dan /])->code_is(0);
    none($gid, 'nobody else has left');
};

subtest 'what fires none' => sub {
    my $room = $im->group(Type => 'AVChatRoom', owner => 'ann');
    my $guest = $im->ws;

    $app->wait_requests($create, 1, $room);
    $app->clear;
    $guest->request('group_open_http_noauth_svc.apply_join_group',
                    { GroupId => $room })->code_is(0);
    $guest->request('group_open_http_noauth_svc.quit_group',
                    { GroupId => $room })->code_is(0);
    rest('send_group_system_notification', GroupId => $room,
         Content => 'x')->code_is(0);
    none($room, 'guests, and notices of the app');

    $app->clear;
    rest('import_group', Type => 'Public', GroupId => 'old', Name => 'old',
         Owner_Account => 'ann', CreateTime => 1000000000)->code_is(0);
    rest('import_group_msg', GroupId => 'old', MsgList => [{
        From_Account => 'ann', SendTime => 1000000001, Random => 1,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => 'old' } }] }])->code_is(0)
        ->json_is('/ImportMsgResult/0/Result', 0);
    rest('import_group_member', GroupId => 'old',
         MemberList => list('bob'))->code_is(0)
        ->json_is('/MemberList/0/Result', 1);
    rest('set_unread_msg_num', GroupId => 'old', Member_Account => 'bob',
         UnreadMsgNum => 1)->code_is(0);
    rest('send_group_system_notification', GroupId => 'old',
         Content => 'x')->code_is(0);
    rest('modify_group_base_info', GroupId => 'old',
         ApplyJoinOption => 'FreeAccess', MaxMemberNum => 100)->code_is(0);
    none('old', 'imports, unread numbers, other fields');
};

$im->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# With retry=on an after-callback is part of the commit of its cause: the
# worker dies between the commit and what follows, and the event comes.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Receiver;
use Test::IM::Sns;
use Test::More;

plan skip_all => 'fault points need nginx --with-debug'
    unless Test::IM::with_debug();

my $app = Test::IM::Receiver->new->start;
my $conf = 'rate 0; web_instances 4; group_field note write=any;
            callback ' . $app->url . ' all retry=on timeout=1s;';
my $im = Test::IM->new->run(workers => 2, app => $conf);

$im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);
$im->users(qw/ ann bob cid dan eve /);

sns_server($im);

my $random = 1;

sub text { [{ MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } }] }
sub group { $im->rest("group_open_http_svc/$_[0]", $_[1]) }

sub msg {
    return $im->rest('openim/sendmsg', {
        From_Account => 'ann', To_Account => 'bob', MsgRandom => $random++,
        MsgBody => text($_[0]) });
}

sub post {
    my ($gid, $text, %o) = @_;

    return group('send_group_msg', {
        GroupId => $gid, From_Account => 'ann', Random => $random++,
        MsgBody => text($text), %o });
}

# Each is a commit at which the worker dies; passes: commits with events until
# then.  What follows are the requests that are to come, and what they have.

my $key;
my @seq;
my @events;

sub event {
    my ($name, $passes, $fn, @want) = @_;
    push @events, { name => $name, passes => $passes, fn => $fn,
                    want => \@want };
}

for my $gid (qw/ full owner recall attr gone empty info /) {
    $im->group(Type => 'Public', GroupId => $gid, owner => 'ann',
               members => ['bob'], MaxMemberCount => 3);
}

$im->group(Type => 'Private', GroupId => 'alone', owner => 'ann',
           members => []);
post('alone', 'it begins')->code_is(0);

msg('one')->code_is(0);
$key = msg('two')->code_is(0)->json('/MsgKey');

@seq = map { post('recall', "m$_")->code_is(0)->json('/MsgSeq') } 1 .. 2;

my $receipt = $im->ws_login('ann')->request(
    'group_open_http_svc.send_group_msg', { GroupId => 'recall',
        Random => $random++, NeedReadReceipt => 1,
        MsgBody => text('read me') })->code_is(0)->json('/MsgSeq');

sns('black_list_add', 'cid', To_Account => ['dan'])->code_is(0);
add('cid', 'eve')->code_is(0);

my $svc = 'group_open_http_svc';
my $attr = 'Group.CallbackAfterGroupAttrChanged';

event 'a receipt', 1, sub {
    my $bob = $im->ws_login('bob');
    return $bob->request("$svc.group_msg_receipt", {
        GroupId => 'recall', MsgSeqList => [{ MsgSeq => $receipt }] });
}, ['Group.CallbackAfterReadReceipt', GroupId => 'recall',
    GroupMsgReceiptList => [{
        MsgSeq => $receipt, ReadNum => 1, UnreadNum => 0,
        ReadReceiptMembers => [{ Member_Account => 'bob' }] }]];

event 'an attribute', 1, sub {
    my $ann = $im->ws_login('ann');
    return $ann->request("$svc.set_group_attr", { GroupId => 'attr',
        GroupAttr => [{ key => 'a', value => '1' }] });
}, [$attr, GroupId => 'attr', OptionType => 'set',
    GroupAttr => [{ key => 'a', value => '1' }]];

event 'a message', 1, sub { msg('killed') },
    ['C2C.CallbackAfterSendMsg', MsgBody => text('killed'),
     SendMsgResult => 0];

event 'a message that is recalled', 1, sub {
    $im->rest('openim/admin_msgwithdraw', {
        From_Account => 'ann', To_Account => 'bob', MsgKey => $key });
}, ['C2C.CallbackAfterMsgWithDraw', MsgKey => $key];

event 'a read report', 1, sub {
    $im->rest('openim/admin_set_msg_read', {
        Report_Account => 'bob', Peer_Account => 'ann' });
}, ['C2C.CallbackAfterMsgReport', Report_Account => 'bob',
    UnreadMsgNum => 0];

event 'a group', 1, sub {
    group('create_group', { Type => 'Public', GroupId => 'new',
        Name => 'new', Owner_Account => 'ann',
        MemberList => [{ Member_Account => 'bob' }] });
}, ['Group.CallbackAfterCreateGroup', GroupId => 'new',
    MemberList => [{ Member_Account => 'bob' }]];

event 'members who fill a group', 1, sub {
    group('add_group_member', { GroupId => 'full',
        MemberList => [{ Member_Account => 'cid' }] });
}, ['Group.CallbackAfterNewMemberJoin', GroupId => 'full',
    NewMemberList => [{ Member_Account => 'cid' }]],
   ['Group.CallbackAfterGroupFull', GroupId => 'full'];

event 'one who leaves', 1, sub {
    group('delete_group_member', { GroupId => 'info',
        MemberToDel_Account => ['bob'] });
}, ['Group.CallbackAfterMemberExit', GroupId => 'info',
    ExitMemberList => [{ Member_Account => 'bob' }]];

event 'a message to a group', 1, sub { post('info', 'killed') },
    ['Group.CallbackAfterSendMsg', GroupId => 'info',
     MsgBody => text('killed')];

event 'a new name of a group', 1, sub {
    group('modify_group_base_info', { GroupId => 'info', Name => 'other' });
}, ['Group.CallbackAfterGroupInfoChanged', GroupId => 'info',
    Name => 'other'];

event 'messages to a group that are recalled', 1, sub {
    group('group_msg_recall', { GroupId => 'recall',
        MsgSeqList => [map { { MsgSeq => $_ } } @seq] });
}, ['Group.CallbackAfterRecallMsg', GroupId => 'recall',
    MsgSeqList => [map { { MsgSeq => $_ } } @seq]];

event 'an administrator of a group', 1, sub {
    group('modify_group_member_info', { GroupId => 'owner',
        Member_Account => 'bob', Role => 'Admin' });
}, ['Group.CallbackAfterMemberFieldChanged', GroupId => 'owner',
    Member_Account => 'bob', Role => 'Admin'];

event 'another owner', 1, sub {
    group('change_group_owner', { GroupId => 'owner',
                                  NewOwner_Account => 'bob' });
}, ['Group.CallbackAfterChangeGroupOwner', GroupId => 'owner',
    OldOwner_Account => 'ann', NewOwner_Account => 'bob'];

event 'a group that is dissolved', 1, sub {
    group('destroy_group', { GroupId => 'gone' });
}, ['Group.CallbackAfterGroupDestroyed', GroupId => 'gone',
    Owner_Account => 'ann',
    MemberList => [map { { Member_Account => $_ } } qw/ ann bob /]];

event 'the last member', 2, sub {
    $im->ws_login('ann')->request("$svc.quit_group", {
        GroupId => 'alone' });
}, ['Group.CallbackAfterMemberExit', GroupId => 'alone',
    ExitMemberList => [{ Member_Account => 'ann' }]],
   ['Group.CallbackAfterGroupDestroyed', GroupId => 'alone',
    MemberList => []];

event 'friends', 1, sub { add('ann', 'bob') },
    ['Sns.CallbackFriendAdd', Admin_Account => $im->admin, PairList => [
        { From_Account => 'ann', To_Account => 'bob',
          Initiator_Account => 'ann' },
        { From_Account => 'bob', To_Account => 'ann',
          Initiator_Account => 'ann' }]];

event 'friends no more', 1, sub {
    sns('friend_delete', 'cid', To_Account => ['eve'],
        DeleteType => 'Delete_Type_Single');
}, ['Sns.CallbackFriendDelete', PairList => [
        { From_Account => 'cid', To_Account => 'eve' }]];

event 'a blocked account', 1, sub {
    sns('black_list_add', 'cid', To_Account => ['ann']);
}, ['Sns.CallbackBlackListAdd', PairList => [
        { From_Account => 'cid', To_Account => 'ann' }]];

event 'an account that is blocked no more', 1, sub {
    sns('black_list_delete', 'cid', To_Account => ['dan']);
}, ['Sns.CallbackBlackListDelete', PairList => [
        { From_Account => 'cid', To_Account => 'dan' }]];

event 'a profile', 1, sub {
    $im->rest('profile/portrait_set', { From_Account => 'dan',
        ProfileItem => [{ Tag => 'Tag_Profile_IM_Nick', Value => 'D' }] });
}, ['Profile.CallbackPortraitSet', From_Account => 'dan',
    ProfileItem => [{ Tag => 'Tag_Profile_IM_Nick', Value => 'D' }]];

my $n = 0;
my $faults = join ' ', map {
    $n += $_->{passes};
    "fault outbox_put $n;"
} @events;

ok $im->wait_for(sub { $im->metric('im_outbox_waiting') == 0 }, 20),
   'nothing waits';

$im->reload(im => $faults);
$app->clear;

for my $e (@events) {
    ok !defined eval { $e->{fn}->()->code }, "$e->{name}: the worker dies";
    $im->wait_for(sub { $im->worker_pids == 2 });
}

# what the request has to have
sub has {
    my ($body, $command, %want) = @_;

    return if $body->{CallbackCommand} ne $command;

    for (keys %want) {
        return if !defined $body->{$_}
                  || plain($body->{$_}) ne plain($want{$_});
    }

    return 1;
}

sub plain { join('', Test::More::explain($_[0])) =~ s{'}{}gr }

sub come {
    my ($wanted, @list) = @_;
    my (undef, @want) = @$wanted;

    return scalar grep { has($_->{body}, @want) } @list;
}

my @wanted = map { my $e = $_; map { [$e->{name}, @$_] } @{ $e->{want} } }
             @events;
my @left = @wanted;

$im->wait_for(sub {
    my @list = $app->requests;

    @left = grep { !come($_, @list) } @left;

    return !@left;
}, 30);

my %left = map { ("$_->[0], $_->[1]" => 1) } @left;

ok !$left{"$_->[0], $_->[1]"}, "$_->[0]: $_->[1]" for @wanted;

diag map { Test::More::explain($_->{body}) }
     grep { my $r = $_; grep { $_->[1] eq $r->{body}{CallbackCommand} } @left }
     $app->requests if @left;

ok $im->wait_for(sub { $im->metric('im_outbox_waiting') == 0 }, 20),
   'nothing is left';

my %ids;

for ($app->requests) {
    my $id = $_->{headers}{'X-IM-Delivery'} // $_->{headers}{'X-Im-Delivery'};
    my $body = $_->{body};

    next unless defined $id;
    delete $body->{UnreadMsgNum};        # counted by each try
    $ids{ plain($body) }{$id}++;
}

my @twice = grep { keys %{ $ids{$_} } > 1 } keys %ids;

ok !@twice, 'each is one delivery' or diag @twice;

done_testing;

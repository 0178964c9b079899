#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Live rooms that are entered with the owner's permission.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0; tip_rate 0;');
my $svc = 'group_open_http_svc';

$im->users(qw/ ann bob cid dan /);

my %ws = map { $_ => $im->ws_login($_) } qw/ ann bob cid /;

$ws{admin} = $im->ws_login($im->admin);

sub ask {
    my ($who, $name, %body) = @_;
    return $ws{$who}->request("$svc.$name", \%body);
}

sub room {
    return $im->group(Type => 'AVChatRoom', owner => 'ann',
                      ApplyJoinOption => 'NeedPermission', @_);
}

sub apply {
    my ($who, $gid, $status, %body) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return ask($who, 'apply_join_group', GroupId => $gid, %body)->code_is(0)
           ->json_is('/JoinedStatus', $status);
}

# The body of a notice.
sub notice {
    my ($who, $gid, $type, $seconds) = @_;
    my $item = $ws{$who}->next_event(sub {
        my $e = ($_[0]{GroupTips} // [])->[0] or return;
        return $e->{ToGroupId} eq $gid
               && ($e->{MsgBody}{ReportType} // 0) == $type;
    }, $seconds // 30);
    return $item && $item->{GroupTips}[0]{MsgBody};
}

sub listed {
    my ($who, $gid) = @_;
    my $name = $who eq 'admin' ? $im->admin : $who;
    my $list = ask($who, 'get_pendency', StartTime => 0, Limit => 100,
                   Handle_Account => $name)->code_is(0);
    return grep { $_->{GroupId} eq $gid } @{ $list->json('/PendencyList') };
}

sub handle {
    my ($who, $gid, $user, $n, $word, %body) = @_;
    return ask($who, 'handle_apply_join_group', GroupId => $gid,
               Applicant_Account => $user, HandleMsg => $word,
               Authentication => $n->{Authentication},
               MsgKey => $n->{MsgKey}, ApprovalMsg => "$word!", %body);
}

sub hears {
    my ($who, $gid, $seconds) = @_;
    my $text = 'text ' . rand;

    $im->rest("$svc/send_group_msg", { GroupId => $gid,
        Random => int rand 1e9, MsgBody => [{ MsgType => 'TIMTextElem',
            MsgContent => { Text => $text } }] })->code_is(0);

    return !!$ws{$who}->next_event(sub {
        my $m = ($_[0]{GroupMsgArray} // [])->[0] or return;
        return $m->{MsgBody}[0]{MsgContent}{Text} eq $text;
    }, $seconds // 30);
}

subtest 'approved' => sub {
    my $gid = room();

    apply('bob', $gid, 'WaitAdminApproval', ApplyMsg => 'please',
          UserDefinedField => 'data');
    ok !hears('bob', $gid, 0.5), 'not in the room yet';
    is $im->group_info($gid)->{MemberNum}, 0, 'nor counted';

    my $n = notice('ann', $gid, 1);
    is_deeply [@$n{qw/ Operator_Account RemarkInfo UserDefinedField /}],
        ['bob', 'please', 'data'], 'the owner hears of it';

    my ($p) = listed('ann', $gid);
    is_deeply [@$p{qw/ From_Account To_Account PendencyType Handled
                       Authentication MsgTimeStamp ApplyInviteMsg /}],
        ['bob', 'ann', 1, 0, @$n{qw/ Authentication MsgKey /}, 'please'],
        'and has it in the list';
    is scalar(listed('bob', $gid)), 0, 'the applicant has not';

    handle('cid', $gid, 'bob', $n, 'Agree')->code_is(10007);
    handle('bob', $gid, 'bob', $n, 'Agree')->code_is(10007);
    handle('ann', $gid, 'cid', $n, 'Agree')->code_is(10004);
    handle('ann', $gid, 'bob', $n, 'Agree', Authentication => 'x')
        ->code_is(10004);
    handle('ann', $gid, 'bob', $n, 'Maybe')->code_is(10004);
    handle('ann', $gid, 'bob', $n, 'Agree')->code_is(0);
    handle('ann', $gid, 'bob', $n, 'Reject')->code_is(10024);

    my $yes = notice('bob', $gid, 2);
    is $yes && $yes->{RemarkInfo}, 'Agree!', 'the applicant is told';
    ok !exists $yes->{List_Account}, 'without a list';

    ($p) = listed('ann', $gid);
    is_deeply [@$p{qw/ Handled HandleResult /}], [2, 1], 'in the list, too';

    apply('bob', $gid, 'JoinedSuccess');
    ok hears('bob', $gid), 'he is in';
    apply('bob', $gid, 'JoinedSuccess');

    $ws{bob}->close;
    $ws{bob} = $im->ws_login('bob');
    apply('bob', $gid, 'JoinedSuccess');
    ok hears('bob', $gid), 'and comes back after a lost connection';

    is notice('ann', $gid, 1, 0.1), undef, 'without another notice';

    $im->rest("$svc/ban_group_member", { GroupId => $gid, Duration => 60,
        Members_Account => ['bob'] })->code_is(0);
    ask('bob', 'apply_join_group', GroupId => $gid)->code_is(10007);
};

subtest 'rejected' => sub {
    my $gid = room();

    apply('bob', $gid, 'WaitAdminApproval');

    my $first = notice('ann', $gid, 1);

    apply('bob', $gid, 'WaitAdminApproval');

    my $n = notice('ann', $gid, 1);

    handle('ann', $gid, 'bob', $first, 'Agree')->code_is(10024);
    handle('ann', $gid, 'bob', $n, 'Reject')->code_is(0);
    is notice('bob', $gid, 3)->{RemarkInfo}, 'Reject!', 'he is told';
    apply('bob', $gid, 'WaitAdminApproval');

    $n = notice('ann', $gid, 1);
    handle('admin', $gid, 'bob', $n, 'Agree')
        ->code_is(0, 'an administrator decides');
    apply('bob', $gid, 'JoinedSuccess');
};

subtest 'who needs no permission, and who gets none' => sub {
    my $gid = room();

    apply($_, $gid, 'JoinedSuccess') for qw/ ann admin /;

    $im->ws->request('group_open_http_noauth_svc.apply_join_group',
                     { GroupId => $gid })->code_is(10007);

    my $none = room(owner => undef);
    ask('bob', 'apply_join_group', GroupId => $none)->code_is(10007);

    $im->rest("$svc/modify_group_base_info", { GroupId => $gid,
        ApplyJoinOption => 'DisableApply' })->code_is(0);
    ask('bob', 'apply_join_group', GroupId => $gid)->code_is(10007);
    $im->rest("$svc/modify_group_base_info", { GroupId => $gid,
        ApplyJoinOption => 'FreeAccess' })->code_is(0);
    apply('bob', $gid, 'JoinedSuccess');
};

subtest 'a room that is dissolved' => sub {
    my $gid = room();

    apply($_, $gid, 'WaitAdminApproval') for qw/ bob cid /;
    is scalar(listed('ann', $gid)), 2, 'two wait';
    $im->rest("$svc/destroy_group", { GroupId => $gid })->code_is(0);
    ok $im->wait_for(sub { !listed('ann', $gid) }), 'none any more';
};

subtest 'an owner who was not connected' => sub {
    my $gid = room(owner => 'dan');

    apply('cid', $gid, 'WaitAdminApproval');
    $ws{dan} = $im->ws_login('dan');

    my ($p) = listed('dan', $gid);
    is $p->{From_Account}, 'cid', 'has it in the list';
    handle('dan', $gid, 'cid', { %$p, MsgKey => $p->{MsgTimeStamp} }, 'Agree')
        ->code_is(0);
    apply('cid', $gid, 'JoinedSuccess');
};

$im->finish;
done_testing;

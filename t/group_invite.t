#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Invitations: InviteJoinOption, consent of the invited, approval of owner and
# admins, pending lists.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Receiver;
use Test::More;

my $svc = 'group_open_http_svc';
my $hook = Test::IM::Receiver->new->start;

my $im = Test::IM->new->run(workers => 2, app => <<"END");
rate 0;
group_type Ask base=Private activate_by_first_msg=0 invite_mode=2
           member_change_notice=1;
callback @{[ $hook->url ]} Group.CallbackAfterNewMemberJoin
         Group.CallbackAfterGroupFull Group.CallbackBeforeInviteJoinGroup;
END

$im->users(qw/ ann bob cid dan eve /);

my %client = map { $_ => $im->ws_login($_) } qw/ ann bob cid dan eve /;

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

sub as {
    my ($user, $name, %body) = @_;
    return $client{$user}->request("$svc.$name", \%body);
}

sub list { [map { { Member_Account => $_ } } @_] }

sub invite { my ($by, $gid, @users) = @_;
             return as($by, 'add_group_member', GroupId => $gid,
                       MemberList => list(@users)) }

sub results { [map { $_->{Result} } @{ $_[0]->json('/MemberList') }] }

sub notice {
    my ($user, $gid, $report) = @_;

    my $event = $client{$user}->next_event(sub {
        ($_[0]{GroupTips}[0]{ToGroupId} // '') eq $gid
        && ($_[0]{GroupTips}[0]{MsgBody}{ReportType} // 0) == $report });

    ok $event, "$user: notice $report";
    return $event ? $event->{GroupTips}[0]{MsgBody} : {};
}

sub join_tip {
    my ($user, $gid) = @_;

    my $event = $client{$user}->next_event(sub {
        ($_[0]{GroupTips}[0]{ToGroupId} // '') eq $gid
        && ($_[0]{GroupTips}[0]{MsgBody}{OpType} // 0) == 1 });

    return $event->{GroupTips}[0]{MsgBody};
}

sub answer {
    my ($user, $gid, $notice, $msg, %more) = @_;

    return as($user, 'handle_invite_join_group', GroupId => $gid,
              Inviter_Account => $notice->{Operator_Account},
              HandleMsg => $msg, ApprovalMsg => 'so be it',
              Authentication => $notice->{Authentication},
              MsgKey => $notice->{MsgKey}, %more);
}

sub permit {
    my ($user, $gid, $notice, $msg, %more) = @_;

    return as($user, 'handle_invite_join_permission_group', GroupId => $gid,
              Applicant_Account => $notice->{Operator_Account},
              Invited_Account => $notice->{List_Account}[0],
              HandleMsg => $msg, ApprovalMsg => 'well',
              Authentication => $notice->{Authentication}, %more);
}

sub role {
    my ($gid, $user) = @_;
    return rest('get_role_in_group', GroupId => $gid,
                User_Account => [$user])->json('/UserIdList/0/Role');
}

sub option { return $im->group_info($_[0])->{InviteJoinOption} }

subtest 'InviteJoinOption' => sub {
    my %default = (Private => 'FreeAccess', Public => 'DisableInvite',
                   ChatRoom => 'DisableInvite', Ask => 'FreeAccess',
                   AVChatRoom => 'DisableInvite');

    is option($im->group(Type => $_, owner => 'ann')), $default{$_}, $_
        for sort keys %default;

    my $gid = $im->group(owner => 'ann', members => [qw/ bob cid /],
                         InviteJoinOption => 'NeedPermission');
    is option($gid), 'NeedPermission', 'given at the creation';

    rest('create_group', Type => 'Public', Name => 'x',
         InviteJoinOption => 'any')->code_is(10004);
    rest('modify_group_base_info', GroupId => $gid,
         InviteJoinOption => 'DisableApply')->code_is(10004);

    rest('modify_group_member_info', GroupId => $gid, Role => 'Admin',
         Member_Account => 'bob')->code_is(0);

    my $set = sub { as($_[0], 'modify_group_base_info', GroupId => $gid,
                       InviteJoinOption => $_[1]) };

    $set->(bob => 'FreeAccess')->code_is(10007, 'not for admins');
    $set->(cid => 'FreeAccess')->code_is(10007, 'not for members');
    $set->(ann => 'FreeAccess')->code_is(0);

    my $event = $client{cid}->next_event(sub {
        ($_[0]{GroupTips}[0]{ToGroupId} // '') eq $gid
        && ($_[0]{GroupTips}[0]{MsgBody}{OpType} // 0) == 6 });
    is_deeply $event->{GroupTips}[0]{MsgBody}{MsgGroupNewInfo},
        { InviteJoinOption => 'FreeAccess' }, 'tip 6';

    is_deeply results(invite(cid => $gid, qw/ dan nobody ann /)
                      ->code_is(0)), [1, 0, 2], 'members bring others in';
    $set->(ann => 'DisableInvite')->code_is(0);
    invite($_ => $gid, 'eve')->code_is(10007, "$_ does not")
        for qw/ cid bob ann /;
    rest('add_group_member', GroupId => $gid, MemberList => list('eve'))
        ->code_is(0, 'an administrator of the app does');

    is rest('import_group', Type => 'Public', Name => 'x',
            InviteJoinOption => 'FreeAccess')->code_is(0)
       && option($gid), 'DisableInvite', 'imported ones, too';
};

subtest 'consent' => sub {
    my $gid = $im->group(Type => 'Ask', owner => 'ann', members => ['bob']);

    $hook->clear;
    is_deeply results(invite(bob => $gid, qw/ cid dan ann nobody /)
                      ->code_is(0)), [3, 3, 2, 0], 'they are asked';
    is scalar($hook->wait_requests('Group.CallbackBeforeInviteJoinGroup', 1)),
        1, 'so is the app';

    my $cid = notice(cid => $gid, 12);
    my $dan = notice(dan => $gid, 12);
    is $cid->{Operator_Account}, 'bob', 'who invites';
    is role($gid, 'cid'), 'NotMember', 'not yet a member';

    answer(cid => $gid, $cid, 'Maybe')->code_is(10004);
    answer(cid => $gid, $dan, 'Agree')->code_is(10004, "another one's");
    answer(cid => $gid, $cid, 'Agree', MsgKey => $cid->{MsgKey} + 1)
        ->code_is(10004);
    answer(cid => $gid, $cid, 'Agree', Inviter_Account => 'ann')
        ->code_is(10004, 'no such inviter');
    answer(eve => $gid, $cid, 'Agree')->code_is(10004, 'was not invited');
    answer(cid => 'nosuch', $cid, 'Agree')->code_is(10010);
    as('cid', 'handle_invite_join_group', GroupId => $gid)->code_is(10004);

    answer(cid => $gid, $cid, 'Agree')->code_is(0);
    is role($gid, 'cid'), 'Member', 'he is in';

    my $tip = join_tip(ann => $gid);
    is_deeply [@$tip{qw/ Operator_Account GroupJoinType List_Account /}],
        ['bob', 2, ['cid']], 'the tip names the inviter';
    is notice(cid => $gid, 7)->{Operator_Account}, 'bob', 'who it was';
    my $told = notice(bob => $gid, 13);
    is_deeply [@$told{qw/ Operator_Account RemarkInfo List_Account /}],
        ['cid', 'so be it', ['cid']], 'the inviter is told';

    my ($event) = $hook->wait_requests('Group.CallbackAfterNewMemberJoin', 1,
                                       $gid);
    is_deeply [@{ $event->{body} }{qw/ JoinType Operator_Account
                                       NewMemberList /}],
        ['Invited', 'bob', list('cid')], 'the app is told';

    answer(cid => $gid, $cid, 'Agree')->code_is(10024, 'handled already');

    answer(dan => $gid, $dan, 'Reject')->code_is(0);
    is notice(bob => $gid, 14)->{Operator_Account}, 'dan', 'refused';
    is role($gid, 'dan'), 'NotMember', 'he is not in';
    answer(dan => $gid, $dan, 'Agree')->code_is(10024);

    is_deeply results(invite(bob => $gid, 'dan')), [3], 'once more';
    answer(dan => $gid, $dan, 'Agree')->code_is(10024, 'the old one');
    my $again = notice(dan => $gid, 12);
    rest('add_group_member', GroupId => $gid, MemberList => list('dan'))
        ->code_is(0)->json_is('/MemberList/0/Result', 1, 'by REST at once');
    answer(dan => $gid, $again, 'Agree')->code_is(0, 'a member already');
    answer(dan => $gid, $again, 'Agree')->code_is(10024);

    invite(eve => $gid, 'eve')->code_is(10007, 'who is no member');
};

subtest 'approval' => sub {
    my $gid = $im->group(owner => 'ann', InviteJoinOption => 'NeedPermission',
                         members => [qw/ bob cid /]);

    rest('modify_group_member_info', GroupId => $gid, Role => 'Admin',
         Member_Account => 'bob')->code_is(0);

    is_deeply results(invite(cid => $gid, qw/ dan eve /)->code_is(0)),
        [3, 3], 'waits';

    my @ann = map { notice(ann => $gid, 22) } 1, 2;
    my ($dan) = grep { $_->{List_Account}[0] eq 'dan' } @ann;
    my ($eve) = grep { $_->{List_Account}[0] eq 'eve' } @ann;
    is $dan->{Operator_Account}, 'cid', 'who invites';
    notice(bob => $gid, 22);

    permit(cid => $gid, $dan, 'Agree')->code_is(10007, 'not by members');
    permit(bob => $gid, $dan, 'Yes')->code_is(10004);
    permit(bob => $gid, $dan, 'Agree', Authentication => 'x')
        ->code_is(10004);
    answer(dan => $gid, $dan, 'Agree')
        ->code_is(10024, 'it is not for the invited to decide');

    permit(bob => $gid, $dan, 'Agree')->code_is(0);
    is role($gid, 'dan'), 'Member', 'he is in';
    is join_tip(ann => $gid)->{Operator_Account}, 'cid', 'by his inviter';
    is notice(cid => $gid, 13)->{Operator_Account}, 'bob', 'approved';
    permit(ann => $gid, $dan, 'Agree')->code_is(10024);

    permit(ann => $gid, $eve, 'Reject')->code_is(0);
    is notice(cid => $gid, 14)->{Operator_Account}, 'ann', 'refused';
    is role($gid, 'eve'), 'NotMember', 'she is not in';

    is_deeply results(invite(bob => $gid, 'eve')), [1], 'admins need none';
};

subtest 'approval, then consent' => sub {
    my $gid = $im->group(Type => 'Ask', owner => 'ann', members => ['bob'],
                         InviteJoinOption => 'NeedPermission');

    is_deeply results(invite(bob => $gid, 'cid')), [3], 'waits';
    my $ask = notice(ann => $gid, 22);
    permit(ann => $gid, $ask, 'Agree')->code_is(0);
    is role($gid, 'cid'), 'NotMember', 'not yet';
    my $cid = notice(cid => $gid, 12);
    is $cid->{Operator_Account}, 'bob', 'who invites';
    permit(ann => $gid, $ask, 'Agree')->code_is(10004, 'it is not hers now');
    answer(cid => $gid, $cid, 'Agree')->code_is(0);
    is role($gid, 'cid'), 'Member', 'he is in';
};

subtest 'a full group' => sub {
    my $gid = $im->group(Type => 'Ask', owner => 'ann', MaxMemberCount => 2);

    is_deeply results(invite(ann => $gid, qw/ bob cid /)), [3, 3], 'asked';
    my ($bob, $cid) = map { notice($_ => $gid, 12) } qw/ bob cid /;

    answer(bob => $gid, $bob, 'Agree')->code_is(0);
    is scalar($hook->wait_requests('Group.CallbackAfterGroupFull', 1)), 1,
        'the app is told';
    $hook->clear;
    answer(cid => $gid, $cid, 'Agree')->code_is(10014);
    is scalar($hook->wait_requests('Group.CallbackAfterGroupFull', 1)), 1,
        'and again';
    invite(ann => $gid, 'dan')->code_is(10014, 'nobody is asked');

    rest('delete_group_member', GroupId => $gid,
         MemberToDel_Account => ['bob'])->code_is(0);
    answer(cid => $gid, $cid, 'Agree')->code_is(0, 'later');
};

subtest 'pending lists' => sub {
    my $gid = $im->group(Type => 'Ask', owner => 'ann', members => ['bob']);
    my $open = $im->group(owner => 'ann', InviteJoinOption => 'NeedPermission',
                          members => ['cid']);
    my $pend = sub { my ($user, $gid) = @_;
        my $reply = as($user, 'get_pendency', StartTime => 0, Limit => 100,
                       Handle_Account => $user)->code_is(0);
        return (grep { $_->{GroupId} eq $gid }
                @{ $reply->json('/PendencyList') })[0];
    };

    invite(ann => $gid, 'eve')->code_is(0);
    my $notice = notice(eve => $gid, 12);
    my $row = $pend->(eve => $gid);

    is_deeply [@$row{qw/ From_Account To_Account PendencyType Handled
                         Authentication MsgTimeStamp /}],
        ['ann', 'eve', 2, 0, @$notice{qw/ Authentication MsgKey /}],
        'the invited sees it';
    is $pend->($_ => $gid), undef, "$_ does not" for qw/ ann bob /;

    my $reply = as('eve', 'get_pendency', StartTime => 0, Limit => 1);
    cmp_ok $reply->json('/UnreadCount'), '>', 0, 'UnreadCount';
    as('eve', 'report_pendency', ReportTime => time + 1)->code_is(0);
    $reply = as('eve', 'get_pendency', StartTime => 0, Limit => 1);
    is $reply->json('/UnreadCount'), 0, 'read';
    as('eve', 'report_pendency')->code_is(10004);

    answer(eve => $gid, $notice, 'Reject')->code_is(0);
    is $pend->(eve => $gid)->{Handled}, 2, 'handled by herself';

    invite(cid => $open, 'dan')->code_is(0);
    $row = $pend->(ann => $open);
    is_deeply [@$row{qw/ From_Account To_Account PendencyType /}],
        ['cid', 'dan', 2], 'what the owner decides';
    is $pend->(dan => $open), undef, 'and the invited does not';

    rest('destroy_group', GroupId => $open)->code_is(0);
    is $pend->(ann => $open), undef, 'gone with the group';
};

$im->finish;
done_testing;

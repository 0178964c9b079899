#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Custom fields of groups and members: who declares, writes and reads them.

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
group_type Club base=Public;
group_type Show base=AVChatRoom;
group_field open read=any write=member;
group_field topic read=member write=admin;
group_field staff read=admin write=owner;
group_field boss read=app write=app;
group_field none read=nobody write=nobody;
group_field local types=Public,Meeting write=owner;
group_field local types=Club write=app;
member_field own;
member_field rank read=member write=admin self=read;
member_field note read=admin write=owner self=none;
member_field work types=Work write=owner;
callback @{[ $hook->url ]} Group.CallbackAfterGroupInfoChanged
         Group.CallbackAfterCreateGroup;
END

$im->users(qw/ ann bob cid dan /);

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

my %client = map { $_ => $im->ws_login($_) } qw/ ann bob cid dan /;

sub as {
    my ($user, $name, %body) = @_;
    return $client{$user}->request("$svc.$name", \%body);
}

sub pairs {
    my @list;
    push @list, { Key => shift, Value => "" . shift } while @_;
    return [@list];
}

sub hash { return { map { $_->{Key} => $_->{Value} } @{ $_[0] // [] } } }

# what somebody sees of a group
sub seen {
    my ($user, $gid, @filter) = @_;

    my %body = (GroupIdList => [$gid], @filter);
    my $reply = $user ? as($user, 'get_group_self_member_info', %body)
                      : rest('get_group_info', %body);

    return hash($reply->json('/GroupInfo/0/AppDefinedData'));
}

sub field { my ($gid, %set) = @_;
    return rest('modify_group_base_info', GroupId => $gid,
                AppDefinedData => pairs(%set)) }

subtest 'of a group at its creation' => sub {
    $hook->clear;

    my @data = (open => 'o', topic => 't', staff => 's', boss => 'b');
    my $gid = $im->group(owner => 'ann', members => ['bob'],
                         AppDefinedData => pairs(@data));

    is_deeply seen('', $gid), { @data }, 'an administrator sees all';
    is_deeply seen('ann', $gid), { open => 'o', topic => 't', staff => 's' },
        'the owner';
    is_deeply seen('bob', $gid), { open => 'o', topic => 't' }, 'a member';
    is_deeply seen('cid', $gid), { open => 'o' }, 'somebody else';
    is_deeply hash(as('bob', 'get_group_public_info', GroupIdList => [$gid])
                   ->json('/GroupInfo/0/AppDefinedData')), { open => 'o' },
        'what is public';

    is_deeply $hook->wait_requests('Group.CallbackAfterCreateGroup', 1)
              && ($hook->requests('Group.CallbackAfterCreateGroup'))[0]
                 {body}{UserDefinedDataList}, pairs(@data), 'told';

    my %new = (Type => 'Public', Name => 'x');

    for (['undeclared', x => 1], ['empty', '' => 1], ['long', 'k' x 17, 1],
         ['other letters', 'o-p', 1], ['twice', topic => 1, topic => 2],
         ['value', topic => 'x' x 513])
    {
        my ($name, @pairs) = @$_;
        rest('create_group', %new, AppDefinedData => pairs(@pairs))
            ->code_is(10004, $name);
    }

    rest('create_group', %new, AppDefinedData => [{ Key => 'topic',
        Value => 1 }])->code_is(10004, 'a number');
    rest('create_group', %new, AppDefinedData => ['topic'])->code_is(10004);
    rest('create_group', %new, AppDefinedData => {})->code_is(10004);
    rest('create_group', %new, AppDefinedData => pairs(none => 1))
        ->code_is(10007, 'nobody writes it');
    rest('create_group', %new, AppDefinedData => pairs(topic => 'x' x 512))
        ->code_is(0, 'longest value');

    as('ann', 'create_group', %new, AppDefinedData => pairs(staff => 1))
        ->code_is(0, 'by the owner');
    as('ann', 'create_group', %new, AppDefinedData => pairs(boss => 1))
        ->code_is(10007, 'not the app');

    my $old = rest('import_group', %new, AppDefinedData => pairs(boss => 'i'))
              ->code_is(0)->json('/GroupId');
    is_deeply seen('', $old), { boss => 'i' }, 'imported';
};

subtest 'of a group later' => sub {
    my $gid = $im->group(owner => 'ann', members => [qw/ bob cid /]);
    my $set = sub { my ($user, %set) = @_;
        as($user, 'modify_group_base_info', GroupId => $gid,
           AppDefinedData => pairs(%set)) };

    rest('modify_group_member_info', GroupId => $gid, Role => 'Admin',
         Member_Account => 'bob')->code_is(0);

    $set->(ann => staff => 1, topic => 2)->code_is(0);
    $set->(bob => topic => 3)->code_is(0);
    $set->(bob => staff => 3)->code_is(10007);
    $set->(cid => topic => 3)->code_is(10007);
    $set->(cid => open => 4)->code_is(0);
    $set->(dan => open => 4)->code_is(10007);
    $set->(ann => boss => 1)->code_is(10007);
    $set->(ann => nokey => 1)->code_is(10004);
    as('cid', 'modify_group_base_info', GroupId => $gid, Name => 'mine',
       AppDefinedData => pairs(open => 5))->code_is(10007, 'with the name');
    as('cid', 'modify_group_base_info', GroupId => $gid)
        ->code_is(10007, 'without anything');

    is_deeply seen('ann', $gid), { staff => 1, topic => 3, open => 4 }, 'set';

    my $bytes = join '', map { chr } 0 .. 31;
    field($gid, topic => "$bytes\x{e9}\x{1f600}")->code_is(0);
    is seen('cid', $gid)->{topic}, "$bytes\x{e9}\x{1f600}", 'any bytes';

    my $info = $im->group_info($gid)->{InfoSeq};
    field($gid, topic => "$bytes\x{e9}\x{1f600}")->code_is(0);
    is $im->group_info($gid)->{InfoSeq}, $info, 'no change';
    field($gid, open => '', boss => '')->code_is(0, 'deleted');
    is $im->group_info($gid)->{InfoSeq}, $info + 1, 'InfoSeq';
    ok !exists seen('', $gid)->{open}, 'it is gone';

    is_deeply seen('ann', $gid, ResponseFilter => {
        AppDefinedDataFilter_Group => [qw/ staff boss nokey /] }),
        { staff => 1 }, 'AppDefinedDataFilter_Group';
    ok !exists rest('get_group_info', GroupIdList => [$gid],
        ResponseFilter => { GroupBaseInfoFilter => ['Name'] })
        ->json('/GroupInfo/0')->{AppDefinedData}, 'none was asked for';
};

subtest 'tips and callbacks' => sub {
    my $gid = $im->group(owner => 'ann', members => ['bob']);
    my $tip = sub { $client{bob}->next_event(sub {
        ($_[0]{GroupTips}[0]{ToGroupId} // '') eq $gid
        && ($_[0]{GroupTips}[0]{MsgBody}{OpType} // 0) == 6
    })->{GroupTips}[0]{MsgBody}{MsgGroupNewInfo} };

    $hook->clear;
    field($gid, topic => 'new', boss => 'secret')->code_is(0);
    is_deeply $tip->(), { MsgAppDefinedData => pairs(topic => 'new') },
        'what members may read';
    my ($told) = $hook->wait_requests('Group.CallbackAfterGroupInfoChanged',
                                      1, $gid);
    is_deeply hash($told->{body}{UserDefinedDataList}),
        { topic => "new", boss => "secret" }, 'the app is told all';
    ok !exists $told->{body}{Name}, 'only what has changed';

    field($gid, boss => 'other')->code_is(0);
    rest('modify_group_base_info', GroupId => $gid, Name => 'n',
         AppDefinedData => pairs(topic => ''))->code_is(0);
    is_deeply $tip->(), { GroupName => 'n',
                          MsgAppDefinedData => pairs(topic => '') },
        'no tip about what is not for members';
};

subtest 'by type' => sub {
    my $new = sub { my ($type, %set) = @_;
        as('ann', 'create_group', Type => $type, Name => 'x',
           AppDefinedData => pairs(%set)) };

    $new->(Public => local => 1)->code_is(0);
    $new->(ChatRoom => local => 1)->code_is(0, 'under its other name');
    $new->(Club => local => 1)->code_is(10007, 'other rights');
    $new->(Private => local => 1)->code_is(10004);
    my $live = $new->(Show => open => 1)->code_is(0)->json('/GroupId');
    is_deeply seen('ann', $live), { open => 1 }, 'live rooms have them, too';
    rest('create_group', Type => 'BChatRoom', Name => 'all',
         AppDefinedData => pairs(open => 1))->code_is(0);
};

sub members {
    my ($user, $gid, @filter) = @_;

    my %body = (GroupId => $gid, @filter);
    my $reply = $user ? as($user, 'get_group_member_info', %body)
                      : rest('get_group_member_info', %body);

    return { map { $_->{Member_Account} => hash($_->{AppMemberDefinedData}) }
             @{ $reply->code_is(0)->json('/MemberList') } };
}

subtest 'of members' => sub {
    my $gid = rest('create_group', Type => 'Public', Name => 'x',
        Owner_Account => 'ann', MemberList => [
            { Member_Account => 'ann',
              AppMemberDefinedData => pairs(own => 'a') },
            { Member_Account => 'bob', Role => 'Admin',
              AppMemberDefinedData => pairs(rank => 1, note => 'n') },
            { Member_Account => 'cid' } ])->code_is(0)->json('/GroupId');

    my $set = sub { my ($by, $user, %set) = @_;
        my %body = (GroupId => $gid, Member_Account => $user,
                    AppMemberDefinedData => pairs(%set));
        $by ? as($by, 'modify_group_member_info', %body)
            : rest('modify_group_member_info', %body) };

    is_deeply members('', $gid), { ann => { own => 'a' }, cid => {},
        bob => { rank => 1, note => 'n' } }, 'given at the creation';

    $set->(cid => cid => own => 'c')->code_is(0, 'by himself');
    $set->(cid => cid => rank => 9)->code_is(10007);
    $set->(cid => bob => own => 'c')->code_is(10007);
    $set->(bob => cid => rank => 2)->code_is(0, 'by an admin');
    $set->(bob => cid => note => 2)->code_is(10007);
    $set->(bob => ann => rank => 2)->code_is(10007, 'he is above');
    $set->(ann => bob => note => 'x')->code_is(0);
    $set->('' => ann => note => 'y')->code_is(0);
    $set->('' => ann => nokey => 1)->code_is(10004);
    $set->('' => ann => work => 1)->code_is(10004, 'of another type');
    $set->('' => ann => own => 'x' x 65)->code_is(10004);
    $set->('' => ann => own => 'x' x 64)->code_is(0);
    $set->('' => ann => own => '')->code_is(0, 'deleted');
    $set->('' => dan => own => 1)->code_is(10007);

    is_deeply members('', $gid), { ann => { note => 'y' },
        bob => { rank => 1, note => 'x' }, cid => { own => 'c', rank => 2 } },
        'an administrator sees all';
    is_deeply members('bob', $gid)->{ann}, { note => 'y' }, 'so does an admin';
    is_deeply members('cid', $gid), { ann => {}, bob => { rank => 1 },
        cid => { own => 'c', rank => 2 } }, 'a member';
    is_deeply members('cid', $gid, MemberInfoFilter => ['Role'],
        AppDefinedDataFilter_GroupMember => [qw/ own note /])->{cid},
        { own => 'c' }, 'the filter';

    ok !exists rest('get_group_member_info', GroupId => $gid,
        MemberInfoFilter => ['Role'])->json('/MemberList/0')
        ->{AppMemberDefinedData}, 'none was asked for';
    is_deeply as('cid', 'get_specified_group_member_info', GroupId => $gid,
        Member_List_Account => ['bob'], MemberInfoFilter => ['Role'],
        AppDefinedDataFilter_GroupMember => ['rank'])
        ->json('/MemberList/0/AppMemberDefinedData'), pairs(rank => 1),
        'get_specified_group_member_info';
    is_deeply hash(as('cid', 'get_group_self_member_info',
        GroupIdList => [$gid], ResponseFilter => {
            GroupBaseInfoFilter => ['Name'],
            AppDefinedDataFilter_GroupMember => [qw/ own rank /] })
        ->json('/GroupInfo/0/SelfInfo/AppMemberDefinedData')),
        { own => 'c', rank => 2 }, 'SelfInfo';
    is_deeply rest('get_group_info', GroupIdList => [$gid],
        ResponseFilter => { MemberInfoFilter => ['Role'],
            AppDefinedDataFilter_GroupMember => ['note'] })
        ->json('/GroupInfo/0/MemberList/0/AppMemberDefinedData'),
        pairs(note => 'y'), 'get_group_info';

    rest('delete_group_member', GroupId => $gid,
         MemberToDel_Account => ['cid'])->code_is(0);
    rest('add_group_member', GroupId => $gid,
         MemberList => [{ Member_Account => 'cid' }])->code_is(0);
    is_deeply members('', $gid)->{cid}, {}, 'who comes back begins anew';

    my %new = (Type => 'Public', Name => 'x');
    my $of = sub { [{ Member_Account => shift,
                      AppMemberDefinedData => pairs(@_) }] };

    as('ann', 'create_group', %new, MemberList => $of->(bob => rank => 1))
        ->code_is(0);
    as('ann', 'create_group', %new, Type => 'Work',
       MemberList => $of->(bob => work => 1))->code_is(0);
    rest('create_group', %new, MemberList => $of->(bob => nokey => 1))
        ->code_is(10004);
};

subtest "the creator's own field" => sub {
    my $app = Test::IM->new->run(
        app => 'rate 0; member_field a write=app self=none;');

    $app->users(qw/ ann bob /);
    my $ann = $app->ws_login('ann');
    my $new = sub { $ann->request("$svc.create_group", { Type => 'Public',
        Name => 'x', MemberList => [{ Member_Account => $_[0],
            AppMemberDefinedData => pairs(a => 1) }] }) };

    $new->('ann')->code_is(10008);
    $new->('bob')->code_is(10007);
    $app->finish;
};

$im->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# recentcontact: groups of conversations.

use strict;
use warnings;
use feature 'signatures';
no warnings 'experimental::signatures';

use lib 't/lib';

use Test::More;
use Test::IM;

my $im = Test::IM->new->run(app => 'web_instances 2;');

$im->users(qw/ ann bob cid /);

my $ann = $im->ws_login('ann');
my $other = $im->ws_login('ann');

sub contact ($peer) { return { Type => 1, To_Account => $peer } }

sub pushed ($type, $name) {
    my $e = $other->next_event('RecentContactMod');
    is $e->{Event}, 11, 'the other instance hears of it';
    is $e->{RecentContactMod}[0]{PushType}, $type, "as PushType $type";
    $ann->no_event('RecentContactMod', 0.05, 'the acting one does not');
    return $e->{RecentContactMod}[0]{$name};
}

sub create (@items) {
    return $ann->request('recentcontact.create_contact_group',
                         { GroupContactItem => \@items });
}

sub update (%group) {
    return $ann->request('recentcontact.update_contact_group',
                         { UpdateType => 1, UpdateGroup => \%group });
}

sub groups {
    return $ann->request('recentcontact.get_contact_group',
                         { StartTime => 0, StartIndex => 0 })->code_is(0)
               ->json_is('/CompleteFlag', 1);
}

my $bob = { Type => 1, UserId => 'bob' };
my $cid = { Type => 1, UserId => 'cid' };
my ($one, $two);


subtest 'create' => sub {
    groups()->json_is('/GroupItem', [])->json_is('/ContactItem', [])
            ->json_is('/NextStartIndex', 0);

    my $r = create({ GroupName => 'one', ContactItem => [contact('bob')] },
                   { GroupName => 'two', ContactItem => [
                     contact('bob'), contact('cid'), contact('nobody') ] })
        ->code_is(0);

    $one = $r->json('/GroupResultItem/0/GroupItem/GroupId');
    $two = $r->json('/GroupResultItem/1/GroupItem/GroupId');

    ok $one && $two && $one != $two, 'numbers';
    $r->json_is('/GroupResultItem/0/GroupItem/GroupName', 'one')
      ->json_is('/GroupResultItem/0/ResultItem', [
          { ContactItem => contact('bob'), ResultCode => 0,
            ResultInfo => '' }])
      ->json_is('/GroupResultItem/1/ResultItem/2/ResultCode', 50001);

    is_deeply pushed(5, 'RecentContactCreateContactGroup'),
              { MsgContactGroupContactItem => [
                  { MsgGroupItem => { GroupId => $one, GroupName => 'one' },
                    MsgRecentContactItem => [$bob] }] }, 'what was made';
    is_deeply pushed(5, 'RecentContactCreateContactGroup')
                  ->{MsgContactGroupContactItem}[0]{MsgRecentContactItem},
              [$bob, $cid], 'and the other one';

    $r = groups();
    $r->json_is('/GroupItem', [{ GroupId => $one, GroupName => 'one' },
                               { GroupId => $two, GroupName => 'two' }]);
    is_deeply [map { [$_->{To_Account}, $_->{ContactGroupId}] }
               @{ $r->json('/ContactItem') }],
              [['bob', [$one, $two]], ['cid', [$two]]], 'who is in them';
};

subtest 'create one that exists' => sub {
    my $r = create({ GroupName => 'one', ContactItem => [contact('cid')] })
        ->code_is(0)
        ->json_is('/GroupResultItem/0/GroupItem/GroupId', $one);
    pushed(5, '');
};

subtest 'later SDK: search_contact_group' => sub {
    $ann->request('recentcontact.search_contact_group',
                  { ContactItem => [contact('cid'), contact('nobody')] })
        ->code_is(0)
        ->json_is('/GroupItem', [{ GroupId => $one, GroupName => 'one' },
                                 { GroupId => $two, GroupName => 'two' }])
        ->json_is('/ContactItem', [
            { %{ contact('cid') }, StandardMark => '0', CustomMark => '',
              ContactGroupId => [$two, $one] },
            { %{ contact('nobody') }, StandardMark => '0', CustomMark => '',
              ContactGroupId => [] }]);
    $ann->request('recentcontact.search_contact_group', {})->code_is(50002);
};

subtest 'rename' => sub {
    update(UpdateGroupType => 1, OldGroupName => 'one',
           NewGroupName => 'uno')
        ->code_is(0)->json_is('/UpdateGroupResult', { GroupId => $one });

    is_deeply pushed(7, 'RecentContactUpdateContactGroup'),
              { UpdateType => 1, MsgUpdateGroup => {
                  UpdateGroupType => 1, GroupId => $one, GroupName => 'uno',
                  OldGroupName => 'one' } }, 'names';

    groups()->json_is('/GroupItem/1', { GroupId => $one,
                                        GroupName => 'uno' });

    update(UpdateGroupType => 1, OldGroupName => 'one',
           NewGroupName => 'x')->code_is(50002, 'no such group');
    update(UpdateGroupType => 1, OldGroupName => 'uno',
           NewGroupName => 'two')->code_is(50002, 'the name is taken');
    update(UpdateGroupType => 1, OldGroupName => 'uno')->code_is(50002);
    update(UpdateGroupType => 1, OldGroupName => 'uno',
           NewGroupName => 'uno')->code_is(0, 'the same name');
};

subtest 'members' => sub {
    my $r = update(UpdateGroupType => 2, OldGroupName => 'two',
                   ContactUpdateItem => [
        { ContactOptType => 2, ContactItem => contact('bob') },
        { ContactOptType => 1, ContactItem => contact('cid') },
        { ContactOptType => 1, ContactItem => contact('nobody') }])
        ->code_is(0)->json_is('/UpdateGroupResult/GroupId', $two);

    is_deeply [map { [$_->{ContactItem}{To_Account}, $_->{ContactOptType},
                      $_->{ResultCode}] }
               @{ $r->json('/UpdateGroupResult/ContactResultItem') }],
              [['bob', 2, 0], ['cid', 1, 0], ['nobody', 1, 50001]],
              'results';

    is_deeply pushed(7, 'RecentContactUpdateContactGroup'),
              { UpdateType => 1, MsgUpdateGroup => {
                  UpdateGroupType => 2, GroupId => $two, GroupName => 'two',
                  OldGroupName => 'two', RecentContactUpdateGroupItem => [
                    { ContactOptType => 2, RecentContactItem => $bob },
                    { ContactOptType => 1, RecentContactItem => $cid }
                  ] } }, 'who';

    is_deeply [map { [$_->{To_Account}, $_->{ContactGroupId}] }
               @{ groups()->json('/ContactItem') }],
              [['bob', [$one]], ['cid', [$one, $two]]], 'who is in them';

    update(UpdateGroupType => 2, OldGroupName => 'two')->code_is(50002);
    update(UpdateGroupType => 2, OldGroupName => 'none',
           ContactUpdateItem => [{ ContactOptType => 1,
                                   ContactItem => contact('cid') }])
        ->code_is(50002);
    update(UpdateGroupType => 2, OldGroupName => 'two',
           ContactUpdateItem => [{ ContactOptType => 3,
                                   ContactItem => contact('cid') }])
        ->code_is(50002);
};

subtest 'delete' => sub {
    my $r = $ann->request('recentcontact.del_contact_group',
                          { GroupName => ['uno', 'none', 'uno'] })
        ->code_is(0)->json_is('/GroupItem', [{ GroupId => $one,
                                               GroupName => 'uno' }]);
    is_deeply pushed(6, 'RecentContactDelContactGroup'),
              { MsgGroupItem => [{ GroupId => $one, GroupName => 'uno' }] },
              'which';

    groups()->json_is('/GroupItem', [{ GroupId => $two,
                                       GroupName => 'two' }]);

    $r = create({ GroupName => 'uno' })->code_is(0);
    ok $r->json('/GroupResultItem/0/GroupItem/GroupId') > $two,
       'a number is never used again';
    pushed(5, '');

    $ann->request('recentcontact.del_contact_group', { GroupName => [] })
        ->code_is(50002);
    $ann->request('recentcontact.del_contact_group', {})->code_is(50002);
};

subtest 'limits' => sub {
    create()->code_is(50002, 'no group');
    create({ GroupName => '' })->code_is(50002);
    create({ GroupName => 'x' x 33 })->code_is(50002, '33 bytes');
    create({ GroupName => 'x' x 32 })->code_is(0, '32 bytes');
    create({ ContactItem => [] })->code_is(50002);
    create({ GroupName => 'y',
             ContactItem => [map { contact("u$_") } 1 .. 101] })
        ->code_is(50002, '101 conversations');

    create({ GroupName => "n$_" })->code_is(0) for 1 .. 17;
    create({ GroupName => 'n18' })->code_is(50002, 'the 21st group');
    create({ GroupName => 'n17' })->code_is(0, 'one that exists');
};

done_testing;

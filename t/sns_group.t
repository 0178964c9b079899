#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Friend groups.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Sns;
use Test::More;

my $im = Test::IM->new->run(workers => 2,
                            app => 'rate 0; friend_groups_max 4;');

sns_server($im);

sub groups {
    my ($user, %o) = @_;
    return sns('group_get', $user, NeedFriend => 'Need_Friend_Type_Yes', %o)
           ->code_is(0)->json('/ResultItem');
}

sub update {
    my ($old, %o) = @_;
    return sns('group_update', 'ann', GroupOldName => $old, %o);
}

sub move {
    my ($old, $type, @to) = @_;
    return update($old, UpdateGroupItem => [
        map { { To_Account => $_, UpdateType => "Update_Type_$type" } } @to]);
}

$im->users(qw/ ann bob cat dan /);
add('ann', [qw/ bob cat /]);
my $ann = $im->ws_login('ann');


subtest 'making' => sub {
    my $r = sns('group_add', 'ann', GroupName => ['work'],
                To_Account => [qw/ bob dan nobody bob /]);
    is_deeply codes($r), [0, 32216, 30003], 'results';
    $r->json_is('/Fail_Account', [qw/ dan nobody /])
      ->json_is('/ResultItem/1/ResultInfo',
                'Err_SNS_GroupAdd_ToTinyId_Not_Friend')
      ->json_is('/CurrentSequence', 2);

    is_deeply mod($ann, 8)->{FriendUpInfo}, [{ Friend_Account => 'bob',
        Sns => [{ Tag => 'Tag_SNS_IM_Group', Value => ['work'] }] }], 'told';
    is_deeply groups('ann'), [{ GroupName => 'work', FriendNumber => 1,
                                To_Account => ['bob'] }], 'the group';

    sns('group_add', 'ann', GroupName => ['work'])->code_is(30001, 'taken');
    sns('group_add', 'ann', GroupName => ['new', 'work'])->code_is(30001);
    is @{ groups('ann') }, 1, 'all or none';
    sns('group_add', 'ann', GroupName => [$_])->code_is(30001)
        for '', 'x' x 31, "a\0b", 5;
    sns('group_add', 'ann', GroupName => [])->code_is(30001);
    sns('group_add', 'ann', GroupName => [map { "g$_" } 1 .. 33])
        ->code_is(30001);
    sns('group_add', 'nobody', GroupName => ['x'])->code_is(30003);
    sns('group_add', 'ann', GroupName => ['x' x 30, 'b', 'c'])->code_is(0);
    sns('group_add', 'ann', GroupName => ['d'])->code_is(30011, 'full');
    is_deeply codes(add('ann', 'dan', GroupName => 'd')), [30011],
              'adding a friend into a new one';
    is_deeply [map { $_->{GroupName} } @{ groups('ann') }],
              ['work', 'x' x 30, 'b', 'c'], 'in the order of making';
};

subtest 'reading' => sub {
    is_deeply groups('ann', GroupName => ['b', 'none'],
                     NeedFriend => 'Need_Friend_Type_No'),
              [{ GroupName => 'b', FriendNumber => 0 }], 'chosen ones';
    sns('group_get', 'ann', NeedFriend => 'x')->code_is(30001);
    is_deeply groups('bob'), [], 'nobody else has them';
};

subtest 'moving friends' => sub {
    my $r = move('work', 'Add', qw/ cat bob dan nobody /);
    is_deeply codes($r), [0, 32519, 32518, 30003], 'adding';
    $r->json_is('/ResultItem/0/UpdateType', 'Update_Type_Add');
    is_deeply codes(move('work', 'Delete', qw/ bob bob dan /)), [0, 32518],
              'removing';
    is_deeply codes(move('work', 'Delete', 'bob')), [32520], 'not in it';
    is_deeply groups('ann')->[0]{To_Account}, ['cat'], 'as it is now';

    move('none', 'Add', 'bob')->code_is(32507);
    move('work', 'Move', 'bob')->code_is(32505);
    update('work')->code_is(32522);
    update('work', UpdateGroupItem => [])->code_is(32522);
    sns('group_update', 'ann', GroupNewName => 'x')->code_is(30001);
};

subtest 'renaming' => sub {
    mod($ann, 8) for 1 .. 3;                 # of the subtests before
    update('work', GroupNewName => 'play')->code_is(0);
    is_deeply mod($ann, 8)->{FriendUpInfo}[0], { Friend_Account => 'cat',
        Sns => [{ Tag => 'Tag_SNS_IM_Group', Value => ['play'] }] }, 'told';
    is_deeply groups('ann')->[0], { GroupName => 'play', FriendNumber => 1,
        To_Account => ['cat'] }, 'the members remain';
    is_deeply friends('ann')->{cat}{Tag_SNS_IM_Group}, ['play'], 'new name';

    update('work', GroupNewName => 'y')->code_is(32507);
    update('play', GroupNewName => 'b')->code_is(32506);
    update('play', GroupNewName => $_)->code_is(32503) for '', 'x' x 31;
};

subtest 'through friend_update' => sub {
    my $set = sub {
        my ($to, $value) = @_;
        return sns('friend_update', 'ann', UpdateItem => [{
            To_Account => $to, SnsItem => [{ Tag => 'Tag_SNS_IM_Group',
                                             Value => $value }] }]);
    };

    is_deeply codes($set->('bob', ['b', 'c'])), [0], 'two';
    is_deeply [sort @{ friends('ann')->{bob}{Tag_SNS_IM_Group} }],
              ['b', 'c'], 'both';
    is_deeply codes($set->('bob', 'play')), [0], 'one text';
    is_deeply friends('ann')->{bob}{Tag_SNS_IM_Group}, ['play'], 'replaced';
    is_deeply codes($set->('bob', [])), [0], 'none';
    ok !friends('ann')->{bob}{Tag_SNS_IM_Group}, 'in no group';
    is_deeply codes($set->('bob', ['fifth'])), [30011], 'no room for a new';
    is_deeply codes($set->('bob', [''])), [30001], 'empty name';
    is_deeply codes($set->('dan', ['b'])), [30001], 'not a friend';
};

subtest 'deleting' => sub {
    my $seq = sns('group_get', 'ann')->json('/CurrentSequence');

    sns('group_delete', 'ann', GroupName => ['none'])->code_is(30001);
    sns('group_delete', 'ann', GroupName => ['b', 'none'])->code_is(30001);
    sns('group_delete', 'ann', GroupName => [])->code_is(30001);
    sns('group_delete', 'ann', GroupName => ['play', 'b'])->code_is(0)
        ->json_is('/CurrentSequence', $seq + 2);
    ok !friends('ann')->{cat}{Tag_SNS_IM_Group}, 'the friend is in none';
    is relation('ann', 'cat'), 'BothWay', 'but a friend';

    sns('group_add', 'ann', GroupName => ['play'])->code_is(0);
    is_deeply groups('ann', GroupName => ['play'])->[0]{To_Account}, [],
              'a new one of that name is empty';
};

subtest 'many friends at once' => sub {
    my @many = map { "many$_" } 101 .. 220;

    $im->users('eve', @many);
    is_deeply codes(sns('friend_import', 'eve', AddFriendItem => [map { {
        To_Account => $_, AddSource => 'AddSource_Type_a' } }
        @many[$_ * 40 .. $_ * 40 + 39]])), [(0) x 40], 'friends' for 0 .. 2;

    my $ws = $im->ws_login('eve');
    my $r = sns('group_add', 'eve', GroupName => [qw/ x y /],
                To_Account => ['ann', @many]);

    is_deeply codes($r), [32216, (0) x 120], 'results';
    $r->json_is('/CurrentSequence', 122);
    is_deeply groups('eve'), [map { { GroupName => $_, FriendNumber => 120,
        To_Account => \@many } } qw/ x y /], 'in both';
    is_deeply [map { $_->{Friend_Account} }
               map { @{ mod($ws, 8)->{FriendUpInfo} } } 1 .. 2], \@many,
        'all are told';

    sns('group_add', 'eve', GroupName => [qw/ z x /], To_Account => [$many[0]])
        ->code_is(30001);
    is_deeply friends('eve')->{$many[0]}{Tag_SNS_IM_Group}, [qw/ x y /],
        'nothing of one that is refused';
};

done_testing;

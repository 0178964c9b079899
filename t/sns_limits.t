#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Limits of relations, both sides of each, as they are without directives (but
# for 1000 friends), and lists that are full.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Sns;
use Test::More;

my $im = Test::IM->new->run(workers => 2,
    app => 'rate 0; web_instances 4; friends_max 1000; friend_field Note;');

sns_server($im);

my @many = map { "m$_" } 1 .. 1001;
$im->users(qw/ ann bob /, @many);

my %source = (AddSource => 'AddSource_Type_a');

# how many of each code
sub count {
    my ($reply) = @_;
    my %n;
    $n{$_}++ for @{ codes($reply) };
    return \%n;
}

subtest 'friends' => sub {
    is_deeply count(add('ann', [@many[0 .. 998]])), { 0 => 999 }, '999 of them';
    is_deeply codes(add('ann', [@many[999, 1000]])), [0, 30010],
        'the 1000th, and one more';
    is_deeply codes(add('bob', 'ann')), [30014], 'nor by another one';
    is_deeply codes(add('bob', 'ann', AddType => 'Add_Type_Single')), [0],
        'but one way';
    is_deeply codes(sns('friend_import', 'ann', AddFriendItem => [
        map { { To_Account => $_, %source, Remark => 'r' } }
        $many[0], $many[1000] ])), [0, 30010], 'a row that is there';

    sns('friend_delete', 'ann', To_Account => [$many[5]])->code_is(0);
    is_deeply codes(add('ann', $many[1000])), [0], 'in the place of another';
};

subtest 'one round trip' => sub {
    my $ws = $im->ws_login('ann');
    my $reply = $ws->request('sns.friend_get', { StartIndex => 0 })
        ->code_is(0)->json_is('/FriendNum', 1000)
        ->json_is('/CompleteFlag', 1)->json_is('/NextStartIndex', 0);
    my %friends = map { $_->{To_Account} => 1 }
                  @{ $reply->json('/UserDataItem') };
    is scalar keys %friends, 1000, 'all friends are in one frame';

    $reply = sns('friend_get_all', 'ann', StartIndex => 0, GetCount => 1000)
        ->code_is(0);
    is scalar @{ $reply->json('/InfoItem') }, 1000, 'or in one answer';
};

subtest 'blacklist' => sub {
    is_deeply count(sns('black_list_add', 'bob',
        To_Account => [@many[0 .. 998]])), { 0 => 999 }, '999 of them';
    is_deeply codes(sns('black_list_add', 'bob',
        To_Account => [@many[999, 1000]])), [0, 30013],
        'the 1000th, and one more';
    my $reply = sns('black_list_get', 'bob', StartIndex => 0,
                    MaxLimited => 1000)->code_is(0)
                    ->json_is('/StartIndex', 0);
    is scalar @{ $reply->json('/BlackListItem') }, 1000, 'in one answer';
    is_deeply count(sns('black_list_delete', 'bob', To_Account =>
        [@many[0 .. 999]])), { 0 => 1000 }, 'none again';
};

subtest 'requests' => sub {
    allow('bob', 'NeedConfirm');
    is codes(add($_, 'bob'))->[0], 30539 for @many[0 .. 99];
    is_deeply codes(add($many[100], 'bob')), [30012], 'one more';
    is_deeply codes(add($many[0], 'bob')), [30539], 'one that waits';
    is scalar @{ sns('pendency_get', 'bob', MaxLimited => 1000,
        PendencyType => 'Pendency_Type_Both')->json('/PendencyItem') }, 100,
        'all in one answer';

    allow($_, 'NeedConfirm') for @many[200 .. 300];
    is_deeply count(add('bob', [@many[200 .. 300]])),
        { 30539 => 100, 30012 => 1 }, 'of one command';
};

subtest 'friend groups' => sub {
    sns('group_add', 'ann', GroupName => [map { "g$_" } 1 .. 31])
        ->code_is(0);
    sns('group_add', 'ann', GroupName => [qw/ g32 g33 /])->code_is(30011);
    sns('group_add', 'ann', GroupName => ['g32'])->code_is(0);
    sns('group_add', 'ann', GroupName => ['g33'])->code_is(30011);

    my $groups = sub {
        return codes(sns('friend_update', 'ann', UpdateItem => [{
            To_Account => $many[0], SnsItem => [{
                Tag => 'Tag_SNS_IM_Group', Value => $_[0] }] }]));
    };

    is_deeply $groups->([map { "g$_" } 1 .. 32]), [0], 'in all of them';
    is_deeply $groups->([map { "g$_" } 1 .. 33]), [30011], 'one more';
    is_deeply $groups->(['g33']), [30011], 'another one';
    is_deeply $groups->(['x' x 31]), [30001], 'a name of 31 bytes';
    sns('group_delete', 'ann', GroupName => ['g32'])->code_is(0);
    is_deeply $groups->(['x' x 30]), [0], 'of 30';
};

subtest 'texts' => sub {
    my $n = 400;

    for (['Remark', 96], ['AddWording', 256]) {
        my ($name, $max) = @$_;
        is_deeply codes(add('bob', $many[$n++], $name => 'x' x $max)), [0],
            "$name: $max";
        is_deeply codes(add('bob', $many[$n++], $name => 'x' x ($max + 1))),
            [30001], 'a byte more';
    }

    is_deeply codes(add('bob', $many[$n++],
                        AddSource => "AddSource_Type_$_->[0]")),
        [$_->[1]], "AddSource: $_->[0]"
        for ['a', 0], ['abcdefgh', 0], ['abcdefghi', 30001], ['', 30001],
            ['a1', 30001];

    for (['IM_Remark', 96], ['Custom_Note', 500]) {
        my ($tag, $max) = @$_;

        for my $len ($max, $max + 1) {
            is_deeply codes(sns('friend_update', 'bob', UpdateItem => [{
                To_Account => $many[400], SnsItem => [{
                    Tag => "Tag_SNS_$tag", Value => 'x' x $len }] }])),
                [$len > $max ? 30001 : 0], "$tag: $len";
        }
    }
};

done_testing;

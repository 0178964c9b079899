#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Profiles: every field with its limits, who may read and write, who hears of
# a change, and the search by nickname.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Sns;
use Test::More;

my $app = <<'END';
rate 0;
profile_field Team read=user,admin write=user,admin;
profile_field Level type=int;
profile_field Secret read=admin write=admin;
profile_field Mine read=user write=user;
END

my $im = Test::IM->new->run(workers => 2, app => $app);

sns_server($im);
$im->users(qw/ ann bob cat /);

sub set {
    my ($user, @tags) = @_;
    my %o = ref $tags[-1] eq 'HASH' ? %{ pop @tags } : ();
    my @list;
    push @list, { Tag => shift @tags, Value => shift @tags } while @tags;
    return $im->rest('profile/portrait_set',
                     { From_Account => $user, ProfileItem => \@list }, %o);
}

sub get {
    my ($to, $tags, %o) = @_;
    return $im->rest('profile/portrait_get',
        { To_Account => ref $to ? $to : [$to], TagList => $tags }, %o);
}

sub value {
    my ($user, $tag) = @_;
    return get($user, [$tag])->json('/UserProfileItem/0/ProfileItem/0/Value');
}


subtest 'standard fields' => sub {
    for (['Nick', 'n' x 500, 0], ['Nick', 'n' x 501, 40601],
         ['Nick', 5, 40610], ['Gender', 'Gender_Type_Male', 0],
         ['Gender', 'Male', 40605], ['Gender', '', 0],
         ['BirthDay', 0, 0], ['BirthDay', 4294967295, 0],
         ['BirthDay', 4294967296, 40605], ['BirthDay', -1, 40605],
         ['BirthDay', 1.5, 40605], ['BirthDay', '5', 40610],
         ['Location', 'l' x 16, 0], ['Location', 'l' x 17, 40605],
         ['SelfSignature', 's' x 500, 0], ['SelfSignature', 's' x 501, 40601],
         ['AllowType', 'AllowType_Type_NeedConfirm', 0],
         ['AllowType', 'NeedConfirm', 40605], ['AllowType', '', 0],
         ['Language', 7, 0], ['Image', 'i' x 500, 0],
         ['Image', 'i' x 501, 40601], ['MsgSettings', 1, 0],
         ['AdminForbidType', 'AdminForbid_Type_SendOut', 0],
         ['AdminForbidType', 'x', 40605], ['Level', 1, 0], ['Role', 2, 0],
         ['Nick', "a\0b", 40605], ['None', 'x', 40009])
    {
        my ($name, $value, $code) = @$_;

        set('ann', "Tag_Profile_IM_$name" => $value)
            ->code_is($code, "$name " . substr($value, 0, 20) . ": $code");
        is value('ann', "Tag_Profile_IM_$name"), $value, "$name is set"
            if !$code && $value ne '';
    }

    is value('ann', 'Tag_Profile_IM_Gender'), 'Gender_Type_Unknown',
       'cleared: the default';
    set('ann', Tag_Profile_IM_Nick => '')->code_is(0);
    is_deeply get('ann', ['Tag_Profile_IM_Nick'])
        ->json('/UserProfileItem/0/ProfileItem'), [], 'cleared: left out';

    set('ann', Tag_Profile_IM_Nick => 'no', Tag_Profile_IM_Level => 'x')
        ->code_is(40610);
    is value('ann', 'Tag_Profile_IM_Nick'), undef, 'all or nothing';

    set('nobody', Tag_Profile_IM_Nick => 'x')->code_is(40003);
    $im->rest('profile/portrait_set', { From_Account => 'ann' })
        ->code_is(40001);
    $im->rest('profile/portrait_set', { ProfileItem => [{}] })
        ->code_is(40001);
    set('ann')->code_is(40001);
    set('ann', Tag_Profile_IM_Nick => 'x', { user => 'bob' })
        ->code_is(40004);
    set('ann', Tag_Profile_IM_Nick => 'x', { user => 'ann' })->code_is(0);
    set('ann', Tag_Profile_IM_AdminForbidType => 'AdminForbid_Type_None',
        { user => 'ann' })->code_is(40008);
};

subtest 'custom fields' => sub {
    set('ann', Tag_Profile_Custom_Team => 'red',
        Tag_Profile_Custom_1400000001_Level => 3)->code_is(0);
    is value('ann', 'Tag_Profile_Custom_Team'), 'red', 'a string';
    is value('ann', 'Tag_Profile_Custom_Level'), 3, 'a number';
    is get('ann', ['Tag_Profile_Custom_1400000001_Team'])
        ->json('/UserProfileItem/0/ProfileItem/0/Tag'),
       'Tag_Profile_Custom_1400000001_Team', 'the name that was asked';

    for (['Team', 5, 40610], ['Level', 'x', 40610], ['Level', -1, 40605],
         ['Team', 'x' x 500, 0], ['Team', 'x' x 501, 40601],
         ['None', 'x', 40009], ['Mine', 'x', 40008], ['Team', '', 0])
    {
        set('ann', "Tag_Profile_Custom_$_->[0]" => $_->[1])
            ->code_is($_->[2], "$_->[0]: $_->[2]");
    }

    is value('ann', 'Tag_Profile_Custom_Team'), undef, 'cleared';
    set('ann', Tag_Profile_Custom_Secret => 's')->code_is(0);
    is value('ann', 'Tag_Profile_Custom_Secret'), 's', 'administrators';
    get('ann', ['Tag_Profile_Custom_Secret'], user => 'ann')->code_is(40007);
    get('ann', ['Tag_Profile_Custom_Mine'])->code_is(40007);
    get('ann', ['Tag_Profile_Custom_None'])->code_is(40009);
    set('ann', Tag_Profile_Custom_Secret => 'x', { user => 'ann' })
        ->code_is(40008);

    my $ws = $im->ws_login('ann');
    my $r = $ws->request('profile.portrait_get_all', { UserItem => [
        { To_Account => 'ann' }, { To_Account => 'nobody' }] })->code_is(0);
    my %all = map { $_->{Tag} => $_->{Value} }
              @{ $r->json('/UserProfileItem/0/ProfileItem') };
    is_deeply [@all{qw/ Tag_Profile_Custom_Level Tag_Profile_Custom_Secret
                        Tag_Profile_IM_AllowType /}],
              [3, undef, 'AllowType_Type_AllowAny'], 'all readable fields';
    $r->json_is('/UserProfileItem/1/To_Account', '@TLS#NOT_FOUND');
};

subtest 'reading' => sub {
    get(['ann', 'nobody', 'ann'], ['Tag_Profile_IM_Nick'])->code_is(0)
        ->json_is('/UserProfileItem/1', { To_Account => 'nobody',
            ResultCode => 40003,
            ResultInfo => 'Err_Profile_Invalid_Account' })
        ->json_is('/Fail_Account', ['nobody'])
        ->json_hasnt('/UserProfileItem/2');
    is_deeply [map { $_->{Tag} } @{ get('ann', [qw/ Tag_Profile_IM_Role
        Tag_Profile_IM_Nick /])->json('/UserProfileItem/0/ProfileItem') }],
        [qw/ Tag_Profile_IM_Role Tag_Profile_IM_Nick /], 'order of Tags';
    get([map { "u$_" } 1 .. 101], ['Tag_Profile_IM_Nick'])->code_is(40001);
    $im->rest('profile/portrait_get', { TagList => ['x'] })->code_is(40002);
    get([], ['Tag_Profile_IM_Nick'])->code_is(40002);

    $im->rest('profile/portrait_get', { From_Account => $_->[0],
        To_Account => ['ann'], TagList => ['Tag_Profile_IM_Nick'] },
        user => $_->[1])->code_is($_->[2], 'who asks')
        for ['ann', 'ann', 0], ['bob', 'ann', 40004], ['', 'ann', 0],
            ['bob', $im->admin, 0], [5, 'ann', 40001];
    $im->rest('profile/portrait_get', { To_Account => ['ann'] })
        ->code_is(40001);
};

subtest 'who hears of a change' => sub {
    add('bob', 'ann', AddType => 'Add_Type_Single');

    my ($ann, $bob, $cat) = map { $im->ws_login($_) } qw/ ann bob cat /;

    set('ann', Tag_Profile_IM_Nick => 'Ann 2', Tag_Profile_IM_Level => 9,
        Tag_Profile_Custom_Team => 'blue',
        Tag_Profile_Custom_Secret => 'hidden')->code_is(0);

    for my $ws ($ann, $bob) {
        my $event = $ws->next_event('ProfileDataMod');
        is_deeply $event->{ProfileDataMod}, [{ PushType => 1,
            Profile_Account => 'ann', ProfileList => [
            { Tag => 'Tag_Profile_IM_Nick', ValueBytes => 'Ann 2' },
            { Tag => 'Tag_Profile_IM_Level', ValueNum => 9 },
            { Tag => 'Tag_Profile_Custom_Team', ValueBytes => 'blue' }] }],
            'himself, and who has him as a friend';
    }

    $cat->no_event('ProfileDataMod', 0.3, 'nobody else');

    set('ann', Tag_Profile_IM_Nick => 'Ann 2');
    set('ann', Tag_Profile_Custom_Secret => 'other');
    $bob->no_event('ProfileDataMod', 0.3, 'nothing new');

    $ann->request('profile.portrait_set', { ProfileItem => [
        { Tag => 'Tag_Profile_IM_Nick', Value => 'Ann 3' }] })->code_is(0);
    ok $bob->next_event('ProfileDataMod'), 'set by himself';
    $ann->no_event('ProfileDataMod', 0.3, 'not the acting connection');
};

subtest 'search' => sub {
    my @names = ('Zoe', 'zora', 'ZO', 'Zack', "Z\x{f6}ra", 'zo' x 40);
    $im->users(map { "z$_" } 0 .. $#names);
    set("z$_", Tag_Profile_IM_Nick => $names[$_])->code_is(0)
        for 0 .. $#names;

    my $search = sub {
        my ($keyword, %o) = @_;
        my $r = $im->rest('profile/portrait_search',
                          { Keyword => $keyword, %o })->code_is(0);
        return [map { $_->{To_Account} }
                @{ $r->json('/UserProfileItem') }];
    };

    is_deeply $search->('zo'), [qw/ z2 z0 z1 z5 /], 'by their nicknames';
    is_deeply $search->("Z\x{f6}"), ['z4'], 'not only ASCII';
    is_deeply $search->('zo' x 32), ['z5'], 'a long one';
    is_deeply $search->('x'), [], 'nobody';

    my ($next, @all) = ('');
    for (1 .. 5) {
        my $r = $im->rest('profile/portrait_search',
            { Keyword => 'z', Limit => 2, Next => $next })->code_is(0);
        push @all, map { $_->{To_Account} }
                   @{ $r->json('/UserProfileItem') };
        $next = $r->json('/Next') or last;
    }
    is_deeply \@all, [qw/ z3 z2 z0 z1 z5 z4 /], 'in pages';

    set('z0', Tag_Profile_IM_Nick => 'Other');
    is_deeply $search->('zoe'), [], 'the old name is forgotten';

    $im->rest('profile/portrait_search', $_)->code_is(40001)
        for {}, { Keyword => '' }, { Keyword => 'x' x 65 },
            { Keyword => 'x', Limit => 0 }, { Keyword => 'x', Limit => 101 },
            { Keyword => 'x', Next => 'zz' },
            { Keyword => 'x', Next => '61' };
    $im->rest('profile/portrait_search', { Keyword => 'z' }, user => 'ann')
        ->code_is(40004);

    $im->reload(app => "$app nick_search on; allow_type confirm;");
    $im->rest('profile/portrait_search', { Keyword => 'z' }, user => 'ann')
        ->code_is(0);
    is value('z0', 'Tag_Profile_IM_AllowType'), 'AllowType_Type_NeedConfirm',
       'the default of the app';
    is_deeply codes(add('bob', 'z0')), [30539], 'and its effect';
};

done_testing;

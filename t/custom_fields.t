#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Custom fields of profiles and friends that are declared while the server
# runs: at once on all workers, and kept.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Sns;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0; web_instances 4;
    profile_field Team write=admin; friend_field Since type=int;');

sns_server($im);
$im->users(qw/ ann bob /);

# by turns on both workers
sub set_team {
    my ($tag, $value, %o) = @_;

    return $im->rest('profile/portrait_set', { From_Account => 'ann',
        ProfileItem => [{ Tag => "Tag_Profile_Custom_$tag",
                          Value => $value }] }, %o);
}

sub get {
    my ($tag, %o) = @_;

    return $im->rest('profile/portrait_get', { To_Account => ['ann'],
        TagList => ["Tag_Profile_Custom_$tag"] }, %o);
}

sub declare {
    my ($service, @fields) = @_;

    my $prefix = $service eq 'sns' ? 'Tag_SNS_Custom_'
                                   : 'Tag_Profile_Custom_';

    return $im->rest("$service/custom_field_set", { FieldList => [
        map { my %f = %$_; $f{Tag} = "$prefix$f{Tag}" if exists $f{Tag};
              \%f } @fields] });
}

my $team = { Tag => 'Tag_Profile_Custom_Team', Type => 'String',
             Read => [qw/ User Admin /], Write => ['Admin'] };

subtest 'a new field' => sub {
    is_deeply $im->rest('profile/custom_field_get')->code_is(0)
                 ->json('/FieldList'), [$team], 'those of the configuration';

    set_team(Age => 3)->code_is(40009) for 1 .. 4;
    declare(profile => { Tag => 'Age', Type => 'Integer' },
            { Tag => 'Note', Write => ['User'], Read => ['User'] })
        ->code_is(0);

    for (1 .. 8) {
        set_team(Age => $_)->code_is(0);
        is get('Age')->json('/UserProfileItem/0/ProfileItem/0/Value'), $_,
            'written and read' or last;
    }

    set_team(Age => 'old')->code_is(40610);
    set_team(Note => 'x')->code_is(40008);
    get('Note')->code_is(40007);
    set_team(Note => 'x', user => 'ann')->code_is(0);
    is get('Note', user => 'bob')
        ->json('/UserProfileItem/0/ProfileItem/0/Value'), 'x', 'of a user';

    is_deeply $im->rest('profile/custom_field_get')->json('/FieldList'),
        [$team, { Tag => 'Tag_Profile_Custom_Age', Type => 'Integer',
                  Read => [qw/ User Admin /], Write => [qw/ User Admin /] },
         { Tag => 'Tag_Profile_Custom_Note', Type => 'String',
           Read => ['User'], Write => ['User'] }], 'all of them';
};

subtest 'rights change at once' => sub {
    for (1 .. 4) {
        declare(profile => { Tag => 'Age', Write => ['Admin'] })->code_is(0);
        set_team(Age => $_, user => 'ann')->code_is(40008) for 1 .. 3;
        declare(profile => { Tag => 'Age', Type => 'Integer',
                             Write => ['User', 'Admin'] })->code_is(0);
        set_team(Age => 50 + $_, user => 'ann')->code_is(0) for 1 .. 3;
    }

    set_team(Team => 'red', user => 'ann')->code_is(40008);
    declare(profile => { Tag => 'Team', Write => ['User'] })->code_is(0);
    set_team(Team => 'red', user => 'ann')->code_is(0);
};

subtest 'friends' => sub {
    is_deeply codes(add('ann', 'bob')), [0], 'friends';

    my $update = sub {
        return codes(sns('friend_update', 'ann', UpdateItem => [{
            To_Account => 'bob', SnsItem => [{
                Tag => "Tag_SNS_Custom_$_[0]", Value => $_[1] }] }]));
    };

    is_deeply $update->(Mood => 'fine'), [30001], 'not declared';
    declare(sns => { Tag => 'Mood' })->code_is(0);
    is_deeply $update->(Mood => 'fine'), [0], 'declared' for 1 .. 4;
    is_deeply $update->(Since => 2019), [0], 'of the configuration';
    is friends('ann')->{bob}{Tag_SNS_Custom_Mood}, 'fine', 'read';
    is_deeply [map { "$_->{Tag} $_->{Type}" } @{
        $im->rest('sns/custom_field_get')->json('/FieldList') }],
        ['Tag_SNS_Custom_Since Integer', 'Tag_SNS_Custom_Mood String'],
        'the list';
    declare(sns => { Tag => 'Mood', Read => ['Admin'] })->code_is(0);

    my $ann = $im->rest('sns/friend_get_list', { From_Account => 'ann',
        To_Account => ['bob'], TagList => ['Tag_SNS_Custom_Mood'] },
        user => 'ann')->code_is(30001);
};

subtest 'a notice has the field' => sub {
    my $ws = $im->ws_login('bob');

    sns('friend_add', 'bob', AddFriendItem => [{ To_Account => 'ann',
        AddSource => 'AddSource_Type_a' }]);
    set_team(Age => 77)->code_is(0);

    my $event = $ws->next_event('ProfileDataMod');
    is_deeply $event->{ProfileDataMod}[0]{ProfileList},
        [{ Tag => 'Tag_Profile_Custom_Age', ValueNum => 77 }], 'to friends';
};

subtest 'what is refused' => sub {
    for my $service (qw/ profile sns /) {
        my $bad = $service eq 'sns' ? 30001 : 40001;
        my $name = $service eq 'sns' ? 'Mood' : 'Note';

        declare($service, $_)->code_is($bad)
            for {}, { Tag => '' }, { Tag => 'nine_lett' }, { Tag => 'a1' },
                { Tag => 'toolongna' }, { Tag => 'Odd', Type => 'Float' },
                { Tag => 'Odd', Type => 5 }, { Tag => 'Odd', Read => [] },
                { Tag => 'Odd', Write => 'User' },
                { Tag => 'Odd', Write => ['Guest'] },
                { Tag => $name, Type => 'Integer' };

        $im->rest("$service/custom_field_set", $_)->code_is($bad)
            for {}, { FieldList => [] }, { FieldList => {} },
                { FieldList => [{ Tag => 'Tag_Odd_Custom_Odd' }] };

        declare($service, { Tag => 'Good' }, { Tag => '1' })->code_is($bad);
        ok !grep({ $_->{Tag} =~ /Good|Odd/ } @{
            $im->rest("$service/custom_field_get")->json('/FieldList') }),
            'all or nothing';

        my $n = @{ $im->rest("$service/custom_field_get")
                      ->json('/FieldList') };
        my @new = map { { Tag => 'N' . chr(64 + $_) } } 1 .. 20 - $n;
        declare($service, @new, { Tag => 'More' })->code_is($bad)
            if @new < 20;
        declare($service, @new)->code_is(0);
        declare($service, { Tag => 'More' })->code_is($bad);
        declare($service, { Tag => 'NA', Read => ['Admin'] })->code_is(0);

        my $code = $service eq 'sns' ? 30004 : 40004;
        $im->rest("$service/$_", { FieldList => [{ Tag => 'x' }] },
                  user => 'ann')->code_is($code)
            for qw/ custom_field_set custom_field_get /;
    }
};

subtest 'kept' => sub {
    $im->stop;
    $im->start;

    set_team(Age => 5, user => 'ann')->code_is(0);
    is scalar @{ $im->rest('sns/custom_field_get')->json('/FieldList') }, 20,
        'after a restart';
};

done_testing;

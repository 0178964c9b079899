#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Lists of friends: pages, sequences, chosen fields; import, custom fields,
# and the limits of friends and requests.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Sns;
use Test::More;

my $app = 'rate 0; friend_field Team; friend_field Num type=int;'
          . ' friend_field Secret read=admin write=admin;'
          . ' profile_field City read=admin;';

my $im = Test::IM->new->run(workers => 2, app => $app);

sns_server($im);

sub import_friends {
    my ($user, @items) = @_;
    return sns('friend_import', $user, AddFriendItem => [
        map { { AddSource => 'AddSource_Type_old', %$_ } } @items]);
}

sub update {
    my ($from, $to, @tags) = @_;
    my @list;
    push @list, { Tag => shift @tags, Value => shift @tags } while @tags;
    return sns('friend_update', $from, UpdateItem => [
        { To_Account => $to, SnsItem => \@list }]);
}

sub get {
    my ($user, %o) = @_;
    return sns('friend_get', $user, StartIndex => 0, %o)->code_is(0);
}


subtest 'import' => sub {
    $im->users(qw/ ann bob cat /);
    my $bob = $im->ws_login('bob');

    is_deeply codes(import_friends('ann',
        { To_Account => 'bob', Remark => 'b', AddTime => 1000000000,
          RemarkTime => 1000000001, GroupName => ['x', 'y'],
          AddWording => 'w', CustomItem => [
              { Tag => 'Tag_SNS_Custom_Team', Value => 'red' },
              { Tag => 'Tag_SNS_Custom_Num', Value => 0 },
              { Tag => 'Tag_SNS_1400000001_Secret', Value => 's' }] },
        { To_Account => 'nobody' }, { To_Account => 'ann' },
        { To_Account => 'cat', AddSource => 'x' })),
        [0, 30003, 30001, 30001], 'results';

    is_deeply friends('ann')->{bob}, {
        Tag_SNS_IM_Remark => 'b', Tag_SNS_IM_Group => ['x', 'y'],
        Tag_SNS_IM_AddSource => 'AddSource_Type_old',
        Tag_SNS_IM_AddWording => 'w', Tag_SNS_IM_AddTime => 1000000000,
        Tag_SNS_Custom_Team => 'red', Tag_SNS_Custom_Num => 0,
        Tag_SNS_Custom_Secret => 's' }, 'the row';
    is relation('ann', 'bob'), 'AWithB', 'one way';
    $bob->no_event('FriendListMod');

    import_friends('ann', { To_Account => 'bob' })->code_is(0);
    is_deeply [sort keys %{ friends('ann')->{bob} }],
              [qw/ Tag_SNS_IM_AddSource Tag_SNS_IM_AddTime /], 'overwritten';

    for (['GroupName', [map { "g$_" } 1 .. 33], 30011],
         ['GroupName', [''], 30001], ['AddTime', -1, 30001],
         ['AddTime', 'x', 30001], ['CustomItem', [{ Tag => 'x' }], 30001],
         ['CustomItem', [{ Tag => 'Tag_SNS_Custom_Num', Value => 'x' }],
          30001],
         ['CustomItem', [{ Tag => 'Tag_SNS_Custom_Team',
                           Value => 'x' x 501 }], 30001])
    {
        is_deeply codes(import_friends('ann', { To_Account => 'cat',
                                                $_->[0] => $_->[1] })),
                  [$_->[2]], "$_->[0]: $_->[2]";
    }

    $im->rest('sns/friend_import', { From_Account => 'ann' }, user => 'ann')
        ->code_is(30004);
};

subtest 'update' => sub {
    my $ann = $im->ws_login('ann');
    my $other = get('ann');

    is_deeply codes(update('ann', 'bob', Tag_SNS_IM_Remark => 'r' x 96,
                           Tag_SNS_Custom_Team => 't' x 500)), [0], 'both';
    my $info = mod($ann, 8)->{FriendUpInfo};
    is $info->[0]{Friend_Account}, 'bob', 'told';
    is_deeply { map { $_->{Tag} => $_->{Value} } @{ $info->[0]{Sns} } },
              { Tag_SNS_IM_Remark => 'r' x 96,
                Tag_SNS_Custom_Team => 't' x 500 }, 'what has changed';

    is_deeply codes(update('ann', 'bob', Tag_SNS_IM_Remark => 'r' x 96)),
              [0], 'the same again';
    $ann->no_event('FriendListMod');

    for ([Tag_SNS_IM_Remark => 'r' x 97], [Tag_SNS_IM_Remark => 5],
         [Tag_SNS_Custom_Team => 't' x 501], [Tag_SNS_Custom_None => 'x'],
         [Tag_SNS_IM_AddTime => 5], [Tag_Profile_IM_Nick => 'x'],
         [Tag_SNS_Custom_Num => 'x'], [])
    {
        is_deeply codes(update('ann', 'bob', @$_)), [30001],
                  ($_->[0] // 'nothing');
    }

    is_deeply codes(update('ann', 'cat', Tag_SNS_IM_Remark => '')), [30001],
              'not a friend';
    is_deeply codes(update('ann', 'nobody', Tag_SNS_IM_Remark => '')),
              [30003], 'no account';
    sns('friend_update', 'ann')->code_is(30001);

    is_deeply codes($im->rest('sns/friend_update', { From_Account => 'ann',
        UpdateItem => [{ To_Account => 'bob', SnsItem => [
            { Tag => 'Tag_SNS_Custom_Secret', Value => 'x' }] }] },
        user => 'ann')), [30001], 'no right to write';
    update('ann', 'bob', Tag_SNS_Custom_Secret => 'x', Tag_SNS_IM_Remark =>
           '', Tag_SNS_Custom_Team => '', Tag_SNS_Custom_Num => 7);
    my $row = friends('ann')->{bob};
    is_deeply [@$row{qw/ Tag_SNS_Custom_Secret Tag_SNS_Custom_Num
                         Tag_SNS_Custom_Team Tag_SNS_IM_Remark /}],
              ['x', 7, undef, undef], 'cleared, and set by administrators';

    my $seen = $ann->request('sns.friend_get', { StartIndex => 0 });
    unlike $seen->text, qr/Secret/, 'the user does not see it';
};

subtest 'sequences' => sub {
    $im->users(qw/ s1 s2 /);
    get('s1')->json_is('/StandardSequence', 0)->json_is('/FriendNum', 0);

    add('s1', 's2');
    my $r = get('s1', StandardSequence => 0, CustomSequence => 0)
        ->json_is('/StandardSequence', 1)->json_is('/CustomSequence', 0)
        ->json_is('/FriendNum', 1)->json_is('/CompleteFlag', 1)
        ->json_is('/NextStartIndex', 0);
    is @{ $r->json('/UserDataItem') }, 1, 'a friend';

    get('s1', StandardSequence => 1, CustomSequence => 0)
        ->json_is('/UserDataItem', [])->json_is('/CompleteFlag', 1);

    update('s1', 's2', Tag_SNS_Custom_Team => 'x');
    $r = get('s1', StandardSequence => 1, CustomSequence => 0)
        ->json_is('/StandardSequence', 1)->json_is('/CustomSequence', 1);
    is_deeply $r->json('/UserDataItem/0/ValueItem'),
              [{ Tag => 'Tag_SNS_Custom_Team', Value => 'x' }],
              'custom fields only';

    update('s1', 's2', Tag_SNS_IM_Remark => 'x');
    $r = get('s1', StandardSequence => 1, CustomSequence => 1)
        ->json_is('/StandardSequence', 2)->json_is('/CustomSequence', 1);
    unlike $r->text, qr/Custom_Team/, 'standard fields only';
    sns('friend_get', 's1')->code_is(30001);
};

subtest 'many, in one answer and in pages' => sub {
    my @many = map { sprintf 'f%04d', $_ } 1 .. 1001;

    $im->rest('im_open_login_svc/multiaccount_import',
              { Accounts => [splice @{ [@many] }, $_ * 100, 100] })
        ->code_is(0) for 0 .. 10;
    $im->users('pop');
    my $time = 1500000000;
    is_deeply [grep { $_ } @{ codes(import_friends('pop',
        map { { To_Account => $_, AddTime => $time++,
                Remark => 'remark of this friend' } }
        @many[0 .. 999])) }], [], 'a thousand at once';

    my $pop = $im->ws_login('pop');
    my $r = $pop->request('sns.friend_get', { StartIndex => 0,
        StandardSequence => 0, CustomSequence => 0 })->code_is(0)
        ->json_is('/CompleteFlag', 1)->json_is('/FriendNum', 1000);
    is_deeply [map { $_->{To_Account} } @{ $r->json('/UserDataItem') }],
              [@many[0 .. 999]], 'in one round trip, by their time';

    import_friends('pop', { To_Account => $many[1000], AddTime => 1 });
    $r = get('pop')->json_is('/CompleteFlag', 0)
        ->json_is('/NextStartIndex', 1000);
    is $r->json('/UserDataItem/0/To_Account'), $many[1000], 'the oldest';
    get('pop', StartIndex => 1000, StandardSequence =>
        $r->json('/StandardSequence'))->json_is('/CompleteFlag', 1)
        ->json_is('/UserDataItem/0/To_Account', $many[999]);
    get('pop', StartIndex => 5000)->json_is('/UserDataItem', []);

    my (@all, $start);
    do {
        $r = sns('friend_get_all', 'pop', StartIndex => $start // 0,
                 GetCount => 300)->code_is(0)->json_is('/FriendNum', 1001);
        push @all, map { $_->{Info_Account} } @{ $r->json('/InfoItem') };
        $start = $r->json('/StartIndex');
    } while $start;

    is_deeply \@all, [@many[1000, 0 .. 999]], 'friend_get_all, in pages';
};

subtest 'friend_get_all' => sub {
    $im->rest('profile/portrait_set', { From_Account => 's2', ProfileItem =>
        [{ Tag => 'Tag_Profile_IM_Nick', Value => 'Nick' }] });

    my $r = sns('friend_get_all', 's1', TimeStamp => 0, StartIndex => 0,
                TagList => [qw/ Tag_Profile_IM_Nick Tag_SNS_IM_Remark
                                Tag_SNS_Custom_1400000001_Team /])
        ->code_is(0)->json_is('/NeedUpdateAll', 'GetAll_Type_YES')
        ->json_is('/StartIndex', 0);
    is_deeply $r->json('/InfoItem'), [{ Info_Account => 's2',
        SnsProfileItem => [
            { Tag => 'Tag_Profile_IM_Nick', Value => 'Nick' },
            { Tag => 'Tag_SNS_IM_Remark', Value => 'x' },
            { Tag => 'Tag_SNS_Custom_1400000001_Team', Value => 'x' }] }],
        'in the order of the Tags';

    my $seq = $r->json('/CurrentStandardSequence');
    my %same = (TimeStamp => $r->json('/TimeStampNow'), StartIndex => 0,
                LastStandardSequence => $seq);
    sns('friend_get_all', 's1', %same, TagList => ['Tag_SNS_IM_Remark'])
        ->json_is('/InfoItem', []);
    sns('friend_get_all', 's1', %same, TagList => ['Tag_Profile_IM_Nick'])
        ->json_has('/InfoItem/0');
    sns('friend_get_all', 's1', %same, LastStandardSequence => $seq - 1)
        ->json_has('/InfoItem/0');
    sns('friend_get_all', 's1', TagList => ['Tag_SNS_IM_None'])
        ->code_is(30001);
    sns('friend_get_all', 's1', TagList => [('Tag_SNS_IM_Remark') x 31])
        ->code_is(30001);
    sns('friend_get_all', 's1', GetCount => 1001)->code_is(30001);
    $im->rest('sns/friend_get_all', { From_Account => 's1', TagList =>
        ['Tag_Profile_Custom_City'] }, user => 's1')->code_is(30001);
};

subtest 'friend_get_list and friend_get_specified' => sub {
    my $r = sns('friend_get_list', 's1', To_Account => [qw/ s2 ann none /],
                TagList => ['Tag_SNS_IM_Remark', 'Tag_Profile_IM_Nick']);
    is_deeply codes($r, 'InfoItem'), [0, 30001, 30003], 'results';
    $r->json_is('/Fail_Account', [qw/ ann none /])
        ->json_is('/InfoItem/1/ResultInfo',
                  'Err_SNS_FriendGetList_Friend_Not_Exist')
        ->json_is('/InfoItem/0/SnsProfileItem', [
            { Tag => 'Tag_SNS_IM_Remark', Value => 'x' },
            { Tag => 'Tag_Profile_IM_Nick', Value => 'Nick' }]);
    like sns('friend_get_list', 's1', To_Account => ['s2'])->text,
         qr/AddSource.*IM_Nick/, 'without Tags: all and the nickname';
    sns('friend_get_list', 's1', To_Account => [map { "u$_" } 1 .. 101])
        ->code_is(30001);
    sns('friend_get_list', 's1')->code_is(30001);

    like sns('friend_get_specified', 's1', To_Account => ['s2'])->text,
         qr/AddSource.*IM_Gender/, 'specified: the whole profile, too';
};

subtest 'checks' => sub {
    my $check = sub {
        my ($type, @to) = @_;
        my $r = sns('friend_check', 'ann', To_Account => \@to,
                    CheckType => $type);
        return $r if $r->code;
        is_deeply $r->json('/CheckItem'), $r->json('/InfoItem'), 'both names';
        return [map { $_->{Relation} =~ s/CheckResult_Type_//r }
                @{ $r->json('/InfoItem') }];
    };

    import_friends('cat', { To_Account => 'ann' });
    is_deeply $check->('CheckResult_Type_Both', qw/ bob cat none /),
              [qw/ AWithB BWithA NoRelation /], 'both';
    is_deeply $check->("CheckResult_Type_$_", qw/ bob cat /),
              [qw/ AWithB NoRelation /], $_ for qw/ Single Singal /;
    $check->('x', 'bob')->code_is(30001);
    $check->('CheckResult_Type_Both')->code_is(30001);
};

subtest 'limits' => sub {
    $im->reload(app => $app . ' friends_max 2; pendency_max 2;'
                             . ' friend_rate 3;');

    $im->users(qw/ l1 l2 l3 l4 ask /);
    is_deeply codes(add('l1', [qw/ l2 l3 l4 /])), [0, 0, 30010], 'own';
    is_deeply codes(import_friends('l1', { To_Account => 'l4' })), [30010],
              'import';
    is_deeply codes(add('l4', 'l1')), [30014], 'of the other';
    is_deeply codes(add('l4', 'l1', AddType => 'Add_Type_Single')), [0],
              'one way needs no room there';

    allow('ask', 'NeedConfirm');
    is_deeply codes(add($_->[0], 'ask')), [$_->[1]], "request of $_->[0]"
        for ['l2', 30539], ['l3', 30539], ['l4', 30012], ['l3', 30539];

    add('ask', [qw/ cat bob /], AddType => 'Add_Type_Single');
    is_deeply codes(sns('friend_response', 'ask', ResponseFriendItem => [{
        To_Account => 'l2', ResponseAction => 'Response_Action_AgreeAndAdd'
        }])), [30010], 'own table is full at the answer';
    add('l2', 'cat', AddType => 'Add_Type_Single');
    is_deeply codes(sns('friend_response', 'ask', ResponseFriendItem => [{
        To_Account => 'l2', ResponseAction => 'Response_Action_Agree' }])),
        [30014], 'the table of the other';

    $im->users(map { "r$_" } 0 .. 8);
    my $r0 = $im->ws_login('r0');
    my $r = $r0->request('sns.friend_add', { AddFriendItem => [
        map { { To_Account => "r$_", AddSource => 'AddSource_Type_x' } }
        1 .. 5] });
    is_deeply codes($r), [0, 0, 30010, 30540, 30540], 'too many a second';
    $r = $r0->request('sns.friend_delete', { To_Account =>
        [map { "r$_" } 1 .. 5] });
    is_deeply codes($r), [0, 0, 31704, 31707, 31707], 'the same, deleting';
};

subtest 'numbers of 2018' => sub {
    $im->reload(app => $app . ' b_codes on; friends_max 2;');

    is_deeply codes(add('l1', 'l2')), [30520], 'friend already';
    is_deeply codes(add('l1', 'l4', AddSource => 'x')), [30501], 'source';
    is_deeply codes(add('l1', 'l4', Remark => 'x' x 97)), [30502], 'remark';
    is_deeply codes(add('l1', 'l4')), [30519], 'full';
    add('l1', 'l4', AddType => 'x')->code_is(30541);
    add('l1', [])->code_is(30503);
    is_deeply codes(update('l1', 'ask', Tag_SNS_IM_Remark => 'x')), [30712],
              'update';
    is_deeply codes(sns('black_list_delete', 'l1', To_Account => ['l2'])),
              [31503], 'not listed';
    sns('group_delete', 'l1', GroupName => ['x'])->code_is(32309);
    is_deeply codes(sns('friend_get_list', 'l1', To_Account => ['ask']),
                    'InfoItem'), [31211], 'not a friend';
    is_deeply codes(sns('friend_delete', 'l1', To_Account => ['ask'])),
              [31704], 'the same in both';
};

done_testing;

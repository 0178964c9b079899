#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Recommended accounts: filled by the app, read and passed over by the user.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Sns;
use Test::More;

my $im = Test::IM->new->run(workers => 2,
    app => 'rate 0; web_instances 4; recommend_max 5;');

sns_server($im);
$im->users(qw/ ann bob cid dan eve fay gil hal /);
$im->rest('profile/portrait_set', { From_Account => 'bob', ProfileItem => [
    { Tag => 'Tag_Profile_IM_Nick', Value => 'Bob' },
    { Tag => 'Tag_Profile_IM_Image', Value => 'https://example.org/b' } ] });

sub recommend {
    my ($user, @items) = @_;

    return sns('recommend_add', $user, RecommendItem => [
        map { ref $_ ? $_ : { To_Account => $_ } } @items]);
}

sub got { return sns('recommend_get', $_[0], @_[1 .. $#_])->code_is(0) }

sub names {
    return [map { $_->{To_Account} } @{ got(@_)->json('/RecommendItem') }];
}

subtest 'a list' => sub {
    is_deeply names('ann'), [], 'nobody at first';

    my @custom = (CustomItem => [
        { Tag => 'Recommend_Type_First', Value => 'from work' },
        { Tag => 'Recommend_Type_Third', Value => '3' }]);

    my $reply = recommend('ann', { To_Account => 'bob', @custom }, 'cid',
                          'nobody', 'ann');
    is_deeply [map { [@$_{qw/ To_Account ResultCode ResultInfo /}] }
               @{ $reply->code_is(0)->json('/ResultItem') }],
        [['bob', 0, ''], ['cid', 0, ''],
         ['nobody', 30003, 'Err_SNS_RecommendAdd_To_Account_Not_Exist'],
         ['ann', 30001, 'Err_SNS_RecommendAdd_Param_Illegal']], 'results';
    is_deeply $reply->json('/Fail_Account'), [qw/ nobody ann /],
        'Fail_Account';

    $reply = got('ann');
    my $item = $reply->json('/RecommendItem/0');
    cmp_ok abs(time - delete $item->{AddTime}), '<', 30, 'AddTime';
    is_deeply $item, { To_Account => 'bob', Nick => 'Bob',
        Image => 'https://example.org/b', @custom }, 'an entry';
    is $reply->json('/UnreadRecommendCount'), 2, 'both are new';
    is $reply->json('/CurrentSequence'), 2, 'a step for each';

    is_deeply names('ann', MaxLimited => 1, StartTime => 0), names('ann'),
        'a second is not divided';
    is_deeply names('ann', StartTime => time + 100), [], 'later ones';

    recommend('ann', 'bob')->code_is(0);
    is_deeply [map { $_->{CustomItem} } grep { $_->{To_Account} eq 'bob' }
               @{ got('ann')->json('/RecommendItem') }], [[]],
        'a second one replaces the first';
    is scalar @{ names('ann') }, 2, 'they are two still';
};

subtest 'read, passed over' => sub {
    sns('recommend_report', 'ann', LatestRecommendTimeStamp => time + 1)
        ->code_is(0);
    is got('ann')->json('/UnreadRecommendCount'), 0, 'read';

    is_deeply codes(sns('recommend_delete', 'ann',
        To_Account => [qw/ cid eve nobody /])), [0, 30001, 30003],
        'deleted, never there, no account';
    is_deeply names('ann'), ['bob'], 'one is left';

    my $ws = $im->ws_login('ann');
    my $reply = $ws->request('sns.recommend_get', {})->code_is(0);
    is $reply->json('/RecommendItem/0/To_Account'), 'bob', 'by a client';
    $im->rest('sns/recommend_delete', { From_Account => 'ann',
        To_Account => ['bob'] }, user => 'ann')->code_is(0);
    is_deeply names('ann'), [], 'by the user';
};

subtest 'the limit' => sub {
    is_deeply codes(recommend('ann', qw/ bob cid dan eve fay gil /)),
        [0, 0, 0, 0, 0, 30012], 'one too many';
    is_deeply codes(recommend('ann', 'bob')), [0], 'one that is there';
    sns('recommend_delete', 'ann', To_Account => ['cid'])->code_is(0);
    is_deeply codes(recommend('ann', qw/ gil hal /)), [0, 30012],
        'in the place of another';
};

subtest 'friends are not recommended' => sub {
    is_deeply codes(add('ann', 'bob')), [0], 'a friend now';
    ok !grep({ $_ eq 'bob' } @{ names('ann') }), 'no longer recommended';
    is_deeply codes(recommend('ann', 'bob')), [30001], 'nor again';

    is_deeply codes(recommend('dan', 'ann')), [0], 'the other way';
    is_deeply codes(add('ann', 'dan', AddType => 'Add_Type_Single')), [0],
        'one way';
    is_deeply names('dan'), ['ann'], 'dan has not got a friend';
    ok !grep({ $_ eq 'dan' } @{ names('ann') }), 'ann has';

    allow('eve', 'NeedConfirm');
    is_deeply codes(add('ann', 'eve')), [30539], 'asked';
    ok grep({ $_ eq 'eve' } @{ names('ann') }), 'still recommended';
    is_deeply codes(recommend('eve', 'ann')), [0], 'the other way';
    is_deeply codes(sns('friend_response', 'eve', ResponseFriendItem => [{
        To_Account => 'ann',
        ResponseAction => 'Response_Action_AgreeAndAdd' }])), [0], 'agreed';
    ok !grep({ $_ eq 'eve' } @{ names('ann') }), 'gone';
    is_deeply names('eve'), [], 'on both sides';

    is_deeply codes(sns('friend_import', 'ann', AddFriendItem => [{
        To_Account => 'fay', AddSource => 'AddSource_Type_a' }])), [0],
        'imported';
    ok !grep({ $_ eq 'fay' } @{ names('ann') }), 'gone';
};

subtest 'nor who is listed' => sub {
    recommend('gil', 'ann');
    sns('black_list_add', 'ann', To_Account => ['gil'])->code_is(0);
    ok !grep({ $_ eq 'gil' } @{ names('ann') }), 'gone';
    is_deeply names('gil'), [], 'on both sides';
    is_deeply codes(recommend('ann', 'gil')), [30515], 'listed';
    is_deeply codes(recommend('gil', 'ann')), [30525], 'by the other';
};

subtest 'accounts that go' => sub {
    recommend('hal', 'bob', 'cid');
    recommend('cid', 'hal');
    $im->rest('im_open_login_svc/account_delete', {
        DeleteItem => [{ UserID => 'hal' }] })->code_is(0);
    $im->wait_for(sub { !@{ names('cid') } });
    is_deeply names('cid'), [], 'hal is not recommended';
    $im->users('hal');
    ok $im->wait_for(sub { !@{ names('hal') } }), 'nothing is left of his';
};

subtest 'what is refused' => sub {
    my $bad = sub { recommend('bob', @_)->code_is(30001) };

    $bad->();
    $bad->(map { "u$_" } 1 .. 31);
    $bad->({});
    $bad->({ To_Account => 5 });
    $bad->({ To_Account => 'cid', CustomItem => $_ })
        for 'x', [{}], [{ Tag => 'Recommend_Type_Fourth', Value => 'x' }],
            [{ Tag => 'Recommend_Type_First', Value => '' }],
            [{ Tag => 'Recommend_Type_First', Value => 'x' x 513 }],
            [{ Tag => 'Recommend_Type_First', Value => 7 }],
            [map { { Tag => 'Recommend_Type_First', Value => 'x' } } 1, 2];
    is_deeply names('bob'), [], 'nothing was written';
    is_deeply codes(recommend('bob', { To_Account => 'cid', CustomItem => [
        map { { Tag => "Recommend_Type_$_", Value => 'x' x 512 } }
        qw/ First Second Third / ] })), [0], 'the most there can be';

    sns('recommend_delete', 'bob', To_Account => $_)->code_is(30001)
        for [], 'cid', [1];
    sns('recommend_get', 'bob', MaxLimited => $_)->code_is(30001)
        for 0, 1001;
    sns('recommend_report', 'bob')->code_is(30001);
    sns($_->[0], 'none', $_->[1] => [$_->[2]])->code_is(30003)
        for ['recommend_add', RecommendItem => { To_Account => 'bob' }],
            ['recommend_delete', To_Account => 'bob'];

    $im->rest('sns/recommend_add', { From_Account => 'bob',
        RecommendItem => [{ To_Account => 'dan' }] }, user => 'bob')
        ->code_is(30004);
    $im->rest("sns/recommend_$_", { From_Account => 'bob',
        To_Account => ['dan'], LatestRecommendTimeStamp => 1 },
        user => 'ann')->code_is(30004) for qw/ get delete report /;
};

done_testing;

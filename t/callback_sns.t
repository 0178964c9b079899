#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Callbacks of relations and profiles.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Receiver;
use Test::More;

my $app = Test::IM::Receiver->new->start;

my $im = Test::IM->new->run(workers => 2,
    app => 'rate 0; web_instances 4; callback ' . $app->url
           . ' all timeout=20s;');

$im->users(qw/ ann bob cid dan /);

# the body of the only request of a command so far
sub body {
    my ($command) = @_;

    my @list = $app->wait_requests($command, 1);
    is @list, 1, "$command once";

    my $body = $list[0]{body};
    like delete $body->{EventTime}, qr/^\d{13}$/, 'EventTime';
    is delete $body->{CallbackCommand}, $command, 'CallbackCommand';
    $body->{PairList} = [sort { $a->{From_Account} cmp $b->{From_Account} }
                         @{ $body->{PairList} }] if $body->{PairList};

    $app->clear;

    return $body;
}

# what the user's own request does
sub by {
    my ($user, $command, %body) = @_;

    my $svc = $command =~ /^portrait/ ? 'profile' : 'sns';

    return $im->rest("$svc/$command", { From_Account => $user, %body },
                     user => $user)->code_is(0);
}

# A later event of the same account tells that there was none before.
sub none {
    my ($user, $name) = @_;

    $im->rest('profile/portrait_set', { From_Account => $user,
        ProfileItem => [{ Tag => 'Tag_Profile_IM_Nick',
                          Value => 'nick ' . rand }] })->code_is(0);
    $app->wait_requests('Profile.CallbackPortraitSet', 1);

    is scalar(my @list = grep { $_->{query}{CallbackCommand} =~ /^Sns/ }
              $app->requests), 0, $name;

    $app->clear;
}

sub pair {
    my ($from, $to, $by) = @_;

    return { From_Account => $from, To_Account => $to,
             $by ? (Initiator_Account => $by) : () };
}

subtest 'friends by REST' => sub {
    $im->rest('sns/friend_add', { From_Account => 'ann', ForceAddFlags => 1,
        AddFriendItem => [{ To_Account => 'bob',
                            AddSource => 'AddSource_Type_XXX' }] })
        ->code_is(0);

    is_deeply body('Sns.CallbackFriendAdd'), {
        PairList => [pair('ann', 'bob', 'ann'), pair('bob', 'ann', 'ann')],
        ClientCmd => 'friend_add', Admin_Account => 'administrator',
        ForceFlag => 1 }, 'both directions';

    $im->rest('sns/friend_delete', { From_Account => 'ann',
        To_Account => ['bob'], DeleteType => 'Delete_Type_Both' })
        ->code_is(0);

    is_deeply body('Sns.CallbackFriendDelete'),
        { PairList => [pair('ann', 'bob'), pair('bob', 'ann')] }, 'deleted';

    $im->rest('sns/friend_import', { From_Account => 'ann',
        AddFriendItem => [{ To_Account => 'dan',
                            AddSource => 'AddSource_Type_XXX' }] })
        ->code_is(0);
    $im->rest('sns/friend_update', { From_Account => 'ann',
        UpdateItem => [{ To_Account => 'dan', SnsItem => [{
            Tag => 'Tag_SNS_IM_Remark', Value => 'd' }] }] })->code_is(0);
    $im->rest('sns/group_add', { From_Account => 'ann',
        GroupName => ['pals'], To_Account => ['dan'] })->code_is(0);
    $im->rest('sns/group_delete', { From_Account => 'ann',
        GroupName => ['pals'] })->code_is(0);
    $im->rest('sns/friend_delete_all', { From_Account => 'ann' })->code_is(0);

    none('ann', 'not for imports, updates, groups and delete_all');
};

subtest 'friends by a client' => sub {
    by('ann', 'friend_add', AddType => 'Add_Type_Single', AddFriendItem => [{
        To_Account => 'dan', AddSource => 'AddSource_Type_XXX' }]);

    is_deeply body('Sns.CallbackFriendAdd'), {
        PairList => [pair('ann', 'dan', 'ann')], ClientCmd => 'friend_add',
        Admin_Account => '', ForceFlag => 0 }, 'one direction';

    by('ann', 'friend_delete', To_Account => ['dan'],
       DeleteType => 'Delete_Type_Single');
    is_deeply body('Sns.CallbackFriendDelete'),
        { PairList => [pair('ann', 'dan')] }, 'deleted';

    by('ann', 'portrait_set', ProfileItem => [{
        Tag => 'Tag_Profile_IM_Nick', Value => 'Ann' }]);
    is_deeply body('Profile.CallbackPortraitSet'), {
        Operator_Account => 'ann', From_Account => 'ann', ProfileItem => [{
            Tag => 'Tag_Profile_IM_Nick', Value => 'Ann' }] }, 'profile';
};

subtest 'agreement' => sub {
    $im->rest('profile/portrait_set', { From_Account => 'bob',
        ProfileItem => [{ Tag => 'Tag_Profile_IM_AllowType',
                          Value => 'AllowType_Type_NeedConfirm' }] })
        ->code_is(0);

    is_deeply body('Profile.CallbackPortraitSet'), {
        Operator_Account => 'administrator', From_Account => 'bob',
        ProfileItem => [{ Tag => 'Tag_Profile_IM_AllowType',
                          Value => 'AllowType_Type_NeedConfirm' }] },
        'profile';

    $im->rest('sns/friend_add', { From_Account => 'ann',
        AddFriendItem => [{ To_Account => 'bob',
                            AddSource => 'AddSource_Type_XXX' }] });
    $im->rest('sns/friend_response', { From_Account => 'bob',
        ResponseFriendItem => [{ To_Account => 'ann',
            ResponseAction => 'Response_Action_AgreeAndAdd' }] })
        ->code_is(0);

    is_deeply body('Sns.CallbackFriendAdd'), {
        PairList => [pair('ann', 'bob', 'ann'), pair('bob', 'ann', 'ann')],
        ClientCmd => 'friend_response', Admin_Account => 'administrator',
        ForceFlag => 0 }, 'who asked is the initiator';
};

subtest 'block lists' => sub {
    $im->rest('sns/black_list_add', { From_Account => 'bob',
        To_Account => ['ann', 'cid'] })->code_is(0);

    my ($deleted) = $app->wait_requests('Sns.CallbackFriendDelete', 1);
    is scalar @{ $deleted->{body}{PairList} }, 2, 'the friendship ends';

    is_deeply body('Sns.CallbackBlackListAdd'),
        { PairList => [pair('bob', 'ann'), pair('bob', 'cid')] }, 'added';

    my $ann = $im->ws_login('ann');
    $ann->request('openim.sendmsg', { To_Account => 'bob', MsgSeq => 1,
        MsgRandom => 1, MsgBody => [{ MsgType => 'TIMTextElem',
            MsgContent => { Text => 'hello' } }] })->code_is(0);

    my ($sent) = $app->wait_requests('C2C.CallbackAfterSendMsg', 1);
    is $sent->{body}{SendMsgResult}, 20007, 'a message that is not delivered';
    is scalar(my @asked = $app->requests('C2C.CallbackBeforeSendMsg')), 0,
       'is not asked about';

    $im->rest('sns/black_list_delete', { From_Account => 'bob',
        To_Account => ['ann'] })->code_is(0);

    is_deeply body('Sns.CallbackBlackListDelete'),
        { PairList => [pair('bob', 'ann')] }, 'deleted';

    $im->rest('sns/black_list_delete', { From_Account => 'bob',
        To_Account => ['ann'] });
    $im->rest('sns/black_list_add', { From_Account => 'bob',
        To_Account => ['cid'] });
    none('bob', 'nothing has changed');
};

done_testing;

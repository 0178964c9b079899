#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# The app is asked about friend requests of clients, and about their answers.

use strict;
use warnings;

use lib 't/lib';

use Mojo::JSON qw/ encode_json /;
use Test::IM;
use Test::IM::Receiver;
use Test::IM::Sns;
use Test::More;
use Time::HiRes qw/ time /;

my $app = Test::IM::Receiver->new->start;

my $im = Test::IM->new->run(workers => 2,
    app => 'rate 0; web_instances 4; callback ' . $app->url
        . ' Sns.CallbackPrevFriendAdd Sns.CallbackPrevFriendResponse'
        . ' Sns.CallbackFriendAdd timeout=20s;');

sns_server($im);
$im->users(qw/ ann bob cid dan eve fay /);
allow('dan', 'DenyAny');
allow('eve', 'NeedConfirm');

my $add = 'Sns.CallbackPrevFriendAdd';
my $respond = 'Sns.CallbackPrevFriendResponse';

# the only request of the command so far
sub asked {
    my ($command) = @_;

    my @list = $app->wait_requests($command, 1);
    is @list, 1, "$command once";

    my $body = $list[0]{body};
    like delete $body->{EventTime}, qr/^\d{13}$/, 'EventTime';
    is delete $body->{CallbackCommand}, $command, 'CallbackCommand';
    is $list[0]{query}{CallbackCommand}, $command, 'in the URL, too';

    $app->clear;

    return $body;
}

# what the user's own request answers
sub by {
    my ($user, $command, %body) = @_;

    return $im->rest("sns/$command", { From_Account => $user, %body },
                     user => $user);
}

sub items {
    return AddFriendItem => [map { {
        To_Account => $_, AddSource => 'AddSource_Type_web' } } @_];
}

sub results {
    return [map { [@$_{qw/ To_Account ResultCode ResultInfo /}] }
            @{ $_[0]->code_is(0)->json('/ResultItem') }];
}

subtest 'what is asked, and who is refused' => sub {
    $app->answer($add => { ActionStatus => 'OK', ErrorInfo => '',
        ErrorCode => 0, ResultItem => [
            { To_Account => 'bob', ResultCode => 38001,
              ResultInfo => 'not you' },
            { To_Account => 'cid', ResultCode => 0, ResultInfo => '' } ] });

    my $reply = by('ann', 'friend_add', AddType => 'Add_Type_Both',
        AddFriendItem => [
            { To_Account => 'bob', AddSource => 'AddSource_Type_web',
              Remark => 'b', GroupName => 'pals', AddWording => 'hi' },
            map { { To_Account => $_, AddSource => 'AddSource_Type_web' } }
                qw/ cid dan eve nobody ann / ]);

    is_deeply results($reply), [
        ['bob', 38001, 'not you'],
        ['cid', 0, ''],
        ['dan', 30516, 'Err_SNS_FriendAdd_Friend_Allow_Type_Deny_Any'],
        ['eve', 30539, 'Err_SNS_FriendAdd_Friend_Allow_Type_Need_Confirm'],
        ['nobody', 30003, 'Err_SNS_FriendAdd_To_Account_Not_Exist'],
        ['ann', 30001, 'Err_SNS_FriendAdd_Param_Illegal'] ], 'results';
    is_deeply $reply->json('/Fail_Account'), [qw/ bob dan eve nobody ann /],
        'Fail_Account';

    my %none = (Remark => '', GroupName => '', AddWording => '',
                AddSource => 'AddSource_Type_web');

    is_deeply asked($add), {
        Requester_Account => 'ann', From_Account => 'ann',
        AddType => 'Add_Type_Both', ForceAddFlags => 0,
        FriendItem => [
            { To_Account => 'bob', AddSource => 'AddSource_Type_web',
              Remark => 'b', GroupName => 'pals', AddWording => 'hi' },
            map { { To_Account => $_, %none } } qw/ cid dan eve / ] },
        'only those who would pass';

    is relation('ann', 'bob'), 'NoRelation', 'bob was not added';
    is relation('ann', 'cid'), 'BothWay', 'cid was';
};

subtest 'an answer' => sub {
    $app->answer($respond => { ErrorCode => 0, ActionStatus => 'OK',
        ErrorInfo => '', ResultItem => [
            { To_Account => 'ann', ResultCode => 39000,
              ResultInfo => 'wait' }] });

    my @item = (ResponseFriendItem => [{ To_Account => 'ann', Remark => 'a',
        TagName => 'old', ResponseAction => 'Response_Action_Agree' }]);

    is_deeply results(by('eve', 'friend_response', @item)),
        [['ann', 39000, 'wait']], 'refused';
    is_deeply asked($respond), {
        Requester_Account => 'eve', From_Account => 'eve',
        ResponseFriendItem => [{ To_Account => 'ann', Remark => 'a',
            TagName => 'old', ResponseAction => 'Response_Action_Agree' }] },
        'the body';
    is_deeply [map { $_->{To_Account} } @{ sns('pendency_get', 'eve',
                   PendencyType => 'Pendency_Type_ComeIn')
                   ->json('/PendencyItem') }],
        ['ann'], 'the request still waits';

    $app->answer($respond => { ErrorCode => 0, ResultItem => [] });
    is_deeply results(by('eve', 'friend_response', @item)), [['ann', 0, '']],
        'accounts that are not in ResultItem may pass';
    $app->wait_requests($respond, 1);
    is relation('ann', 'eve'), 'AWithB', 'agreed';
    $app->clear;

    is_deeply results(by('eve', 'friend_response', @item)),
        [['ann', 30614, 'Err_SNS_FriendResponse_Pendency_Not_Exist']],
        'no request';
    is scalar(grep { $_->{query}{CallbackCommand} eq $respond }
              $app->requests), 0, 'nothing to ask about';
};

subtest 'each way to answer' => sub {
    my @way = (['bob', 'AgreeAndAdd'], ['cid', 'Reject'], ['dan', 'Agree']);

    is_deeply codes(add($_->[0], 'eve')), [30539], "$_->[0] asks" for @way;
    $app->clear;

    is_deeply codes(by('eve', 'friend_response', ResponseFriendItem => [map {
        { To_Account => $_->[0],
          ResponseAction => "Response_Action_$_->[1]" } } @way])),
        [0, 0, 0], 'answered';
    is_deeply asked($respond), {
        Requester_Account => 'eve', From_Account => 'eve',
        ResponseFriendItem => [map { {
            To_Account => $_->[0], Remark => '', TagName => '',
            ResponseAction => "Response_Action_$_->[1]" } } @way] },
        'the body';

    is_deeply [map { relation($_->[0], 'eve') } @way],
        [qw/ BothWay NoRelation AWithB /], 'the relations';
};

subtest 'one direction' => sub {
    by('cid', 'friend_add', AddType => 'Add_Type_Single', items('fay'))
        ->code_is(0);
    is asked($add)->{AddType}, 'Add_Type_Single', 'AddType';
    sns('friend_delete', 'cid', To_Account => ['fay'],
        DeleteType => 'Delete_Type_Both')->code_is(0);
};

subtest 'answers that are none' => sub {
    my $try = sub {
        my ($answer, $name) = @_;

        $app->clear;
        $app->answer($add => $answer);
        is_deeply codes(by('fay', 'friend_add', items('bob'))), [0], $name;
        $app->wait_requests($add, 1);
        sns('friend_delete', 'fay', To_Account => ['bob'],
            DeleteType => 'Delete_Type_Both')->code_is(0);
    };

    my $refuse = [{ To_Account => 'bob', ResultCode => 38001,
                    ResultInfo => 'no' }];

    $try->({ ErrorCode => $_, ResultItem => $refuse }, "ErrorCode $_")
        for 1, 2, 38001, 10100, 120001;
    $try->({ ErrorCode => 0 }, 'no ResultItem');
    $try->({ ErrorCode => 0, ResultItem => 'bob' }, 'ResultItem is no array');
    $try->({ ErrorCode => 0, ResultItem => [{ To_Account => 'bob' }] },
        'no ResultCode');
    $try->({ ErrorCode => 0, ResultItem => [{ To_Account => 'nobody',
        ResultCode => 38001 }] }, 'another account');

    $app->answer($add => { ErrorCode => 0, ResultItem => [
        { To_Account => 'bob', ResultCode => 5, ResultInfo => 'five' }] });
    is_deeply results(by('fay', 'friend_add', items('bob'))),
        [['bob', 38000, 'five']], 'a number out of the range';

    $im->log_like(qr/refused "bob" with 5, which is not 38000 to 39000/);
};

subtest 'administrators are not asked about' => sub {
    $app->clear;
    is_deeply codes(add('fay', 'bob', AddType => 'Add_Type_Single')), [0],
        'added';
    is scalar(grep { $_->{query}{CallbackCommand} eq $add } $app->requests),
        0, 'nobody was asked';
};

subtest 'what changes while the app thinks' => sub {
    $app->clear;
    $app->answer($add => { ErrorCode => 0, ResultItem => [] },
                 mode => 'hold');

    my $reply;
    my $tx = $im->ua->build_tx(POST => $im->url('/v4/sns/friend_add',
        sdkappid => $im->app_id, identifier => 'cid', random => 1,
        usersig => $im->usersig('cid'), contenttype => 'json'),
        encode_json({ From_Account => 'cid', items('fay') }));
    $im->ua->start_p($tx)->then(sub { $reply = $_[0]->res->json });

    my $end = time + 60;
    my $timer = Mojo::IOLoop->recurring(0.02 => sub { });
    Mojo::IOLoop->one_tick until $app->requests($add) || time > $end;
    sns('black_list_add', 'fay', To_Account => ['cid'])->code_is(0);
    $app->release;
    Mojo::IOLoop->one_tick until $reply || time > $end;
    Mojo::IOLoop->remove($timer);

    is $reply->{ResultItem}[0]{ResultCode}, 30525, 'is seen afterwards';
};

subtest 'no answer' => sub {
    $app->clear;
    $app->answer($add => undef, mode => 'reset');
    is_deeply codes(by('cid', 'friend_add', items('bob'))), [0],
        'goes on by default';

    my $strict = Test::IM->new->run(app => 'rate 0; callback ' . $app->url
        . ' Sns.CallbackPrevFriendAdd Sns.CallbackPrevFriendResponse'
        . ' fail=refuse;');
    $strict->users(qw/ ann bob /);
    is_deeply results($strict->rest('sns/friend_add',
        { From_Account => 'ann', items('bob') }, user => 'ann')),
        [['bob', 30006, '']], 'refused with fail=refuse';
};

done_testing;

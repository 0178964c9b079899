#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Adding, answering and deleting of friends, as a back end does it, and what
# both users' connections hear.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Sns;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0;');

sns_server($im);


subtest 'one round, both ways' => sub {
    $im->users(qw/ ann bob /);
    my ($ann, $bob) = map { $im->ws_login($_) } qw/ ann bob /;

    my $reply = add('ann', 'bob', Remark => 'bobby', GroupName => 'fair',
                    AddWording => 'hi');
    $reply->code_is(0)
        ->json_is('/ResultItem', [{ To_Account => 'bob', ResultCode => 0,
                                    ResultInfo => '' }])
        ->json_hasnt('/Fail_Account')->json_is('/ErrorDisplay', '');

    my $f = friends('ann')->{bob};
    ok time - delete($f->{Tag_SNS_IM_AddTime}) < 60, 'AddTime';
    is_deeply $f, { Tag_SNS_IM_Remark => 'bobby',
        Tag_SNS_IM_Group => ['fair'], Tag_SNS_IM_AddWording => 'hi',
        Tag_SNS_IM_AddSource => 'AddSource_Type_Web' }, 'own row';

    $f = friends('bob')->{ann};
    delete $f->{Tag_SNS_IM_AddTime};
    is_deeply $f, { Tag_SNS_IM_AddWording => 'hi',
        Tag_SNS_IM_AddSource => 'AddSource_Type_Web' },
        'his row has no remark and no group';

    is_deeply mod($ann, 1)->{FriendAdd_Account}, ['bob'], 'told';
    is_deeply mod($bob, 1)->{FriendAdd_Account}, ['ann'], 'the other, too';

    is_deeply codes(add('ann', 'bob')), [30001], 'a friend already';
    add('ann', 'bob')
        ->json_is('/ResultItem/0/ResultInfo',
                  'Err_SNS_FriendAdd_Friend_Exist')
        ->json_is('/Fail_Account', ['bob']);
    is relation('ann', 'bob'), 'BothWay', 'both';
};

subtest 'results of single accounts' => sub {
    $im->users(qw/ one two deny ask /);
    allow('deny', 'DenyAny');
    allow('ask', 'NeedConfirm');

    is_deeply codes(add('one', [qw/ two nobody one deny ask two /])),
              [0, 30003, 30001, 30516, 30539], 'each once, in order';
    is_deeply add('one', [qw/ nobody deny ask /])->json('/Fail_Account'),
              [qw/ nobody deny ask /], 'what has failed';

    for (['Remark', 'r' x 96, 0], ['Remark', 'r' x 97, 30001],
         ['AddWording', 'w' x 256, 0], ['AddWording', 'w' x 257, 30001],
         ['GroupName', 'g' x 30, 0], ['GroupName', 'g' x 31, 30001],
         ['GroupName', ['a'], 0], ['GroupName', ['a', 'b'], 30001],
         ['GroupName', [''], 30001], ['GroupName', 5, 30001],
         ['AddSource', 'AddSource_Type_', 30001],
         ['AddSource', 'AddSource_Type_abcdefghi', 30001],
         ['AddSource', 'AddSource_Type_abcdefgh', 0],
         ['AddSource', 'AddSource_Type_a1', 30001],
         ['AddSource', 'Web', 30001])
    {
        my ($field, $value, $code) = @$_;
        my $user = 'l' . int rand 1e9;

        $im->users($user);
        is_deeply codes(add($user, 'two', $field => $value)), [$code],
            "$field of " . (ref $value ? @$value : $value) . ": $code";
    }
};

subtest 'the whole request is refused' => sub {
    add('nobody', 'two')->code_is(30003);
    add('one', 'two', AddType => 'Add_Type_Twice')->code_is(30001);
    sns('friend_add', 'one')->code_is(30001);
    sns('friend_add', 'one', AddFriendItem => [])->code_is(30001);
    sns('friend_add', 'one', AddFriendItem => ['two'])->code_is(30001);
    sns('friend_add', 'one', AddFriendItem => {})->code_is(30001);
    add('one', [map { "u$_" } 1 .. 1001])->code_is(30001);
    $im->rest('sns/friend_add', { AddFriendItem => [] })->code_is(30001);

    my $body = { From_Account => 'one', ForceAddFlags => 1, AddFriendItem =>
                 [{ To_Account => 'deny', AddSource => 'AddSource_Type_x' }] };

    $im->rest('sns/friend_add', $body, user => 'one')->code_is(30004);
    $im->rest('sns/friend_add', { %$body, From_Account => 'two' },
              user => 'one')->code_is(30004);
    is_deeply codes($im->rest('sns/friend_add', $body)), [0], 'forced';
    is relation('deny', 'one'), 'BothWay', 'in spite of DenyAny';

    $im->users('mute');
    allow('mute', 'AllowAny', 'AdminForbid_Type_SendOut');
    add('mute', 'two')->code_is(30009);
    is_deeply codes(add('mute', 'two', ForceAddFlags => 1)), [0], 'forced';
};

subtest 'one way' => sub {
    $im->users(qw/ s1 s2 /);
    allow('s2', 'NeedConfirm');
    my $s2 = $im->ws_login('s2');

    is_deeply codes(add('s1', 's2', AddType => 'Add_Type_Single')), [0],
              'needs no confirmation';
    is relation('s1', 's2'), 'AWithB', 'one way only';
    is relation('s2', 's1'), 'BWithA', 'the other side';
    $s2->no_event('FriendListMod');

    is_deeply codes(add('s2', 's1')), [0], 'the way back';
    is relation('s2', 's1'), 'BothWay', 'both';
};

subtest 'asking, answering' => sub {
    $im->users(qw/ req1 req2 req3 peer /);
    $im->rest('profile/portrait_set', { From_Account => 'req1',
        ProfileItem => [{ Tag => 'Tag_Profile_IM_Nick', Value => 'Req' }] });
    allow('peer', 'NeedConfirm');

    my ($r, $p) = map { $im->ws_login($_) } qw/ req1 peer /;

    is_deeply codes(add('req1', 'peer', AddWording => 'hello',
                        Remark => 'pp')), [30539], 'waits';

    for ([$p, 'req1', 'Req'], [$r, 'peer', '']) {
        my $mod = mod($_->[0], 3);
        my $item = $mod->{PendencyAdd}[0];
        is $mod->{From_Account}, 'req1', 'From_Account is the requester';
        is_deeply [@$item{qw/ PendencyAdd_Account ProfileImNick ProfileImNic
                              AddWording AddSource /}],
                  [$_->[1], $_->[2], $_->[2], 'hello', 'AddSource_Type_Web'],
                  'the entry';
    }

    add('req1', 'peer', AddWording => 'again');

    my $list = sns('pendency_get', 'peer', StartTime => 0, MaxLimited => 10,
                   PendencyType => 'Pendency_Type_ComeIn')->code_is(0);
    is @{ $list->json('/PendencyItem') }, 1, 'a second request replaces';
    is_deeply [@{ $list->json('/PendencyItem/0') }{qw/ To_Account AddWording
                  Nick PendencyType /}],
              ['req1', 'again', 'Req', 'Pendency_Type_ComeIn'], 'the entry';
    $list->json_is('/UnreadPendencyCount', 1)->json_is('/StartTime', 0);

    sns('pendency_get', 'req1', StartTime => 0, MaxLimited => 10,
        PendencyType => 'Pendency_Type_Both')->code_is(0)
        ->json_is('/PendencyItem/0/PendencyType', 'Pendency_Type_SendOut')
        ->json_is('/UnreadPendencyCount', 0);
    sns('pendency_get', 'req1', PendencyType => 'x')->code_is(30001);

    my $answer = sub {
        my ($to, $action, %o) = @_;
        return sns('friend_response', 'peer', ResponseFriendItem => [
            { To_Account => $to, %o,
              ResponseAction => "Response_Action_$action" } ]);
    };

    is_deeply codes($answer->('req2', 'Agree')), [30614], 'no such request';
    is_deeply codes($answer->('req1', 'Maybe')), [30001], 'bad action';
    is_deeply codes($answer->('nobody', 'Agree')), [30003], 'no account';
    sns('friend_response', 'peer')->code_is(30001);

    is_deeply codes($answer->('req1', 'AgreeAndAdd', Remark => 'rr',
                              TagName => 'gg')), [0], 'agreed';
    is_deeply mod($r, 1)->{FriendAdd_Account}, ['peer'], 'requester: added';
    is_deeply mod($p, 1)->{FriendAdd_Account}, ['req1'], 'peer: added';
    is_deeply mod($r, 4)->{FrienPencydDel_Account}, ['peer'], 'gone';
    is_deeply mod($p, 4)->{FrienPencydDel_Account}, ['req1'], 'gone';

    is_deeply [@{ friends('peer')->{req1} }{qw/ Tag_SNS_IM_Remark
                  Tag_SNS_IM_Group Tag_SNS_IM_AddWording /}],
              ['rr', ['gg'], 'again'], 'row of the peer';
    is friends('req1')->{peer}{Tag_SNS_IM_AddWording}, 'again', 'requester';

    add('req2', 'peer');
    is_deeply codes($answer->('req2', 'Agree')), [0], 'agreed only';
    is relation('req2', 'peer'), 'AWithB', 'the requester has a row';

    add('req3', 'peer');
    is_deeply codes($answer->('req3', 'Reject')), [0], 'rejected';
    is relation('req3', 'peer'), 'NoRelation', 'no rows';
    is_deeply codes($answer->('req3', 'Reject')), [30614], 'only once';

    sns('pendency_get', 'peer', PendencyType => 'Pendency_Type_Both')
        ->json_is('/PendencyItem', []);
};

subtest 'requests: deleting, reading' => sub {
    $im->users(qw/ d1 d2 dp /);
    allow('dp', 'NeedConfirm');

    add($_, 'dp') for qw/ d1 d2 /;

    my $delete = sub {
        my ($from, $type, @to) = @_;
        return sns('pendency_delete', $from, To_Account => \@to,
                   PendencyType => "Pendency_Type_$type");
    };

    my ($d1, $dp) = map { $im->ws_login($_) } qw/ d1 dp /;

    sns($_, 'dp', LatestPendencyTimeStamp => time)->code_is(0)
        for qw/ pendency_report PendencyReport /;
    like mod($dp, 7)->{ReportTime}, qr/^\d+$/, 'told of the report';
    sns('pendency_get', 'dp', PendencyType => 'Pendency_Type_ComeIn')
        ->json_is('/UnreadPendencyCount', 0);

    is_deeply codes($delete->('dp', 'SendOut', 'd1')), [31804], 'direction';
    is_deeply codes($delete->('dp', 'ComeIn', 'd1', 'zz')), [0, 31804],
              'deleted';
    is_deeply mod($d1, 4)->{FrienPencydDel_Account}, ['dp'], 'requester';
    is_deeply mod($dp, 4)->{FrienPencydDel_Account}, ['d1'], 'peer';
    is_deeply codes($delete->('d2', 'SendOut', 'dp')), [0], 'own request';

    $delete->('d2', 'Both', 'dp')->code_is(30001);
    $delete->('d2', 'ComeIn')->code_is(30001);
    sns('pendency_report', 'dp')->code_is(30001);
    sns('pendency_get', 'dp', PendencyType => 'Pendency_Type_Both')
        ->json_is('/PendencyItem', []);
};

subtest 'requests the other way are settled by a friendship' => sub {
    $im->users(qw/ x1 x2 /);
    allow($_, 'NeedConfirm') for qw/ x1 x2 /;

    add('x1', 'x2');
    add('x2', 'x1');
    sns('pendency_get', 'x1', PendencyType => 'Pendency_Type_Both')
        ->json_has('/PendencyItem/1');
    sns('friend_response', 'x1', ResponseFriendItem => [{
        To_Account => 'x2',
        ResponseAction => 'Response_Action_AgreeAndAdd' }])->code_is(0);

    is relation('x1', 'x2'), 'BothWay', 'friends';
    sns('pendency_get', $_, PendencyType => 'Pendency_Type_Both')
        ->json_is('/PendencyItem', []) for qw/ x1 x2 /;
};

subtest 'deleting' => sub {
    $im->users(qw/ e1 e2 e3 /);
    add('e1', [qw/ e2 e3 /]);

    my ($e1, $e2, $e3) = map { $im->ws_login($_) } qw/ e1 e2 e3 /;
    my $delete = sub {
        my ($type, @to) = @_;
        return sns('friend_delete', 'e1', To_Account => \@to,
                   $type ? (DeleteType => $type) : ());
    };

    is_deeply codes($delete->('Delete_Type_Both', qw/ e2 nobody e1 /)),
              [0, 30003, 31704], 'both ways';
    is_deeply mod($e1, 2)->{FriendDel_Account}, ['e2'], 'told';
    is_deeply mod($e2, 2)->{FriendDel_Account}, ['e1'], 'the other, too';
    is relation('e1', 'e2'), 'NoRelation', 'gone';

    is_deeply codes($delete->(undef, 'e3')), [0], 'single is the default';
    is relation('e1', 'e3'), 'BWithA', 'one way is left';
    $e3->no_event('FriendListMod');
    is_deeply codes($delete->('Delete_Type_Both', 'e3')), [31704],
              'not a friend though the other has him';

    $delete->('x', 'e3')->code_is(30001);
    $delete->('Delete_Type_Both')->code_is(30001);
};

subtest 'deleting all' => sub {
    $im->users('all', map { "all$_" } 1 .. 120);
    add('all', [map { "all$_" } 1 .. 120], GroupName => 'kept')->code_is(0);

    my $ws = $im->ws_login('all7');

    sns('friend_delete_all', 'all', DeleteType => 'x')->code_is(30001);
    sns('friend_delete_all', 'all', DeleteType => 'Delete_Type_Both')
        ->code_is(0);
    is_deeply friends('all'), {}, 'nobody left';
    is_deeply mod($ws, 2)->{FriendDel_Account}, ['all'], 'the others know';
    sns('friend_get', 'all', StartIndex => 0)->json_is('/FriendNum', 0);
    sns('group_get', 'all')->json_is('/ResultItem',
        [{ GroupName => 'kept', FriendNumber => 0 }]);
    sns('friend_delete_all', 'all')->code_is(0);
};

done_testing;

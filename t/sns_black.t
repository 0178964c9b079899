#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Blacklists, and what relations do to messages.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Sns;
use Test::More;

my $im = Test::IM->new->run(workers => 2,
                            app => 'rate 0; blacklist_max 5;');

sns_server($im);

sub black {
    my ($what, $from, @to) = @_;
    return sns("black_list_$what", $from, To_Account => \@to);
}

sub list {
    my ($user, %o) = @_;
    return sns('black_list_get', $user, StartIndex => 0, MaxLimited => 100,
               LastSequence => 0, %o);
}

sub message {
    my ($ws, $to) = @_;
    return $ws->request('openim.sendmsg', {
        To_Account => $to, MsgSeq => int rand 1e9, MsgRandom => int rand 1e9,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => 'hi' } }] });
}


subtest 'adding ends what there was' => sub {
    $im->users(qw/ ann bob cat /);
    add('ann', 'bob');
    allow('cat', 'NeedConfirm');
    add('ann', 'cat');

    my ($ann, $bob, $cat) = map { $im->ws_login($_) } qw/ ann bob cat /;

    is_deeply codes(black('add', 'ann', qw/ bob cat nobody ann /)),
              [0, 0, 30003, 30001], 'results';
    is_deeply [sort @{ mod($ann, 5)->{BlackListAdd_Account} }],
              [qw/ bob cat /], 'the owner is told';
    is_deeply mod($ann, 2)->{FriendDel_Account}, ['bob'], 'no friend now';
    is_deeply mod($bob, 2)->{FriendDel_Account}, ['ann'], 'nor he';
    is_deeply mod($cat, 4)->{FrienPencydDel_Account}, ['ann'], 'no request';
    $bob->no_event(sub { ($_[0]{FriendListMod} // [{}])->[0]{PushType} == 5 },
                   0.3, 'he does not learn of the list');

    is relation('ann', 'bob'), 'NoRelation', 'friendship is over';
    sns('pendency_get', 'cat', PendencyType => 'Pendency_Type_Both')
        ->json_is('/PendencyItem', []);

    is_deeply codes(black('add', 'ann', 'bob')), [30001], 'listed already';
    is_deeply codes(add('ann', 'bob')), [30515], 'cannot be added';
    is_deeply codes(add('bob', 'ann')), [30525], 'cannot add';
    is_deeply codes(add('bob', 'ann', ForceAddFlags => 1)), [30525],
              'nor by force';
};

subtest 'reading and checking' => sub {
    my $reply = list('ann')->code_is(0)->json_is('/StartIndex', 0);

    is_deeply [sort map { $_->{To_Account} }
               @{ $reply->json('/BlackListItem') }], [qw/ bob cat /], 'list';
    is $reply->json('/BlackListItem/0/Black_Account'),
       $reply->json('/BlackListItem/0/To_Account'), 'the old names';
    ok abs($reply->json('/BlackListItem/0/AddBlackTimeStamp') - time) < 60,
       'time';
    my $seq = $reply->json('/CurruentSequence');
    is $seq, 2, 'sequence';

    list('ann', LastSequence => $seq)->json_is('/BlackListItem', []);
    $reply = list('ann', MaxLimited => 1)->json_is('/StartIndex', 1);
    my $second = list('ann', MaxLimited => 1, StartIndex => 1)
        ->json_is('/StartIndex', 0);
    isnt $second->json('/BlackListItem/0/To_Account'),
         $reply->json('/BlackListItem/0/To_Account'), 'pages';
    list('ann', MaxLimited => $_)->code_is(30001) for 0, 1001;

    black('add', 'bob', 'ann');

    my $check = sub {
        my ($from, $type, @to) = @_;
        my $r = sns('black_list_check', $from, To_Account => \@to,
                    CheckType => "BlackCheckResult_Type_$type")->code_is(0);
        is_deeply $r->json('/ResultItem'), $r->json('/BlackListCheckItem'),
                  'both names';
        return [map { $_->{Relation} =~ s/BlackCheckResult_Type_//r }
                @{ $r->json('/BlackListCheckItem') }];
    };

    is_deeply $check->('ann', 'Both', qw/ bob cat nobody /),
              [qw/ BothWay AWithB NO /], 'both';
    is_deeply $check->('cat', 'Both', 'ann'), ['BWithA'], 'the other side';
    is_deeply $check->('ann', $_, 'bob'), ['AWithB'], $_
        for qw/ Single Singal /;
    is_deeply $check->('cat', 'Single', 'ann'), ['NO'], 'one way only';
    sns('black_list_check', 'ann', To_Account => ['bob'], CheckType => 'x')
        ->code_is(30001);
};

subtest 'removing' => sub {
    my $ann = $im->ws_login('ann');

    is_deeply codes(black('delete', 'ann', qw/ cat nobody cat2 /)),
              [0, 30003, 30003], 'results';
    is_deeply mod($ann, 6)->{BlackListDel_Account}, ['cat'], 'told';
    is_deeply codes(black('delete', 'ann', 'cat')), [30001], 'not listed';
    is relation('ann', 'cat'), 'NoRelation', 'friends do not come back';
    black($_, 'ann')->code_is(30001) for qw/ add delete /;
};

subtest 'the limit' => sub {
    $im->users('full', map { "b$_" } 1 .. 7);
    is_deeply codes(black('add', 'full', map { "b$_" } 1 .. 7)),
              [0, 0, 0, 0, 0, 30013, 30013], 'five';
    black('delete', 'full', 'b1');
    is_deeply codes(black('add', 'full', 'b6')), [0], 'room again';

    my $ws = $im->ws_login('full');
    my $r = $ws->request('sns.black_list_get', { StartIndex => 0,
        MaxLimited => 1, LastSequence => 0 })->code_is(0);
    is @{ $r->json('/BlackListItem') }, 5, 'the SDK gets all at once';
};

subtest 'messages' => sub {
    $im->users(qw/ m1 m2 /);
    my ($m1, $m2) = map { $im->ws_login($_) } qw/ m1 m2 /;

    black('add', 'm1', 'm2');

    message($m1, 'm2')->code_is(0);
    ok $m2->next_event('C2cMsgArray'), 'the owner of the list may send';
    message($m2, 'm1')->code_is(0)->json_has('/MsgTime')->json_has('/MsgKey');
    $m1->no_event('C2cMsgArray', 0.5, 'dropped, though it looks sent');

    $m1->close;
    $m2->close;
    $im->reload(app => 'rate 0; blacklist_report on; check_friend on;');

    $im->users('m3');
    ($m1, $m2) = map { $im->ws_login($_) } qw/ m1 m2 /;
    message($m2, 'm1')->code_is(20009, 'friendship comes first');
    black('delete', 'm1', 'm2');

    message($m1, 'm2')->code_is(20009);
    add('m1', 'm2', AddType => 'Add_Type_Single');
    message($m1, 'm2')->code_is(20010);
    message($m2, 'm1')->code_is(20011);
    add('m2', 'm1');
    message($m1, 'm2')->code_is(0);
    message($m1, 'm1')->code_is(0, 'to oneself');

    $m1->close;
    $m2->close;
    $im->reload(app => 'rate 0; blacklist_report on;');
    ($m1, $m2) = map { $im->ws_login($_) } qw/ m1 m2 /;

    black('add', 'm1', 'm2');
    message($m2, 'm1')->code_is(20007);
    $m2->request('openim.sendmsg', { To_Account => 'm1', MsgSeq => 1,
        MsgRandom => 2, MsgLifeTime => 0, MsgBody => [{
        MsgType => 'TIMTextElem', MsgContent => { Text => 'x' } }] })
        ->code_is(20007, 'online only');

    $im->rest('openim/sendmsg', { From_Account => 'm2', To_Account => 'm1',
        MsgRandom => 5, MsgBody => [{ MsgType => 'TIMTextElem',
        MsgContent => { Text => 'x' } }] })->code_is(0, 'a back end may');
};

done_testing;

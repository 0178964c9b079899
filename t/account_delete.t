#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# im_open_login_svc/account_delete: what goes, what stays, and that a crash
# does not stop it.

use strict;
use warnings;
use feature 'signatures';
no warnings 'experimental::signatures';

use lib 't/lib';

use Test::More;
use Test::IM;

# the MongoDB server of the tests may need seconds to remove a hundred rows
my $mongo = ($ENV{IM_TEST_STORE} // '') eq 'mongo';
my $conf = 'sweep_interval 500ms;';
$conf .= ' commit_queue 10000 64m 30s;' if $mongo;

my $im = Test::IM->new->run(workers => 2, im => $conf,
                            app => 'rate 0; web_instances 2;');
my $random = 1;

sub text ($text) {
    return [{ MsgType => 'TIMTextElem', MsgContent => { Text => $text } }];
}

sub c2c ($from, $to, $text = 'hi') {
    my $n = $random++;
    my $r = $im->rest('openim/sendmsg', {
        From_Account => $from, To_Account => $to, MsgRandom => $n,
        MsgSeq => $n, SyncOtherMachine => 1, MsgBody => text($text) });
    $r->code_is(0) if $r->code;
}

# One message from each of them, all at once.
sub c2c_each ($to, @from) {
    my @calls = map { my $n = $random++; ['openim/sendmsg', {
        From_Account => $_, To_Account => $to, MsgRandom => $n,
        MsgSeq => $n, SyncOtherMachine => 1, MsgBody => text('hi') }] } @from;

    for my $r ($im->rests(@calls)) {
        $r->code_is(0) if $r->code;
    }
}

sub del (@users) {
    return $im->rest('im_open_login_svc/account_delete', {
        DeleteItem => [map { { UserID => $_ } } @users] });
}

sub contacts ($user) {
    my $r = $im->rest('recentcontact/get_list', { From_Account => $user,
        TimeStamp => 0, StartIndex => 0, TopTimeStamp => 0,
        TopStartIndex => 0, AssistFlags => 7 })->code_is(0);
    return [map { $_->{To_Account} } @{ $r->json('/SessionItem') }];
}

sub exists_is ($user, $want) {
    my $r = $im->rest('im_open_login_svc/account_check',
                      { CheckItem => [{ UserID => $user }] });
    is $r->json('/ResultItem/0/AccountStatus'),
       $want ? 'Imported' : 'NotImported', "$user: $want";
}

$im->users(qw/ ann bob cid /);


subtest 'codes' => sub {
    my $r = del('cid', 'ghost', $im->admin)->code_is(0);
    is_deeply [map { [@$_{qw/ UserID ResultCode /}] }
               @{ $r->json('/ResultItem') }],
              [['cid', 0], ['ghost', 70107], [$im->admin, 70402]], 'results';
    $r->json_is('/ResultItem/0/ResultInfo', '')
      ->json_is('/ResultItem/1/ResultInfo',
                'Err_TLS_PT_Open_Login_Account_Not_Exist');

    exists_is('cid', 0);
    del('cid')->json_is('/ResultItem/0/ResultCode', 70107, 'again');
    del()->code_is(70402, 'none');
    del(map { "u$_" } 1 .. 101)->code_is(70402, '101 items');
    del(map { "u$_" } 1 .. 100)->code_is(0, '100 items');
    $im->rest('im_open_login_svc/account_delete', { DeleteItem => [{}] })
        ->code_is(70402);
    $im->rest('im_open_login_svc/account_delete',
              { DeleteItem => [{ UserID => 'bob' }] }, user => 'ann')
        ->code_is(70403);
};

subtest 'the logins end, everything goes, the peer keeps his history' => sub {
    c2c('ann', 'bob', 'to bob');
    c2c('bob', 'ann', 'to ann');

    my $bob = $im->ws_login('bob');

    $bob->request('recentcontact.top', { OperationType => 1,
        RecentContactItem => [{ Type => 1, To_Account => 'ann' }] })
        ->code_is(0);
    $bob->request('recentcontact.create_contact_group', {
        GroupContactItem => [{ GroupName => 'g', ContactItem => [
            { Type => 1, To_Account => 'ann' }] }] })->code_is(0);
    $im->rest('im_open_login_svc/account_import',
              { UserID => 'bob', Nick => 'Bobby' })->code_is(0);

    my $tinyid = $bob->tinyid;
    my $a2 = $bob->a2;

    del('bob')->code_is(0)->json_is('/ResultItem/0/ResultCode', 0);

    my $kick = $bob->next_event('C2cNotifyMsgArray');
    is $kick->{C2cNotifyMsgArray}[0]{KickoutMsgNotify}{KickType}, 3,
       'the session hears of it';
    $bob->request('openim.getmsg', { Cookie => '' })->code_is(1002);
    $bob->close;

    exists_is('bob', 0);
    is_deeply contacts('ann'), ['bob'], 'the peer keeps the conversation';

    my $ann = $im->ws_login('ann');
    is @{ $ann->request('openim.getroammsg', { Peer_Account => 'bob',
              MaxCnt => 15, LastMsgTime => 0, MsgKey => '' })
              ->json('/MsgList') }, 2, 'and the messages';
    $ann->close;

    $im->rest('openim/sendmsg', { From_Account => 'ann', To_Account => 'bob',
        MsgRandom => 99, MsgBody => text('x') })
        ->code_is(90012, 'nobody writes to him');

    # the same name again: nothing of the old one is there

    $im->users('bob');
    is_deeply contacts('bob'), [], 'no conversations';

    $bob = $im->ws_login('bob');
    isnt $bob->tinyid, $tinyid, 'another account';

    $bob->request('recentcontact.get_contact_group', { StartIndex => 0 })
        ->json_is('/GroupItem', [], 'no groups')
        ->json_is('/ContactItem', [], 'nothing set');
    $bob->request('openim.getroammsg', { Peer_Account => 'ann',
        MaxCnt => 15, LastMsgTime => 0, MsgKey => '' })
        ->json_is('/MsgList', [], 'no history');
    is_deeply [grep { $_->{Tag} eq 'Tag_Profile_IM_Nick' && $_->{Value} }
               @{ $im->rest('profile/portrait_get', {
                   To_Account => ['bob'],
                   TagList => ['Tag_Profile_IM_Nick'] })
                   ->json('/UserProfileItem/0/ProfileItem') // [] }],
              [], 'no profile';

    c2c('ann', 'bob', 'new');
    is $bob->next_event('C2cMsgArray')->{C2cMsgArray}[0]
           {MsgBody}[0]{MsgContent}{Text}, 'new', 'events flow';
    $bob->close;
};

subtest 'more rows than one slice has' => sub {
    $im->users('big', map { "p$_" } 1 .. 30);

    c2c_each('big', map { "p$_" } 1 .. 30) for 1 .. 10;

    del('big')->json_is('/ResultItem/0/ResultCode', 0);
    $im->users('big');
    ok $im->wait_for(sub { !@{ contacts('big') } }, 90), 'all are gone';
};

subtest 'switched off' => sub {
    $im->reload(app => 'rate 0; allow_account_delete off;');
    del('ann')->code_is(71000);
    exists_is('ann', 1);
};

$im->stop;

subtest 'a worker that dies in between' => sub {
    plan skip_all => 'fault points need nginx --with-debug'
        unless Test::IM::with_debug();

    for my $point ('after_purge 1', 'job_slice 1') {
        my $im2 = Test::IM->new(options => {});
        $im = $im2->run(workers => 2,
                        im => "$conf fault $point;",
                        app => 'rate 0;');
        $im->allow_log(qr/exited on signal 9|shared memory zone .* was lock/);

        $im->users('ann', 'big', map { "p$_" } 1 .. 20);

        my $rounds = $mongo && $point =~ /purge/ ? 6 : 32;
        c2c_each('big', map { "p$_" } 1 .. 20) for 1 .. $rounds;

        is @{ contacts('big') }, 20, 'conversations';

        del('big');
        $im->log_like(qr/exited on signal 9/, "killed at $point");

        ok $im->wait_for(sub {
            $im->rest('im_open_login_svc/account_check',
                      { CheckItem => [{ UserID => 'big' }] })
                ->json('/ResultItem/0/AccountStatus') eq 'NotImported'
        }), 'the account is gone';

        $im->users('big');

        ok $im->wait_for(sub {
            my $r = $im->rest('recentcontact/get_list', {
                From_Account => 'big', TimeStamp => 0, StartIndex => 0,
                TopTimeStamp => 0, TopStartIndex => 0, AssistFlags => 7 });
            return $r->code == 0 && !@{ $r->json('/SessionItem') };
        }, 90), 'another worker has finished it';

        $im->stop;
    }
};

done_testing;

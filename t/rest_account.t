#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Accounts by REST: import, check, kick, online state.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0;');

my $import = 'im_open_login_svc/account_import';
my $multi = 'im_open_login_svc/multiaccount_import';
my $check = 'im_open_login_svc/account_check';

sub status {
    my ($user) = @_;

    return $im->rest($check, { CheckItem => [{ UserID => $user }] })
              ->json('/ResultItem/0/AccountStatus');
}

sub nick {
    my ($user) = @_;

    my $item = $im->rest('profile/portrait_get',
                         { To_Account => [$user],
                           TagList => ['Tag_Profile_IM_Nick'] })
                  ->json('/UserProfileItem/0/ProfileItem/0');

    return $item && $item->{Value};
}

subtest 'account_import' => sub {
    is status('ada'), 'NotImported', 'not there before';

    $im->rest($import, { Identifier => 'ada', Nick => 'Ada',
                         FaceUrl => 'https://example.org/a.png' })
       ->code_is(0)->json_is('/ActionStatus', 'OK');

    is status('ada'), 'Imported', 'there after it';
    is nick('ada'), 'Ada', 'nickname';

    $im->rest($import, { UserID => 'ada', Nick => 'Ada L.' })->code_is(0);
    is nick('ada'), 'Ada L.', 'a second import overwrites it';

    $im->rest($import, { UserID => 'ada' })->code_is(0);
    is nick('ada'), 'Ada L.', 'what is not given stays';

    $im->rest($import, { UserID => 'x' x 32 })->code_is(0, '32 bytes');
    $im->rest($import, { UserID => 'x' x 33 })->code_is(70402, '33 bytes');
    $im->rest($import, { UserID => '' })->code_is(70402, 'empty');
    $im->rest($import, {})->code_is(70402, 'missing')
       ->json_like('/ErrorInfo', qr/Identifier/);
    $im->rest($import, { UserID => 7 })->code_is(70402, 'a number');
    $im->rest($import, { UserID => "a\x01" })->code_is(70402, 'control');
    $im->rest($import, { UserID => "\x{e9}t\x{e9}" })
       ->code_is(70402, 'not ASCII');
    $im->rest($import, { UserID => '@TGS#x' })->code_is(70402, 'reserved');
    $im->rest($import, { UserID => 'bo', Type => 1 })->code_is(0, 'robot');
    $im->rest($import, { UserID => 'bo2', Type => 2 })->code_is(70402);
    is status('bo2'), 'NotImported', 'refused means nothing was made';
    $im->rest($import, { UserID => 'n1', Nick => 'n' x 500 })->code_is(0);
    $im->rest($import, { UserID => 'n2', Nick => 'n' x 501 })->code_is(40601);
    $im->rest($import, { UserID => 'n2', $_ => "a\0b" })->code_is(70402)
        for qw/ Nick FaceUrl /;
    is status('n2'), 'NotImported', 'nothing was made';
    $im->rest($import, { UserID => 'n3', FaceUrl => 'f' x 501 })
       ->code_is(40601);
    $im->rest($import, { UserID => 'n4', Nick => undef })
       ->code_is(0, 'null counts as absent');
};

subtest 'multiaccount_import' => sub {
    $im->rest($multi, { Accounts => ['m1', 'm2', 'm2'] })
       ->code_is(0)->json_is('/FailAccounts', []);
    is status('m2'), 'Imported', 'imported';

    $im->rest($multi, { Accounts => ['m3', 'y' x 33, '@TLS#1'] })
       ->code_is(0)->json_is('/ActionStatus', 'OK')
       ->json_is('/FailAccounts', ['y' x 33, '@TLS#1']);
    is status('m3'), 'Imported', 'the others are imported';

    $im->rest($multi, { Accounts => ['z' x 33] })->code_is(70402)
       ->json_is('/ActionStatus', 'FAIL');
    $im->rest($multi, { Accounts => [] })->code_is(70402, 'empty');
    $im->rest($multi, { Accounts => 'm1' })->code_is(70402, 'no array');
    $im->rest($multi, {})->code_is(70402, 'missing');
    $im->rest($multi, { Accounts => [map { "k$_" } 1 .. 100] })->code_is(0);
    $im->rest($multi, { Accounts => [map { "k$_" } 1 .. 101] })
       ->code_is(70402, '101 accounts');

    $im->rest($multi, { AccountList => [{ UserID => 'l1', Nick => 'L' },
                                        { UserID => 'l2', Nick => 7 }] })
       ->code_is(0)->json_is('/FailAccounts', ['l2']);
    is nick('l1'), 'L', 'with a nickname';
};

subtest 'account_check' => sub {
    $im->rest($check, { CheckItem => [{ UserID => 'ghost' },
                                      { UserID => 'ada' },
                                      { UserID => 'q' x 40 }] })
       ->code_is(0)
       ->json_is('/ResultItem/0',
                 { UserID => 'ghost', ResultCode => 0, ResultInfo => '',
                   AccountStatus => 'NotImported' })
       ->json_is('/ResultItem/1/AccountStatus', 'Imported')
       ->json_is('/ResultItem/2/ResultCode', 70402)
       ->json_hasnt('/ResultItem/2/AccountStatus');

    $im->rest($check, { CheckItem => [] })->code_is(70402);
    $im->rest($check, { CheckItem => [{}] })->code_is(70402);
    $im->rest($check, { CheckItem => [map { { UserID => $_ } } 1 .. 101] })
       ->code_is(70402);
    is status('administrator'), 'Imported', 'administrators always exist';
};

subtest 'accounts survive a restart, tinyid too' => sub {
    my $before = $im->ws_login('ada');
    my $tinyid = $before->tinyid;

    $im->kill9_all;
    $im->start;

    is status('ada'), 'Imported', 'still there';
    is $im->ws_login('ada')->tinyid, $tinyid, 'same tinyid';
};

subtest 'kick' => sub {
    $im->users('kim');

    my $sig = $im->usersig('kim', time => time - 10);
    my $kim = $im->ws(user => 'kim', sig => $sig);

    $kim->wslogin->code_is(0);

    $im->rest('im_open_login_svc/kick', { Identifier => 'kim' })->code_is(0);

    my $push = $kim->next_push('im_open_status.stat_forceoffline');
    is $push->{body}{EventArray}[0]{C2cNotifyMsgArray}[0]
            {KickoutMsgNotify}{KickType}, 3, 'the session is told';

    $kim->request('im_open_status.wshello')->code_is(1002)
        ->json_is('/KickType', 3);

    $im->ws(user => 'kim', sig => $sig)->wslogin->code_is(70052);

    $im->wait_for(sub {
        $im->ws(user => 'kim', sig => $im->usersig('kim'))->wslogin->code == 0
    });
    pass 'a new ticket is accepted';

    $im->rest('im_open_login_svc/kick', { Identifier => 'nobody' })
       ->code_is(70107);
    $im->rest('im_open_login_svc/kick', {})->code_is(70402);
    $im->rest('im_open_login_svc/kick', { UserID => 5 })->code_is(70402);
};

subtest 'a ticket that is in use is revoked at once, in all workers' => sub {
    $im->users('kit');

    my $sig = $im->usersig('kit', time => time - 10);

    my $codes = sub {
        my %seen;

        $seen{ $im->rest($check, {}, user => 'kit', sig => $sig,
                         headers => { Connection => 'close' })->code } = 1
            for 1 .. 20;

        return [keys %seen];
    };

    is_deeply $codes->(), [70403], 'no administrator';

    $im->rest('im_open_login_svc/kick', { UserID => 'kit' })->code_is(0);
    is_deeply $codes->(), [70052], 'revoked';
};

subtest 'querystate' => sub {
    $im->users('quin');

    my $q = 'openim/querystate';

    $im->rest($q, { To_Account => ['quin'] })->code_is(0)
       ->json_is('/QueryResult/0', { To_Account => 'quin',
                                     Status => 'Offline',
                                     State => 'Offline' })
       ->json_hasnt('/ErrorList');

    my $ws = $im->ws_login('quin');

    $im->rest($q, { To_Account => ['quin', 'ghost', 'quin'],
                    IsNeedDetail => 1 })
       ->code_is(0)
       ->json_is('/QueryResult', [{ To_Account => 'quin', Status => 'Online',
                                    State => 'Online',
                                    Detail => [{ Platform => 'Web',
                                                 Status => 'Online' }] }])
       ->json_is('/ErrorList', [{ To_Account => 'ghost',
                                  ErrorCode => 70107 }]);

    $im->rest('openim/query_online_status', { To_Account => ['quin'] })
       ->code_is(0)->json_is('/QueryResult/0/Status', 'Online');

    my $phone = $im->ws(user => 'quin', platform => 2);
    $phone->wslogin->code_is(0);
    $ws->wslogout;
    $phone->cut;

    $im->wait_for(sub {
        $im->rest($q, { To_Account => ['quin'] })
           ->json('/QueryResult/0/Status') eq 'PushOnline'
    });
    $im->rest($q, { To_Account => ['quin'], IsNeedDetail => 1 })
       ->json_is('/QueryResult/0/Detail', [{ Platform => 'Android',
                                             Status => 'PushOnline' }]);

    $im->rest($q, { To_Account => [] })->code_is(90001);
    $im->rest($q, { To_Account => 'quin' })->code_is(90003);
    $im->rest($q, { To_Account => [7] })->code_is(90003);
    $im->rest($q, {})->code_is(90003);
    $im->rest($q, { To_Account => [map { "g$_" } 1 .. 501] })->code_is(90011);
    $im->rest($q, { To_Account => ['ghost'] })->code_is(70107)
       ->json_is('/ErrorList/0/ErrorCode', 70107);
    $im->rest($q, { To_Account => ['quin'], IsNeedDetail => 'x' })
       ->code_is(90001);
};

subtest 'register_account_v1' => sub {
    my $r = 'registration_service/register_account_v1';
    my $ok = { Identifier => 'host_1', IdentifierType => 3,
               Password => 'password1' };

    $im->rest($r, $ok)->code_is(70411, 'the app does not host accounts');

    my $host = Test::IM->new->run(app => 'hosted_accounts on;');

    $host->rest($r, $ok)->code_is(0);
    $host->rest($r, $ok)->code_is(70402, 'exists');
    $host->rest($r, { %$ok, Identifier => 'HOST_1' })
         ->code_is(70402, 'case does not matter');
    $host->rest($r, { %$ok, Identifier => 'abc' })->code_is(70419);
    $host->rest($r, { %$ok, Identifier => 'a' x 25 })->code_is(70419);
    $host->rest($r, { %$ok, Identifier => '12345' })->code_is(70421);
    $host->rest($r, { %$ok, Identifier => 'no-way' })->code_is(70421);
    $host->rest($r, { %$ok, Identifier => 'ab@ex.org', IdentifierType => 2 })
         ->code_is(0);
    $host->rest($r, { %$ok, Identifier => 'abexorg', IdentifierType => 2 })
         ->code_is(70421);
    $host->rest($r, { %$ok, Identifier => '86-1380000', IdentifierType => 1 })
         ->code_is(0);
    $host->rest($r, { %$ok, IdentifierType => 4 })->code_is(70421);
    $host->rest($r, { %$ok, Identifier => 'host_2', Password => 'short' })
         ->code_is(70402);
    $host->rest($r, { %$ok, Password => undef })->code_is(70418);
    $host->rest($r, '[]')->code_is(70418);

    $host->finish;
};

$im->finish;

done_testing;

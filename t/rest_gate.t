#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Who may call what: every REST command of the source, with every kind of
# wrong credentials, and the order of the checks before a command.

use strict;
use warnings;

use lib 't/lib';

use Mojo::File qw/ path /;
use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'sig_failures 0; rate 0;',
                            im => <<'END');
    app 1400000002 {
        key "another key, of 64 characters or so, for the second app -------";
        rate 0;
    }
END

my $other = 'another key, of 64 characters or so, for the second app -------';

# rows { ngx_string("service"), ngx_string("name"), handler, IM_BY_... }

my (%admin, %self);

for my $file (glob "$Test::IM::top/src/{api,web}/*.c") {
    my $text = path($file)->slurp;

    while ($text =~ /\{ \s* ngx_string\("([^"]+)"\), \s*
                     ngx_string\("([^"]+)"\), \s*
                     im_cmd_\w+, \s* ((?:IM_BY_\w+ \|?)+)/gx)
    {
        my ($service, $name, $by) = ($1, $2, $3);

        $admin{"$service/$name"} = $service if $by =~ /IM_BY_ADMIN/;
        $self{"$service/$name"} = 1 if $by =~ /IM_BY_SELF/;
    }
}

# the module's code for "administrator right missing"

my %right = (
    im_open_login_svc => 70403, registration_service => 70425,
    openim => 90009, profile => 40004, sns => 30004, recentcontact => 50003,
    im_callback => 60010,
    (map { $_ => 10007 } qw/ group_open_http_svc openim_msg_ext_http_svc
                             openim_dirty_words
                             group_open_avchatroom_http_svc
                             group_open_attr_http_svc
                             million_group_open_http_svc /));

cmp_ok(keys %admin, '>', 5, 'commands were found in the source');

$im->users('plain');

for my $command (sort keys %admin) {
    subtest $command => sub {
        my $service = $admin{$command};

        $im->rest($command, {}, query => { usersig => undef })
           ->code_is(60005, 'no signature');
        $im->rest($command, {}, sig => '')->code_is(70002, 'empty signature');
        $im->rest($command, {}, sig => 'rubbish')
           ->code_is(70003, 'rubbish');
        $im->rest($command, {},
                  query => { identifier => undef, usersig => undef })
           ->code_is(60004, 'no credentials at all');
        $im->rest($command, {}, sig => $im->usersig($im->admin,
                                                    key => $other))
           ->code_is(70009, "another app's key");
        $im->rest($command, {}, sig => $im->usersig($im->admin, key => $other,
                                              sdkappid => 1400000002))
           ->code_is(70014, "another app's ticket");
        $im->rest($command, {}, sig => $im->usersig('plain'))
           ->code_is(70013, "another user's ticket");
        $im->rest($command, {}, sig => $im->usersig($im->admin,
                                                    expire => -1))
           ->code_is(70001, 'expired');

        ok(exists $right{$service}, "$service has a code");

        if (!$self{$command}) {
            $im->rest($command, {}, user => 'plain')
               ->code_is($right{$service}, 'an ordinary user');
            $im->rest($command, { From_Account => $im->admin,
                                  Owner_Account => $im->admin,
                                  Operator_Account => $im->admin },
                      user => 'plain')
               ->code_is($right{$service}, 'a body that names an admin');
        }
    };
}

subtest 'an administrator of another app is nobody here' => sub {
    my $sig = $im->usersig('administrator', key => $other,
                           sdkappid => 1400000002);

    $im->rest('im_open_login_svc/account_check',
              { CheckItem => [{ UserID => 'plain' }] }, sig => $sig,
              query => { sdkappid => 1400000002 })
       ->code_is(0)->json_is('/ResultItem/0/AccountStatus', 'NotImported',
                             'accounts of apps are apart');
};

subtest 'checks before a command, in order' => sub {
    my $c = 'im_open_login_svc/account_check';
    my $ok = { CheckItem => [{ UserID => 'plain' }] };

    $im->rest($c, $ok, query => { sdkappid => undef })->code_is(60012);
    $im->rest($c, $ok, query => { sdkappid => '' })->code_is(60012);
    $im->rest($c, $ok, query => { sdkappid => 'x' })->code_is(60006);
    $im->rest($c, $ok, query => { sdkappid => 7 })->code_is(60006);
    $im->rest($c, $ok, query => { sdkappid => '99999999999999999999' })
       ->code_is(60006);
    $im->rest('im_open_login_svc/none', $ok)->code_is(60009);
    $im->rest('no_svc/none', $ok)->code_is(60009);
    $im->rest('group_open_http_svc/none', $ok)->code_is(10003);
    $im->rest('Im_open_login_svc/account_check', $ok)->code_is(60009);
    $im->rest($c, $ok, path => "/v2/$c")->code_is(60009, 'no such version');
    $im->rest($c, $ok, query => { random => 'x' })->code_is(60002);
    $im->rest($c, $ok, query => { random => '1' x 21 })->code_is(60002);
    $im->rest($c, $ok, query => { random => undef })->code_is(0);
    $im->rest($c, $ok, query => { contenttype => 'http' })->code_is(60002);
    $im->rest($c, $ok, query => { contenttype => undef })->code_is(0);
    $im->rest($c, $ok, query => { identifier => '' })->code_is(60004);
    $im->rest($c, $ok, query => { identifier => "a\x01b" })->code_is(60004);
    $im->rest($c, $ok, query => { identifier => 'x' x 33 })->code_is(60004);
    $im->rest($c, $ok, query => { usersig => undef,
                       accesstoken => $im->usersig('administrator') })
       ->code_is(0, 'the older name of usersig');

    $im->rest($c, $ok, query => { $_->[0] => [$_->[1], $_->[2]] })
       ->code_is($_->[3], "$_->[0] twice: the first counts")
        for [sdkappid => $im->app_id, 7, 0], [sdkappid => 7, $im->app_id, 60006],
            [identifier => $im->admin, 'plain', 0],
            [identifier => 'plain', $im->admin, 70013],
            [random => 1, 'x', 0], [contenttype => 'http', 'json', 60002];

    my %none = map { $_ => undef }
               qw/ sdkappid identifier usersig random contenttype /;
    my $args = 'sdkappid=' . $im->app_id . '&usersig='
               . $im->usersig('administrator') . '&identifier=';

    $im->rest($c, $ok, path => "/v4/$c?$args$_->[0]", query => \%none)
       ->code_is($_->[1], "escaped: $_->[0]")
        for ['administrator', 0], ['%61dmin%69strato%72', 0],
            ['%61', 70013], ['administrator%', 60002],
            ['administrator%7', 60002], ['administrato%7x', 60002];

    $im->rest($c, '')->code_is(70402, 'empty body')
       ->json_is('/ErrorInfo', 'the body is not a JSON object');
    $im->rest('openim/sendmsg', '')->code_is(90001)
       ->json_is('/ErrorInfo',
                 'Fail to Parse json data of body, Please check it');
    $im->rest($c, '[]')->code_is(70402, 'no object');
    $im->rest($c, '{"CheckItem":')->code_is(70402, 'cut short');
    $im->rest($c, "{\"CheckItem\":\"\xff\"}")->code_is(70402, 'bad UTF-8');
    $im->rest($c, '{} x')->code_is(70402, 'more behind it');
    $im->rest($c, '[' x 40 . ']' x 40)->code_is(70402, 'deep nesting');
    $im->rest($c, '{"a":' x 33 . '1' . '}' x 33)
       ->code_is(70402, 'deep nesting of objects');
    $im->rest('no_svc/none', 'x')->code_is(60009, 'unknown before JSON');
    $im->rest($c, 'x', sig => '')->code_is(70002, 'ticket before JSON');
};

subtest 'failures of an account are counted, valid tickets pass' => sub {
    my $few = Test::IM->new->run(workers => 2, app => 'sig_failures 20;');
    my $c = 'im_open_login_svc/account_check';
    my $ok = { CheckItem => [{ UserID => 'plain' }] };

    $few->rest($c, $ok, user => 'guessed', sig => 'AAAA')->code_is(70003)
        for 1 .. 20;
    $few->rest($c, $ok, user => 'guessed', sig => 'AAAA')->code_is(70050);
    $few->rest($c, $ok, user => 'other', sig => 'AAAA')->code_is(70003);
    $few->rest($c, $ok, user => 'guessed')
        ->code_is(70403, 'the right ticket');

    $few->finish;
};

# Workers and the zone keep verified tickets; a reload keeps the zone.

subtest 'tickets of a key that was replaced' => sub {
    my $im = Test::IM->new->run(workers => 2);
    my $old = $im->usersig('administrator');

    my @check = ('im_open_login_svc/account_check',
                 { CheckItem => [{ UserID => 'nobody' }] });

    $im->rest(@check, sig => $old)->code_is(0) for 1 .. 4;

    $im->key('n' x 64);
    $im->reload(app => 'rate 0;');

    $im->rest(@check, sig => $old)->code_is(70009) for 1 .. 4;
    $im->rest(@check)->code_is(0);

    $im->finish;
};

subtest 'the rate of a command' => sub {
    my $slow = Test::IM->new->run(app => 'rate 5;');

    $slow->users('ann');

    my %codes;
    $codes{ $_->code }++
        for $slow->rests((['im_open_login_svc/account_check',
                           { CheckItem => [{ UserID => 'ann' }] }]) x 60);

    ok($codes{0} && $codes{60007}, 'some pass, some get 60007')
        or diag explain \%codes;

    $slow->finish;
};

$im->finish;

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Online status and the users' own texts.

use strict;
use warnings;

use lib 't/lib';

use MIME::Base64 qw/ encode_base64 /;
use Test::IM;
use Test::IM::Sns;
use Test::More;
use Time::HiRes qw/ time /;

my $im = Test::IM->new->run(workers => 2,
    app => 'rate 0; status_subs_max 3; web_instances 3;');

sns_server($im);

$im->users(qw/ ann bob cat /);

my ($ann, $bob) = map { $im->ws_login($_) } qw/ ann bob /;

sub status {
    my ($ws, $event) = @_;
    $event = $ws->next_event('UserStatusList') or return undef;
    return @{ $event->{UserStatusList}[0] }{qw/ To_Account Status
                                                CustomStatus /};
}

sub call {
    my ($ws, $name, %body) = @_;
    return $ws->request("im_open_status.ws_$name", \%body);
}


subtest 'text' => sub {
    my $other = $im->ws_login('ann');

    call($ann, 'set_custom_status', CustomStatus => "b\x{fc}sy")->code_is(0);
    my $text = encode_base64("b\xc3\xbcsy", '');

    is_deeply [status($other)], ['ann', 1, $text], 'the other instance';
    $ann->no_event('UserStatusList', 0.3, 'not the acting one');

    call($bob, 'get_user_status', To_Account => [qw/ ann cat nobody ann /])
        ->code_is(0)
        ->json_is('/UserStatusList', [
            { To_Account => 'ann', Status => 1, CustomStatus => $text },
            { To_Account => 'cat', Status => 3, CustomStatus => '' }])
        ->json_is('/ErrorList/0/To_Account', 'nobody')
        ->json_is('/ErrorList/0/ErrorCode', 70107);

    is $im->ws(user => 'ann')->wslogin->json('/CustomStatus'), $text,
       'told at the login';

    call($ann, 'set_custom_status', CustomStatus => 'x' x 501)
        ->code_is(70402);
    call($ann, 'set_custom_status')->code_is(70402);
    call($ann, 'set_custom_status', CustomStatus => '')->code_is(0);
    call($bob, 'get_user_status', To_Account => ['ann'])
        ->json_is('/UserStatusList/0/CustomStatus', '');
    call($bob, 'get_user_status')->code_is(70402);
    call($bob, 'get_user_status', To_Account => [map { "u$_" } 1 .. 501])
        ->code_is(70402);
    $other->close;
};

subtest 'subscribers' => sub {
    call($bob, 'status_subscribe', To_Account => [qw/ cat nobody /])
        ->code_is(0)->json_is('/ErrorList/0/To_Account', 'nobody');

    my $cat = $im->ws_login('cat');
    is_deeply [status($bob)], ['cat', 1, ''], 'came';
    $cat->close;
    is_deeply [status($bob)], ['cat', 2, ''], 'went';

    $cat->open;
    $cat->wslogin->code_is(0);
    is_deeply [status($bob)], ['cat', 1, ''], 'came again';
    $cat->wslogout->code_is(0);
    is_deeply [status($bob)], ['cat', 3, ''], 'logged out';

    call($bob, 'status_unsubscribe', To_Account => ['cat'])->code_is(0);
    $cat = $im->ws_login('cat');
    $bob->no_event('UserStatusList', 0.5);

    call($bob, 'status_subscribe', To_Account => ['cat'])->code_is(0);
    call($bob, 'status_unsubscribe', UnsubscribeAll => 1)->code_is(0);
    call($cat, 'set_custom_status', CustomStatus => 'x')->code_is(0);
    $bob->no_event('UserStatusList', 0.5);
    $cat->wslogout;

    call($bob, $_, To_Account => [map { "u$_" } 1 .. 101])->code_is(70402)
        for qw/ status_subscribe status_unsubscribe /;
    call($bob, 'status_subscribe')->code_is(70402);
};

subtest 'a reload of a page is no news' => sub {
    my $cat = $im->ws_login('cat');
    call($bob, 'status_subscribe', To_Account => ['cat'])->code_is(0);

    my $away;

    # again, if he was away for longer
    for (1 .. 6) {
        my $time = time;

        $cat->close->open;
        $cat->wslogin->code_is(0);
        my $slow = time - $time > 0.5;

        $away = grep { ($_->{UserStatusList}[0]{Status} // 0) == 2 }
                map { $bob->next_event('UserStatusList', 1.5) // {} } 1 .. 2;
        last unless $slow;
    }

    ok !$away, 'nobody hears that he was away';
    call($bob, 'status_unsubscribe', UnsubscribeAll => 1);
    $cat->wslogout;
};

subtest 'friends, and the limit of subscriptions' => sub {
    $im->users(map { "s$_" } 1 .. 4);
    add('bob', 's1', AddType => 'Add_Type_Single');

    my $s1 = $im->ws_login('s1');
    is_deeply [status($bob)], ['s1', 1, ''], 'a friend came';
    $s1->wslogout;
    status($bob);
    sns('friend_delete', 'bob', To_Account => ['s1']);

    call($bob, 'status_subscribe', To_Account => ["s$_"])->code_is(0)
        for 1 .. 4;

    $im->ws_login('s1');
    $bob->no_event('UserStatusList', 0.5, 'the oldest is given up');
    $im->ws_login('s4');
    is_deeply [status($bob)], ['s4', 1, ''], 'the newest is there';
};

done_testing;

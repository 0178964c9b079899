#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# What is left of an account's relations when it is deleted: nothing.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Sns;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0;');

sns_server($im);

my @many = map { "m$_" } 1 .. 120;
$im->users(qw/ ann bob cat dan eve /, @many);

add('ann', [qw/ bob cat /, @many], GroupName => 'g')->code_is(0);
add('dan', 'ann', AddType => 'Add_Type_Single');
allow('eve', 'NeedConfirm');
add('ann', 'eve');
sns('black_list_add', 'bob', To_Account => ['dan']);
sns('black_list_add', 'eve', To_Account => ['dan']);
sns('black_list_add', 'dan', To_Account => ['cat']);

my ($bob, $cat, $eve) = map { $im->ws_login($_) } qw/ bob cat eve /;

sub gone {
    my ($user) = @_;
    $im->rest('im_open_login_svc/account_delete',
              { DeleteItem => [{ UserID => $user }] })->code_is(0)
       ->json_is('/ResultItem/0/ResultCode', 0);
}


subtest 'friends and requests' => sub {
    gone('ann');
    is_deeply mod($bob, 2)->{FriendDel_Account}, ['ann'], 'friends are told';
    is_deeply mod($cat, 2)->{FriendDel_Account}, ['ann'], 'all of them';
    is_deeply mod($eve, 4)->{FrienPencydDel_Account}, ['ann'], 'request';

    ok $im->wait_for(sub { !%{ friends($many[-1]) } }), 'the last one too';
    is_deeply friends($_), {}, "$_ has no friend" for qw/ bob cat dan /;
    sns('friend_get', $_, StartIndex => 0)->json_is('/FriendNum', 0)
        for qw/ bob cat dan /;
    sns('pendency_get', 'eve', PendencyType => 'Pendency_Type_Both')
        ->json_is('/PendencyItem', []);
    is_deeply codes(add('bob', 'ann')), [30003], 'nobody to be added';
};

subtest 'the account made anew' => sub {
    $im->users('ann');
    sns('friend_get', 'ann', StartIndex => 0)->json_is('/FriendNum', 0)
        ->json_is('/StandardSequence', 0)->json_is('/UserDataItem', []);
    sns('group_get', 'ann')->json_is('/ResultItem', []);
    is_deeply codes(add('bob', 'ann')), [0], 'can be added';
};

subtest 'blacklists' => sub {
    gone('dan');
    is_deeply mod($bob, 6)->{BlackListDel_Account}, ['dan'], 'told';

    my $list = sub {
        return sns('black_list_get', $_[0], StartIndex => 0,
                   MaxLimited => 10)->json('/BlackListItem');
    };

    is_deeply $list->($_), [], "$_ lists nobody" for qw/ bob eve /;
    $im->users('dan');
    is_deeply $list->('dan'), [], 'a new dan lists nobody';
};

subtest 'online status' => sub {
    my $ws = $im->ws_login('eve');
    my $call = sub {
        return $_[0]->request("im_open_status.ws_$_[1]", $_[2])->code_is(0);
    };

    $call->($ws, 'set_custom_status', { CustomStatus => 'busy' });
    $call->($ws, 'status_subscribe', { To_Account => ['cat'] });
    gone('eve');
    $im->users('eve');
    $ws = $im->ws_login('eve');

    my $cat2 = $im->ws_login('cat');
    $call->($cat2, 'set_custom_status', { CustomStatus => 'x' });
    $ws->no_event('UserStatusList', 0.5, 'a new eve follows nobody');
    $call->($cat2, 'get_user_status', { To_Account => ['eve'] })
        ->json_is('/UserStatusList/0/CustomStatus', '');
};

done_testing;

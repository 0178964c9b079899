#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# State.StateChange: logins, logouts, lost connections, kicks, silence; and
# members of live rooms who are silent.

use strict;
use warnings;

use lib 't/lib';

use Mojo::JSON qw/ encode_json /;
use Test::IM;
use Test::IM::Raw;
use Test::IM::Receiver;
use Test::More;

my $app = Test::IM::Receiver->new->start;

my $conf = 'rate 0; web_instances 1; callback ' . $app->url
           . ' State.StateChange Group.CallbackOnMemberStateChange'
           . ' timeout=20s;';
my $port = Test::IM->free_port;

my $im = Test::IM->new->run(workers => 2, app => $conf,
    im => 'room_silence 500ms;',
    stream => "server { listen 127.0.0.1:$port; im_stream; }");

$im->users(qw/ ann bob cid dan /);

# [action, reason, user, kicked ...] of the first n requests
sub states {
    my ($n) = @_;

    my @list = $app->wait_requests('State.StateChange', $n);

    return [map {
        my $info = $_->{body}{Info};
        [@$info{qw/ Action Reason To_Account /},
         map { $_->{Platform} } @{ $_->{body}{KickedDevice} // [] }]
    } @list];
}

subtest 'login and logout' => sub {
    my $ann = $im->ws_login('ann');

    is_deeply states(1), [['Login', 'Register', 'ann']], 'login';

    my ($r) = $app->requests;
    is $r->{query}{OptPlatform}, 'Web', 'platform';
    is $r->{query}{ClientIP}, '127.0.0.1', 'address';
    like $r->{body}{EventTime}, qr/^\d{13}$/, 'EventTime';

    $ann->request('im_open_status.wslogout', {})->code_is(0);
    is_deeply states(2)->[1], ['Logout', 'Unregister', 'ann'], 'logout';

    $ann->tx->finish;
    sleep 1;
    is scalar @{ states(2) }, 2, 'nothing more';
};

subtest 'a connection that goes, and comes back' => sub {
    $app->clear;

    my $ann = $im->ws_login('ann');
    $ann->tx->finish;
    $ann->tick(sub { defined $ann->closed });

    is_deeply states(2), [['Login', 'Register', 'ann'],
                          ['Disconnect', 'LinkClose', 'ann']], 'lost';

    $ann->open;
    $ann->wslogin->code_is(0);
    is_deeply states(3)->[2], ['Login', 'Register', 'ann'], 'is back';
    $ann->request('im_open_status.wslogout', {})->code_is(0);
    states(4);
};

subtest 'kicked by another login' => sub {
    $app->clear;

    my $one = $im->ws_login('ann');
    my $two = $im->ws_login('ann');

    $one->next_event(sub { $_[0]{Event} == 10 });
    sleep 1;

    is_deeply states(2), [['Login', 'Register', 'ann'],
                          ['Login', 'Register', 'ann', 'Web']],
              'only the login is told';

    $im->rest('im_open_login_svc/kick', { Identifier => 'ann' })->code_is(0);
    is_deeply states(3)->[2], ['Logout', 'Unregister', 'ann'],
              'kicked by the administrator';
    $two->tx->finish;
};

subtest 'devices that are kicked' => sub {
    for ([2, 'Android'], [3, 'iOS'], [13, 'iPad'], [1, 'Windows'], [4, 'Mac'])
    {
        my ($platform, $name) = @$_;

        $app->clear;
        my @ws = map { $im->ws_login('dan', platform => $platform) } 1, 2;
        is_deeply states(2), [['Login', 'Register', 'dan'],
                              ['Login', 'Register', 'dan', $name]], $name;
        $ws[1]->request('im_open_status.wslogout', {})->code_is(0);
        states(3);
    }
};

subtest 'members of a live room' => sub {
    my $gid = $im->group(Type => 'AVChatRoom', owner => 'ann');
    my $command = 'Group.CallbackOnMemberStateChange';
    my $bob = $im->ws_login('bob');
    my $join = sub {
        $bob->request('group_open_http_svc.apply_join_group',
                      { GroupId => $gid })->code_is(0);
    };

    my $told = sub {
        my ($n) = @_;
        my @list = $app->wait_requests($command, $n);
        return [map { $_->{body}{EventType} } @list];
    };

    $join->();
    $bob->cut;

    is_deeply $told->(1), ['Offline'], 'silent';

    my ($r) = $app->requests($command);
    like delete $r->{body}{EventTime}, qr/^\d{13}$/, 'EventTime';
    is_deeply $r->{body}, { CallbackCommand => $command, GroupId => $gid,
        EventType => 'Offline', MemberList => [{ Member_Account => 'bob' }] },
        'members of the body';
    is $r->{raw}, "SdkAppid=1400000001&CallbackCommand=$command"
                  . '&contenttype=json', 'no address, no platform';

    $bob = $im->ws_login('bob');
    $join->();
    is_deeply $told->(2), [qw/ Offline Online /], 'back';

    $bob->request('group_open_http_svc.quit_group', { GroupId => $gid })
        ->code_is(0);
    $join->();
    $bob->cut;
    is_deeply $told->(3), [qw/ Offline Online Offline /],
              'one who has quit is not silent';
};

subtest 'guests of live rooms' => sub {
    my $gid = $im->group(Type => 'AVChatRoom', owner => 'ann');
    my $guest = $im->ws;

    $app->clear;
    $guest->request('group_open_http_noauth_svc.apply_join_group',
                    { GroupId => $gid })->code_is(0);
    $guest->cut;

    my $ann = $im->ws_login('ann');
    is_deeply states(1), [['Login', 'Register', 'ann']], 'are not told of';
    $ann->request('im_open_status.wslogout', {})->code_is(0);
    states(2);
};

subtest 'a connection on which nothing comes' => sub {
    $im->reload(app => "$conf ws_timeout 2s;");
    $app->clear;

    my $tcp = Test::IM::Raw->new($port);
    $tcp->write(pack 'N/a*', encode_json({
        head => { servcmd => 'im_open_status.wslogin', seq => 7,
                  identifier => 'ann', usersig => $im->usersig('ann'),
                  sdkappid => $im->app_id, platform => 2 },
        body => { State => 'Online' } }));

    is_deeply states(2), [['Login', 'Register', 'ann'],
                          ['Disconnect', 'TimeOut', 'ann']], 'over TCP';

    $app->clear;
    my $cid = $im->ws_login('cid');
    is_deeply states(2), [['Login', 'Register', 'cid'],
                          ['Disconnect', 'LinkClose', 'cid']],
              'of the web: as one that is closed';

    $im->reload(app => "$conf ws_timeout 2s; state_callback_style 2018;");
    $app->clear;
    my $dan = $im->ws_login('dan');
    is_deeply states(2), [['Login', 'Register', 'dan'],
                          ['Logout', 'LinkClose', 'dan']], 'style of 2018';
};

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Rooms of two apps have the same numbers: guests of one are not those of
# the other, and each room's end is its own, and what polls get.

use Mojo::Base -strict, -signatures;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Test::IM;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $key = 'another key, of 64 characters or so, for the second app -------';

my $im = Test::IM->new->run(im => "app 1400000002 { key \"$key\"; }");
my $second = Test::IM->new(app_id => 1400000002, key => $key,
                           dir => $im->dir, port => $im->port);

for my $app ($im, $second) {
    $app->group(Type => 'AVChatRoom', GroupId => "r$_", Name => 'room')
        for 1 .. 4;
}

sub guest ($app, $gid) {
    my $s = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                  PeerPort => $im->port) or die $!;

    print $s 'GET /rooms/' . $app->app_id . "/$gid/events HTTP/1.1\r\n"
             . "Host: localhost\r\n\r\n";

    my $guest = { s => $s, text => '' };
    comes($guest, qr/retry/) or die 'no events';

    return $guest;
}

# whether that comes within some seconds, after what was found before
sub comes ($guest, $pattern) {
    my $end = time + 30;

    while ($guest->{text} !~ s/^.*?$pattern//s) {
        return 0 if time > $end;

        vec(my $bits = '', fileno $guest->{s}, 1) = 1;
        next if !select $bits, undef, undef, 0.1;

        sysread $guest->{s}, $guest->{text}, 8192, length $guest->{text}
            or return 0;
    }

    return 1;
}

subtest 'guests come and go' => sub {
    my @pids = $im->worker_pids;

    # in this order, the tree of rooms turns
    my $one = guest($im, 'r1');
    my $two = guest($second, 'r1');
    my $three = guest($im, 'r3');
    my $more = guest($im, 'r1');

    ok comes($more, qr/"OnlineMemberNum":2\b/), 'two in the room';
    ok comes($two, qr/"OnlineMemberNum":1\b/), "one in the other app's";

    close $one->{s};
    ok comes($more, qr/"OnlineMemberNum":1\b/), 'one left';

    close $_->{s} for $more, $two, $three;
    sleep 2.5;

    is join(' ', $im->worker_pids), "@pids", 'the worker lives';
};

sub call ($app, $path, $body) {
    my @none = qw/ identifier usersig random contenttype /;

    return $app->rest('', $body, path => "/v1/$path",
                      query => { map { $_ => undef } @none });
}

subtest 'polls at the same number' => sub {
    my @apps = ($im, $second);
    my $get = 'group_open_long_polling_http_noauth_svc/get_msg';

    my @keys = map {
        call($_, 'group_open_http_noauth_svc/apply_join_group',
             { GroupId => 'r4' })->json('/LongPollingKey')
    } @apps;

    for my $app (@apps) {
        $app->rest('group_open_http_svc/send_group_msg', {
            GroupId => 'r4', Random => 1, MsgBody => [{
                MsgType => 'TIMTextElem',
                MsgContent => { Text => 'app ' . $app->app_id } }]
        })->code_is(0);
    }

    for my $n (0, 1, 0, 1) {
        my $list = call($apps[$n], $get, { Key => $keys[$n] })
                       ->json('/RspMsgList');

        is @$list, 1, 'one message';
        is $list->[0]{MsgBody}[0]{MsgContent}{Text},
            'app ' . $apps[$n]->app_id, 'of this app';

        call($apps[$n], $get, { Key => $keys[1 - $n] })->status_is(403);
    }
};

done_testing;

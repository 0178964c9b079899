#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# After-callbacks with retry=on: kept while the receiver is down, over a
# reload, over kill -9 of a worker and of everything; in order; the limit.

use strict;
use warnings;

use lib 't/lib';

use Mojo::IOLoop;
use Test::IM;
use Test::IM::Receiver;
use Test::More;
use Time::HiRes qw/ time sleep /;

my $c2c = 'C2C.CallbackAfterSendMsg';
my $group = 'Group.CallbackAfterSendMsg';
my $state = 'State.StateChange';

my $app = Test::IM::Receiver->new->start;
my $conf = 'rate 0; callback ' . $app->url . ' all retry=on timeout=20s;';
my $im = Test::IM->new->run(workers => 2, app => $conf);

my @names = map { "u$_" } 1 .. 4;
$im->users(@names, qw/ ann bob /);

my @groups = map { $im->group(Type => 'Public', GroupId => "g$_",
                              owner => 'ann') } 1 .. 3;
my $random = 1;

sub text { [{ MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } }] }

sub msg {
    my ($from, $text) = @_;

    $im->rest('openim/sendmsg', {
        From_Account => $from, To_Account => 'bob', MsgRandom => $random++,
        MsgBody => text($text) })->code_is(0);
}

sub post {
    my ($gid, $text) = @_;

    $im->rest('group_open_http_svc/send_group_msg', {
        GroupId => $gid, From_Account => 'ann', Random => $random++,
        MsgBody => text($text) })->code_is(0);
}

sub texts { map { $_->{body}{MsgBody}[0]{MsgContent}{Text} } @_ }

# each delivery once
sub once {
    my %seen;

    return grep { !$seen{ $_->{headers}{'X-Im-Delivery'}
                          // $_->{headers}{'X-IM-Delivery'} }++ } @_;
}

sub empty { $im->wait_for(sub { $im->metric('im_outbox_waiting') == 0 }, 60) }

subtest 'events' => sub {
    $app->wait_requests('Group.CallbackAfterCreateGroup', 3);
    $app->clear;

    msg('ann', "c$_") for 1 .. 5;
    post($_, "m1") for @groups;
    post($_, "m2") for @groups;

    my @list = $app->wait_requests($c2c, 5);
    is_deeply [texts(@list)], [map { "c$_" } 1 .. 5], 'in order';
    is scalar(once(@list)), 5, 'with numbers of their own';
    like $list[0]{headers}{'X-IM-Delivery'} // $list[0]{headers}
         {'X-Im-Delivery'}, qr/^[0-9a-f]{32}$/, 'of 32 digits';
    is $list[0]{body}{SendMsgResult}, 0, 'SendMsgResult';

    @list = $app->wait_requests($group, 6);

    for my $gid (@groups) {
        my @of = grep { $_->{body}{GroupId} eq $gid } @list;

        is_deeply [texts(@of)], [qw/ m1 m2 /], "$gid: in order";
        is $of[1]{body}{MsgSeq}, $of[0]{body}{MsgSeq} + 1, 'MsgSeq';
        cmp_ok $of[0]{body}{MsgTime}, '>', 1600000000, 'MsgTime';
    }
};

subtest 'what has no commit' => sub {
    my $ws = $im->ws_login('ann');
    my ($r) = $app->wait_requests($state, 1);
    is $r->{body}{Info}{Action}, 'Login', 'login';
    ok $r->{headers}{'X-IM-Delivery'} // $r->{headers}{'X-Im-Delivery'},
       'is kept, too';
    $ws->close if $ws->can('close');
};

subtest 'the receiver is down' => sub {
    $app->clear;
    $app->answer($_ => {}, status => 500) for $c2c, $group;

    msg('ann', "d$_") for 1 .. 3;
    post('g1', 'd1');

    ok $im->wait_for(sub { $im->metric('im_outbox_waiting') >= 4 }), 'kept';

    my @tries = $app->wait_requests($c2c, 3);
    is_deeply [sort { $a cmp $b } keys %{{ map { $_ => 1 } texts(@tries) }}],
              ['d1'], 'the first one is tried again, and no other';
    is scalar(once(@tries)), 1, 'as the same delivery';

    $app->clear;

    my @list = $app->wait_requests($c2c, 3);
    is_deeply [texts(@list)], [qw/ d1 d2 d3 /], 'all come, in order';
    is scalar(my @g = $app->wait_requests($group, 1)), 1, 'of groups, too';
    ok empty(), 'nothing is left';
};

subtest 'a reload' => sub {
    $app->clear;
    $app->answer($c2c => {}, delay => 0.2);

    msg('ann', "r$_") for 1 .. 6;
    $im->reload;
    msg('ann', "r$_") for 7 .. 9;

    $app->wait_requests($c2c, 9);
    ok empty(), 'nothing is left';
    is_deeply [texts(once($app->requests($c2c)))], [map { "r$_" } 1 .. 9],
              'all come, in order';
};

# Each sender repeats a message until it is acknowledged, then the next one.

my %acked;

sub load {
    my ($n, $at, $kill) = @_;

    my $ua = Mojo::UserAgent->new->connect_timeout(3)->request_timeout(6);
    my $all = 0;
    my $send;

    $send = sub {
        my ($who, $i, $rand) = @_;

        my $is_group = $who =~ /^g/;
        my $command = $is_group ? 'group_open_http_svc/send_group_msg'
                                : 'openim/sendmsg';
        my $body = $is_group
            ? { GroupId => $who, From_Account => 'ann', Random => $rand,
                MsgBody => text("$who-$i") }
            : { From_Account => $who, To_Account => 'bob', MsgSeq => $i,
                MsgRandom => $rand, MsgBody => text("$who-$i") };

        $ua->post($im->url("/v4/$command", sdkappid => $im->app_id,
                identifier => $im->admin, random => 1, contenttype => 'json',
                usersig => $im->usersig($im->admin)),
            json => $body, sub {
                my ($ua, $tx) = @_;

                my $json = eval { $tx->res->json };

                if (!$json || $json->{ErrorCode} != 0) {
                    Mojo::IOLoop->timer(0.1 => sub {
                        $send->($who, $i, $rand) });
                    return;
                }

                push @{ $acked{$who} }, "$who-$i";
                $all++;
                $send->($who, $i + 1, $random++) if $i < $n;
            });
    };

    %acked = ();
    $send->($_, 1, $random++) for @names, @groups;

    my $end = time + 120;
    Mojo::IOLoop->recurring(0.1 => sub { });

    while ($all < $n * (@names + @groups) && time < $end) {
        Mojo::IOLoop->one_tick;

        if ($all >= $at) {
            $kill->();
            $at = $n * 100;
        }
    }

    is $all, $n * (@names + @groups), 'all are sent';
}

sub check {
    my %seen;
    my $total = 0;

    $total += @$_ for values %acked;

    my $done = $im->wait_for(sub {
        my @list = texts($app->requests($c2c), $app->requests($group));
        return keys %{{ map { $_ => 1 } @list }} >= $total;
    }, 90);

    ok $done, 'each event has come';

    my %got;

    for my $r ($app->requests($c2c), $app->requests($group)) {
        my ($text) = texts($r);
        my ($who) = $text =~ /^(\w+)-/;
        push @{ $got{$who} }, $text unless $seen{$text}++;
    }

    is_deeply $got{$_}, $acked{$_}, "$_: in order" for sort keys %acked;
    ok empty(), 'nothing is left';
}

subtest 'kill -9 of workers' => sub {
    $app->clear;

    my $pid = ($im->worker_pids)[0];

    $im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);

    load(15, 40, sub { kill KILL => $pid });
    check();
};

subtest 'kill -9 of everything' => sub {
    $app->clear;
    $app->answer($_ => {}, delay => 0.05) for $c2c, $group;

    load(15, 60, sub {
        $im->kill9_all;
        $im->start;
    });

    check();
};

subtest 'sent, but not removed' => sub {
    plan skip_all => 'fault points need nginx --with-debug'
        unless Test::IM::with_debug();

    $app->clear;
    $im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);
    $im->reload(im => 'fault outbox_sent 3;');
    $app->answer($c2c => {}, delay => 0.2);

    msg('ann', "f$_") for 1 .. 4;

    ok $im->wait_for(sub { once($app->requests($c2c)) >= 4 }), 'all come';
    ok empty(), 'nothing is left';

    my @list = $app->requests($c2c);
    is_deeply [texts(once(@list))], [qw/ f1 f2 f3 f4 /], 'in order';
    cmp_ok scalar(@list), '>', 4, 'some twice, as the same delivery';

    $im->reload(im => '');
};

subtest 'the limit' => sub {
    $im->reload(app => "$conf outbox_max 5;");
    $app->clear;
    $app->answer($c2c => {}, status => 500);

    msg('ann', "l$_") for 1 .. 12;

    ok $im->wait_for(sub {
        $im->metric('im_outbox_events_total{result="dropped"}') >= 7
        && $im->metric('im_outbox_waiting') == 5 }), 'the oldest go';
    $im->log_like(qr/outbox of app \d+ is full, its \d+ oldest events/);

    $app->clear;
    $app->wait_requests($c2c, 5);
    ok empty(), 'nothing is left';
    is_deeply [texts(once($app->requests($c2c)))], [map { "l$_" } 8 .. 12],
              'the newest come';
};

done_testing;

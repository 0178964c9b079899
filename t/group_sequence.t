#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Many senders at once, across a reload and the death of a worker: MsgSeq from
# 1 on without a gap, each message once, in one order for all who read.
# IM_TEST_MESSAGES: of each sender.

use strict;
use warnings;

use lib 't/lib';

use Mojo::Promise;
use Test::IM;
use Test::More;

my $senders = 20;
my $count = $ENV{IM_TEST_MESSAGES} // 40;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0; group_rate 0;
    group_rate_normal 0; group_rate_low 0; group_rate_lowest 0;');
my $svc = 'group_open_http_svc';

my @users = map { "u$_" } 1 .. $senders;

$im->users(@users);

my $gid = $im->group(Type => 'Public', owner => 'u1',
                     members => [@users[1 .. $#users]]);

my (%seq, $retries);

# what is done when so many were answered
my @plan;

# A sender repeats what was not answered, with the same Random.
sub one {
    my ($user, $i, $tries) = @_;

    my $url = $im->url("/v4/$svc/send_group_msg", sdkappid => $im->app_id,
        identifier => $im->admin, usersig => $im->usersig($im->admin),
        random => 1, contenttype => 'json');

    return $im->ua->post_p($url => json => {
        GroupId => $gid, From_Account => $user, Random => $i,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => "$user $i" } }]
    })->then(sub {
        my $json = shift->res->json;

        die 'no answer' unless $json && $json->{ErrorCode} == 0;
        $seq{"$user $i"} = $json->{MsgSeq};
        (shift @plan)->[1]->() while @plan && keys %seq >= $plan[0][0];
    })->catch(sub {
        $retries++;
        die "u: $_[0]" if $tries > 50;

        return Mojo::Promise->timer(0.1)->then(sub {
            return one($user, $i, $tries + 1);
        });
    });
}

sub sender {
    my ($user, $i, $last) = @_;

    return if $i > $last;
    return one($user, $i, 0)->then(sub { sender($user, $i + 1, $last) });
}

my $failed;

sub all_send {
    my ($from, $to) = @_;

    Mojo::Promise->all(map { sender($_, $from, $to) } @users)
        ->catch(sub { $failed = "@_" })->wait;
}

sub kill_at {
    push @plan, [shift() * $senders => sub {
        $im->allow_log(qr/exited on signal 9|zone .* was locked/);
        kill KILL => ($im->worker_pids)[0];
    }];
}

# Members who are connected: before the reload, and when a worker dies.

my @readers = map { $im->ws_login($_) } qw/ u1 u2 u3 /;
my $half = int($count / 2);

# As the SDK: who is silent for ws_timeout is closed.

Mojo::IOLoop->recurring(10 => sub {
    for my $ws (grep { !defined $_->closed } @readers) {
        $ws->send_request('im_open_status.wshello');
        $ws->answers({});
    }
});

push @plan, [2 * $senders => sub { kill HUP => $im->master_pid }];
kill_at($half * 0.6);
all_send(1, $half);

push @readers, map { $im->ws_login($_) } qw/ u4 u5 u6 u7 u8 u9 /;
kill_at($half + int($count / 8));
all_send($half + 1, $half + int($count / 4));

# Nothing ends these.

push @readers, map { $im->ws_login($_) } qw/ u11 u12 u13 /;
all_send($half + int($count / 4) + 1, $count);

is $failed, undef, 'all were answered';

my $total = $senders * $count;

is_deeply [sort { $a <=> $b } values %seq], [1 .. $total],
    "1 to $total, each once";

my %text;

for (my $from = $total; $from > 0; $from -= 20) {
    my $list = $im->rest("$svc/group_msg_get_simple", { GroupId => $gid,
        ReqMsgSeq => $from, ReqMsgNumber => 20 })->json('/RspMsgList') // [];

    $text{ $_->{MsgSeq} } = $_->{MsgBody}[0]{MsgContent}{Text} for @$list;
}

is_deeply { map { $seq{$_} => $_ } keys %seq }, \%text,
    'and the history has them so';
is $im->group_info($gid)->{NextMsgSeq}, $total + 1, 'NextMsgSeq';

# Who comes again has the history for what he has missed.

push @readers, $im->ws_login('u10');
$im->rest("$svc/send_group_msg", { GroupId => $gid, From_Account => 'u1',
    Random => 0, MsgBody => [{ MsgType => 'TIMTextElem',
        MsgContent => { Text => 'last' } }] })
   ->code_is(0)->json_is('/MsgSeq', $total + 1);
$text{ $total + 1 } = 'last';

my $whole = 0;

for my $ws (@readers) {

    my @items;

    while (my $event = $ws->next_event('GroupMsgArray', 30)) {
        push @items, @{ $event->{GroupMsgArray} };
        last if $items[-1]{MsgSeq} == $total + 1;
    }

    my ($first, $n, $wrong) = (@items ? $items[0]{MsgSeq} : 0, 0, 0);

    for my $item (@items) {
        $wrong++ if $item->{MsgSeq} != $first + $n++
                    || $item->{MsgBody}[0]{MsgContent}{Text}
                       ne $text{ $item->{MsgSeq} };
    }

    is $wrong, 0, "a reader of $n messages from $first on has the same order";
    ok defined $ws->closed || @items && $items[-1]{MsgSeq} == $total + 1,
        'and all of them, as long as he is connected';
    $whole++ unless defined $ws->closed;

    # by the reload, or with his worker
    like $ws->closed // 'open', qr/^(?:open|1012|1006)$/, 'and is he still?';
}

ok $whole > 0, "$whole readers stayed";

note $retries // 0, ' sends were repeated';

$im->finish;
done_testing;

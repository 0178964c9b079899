#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Many senders at once, across a reload and the death of a worker: MsgSeq from
# 1 on without a gap, each message once.  IM_TEST_MESSAGES: of each sender.

use strict;
use warnings;

use lib 't/lib';

use Mojo::Promise;
use Test::IM;
use Test::More;

my $senders = 20;
my $count = $ENV{IM_TEST_MESSAGES} // 25;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0; group_rate 0;
    group_rate_normal 0; group_rate_low 0; group_rate_lowest 0;');
my $svc = 'group_open_http_svc';

my @users = map { "u$_" } 1 .. $senders;

$im->users(@users);

my $gid = $im->group(Type => 'Public', owner => 'u1',
                     members => [@users[1 .. $#users]]);

my (%seq, $retries);

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
    })->catch(sub {
        $retries++;
        die "u: $_[0]" if $tries > 50;

        return Mojo::Promise->timer(0.1)->then(sub {
            return one($user, $i, $tries + 1);
        });
    });
}

sub sender {
    my ($user, $i) = @_;

    return if $i > $count;
    return one($user, $i, 0)->then(sub { sender($user, $i + 1) });
}

my $failed;

Mojo::IOLoop->timer(0.3 => sub { kill HUP => $im->master_pid });
Mojo::IOLoop->timer(1.2 => sub {
    $im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);
    kill KILL => ($im->worker_pids)[0];
});

Mojo::Promise->all(map { sender($_, 1) // Mojo::Promise->resolve } @users)
    ->catch(sub { $failed = "@_" })->wait;

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

note $retries // 0, ' sends were repeated';

$im->finish;
done_testing;

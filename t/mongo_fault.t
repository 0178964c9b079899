#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# The MongoDB server dies and comes back under load: what was acknowledged can
# be read, nothing is there twice, numbers have no holes, and commands answer
# in time meanwhile.

use strict;
use warnings;

use lib 't/lib';

use Mojo::Promise;
use Test::IM;
use Test::IM::Mongo;
use Test::More;
use Time::HiRes qw/ time /;

Test::IM::Mongo->skip;

my $senders = 8;
my $svc = 'group_open_http_svc';
my $im = Test::IM->new;
my $mongo = Test::IM::Mongo->new(port => $im->free_port)->start;

my $im_block = <<"END";
im {
    zone 16m;
    bus 8m;
    store @{[ $mongo->uri ]};
    drain_time 500ms;

    app 1400000001 {
        key "@{[ $im->key ]}";
        rate 0; group_rate 0; group_rate_normal 0; group_rate_low 0;
        group_rate_lowest 0;
    }
}
END

$im->run(workers => 2, im_block => $im_block);

my @users = map { "u$_" } 1 .. $senders;

$im->users(@users);

my $gid = $im->group(Type => 'Public', owner => 'u1',
                     members => [@users[1 .. $#users]]);

my (%acked, %order, $slowest, %codes, $stop);

$slowest = 0;

# Each sends one message after another, to the group and to the next user; a
# message is repeated until it is acknowledged.
sub send_one {
    my ($k, $i) = @_;

    my $start = time;
    my $group = $i % 2;
    my $text = "$k $i";
    my $body = [{ MsgType => 'TIMTextElem', MsgContent => { Text => $text } }];

    my $command = $group ? "$svc/send_group_msg" : 'openim/sendmsg';
    my $url = $im->url("/v4/$command",
        sdkappid => $im->app_id, identifier => $im->admin,
        usersig => $im->usersig($im->admin), random => 1,
        contenttype => 'json');

    return $im->ua->post_p($url => json => {
        $group ? (GroupId => $gid, Random => $i)
               : (To_Account => $users[($k + 1) % @users], MsgRandom => $i,
                  MsgSeq => $i),
        From_Account => $users[$k], MsgBody => $body
    })->then(sub {
        my $json = shift->res->json;
        my $code = $json ? $json->{ErrorCode} : 'none';
        my $took = time - $start;

        $slowest = $took if $took > $slowest;
        $codes{$code}++;

        if ($code eq '0') {
            $acked{$text} = $group ? $json->{MsgSeq} : 0;
            return 1;
        }

        return 0;
    });
}

sub sender {
    my ($k, $i, $last) = @_;

    return if $stop && $last;

    return send_one($k, $i)->then(sub {
        my ($ok) = @_;

        return sender($k, $i + 1, 1) if $ok;
        return Mojo::Promise->timer(0.1)->then(sub { sender($k, $i, 0) });
    });
}

my $before;

# when what is awaited has come, and some seconds later, the next step
my @steps = (
    [1, sub { keys %acked > $senders },
     sub { $before = keys %acked; $mongo->kill9 }],
    [5, sub { $im->metric('im_store_breaker_opened_total') },
     sub { $mongo->start }],
    [3, sub { keys %acked > $before + 2 * $senders },
     sub { $mongo->kill9; $mongo->start }],
    [3, sub { 1 }, sub { $stop = 1 }],
);
my $since = time;

Mojo::IOLoop->recurring(0.5 => sub {
    return if !@steps || time - $since < $steps[0][0] || !$steps[0][1]->();
    (shift @steps)->[2]->();
    $since = time;
});

my $failed;

Mojo::Promise->all(map { sender($_, 1, 1) } 0 .. $#users)
    ->catch(sub { $failed = "@_" })->wait;

is $failed, undef, 'all was acknowledged in the end';
cmp_ok $before, '>', 0, 'some before the server died';
cmp_ok scalar keys %acked, '>', $before + $senders, 'and after it came back';
# a call has three seconds, the server may take more to start
cmp_ok $slowest, '<', 30, 'no command waited longer';
cmp_ok scalar(keys %codes), '>', 1, 'there were error codes meanwhile';
note join ' ', map { "$_:$codes{$_}" } sort keys %codes;
note sprintf '%d messages, slowest %.1f s', scalar keys %acked, $slowest;

# the group: contiguous, once, in each sender's order

my $next = $im->group_info($gid)->{NextMsgSeq};
my (%text, %last);

for (my $from = $next - 1; $from > 0; $from -= 20) {
    my $list = $im->rest("$svc/group_msg_get_simple", { GroupId => $gid,
        ReqMsgSeq => $from, ReqMsgNumber => 20 })->json('/RspMsgList') // [];

    $text{ $_->{MsgSeq} } = $_->{MsgBody}[0]{MsgContent}{Text} for @$list;
}

is_deeply [sort { $a <=> $b } keys %text], [1 .. $next - 1],
    'numbers from 1 on';

my %group = map { $_ => $acked{$_} } grep { $acked{$_} } keys %acked;

is_deeply { reverse %text }, \%group,
    'the group has what was acknowledged, under its number, once';

my $disorder = 0;

for my $seq (sort { $a <=> $b } keys %text) {
    my ($k, $i) = split / /, $text{$seq};
    $disorder++ if $i < ($last{$k} // 0);
    $last{$k} = $i;
}

is $disorder, 0, 'in the order of each sender';

# C2C

my %c2c;

for my $k (0 .. $#users) {
    my $to = $users[($k + 1) % @users];
    my $time = 0;
    my $key;

    for ( ;; ) {
        my $reply = $im->rest('openim/admin_getroammsg', {
            From_Account => $users[$k], To_Account => $to, MaxCnt => 100,
            MinTime => 0, MaxTime => $time || int(time) + 9,
            defined $key ? (LastMsgKey => $key) : () });
        $reply->code_is(0) if $reply->code;

        $c2c{ $_->{MsgBody}[0]{MsgContent}{Text} }++
            for grep { $_->{From_Account} eq $users[$k] }
                @{ $reply->json('/MsgList') };

        last if $reply->json('/Complete');
        $time = $reply->json('/LastMsgTime');
        $key = $reply->json('/LastMsgKey');
    }
}

is_deeply \%c2c, { map { $_ => 1 } grep { !$acked{$_} } keys %acked },
    'each C2C message once';

like $im->get('/metrics')->text, qr/^im_store_breaker_opened_total [1-9]/m,
     'the breaker was open';
is $im->metric('im_store_breaker_open'), 0, 'and is not any more';

# The server would keep what the transaction has written from all others for a
# minute, and a command has three seconds.

subtest 'a worker dies in a transaction' => sub {
    plan skip_all => 'needs a build --with-debug'
        unless Test::IM::with_debug();

    $im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);
    $im->reload(im_block => $im_block =~ s/\{\n/{\n    fault mid_batch 2;\n/r);

    my $add = sub {
        return $im->rest('sns/friend_add', { From_Account => 'u1',
            AddFriendItem => [{ To_Account => 'u2',
                                AddSource => 'AddSource_Type_Web' }] });
    };

    ok !defined $add->()->code, 'no answer';
    $im->log_like(qr/transactions of a worker that has died were ended/);

    $add->()->code_is(0)->json_is('/ResultItem/0/ResultCode', 0);
};

$im->finish;
done_testing;

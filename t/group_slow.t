#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A member who does not read for a while gets everything afterwards: messages
# of two groups in order and once, recalls and modifications of what he had
# before.

use strict;
use warnings;

use lib 't/lib';

use Socket qw/ SOL_SOCKET SO_RCVBUF /;
use Test::IM;
use Test::More;

# on the second port the system takes little for a client

my $im = Test::IM->new;
my $port = $im->free_port;

$im->run(workers => 2, app => 'rate 0; group_rate 0; group_rate_normal 0;',
         server => "listen 127.0.0.1:$port sndbuf=16k;");

my $svc = 'group_open_http_svc';
my $n = 0;
my $random = 1;

$im->users(qw/ ann bob cid /);

my $gid = $im->group(Type => 'Public', owner => 'ann',
                     members => [qw/ bob cid /]);
my $small = $im->group(Type => 'Private', owner => 'ann', members => ['bob']);

sub message {
    my ($gid, $text) = @_;

    my $reply = $im->rest("$svc/send_group_msg", { GroupId => $gid,
        From_Account => 'ann', Random => $random++, MsgBody => [{
            MsgType => 'TIMTextElem', MsgContent => { Text => $text } }] });

    $reply->code_is(0, $text) if ($reply->code // -1) != 0;
    return $reply->json('/MsgSeq');
}

my $first = $im->port;
$im->port($port);
my $bob = $im->ws_login('bob');
$im->port($first);

my $stream = Mojo::IOLoop->stream($bob->tx->connection);

sub buffer {
    setsockopt $stream->handle, SOL_SOCKET, SO_RCVBUF, shift
        or die "setsockopt: $!";
}

buffer(8192);

my @early = map { message($gid, $_) } 'recalled', 'modified';

is $bob->next_event('GroupMsgArray')->{GroupMsgArray}[0]{MsgSeq}, $_,
    "message $_" for @early;

$stream->stop;

# until he is behind: who takes nothing for 30 seconds is closed

my $behind;

for (1 .. 30) {
    for (1 .. 10) {
        $n++;
        message($gid, "$n " . join '', map { chr 33 + rand 90 } 1 .. 8000);
    }

    message($small, "s$n");
    last if $behind;
    $behind = $im->metric('im_resyncs_total');
}

ok $behind, "he is behind after $n messages";

$im->rest("$svc/group_msg_recall", { GroupId => $gid,
    MsgSeqList => [{ MsgSeq => $early[0] }] })->code_is(0);
$im->ws_login('ann')->request('openim.modify_group_msg', { GroupId => $gid,
    MsgSeq => $early[1], MsgBody => [{ MsgType => 'TIMTextElem',
        MsgContent => { Text => 'new' } }] })->code_is(0);
$im->ws_login('cid')->request('group_open_http_svc.send_group_msg', {
    GroupId => $gid, Random => 1, MsgBody => [{ MsgType => 'TIMTextElem',
        MsgContent => { Text => 'last' } }] })->code_is(0);

buffer(1048576);
$stream->start;

my (%got, $count);

while (($count // 0) < $n + 1 + $n / 10) {
    my $event = $bob->next_event('GroupMsgArray') or last;

    for (@{ $event->{GroupMsgArray} }) {
        push @{ $got{ $_->{ToGroupId} } }, $_->{MsgSeq};
        $count++;
    }
}

is "@{ $got{$gid} }", join(' ', 3 .. $n + 3), 'all came, in order, once';
is "@{ $got{$small} }", join(' ', 1 .. $n / 10), 'of the other group, too';

my $recall = $bob->next_event(sub { $_[0]{GroupTips}
    && $_[0]{GroupTips}[0]{MsgBody}{GroupWithdrawInfoArray} });
is $recall->{GroupTips}[0]{MsgBody}{GroupWithdrawInfoArray}[0]{MsgSeq},
    $early[0], 'the recall';

my $modified = $bob->next_event('GroupMsgModNotifys');
is $modified->{GroupMsgModNotifys}[0]{MsgSeq}, $early[1],
    'the modification';
is $modified->{GroupMsgModNotifys}[0]{MsgBody}[0]{MsgContent}{Text}, 'new',
    'the new text';

ok !defined $bob->closed, 'he is still connected';
$bob->no_event('GroupMsgArray', 0.3, 'nothing twice');

message($gid, 'after');
is $bob->next_event('GroupMsgArray')->{GroupMsgArray}[0]{MsgSeq}, $n + 4,
    'the next one comes as always';

$im->finish;
done_testing;

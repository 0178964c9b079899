#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Nobody knows whether a message was stored: who repeats it in a later time
# window gets the time of the first attempt, so both have the same key and one
# of them at most is stored.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

plan skip_all => 'needs nginx --with-debug' unless Test::IM->with_debug;

my $svc = 'group_open_http_svc';
my $im = Test::IM->new->run(workers => 2,
    app => 'rate 0; dedup_c2c 1s; dedup_group 1s;',
    im => join '', map { "fault message_commit $_;" } 1 .. 6);

$im->users(qw/ ann bob carl /);

my $gid = $im->group(Type => 'Public', owner => 'ann', members => ['bob']);
my $random = 1;

sub message {
    my ($text, @more) = @_;

    return { @more, From_Account => 'ann', MsgBody => [{
        MsgType => 'TIMTextElem', MsgContent => { Text => $text } }] };
}

sub c2c {
    return ['openim/sendmsg', message(@_, To_Account => 'bob',
                                      MsgRandom => $random++)];
}

# into another time window
sub later {
    my $now = time;

    $im->wait_for(sub { time > $now + 1 });
}

sub when {
    my ($reply) = @_;

    return $reply->json('/MsgTime')
           // ($reply->json('/MsgKey') =~ /_(\d+)$/)[0];
}

sub stored {
    my ($text, $to, $n) = @_;
    my $reply = $im->rest('openim/admin_getroammsg', {
        From_Account => 'ann', To_Account => $to, MaxCnt => 100,
        MinTime => 0, MaxTime => time + 9 })->code_is(0);

    is scalar(grep { $_->{MsgBody}[0]{MsgContent}{Text} eq $text }
              @{ $reply->json('/MsgList') }), $n, "stored, $n";
}

my $twice = c2c('twice', MsgSeq => 5);
my $known = c2c('known', MsgSeq => 6);
my $plain = c2c('plain');
my $batch = ['openim/batchsendmsg', message('batch', MsgSeq => 7,
    MsgRandom => $random++, To_Account => [qw/ bob carl /])];
my $group = ["$svc/send_group_msg", message('group', GroupId => $gid,
    Random => $random++)];

$im->rest(@$_)->code_is(91000) for $twice, $known, $plain, $batch;
$im->rest(@$group)->code_is(10002);

my $failed = time;

later();
$im->rest(@$twice)->code_is(91000);

for ($known, $plain, $batch, $group) {
    cmp_ok when($im->rest(@$_)->code_is(0)), '<=', $failed,
           'the time of the first attempt';
}

later();
cmp_ok when($im->rest(@$twice)->code_is(0)), '<=', $failed,
       'after two attempts, too';

stored($_, 'bob', 1) for qw/ twice known plain batch /;
stored('batch', 'carl', 1);
is $im->group_info($gid)->{NextMsgSeq}, 2, 'one message of the group';

# of what is known to be stored, the time windows count

my $now = time;

for ($known, $plain, $batch) {
    cmp_ok when($im->rest(@$_)->code_is(0)), '>=', $now, 'a new message';
}

stored($_, 'bob', 2) for qw/ known plain batch /;

$im->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A worker dies between the commit of a C2C message and its hint.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

plan skip_all => 'needs nginx --with-debug' unless Test::IM->with_debug;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0;',
                            im => 'fault before_publish 5;');

$im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);
$im->users(qw/ ann bob /);

my $bob = $im->ws_login('bob');
my $cookie = $bob->request('openim.getmsg', {})->json('/Cookie');

my (%text, @again);

for my $n (1 .. 10) {
    my %m = (From_Account => 'ann', To_Account => 'bob', MsgSeq => $n,
             MsgRandom => $n, MsgBody => [{
                 MsgType => 'TIMTextElem',
                 MsgContent => { Text => "n$n" } }]);

    my $reply;

    $im->wait_for(sub {
        $reply = $im->rest('openim/sendmsg', \%m);
        push @again, $n unless defined $reply->code;
        return defined $reply->code;
    });

    $reply->code_is(0);
}

is scalar @again, 1, 'one call had no answer';

# the client does what the SDK does

my $take = sub {
    my ($item) = @_;
    $text{ $item->{MsgBody}[0]{MsgContent}{Text} }++;
};

# all that have to come, and what comes soon after them
while (my $event = $bob->next_event('C2cMsgArray', keys %text < 10 ? 30 : 1)) {
    $take->($_) for @{ $event->{C2cMsgArray} };
}

if (defined $bob->closed) {
    $bob->open->wslogin->code_is(0);

    my $reply = $bob->request('openim.getmsg', { Cookie => $cookie })
                    ->code_is(0);

    %text = ();
    $take->($_) for @{ $reply->json('/MsgList') };
}

is_deeply \%text, { map { +"n$_" => 1 } 1 .. 10 },
          'each came, and came once';

$im->rest('openim/get_c2c_unread_msg_num', { To_Account => 'bob' })
   ->json_is('/AllC2CUnreadMsgNum', 10);

$im->rest('openim/admin_getroammsg', {
    From_Account => 'ann', To_Account => 'bob', MaxCnt => 100, MinTime => 0,
    MaxTime => time + 9 })->json_is('/MsgCnt', 10, 'each is stored once');

done_testing;

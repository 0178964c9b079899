#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Commands are counted by name and code, by all workers together.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2);

sub count {
    my ($command, $code) = @_;

    return $im->metric(qq(im_commands_total{command="$command",code="$code"}))
           // 0;
}

my $import = 'im_open_login_svc/account_import';

$im->rest($import, { UserID => "u$_" })->code_is(0) for 1 .. 10;
$im->rest($import, {})->code_is(70402) for 1 .. 3;
$im->rest('no/such')->code_is(60009) for 1 .. 2;
$im->rest('nor/this')->code_is(60009);

is count($import, 0), 10, 'successes';
is count($import, 70402), 3, 'refusals';
is count('other/other', 60009), 3, 'unknown names share one counter';

my $ann = $im->ws_login('ann');
$ann->request('openim.getroammsg', {})->code;
$ann->close;

is count('im_open_status/wslogin', 0), 1, 'frames are counted too';

$im->reload;
is count($import, 0), 10, 'a reload keeps the numbers';

$im->kill_worker(0);
$im->allow_log(qr/exited on signal 9/);
is count($import, 0), 10, 'so does the end of a worker';

subtest 'messages in and out' => sub {
    my $bob = $im->ws_login('bob');
    my $in = $im->metric('im_messages_in_total{kind="c2c"}');
    my $out = $im->metric('im_messages_out_total{kind="event"}');

    $im->rest('openim/sendmsg', { To_Account => 'bob', MsgRandom => $_,
              SyncOtherMachine => 2, MsgBody =>
                  [{ MsgType => 'TIMTextElem',
                     MsgContent => { Text => 'hi' } }] })->code_is(0)
        for 1 .. 3;

    ok $bob->next_event('C2cMsgArray'), 'bob hears of it' for 1 .. 3;

    is $im->metric('im_messages_in_total{kind="c2c"}') - $in, 3, 'in';
    $im->wait_for(sub {
        $im->metric('im_messages_out_total{kind="event"}') - $out >= 3 });
    is $im->metric('im_messages_out_total{kind="event"}') - $out, 3, 'out';

    $bob->close;
};

$im->finish;

done_testing;

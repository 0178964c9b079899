#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# openim/importmsg.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0;');
my $random = 1;
my $now = time;

$im->users(qw/ ann bob cid dan /);

sub text { { MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } } }

sub import_ok {
    my (%o) = @_;

    my %m = (SyncFromOldSystem => 2, From_Account => 'ann',
             To_Account => 'bob', MsgRandom => $random++,
             MsgTimeStamp => $now - 1000, MsgBody => [text('old')], %o);

    delete $m{$_} for grep { ref $m{$_} eq 'CODE' } keys %m;

    return $im->rest('openim/importmsg', \%m);
}

sub none { sub { } }

sub stored {
    my ($from, $to) = @_;

    return $im->rest('openim/admin_getroammsg', {
        From_Account => $from, To_Account => $to, MaxCnt => 100,
        MinTime => 0, MaxTime => time + 100 })->json('/MsgList');
}

sub unread {
    my ($user) = @_;

    return $im->rest('openim/get_c2c_unread_msg_num',
                     { To_Account => $user })->json('/AllC2CUnreadMsgNum');
}

subtest 'each field' => sub {
    import_ok()->code_is(0)->json_hasnt('/MsgKey');
    import_ok(SyncFromOldSystem => none)->code_is(90030);
    import_ok(SyncFromOldSystem => '1')->code_is(90030);
    import_ok(SyncFromOldSystem => $_)->code_is(90030) for 0, 3, 4, 6;
    import_ok(From_Account => none)->code_is(90008);
    import_ok(From_Account => 5)->code_is(90008);
    import_ok(From_Account => 'ghost')->code_is(90048);
    import_ok(To_Account => none)->code_is(90003);
    import_ok(To_Account => 'ghost')->code_is(90012);
    import_ok(MsgRandom => none)->code_is(90005);
    import_ok(MsgSeq => -1)->code_is(90004);
    import_ok(MsgTimeStamp => none)->code_is(90006);
    import_ok(MsgTimeStamp => 'x')->code_is(90006);
    import_ok(MsgTimeStamp => time + 50)->code_is(0);
    import_ok(MsgTimeStamp => time + 100)->code_is(90006);
    import_ok(MsgBody => {})->code_is(90007);
    import_ok(MsgBody => [])->code_is(90002);
    import_ok(MsgBody => [({ MsgType => 'TIMCustomElem',
                             MsgContent => { Data => 'x' } }) x 2])
        ->code_is(90010);
    import_ok(MsgBody => [text('x' x 12288)])->code_is(93000);
    $im->rest('openim/importmsg', '"x"')->code_is(90001);
    $im->rest('openim/importmsg', {}, user => 'ann')->code_is(90009);
};

subtest 'time, key and order' => sub {
    import_ok(To_Account => 'cid', MsgSeq => 4, MsgRandom => 5,
              MsgTimeStamp => $now - 500, CloudCustomData => 'c')
        ->code_is(0);
    import_ok(To_Account => 'cid', MsgTimeStamp => $now - 600)->code_is(0);
    import_ok(To_Account => 'cid', MsgTimeStamp => $now - 8 * 86400)
        ->code_is(0, 'older than the history');

    my $list = stored('ann', 'cid');

    is scalar @$list, 2, 'what is too old is not kept';
    is $list->[0]{MsgTimeStamp}, $now - 600, 'in order of their time';
    is $list->[0]{MsgSeq}, 0, 'MsgSeq is 0 if absent';
    is $list->[1]{MsgKey}, '4_5_' . ($now - 500), 'key';
    is $list->[1]{CloudCustomData}, 'c', 'CloudCustomData';
};

subtest 'duplicates' => sub {
    my %m = (From_Account => 'bob', To_Account => 'cid', MsgRandom => 77,
             MsgTimeStamp => $now - 300);
    my %swap = (From_Account => 'cid', To_Account => 'bob');

    import_ok(%m)->code_is(0);
    import_ok(%m, MsgBody => [text('new')])->code_is(0);
    is_deeply [map { $_->{MsgBody}[0]{MsgContent}{Text} }
               @{ stored('bob', 'cid') }], ['old'], 'the first wins';

    import_ok(%m, %swap)->code_is(0);
    is scalar @{ stored('bob', 'cid') }, 2, 'swapped, without MsgSeq';

    import_ok(%m, MsgSeq => 9)->code_is(0);
    is scalar @{ stored('bob', 'cid') }, 3, 'another MsgSeq';
    import_ok(%m, %swap, MsgSeq => 9)->code_is(0);
    is scalar @{ stored('bob', 'cid') }, 3, 'swapped, with MsgSeq';

    import_ok(%m, MsgTimeStamp => $now - 299)->code_is(0);
    is scalar @{ stored('bob', 'cid') }, 4, 'another time';
};

subtest 'unread and pushes' => sub {
    my $ann = $im->ws_login('ann');
    my $dan = $im->ws_login('dan');

    import_ok(To_Account => 'dan')->code_is(0);
    is unread('dan'), 0, 'history does not count';

    import_ok(To_Account => 'dan', SyncFromOldSystem => 1)->code_is(0);
    is unread('dan'), 1, 'real time counts';
    $dan->no_event('C2cMsgArray', 0.3, 'and is not pushed');

    import_ok(To_Account => 'dan', SyncFromOldSystem => 5)->code_is(0);
    is unread('dan'), 2, '5 counts';
    ok $dan->next_event('C2cMsgArray'), 'and is pushed';
    ok $ann->next_event('C2cMsgArray'), 'to both';
    is scalar @{ stored('ann', 'dan') }, 3, 'all are stored';
};

done_testing;

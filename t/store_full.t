#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A store that is full: commands that write fail with the code of internal
# errors, all else goes on, and a larger size ends it.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

plan skip_all => 'is about files of LMDB'
    if ($ENV{IM_TEST_STORE} // 'lmdb') ne 'lmdb';

my $im = Test::IM->new;

my $key = $im->key;
my $dir;

# all of im {}, because of the size
sub block {
    my ($size) = @_;

    return <<"END_BLOCK";
im {
    zone 16m;
    bus 8m;
    store lmdb:$dir/store size=$size;
    drain_time 500ms;

    app 1400000001 {
        key "$key";
        rate 0;
        web_instances 4;
    }
}
END_BLOCK
}

$im->dir(File::Temp::tempdir('im-test-XXXXXXXX', TMPDIR => 1));
$dir = $im->dir;
chmod 0755, $dir;
mkdir "$dir/$_" for qw/ tmp html /;

$im->run(workers => 2, im_block => block('2m'));
$im->users(qw/ ann bob /, map { "p$_" } 1 .. 60);

my $bob = $im->ws_login('bob', platform => 7);
my $seq = 0;
my %keys;

sub message {
    my $reply = $im->rest('openim/sendmsg', {
        From_Account => 'ann', To_Account => 'bob', MsgSeq => ++$seq,
        MsgRandom => 1000 + $seq, MsgBody => [
            { MsgType => 'TIMTextElem',
              MsgContent => { Text => 'x' x 6000 } }] });

    $keys{ $reply->json('/MsgKey') } = 1 if ($reply->code // -1) == 0;

    return $reply;
}

# Until there is no room; removed pages are used again after some commits.
sub fill {
    my ($failed, $reply) = (0);

    for (1 .. 1000) {
        $reply = message();
        $failed = $reply->code ? $failed + 1 : 0;
        last if $failed == 3;
    }

    return $reply;
}

# keys of all messages between the two
sub history {
    my %page = (MinTime => 0, MaxTime => int time + 10);
    my @keys;

    for ( ;; ) {
        my $reply = $im->rest('openim/admin_getroammsg', {
            From_Account => 'ann', To_Account => 'bob', MaxCnt => 100,
            %page });

        if ($reply->code // -1) {
            $reply->code_is(0);
            return;
        }

        unshift @keys, map { $_->{MsgKey} } @{ $reply->json('/MsgList') };

        last if $reply->json('/Complete') || !$reply->json('/MsgCnt');

        %page = (MinTime => 0, MaxTime => $reply->json('/LastMsgTime'),
                 LastMsgKey => $reply->json('/LastMsgKey'));
    }

    return \@keys;
}

subtest 'it becomes full' => sub {
    fill()->code_is(91000);
    cmp_ok scalar keys %keys, '>', 20, 'after some messages';
    $im->log_like(qr/\[crit\] .*commit of ".*im\.mdb" failed: MDB_MAP_FULL/);
};

subtest 'what writes fails' => sub {
    message()->code_is(91000);

    $bob->request('openim.sendmsg', { To_Account => 'ann', MsgSeq => 1,
        MsgRandom => 1, MsgBody => [{ MsgType => 'TIMTextElem',
                                      MsgContent => { Text => 'y' x 6000 } }]
    })->code_is(20005);

    my $last = 0;

    for my $from (map { "p$_" } 1 .. 60) {
        last if $last;
        $last = $im->rest('sns/friend_import', { From_Account => $from,
            AddFriendItem => [map { { To_Account => "p$_",
                AddSource => 'AddSource_Type_a', AddWording => 'w' x 256 } }
                grep { "p$_" ne $from } 1 .. 50 ] })
            ->json('/ResultItem/48/ResultCode');
    }

    is $last, 30006, 'friends';

    my $code = 0;

    for (1 .. 60) {
        last if $code;
        $code = $im->rest('profile/portrait_set', { From_Account => "p$_",
            ProfileItem => [map { { Tag => "Tag_Profile_IM_$_",
                                    Value => 'x' x 500 } }
                            qw/ Nick Image SelfSignature / ] })->code;
    }

    is $code, 40006, 'profiles';

    # small things may still find room
    $im->rest('im_open_login_svc/account_import',
              { UserID => 'cid', Nick => 'n' x 400 })
       ->json_like('/ErrorCode', qr/^(?:0|70500)$/);
};

subtest 'what reads goes on' => sub {
    is_deeply [sort @{ history() }], [sort keys %keys],
              'the history has what was acknowledged';

    $im->rest('im_open_login_svc/account_check',
              { CheckItem => [{ UserID => 'ann' }] })->code_is(0);

    $bob->request('openim.getroammsg', { Peer_Account => 'ann', MaxCnt => 5,
        LastMsgTime => 0, MsgKey => '' })->code_is(0)
        ->json_is('/MsgCnt', 5);
    $bob->request('openim.getmsg', { Cookie => '', SyncFlag => 0 })
        ->code_is(0);
    $bob->heartbeat->code_is(0);
};

subtest 'workers can start' => sub {
    $im->reload;
    is_deeply [sort @{ history() }], [sort keys %keys], 'with all messages';
    fill()->code_is(91000);
};

subtest 'a killed one leaves no harm' => sub {
    $im->kill_worker;
    fill()->code_is(91000);
    is_deeply [sort @{ history() }], [sort keys %keys], 'all is there';
};

subtest 'a reload with a larger size ends it' => sub {
    $im->reload(im_block => block('64m'));

    is_deeply [map { message()->code } 1 .. 100], [(0) x 100],
              'messages are stored';
    is_deeply [sort @{ history() }], [sort keys %keys], 'and found';

    is $im->metric('im_store_map_bytes'), 64 * 1024 * 1024,
       'as the metrics say';

    my $ws = $im->ws_login('ann');

    $ws->request('openim.sendmsg', { To_Account => 'bob', MsgSeq => 2,
        MsgRandom => 2, MsgBody => [{ MsgType => 'TIMTextElem',
                                      MsgContent => { Text => 'y' } }] })
       ->code_is(0);
};

done_testing;

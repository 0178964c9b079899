#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# C2C.CallbackBeforeSendMsg and C2C.CallbackAfterSendMsg: form of requests,
# verdicts, rewriting.

use strict;
use warnings;

use lib 't/lib';

use Digest::SHA qw/ sha256_hex /;
use Test::IM;
use Test::IM::Receiver;
use Test::More;
use Time::HiRes qw/ time /;

my $before = 'C2C.CallbackBeforeSendMsg';
my $after = 'C2C.CallbackAfterSendMsg';
my $recall = 'C2C.CallbackAfterMsgWithDraw';

my $app = Test::IM::Receiver->new(path => '/im?own=1')->start;

my $conf = 'rate 0; web_instances 4; callback "' . $app->url
           . "\" $before $after $recall token=xxxxyyyy timeout=20s;";
my $im = Test::IM->new->run(workers => 2, app => $conf);

$im->users(qw/ ann bob cid /);

my $bob = $im->ws_login('bob');
my $random = 1;

sub text { { MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } } }

sub msg {
    my (%o) = @_;

    return $im->rest('openim/sendmsg', {
        To_Account => 'bob', From_Account => 'ann', MsgRandom => $random++,
        MsgBody => [text('hello')], %o });
}

# how bob got it
sub heard { ($bob->next_event('C2cMsgArray')->{C2cMsgArray} // [])->[0] }

subtest 'what is sent' => sub {
    my $reply = msg(MsgSeq => 7001, MsgRandom => 90210,
                    CloudCustomData => 'cloud')->code_is(0);
    my $time = $reply->json('/MsgTime');

    my ($r) = $app->wait_requests($before, 1);
    my $body = $r->{body};

    is $r->{method}, 'POST', 'POST';
    is $r->{path}, '/im', 'path';
    like $r->{raw}, qr/^own=1&SdkAppid=1400000001&CallbackCommand=\Q$before\E
                       &contenttype=json&ClientIP=127\.0\.0\.1
                       &OptPlatform=RESTAPI&Sign=[0-9a-f]{64}
                       &RequestTime=\d+$/x, 'query in its order';
    is $r->{query}{Sign}, sha256_hex("xxxxyyyy$r->{query}{RequestTime}"),
       'signature';
    like $r->{headers}{'Content-Type'}, qr{^application/json}, 'type';
    ok $r->{headers}{'Content-Length'}, 'not chunked';

    cmp_ok abs(delete($body->{EventTime}) / 1000 - time), '<', 60,
           'EventTime in milliseconds';

    my $same = {
        From_Account => 'ann', To_Account => 'bob', MsgSeq => 7001,
        MsgRandom => 90210, MsgTime => $time,
        MsgKey => "7001_90210_$time", OnlineOnlyFlag => 0,
        MsgBody => [text('hello')], CloudCustomData => 'cloud' };

    is_deeply $body, { CallbackCommand => $before, %$same }, 'before';

    ($r) = $app->wait_requests($after, 1);
    $body = $r->{body};
    delete $body->{EventTime};

    is_deeply $body, { CallbackCommand => $after, %$same,
        SendMsgResult => 0, ErrorInfo => 'send msg succeed',
        UnreadMsgNum => 1 }, 'after';

    is heard()->{MsgBody}[0]{MsgContent}{Text}, 'hello', 'delivered';
};

subtest 'by a client' => sub {
    $app->clear;

    my $ann = $im->ws_login('ann');
    my %m = (To_Account => 'bob', MsgSeq => 5, MsgRandom => 77,
             MsgBody => [text('web')]);

    $ann->request('openim.sendmsg', { %m })->code_is(0);
    is heard()->{MsgBody}[0]{MsgContent}{Text}, 'web', 'delivered';

    my ($r) = $app->wait_requests($after, 1);
    is $r->{query}{OptPlatform}, 'Web', 'platform';
    is $r->{query}{ClientIP}, '127.0.0.1', 'address';

    $ann->request('openim.sendmsg', { %m })->code_is(0, 'once more');
    msg(MsgLifeTime => 0)->code_is(0, 'another');
    heard();

    my @before = $app->wait_requests($before, 2);
    my @after = $app->wait_requests($after, 2);

    is @before, 2, 'a duplicate is not asked';
    is @after, 2, 'nor told';
    is $before[1]{body}{OnlineOnlyFlag}, 1, 'online only';
};

subtest 'verdicts' => sub {
    $app->clear;

    for ([1, 20006], [2, 20006], [3, 20006], [-7, 20006], [120000, 20006],
         [120001, 120001], [130000, 130000], [130001, 20006],
         [10100, 10100], [10200, 10200], [10201, 20006])
    {
        my ($verdict, $code) = @$_;

        $app->answer($before => { ErrorCode => $verdict,
                                  ErrorInfo => "no $verdict" });

        my $reply = msg()->code_is($code, "verdict $verdict");
        $reply->json_is('/ErrorInfo', "no $verdict") if $code == $verdict;
    }

    $bob->no_event('C2cMsgArray', 0.3);
    is scalar(my @none = $app->requests($after)), 0, 'none is told';

    $app->answer($before => { ErrorCode => 1 });
    my $reply = msg(MsgRandom => 5151)->code_is(20006);
    $app->answer($before => { ErrorCode => 0 });
    msg(MsgRandom => 5151)->code_is(0, 'a refused one may be sent again');
    heard();
    $app->wait_requests($after, 1);
};

subtest 'rewriting' => sub {
    $app->clear;
    $app->answer($before => { MsgBody => [text('***'), text('more')],
                              CloudCustomData => 'new' });

    my %m = (MsgRandom => 4711, MsgSeq => 3);
    my $key = msg(%m)->code_is(0)->json('/MsgKey');

    my $got = heard();
    is $got->{MsgBody}[0]{MsgContent}{Text}, '***', 'pushed';
    is $got->{MsgBody}[1]{MsgContent}{Text}, 'more', 'the whole body';
    is $got->{CloudCustomData}, 'new', 'CloudCustomData';

    my ($r) = $app->wait_requests($after, 1);
    is_deeply $r->{body}{MsgBody}, [text('***'), text('more')], 'told';

    my $list = $im->rest('openim/admin_getroammsg', {
        From_Account => 'ann', To_Account => 'bob', MaxCnt => 100,
        MinTime => 0, MaxTime => int(time) + 10 })->json('/MsgList');
    ($got) = grep { $_->{MsgKey} eq $key } @$list;
    is $got->{MsgBody}[0]{MsgContent}{Text}, '***', 'stored';

    is msg(%m)->code_is(0)->json('/MsgKey'), $key,
       'the original again is a duplicate';
    $bob->no_event('C2cMsgArray', 0.2);

    for (['a string' => 'x'], ['an empty list' => []],
         ['an unknown element' => [{ MsgType => 'X' }]],
         ['too long' => [text('x' x 13000)]])
    {
        my ($name, $body) = @$_;

        $app->answer($before => { MsgBody => $body });
        msg()->code_is(0, $name);
        is heard()->{MsgBody}[0]{MsgContent}{Text}, 'hello',
           'the original is sent';
    }

    $app->answer($before => { CloudCustomData => 'only' });
    msg()->code_is(0);
    $got = heard();
    is $got->{CloudCustomData}, 'only', 'CloudCustomData alone';
    is $got->{MsgBody}[0]{MsgContent}{Text}, 'hello', 'body as it was';
    is scalar(my @all = $app->wait_requests($after, 6)), 6, 'each is told';
};

subtest 'who is exempt' => sub {
    $app->clear;

    $im->rest('openim/batchsendmsg', {
        To_Account => ['bob'], From_Account => 'ann', MsgRandom => $random++,
        MsgBody => [text('batch')] })->code_is(0);
    $im->rest('openim/importmsg', {
        SyncFromOldSystem => 1, To_Account => 'bob', From_Account => 'ann',
        MsgRandom => $random++, MsgTimeStamp => int(time),
        MsgBody => [text('import')] })->code_is(0);
    msg(ForbidCallbackControl => ['ForbidBeforeSendMsgCallback',
                                  'ForbidAfterSendMsgCallback'])
        ->code_is(0);
    msg(MsgBody => [])->code;
    msg(To_Account => 'nobody')->code_is(90012);

    msg(ForbidCallbackControl => ['ForbidBeforeSendMsgCallback'])
        ->code_is(0);
    $app->wait_requests($after, 1);
    msg(ForbidCallbackControl => ['ForbidAfterSendMsgCallback'])
        ->code_is(0);

    is scalar(my @b = $app->requests($before)), 1, 'asked once';
    is scalar(my @a = $app->requests($after)), 1, 'told once';
};

subtest 'recall' => sub {
    $app->clear;

    my $key = msg()->code_is(0)->json('/MsgKey');
    $im->rest('openim/admin_msgwithdraw', {
        From_Account => 'ann', To_Account => 'bob', MsgKey => $key })
        ->code_is(0);

    my ($r) = $app->wait_requests($recall, 1);
    delete $r->{body}{EventTime};
    like delete $r->{body}{UnreadMsgNum}, qr/^\d+$/, 'UnreadMsgNum';
    is_deeply $r->{body}, { CallbackCommand => $recall,
        From_Account => 'ann', To_Account => 'bob', MsgKey => $key },
        'told';
    $app->wait_requests($after, 1);

    $im->rest('openim/admin_msgwithdraw', {
        From_Account => 'ann', To_Account => 'bob', MsgKey => $key })
        ->code_is(20023, 'once more');

    my $ann = $im->ws_login('ann');
    my $own = msg()->code_is(0)->json('/MsgKey');
    my ($mseq, $rand, $time) = split /_/, $own;

    $ann->request('openim.msgwithdraw', { MsgInfo => {
        From_Account => 'ann', To_Account => 'bob', MsgSeq => 0 + $mseq,
        MsgRandom => 0 + $rand, MsgTimeStamp => 0 + $time } })->code_is(0);

    my @keys = map { $_->{body}{MsgKey} } $app->wait_requests($recall, 2);
    is_deeply [sort @keys], [sort $key, $own], 'by a client, too';
};

subtest 'order of a pair' => sub {
    $app->clear;

    msg(MsgBody => [text("$_")])->code_is(0) for 1 .. 30;

    my @texts = map { $_->{body}{MsgBody}[0]{MsgContent}{Text} }
                $app->wait_requests($after, 30);

    is_deeply \@texts, [1 .. 30], 'as they were sent'
        if $im->options->{workers} == 1;
    is_deeply [sort { $a <=> $b } @texts], [1 .. 30], 'each once';
};

subtest 'connections are kept' => sub {
    $app->clear;
    msg()->code_is(0) for 1 .. 20;

    my %seen = map { $_->{connection} => 1 } $app->wait_requests($before, 20);
    cmp_ok scalar(keys %seen), '<=', 6, 'few for many requests';
};

# messages that are refused before anybody is asked
subtest 'what is told only' => sub {
    $im->reload(app => "$conf dirty_word_delay 0; check_friend on;");
    $im->rest('openim_dirty_words/add', { DirtyWordsList => ['zoo'] })
        ->code_is(0);
    $app->clear;

    msg(MsgSeq => 1, MsgBody => [text('a zoo')])->code_is(80001);

    my ($r) = $app->wait_requests($after, 1);
    my $body = $r->{body};

    is $body->{SendMsgResult}, 80001, 'SendMsgResult';
    ok length $body->{ErrorInfo}, 'ErrorInfo';
    is $body->{UnreadMsgNum}, -1, 'UnreadMsgNum';
    is_deeply $body->{MsgBody}, [text('a zoo')], 'MsgBody';

    $im->ws_login('cid')->request('openim.sendmsg', {
        To_Account => 'bob', MsgSeq => 2, MsgRandom => 2,
        MsgBody => [text('hello')] })->code_is(20009);

    my @list = $app->wait_requests($after, 2);
    is_deeply [sort map { $_->{body}{SendMsgResult} } @list],
              [20009, 80001], 'not friends';
    is scalar(@list = $app->requests($before)), 0, 'nobody was asked';
};

done_testing;

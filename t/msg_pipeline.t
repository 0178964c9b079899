#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Messages that a session sends without waiting for answers: those to one
# conversation are numbered and handed out as their frames came, whatever the
# server asks in between takes.

use Mojo::Base -strict, -signatures;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::JSON qw/ encode_json /;
use Test::IM;
use Test::IM::Raw;
use Test::IM::Receiver;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $svc = 'group_open_http_svc';
my $c2c = 'C2C.CallbackBeforeSendMsg';
my $group = 'Group.CallbackBeforeSendMsg';
my $random = 1;

my $rates = 'rate 0; group_rate 0; group_rate_normal 0; group_rate_low 0;
             group_rate_lowest 0;';

sub body ($text) {
    return [{ MsgType => 'TIMTextElem', MsgContent => { Text => $text } }];
}

sub to_user ($to, $text, %o) {
    return ['openim.sendmsg',
            { To_Account => $to, MsgSeq => int(rand 1 << 32),
              MsgRandom => $random++, MsgBody => body($text), %o }];
}

sub to_group ($gid, $text, %o) {
    return ["$svc.send_group_msg",
            { GroupId => $gid, Random => $random++, MsgBody => body($text),
              %o }];
}

sub text_of ($msg) { $msg->{MsgBody}[0]{MsgContent}{Text} }

# What comes of a conversation, so many messages.
sub heard ($ws, $n, $name, $gid = undef) {
    my @texts;

    while (@texts < $n) {
        my $event = $ws->next_event(sub ($event) {
            my $list = $event->{$name} or return 0;
            return !defined $gid || $list->[0]{ToGroupId} eq $gid;
        }) or last;

        push @texts, map { text_of($_) } @{ $event->{$name} };
    }

    return join ' ', @texts;
}

sub stored ($im, $from, $to) {
    my (@all, $key, $max);

    for (1 .. 50) {
        my $page = $im->rest('openim/admin_getroammsg',
            { From_Account => $from, To_Account => $to, MaxCnt => 50,
              MinTime => int(time) - 600, MaxTime => $max // int(time) + 60,
              defined $key ? (LastMsgKey => $key) : () });

        unshift @all, map { text_of($_) } @{ $page->json('/MsgList') };
        last if $page->json('/Complete');

        ($key, $max) = ($page->json('/LastMsgKey'),
                        $page->json('/LastMsgTime'));
    }

    return join ' ', @all;
}

sub stored_group ($im, $gid) {
    my @all;
    my $from = $im->group_info($gid)->{NextMsgSeq} - 1;

    for (; $from > 0; $from -= 20) {
        my $list = $im->rest("$svc/group_msg_get_simple", { GroupId => $gid,
            ReqMsgSeq => $from, ReqMsgNumber => 20 })->json('/RspMsgList');

        unshift @all, map { text_of($_) } sort { $a->{MsgSeq} <=> $b->{MsgSeq} }
                      @$list;
    }

    return join ' ', @all;
}

sub ascending (@n) {
    for (1 .. $#n) { return 0 if $n[$_] <= $n[$_ - 1] }
    return 1;
}

# A connection has 50 frames a second: all of these were served in one that
# is over.
sub burst ($ws, @frames) {
    my @seqs = map { $ws->send_request(@$_) } @frames;
    my @replies = map { $ws->answer($_) } @seqs;

    is join(' ', map { $_->code // 'none' } @replies),
       join(' ', (0) x @frames), 'all are answered';
    sleep 1.1;

    return @replies;
}

subtest 'all at once' => sub {
    my $im = Test::IM->new->run(workers => 2, app => $rates);

    $im->users(qw/ ann bob /);

    my $gid = $im->group(owner => 'ann', members => ['bob']);
    my $room = $im->group(Type => 'AVChatRoom', owner => 'ann');
    my $ann = $im->ws_login('ann');
    my $bob = $im->ws_login('bob');

    $_->request("$svc.apply_join_group", { GroupId => $room })->code_is(0)
        for $ann, $bob;

    sleep 1.1;

    my (%number, %sent);

    for my $round (1 .. 3) {
        my @frames;

        for my $i (1 .. 15) {
            my $text = "$round-$i";
            my @online = $i % 5 ? () : (MsgLifeTime => 0);

            push @frames, to_user('bob', $text, @online),
                          to_group($gid, $text), to_group($room, $text);
            push @{ $sent{$_} }, $text for 'all', @online ? () : 'kept';
        }

        my @replies = burst($ann, @frames);

        for my $i (0 .. $#replies) {
            push @{ $number{$i % 3} }, $replies[$i]->json('/MsgSeq');
        }
    }

    ok ascending(@{ $number{1} }), 'numbers of the group';
    ok ascending(@{ $number{2} }), 'numbers of the room';

    my $all = join ' ', @{ $sent{all} };
    my $kept = join ' ', @{ $sent{kept} };

    is heard($bob, 45, 'C2cMsgArray'), $all, 'as bob hears them';
    is heard($bob, 45, 'GroupMsgArray', $gid), $all, 'those of the group';
    is heard($bob, 45, 'GroupMsgArray', $room), $all, 'those of the room';

    is stored($im, 'ann', 'bob'), $kept, 'in the history of the sender';
    is stored($im, 'bob', 'ann'), $kept, 'and of the receiver';
    is stored_group($im, $gid), $all, 'and of the group';

    $im->finish;
};

# The app answers for the first message last.

my $app = Test::IM::Receiver->new->start;
my $tcp = Test::IM->free_port;
my $im = Test::IM->new->run(workers => 2,
    stream => "server { listen 127.0.0.1:$tcp; im_stream; }",
    app => $rates . 'callback ' . $app->url . " $c2c $group timeout=60s;");

$im->users(qw/ ann bob cat /);

my $ann = $im->ws_login('ann');
my $bob = $im->ws_login('bob');

# Sends them, the app holds the first one back.
sub behind ($send, $command, @frames) {
    $app->clear;
    $app->answer($command => {}, mode => 'hold');

    my @seqs = $send->(shift @frames);

    is scalar(my @held = $app->wait_requests($command, 1)), 1,
       'the app is asked';

    $app->answer($command => {});
    push @seqs, map { $send->($_) } @frames;

    is scalar(my @asked = $app->wait_requests($command, 1 + @frames)),
       1 + @frames, 'of the others at once';

    return @seqs;
}

# The heartbeat is answered when the frame has been read.
sub by_ws ($ws) {
    return sub ($frame) {
        my $seq = $ws->send_request(@$frame);
        $ws->heartbeat;
        return $seq;
    };
}

subtest 'one to one' => sub {
    my @seqs = behind(by_ws($ann), $c2c, to_user('bob', 'a'),
        to_user('bob', 'b'), to_user('bob', 'c', MsgLifeTime => 0),
        to_user('bob', 'd'), to_user('cat', 'x'));

    $ann->answer(pop @seqs)->code_is(0, 'another conversation goes on');
    is scalar(grep { $ann->answers->{"openim.sendmsg/$_"} } @seqs), 0,
       'this one waits';

    $app->release;
    $ann->answer($_)->code_is(0) for @seqs;

    is heard($bob, 4, 'C2cMsgArray'), 'a b c d', 'as bob hears them';
    is stored($im, 'ann', 'bob'), 'a b d', 'in the history';
};

for my $type (qw/ Public AVChatRoom /) {
    subtest $type => sub {
        my $gid = $im->group(Type => $type, owner => 'cat',
                             $type eq 'Public' ? (members => [qw/ ann bob /])
                                               : ());
        if ($type eq 'AVChatRoom') {
            $_->request("$svc.apply_join_group", { GroupId => $gid })
              ->code_is(0) for $ann, $bob;
        }

        my @online = $type eq 'Public' ? (OnlineOnlyFlag => 1) : ();
        my @seqs = behind(by_ws($ann), $group, to_group($gid, 'a'),
            to_group($gid, 'b'), to_group($gid, 'c', @online),
            to_group($gid, 'd'));

        is scalar(grep { $ann->answers->{"$svc.send_group_msg/$_"} } @seqs),
           0, 'they wait';

        $app->release;

        my @numbers = map { $ann->answer($_)->code_is(0)->json('/MsgSeq') }
                      @seqs;

        splice @numbers, 2, 1 if @online;
        ok ascending(@numbers), 'numbers';

        is heard($bob, 4, 'GroupMsgArray', $gid), 'a b c d',
           'as bob hears them';
        is stored_group($im, $gid), 'a b d', 'in the history' if @online;
    };
}

subtest 'what the app refuses holds nobody up' => sub {
    $app->clear;
    $app->answer($c2c => { ErrorCode => 120001 }, mode => 'hold');

    my $send = by_ws($ann);
    my $first = $send->(to_user('bob', 'no'));
    $app->wait_requests($c2c, 1);
    $app->answer($c2c => {});

    my $second = $send->(to_user('bob', 'e'));
    $app->wait_requests($c2c, 2);
    $app->release;

    $ann->answer($first)->code_is(120001);
    $ann->answer($second)->code_is(0);
    is heard($bob, 1, 'C2cMsgArray'), 'e', 'only the second one';
};

subtest 'a sender who goes meanwhile' => sub {
    my $cat = $im->ws_login('cat');

    behind(by_ws($cat), $c2c, map { to_user('bob', $_) } 'f' .. 'j');

    $cat->cut;
    $app->release;

    is heard($bob, 5, 'C2cMsgArray'), 'f g h i j', 'all are sent';
    is stored($im, 'cat', 'bob'), 'f g h i j', 'in the history';
};

subtest 'by TCP' => sub {
    my $raw = Test::IM::Raw->new($tcp);
    my $seq = 0;

    my $send = sub ($frame) {
        my ($name, $body, @head) = @$frame;

        $raw->write(pack 'N/a*', encode_json({
            head => { servcmd => $name, seq => ++$seq, platform => 2,
                      sdkappid => $im->app_id, @head },
            body => $body }));

        return $seq;
    };

    $send->(['im_open_status.wslogin', { State => 'Online' },
             identifier => 'ann', usersig => $im->usersig('ann')]);
    ok $raw->read_until(sub { $_[0] =~ /"A2Key"/ }), 'login';

    behind($send, $c2c, map { to_user('cat', $_) } 'k' .. 'o');

    $app->release;

    ok $raw->read_until(sub { (() = $_[0] =~ /"MsgKey"/g) >= 5 }), 'answers';
    is stored($im, 'ann', 'cat'), 'x k l m n o', 'in the history';
};

$im->finish;

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Guests and users of web SDK 1.7: long polls that are held, on any worker.

use strict;
use warnings;

use lib 't/lib';

use Mojo::JSON qw/ decode_json encode_json /;
use Mojo::UserAgent;
use Test::IM;
use Test::IM::Raw;
use Test::More;
use Time::HiRes qw/ time /;

# polls that something is to come for, and others
my $rates = 'rate 0; tip_rate 0; group_rate 0; group_rate_normal 0;';
my $long = "$rates poll_hold 30s;";
my $short = "$rates poll_hold 1s;";

# another port, of small buffers
my $slow = Test::IM->new->free_port;

my $im = Test::IM->new->run(
    workers => 2, app => $long,
    server => "listen 127.0.0.1:$slow sndbuf=8k;");

my $svc = 'group_open_http_svc';
my $guests = '/v1/group_open_http_noauth_svc';
my $polls = '/v1/group_open_long_polling_http_noauth_svc/get_msg';
my $random = 1;

$im->users('ann', 'bob');

sub room { return $im->group(Type => 'AVChatRoom', owner => 'ann', @_) }

sub say_to {
    my ($gid, $text, %body) = @_;

    return $im->rest("$svc/send_group_msg", {
        GroupId => $gid, Random => $random++, From_Account => 'ann', %body,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => "$text" } }] });
}

# A call without any login.

sub call {
    my ($path, $body, %o) = @_;

    return $im->rest('', $body, path => $path,
                     query => { identifier => undef, usersig => undef,
                                random => undef, contenttype => undef },
                     %o);
}

sub join_room {
    my ($gid) = @_;
    return call("$guests/apply_join_group", { GroupId => $gid })->code_is(0)
               ->json('/LongPollingKey');
}

# A poll that goes on while the test does something else.

sub start_poll {
    my ($body, %query) = @_;

    my $poll = { ua => Mojo::UserAgent->new->inactivity_timeout(60) };
    my $url = $im->url($polls, sdkappid => $im->app_id, %query);

    $poll->{ua}->post($url => encode_json($body) => sub {
        my ($ua, $tx) = @_;
        @$poll{qw/ status time data /} =
            ($tx->res->code, time, eval { decode_json($tx->res->body) });
    });

    Mojo::IOLoop->one_tick for 1 .. 3;

    return $poll;
}

sub end_poll {
    my ($poll) = @_;

    my $timer = Mojo::IOLoop->recurring(0.02 => sub { });
    my $end = time + 50;

    Mojo::IOLoop->one_tick until $poll->{status} || time > $end;
    Mojo::IOLoop->remove($timer);

    return $poll->{data};
}

sub wait_a_little {
    my $over;
    Mojo::IOLoop->timer($_[0] => sub { $over = 1 });
    Mojo::IOLoop->one_tick until $over;
}

subtest 'a guest reads' => sub {
    my $gid = room();

    say_to($gid, 'before');
    my $key = join_room($gid);
    say_to($gid, $_)->code_is(0) for 1 .. 3;

    my $data = end_poll(start_poll({ HoldTime => 90, Key => $key, USP => 1 }));

    is $data->{ErrorCode}, 0, 'OK';
    is $data->{HoldTime}, 60, 'HoldTime';
    is_deeply [map { $_->{MsgBody}[0]{MsgContent}{Text} }
               @{ $data->{RspMsgList} }], [1, 2, 3],
        'from the moment of joining, oldest first';

    my $msg = $data->{RspMsgList}[2];

    is $data->{NextSeq}, $msg->{MsgSeq} + 1, 'NextSeq';
    is $msg->{Event}, 3, 'Event';
    is $msg->{ToGroupId}, $gid, 'ToGroupId';
    is $msg->{From_Account}, 'ann', 'From_Account';
    is $msg->{MsgPriority}, 2, 'MsgPriority';
    is $msg->{IsPlaceMsg}, 0, 'IsPlaceMsg';
    is $msg->{GroupInfo}{GroupName}, 'group', 'GroupInfo';

    my $again = end_poll(start_poll({ StartSeq => $msg->{MsgSeq},
                                      Key => $data->{Key} }));
    is_deeply $again->{RspMsgList}, [$msg], 'a number may be read again';

    $im->reload(app => $short);

    my $start = time;
    my $empty = end_poll(start_poll({ StartSeq => $data->{NextSeq},
                                      Key => $data->{Key} }));

    cmp_ok time - $start, '>', 0.8, 'held';
    is_deeply $empty->{RspMsgList}, [], 'empty';
    is $empty->{NextSeq}, $data->{NextSeq}, 'NextSeq stays';
    ok $empty->{Key}, 'Key';
    $im->reload(app => $long);
};

subtest 'held polls are woken' => sub {
    my $gid = room();
    my @polls;

    for (1 .. 8) {                       # some with either worker
        push @polls, start_poll({ Key => join_room($gid) });
    }

    wait_a_little(0.2);
    is scalar(grep { $_->{status} } @polls), 0, 'all are held';

    my $start = time;
    say_to($gid, 'now');

    my @got = map { end_poll($_) } @polls;

    is scalar(grep { $_->{RspMsgList}[0]{MsgBody}[0]{MsgContent}{Text}
                     eq 'now' } @got), 8, 'all get the message';
    cmp_ok time - $start, '<', 20, 'at once';
};

# The text of a poll, for who writes it himself.

sub poll_bytes {
    my ($body) = @_;
    my $json = encode_json($body);

    return "POST $polls?sdkappid=" . $im->app_id . " HTTP/1.1\r\n"
           . "Host: localhost\r\nContent-Length: " . length($json)
           . "\r\n\r\n$json";
}

sub texts {
    my ($data) = @_;
    my $list = $data->{RspMsgList};
    return [map { $_->{MsgBody}[0]{MsgContent}{Text} } @$list];
}

sub shared { return $im->metric("im_shared_$_[0]") }

subtest 'who reads slowly shares what he reads' => sub {
    my $gid = room();
    my $n = 24;
    my @keys = map { join_room($gid) } 1 .. $n;
    my @texts = map { $_ x 7000 } 'a' .. 'l';
    my $size = @texts * 7000;

    say_to($gid, $_)->code_is(0) for @texts;

    my @all = map { Test::IM::Raw->new($slow, rcvbuf => 4096) } @keys;

    for my $i (0 .. $#all) {
        $all[$i]->write(poll_bytes({ Key => $keys[$i] }));
    }

    ok $im->wait_for(sub { shared('references') >= $n }), 'all are served';
    cmp_ok shared('bytes'), '>', $size, 'there is what they read';
    cmp_ok shared('bytes'), '<', $n / 2 * $size, 'but not for each';

    my @whole = splice @all, 0, $n / 2;
    my %seen;

    for my $raw (@whole) {
        my $data = decode_json($raw->response->{body});
        is_deeply texts($data), \@texts, 'whole' or last;
        $seen{ $data->{Key} } = 1;
    }

    is scalar(keys %seen), scalar(@whole), 'a key for each';

    $_->close for @all;

    ok $im->wait_for(sub { shared('references') == 0 }), 'nobody is left';
    is shared('bytes'), 0, 'and nothing';

    $whole[0]->write(poll_bytes({ Key => (keys %seen)[0], StartSeq => 1 }));
    is_deeply texts(decode_json($whole[0]->response->{body})), \@texts,
        'it is rendered again';
};

subtest 'guests at different places' => sub {
    my $gid = room();
    my @polls;

    for my $text (1 .. 4) {
        my $key = join_room($gid);
        say_to($gid, $text)->code_is(0);
        push @polls, [$key, [$text .. 5]];
    }

    say_to($gid, 5)->code_is(0);

    for my $poll ((@polls) x 3) {
        is_deeply texts(end_poll(start_poll({ Key => $poll->[0] }))),
            $poll->[1], "from $poll->[1][0] on";
    }
};

subtest 'a script' => sub {
    my $gid = room();
    my $key = join_room($gid);
    say_to($gid, 'in a script')->code_is(0);

    my $body = $im->get($polls, sdkappid => $im->app_id,
                        jsonpcallback => 'cb_1',
                        jsonpbody => encode_json({ Key => $key }))->text;

    like $body, qr/^cb_1\(\{.*\}\)$/s, 'a call of the function';
    is_deeply texts(decode_json($body =~ s/^cb_1\(|\)$//gr)),
        ['in a script'], 'with all of the answer';
};

subtest 'tips and notices' => sub {
    my $gid = room();
    my $key = join_room($gid);

    $im->rest("$svc/modify_group_base_info",
              { GroupId => $gid, Name => 'new' })->code_is(0);
    $im->rest("$svc/send_group_system_notification",
              { GroupId => $gid, Content => 'hear' })->code_is(0);
    $im->rest("$svc/set_group_attr",
              { GroupId => $gid, GroupAttr => [{ key => 'k', value => 'v' }]
              })->code_is(0);

    my $list = end_poll(start_poll({ Key => $key }))->{RspMsgList};

    is scalar @$list, 2, 'attributes are no business of this SDK';
    is $list->[0]{Event}, 4, 'a tip is always Event 4';
    is $list->[0]{MsgBody}{OpType}, 6, 'OpType';
    is_deeply $list->[0]{MsgBody}{MsgGroupNewInfo}, { GroupName => 'new' },
        'MsgGroupNewInfo';
    is $list->[1]{Event}, 5, 'a notice';
    is $list->[1]{MsgBody}{ReportType}, 255, 'ReportType';
    is $list->[1]{MsgBody}{UserDefinedField}, 'hear', 'UserDefinedField';
    is $list->[1]{UserDefinedField}, 'hear', 'and outside';
};

subtest 'the room is dissolved' => sub {
    my $gid = room();
    my $key = join_room($gid);
    my $late = join_room($gid);
    my $poll = start_poll({ Key => $key });

    wait_a_little(0.2);
    $im->rest("$svc/destroy_group", { GroupId => $gid })->code_is(0);

    my $data = end_poll($poll);
    is $data->{RspMsgList}[0]{MsgBody}{ReportType}, 5, 'held: notice 5';

    $data = end_poll(start_poll({ Key => $late }));
    is $data->{RspMsgList}[0]{MsgBody}{ReportType}, 5, 'between: notice 5';

    $im->reload(app => $short);

    my $start = time;
    $data = end_poll(start_poll({ Key => $data->{Key},
                                  StartSeq => $data->{NextSeq} }));
    is_deeply $data->{RspMsgList}, [], 'then nothing';
    cmp_ok time - $start, '>', 0.8, 'and held';
    $im->reload(app => $long);
};

subtest 'keys' => sub {
    my $gid = room();
    my $key = join_room($gid);

    call($polls, { Key => $key =~ s/^./B/r })->status_is(403);
    call($polls, { Key => "${key}x" })->status_is(403);
    call($polls, { Key => '' })->status_is(403);
    call($polls, { StartSeq => 1 })->status_is(403);

    is call($polls, { Key => 'x' })->headers
        ->header('Access-Control-Allow-Origin'), '*', 'CORS';

    isnt join_room($gid), $key, 'another join, another key';
};

subtest 'joining' => sub {
    my $join = sub { call("$guests/apply_join_group", { @_ }) };

    $join->(GroupId => 'nosuch')->code_is(10010);
    $join->(GroupId => '')->code_is(10015);
    $join->()->code_is(10004);

    my $gid = room(ApplyJoinOption => 'DisableApply');
    $join->(GroupId => $gid)->code_is(10007);

    $gid = room();
    join_room($gid) for 1 .. 3;
    is $im->group_info($gid)->{MemberNum}, 3, 'guests are audience';
    is @{ $im->group_info($gid)->{MemberList} }, 1, 'but no members';

    call("$guests/quit_group", { GroupId => $gid })->code_is(0);
    call("/v4/$svc/send_group_msg", { GroupId => $gid })->code_is(60004);
};

subtest 'a poll outlives a restart' => sub {
    my $gid = room();
    my $key = join_room($gid);

    say_to($gid, 'old');
    my $data = end_poll(start_poll({ Key => $key }));

    $im->kill9_all->start;

    my $poll = start_poll({ Key => $data->{Key},
                            StartSeq => $data->{NextSeq} });
    wait_a_little(0.2);
    say_to($gid, 'new')->code_is(0);

    is end_poll($poll)->{RspMsgList}[0]{MsgBody}[0]{MsgContent}{Text}, 'new',
        'the key is good, what is new comes';
};

subtest 'a reload answers held polls' => sub {
    my $gid = room();
    my $poll = start_poll({ Key => join_room($gid) });

    wait_a_little(0.1);
    $im->reload;

    my $data = end_poll($poll);
    is $poll->{status}, 200, 'answered';
    is_deeply $data->{RspMsgList}, [], 'empty';
    ok $data->{Key}, 'with a key';
};

done_testing;

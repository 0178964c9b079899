#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A room that gets many times what its rate allows, and a reader who takes
# nothing of it for a while.

use Mojo::Base -strict, -signatures;

use FindBin;
use lib "$FindBin::Bin/lib";
use Mojo::IOLoop;
use Mojo::JSON qw/ decode_json encode_json /;
use Mojo::UserAgent;
use Socket qw/ SOL_SOCKET SO_RCVBUF /;
use Test::IM;
use Test::IM::Raw;
use Test::More;
use Time::HiRes qw/ sleep time /;

use constant RATE => 8;

my $svc = 'group_open_http_svc';
my $random = 1;

sub message ($prio, $text, %body) {
    return { GroupId => 'r', Random => $random++, MsgPriority => $prio, %body,
             MsgBody => [{ MsgType => 'TIMTextElem',
                           MsgContent => { Text => $text } }] };
}

sub refused ($im, $prio) {
    return $im->metric("im_messages_refused_total{priority=\"$prio\"}");
}

# A member by WebSocket, logged in.
sub member ($im, $user, $port) {
    my $raw = Test::IM::Raw->new($port);
    my %head = (ver => 'v4', platform => 7, sdkappid => $im->app_id,
                contenttype => 'json', status_instid => 0);

    setsockopt $raw->{s}, SOL_SOCKET, SO_RCVBUF, 4096;

    $raw->upgrade('/info?sdkappid=' . $im->app_id);

    for (['im_open_status.wslogin', { State => 'Online', InstType => 0 },
          identifier => $user, usersig => $im->usersig($user)],
         ["$svc.apply_join_group", { GroupId => 'r' }])
    {
        my ($cmd, $body, @head) = @$_;

        $raw->frame(1, encode_json({ head => { %head, @head, seq => 1,
                                               servcmd => $cmd },
                                     body => $body }));
        like +($raw->read_frame)[1], qr/"ErrorCode":0/, $cmd;
    }

    return $raw;
}

# Texts of the messages that have come, until the last one.
sub texts ($raw, $last) {
    my @texts;
    my $end = time + 60;

    while (time < $end) {
        my ($opcode, $payload) = $raw->read_frame or last;
        push @texts, $payload =~ /"Text":"(.*?)"/g;
        last if @texts && $texts[-1] eq $last;
    }

    return @texts;
}

# Returns nothing if the machine was too slow for it.
sub many_times {
    my $im = Test::IM->new->run(
        workers => 2, app => 'rate 0; tip_rate 1; group_rate ' . RATE . ';');

    $im->users('ann', 'bob', 'cat');
    $im->group(Type => 'AVChatRoom', GroupId => 'r', owner => 'ann');

    my $reader = member($im, 'bob', $im->port);
    my $ua = Mojo::UserAgent->new(max_connections => 64);
    my $url = $im->url("/v4/$svc/send_group_msg", sdkappid => $im->app_id,
                       identifier => 'administrator', random => 1,
                       usersig => $im->usersig('administrator'));

    my (%sent, %got, %dropped, @order, @answers);
    my $flying = 0;

    my $send = sub ($prio) {
        my $text = "$prio-" . ++$sent{$prio};

        $flying++;
        $ua->post($url, json => message($prio, $text, From_Account => 'cat'),
                  sub ($ua, $tx) {
            my $reply = eval { decode_json($tx->res->body) } // {};

            $flying--;
            push @answers, time;

            if ($reply->{MsgSeq}) {
                $got{$prio}++;
                push @order, [$reply->{MsgSeq}, $text];

            } elsif (($reply->{MsgDropReason} // '') eq 'MsgFreqCtrl') {
                $dropped{$prio}++;
            }
        });
    };

    # a group is known to be busy from its second second on

    my $start = time;
    my @timers = (
        Mojo::IOLoop->recurring(0.025 => sub {
            return if $flying > 200;
            $send->($_) for ('Normal') x 3, ('Low') x 3, ('Lowest') x 3;
        }),
        Mojo::IOLoop->recurring(1.3 => sub {
            $send->('High') if time - $start > 2.5;
        }),
    );

    Mojo::IOLoop->one_tick while time - $start < 7;
    Mojo::IOLoop->remove($_) for @timers;

    my $wait = Mojo::IOLoop->recurring(0.05 => sub { });
    Mojo::IOLoop->one_tick while $flying && time - $start < 60;
    Mojo::IOLoop->remove($wait);

    # nor is it, if there was a second with less than it takes

    for (my $t = $start + 1; $t < $start + 6; $t += 0.25) {
        return if 2 * RATE > grep { $_ >= $t && $_ < $t + 1 } @answers;
    }

    my $took = time - $start;

    note "$_: $sent{$_} sent, ", $got{$_} // 0, ' taken' for sort keys %sent;

    is $got{High}, $sent{High}, 'High: all';

    for my $prio (qw/ Normal Low Lowest /) {
        is $got{$prio} + $dropped{$prio}, $sent{$prio}, "$prio: all answered";
        cmp_ok $dropped{$prio}, '>', 0, "$prio: some refused";
        is refused($im, lc $prio), $dropped{$prio}, "$prio: counted";
    }

    is refused($im, 'high'), 0, 'High: none counted';

    # what the rule leaves for one second may be used up in two halves

    my $taken = 0;
    $taken += $_ for values %got;
    cmp_ok $taken, '<=', RATE * ($took + 2), 'not many more than the rate';

    $im->rest("$svc/send_group_msg", message('High', 'end'));
    sleep 1.1;
    $im->rest("$svc/send_group_msg", message('High', 'the end'));

    my @texts = grep { $_ ne 'end' } texts($reader, 'the end');
    my @want = map { $_->[1] } sort { $a->[0] <=> $b->[0] } @order;

    is_deeply \@texts, [@want, 'the end'], 'the reader has what was taken';

    ok $im->wait_for(sub { !$im->metric('im_room_walks') }),
       'nothing waits';
    ok $im->wait_for(sub { !$im->metric('im_room_walk_bytes') }),
       'no memory is held';
    ok $im->wait_for(sub { !$im->metric('im_body_bytes') }), 'no bodies';

    return 1;
}

subtest 'many times the rate' => sub {
    for (1 .. 6) {
        return if many_times();
        note 'the machine was too slow';
    }

    SKIP: {
        skip 'fewer than ' . 2 * RATE . ' requests a second', 1;
    }
};

subtest 'a reader who does not read' => sub {
    my $port = Test::IM->new->free_port;
    my $im = Test::IM->new->run(
        app => 'rate 0; tip_rate 1; group_rate 0; group_rate_low 0;',
        server => "listen 127.0.0.1:$port sndbuf=8k;");

    $im->users('ann', 'bob');
    $im->group(Type => 'AVChatRoom', GroupId => 'r', owner => 'ann');

    my $slow = member($im, 'bob', $port);
    my $n = 0;
    my $before = $im->metric('im_frames_dropped_total');

    while ($n < 400
           && $im->metric('im_frames_dropped_total') <= $before + 5)
    {
        $im->rest("$svc/send_group_msg", message('Low', 'x' x 7000));
        $n++;
    }

    cmp_ok $im->metric('im_frames_dropped_total'), '>', $before + 5,
        "messages were dropped and counted, of $n";

    $im->rest("$svc/send_group_msg", message('High', "gift-$_"))->code_is(0)
        for 1 .. 5;

    my @texts = texts($slow, 'gift-5');

    is_deeply [grep { /^gift/ } @texts], [map { "gift-$_" } 1 .. 5],
        'High ones came';
    cmp_ok scalar(grep { /^x{7000}$/ } @texts), '<', $n, 'Low ones did not all';
    is scalar(grep { !/^x{7000}$|^gift/ } @texts), 0, 'all are whole';
};

done_testing;

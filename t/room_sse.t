#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Guests who read a live room by Server-Sent Events, on any worker.

use strict;
use warnings;

use lib 't/lib';

use File::Temp;
use IO::Select;
use IO::Socket::INET;
use IPC::Open2;
use Mojo::JSON qw/ decode_json /;
use Mojo::Util qw/ url_escape /;
use Test::IM;
use Test::More;
use Time::HiRes qw/ time /;

plan skip_all => 'no im_events'
    unless Test::IM::locations() =~ /im_events/;

my $im = Test::IM->new;
my $tls = $im->free_port;
my $dir = File::Temp->newdir;

my $slow = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 8)
    or die "listen: $!";

system("openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x "
       . "-keyout $dir/key.pem -out $dir/cert.pem >$dir/log 2>&1") == 0
    or die 'openssl req';

$im->run(workers => 2, app => 'rate 0;', server => <<"END");
        listen 127.0.0.1:$tls ssl sndbuf=16k;
        ssl_certificate $dir/cert.pem;
        ssl_certificate_key $dir/key.pem;

        location /mirrored/ {
            rewrite ^/mirrored(/.*) \$1 break;
            mirror /slow;
            im_events;
        }

        location /limited/ {
            rewrite ^/limited(/.*) \$1 break;
            limit_rate 50;
            im_events;
        }

        location = /slow {
            internal;
            proxy_pass http://127.0.0.1:@{[ $slow->sockport ]};
        }
END

my $svc = 'group_open_http_svc';
my $random = 1;
my $readers = 0;

$im->users('ann');

sub room { return $im->group(Type => 'AVChatRoom', owner => 'ann', @_) }

sub say_to {
    my ($gid, $text) = @_;

    return $im->rest("$svc/send_group_msg", {
        GroupId => $gid, Random => $random++, From_Account => 'ann',
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => "$text" } }] })
        ->code_is(0)->json('/MsgSeq');
}

# In turn by HTTP/1.1, where the request is given back, and HTTP/1.0.

sub listen_to {
    my ($gid, $last, $prefix) = @_;
    my $version = $readers++ % 2 ? '1.0' : '1.1';

    my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                     PeerPort => $im->port)
        or die "connect: $!";

    $sock->print('GET ' . ($prefix // '') . '/rooms/' . $im->app_id . '/'
                 . url_escape($gid) . "/events HTTP/$version\r\nHost: x\r\n"
                 . ($last ? "Last-Event-ID: $last\r\n" : '') . "\r\n");
    $sock->flush;

    my $reader = { sock => $sock, buf => '' };
    $reader->{head} = take($reader, qr/^(.*?)\r\n\r\n/s) // '';

    return $reader;
}

# What the pattern finds next, within some seconds.

sub take {
    my ($reader, $pattern, $seconds) = @_;
    my $end = time + ($seconds // 30);

    for ( ;; ) {
        return $1 if $reader->{buf} =~ s/$pattern//;
        return undef if time > $end || $reader->{end};

        next unless IO::Select->new($reader->{sock})->can_read(0.1);

        $reader->{end} = 1
            unless sysread $reader->{sock}, $reader->{buf}, 65536,
                           length $reader->{buf};
    }
}

# The next element of the room: (id, element).

sub element {
    my ($reader, $seconds) = @_;

    while (defined(my $event = take($reader, qr/\A(.*?)\n\n/s, $seconds))) {
        next unless $event =~ /^data: (.*)$/m;

        my $item = decode_json($1);
        next unless defined $item->{Event};

        return ($event =~ /^id: ?(\d+)/m ? $1 : undef, $item);
    }

    return;
}

# The audience that a reader is told next.

sub audience {
    my ($reader, $want) = @_;

    my $n;

    while (defined(my $event = take($reader, qr/\A(.*?)\n\n/s))) {
        next unless $event =~ /^event: audience\ndata: (.*)\z/m;

        $n = decode_json($1)->{OnlineMemberNum};
        last if $n == $want;
    }

    return $n;
}

subtest 'the audience is told at first and when it changes' => sub {
    my $gid = room();
    my $first = listen_to($gid);

    is audience($first, 1), 1, 'alone';

    my @others = map { listen_to($gid) } 1 .. 3;

    is audience($first, 4), 4, 'others come';
    is audience($others[2], 4), 4, 'they hear it too';

    close $_->{sock} for @others[0, 1];
    is audience($first, 2), 2, 'some go';
};

subtest 'messages, tips, notices' => sub {
    my $gid = room();
    my @readers = map { listen_to($gid) } 1 .. 6;

    like $_->{head}, qr!^HTTP/1\.1 200 .*text/event-stream!s, 'status'
        for @readers;

    unlike $_->{head}, qr/chunked|keep-alive/, 'the connection ends it'
        for @readers;

    $im->wait_for(sub { $im->group_info($gid)->{MemberNum} == 6 });
    is $im->group_info($gid)->{MemberNum}, 6, 'audience';

    my $seq = say_to($gid, 'hello');

    for my $reader (@readers) {
        my ($id, $item) = element($reader);

        is $id, $seq, 'id is MsgSeq';
        is $item->{MsgSeq}, $seq, 'MsgSeq';
        is $item->{Event}, 3, 'Event';
        is $item->{MsgBody}[0]{MsgContent}{Text}, 'hello', 'text';
    }

    $im->rest("$svc/modify_group_base_info",
              { GroupId => $gid, Name => 'new' })->code_is(0);
    $im->rest("$svc/update_group_counter", {
        GroupId => $gid, GroupCounter => [{ Key => 'k', Value => 1 }] })
       ->code_is(0);
    $im->rest("$svc/destroy_group", { GroupId => $gid })->code_is(0);

    my (undef, $tip) = element($readers[0]);
    is $tip->{MsgBody}{OpType}, 6, 'a tip';

    my (undef, $notice) = element($readers[0]);
    is $notice->{MsgBody}{ReportType}, 5, 'the notice at the end';

    ok !defined(element($readers[0])) && $readers[0]{end},
        'the server closes';
};

subtest 'what a reader says is not listened to' => sub {
    my $gid = room();
    my @readers = map { listen_to($gid) } 1 .. 2;

    for my $reader (@readers) {
        $reader->{sock}->print('x' x 3000);
        $reader->{sock}->flush;
    }

    my $seq = say_to($gid, 'hello');

    is((element($_))[0], $seq, 'it hears all the same') for @readers;
};

# TLS wants what it did not take once more, as it was.

subtest 'a slow reader over TLS' => sub {
    my $gid = room();
    my $request = '/rooms/' . $im->app_id . '/' . url_escape($gid) . '/events';

    my $pid = open2(my $out, my $in, 'exec openssl s_client -quiet -connect '
                                     . "127.0.0.1:$tls 2>/dev/null");

    print $in "GET $request HTTP/1.1\r\nHost: x\r\n\r\n";
    $in->flush;

    my $reader = { sock => $out, buf => '' };
    like take($reader, qr/^(.*?)\r\n\r\n/s), qr/^HTTP\S+ 200/, 'open';

    my $dropped = $im->metric('im_frames_dropped_total');
    my $n = 0;

    # the pipe, the buffers of the sockets and of the server become full

    $im->wait_for(sub {
        say_to($gid, ++$n . ' ' . 'x' x 7000) for 1 .. 10;
        return $im->metric('im_frames_dropped_total') > $dropped;
    });

    my $last = 0;

    while ($last < $n) {
        (undef, my $item) = element($reader, 1);

        if (defined $item) {
            ($last) = $item->{MsgBody}[0]{MsgContent}{Text} =~ /^(\d+)/;
            next;
        }

        last if $reader->{end};
        say_to($gid, ++$n);
    }

    is $last, $n, 'it reads on';

    kill TERM => $pid;
    waitpid $pid, 0;
};

# nginx's mirrors use the request as long as they take.

subtest 'a mirrored request' => sub {
    my $gid = room();
    $readers = 0;
    my $reader = listen_to($gid, undef, '/mirrored');

    like $reader->{head}, qr!^HTTP/1\.1 200 !, 'open';

    my $mirror = $slow->accept;

    my $seq = say_to($gid, 'hello');
    is((element($reader))[0], $seq, 'it hears');

    my $request = '';
    1 while $request !~ /\r\n\r\n/
            && sysread $mirror, $request, 4096, length $request;

    ok !IO::Select->new($mirror)->can_read(0), 'the mirror is asked on';
};

subtest 'a limited rate' => sub {
    my $gid = room();

    for (1, 2) {
        my $reader = listen_to($gid, undef, '/limited');

        my $seq = say_to($gid, 'x' x 7000);
        is((element($reader))[0], $seq, 'is none of events');
    }
};

subtest 'coming back' => sub {
    my $gid = room();
    my $first = say_to($gid, 1);

    say_to($gid, $_) for 2, 3;

    my $reader = listen_to($gid, $first);

    is join(' ', map { (element($reader))[1]{MsgBody}[0]{MsgContent}{Text} }
                 1 .. 2), '2 3', 'what was missed';

    say_to($gid, 4);
    is((element($reader))[1]{MsgBody}[0]{MsgContent}{Text}, 4, 'and more');

    $reader = listen_to($gid);
    say_to($gid, 5);
    is((element($reader))[1]{MsgBody}[0]{MsgContent}{Text}, 5,
       'a new reader begins now');
};

subtest 'refusals' => sub {
    like listen_to('nosuch')->{head}, qr/^HTTP\S+ 4/, 'no such room';
    like listen_to('x' x 49)->{head}, qr/^HTTP\S+ 4/, 'no GroupId';
    like listen_to(room(ApplyJoinOption => 'DisableApply'))->{head},
        qr/^HTTP\S+ 4/, 'nobody joins';
};

done_testing;

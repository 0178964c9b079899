#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# im_websocket as RFC 6455 has it, whatever the frames say.

use strict;
use warnings;

use lib 't/lib';

use Compress::Zlib;
use IO::Select;
use IO::Socket::INET;
use Mojo::JSON qw/ decode_json encode_json /;
use Test::IM;
use Test::IM::Raw;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $slow = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 8,
                                 Timeout => 30)
    or die "listen: $!";

my $im = Test::IM->new->run(workers => 1, shutdown => '60s',
                            server => <<"END");
        location ^~ /mirrored/ {
            mirror /slow;
            im_websocket;
        }

        location = /slow {
            internal;
            proxy_pass http://127.0.0.1:@{[ $slow->sockport ]};
        }
END
my $query = '?sdkappid=' . $im->app_id;

sub raw { Test::IM::Raw->new($im->port) }

sub ws {
    my $raw = raw();
    my $res = $raw->upgrade((shift // '/info') . $query . (shift // ''));

    die "no upgrade: $res->{status}" unless $res->{status} == 101;

    return $raw;
}

my $seq = 0;

sub alive {
    return encode_json({ head => { servcmd => 'heartbeat.alive',
                                   seq => ++$seq, @_ }, body => {} });
}

sub is_alive {
    my ($raw, $opcode, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($got, $payload) = $raw->read_frame;

    is $got, $opcode, "$name: opcode";
    is eval { decode_json($payload)->{head}{seq} }, $seq, "$name: seq";
}

subtest 'upgrade' => sub {
    my $res = raw()->upgrade("/info$query");

    is $res->{status}, 101, 'status';
    is $res->{headers}{'sec-websocket-accept'},
       's3pPLMBiTxaQ9kYGzzhZRbK+xOo=', 'accept';
    is lc $res->{headers}{upgrade}, 'websocket', 'upgrade';

    is raw()->upgrade("/any/path/binfo$query&platform=7&compress=gzip")
       ->{status}, 101, 'another path';

    my %refused = (
        'Upgrade is missing' => [426, Upgrade => undef],
        'Upgrade to something else' => [426, Upgrade => 'h2c'],
        'Connection is missing' => [426, Connection => 'keep-alive'],
        'version 8' => [426, 'Sec-WebSocket-Version' => 8],
        'no version' => [426, 'Sec-WebSocket-Version' => undef],
        'no key' => [400, 'Sec-WebSocket-Key' => undef],
        'a short key' => [400, 'Sec-WebSocket-Key' => 'AAAA'],
        'a body that is not there' => [400, 'Content-Length' => 5],
    );

    for (sort keys %refused) {
        my ($status, @headers) = @{ $refused{$_} };
        my $res = raw()->upgrade("/info$query", @headers);

        is $res->{status}, $status, $_;
        is $res->{headers}{'sec-websocket-version'}, 13, "$_: version"
            if $status == 426;
    }

    for ('', '?sdkappid=', '?sdkappid=1', '?sdkappid=x', '?sdkappid=-1',
         '?sdkappid=99999999999')
    {
        is raw()->upgrade("/info$_")->{status}, 403, "app \"$_\"";
    }
};

# nginx's mirrors use the request as long as they take.

subtest 'a mirrored request' => sub {
    my $raw = raw();
    $raw->write($raw->upgrade_head("/mirrored/info$query")
                . $raw->frame_bytes(1, alive()));

    my $mirror = $slow->accept or return fail 'the mirror is asked';
    my $request = '';

    1 while $request !~ /\r\n\r\n/
            && sysread $mirror, $request, 4096, length $request;

    like $request, qr/^GET .*\r\n\r\n/s, 'the mirror is asked';
    ok !IO::Select->new($mirror)->can_read(0), 'and may answer';

    syswrite $mirror, "HTTP/1.0 200 OK\r\n\r\n";
    close $mirror;

    is $raw->response->{status}, 101, 'then the connection is upgraded';
    is_alive($raw, 1, 'what came before');

    $raw = raw();
    $raw->write($raw->upgrade_head("/mirrored/info$query"));
    $mirror = $slow->accept;
    $raw->close;
    close $mirror;

    $raw = ws();
    $raw->frame(1, alive());
    is_alive($raw, 1, 'a client that did not wait');
};

subtest 'forms' => sub {
    my $raw = ws('/info');
    $raw->frame(1, alive());
    is_alive($raw, 1, 'text');

    $raw = ws('/binfo');
    $raw->frame(2, alive());
    is_alive($raw, 2, 'binary');

    $raw->frame(1, alive());
    is_alive($raw, 2, 'binary answer to text');

    $raw = ws('/binfo', '&compress=gzip');
    $raw->frame(2, alive());
    is_alive($raw, 2, 'short answers are not compressed');

    my $long = join '', map { chr 97 + $_ % 26 } 1 .. 3000;
    $raw->frame(2, encode_json({ head => { servcmd => "x.$long", seq => 1 },
                                 body => {} }));

    my ($opcode, $payload) = $raw->read_frame;
    is $opcode, 2, 'a binary frame';
    like $payload, qr/^COMP/, 'compressed';

    my $plain = uncompress(substr $payload, 4);
    is decode_json($plain)->{head}{servcmd}, "x.$long", 'its contents';
};

subtest 'bytes that come with the upgrade' => sub {
    my $raw = raw();

    $raw->write($raw->upgrade_head("/info$query")
                . $raw->frame_bytes(1, alive()));
    is $raw->response->{status}, 101, 'upgrade';
    is_alive($raw, 1, 'frame');

    $raw = raw();
    my $bytes = $raw->frame_bytes(1, alive());
    $raw->write($raw->upgrade_head("/info$query") . substr $bytes, 0, 3);
    is $raw->response->{status}, 101, 'upgrade';
    $raw->write(substr $bytes, 3);
    is_alive($raw, 1, 'half a frame');

    # the second request of a connection, with headers in large buffers
    $raw = raw();
    $raw->write("OPTIONS /v4/a/b HTTP/1.1\r\nHost: localhost\r\n"
                . 'X: ' . 'x' x 3000 . "\r\n\r\n");
    is $raw->response->{status}, 200, 'a request before';
    $raw->write($raw->upgrade_head("/info$query", X => 'y' x 3000)
                . $raw->frame_bytes(1, alive()));
    is $raw->response->{status}, 101, 'upgrade';
    is_alive($raw, 1, 'frame');
};

subtest 'pieces' => sub {
    my $raw = ws();

    $raw->write($_) for split //, $raw->frame_bytes(1, alive());
    is_alive($raw, 1, 'byte by byte');

    my $text = alive();
    my $i = 0;

    for (split //, $text) {
        $raw->frame($i ? 0 : 1, $_, fin => ++$i == length $text);
        $raw->frame(9, "p$i") if $i == 5;
    }

    my ($opcode, $payload) = $raw->read_frame;
    is $opcode, 10, 'pong between the fragments';
    is $payload, 'p5', 'its payload';
    is_alive($raw, 1, 'fragments');

    $raw->write(join '', map { $raw->frame_bytes(1, alive(n => $_)) }
                         1 .. 20);
    $raw->read_frame for 1 .. 19;
    is_alive($raw, 1, '20 frames at once');
};

subtest 'ping' => sub {
    my $raw = ws();

    for ('', 'x' x 125) {
        $raw->frame(9, $_);
        is_deeply [$raw->read_frame], [10, $_], 'pong';
    }

    $raw->frame(10, 'unasked');
    $raw->frame(1, alive());
    is_alive($raw, 1, 'after a pong');
};

subtest 'the client closes' => sub {
    my %status = ('' => 1000, pack('n', 1000) => 1000,
                  pack('n', 4000) . 'bye' => 4000, pack('n', 1005) => 1002,
                  "\x03" => 1002, pack('n', 1000) . "\xff" => 1007);

    for (sort keys %status) {
        my $raw = ws();
        $raw->frame(8, $_);
        is $raw->read_close, $status{$_}, "status $status{$_}";
        ok $raw->eof, 'and the end';
    }

    my $raw = ws();
    $raw->frame(1, alive());
    $raw->frame(8, pack 'n', 1000);
    $raw->frame(1, alive());
    $seq--;
    is_alive($raw, 1, 'what was asked before is answered');
    is $raw->read_close, 1000, 'close';
};

subtest 'faults of the client' => sub {
    my $max = 1024 * 1024;

    my %close = (
        'not masked' => [1002, 1, 'x', mask => 0],
        'RSV1' => [1002, 1, 'x', rsv => 0x40],
        'opcode 3' => [1002, 3, 'x'],
        'continuation' => [1002, 0, 'x'],
        'a long ping' => [1002, 9, 'x' x 126],
        'a ping in fragments' => [1002, 9, 'x', fin => 0],
        'not UTF-8' => [1007, 1, "\xff"],
        'half of a character' => [1007, 1, "\xe4\xb8"],
        'too long' => [1009, 1, ' ' x ($max + 1)],
    );

    for (sort keys %close) {
        my ($status, @frame) = @{ $close{$_} };
        my $raw = ws();

        $raw->frame(@frame);
        is $raw->read_close, $status, $_;

        $raw->frame(8, pack 'n', $status);
        ok $raw->eof, "$_: the end";
    }

    my $raw = ws();
    $raw->frame(1, ' ' x 600000, fin => 0);
    $raw->frame(0, ' ' x 600000);
    is $raw->read_close, 1009, 'fragments that are too long';

    $raw = ws();
    $raw->frame(1, alive() . ' ' x ($max - 200));
    is_alive($raw, 1, 'the longest');

    $raw = ws();
    $raw->frame(1, "\xe4\xb8", fin => 0);
    $raw->frame(0, "\xad\xe6\x96\x87");
    my ($opcode) = $raw->read_frame;
    is $opcode, 1, 'a character in two fragments is none';
};

subtest 'too many frames a second' => sub {
    my $raw = ws();

    $raw->frame(1, alive()) for 1 .. 400;
    is $raw->read_close, 1008, 'closed';
};

subtest 'a client that says nothing' => sub {
    $im->reload(app => 'ws_timeout 4s;');

    my ($raw, $start);

    # again, if the machine takes too long to say something
    for (1 .. 5) {
        $start = time;
        $raw = ws();
        sleep 2;
        $raw->frame(1, alive());
        last if time - $start < 3;
    }

    is_alive($raw, 1, 'it does');
    is $raw->read_close, 1001, 'closed';
    cmp_ok time - $start, '>', 5.5, 'in time';

    $im->reload(app => '');
};

subtest 'clients that go away' => sub {
    my @raw = map { ws() } 1 .. 20;

    ok $im->wait_for(sub { $im->metric('im_connections{transport="ws"}') == 20
                       }), 'they are counted';

    for (@raw) {
        $_->write(substr $_->frame_bytes(1, alive()), 0, int rand 40);
        $_->close;
    }

    ok $im->wait_for(sub { $im->metric('im_connections{transport="ws"}') == 0
                       }), 'they are gone';
};

subtest 'a reader that is slow' => sub {
    my $raw = ws();
    my $long = 'x' x 100000;

    # the server stops reading when too much is unsent
    for (1 .. 200) {
        my $bytes = $raw->frame_bytes(1, encode_json({
            head => { servcmd => "x.$long", seq => $_ }, body => {} }));
        last unless $raw->try_write($bytes, 3);
        sleep 0.025;
    }

    ok $raw->unwritten, 'the server does not read on';

    my $n = 0;
    $n++ while $raw->read_frame($n ? 0.5 : 30);
    ok $n, 'all that was asked for comes';

    $raw = ws();
    $raw->frame(1, alive());
    is_alive($raw, 1, 'others are served');
};

subtest 'reload' => sub {
    my @raw = map { ws() } 1 .. 10;

    $im->reload;

    for (@raw) {
        is $_->read_close, 1012, 'closed';
        $_->frame(8, pack 'n', 1012);
        ok $_->eof, 'the end';
    }

    my $raw = ws();
    $raw->frame(1, alive());
    is_alive($raw, 1, 'the new worker');
};

subtest 'exit with open connections' => sub {
    my @raw = map { ws() } 1 .. 5;

    $im->stop('nginx exits in time');
};

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# permessage-deflate: what is agreed upon, what is sent, what is refused.

use strict;
use warnings;

use lib 't/lib';

use Compress::Raw::Zlib;
use Mojo::JSON qw/ decode_json encode_json /;
use Test::IM;
use Test::IM::Node;
use Test::IM::Raw;
use Test::More;

my $im = Test::IM->new->run(workers => 1);
my $query = '?sdkappid=' . $im->app_id;

use constant RSV1 => 0x40;

my $seq = 0;

sub offer {
    my ($offer, $path) = @_;

    my $raw = Test::IM::Raw->new($im->port);
    my $res = $raw->upgrade(($path // '/info') . $query,
                            'Sec-WebSocket-Extensions' => $offer);

    is $res->{status}, 101, 'upgrade' if $res->{status} != 101;

    return ($raw, $res->{headers}{'sec-websocket-extensions'});
}

sub deflate {
    my ($text, %o) = @_;

    my ($d) = Compress::Raw::Zlib::Deflate->new(
        -WindowBits => -MAX_WBITS, -AppendOutput => 1, %o);
    my $out = '';

    $d->deflate($text, $out);
    $d->flush($out, Z_SYNC_FLUSH);

    $out =~ s/\x00\x00\xff\xff\z// or die;

    return $out;
}

sub inflate {
    my ($bytes, $bits) = @_;

    my ($i) = Compress::Raw::Zlib::Inflate->new(
        -WindowBits => -($bits // MAX_WBITS));
    my $out = '';
    my $status = $i->inflate($bytes . "\x00\x00\xff\xff", $out);

    return "$status" eq '' || $status == Z_OK ? $out : undef;
}

sub alive {
    return encode_json({ head => { servcmd => 'heartbeat.alive',
                                   seq => ++$seq, @_ }, body => {} });
}

# A frame and whether it is compressed.
sub read_frame {
    my ($raw) = @_;

    $raw->read_until(sub { length $_[0] }) or return;
    my $first = ord $raw->{in};
    my ($opcode, $payload) = $raw->read_frame;

    return ($opcode, $payload, $first & RSV1 ? 1 : 0);
}

sub is_alive {
    my ($raw, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($opcode, $payload, $compressed) = read_frame($raw);
    $payload = inflate($payload) if $compressed;

    is eval { decode_json($payload)->{head}{seq} }, $seq, $name;
}

my $answer = 'permessage-deflate; server_no_context_takeover; '
             . 'client_no_context_takeover';

subtest 'offers' => sub {
    my %offers = (
        'permessage-deflate' => $answer,
        'permessage-deflate; client_max_window_bits' => $answer,
        'permessage-deflate;client_no_context_takeover;'
            . 'server_no_context_takeover' => $answer,
        'permessage-deflate; server_max_window_bits=10'
            => "$answer; server_max_window_bits=10",
        'permessage-deflate; server_max_window_bits=20, permessage-deflate'
            => $answer,
        'permessage-deflate; no_such_parameter' => undef,
        'permessage-deflate; server_max_window_bits' => undef,
        'x-webkit-deflate-frame' => undef,
    );

    for my $offer (sort keys %offers) {
        my (undef, $got) = offer($offer);
        is $got, $offers{$offer}, $offer;
    }

    my $raw = Test::IM::Raw->new($im->port);
    my $res = $raw->upgrade("/info$query");

    is $res->{headers}{'sec-websocket-extensions'}, undef, 'not offered';

    $raw->frame(1, deflate(alive()), rsv => RSV1);
    is $raw->read_close, 1002, 'compressed all the same';
};

subtest 'a client that compresses' => sub {
    my ($raw) = offer('permessage-deflate');

    $raw->frame(1, deflate(alive()), rsv => RSV1);
    is_alive($raw, 'compressed');

    $raw->frame(1, alive());
    is_alive($raw, 'not compressed');

    my $bytes = deflate(alive(padding => 'x' x 500));

    $raw->frame(1, substr($bytes, 0, 3), rsv => RSV1, fin => 0);
    $raw->frame(9, 'between');
    $raw->frame(0, substr($bytes, 3, 10), fin => 0);
    $raw->frame(0, '', fin => 0);
    $raw->frame(0, substr $bytes, 13);

    my ($opcode, $payload) = read_frame($raw);

    is $opcode, 10, 'a ping between the fragments';
    is $payload, 'between', 'its payload';
    is_alive($raw, 'fragments');

    $raw->frame(1, deflate(alive(), -Level => 0), rsv => RSV1);
    is_alive($raw, 'stored blocks');

    my ($i) = Compress::Raw::Zlib::Deflate->new(
        -WindowBits => -MAX_WBITS, -AppendOutput => 1);
    my $out = '';

    $i->deflate(alive(), $out);
    $i->flush($out, Z_FINISH);

    $raw->frame(1, "$out\0", rsv => RSV1);
    is_alive($raw, 'a stream that ends');

    $raw->frame(1, deflate(alive(padding => 'x' x 1_000_000)), rsv => RSV1);
    is_alive($raw, 'a long one');

    $raw->frame(1, "\x00\x00\x00\xff\xff" x 1000 . deflate(alive()),
                rsv => RSV1);
    is_alive($raw, 'after empty blocks');

    # nothing that deflate makes shorter, nor Huffman's fixed codes
    my $wide = join '', map { chr 0x80 + int rand 0x700 } 1 .. 400_000;
    utf8::encode($wide);

    $raw->frame(1, deflate(qq({"head":{"servcmd":"heartbeat.alive","seq":)
                           . ++$seq . qq(},"body":{"x":"$wide"}}),
                           -Strategy => Z_FIXED, -Level => 1), rsv => RSV1);
    is_alive($raw, 'fixed codes');

    my ($bin) = offer('permessage-deflate', '/binfo');

    $bin->frame(2, deflate(alive()), rsv => RSV1);
    is_alive($bin, 'a binary frame');
};

subtest 'what is refused' => sub {
    my @cases = (
        [1002, 'a control frame', [9, 'ping', rsv => RSV1]],
        [1002, 'another bit', [1, deflate(alive()), rsv => 0x20]],
        [1007, 'no stream', [1, "\xff\xff\xff\xff", rsv => RSV1]],
        [1007, 'not compressed', [1, alive(), rsv => RSV1]],
        [1007, 'a cut stream', [1, substr(deflate(alive(p => 'x' x 99)), 0, 9),
                                rsv => RSV1]],
        [1007, 'no UTF-8', [1, deflate("\xff\xfe"), rsv => RSV1]],
        [1007, 'empty blocks', [1, "\x00\x00\x00\xff\xff" x 200_000,
                                rsv => RSV1]],
        [1009, 'a bomb', [1, deflate("\0" x 10_000_000), rsv => RSV1]],
        [1009, 'one byte too much', [1, deflate(' ' x (1024 * 1024 + 1)),
                                     rsv => RSV1]],
    );

    for my $case (@cases) {
        my ($status, $name, $frame) = @$case;
        my ($raw) = offer('permessage-deflate');

        $raw->frame(@$frame);
        is $raw->read_close, $status, $name;
    }

    my ($raw) = offer('permessage-deflate');
    my $bytes = deflate(alive());

    $raw->frame(1, substr($bytes, 0, 3), rsv => RSV1, fin => 0);
    $raw->frame(0, substr($bytes, 3), rsv => RSV1);
    is $raw->read_close, 1002, 'the bit in a later frame';

    ($raw) = offer('permessage-deflate');
    $bytes = deflate(alive(padding => 'x' x 1_000_000));

    $raw->frame(1, $bytes, rsv => RSV1) for 1 .. 20;
    is $raw->read_close, 1008, 'many bombs in a second';

    ok $im->wait_for(sub { !$im->metric('im_body_bytes') }),
       'nothing is kept';
};

# A room and those in it who offer it or not.

sub member {
    my ($user, $offer, $path) = @_;

    my ($raw, $got) = offer($offer, $path);
    my $opcode = ($path // '') eq '/binfo' ? 2 : 1;
    my %head = (ver => 'v4', platform => 7, sdkappid => $im->app_id,
                contenttype => 'json', status_instid => 0);

    $raw->frame($opcode, encode_json({
        head => { %head, identifier => $user, seq => 1,
                  usersig => $im->usersig($user),
                  servcmd => 'im_open_status.wslogin' },
        body => { State => 'Online', InstType => 0 } }));
    $raw->frame($opcode, encode_json({
        head => { %head, seq => 2,
                  servcmd => 'group_open_http_svc.apply_join_group' },
        body => { GroupId => 'r' } })) if text($raw) =~ /A2Key/;

    like text($raw), qr/JoinedSuccess/, "$user is in";

    return $raw;
}

sub text {
    my ($raw) = @_;
    my ($opcode, $payload, $compressed) = read_frame($raw);

    return $compressed ? inflate($payload) : $payload;
}

sub message {
    my ($raw, $bits) = @_;

    while (my ($opcode, $payload, $compressed) = read_frame($raw)) {
        my $text = $compressed ? inflate($payload, $bits) : $payload;

        return ($compressed, length $payload, $text, $opcode)
            if $text =~ /TIMTextElem/;
    }

    return;
}

subtest 'a message to a room' => sub {
    $im->users('ann', 'bob', 'cat', 'dan', 'eve');
    $im->group(Type => 'AVChatRoom', GroupId => 'r', owner => 'ann');

    my $plain = member('bob', 'none');
    my $all = member('cat', 'permessage-deflate');
    my $small = member('dan', 'permessage-deflate; server_max_window_bits=11');
    my $bin = member('eve', 'permessage-deflate', '/binfo');

    for my $len (600, 5000) {
        $im->rest('group_open_http_svc/send_group_msg', {
            GroupId => 'r', Random => $len, From_Account => 'ann',
            MsgBody => [{ MsgType => 'TIMTextElem', MsgContent => {
                Text => join('', map { chr 97 + $_ * $_ % 26 } 1 .. $len) } }]
        })->code_is(0);

        my ($c0, $n0, $t0) = message($plain);
        my ($c1, $n1, $t1) = message($all);
        my ($c2, $n2, $t2) = message($small, 11);
        my ($c3, $n3, $t3, $opcode) = message($bin);

        is "$c0$c1", '01', "$len: compressed for who offers";
        is $c2, $len < 2048 ? 1 : 0, "$len: not beyond the window";
        is "$c3/$opcode", '1/2', "$len: a binary frame";
        is $t1, $t0, "$len: the same text";
        is $t2, $t0, "$len: the same text, small window";
        is $t3, $t0, "$len: the same text, binary";
        cmp_ok $n1, '<', $n0, "$len: shorter";
    }
};

SKIP: {
    my $missing = node_missing('ws');
    skip $missing, 1 if $missing;

    node_script($im, 'node/deflate.js', 60);
}

subtest 'websocket_deflate off' => sub {
    my $off = Test::IM->new->run(im => 'websocket_deflate off;');
    my $raw = Test::IM::Raw->new($off->port);
    my $res = $raw->upgrade('/info?sdkappid=' . $off->app_id,
                            'Sec-WebSocket-Extensions' => 'permessage-deflate');

    is $res->{status}, 101, 'upgrade';
    is $res->{headers}{'sec-websocket-extensions'}, undef, 'not taken';
};

done_testing;

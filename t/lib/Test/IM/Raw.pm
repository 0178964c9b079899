package Test::IM::Raw;

# Copyright (C) The ngx_im authors

# A socket on which a test writes what it likes.
#
#   my $raw = Test::IM::Raw->new($im->port);    # rcvbuf => bytes
#   $raw->write("GET / HTTP/1.1\r\n...");
#   my $res = $raw->response;               # { status, headers, body }
#
#   $raw->upgrade('/info?sdkappid=1');      # then frames of a WebSocket:
#   $raw->frame(1, 'text');
#   my ($opcode, $payload) = $raw->read_frame;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use Socket qw/ SOCK_STREAM SOL_SOCKET SO_RCVBUF inet_aton pack_sockaddr_in /;
use Time::HiRes qw/ time /;

sub new {
    my ($class, $port, %o) = @_;

    my $s = IO::Socket::INET->new;
    $s->socket(Socket::PF_INET, SOCK_STREAM, 0) or die "socket: $!";

    setsockopt $s, SOL_SOCKET, SO_RCVBUF, $o{rcvbuf} if $o{rcvbuf};

    $s->connect(pack_sockaddr_in($port, inet_aton('127.0.0.1')))
        or die "connect: $!";
    $s->autoflush(1);

    return bless { s => $s, in => '', eof => 0 }, $class;
}

sub write {
    my ($self, $bytes) = @_;
    local $SIG{PIPE} = 'IGNORE';

    while (length $bytes) {
        my $n = syswrite $self->{s}, $bytes or return 0;
        substr $bytes, 0, $n, '';
    }

    return 1;
}

# Writes what the socket takes within so many seconds; true if it is all.
sub try_write {
    my ($self, $bytes, $seconds) = @_;
    my $end = time + $seconds;

    $self->{s}->blocking(0);

    while (length $bytes && time < $end) {
        IO::Select->new($self->{s})->can_write($end - time) or last;
        my $n = syswrite $self->{s}, $bytes or last;
        substr $bytes, 0, $n, '';
    }

    $self->{s}->blocking(1);
    $self->{unwritten} = $bytes;

    return !length $bytes;
}

# With the smallest buffer for what comes.
sub slow_reader {
    my $self = shift;
    setsockopt $self->{s}, SOL_SOCKET, SO_RCVBUF, 1;
    return $self;
}

sub unwritten { $_[0]{unwritten} }

sub close { my $self = shift; close $self->{s}; return }

# Reads until the function of what came is true, or the end, or too late.
sub read_until {
    my ($self, $fn, $seconds) = @_;
    my $end = time + ($seconds // 30);
    my $select = IO::Select->new($self->{s});

    while (!$fn->($self->{in}) && !$self->{eof}) {
        my $left = $end - time;
        last if $left <= 0 || !$select->can_read($left);

        my $n = sysread $self->{s}, $self->{in}, 65536, length $self->{in};
        $self->{eof} = 1 unless $n;
    }

    return $fn->($self->{in});
}

sub eof {
    my ($self, $seconds) = @_;
    $self->read_until(sub { 0 }, $seconds);
    return $self->{eof};
}

sub response {
    my ($self, $seconds) = @_;

    $self->read_until(sub { $_[0] =~ /\r\n\r\n/ }, $seconds) or return;
    my ($head) = $self->{in} =~ /^(.*?\r\n\r\n)/s;
    substr $self->{in}, 0, length $head, '';

    my ($status) = $head =~ /^HTTP\/1\.[01] (\d+)/;
    my %headers = map { /^([^:]+):\s*(.*?)\r?$/ ? (lc $1, $2) : () }
                  split /\n/, $head;
    my $len = $headers{'content-length'} // 0;

    $self->read_until(sub { length $_[0] >= $len }, $seconds);
    my $body = substr $self->{in}, 0, $len, '';

    return { status => $status, headers => \%headers, body => $body };
}

# The head of an upgrade; %headers: changes, undef leaves out.
sub upgrade_head {
    my ($self, $path, %headers) = @_;

    my %h = (Host => 'localhost', Upgrade => 'websocket',
             Connection => 'keep-alive, Upgrade',
             'Sec-WebSocket-Version' => 13,
             'Sec-WebSocket-Key' => 'dGhlIHNhbXBsZSBub25jZQ==', %headers);

    return "GET $path HTTP/1.1\r\n"
           . join('', map { "$_: $h{$_}\r\n" }
                      grep { defined $h{$_} } sort keys %h)
           . "\r\n";
}

sub upgrade {
    my ($self, $path, %headers) = @_;
    $self->write($self->upgrade_head($path, %headers));
    return $self->response;
}

# Options: fin => 0, rsv, mask => 0, head => only so many bytes are sent.
sub frame_bytes {
    my ($self, $opcode, $payload, %o) = @_;

    my $len = length $payload;
    my $mask = ($o{mask} // 1) ? 0x80 : 0;
    my $key = pack 'N', 0x12345678;

    my $bytes = pack 'C', (($o{fin} // 1) ? 0x80 : 0) | ($o{rsv} // 0)
                          | $opcode;
    $bytes .= $len < 126 ? pack('C', $mask | $len)
              : $len < 65536 ? pack('Cn', $mask | 126, $len)
              : pack('CQ>', $mask | 127, $len);

    if ($mask) {
        $payload ^= substr $key x (1 + $len / 4), 0, $len;
        $bytes .= $key;
    }

    return $bytes . $payload;
}

sub frame {
    my ($self, @frame) = @_;
    return $self->write($self->frame_bytes(@frame));
}

# A frame of the server, or nothing.
sub read_frame {
    my ($self, $seconds) = @_;

    my $whole = sub {
        my $in = shift;
        return 0 if length $in < 2;

        my $len = ord(substr $in, 1, 1);
        my $head = $len == 126 ? 4 : $len == 127 ? 10 : 2;
        return 0 if length $in < $head;

        $len = unpack 'n', substr $in, 2 if $head == 4;
        $len = unpack 'Q>', substr $in, 2 if $head == 10;

        return length $in >= $head + $len ? [$head, $len] : 0;
    };

    my $got = $self->read_until($whole, $seconds) or return;
    my ($head, $len) = @$got;

    my $first = ord substr $self->{in}, 0, $head, '';
    my $payload = substr $self->{in}, 0, $len, '';

    return ($first & 0x0f, $payload);
}

# The status of the server's Close, the frames before it are passed over.
sub read_close {
    my ($self, $seconds) = @_;

    while (my ($opcode, $payload) = $self->read_frame($seconds)) {
        return unpack 'n', $payload if $opcode == 8;
    }

    return;
}

1;

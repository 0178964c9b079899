#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Opens N WebSocket connections, logs each in as a user of its own where the
# mode is "login", says "ready" and holds them until its input ends.
#
#   hold.pl PORT N open|login KEYFILE APP

use strict;
use warnings;

use Compress::Zlib;
use Digest::SHA qw/ hmac_sha256_base64 /;
use IO::Socket::INET;
use MIME::Base64;

use constant BATCH => 100;

my ($port, $n, $mode, $file, $app) = @ARGV;

open my $fh, '<', $file or die "$file: $!\n";
chomp(my $key = <$fh>);

$| = 1;


sub usersig {
    my ($user) = @_;

    my ($time, $expire) = (time, 86400);

    my $sig = hmac_sha256_base64("TLS.identifier:$user\nTLS.sdkappid:$app\n"
                                 . "TLS.time:$time\nTLS.expire:$expire\n",
                                 $key);
    $sig .= '=' while length($sig) % 4;

    my $text = encode_base64(compress(
        qq({"TLS.ver":"2.0","TLS.identifier":"$user","TLS.sdkappid":$app,)
        . qq("TLS.time":$time,"TLS.expire":$expire,"TLS.sig":"$sig"})), '');

    $text =~ tr{+/=}{*\-_};

    return $text;
}

# A masked text frame; the mask is zero.
sub frame {
    my ($text) = @_;

    my $len = length $text;

    return $len < 126 ? pack('CCN', 0x81, 0x80 | $len, 0) . $text
                      : pack('CCnN', 0x81, 0xfe, $len, 0) . $text;
}

sub expect {
    my ($sock, $re) = @_;

    my $in = '';

    while ($in !~ $re) {
        sysread($sock, $in, 16384, length $in) or die "closed: $in\n";
    }
}

my $upgrade = "GET /info?sdkappid=$app&platform=7 HTTP/1.1\r\n"
    . "Host: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    . "Sec-WebSocket-Version: 13\r\n"
    . "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

my @all;

while (@all < $n) {
    my @batch;

    while (@batch < BATCH && @all + @batch < $n) {
        my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                         PeerPort => $port)
            or die "connect: $@\n";

        syswrite $sock, $upgrade;
        push @batch, $sock;
    }

    expect($_, qr/\r\n\r\n/) for @batch;

    if ($mode eq 'login') {
        for my $i (0 .. $#batch) {
            my $user = 'i' . (@all + $i);

            syswrite $batch[$i], frame(
                qq({"head":{"ver":"v4","platform":7,"sdkappid":$app,)
                . qq("identifier":"$user","usersig":") . usersig($user)
                . qq(","status_instid":0,"contenttype":"json",)
                . qq("servcmd":"im_open_status.wslogin","seq":1},)
                . qq("body":{"State":"Online","InstType":0}}));
        }

        expect($_, qr/"A2Key"/) for @batch;
    }

    push @all, @batch;
}

print "ready\n";

1 while <STDIN>;

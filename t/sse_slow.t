#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Readers of a room by Server-Sent Events that are slow: the socket takes a
# frame in several pieces, and more comes meanwhile.

use Mojo::Base -strict, -signatures;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::INET;
use Socket qw/ SOL_SOCKET SO_RCVBUF /;
use Test::IM;
use Test::More;
use Time::HiRes qw/ sleep time /;

my $port = Test::IM->new->free_port;

my $im = Test::IM->new->run(
    app => 'rate 0; group_rate 0; group_rate_normal 0;',
    server => "listen 127.0.0.1:$port sndbuf=8k;");

$im->group(Type => 'AVChatRoom', GroupId => 'live', Name => 'live');

my $random = 0;

sub message ($text) {
    $im->rest('group_open_http_svc/send_group_msg', {
        GroupId => 'live', Random => ++$random, MsgBody => [{
            MsgType => 'TIMTextElem', MsgContent => { Text => $text }
        }] });
}

for my $version ('1.1', '1.0') {
    subtest "HTTP/$version" => sub {
        socket(my $s, Socket::PF_INET(), Socket::SOCK_STREAM(), 0) or die $!;
        setsockopt $s, SOL_SOCKET, SO_RCVBUF, 4096;
        connect $s, Socket::pack_sockaddr_in($port,
                                             Socket::inet_aton('127.0.0.1'))
            or die $!;

        syswrite $s, "GET /rooms/1400000001/live/events HTTP/$version\r\n"
                     . "Host: localhost\r\n\r\n";

        my ($text, $n, $end) = ('', 0, time + 60);

        while (time < $end && $text !~ /the last one/) {
            $n++;

            message('x' x 7000) if $n % 2 && $n < 40;
            message('the last one') if $n >= 60 && $n % 10 == 0;

            vec(my $bits = '', fileno $s, 1) = 1;
            next if !select $bits, undef, undef, 0.02;

            sysread $s, my $bytes, 3000 or last;
            $text .= $bytes;
        }

        like $text, qr/the last one/, 'is served to the end';
        $text =~ s/\r\n[0-9a-f]+\r\n//g;

        my $whole = () = $text =~ /"Text":"x{7000}"/g;
        my $begun = () = $text =~ /"Text":"x/g;
        is $whole, $begun, "$whole messages came whole";
        cmp_ok $whole, '>', 3, 'some came';
    };
}

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A fast stop of nginx while calls are at the MongoDB server: they end before
# the connections do.

use strict;
use warnings;

use lib 't/lib';

use IO::Socket::INET;
use POSIX qw/ WNOHANG /;
use Test::IM;
use Test::IM::Mongo;
use Test::More;

Test::IM::Mongo->skip;

my $im = Test::IM->new;
my $mongo = Test::IM::Mongo->new(port => $im->free_port)->start;

$im->run(workers => 1, im_block => <<"END");
im {
    zone 16m;
    bus 8m;
    store @{[ $mongo->uri ]};
    drain_time 500ms;

    app 1400000001 { key "@{[ $im->key ]}"; rate 0; }
}
END

# The master kills a worker that has not ended after a second: now and then
# one of a slow machine.
$im->allow_log(qr/exited on signal 9/);

sub killed { scalar(() = $im->log_text =~ /exited on signal 9/g) }

sub stops { scalar(() = $im->log_text =~ /signal 15 .*exiting/g) }

# A request whose answer nobody waits for.
sub import_user {
    my ($user) = @_;

    my $body = qq({"UserID":"$user"});
    my $url = $im->url('/v4/im_open_login_svc/account_import',
        sdkappid => $im->app_id, identifier => $im->admin, random => 1,
        contenttype => 'json', usersig => $im->usersig($im->admin));
    my $stream = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $im->port) or die $!;

    syswrite $stream, 'POST ' . $url->path_query . " HTTP/1.0\r\n"
                      . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    return $stream;
}

# Connections on which the server has something to read.
sub waiting {
    my $port = sprintf '0100007F:%04X', $mongo->port;

    open my $tcp, '<', '/proc/net/tcp' or die $!;
    return scalar grep { /^ *\d+: $port \S+ 01 \w+:(\w+)/ && hex $1 } <$tcp>;
}

my ($stopped, $ended) = (0, 0);

for my $try (1 .. 8) {
    $im->start if $try > 1;
    $im->users('ann');

    my $before = killed();

    kill STOP => $mongo->pid;
    my @streams = map { import_user("u$try.$_") } 1 .. 20;

    $im->wait_for(sub { waiting() > 8 }) or last;

    kill TERM => $im->pid;
    $im->wait_for(sub { stops() == $try });
    kill CONT => $mongo->pid;

    $im->wait_for(sub { waitpid($im->pid, WNOHANG) == $im->pid }) or last;
    $im->pid(undef);

    $stopped++;
    $ended++ if killed() == $before;
    last if $ended == 3;
}

is $ended, 3, 'a worker ends in time' or diag "of $stopped";

done_testing;

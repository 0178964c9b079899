#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# The session protocol over TCP: 4 bytes of length, then the JSON.

use strict;
use warnings;

use lib 't/lib';

use Mojo::JSON qw/ decode_json encode_json /;
use Test::IM;
use Test::IM::Raw;
use Test::More;

my $im = Test::IM->new;
my $port = $im->free_port;
my $other = $im->free_port;
my $id = $im->app_id;

$im->run(workers => 1, shutdown => '60s', stream => <<"END");
    server { listen 127.0.0.1:$port; im_stream; }
    server { listen 127.0.0.1:$other; im_stream $id; }
END

my $seq = 0;

sub raw { Test::IM::Raw->new(shift // $port) }
sub bytes { pack 'N/a*', shift }

sub alive {
    return encode_json({ head => { servcmd => 'heartbeat.alive',
                                   seq => ++$seq }, body => {} });
}

sub read_frame {
    my ($raw, $seconds) = @_;

    my $whole = sub { length $_[0] >= 4
                      && length $_[0] >= 4 + unpack 'N', $_[0] };

    $raw->read_until($whole, $seconds) or return;

    my ($json) = unpack 'N/a*', $raw->{in};
    substr $raw->{in}, 0, 4 + length $json, '';

    return decode_json($json);
}

sub is_alive {
    my ($raw, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $frame = read_frame($raw);
    is $frame && $frame->{head}{seq}, $seq, $name;
}

subtest 'frames' => sub {
    my $raw = raw();

    $raw->write(bytes(alive()));
    is_alive($raw, 'one');

    $raw->write($_) for split //, bytes(alive());
    is_alive($raw, 'byte by byte');

    $raw->write(join '', map { bytes(alive()) } 1 .. 20);
    read_frame($raw) for 1 .. 19;
    is_alive($raw, '20 at once');

    $raw = raw($other);
    $raw->write(bytes(alive() . ' ' x (1024 * 1024 - 200)));
    is_alive($raw, 'a long one, and the other port');
};

subtest 'login' => sub {
    my $raw = raw();

    $raw->write(bytes(encode_json({
        head => { servcmd => 'im_open_status.wslogin', seq => 7,
                  identifier => 'ann', usersig => $im->usersig('ann'),
                  sdkappid => $id, platform => 2 },
        body => { State => 'Online' } })));

    my $frame = read_frame($raw);
    is $frame->{body}{ErrorCode}, 0, 'code';
    ok $frame->{body}{A2Key}, 'a2';

    $im->rest('openim/querystate',
              { To_Account => ['ann'], IsNeedDetail => 1 })
       ->json_is('/QueryResult/0/Detail/0/Platform', 'Android');

    ok $im->wait_for(sub { $im->metric('im_connections{transport="tcp"}') }),
       'the connection is counted';
};

subtest 'faults' => sub {
    for ([0, 'no length'], [1024 * 1024 + 1, 'too long'],
         [0xffffffff, 'far too long'])
    {
        my $raw = raw();
        $raw->write(pack('N', $_->[0]) . 'x' x 20);
        ok $raw->eof, $_->[1];
    }

    my $raw = raw();
    $raw->write(bytes(alive())) for 1 .. 400;
    ok $raw->eof, 'too many frames a second';

    $im->reload(app => 'ws_timeout 2s;');
    $raw = raw();
    ok $raw->eof, 'nothing at all';
    $im->reload(app => '');
};

subtest 'reload and exit' => sub {
    my $raw = raw();
    $raw->write(bytes(alive()));
    is_alive($raw, 'before');

    $im->reload(wait => 0);
    ok $raw->eof, 'closed';
    $raw->close;

    $raw = raw();
    $raw->write(bytes(alive()));
    is_alive($raw, 'the new worker');

    $im->stop('nginx exits in time');
};

done_testing;

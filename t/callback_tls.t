#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Receivers with TLS: verification, own CA, client certificates, HTTP/2.

use strict;
use warnings;

use lib 't/lib';

use Mojo::File qw/ path /;
use Test::IM;
use Test::IM::Receiver;
use Test::More;

my $before = 'C2C.CallbackBeforeSendMsg';
my $app = Test::IM::Receiver->new->start;
my $im = Test::IM->new;
my $dir = File::Temp::tempdir('im-test-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;

sub openssl {
    system("cd $dir && openssl $_[0] >>openssl.log 2>&1") == 0
        or die "openssl $_[0]: " . path("$dir/openssl.log")->slurp;
}

sub authority {
    my ($ca) = @_;

    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=$ca "
            . "-keyout $ca.key -out $ca.pem");
}

sub certificate {
    my ($ca, $name, $cn, $alt) = @_;

    path("$dir/$name.ext")->spurt("subjectAltName=$alt\n");
    openssl("req -newkey rsa:2048 -nodes -subj /CN=$cn "
            . "-keyout $name.key -out $name.csr");
    openssl("x509 -req -in $name.csr -CA $ca.pem -CAkey $ca.key "
            . "-CAcreateserial -days 2 -extfile $name.ext -out $name.pem");
}

authority($_) for qw/ own other /;
certificate('own', 'server', '127.0.0.1', 'IP:127.0.0.1');
certificate('own', 'wrong', 'example.org', 'DNS:example.org');
certificate('own', 'client', 'ngx_im', 'DNS:ngx_im');
certificate('other', 'stranger', 'ngx_im', 'DNS:ngx_im');

# nobody but root reads keys, workers are not root
chmod 0600, glob "$dir/*.key";

my %port = map { $_ => $im->free_port } qw/ plain wrong mutual h2 /;

my $proxy = 'location / { proxy_pass http://127.0.0.1:' . $app->port
            . '; proxy_set_header X-Proto $server_protocol;'
            . ' proxy_set_header X-Name $ssl_client_s_dn; }';

my $http = join "\n", map {
    my $cert = $_ eq 'wrong' ? 'wrong' : 'server';
    my $listen = "127.0.0.1:$port{$_} ssl" . ($_ eq 'h2' ? ' http2' : '');
    my $mutual = $_ eq 'mutual' ? "ssl_verify_client on;
        ssl_client_certificate $dir/own.pem;" : '';

    "server { listen $listen; ssl_certificate $dir/$cert.pem;
        ssl_certificate_key $dir/$cert.key; $mutual $proxy }";
} sort keys %port;

my %apps = (
    11 => ['plain', "ca=$dir/own.pem"],
    12 => ['plain', ''],
    13 => ['plain', "ca=$dir/other.pem"],
    14 => ['plain', 'verify=off'],
    15 => ['wrong', "ca=$dir/own.pem"],
    16 => ['mutual', "ca=$dir/own.pem"],
    17 => ['mutual', "ca=$dir/own.pem cert=$dir/client.pem "
                     . "key=$dir/client.key"],
    18 => ['mutual', "ca=$dir/own.pem cert=$dir/stranger.pem "
                     . "key=$dir/stranger.key"],
    19 => ['h2', "ca=$dir/own.pem"]
);

my $conf = join "\n", map {
    my ($port, $options) = @{ $apps{$_} };
    "app $_ { key @{[ $_ x 32 ]};
        callback https://127.0.0.1:$port{$port}/im $before fail=refuse
                 timeout=20s $options; }";
} sort keys %apps;

$im->run(workers => 1, im => "rate 0; $conf", http => $http);

my $random = 1;

sub on {
    my ($id, $command, $body) = @_;

    return $im->rest($command, $body, query => {
        sdkappid => $id, usersig => $im->usersig('administrator',
            sdkappid => $id, key => $id x 32) });
}

sub try {
    my ($id) = @_;

    on($id, 'im_open_login_svc/account_import', { UserID => $_ })
        for qw/ ann bob /;

    $app->clear;

    return on($id, 'openim/sendmsg', {
        From_Account => 'ann', To_Account => 'bob', MsgRandom => $random++,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => 'hello' } }] });
}

my @tests = (
    [11, 0, 'the CA is known'],
    [12, 80003, 'the CA is not known to the system'],
    [13, 80003, 'another CA'],
    [14, 0, 'not verified'],
    [15, 80003, 'the certificate of another host'],
    [16, 80003, 'no client certificate'],
    [17, 0, 'client certificate'],
    [18, 80003, 'client certificate of another CA'],
    [19, 0, 'HTTP/2']
);

for (@tests) {
    my ($id, $code, $name) = @$_;

    try($id)->code_is($code, $name);

    my ($r) = $app->requests($before);
    is defined $r, $code == 0, $code ? 'not asked' : 'asked';

    like $r->{headers}{'X-Name'}, qr/CN=ngx_im/, 'its name' if $id == 17;
    is $r->{headers}{'X-Proto'}, 'HTTP/2.0', 'protocol' if $id == 19;
}

done_testing;

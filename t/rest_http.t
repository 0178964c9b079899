#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# What im_rest does before and after a command, by HTTP.

use strict;
use warnings;

use lib 't/lib';

use Mojo::JSON qw/ decode_json encode_json /;
use Test::IM;
use Test::IM::Raw;
use Test::More;
use Time::HiRes qw/ sleep /;

my $im = Test::IM->new->run(
    workers => 1, app => 'rate 0;',
    server => 'location /else { im_rest; }
               location /small/ { rewrite ^/small(.*) /v4$1 break; im_rest;
                                  im_body_size 100; }
               location /quick/ { rewrite ^/quick(.*) /v4$1 break; im_rest;
                                  client_body_timeout 1s; }
               location /later/ { rewrite ^/later(.*) /v4$1 break; im_rest;
                                  client_body_timeout 5s; }');

my $port = $im->port;
my $query = $im->url('/', sdkappid => $im->app_id, random => 1,
                     contenttype => 'json', identifier => 'administrator',
                     usersig => $im->usersig('administrator'))->query;

# a command that always works
my $path = "/v4/im_open_login_svc/account_check?$query";
my $body = '{"CheckItem":[{"UserID":"nobody"}]}';

sub raw { Test::IM::Raw->new($port) }

sub post {
    my ($target, $data, @headers) = @_;
    return join "\r\n", "POST $target HTTP/1.1", 'Host: localhost', @headers,
                'Content-Length: ' . length $data, '', $data;
}

sub code {
    my ($res, $code, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is $res && $res->{status}, 200, "$name: status"
        and is decode_json($res->{body})->{ErrorCode}, $code, "$name: code";
}

subtest 'an answer' => sub {
    my $raw = raw();
    $raw->write(post($path, $body));

    my $res = $raw->response;
    my $h = $res->{headers};

    code($res, 0, 'a command');
    is $h->{'content-type'}, 'application/json; charset=utf-8', 'type';
    is $h->{'connection'}, 'keep-alive', 'connection';
    is $h->{'access-control-allow-origin'}, '*', 'allowed origin';
    is $h->{'access-control-allow-headers'}, 'X-Requested-With', 'headers';
    is $h->{'access-control-allow-methods'}, 'POST', 'methods';

    $raw->write(post($path, $body));
    code($raw->response, 0, 'the next one on the connection');

    $raw->write(post($path, $body) x 3);
    code($raw->response, 0, "pipelined $_") for 1 .. 3;
};

subtest 'HTTP/1.0 with keep-alive' => sub {
    my $raw = raw();
    my $req = post($path, $body, 'Connection: keep-alive') =~ s/1\.1/1.0/r;

    $raw->write($req);
    my $res = $raw->response;
    code($res, 0, 'first');
    is $res->{headers}{connection}, 'keep-alive', 'connection';

    $raw->write($req);
    code($raw->response, 0, 'second');
};

subtest 'methods' => sub {
    for my $method (qw/ GET PUT DELETE PATCH /) {
        my $raw = raw();
        $raw->write(post($path, $body) =~ s/POST/$method/r);
        code($raw->response, 60008, $method);
        $raw->write(post($path, $body));
        code($raw->response, 0, "POST after $method");
    }

    my $raw = raw();
    $raw->write(post($path, $body) =~ s/POST/HEAD/r);
    $raw->read_until(sub { $_[0] =~ /\r\n\r\n/ });
    like $raw->{in}, qr/^HTTP\/1\.1 200 /, 'HEAD';
    like $raw->{in}, qr/\r\n\r\n$/, 'HEAD has no body';
};

subtest 'preflight' => sub {
    my $raw = raw();

    for (1 .. 2) {
        $raw->write("OPTIONS $path HTTP/1.1\r\nHost: localhost\r\n"
                    . "Origin: http://page.example\r\n"
                    . "Access-Control-Request-Method: POST\r\n\r\n");

        my $res = $raw->response;
        my $h = $res->{headers};

        is $res->{status}, 200, 'status';
        is $h->{'content-length'}, 0, 'no body';
        is $h->{'access-control-allow-origin'}, '*', 'origin';
        like $h->{'access-control-allow-methods'}, qr/POST, GET, OPTIONS/,
             'methods';
        like $h->{'access-control-allow-headers'}, qr/Content-Type/,
             'headers';
        is $h->{'access-control-max-age'}, 86400, 'age';
    }
};

subtest 'paths' => sub {
    my %code = ('/v4/im_open_login_svc/account_check' => 0,
                '/v4/im_open_login_svc/account_check/' => 0,
                '/v1/im_open_login_svc/account_check' => 0,
                '/v3/im_open_login_svc/account_check' => 0,
                '/v4/im_open_login_svc/account_check//x' => 60009,
                '/v4/im_open_login_svc/account_check/x' => 60009,
                '/v4/im_open_login_svc/Account_check' => 60009,
                '/v4/im_open_login_svc' => 60009,
                '/v4/im_open_login_svc/' => 60009,
                '/v4/' => 60009,
                '/else' => 60009,
                '/else/im_open_login_svc/account_check' => 60009);

    for (sort keys %code) {
        my $raw = raw();
        $raw->write(post("$_?$query", $body));
        code($raw->response, $code{$_}, $_);
    }
};

subtest 'chunked' => sub {
    my $head = "POST $path HTTP/1.1\r\nHost: localhost\r\n"
               . "Transfer-Encoding: chunked\r\n\r\n";
    my $raw = raw();

    $raw->write($head . sprintf("%x\r\n%s\r\n0\r\n\r\n", length $body, $body));
    code($raw->response, 0, 'one chunk');

    my $bytes = $head . join '', map { "1\r\n$_\r\n" } split //, $body;
    $raw->write("${bytes}0\r\n\r\n");
    code($raw->response, 0, 'chunks of a byte');

    $raw->write($head);
    sleep 0.1, $raw->write("1\r\n$_\r\n") for split //, substr $body, 0, 5;
    $raw->write(sprintf "%x\r\n%s\r\n0\r\n\r\n", length($body) - 5,
                substr $body, 5);
    code($raw->response, 0, 'slowly');
};

subtest 'a body in two parts' => sub {
    my $raw = raw();
    my $req = post($path, $body);

    $raw->write(substr $req, 0, -10);
    sleep 0.2;
    $raw->write(substr $req, -10);
    code($raw->response, 0, 'answered');
};

subtest 'a body that does not come' => sub {
    my $raw = raw();

    $raw->write(substr post($path =~ s/v4/quick/r, $body), 0, -10);

    my $res = $raw->response;
    code($res, 60008, 'timed out');
    is $res->{headers}{connection}, 'close', 'connection is closed';
};

subtest 'no body' => sub {
    my $raw = raw();
    $raw->write("POST $path HTTP/1.1\r\nHost: localhost\r\n\r\n");
    code($raw->response, 70402, 'without a length');
    $raw->write(post($path, ''));
    code($raw->response, 70402, 'empty');
};

subtest 'bodies that are too long' => sub {
    my $max = 1024 * 1024;
    my $filler = sub { $body . ' ' x ($_[0] - length $body) };

    my $raw = raw();
    $raw->write(post($path, $filler->($max)));
    code($raw->response, 0, 'the longest');

    $raw->write(post($path, $filler->($max + 1)));
    code($raw->response, 60002, 'a byte more');

    $raw->write(post($path, $body));
    code($raw->response, 0, 'the connection goes on');

    # more than client_max_body_size of the server
    $raw = raw();
    $raw->write(post($path, $filler->(3 * $max)));
    code($raw->response, 60002, 'much more');

    $raw = raw();
    $raw->write("POST $path HTTP/1.1\r\nHost: localhost\r\n"
                . "Transfer-Encoding: chunked\r\n\r\n");
    $raw->write("80000\r\n" . ' ' x 0x80000 . "\r\n") for 1 .. 2;
    $raw->write("1\r\n \r\n0\r\n\r\n");
    code($raw->response, 60002, 'chunked');

    my $small = "/small/im_open_login_svc/account_check?$query";

    $raw = raw();
    $raw->write(post($small, $filler->(100)));
    code($raw->response, 0, 'im_body_size');
    $raw->write(post($small, $filler->(101)));
    code($raw->response, 60002, 'over im_body_size');
};

subtest 'JSONP' => sub {
    my $get = sub {
        my $raw = raw();
        my $p = $path . '&' . join '&', @_;
        $raw->write("GET $p HTTP/1.1\r\nHost: localhost\r\n\r\n");
        return $raw->response;
    };

    my $json = $body =~ s/([^A-Za-z0-9])/sprintf '%%%02X', ord $1/ger;
    my $res = $get->('jsonpcallback=jsonpRequest1', "jsonpbody=$json");

    is $res->{status}, 200, 'status';
    is $res->{headers}{'content-type'}, 'text/javascript; charset=utf-8',
       'type';
    like $res->{body}, qr/^jsonpRequest1\(\{.*\}\)$/, 'a call';
    is decode_json($res->{body} =~ s/^jsonpRequest1\((.*)\)$/$1/r)
       ->{ErrorCode}, 0, 'code';

    code($get->("jsonpcallback=$_", "jsonpbody=$json"), 60002, $_)
        for 'a-b', '1a', 'alert(1)', 'a.b', 'a%28', 'x' x 65;

    like $get->('jsonpcallback=$_a1')->{body}, qr/^\$_a1\(/, 'without a body';
};

subtest 'clients that go away' => sub {
    for my $cut (20, 60, length post($path, $body)) {
        my $raw = raw();
        $raw->write(substr post($path, $body), 0, $cut);
        $raw->close;
    }

    # the command runs all the same
    for my $n (1 .. 20) {
        my $raw = raw();
        $raw->write(post("/v4/im_open_login_svc/account_import?$query",
                         qq({"UserID":"gone$n"})));
        $raw->close;
    }

    my $all = sub {
        my $reply = $im->rest('im_open_login_svc/account_check', {
            CheckItem => [map { { UserID => "gone$_" } } 1 .. 20] });
        return 20 == grep { $_->{AccountStatus} eq 'Imported' }
                     @{ $reply->json('/ResultItem') };
    };

    ok $im->wait_for($all), 'all were imported';
};

# answers of 8 KB or so, more than the sockets hold
subtest 'readers that are slow' => sub {
    my $long = encode_json({ CheckItem => [map {
        { UserID => "nobody$_" } } 1 .. 100] });
    my @raw = map { raw() } 1 .. 4;

    ok $_->slow_reader->try_write(post($path, $long) x 50, 30), 'asked'
        for @raw;

    my $raw = raw();
    $raw->write(post($path, $body));
    code($raw->response, 0, 'others are served');

    my $last = pop @raw;
    $_->close for @raw;

    is scalar(grep { $_ && @{ decode_json($_->{body})->{ResultItem} } == 100 }
              map { $last->response } 1 .. 50), 50, 'and they, when they read';

    $raw->write(post($path, $body));
    code($raw->response, 0, 'others after some have gone');
};

subtest 'body memory' => sub {
    $im->options->{im} = 'body_memory 1m;';
    $im->write_conf->reload;

    my @raw = map { raw() } 1 .. 3;
    my $req = post($path =~ s/v4/later/r, $body . ' ' x 400000);

    # all three are there in part, before one of them grows

    $_->write(substr $req, 0, 250000) for @raw;
    ok $im->wait_for(sub { $im->metric('im_body_bytes') >= 750000 }), 'parts';
    $_->write(substr $req, 250000, -100) for @raw;

    like join(' ', sort map { my $res = $_->response;
                              $res && decode_json($res->{body})->{ErrorCode} }
                       @raw),
        qr/^60008 (?:60008|60018) 60018$/,
        'one is refused, one waits for its body';
};

done_testing;

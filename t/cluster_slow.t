#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A store that is slower than a repetition: a message whose commit is still
# under way, because MongoDB is slow or the node has died since, is repeated
# on the other node in another time window, and is there once.

use strict;
use warnings;

use lib 't/lib';

use IO::Socket::INET;
use Mojo::JSON qw/ decode_json encode_json /;
use Test::IM;
use Test::IM::Cluster;
use Test::IM::Mongo;
use Test::IM::Proxy;
use Test::More;

Test::IM::Cluster->skip;
Test::IM::Mongo->skip;

my $mongo = Test::IM::Mongo->new(port => Test::IM->free_port)->start;
my $proxy = Test::IM::Proxy->new(port => Test::IM->free_port,
                                 to => $mongo->port);
my %held;

# What has a message's key, with a random number that begins so, is late the
# first three times: two looks for it, then its row.  78: later than any call
# may last.
my %late = (76 => [0, 0, 1.7], 77 => [0.8, 0.8, 2.3], 78 => [0.8, 0.8, 5]);

$proxy->hold(sub {
    my ($bytes) = @_;
    my (%seen, @names);
    my $seconds = 0;

    # two messages may be looked for by one call

    for my $random (grep { !$seen{$_}++ } $bytes =~ /\|(7[678]\d{3})\|/g) {
        my $n = $held{$random}++;
        my $late = $late{substr $random, 0, 2}[$n] // 0;

        push @names, "$random $n";
        $seconds = $late if $seconds < $late;
    }

    return @names ? ($seconds, join ' ', @names) : ();
})->start;

my $store = sprintf "store mongodb://127.0.0.1:%d/im?replicaSet=secantus;\n"
                    . '    commit_queue 10000 64m 30s;', $proxy->port;
my $cl = Test::IM::Cluster->new->run(workers => 1, balancer => 0,
    app => 'rate 0; dedup_c2c 1s; dedup_group 1s;', im => "\n    $store");
my ($one, $two) = @{ $cl->nodes };
my $svc = 'group_open_http_svc';

$one->users(qw/ ann bob /);

my $gid = $one->group(Type => 'Public', owner => 'ann', members => ['bob']);

# Of each kind: how it is sent, what is there, what tells one from another.
my %kinds = (
    'single chat' => {
        send => sub {
            return ('openim/sendmsg', { From_Account => 'ann',
                To_Account => 'bob', MsgSeq => 777, MsgRandom => $_[0] });
        },
        list => sub {
            return $_[0]->rest('openim/admin_getroammsg', {
                From_Account => 'ann', To_Account => 'bob', MaxCnt => 20,
                MinTime => 0, MaxTime => time + 60 });
        },
        answer => 'MsgKey', stored => 'MsgList', random => 'MsgRandom',
        first => 1,
    },

    'a group' => {
        send => sub {
            return ("$svc/send_group_msg", { GroupId => $gid,
                From_Account => 'ann', Random => $_[0] });
        },
        list => sub {
            return $_[0]->rest("$svc/group_msg_get_simple", {
                GroupId => $gid, ReqMsgNumber => 20 });
        },
        answer => 'MsgSeq', stored => 'RspMsgList', random => 'MsgRandom',
        first => 2,
    },
);

sub call {
    my ($kind, $random) = @_;
    my ($command, $body) = $kinds{$kind}{send}->($random);

    return ($command, { %$body, MsgBody => [{ MsgType => 'TIMTextElem',
                        MsgContent => { Text => 'x' } }] });
}

# Does not wait for the answer: a socket to read it from.
sub post {
    my ($im, $command, $body) = @_;
    my $url = $im->url("/v4/$command", sdkappid => $im->app_id,
        identifier => $im->admin, usersig => $im->usersig($im->admin),
        random => 1, contenttype => 'json')->path_query;
    my $text = encode_json($body);

    my $socket = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                       PeerPort => $im->port) or die "$!";

    print {$socket} "POST $url HTTP/1.0\r\nContent-Length: "
                    . length($text) . "\r\n\r\n$text";
    $socket->flush;

    return $socket;
}

sub answer {
    my ($socket) = @_;
    local $/;
    my $text = <$socket> // '';
    return eval { decode_json($text =~ s/\A.*?\r\n\r\n//sr) } // {};
}

# Repeats until it is acknowledged; what tells its answer from another one.
sub repeat {
    my ($im, $kind, $random) = @_;
    my ($reply, %codes);

    my $ok = $im->wait_for(sub {
        $reply = $im->rest(call($kind, $random));
        $codes{ $reply->code // 'none' }++;
        return ($reply->code // -1) == 0;
    }, 60);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok $ok, "$kind: repeated until it is acknowledged";
    note join ' ', map { "$_:$codes{$_}" } sort keys %codes;

    return $reply->json("/$kinds{$kind}{answer}");
}

sub stored {
    my ($kind, $random) = @_;
    my $k = $kinds{$kind};

    return scalar grep { $_->{ $k->{random} } == $random }
           @{ $k->{list}->($two)->json("/$k->{stored}") // [] };
}

for my $kind (sort keys %kinds) {
    repeat($_, $kind, 1) for $one, $two;
}

subtest 'two to one group, one after the other' => sub {
    my (@codes, $random);

    # the second one waits for the first one, and then has its own time; on a
    # slow machine that may be over, too
    for my $try (1 .. 3) {
        $random = 76000 + 10 * $try;
        my @first = map { post($one, call('a group', $random + $_)) } 1, 2;

        @codes = map { answer($_)->{ErrorCode} // 'none' } @first;
        last if "@codes" eq '0 0';
        note "@codes";
    }

    is "@codes", '0 0', 'both are sent';
    ok $proxy->wait_for(qr/sent .*\b${\ ($random + $_)} 2/), 'late' for 1, 2;
};

for my $kind (sort keys %kinds) {
    subtest "$kind: the commit is slow" => sub {
        my $random = 77000 + $kinds{$kind}{first};
        my $first = post($one, call($kind, $random));

        ok $proxy->wait_for(qr/held .*\b$random 0/), 'it is under way';

        my $again = repeat($two, $kind, $random);
        my $answer = answer($first);

        ok $proxy->wait_for(qr/sent .*\b$random 2/), 'MongoDB has got it';
        note 'the first answer: ' . ($answer->{ErrorCode} // 'none');
        is $answer->{ $kinds{$kind}{answer} }, $again, 'the same answer'
            unless $answer->{ErrorCode};
        is stored($kind, $random), 1, 'it is there once';
    };
}

subtest 'the node dies while the commits are under way' => sub {
    my @first = map { post($one, call($_, 78000 + $kinds{$_}{first})) }
                sort keys %kinds;

    ok $proxy->wait_for(qr/held .*\b7800$_ 2/), 'a row is under way' for 1, 2;

    $one->kill9_all;

    repeat($two, $_, 78000 + $kinds{$_}{first}) for sort keys %kinds;

    for my $kind (sort keys %kinds) {
        my $random = 78000 + $kinds{$kind}{first};

        ok $proxy->wait_for(qr/sent .*\b$random 2/), 'MongoDB has got it, too';
        sleep 1;
        is stored($kind, $random), 1, "$kind: it is there once";
    }
};

done_testing;

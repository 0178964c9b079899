#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A message of a live room whose answer from Redis is lost: the sender repeats
# it, readers on all nodes get it once.  A message of which nobody knows whether
# it is stored: the other node uses the key of the first attempt.

use strict;
use warnings;

use lib 't/lib';

use IO::Select;
use IO::Socket::INET;
use Test::IM;
use Test::IM::Cluster;
use Test::More;
use Time::HiRes qw/ sleep /;

Test::IM::Cluster->skip;

# Between the nodes and Redis.  A call that has the word "cut-commands" is
# passed on, its connection is ended a little later; "cut-both" ends the
# connections of the first node that listen, too; "cut-first" before the call
# is passed on.
sub proxy {
    my ($port) = @_;

    my $listen = IO::Socket::INET->new(Listen => 64, LocalAddr => '127.0.0.1',
                                       ReuseAddr => 1) or die "listen: $!";

    defined(my $pid = fork) or die "fork: $!";
    return ($pid, $listen->sockport) if $pid;

    my $select = IO::Select->new($listen);
    my (%other, %client, %bus, %cut);

    my $end = sub {
        my ($one) = @_;
        my @pair = grep { $_ } $one, $other{$one};

        for my $s (@pair) {
            $select->remove($s);
            delete $other{$s};
            delete $client{$s};
            delete $bus{$s};
            close $s;
        }
    };

    my $end_bus = sub {
        my @all = values %bus;
        $end->($_) for @all;
    };

    for ( ;; ) {
        my @ready = $select->can_read;

        for my $s (@ready) {
            if ($s == $listen) {
                my $c = $listen->accept or next;
                my $r = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                              PeerPort => $port);
                if (!$r) { close $c; next }

                ($other{$c}, $other{$r}) = ($r, $c);
                $client{$c} = 1;
                $select->add($c, $r);
                next;
            }

            next unless $other{$s};

            my $buf;

            if (!sysread $s, $buf, 65536) {
                $end->($s);
                next;
            }

            my ($word) = $buf =~ /(cut-(?:commands|both|first))/;
            $word = '' unless $client{$s} && $word && !$cut{$buf}++
                              && !$cut{$word}++;

            $bus{$s} = $s if $client{$s} && $buf =~ /b:n1\r/
                             && $buf =~ /SUBSCRIBE/;

            $end_bus->() if $word eq 'cut-first';
            syswrite $other{$s}, $buf;

            if ($word) {
                sleep 0.3;
                $end_bus->() if $word eq 'cut-both';
                $end->($s);
            }
        }
    }
}

{
    package Test::IM::Cluster::Proxy;

    use Mojo::Base 'Test::IM::Cluster', -signatures;

    has 'proxy_pid';

    sub start_redis ($self) {
        $self->SUPER::start_redis;
        my ($pid, $port) = main::proxy($self->redis_port);
        $self->proxy_pid($pid)->redis_port($port);
    }
}

my $cl = Test::IM::Cluster::Proxy->new->run(workers => 2, balancer => 0,
    app => 'rate 0; tip_rate 0; group_rate 0; dedup_c2c 1s;',
    im => Test::IM::with_debug() ? 'fault message_commit 1;' : '');
my ($one, $two) = @{ $cl->nodes };
my $svc = 'group_open_http_svc';
my $random = 1;

$one->users(qw/ ann bob /);

my $gid = $one->group(Type => 'AVChatRoom', owner => 'ann');
my @ws = map { $cl->nodes->[$_]->ws_login((qw/ ann bob /)[$_]) } 0, 1;

$_->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0)
    for @ws;

sub say_to {
    my ($im, $text, $random) = @_;

    return $im->rest("$svc/send_group_msg", { GroupId => $gid,
        From_Account => 'cid', Random => $random, MsgBody => [
            { MsgType => 'TIMTextElem', MsgContent => { Text => $text } }] });
}

# What the readers have got: by text, the numbers.
my @got = ({}, {});

sub read_all {
    my ($end) = @_;
    my $all = 1;

    for my $i (0, 1) {
        while (!$got[$i]{$end}) {
            my $event = $ws[$i]->next_event('GroupMsgArray', 1) or last;

            push @{ $got[$i]{ $_->{MsgBody}[0]{MsgContent}{Text} } },
                 $_->{MsgSeq} for @{ $event->{GroupMsgArray} };
        }

        $all &&= $got[$i]{$end};
    }

    return $all;
}

# Both have got all that was said before.
sub both_read {
    my ($name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    ok $one->wait_for(sub {
        my $end = 'end ' . ++$random;
        return (say_to($one, $end, $random)->code // -1) == 0
               && read_all($end);
    }, 20), $name;
}

$one->users('cid');
both_read('both read');

subtest 'the answer is lost' => sub {
    my $text = 'cut-commands';
    my $seq;

    ok $one->wait_for(sub {
        my $reply = say_to($one, $text, 1000);
        $seq = $reply->json('/MsgSeq') if ($reply->code // -1) == 0;
        return $seq;
    }), 'acknowledged';
    is say_to($two, $text, 1000)->json('/MsgSeq'), $seq,
        'a repetition on the other node has its number';
    ok $cl->ready, 'connected again';
    both_read('both read on');
    is_deeply [map { $_->{$text} } @got], [[$seq], [$seq]],
        'it was published, and the node had heard it';
};

for my $text (qw/ cut-both cut-first /) {
    subtest $text => sub {
        my $seq;

        my $reply = say_to($one, $text, 1001);
        note 'first answer: ' . ($reply->code // 'none');

        ok $one->wait_for(sub {
            my $again = say_to($one, $text, 1001);
            $seq = $again->json('/MsgSeq') if ($again->code // -1) == 0;
            return $seq;
        }), 'repeated until it is acknowledged';

        is say_to($one, $text, 1001)->json('/MsgSeq'), $seq,
            'it has a number then';
        say_to($two, $text, 1001)->code_is(0, 'on the other node, too');
        ok $cl->ready, 'connected again';
        say_to($_, $text, 1001)->code_is(0, 'and again') for $one, $two;

        both_read('both read on');
        is scalar @{ $got[1]{$text} }, 1, 'once for the other node';
        cmp_ok scalar @{ $got[0]{$text} // [] }, '<=', 1, 'once for this one';
    };
}

SKIP: {
    skip 'fault points need nginx --with-debug', 1
        unless Test::IM::with_debug();

    subtest 'C2C' => sub {
        my @call = ('openim/sendmsg', { From_Account => 'ann',
            To_Account => 'bob', MsgSeq => 5, MsgRandom => 6, MsgBody => [{
                MsgType => 'TIMTextElem', MsgContent => { Text => 'x' } }] });

        $one->rest(@call)->code_is(91000);
        my $failed = time;

        # in another time window; the first of each node fails
        for my $code (91000, 0) {
            my $now = time;
            $one->wait_for(sub { time > $now + 1 });
            my $reply = $two->rest(@call)->code_is($code);
            cmp_ok $reply->json('/MsgTime') // 0, '<=', $failed,
                'the time of the first attempt';
        }
    };
}

$_->close for @ws;
kill KILL => $cl->proxy_pid;
waitpid $cl->proxy_pid, 0;

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Verdicts of before-callbacks: the same table over HTTP, HTTPS and TLS with
# certificates of both sides; many requests to a receiver that hangs.

use strict;
use warnings;

use lib 't/lib';

use List::Util qw/ max min /;
use Mojo::File qw/ path /;
use Mojo::IOLoop;
use Test::IM;
use Test::IM::Receiver;
use Test::More;

my $svc = 'group_open_http_svc';
my $c2c = 'C2C.CallbackBeforeSendMsg';
my $group = 'Group.CallbackBeforeSendMsg';
my $create = 'Group.CallbackBeforeCreateGroup';
my $invite = 'Group.CallbackBeforeInviteJoinGroup';
my @after = qw/ C2C.CallbackAfterSendMsg Group.CallbackAfterSendMsg /;

my $app = Test::IM::Receiver->new->start;
my $im = Test::IM->new;
my $dir = File::Temp::tempdir('im-test-XXXXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $dir;

sub openssl {
    system("cd $dir && openssl $_[0] >>openssl.log 2>&1") == 0
        or die "openssl $_[0]: " . path("$dir/openssl.log")->slurp;
}

openssl('req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=own '
        . '-keyout own.key -out own.pem');
path("$dir/san")->spurt("subjectAltName=IP:127.0.0.1\n");

for my $name (qw/ server client /) {
    openssl("req -newkey rsa:2048 -nodes -subj /CN=$name "
            . "-keyout $name.key -out $name.csr");
    openssl("x509 -req -in $name.csr -CA own.pem -CAkey own.key "
            . "-CAcreateserial -days 2 -extfile san -out $name.pem");
}

chmod 0600, glob "$dir/*.key";

my %port = map { $_ => $im->free_port } qw/ https mutual /;
my $tls = "ssl_certificate $dir/server.pem;
           ssl_certificate_key $dir/server.key;
           location / { proxy_pass http://127.0.0.1:" . $app->port . '; }';

my $http = "server { listen 127.0.0.1:$port{https} ssl; $tls }
            server { listen 127.0.0.1:$port{mutual} ssl; $tls
                     ssl_verify_client on;
                     ssl_client_certificate $dir/own.pem; }";

my $names = join ' ', $c2c, $group, $create, $invite, @after, 'timeout=20s';

my %receiver = (
    http => $app->url . " $names",
    https => "https://127.0.0.1:$port{https}/im $names ca=$dir/own.pem",
    mutual => "https://127.0.0.1:$port{mutual}/im $names ca=$dir/own.pem "
              . "cert=$dir/client.pem key=$dir/client.key"
);

# what was freed is not kept for long by the sanitizer
$ENV{ASAN_OPTIONS} = 'detect_stack_use_after_return=0:quarantine_size_mb=1';

$im->run(workers => 1, http => $http,
         app => "rate 0; group_rate 1000; group_rate_normal 1000;
                 callback $receiver{http};");

$im->users(qw/ ann bob cid dan eve /);

my $random = 1;

sub text { [{ MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } }] }

sub refuse { { ErrorCode => $_[0], ErrorInfo => "no $_[0]" } }

my $wrong = [{ MsgType => 'TIMTextElem', MsgContent => {} }];
my $long = text('x' x 20000);

# answer, code to the caller, what is delivered
my @codes = map { [refuse($_), $_] } 120001, 130000, 10100, 10200;

my @messages = (
    [{}, 0, 'hello'],
    [{ ErrorCode => 0, MsgBody => text('***') }, 0, '***'],
    [{ ErrorCode => 0, MsgBody => undef }, 0, 'hello'],
    [{ ErrorCode => 0, MsgBody => [@{ text('a') }, @{ text('b') }] }, 0, 'a'],
    [{ ErrorCode => 0, CloudCustomData => 'c' }, 0, 'hello', 'c'],
    [{ ErrorCode => 0, MsgBody => $wrong }, 0, 'hello'],
    [{ ErrorCode => 0, MsgBody => 'text' }, 0, 'hello'],
    [{ ErrorCode => 0, MsgBody => $long }, 0, 'hello'],
    [{ ErrorCode => 0, ActionStatus => 'FAIL' }, 0, 'hello'],
    [{ ErrorCode => 1, MsgBody => text('***') }, 'refuse'],
    [{ ErrorCode => 2 }, 'drop'],
    [{ ErrorCode => -1 }, 'refuse'],
    @codes,
    map { [refuse($_), 'refuse'] } 3, 120000, 130001, 10099, 10201, 38000
);

my %send = (
    $c2c => {
        refuse => 20006, drop => 20006, after => $after[0],
        run => sub { $im->rest('openim/sendmsg', {
            From_Account => 'ann', To_Account => 'bob',
            MsgRandom => $random++, MsgBody => text('hello') }) }
    },
    $group => {
        refuse => 10016, drop => 0, after => $after[1],
        run => sub { $im->rest("$svc/send_group_msg", {
            GroupId => 'club', From_Account => 'ann', Random => $random++,
            MsgBody => text('hello') }) }
    }
);

sub name { return Mojo::JSON::encode_json($_[0]) =~ s/^(.{60}).*/$1.../r }

sub messages {
    my ($command) = @_;

    my $how = $send{$command};

    # what is told afterwards is what was delivered
    my @told;

    for (@messages) {
        my ($answer, $code, $text, $cloud) = @$_;

        $app->answer($command => $answer);

        my $own = $code =~ /^\d/ ? $code : $how->{$code};
        my $reply = $how->{run}->()->code_is($own, name($answer));

        $reply->json_is('/ErrorInfo', $answer->{ErrorInfo})
            if $own >= 10100 && $own == ($answer->{ErrorCode} // 0);

        push @told, [$text, $cloud // ''] if defined $text;
    }

    return $how->{after}, \@told;
}

sub told {
    return map { [$_->{body}{MsgBody}[0]{MsgContent}{Text},
                  $_->{body}{CloudCustomData}] } @_;
}

# answer, code, and who is in the group then
my $n = 0;

my @others = (
    [{}, 0], [{ ErrorCode => 1 }, 10016], [{ ErrorCode => 2 }, 10016],
    [{ ErrorCode => 7 }, 10016], @codes
);

my @lists = (
    [[], [qw/ bob cid dan /]],
    [['cid'], [qw/ bob dan /]],
    [[qw/ bob cid dan /], []],
    [['eve', 7, undef], [qw/ bob cid dan /]],
    ['bob', [qw/ bob cid dan /]]
);

sub members {
    my ($gid) = @_;

    my $reply = $im->rest("$svc/get_group_member_info", { GroupId => $gid });

    return [sort map { $_->{Member_Account} }
                 @{ $reply->json->{MemberList} }];
}

sub add {
    my ($gid) = @_;

    return $im->rest("$svc/add_group_member", { GroupId => $gid,
        MemberList => [map { { Member_Account => $_ } } qw/ bob cid dan /] });
}

for my $mode (qw/ http https mutual /) {
    subtest $mode => sub {
        $app->clear;
        $im->reload(app => "rate 0; group_rate 1000; group_rate_normal 1000;
                            callback $receiver{$mode};");

        $im->group(Type => 'Public', GroupId => 'club', owner => 'ann')
            if $mode eq 'http';

        for my $command ($c2c, $group) {
            $app->clear;

            my ($after, $told) = messages($command);
            my @list = $app->wait_requests($after, scalar @$told);

            is_deeply [told(@list)], $told, "$after: what was sent";
        }

        for (@others) {
            my ($answer, $code) = @$_;

            $app->answer($create => $answer);
            $im->rest("$svc/create_group", {
                Type => 'Public', GroupId => 'g' . ++$n, Name => 'g',
                Owner_Account => 'ann' })->code_is($code,
                                                   "$create " . name($answer));
            is $im->group_info("g$n")->{ErrorCode}, $code ? 10010 : 0,
               'the group';

            $app->clear;
            $im->group(Type => 'Public', GroupId => 'i' . ++$n,
                       owner => 'ann');
            $app->answer($invite => $answer);
            add("i$n")->code_is($code, "$invite " . name($answer));
            is_deeply members("i$n"), [$code ? 'ann' : qw/ ann bob cid dan /],
                      'the members';
            $app->clear;
        }

        for (@lists) {
            my ($refused, $in) = @$_;

            $im->group(Type => 'Public', GroupId => 'r' . ++$n,
                       owner => 'ann');
            $app->answer($invite => { RefusedMembers_Account => $refused });

            my $reply = add("r$n")->code_is(0, name([$refused]));
            my %result = map { $_->{Member_Account} => $_->{Result} }
                             @{ $reply->json->{MemberList} };

            is_deeply members("r$n"), [sort 'ann', @$in], 'the members';
            is_deeply [sort grep { $result{$_} == 1 } keys %result], $in,
                      'the results';
            $app->clear;
        }
    };
}

subtest 'many requests to a receiver that hangs' => sub {
    $im->reload(app => 'rate 0; callback ' . $app->url
                       . " $c2c fail=refuse timeout=1s;");

    my $rss = sub {
        my ($pid) = $im->worker_pids;
        return path("/proc/$pid/statm")->slurp =~ /^\d+ (\d+)/ ? 4 * $1 : 0;
    };

    my $ua = Mojo::UserAgent->new->max_connections(0)->request_timeout(120)
                              ->inactivity_timeout(120);
    # What grows with every round is, in each six of them, at last above the
    # highest of the first.  What the allocator keeps is so now and then.
    my @rss;
    my $flat = sub {
        return @rss >= 6
               && min(@rss[-2, -1]) - max(@rss[-6 .. -4]) < 2048;
    };

    for my $round (1 .. 24) {
        $app->clear;
        sleep 2 if $round > 1;        # the breaker
        $send{$c2c}{run}->() for 1 .. 2;
        $app->answer($c2c => undef, mode => 'hang');

        my ($done, $most, %codes) = (0, 0);

        for (1 .. 400) {
            $ua->post($im->url('/v4/openim/sendmsg',
                    sdkappid => $im->app_id, identifier => $im->admin,
                    random => 1, contenttype => 'json',
                    usersig => $im->usersig($im->admin)),
                json => { From_Account => 'ann', To_Account => 'bob',
                          MsgRandom => $random++, MsgBody => text('hello') },
                sub {
                    my ($ua, $tx) = @_;
                    $codes{ $tx->res->json->{ErrorCode} // 'none' }++;
                    $done++;
                });
        }

        my $timer = Mojo::IOLoop->recurring(0.1 => sub {
            my $flying = $im->metric('im_callbacks_in_flight');
            $most = $flying if $flying > $most;
        });

        Mojo::IOLoop->one_tick until $done == 400;
        Mojo::IOLoop->remove($timer);

        is_deeply \%codes, { 80003 => 400 }, 'all are refused';
        cmp_ok $most, '<=', 256, 'no more than the limit on their way';
        is $im->metric('im_callbacks_in_flight'), 0, 'none is left';

        push @rss, $rss->();
        last if $flat->();
    }

    cmp_ok $im->metric('im_callbacks_total{result="skipped"}'), '>', 0,
           'some were not sent';
    ok $flat->(), 'memory stays flat'
        or diag "KB after each round: @rss";
};

done_testing;

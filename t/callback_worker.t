#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Callbacks and the life of a worker: names, also slow ones, reload into
# another receiver, fast stop with requests on their way, refusals at start.

use strict;
use warnings;

use lib 't/lib';

use IO::Socket::INET;
use Mojo::IOLoop;
use Test::IM;
use Test::IM::Receiver;
use Test::More;
use Time::HiRes qw/ time /;

my $before = 'C2C.CallbackBeforeSendMsg';
my $after = 'C2C.CallbackAfterSendMsg';

my $one = Test::IM::Receiver->new(host => 'localhost')->start;
my $two = Test::IM::Receiver->new->start;

my $im = Test::IM->new->run(workers => 2,
                            app => 'rate 0; callback ' . $one->url
                                   . ' all timeout=20s;');

$im->users(qw/ ann bob /);

my $random = 1;

sub body {
    return { From_Account => 'ann', To_Account => 'bob',
             MsgRandom => $random++,
             MsgBody => [{ MsgType => 'TIMTextElem',
                           MsgContent => { Text => 'hello' } }] };
}

sub msg { $im->rest('openim/sendmsg', body()) }

subtest 'the name of a host' => sub {
    $one->answer($before => { ErrorCode => 1 });
    msg()->code_is(20006);
    is scalar(my @list = $one->requests($before)), 1, 'is resolved';
    $one->clear;
};

# two dots: it is refused before any server of names is asked

subtest 'a name that does not exist' => sub {
    $im->reload(app => "rate 0; callback http://no..such.host/ all "
                       . 'timeout=60s fail=refuse;');

    my $start = time;
    msg()->code_is(80003);
    cmp_ok time - $start, '<', 30, 'is not waited for';
};

# Connections to it stay on their way: its queue is full.

subtest 'a receiver that takes no connection' => sub {
    my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
        or die "listen: $!";
    my @queue = map { IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                          PeerPort => $listen->sockport, Blocking => 0) }
                1 .. 4;

    $im->reload(app => 'rate 0; callback http://127.0.0.1:'
                       . $listen->sockport
                       . "/ $before timeout=300ms fail=refuse;");

    msg()->code_is(80003);
    is scalar(() = $im->log_text =~ /epoll_ctl/g), 0,
       'what curl has closed is forgotten';
};

subtest 'a name that takes long' => sub {
    my ($cc) = grep { -x "/usr/bin/$_" } qw/ cc gcc /;

    plan skip_all => 'needs a C compiler' unless $cc;

    my $dir = File::Temp::tempdir('im-test-XXXXXXXX', TMPDIR => 1,
                                  CLEANUP => 1);
    my $key = 'r' x 64;
    my $slow = Test::IM->new;

    chmod 0755, $dir;
    is system($cc, qw/ -shared -fPIC -o /, "$dir/resolve.so",
              't/lib/resolve.c', '-ldl'), 0, 'the resolver is built';

    {
        # the sanitizer wants to be the first
        my ($asan) = `ldd ${\ Test::IM::nginx() }` =~ m{(/\S*libasan\S*)};

        local $ENV{IM_RESOLVE} = "$dir/now";
        local $ENV{LD_PRELOAD} = join ' ', $asan // (), "$dir/resolve.so";

        $slow->run(app => 'rate 0; callback http://receiver.slow:'
                          . $two->port . "/im $before timeout=60s;",
            im => "rate 0; app 2 { key $key;
                   callback @{[ $two->url ]} $before timeout=20s; }");
    }

    my $other = sub {
        my ($command, $body) = @_;

        $slow->rest($command, $body, query => {
            sdkappid => 2, usersig => $slow->usersig('administrator',
                sdkappid => 2, key => $key) })->code_is(0);
    };

    $slow->users(qw/ ann bob /);
    $other->('im_open_login_svc/account_import', { UserID => $_ })
        for qw/ ann bob /;

    my $code;

    $slow->ua->post($slow->url('/v4/openim/sendmsg',
            sdkappid => $slow->app_id, identifier => $slow->admin,
            random => 1, contenttype => 'json',
            usersig => $slow->usersig($slow->admin)),
        json => body(), sub {
            my ($ua, $tx) = @_;
            $code = ($tx->res->json // {})->{ErrorCode} // 'none';
        });

    my $timer = Mojo::IOLoop->recurring(0.05 => sub { });
    my $end = time + 50;

    Mojo::IOLoop->one_tick
        until $slow->metric('im_callbacks_in_flight') == 1 || time > $end;

    $two->clear;
    $other->('openim/sendmsg', body()) for 1 .. 5;
    is $code, undef, 'others do not wait for it';
    is scalar(my @list = $two->requests($before)), 5, 'they are asked';

    Mojo::File::path("$dir/now")->spurt('');
    Mojo::IOLoop->one_tick until defined $code || time > $end;
    Mojo::IOLoop->remove($timer);

    is $code, 0, 'it goes on';
    is scalar(@list = $two->requests($before)), 6, 'and is asked';
    $slow->finish;
    $two->clear;
};

subtest 'a reload changes the receiver' => sub {
    $im->reload(app => 'rate 0; callback ' . $two->url
                       . " $before timeout=20s;");
    msg()->code_is(0);
    is scalar(my @list = $two->requests), 1, 'the other one is asked';
    is scalar(@list = $one->requests), 0, 'the first one is not';

    $im->reload(app => 'rate 0;');
    msg()->code_is(0);
    is scalar(@list = $two->requests), 1, 'nor anybody without one';
};

subtest 'refused at start' => sub {
    for (['ftp://localhost/ all', qr/URL must begin with http/],
         ['http:///x all', qr/URL has no host/],
         ['http://localhost/#x all', qr/illegal character/],
         ['http://localhost timeout=1s', qr/has no commands/],
         ['http://localhost C2C.CallbackNone', qr/unknown callback "C2C/],
         ['http://localhost all timeout=0', qr/parameter "timeout=0"/],
         ['http://localhost all timeout=61s', qr/parameter "timeout=61s"/],
         ['http://localhost all fail=no', qr/parameter "fail=no"/],
         ['http://localhost all verify=', qr/parameter "verify="/],
         ['http://localhost all retry=maybe', qr/parameter "retry=maybe"/],
         ['http://localhost all token=', qr/"token=" must have 1 to 128/],
         ['http://localhost all ca=nginx.conf', qr/is not a file with/],
         ['http://localhost all ca=none.pem', qr/open\(\) .* failed/],
         ['http://localhost all; callback http://localhost all',
          qr/is duplicate/])
    {
        my ($text, $error) = @$_;
        my $conf = $im->conf =~ s/(key ".*?";)/$1 callback $text;/r;

        Mojo::File::path($im->dir . '/wrong.conf')->spurt($conf);

        my $nginx = Test::IM::nginx();
        my $dir = $im->dir;

        my $out = `$nginx -t -p $dir/ -c $dir/wrong.conf -e stderr 2>&1`;
        like $out, $error, $text;
    }
};

# Ten messages that hang before they are sent, and ten after it.
sub hang {
    $two->clear;
    $two->answer($_ => undef, mode => 'hang') for $before, $after;

    my $ua = Mojo::UserAgent->new->max_connections(0);

    for my $command ($before, $after) {
        $two->answer($before => {}) if $command eq $after;

        $ua->post($im->url('/v4/openim/sendmsg',
                sdkappid => $im->app_id, identifier => $im->admin,
                random => 1, contenttype => 'json',
                usersig => $im->usersig($im->admin)),
            json => body(), sub { }) for 1 .. 10;

        my $timer = Mojo::IOLoop->recurring(0.05 => sub { });
        my $end = time + 30;

        Mojo::IOLoop->one_tick
            until $im->metric('im_callbacks_in_flight') >= 10 || time > $end;

        Mojo::IOLoop->remove($timer);
    }

    return $ua;
}

# The master kills a worker that has not ended after a second: always one that
# waits for receivers, and now and then one of a slow machine.

subtest 'a fast stop' => sub {
    $im->reload(app => 'rate 0; callback ' . $two->url . ' all timeout=60s;');

    my $killed = sub { scalar(() = $im->log_text =~ /exited on signal 9/g) };
    my $alone = 0;

    for my $try (1 .. 6) {
        $im->start if $try > 1;

        my $ua = hang();
        my $before = $killed->();

        kill TERM => $im->pid;

        $im->wait_for(sub {
            waitpid($im->pid, POSIX::WNOHANG()) == $im->pid
        }) or last;

        $im->pid(undef);
        $alone = $killed->() == $before and last;
    }

    ok $alone, 'does not wait for receivers';
    $im->allow_log(qr/exited on signal 9/);
};

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# The receiver in docs/callbacks.md works, and what the page lists is there.

use strict;
use warnings;

use lib 't/lib';

use IO::Socket::INET;
use Mojo::File qw/ path /;
use Test::IM;
use Test::More;

my $page = path("$Test::IM::top/docs/callbacks.md")->slurp;
my ($program) = $page =~ /^```perl\n(.*?)^```/ms or die 'no program';

my $port = Test::IM->free_port;
my $file = File::Temp->new;
path("$file")->spurt($program);

defined(my $pid = fork) or die "fork: $!";

if ($pid == 0) {
    open STDOUT, '>', '/dev/null';
    open STDERR, '>&', \*STDOUT;
    exec $^X, "$file", 'daemon', '-l', "http://127.0.0.1:$port"
        or POSIX::_exit(127);
}

END {
    local $?;
    kill KILL => $pid if $pid;
    waitpid $pid, 0 if $pid;
}

my $im = Test::IM->new->run(
    app => "callback http://127.0.0.1:$port/im C2C.CallbackBeforeSendMsg "
           . 'fail=refuse timeout=20s;');

$im->users(qw/ ann bob /);

$im->wait_for(sub { IO::Socket::INET->new(PeerAddr => "127.0.0.1:$port") });

my $bob = $im->ws_login('bob');
my $random = 1;

sub msg {
    return $im->rest('openim/sendmsg', {
        From_Account => 'ann', To_Account => 'bob', MsgRandom => $random++,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => $_[0] } }] });
}

subtest 'the receiver' => sub {
    msg('hello')->code_is(0);
    msg('damn it')->code_is(120001)
                  ->json_is('/ErrorInfo', 'mind your words');
    msg('call 5551234 now')->code_is(0);

    my @texts = map { $bob->next_event('C2cMsgArray')->{C2cMsgArray}[0]
                           {MsgBody}[0]{MsgContent}{Text} } 1 .. 2;
    is_deeply \@texts, ['hello', 'call **** now'], 'what bob reads';
};

subtest 'the list of commands' => sub {
    my $source = path("$Test::IM::top/src/domain/im_callback.c")->slurp;

    my @rows = $source =~ /ngx_string\("(\w+\.\w+)"\)/g;
    my @list = $page =~ /^\| (\w+\.\w+) \|/mg;

    is_deeply [sort @list], [sort @rows], 'is that of the server';
};

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A worker dies after a message to a group is in the store and before anybody
# is told: who is connected to another one has it after the next wshello.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

plan skip_all => 'needs nginx --with-debug' unless Test::IM->with_debug;

my $im = Test::IM->new;
my $svc = 'group_open_http_svc';

$im->run(workers => 2, app => 'rate 0;');

my @users = map { "u$_" } 1 .. 8;
my $random = 1;
$im->users(@users);

# More groups than one wshello looks into; the last one matters.

my @gids = map { $im->group(Type => 'Public', owner => 'u1',
                            members => [@users[1 .. $#users]]) } 1 .. 40;

$im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);

sub say_hello {
    $_->request('im_open_status.wshello')->code_is(0) for @_;
}

sub events {
    my ($ws, $gid, $seconds) = @_;
    return $ws->next_event(sub {
        my $m = $_[0]{GroupMsgArray} or return;
        return $m->[0]{ToGroupId} eq $gid;
    }, $seconds);
}

for my $gid (@gids[0, -1]) {

    subtest 'a message that nobody was told of' => sub {
        my (@left, @members);

        # again, if all are connected to the worker that dies
        for (1 .. 6) {
            $im->reload(app => 'rate 0;', im => 'fault before_publish 1;');

            my @ws = map { $im->ws_login($_) } @users;
            my %old = map { $_ => 1 } $im->worker_pids;

            $im->rest("$svc/send_group_msg", { GroupId => $gid,
                Random => $random++, From_Account => 'u1', MsgBody => [{
                    MsgType => 'TIMTextElem',
                    MsgContent => { Text => 'lost' } }] });

            ok $im->wait_for(sub {
                my @pids = $im->worker_pids;
                return @pids == 2 && grep { !$old{$_} } @pids;
            }), 'a worker has died';

            $ws[0]->tick(sub { 0 }, 0.5);

            @left = grep { !defined $_->closed } @ws;
            @members = grep { $_->user ne 'u1' } @left;
            last if @members;
            $_->close for @left;
        }

        ok @members > 0, scalar @left . ' are still connected';
        ok !(grep { events($_, $gid, 0) } @members), 'they were not told';

        say_hello(@left);
        say_hello(@left) if @gids > 32;      # the others of the groups

        for my $ws (@members) {
            my $event = events($ws, $gid, 30);
            ok $event, $ws->user . ' has it';
            is $event->{GroupMsgArray}[0]{MsgBody}[0]{MsgContent}{Text},
                'lost', 'the text';
        }

        # The head is not asked for again at once, the order stays.

        $im->rest("$svc/send_group_msg", { GroupId => $gid,
            Random => $random++,
            From_Account => 'u1', MsgBody => [{ MsgType => 'TIMTextElem',
                MsgContent => { Text => 'next' } }] })->code_is(0);

        say_hello(@left);

        for my $ws (@members) {
            is events($ws, $gid, 30)->{GroupMsgArray}[0]{MsgBody}[0]
                ->{MsgContent}{Text}, 'next', 'once';
            ok !events($ws, $gid, 0.05), 'and no more';
        }

        $_->close for @left;
    };
}

$im->finish;
done_testing;

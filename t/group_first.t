#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Messages to a group that somebody has joined a moment ago, while the worker
# that he is connected to does not know of it yet.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

plan skip_all => 'needs nginx --with-debug' unless Test::IM->with_debug;

my $svc = 'group_open_http_svc';
my $app = 'rate 0; web_instances 3; group_rate 0; group_rate_normal 0;';
my $im = Test::IM->new->run(workers => 2, app => $app);
my $random = 1;

$im->users(qw/ ann bob /);

sub body {
    return [{ MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } }];
}

sub say {
    my ($gid, $text, $ws) = @_;

    my %msg = (GroupId => $gid, Random => $random++, MsgBody => body($text));

    ($ws ? $ws->request("$svc.send_group_msg", \%msg)
         : $im->rest("$svc/send_group_msg",
                     { %msg, From_Account => 'ann' }))->code_is(0);
}

# what it gets of the group until that text: numbers, and the texts (not what
# the system tells him alone, Event 5)
sub heard {
    my ($ws, $gid, $last) = @_;
    my (@seqs, @texts);

    while (!@texts || $texts[-1] ne $last) {
        my $event = $ws->next_event(sub {
            my $m = $_[0]{GroupMsgArray} || $_[0]{GroupTips} or return;
            return $m->[0]{ToGroupId} eq $gid && $m->[0]{Event} != 5;
        }) or last;

        for my $m (@{ $event->{GroupMsgArray} || $event->{GroupTips} }) {
            push @seqs, $m->{MsgSeq};
            push @texts, ref $m->{MsgBody} eq 'ARRAY'
                         ? $m->{MsgBody}[0]{MsgContent}{Text} : 'tip';
        }
    }

    return "@seqs: @texts";
}

# The pass over somebody's groups after these logins and the change fails, and
# is made again a fifth of a second later.
sub slowly {
    my ($passes, %o) = @_;
    $im->reload(im => "fault peer_groups $passes;", %o);
}

subtest 'a group that is created with him' => sub {
    slowly(2);

    my $bob = $im->ws_login('bob');
    my $gid = $im->group(owner => 'ann', members => ['bob']);

    say($gid, $_) for qw/ one two three /;
    is heard($bob, $gid, 'three'), '1 2 3: one two three', 'he hears all';

    say($gid, 'four');
    is heard($bob, $gid, 'four'), '4: four', 'and what comes then, once';
    $bob->close;
};

for my $workers (1, 2) {
    subtest "a group that others follow, $workers worker(s)" => sub {
        my $gid = $im->group(owner => 'ann');

        slowly(4, workers => $workers);
        my @ann = map { $im->ws_login('ann') } 1, 2;
        my $bob = $im->ws_login('bob');

        say($gid, 'before');
        is heard($ann[0], $gid, 'before'), '1: before', 'they do';

        $im->rest("$svc/add_group_member", { GroupId => $gid,
            MemberList => [{ Member_Account => 'bob' }] })->code_is(0);
        say($gid, 'after');
        say($gid, 'all');

        is heard($bob, $gid, 'all'), '2 3 4: tip after all',
            'he hears what came after him';
        is heard($ann[1], $gid, 'all'), '1 2 3 4: before tip after all',
            'they hear it once';
        $_->close for @ann, $bob;
    };
}

subtest 'who sends there at once' => sub {
    slowly(3);

    my ($bob, $bob2) = map { $im->ws_login('bob') } 1, 2;
    my $gid = $im->group(owner => 'bob');

    say($gid, 'mine', $bob);
    say($gid, 'hers too', $bob2);

    is heard($bob, $gid, 'hers too'), '2: hers too', 'no copy for itself';
    is heard($bob2, $gid, 'mine'), '1: mine', 'but for the other instance';

    say($gid, 'end');
    is heard($_, $gid, 'end'), '3: end', 'and nothing else' for $bob, $bob2;
    $_->close for $bob, $bob2;
};

subtest 'a group that is imported' => sub {
    slowly(2);

    my $bob = $im->ws_login('bob');
    my $gid = $im->rest("$svc/import_group", { Type => 'Public',
        Name => 'old', Owner_Account => 'ann', CreateTime => time - 2000 })
        ->code_is(0)->json('/GroupId');

    $im->rest("$svc/import_group_msg", { GroupId => $gid, MsgList => [map {
        { From_Account => 'ann', SendTime => time - 1000 + $_,
          Random => $_, MsgBody => body("old $_") } } 1 .. 3] })->code_is(0);
    $im->rest("$svc/import_group_member", { GroupId => $gid, MemberList =>
        [{ Member_Account => 'bob', UnreadMsgNum => 1 }] })->code_is(0);

    say($gid, 'new');
    is heard($bob, $gid, 'new'), '4: new', 'he is not told what is old';

    my $list = $bob->request("$svc.group_msg_get", { GroupId => $gid,
        ReqMsgSeq => 0, ReqMsgNumber => 20 })->code_is(0)->json('/RspMsgList');
    is scalar @$list, 4, 'but may read it';
    $bob->close;
};

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A group of 10 000 members (3000 on MongoDB, whose server of the tests needs
# minutes for more): made in pages, listed in pages; a message to it is one
# record on the bus and wakes a worker once, whatever the number of members who
# are online.  IM_TEST_ONLINE: that number.

use strict;
use warnings;

use lib 't/lib';

use Mojo::Promise;
use Test::IM;
use Test::More;

my $mongo = ($ENV{IM_TEST_STORE} // '') eq 'mongo';
my $members = $mongo ? 3000 : 10000;
my $online = $ENV{IM_TEST_ONLINE} // 200;
my $page = 500;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0; group_rate 0;
    group_rate_normal 0;');
my $svc = 'group_open_http_svc';
my $random = 1;

my @users = map { sprintf 'u%05d', $_ } 1 .. $members;

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

sub message {
    my ($gid, $text, %body) = @_;

    return rest('send_group_msg', GroupId => $gid, Random => $random++,
                MsgBody => [{ MsgType => 'TIMTextElem',
                              MsgContent => { Text => $text } }], %body);
}

# A request of another client, while this one goes on.
sub while_running {
    my ($name, $body, @more) = @_;
    my $failed = 0;
    my $done = 0;

    my $post = sub {
        my ($command, $body) = @_;
        return $im->ua->post_p($im->url("/v4/$command",
            sdkappid => $im->app_id, identifier => $im->admin,
            usersig => $im->usersig($im->admin), random => 1,
            contenttype => 'json'), json => $body)->then(sub {
                return shift->res->json;
            });
    };

    my $others;
    $others = sub {
        return if $done;
        return $post->('im_open_login_svc/account_check', {
            CheckItem => [{ UserID => 'u00001' }] })->then(sub {
                $failed++ if $_[0]{ErrorCode};
                return $others->();
            });
    };

    my $reply;

    Mojo::Promise->all($others->(), $post->("$svc/$name", $body)->then(sub {
        $reply = shift;
        $done = 1;
    }))->wait;

    is $failed, 0, 'other requests are answered meanwhile';
    return $reply;
}

$im->users(@users);

my @accounts = map { { Member_Account => $_ } } @users;
my $gid;

subtest 'members come in pages' => sub {
    $gid = rest('create_group', Type => 'ChatRoom', Name => 'big',
                $mongo ? (MaxMemberCount => $members) : (),
                MemberList => [@accounts[0 .. $page - 1]])->code_is(0)
           ->json('/GroupId');

    rest('add_group_member', GroupId => $gid,
         MemberList => [@accounts[0 .. $page]])->code_is(10005);

    my $reply = while_running(add_group_member => { GroupId => $gid,
        MemberList => [@accounts[$page .. 2 * $page - 1]] });
    is scalar(grep { $_->{Result} == 1 } @{ $reply->{MemberList} }), $page,
        'all of a page are added';

    for (my $i = 2 * $page; $i < $members; $i += $page) {
        my $reply = rest('import_group_member', GroupId => $gid,
            MemberList => [@accounts[$i .. $i + $page - 1]]);
        $reply->code_is(0) if $reply->code;
    }

    is $im->group_info($gid)->{MemberNum}, $members, 'MemberNum';

    $im->users('late');
    my $late = $im->ws_login('late');
    $late->request("$svc.apply_join_group", { GroupId => $gid })
         ->code_is(10014, 'it is full');
    rest('delete_group_member', GroupId => $gid,
         MemberToDel_Account => [$users[-1]])->code_is(0);
    $late->request("$svc.apply_join_group", { GroupId => $gid })
         ->code_is(0, 'one place is free');
    $late->close;
};

subtest 'the list in pages' => sub {
    my %seen;

    for (my $offset = 0; $offset < $members; $offset += 2000) {
        my $reply = $offset
            ? rest('get_group_member_info', GroupId => $gid, Limit => 2000,
                   Offset => $offset)->data
            : while_running(get_group_member_info => { GroupId => $gid,
                  Limit => 2000, Offset => $offset });

        is $reply->{MemberNum}, $members, "from $offset" if !$offset;
        $seen{ $_->{Member_Account} }++ for @{ $reply->{MemberList} };
    }

    is keys %seen, $members, 'everybody';
    is scalar(grep { $_ > 1 } values %seen), 0, 'nobody twice';
    ok $seen{late} && !$seen{ $users[-1] }, 'the late one, too';
};

subtest "a message to $online who are online" => sub {
    my @ws = map { $im->ws_login($_) } @users[0 .. $online - 1];

    # nothing else is on the bus, and nobody is just being woken
    my ($last, $since) = ('', time);
    $im->wait_for(sub {
        my $now = join ' ', map { $im->metric($_) }
                  qw/ im_bus_records_total im_bus_wakeups_total /;
        ($last, $since) = ($now, time) if $now ne $last;
        return time - $since > 1;
    });

    my %before = map { $_ => $im->metric($_) }
                 qw/ im_bus_records_total im_bus_wakeups_total /;

    message($gid, 'hello', From_Account => $users[-2])
        ->code_is(0)->json_is('/MsgSeq', 1);

    my $got = grep {
        my $event = $_->next_event('GroupMsgArray');
        $event && $event->{GroupMsgArray}[0]{MsgSeq} == 1;
    } @ws;

    is $got, $online, 'everybody got it';
    is $im->metric('im_bus_records_total'),
       $before{im_bus_records_total} + 1, 'one record';

    my $woken = $im->metric('im_bus_wakeups_total')
                - $before{im_bus_wakeups_total};
    ok $woken >= 1 && $woken <= 2, 'a wake-up for each worker'
        or diag $woken;

    is while_running(send_group_msg => { GroupId => $gid, Random => 1e6,
        From_Account => $users[-2], MsgBody => [{ MsgType => 'TIMTextElem',
            MsgContent => { Text => 'again' } }] })->{MsgSeq}, 2, 'MsgSeq';

    $got = grep {
        my $event = $_->next_event('GroupMsgArray');
        $event && $event->{GroupMsgArray}[0]{MsgSeq} == 2;
    } @ws;

    is $got, $online, 'the second message';

    rest('destroy_group', GroupId => $gid)->code_is(0);

    $got = grep {
        $_->next_event(sub {
            ref $_[0]{GroupTips} && $_[0]{GroupTips}[0]{MsgBody}{ReportType}
            && $_[0]{GroupTips}[0]{MsgBody}{ReportType} == 5 })
    } @ws;

    is $got, $online, 'all hear of its end';
};

$im->finish;
done_testing;

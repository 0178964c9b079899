#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Groups without activity are recycled, members who are not connected are
# removed, where the type says so.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, im => 'group_sweep_interval 500ms;',
    app => 'rate 0;
            group_type Short base=Public auto_recycle_seconds=5;
            group_type Online base=Public kick_offline_members=1;');
my $svc = 'group_open_http_svc';

$im->users(qw/ ann bob cid /);

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

sub code {
    return rest('get_group_info', GroupIdList => [$_[0]])
        ->json('/GroupInfo/0/ErrorCode');
}

subtest 'a group without activity' => sub {
    my $idle = $im->group(Type => 'Short', owner => 'ann',
                          members => ['bob']);
    my $busy = $im->group(Type => 'Short', owner => 'ann');
    my $other = $im->group(Type => 'Public', owner => 'ann');
    my $bob = $im->ws_login('bob');
    my $random = 1;

    ok $im->wait_for(sub {
        rest('send_group_msg', GroupId => $busy, Random => $random++,
             MsgBody => [{ MsgType => 'TIMTextElem',
                           MsgContent => { Text => 'x' } }]);
        return code($idle) == 10010;
    }), 'is recycled';

    my $event = $bob->next_event(sub {
        $_[0]{GroupTips} && $_[0]{GroupTips}[0]{MsgBody}{ReportType}
        && $_[0]{GroupTips}[0]{MsgBody}{ReportType} == 11 });
    is $event && $event->{GroupTips}[0]{ToGroupId}, $idle, 'notice 11';

    is code($busy), 0, 'one with messages is not';
    is code($other), 0, 'nor one of another type';
    ok $im->wait_for(sub { code($busy) == 10010 }), 'until it is idle';
};

subtest 'members who are not connected' => sub {
    my $bob = $im->ws_login('bob');
    my $gid = $im->group(Type => 'Online', owner => 'ann',
                         members => [qw/ bob cid /]);

    ok $im->wait_for(sub { $im->group_info($gid)->{MemberNum} == 2 }),
        'are removed';
    is_deeply [sort map { $_->{Member_Account} }
               @{ rest('get_group_member_info', GroupId => $gid)
                  ->json('/MemberList') }], [qw/ ann bob /],
        'the owner stays, and who is connected';

    my $tip = $bob->next_event(sub {
        $_[0]{GroupTips} && ($_[0]{GroupTips}[0]{MsgBody}{OpType} // 0) == 3
    });
    is_deeply $tip->{GroupTips}[0]{MsgBody}{List_Account}, ['cid'],
        'the others hear of it';

    $bob->close;
    ok $im->wait_for(sub { $im->group_info($gid)->{MemberNum} == 1 }),
        'then he, too';
};

$im->finish;
done_testing;

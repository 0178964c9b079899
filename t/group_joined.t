#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# The number of groups of an account, by its limit: whatever ends a membership
# makes room for one other group, and for one only.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, im => 'group_sweep_interval 300ms;',
    app => 'rate 0; groups_joined_max 2;
            group_type Short base=Public auto_recycle_seconds=4;
            group_type Online base=Public kick_offline_members=1;');
my $svc = 'group_open_http_svc';
my $last = 0;

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

# Each group has an owner of its own.
sub group {
    my (%o) = @_;
    my $owner = 'o' . ++$last;

    $im->users($owner);
    return $im->group(Type => 'Public', owner => $owner, %o);
}

my $other;

# What add_group_member says of the account: 1 added, 4 over its limit.
sub add {
    my ($user) = @_;

    $other //= group();

    my $reply = rest('add_group_member', GroupId => $other,
                     MemberList => [{ Member_Account => $user }]);
    my $result = $reply->code == 10037 ? 4
                 : $reply->json('/MemberList/0/Result');

    undef $other if $result == 1;
    return $result;
}

my %ends = (
    quit => sub {
        my ($gid, $ws) = @_;
        $ws->request("$svc.quit_group", { GroupId => $gid })->code_is(0);
        $ws->request("$svc.quit_group", { GroupId => $gid })->code_is(10007);
    },
    kick => sub {
        my ($gid, $ws) = @_;
        rest('delete_group_member', GroupId => $gid,
             MemberToDel_Account => [$ws->user, $ws->user])->code_is(0)
            for 1, 2;
    },
    ban => sub {
        my ($gid, $ws) = @_;
        rest('ban_group_member', GroupId => $gid, Duration => 60,
             Members_Account => [$ws->user])->code_is(0) for 1, 2;
    },
    dissolve => sub {
        my ($gid) = @_;
        rest('destroy_group', GroupId => $gid)->code_is(0);
    },
    'the last to leave' => sub {
        my ($gid, $ws) = @_;
        rest('change_group_owner', GroupId => $gid,
             NewOwner_Account => $ws->user)->code_is(0);
        rest('delete_group_member', GroupId => $gid,
             MemberToDel_Account => ["o$last"])->code_is(0);
        rest('destroy_group', GroupId => $gid)->code_is(0);
    },
    recycled => sub { }, 'not connected' => sub { $_[1]->close },
);

my %type = (recycled => 'Short', 'not connected' => 'Online');
my $n = 0;

for my $name (sort keys %ends) {

    subtest $name => sub {
        my $user = 'm' . ++$n;
        $im->users($user);

        my $ws = $im->ws_login($user);
        my $keep = group(members => [$user]);
        my $gid = group(Type => $type{$name} // 'Public', members => [$user]);

        is add($user), 4, 'at the limit';

        $ends{$name}->($gid, $ws);

        ok $im->wait_for(sub { add($user) == 1 }), 'room for one';
        is add($user), 4, 'and no more';
    };
}

subtest 'a deleted account' => sub {
    $im->users('del');

    my @gids = map { group(members => ['del']) } 1, 2;

    is add('del'), 4, 'at the limit';

    # one of them is being dissolved at that time

    rest('destroy_group', GroupId => $gids[0])->code_is(0);
    $im->rest('im_open_login_svc/account_delete',
              { DeleteItem => [{ UserID => 'del' }] })->code_is(0);

    ok $im->wait_for(sub {
        $im->group_info($gids[1])->{MemberNum} == 1 }), 'is a member no more';

    $im->users('del');
    is add('del'), 1, 'made again: the first';
    is add('del'), 1, 'the second';
    is add('del'), 4, 'and no more';
};

subtest 'what fails counts nothing' => sub {
    $im->users('own');

    my $gid = $im->group(Type => 'Public', owner => 'own');

    $im->ws_login('own')->request("$svc.quit_group", { GroupId => $gid })
        ->code_is(10009);
    rest('delete_group_member', GroupId => $gid,
         MemberToDel_Account => ['own'])->code_is(10007);

    is add('own'), 1, 'one other';
    is add('own'), 4, 'and no more';
};

$im->finish;
done_testing;

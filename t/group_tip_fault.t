#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A worker dies after a change of a group is in the store and before anybody
# is told: the tip comes all the same, once.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

plan skip_all => 'needs nginx --with-debug' unless Test::IM->with_debug;

my $im = Test::IM->new;
my $svc = 'group_open_http_svc';

$im->run(workers => 2, app => 'rate 0;', im => 'sweep_interval 300ms;');
$im->users(qw/ ann bob cid dan /);

my $gid = $im->group(Type => 'Public', owner => 'ann', members => ['bob']);

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

sub tips {
    return grep { ref $_->{MsgBody} eq 'HASH' }
           @{ rest('group_msg_get_simple', GroupId => $gid,
                   ReqMsgNumber => 20)->json('/RspMsgList') // [] };
}

$im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);

my @causes = (
    [join => 1, add_group_member => MemberList => [
        { Member_Account => 'cid' }]],
    [profile => 6, modify_group_base_info => Name => 'new'],
    [role => 4, modify_group_member_info => Member_Account => 'cid',
     Role => 'Admin'],
    [mute => 7, forbid_send_msg => Members_Account => ['bob'],
     ShutUpTime => 60],
    [owner => 6, change_group_owner => NewOwner_Account => 'bob'],
    [kick => 3, delete_group_member => MemberToDel_Account => ['cid']],
);

for (@causes) {
    my ($name, $op, $command, @body) = @$_;

    subtest $name => sub {
        my $before = tips();

        $im->reload(im => 'sweep_interval 300ms; fault before_publish 1;');

        my $ann = $im->ws_login('ann');
        my %old = map { $_ => 1 } $im->worker_pids;

        rest($command, GroupId => $gid, @body);
        ok $im->wait_for(sub {
            my @pids = $im->worker_pids;
            return @pids == 2 && grep { !$old{$_} } @pids;
        }), 'a worker has died';

        ok $im->wait_for(sub { tips() > $before }), 'the tip comes';

        my $tip = (tips())[0];
        is $tip->{MsgBody}{OpType}, $op, 'OpType';
        is $tip->{MsgBody}{Operator_Account}, $im->admin, 'the operator';

        my $heard = $ann->next_event(sub { $_[0]{GroupTips}
            && $_[0]{GroupTips}[0]{MsgSeq} == $tip->{MsgSeq} });
        ok $heard || defined $ann->closed, 'who is connected hears of it';

        rest($command, GroupId => $gid, @body)->code_is(0)
            unless $name eq 'mute';
        is scalar(tips()), $before + 1, 'once';
    };
}

$im->finish;
done_testing;

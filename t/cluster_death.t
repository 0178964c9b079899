#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A node dies: who watches its users hears that they are offline, and another
# node does what it had yet to do.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Cluster;
use Test::More;
use Time::HiRes qw/ time /;

Test::IM::Cluster->skip;

my $cl = Test::IM::Cluster->new->run(workers => 2, balancer => 0,
    app => 'rate 0; web_instances 2;');
my ($one, $two) = @{ $cl->nodes };

my @users = map { "u$_" } 1 .. 30;
$one->users('ann', @users);

my $ann = $one->ws_login('ann');
$ann->request('im_open_status.ws_status_subscribe',
              { To_Account => \@users })->code_is(0);

sub status {
    my ($seconds) = @_;
    my $event = $ann->next_event('UserStatusList', $seconds // 30) or return;
    return "$event->{UserStatusList}[0]{To_Account} "
           . $event->{UserStatusList}[0]{Status};
}

sub statuses { return sort map { status($_[1]) // '' } 1 .. $_[0] }

my %ws = map { $_ => $two->ws_login($_) } @users;
is_deeply [statuses(30)], [sort map { "$_ 1" } @users], 'all are online';

# one has another instance here, one has gone before
my $again = $one->ws_login('u1');
$ws{u2}->close;
is status(), 'u2 2', 'an end as usual';

is $cl->redis('SCARD', 'im:p:0'), 2, 'two nodes are known';

$two->kill9_all;
my $killed = time;

is_deeply [statuses(28)], [sort map { "$_ 2" } @users[2 .. 29]],
    'the users of the dead node are offline';

# a beat lives for 10 seconds; nodes tidy up once a minute
cmp_ok time - $killed, '<', 40, 'soon';
ok !status(2), 'each is told of once, who is here is not';

ok $one->wait_for(sub { $cl->redis('SCARD', 'im:p:0') == 1 }),
    'the node is forgotten';

$two->start;
ok $cl->ready, 'it is started again';
$ws{u3}->open;
$ws{u3}->wslogin->code_is(0);
is status(), 'u3 1', 'online again';
$ws{u3}->close;
is status(), 'u3 2', 'and offline';

ok $one->wait_for(sub { !$cl->redis('--raw', 'SMEMBERS', $_) }),
    "nobody is left in $_"
    for grep { /n2/ } split /\n/, $cl->redis('--raw', 'KEYS', 'im:p:0:*');

subtest 'between a commit and the tip that follows it' => sub {
    plan skip_all => 'fault points need nginx --with-debug'
        unless Test::IM::with_debug();

    my $gid = $one->group(owner => 'ann', members => ['u3']);

    $two->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);
    $two->reload(im => $two->options->{im} . ' fault before_tip 1;',
                 workers => 1);
    ok $cl->ready, 'it will die';

    # no master starts another worker, which would see to it
    kill STOP => $two->pid;

    $two->rest('group_open_http_svc/modify_group_member_info', {
        GroupId => $gid, Member_Account => 'u3', Role => 'Admin' })
        ->status_is(0, 'no answer');
    $two->kill9_all;

    is $one->group_info($gid)->{MemberList}[1]{Role}, 'Admin', 'it is stored';

    my $tip = sub {
        my ($seconds) = @_;

        return $ann->next_event(sub {
            $_[0]{GroupTips} && $_[0]{GroupTips}[0]{ToGroupId} eq $gid
            && ($_[0]{GroupTips}[0]{MsgBody}{OpType} // 0) == 4;
        }, $seconds);
    };

    ok $tip->(60), 'the other node has told of it';
    ok !$tip->(1), 'once';
};

done_testing;

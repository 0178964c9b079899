#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Callbacks of groups: recalled messages, another owner.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Receiver;
use Test::More;

my $recall = 'Group.CallbackAfterRecallMsg';
my $owner = 'Group.CallbackAfterChangeGroupOwner';

my $app = Test::IM::Receiver->new->start;
my $im = Test::IM->new->run(app => 'rate 0; callback ' . $app->url
                                   . " $recall $owner timeout=20s;");

$im->users(qw/ ann bob /);
$im->group(Type => 'Public', GroupId => 'g', owner => 'ann',
           members => ['bob']);

sub group { $im->rest("group_open_http_svc/$_[0]", $_[1]) }

# the members of the only request
sub body {
    my ($command) = @_;

    my @list = $app->wait_requests($command, 1);
    is scalar(@list), 1, 'told once';

    my $body = $list[0]{body};
    like delete $body->{EventTime}, qr/^\d{13}$/, 'EventTime';
    $app->clear;

    return $body;
}

subtest 'recalled messages, another owner' => sub {
    my @seq = map {
        group('send_group_msg', { GroupId => 'g', From_Account => 'ann',
            Random => $_, MsgBody => [{ MsgType => 'TIMTextElem',
                MsgContent => { Text => 'hello' } }] })->code_is(0)
            ->json->{MsgSeq}
    } 1 .. 2;

    my $list = { GroupId => 'g',
                 MsgSeqList => [map { { MsgSeq => $_ } } @seq, 100] };

    group('group_msg_recall', $list)->code_is(0);

    is_deeply body($recall), {
        CallbackCommand => $recall, GroupId => 'g', Type => 'Public',
        Operator_Account => $im->admin,
        MsgSeqList => [map { { MsgSeq => $_ } } @seq] }, 'those of it';

    group('group_msg_recall', $list)->code_is(0);
    group('change_group_owner', { GroupId => 'g',
                                  NewOwner_Account => 'bob' })->code_is(0);
    is_deeply body($owner), {
        CallbackCommand => $owner, GroupId => 'g', Type => 'Public',
        Operator_Account => $im->admin, OldOwner_Account => 'ann',
        NewOwner_Account => 'bob' }, 'another owner';
    is scalar(my @r = $app->requests($recall)), 0, 'none twice';
};

done_testing;

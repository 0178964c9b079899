#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# What is set on one node while it runs holds on the other at once.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Cluster;
use Test::IM::Receiver;
use Test::More;
use Time::HiRes qw/ sleep time /;

Test::IM::Cluster->skip;

my $before = 'C2C.CallbackBeforeSendMsg';
my @hooks = map { Test::IM::Receiver->new->start } 1, 2;

my $cl = Test::IM::Cluster->new->run(workers => 2, balancer => 0,
    app => 'rate 0; dirty_word_delay 0; callback_private on; '
           . "callback @{[ $hooks[0]->url ]} $before;");
my @nodes = @{ $cl->nodes };
my $random = 1;

$nodes[0]->users(qw/ ann bob /);

sub says {
    my ($im, $text) = @_;

    return $im->rest('openim/sendmsg', { From_Account => 'ann',
        To_Account => 'bob', MsgRandom => $random++,
        MsgBody => [{ MsgType => 'TIMTextElem',
                      MsgContent => { Text => $text } }] });
}

# the news is on its way for a moment; without it a row lives for 5 seconds
sub soon {
    my ($name, $sub) = @_;
    my $end = time + 4;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    while (time < $end) {
        return pass $name if $sub->() && $sub->();
        sleep 0.02;
    }

    fail $name;
}

sub count { scalar(my @list = $_[0]->requests) }

for my $i (0, 1) {
    my ($here, $there) = @nodes[$i, 1 - $i];
    my $tag = 'Tag_Profile_Custom_' . qw/ Agea Ageb /[$i];

    subtest "set on node $i" => sub {

        # all workers have the rows in their caches
        says($_, 'hello')->code_is(0) for (@nodes) x 6;

        $here->rest('openim_dirty_words/add',
                    { DirtyWordsList => ["fruit$i"] })->code_is(0);
        soon('a dirty word', sub { says($there, "fruit$i")->code });
        $here->rest('openim_dirty_words/delete',
                    { DirtyWordsList => ["fruit$i"] })->code_is(0);
        soon('is none any more', sub { !says($there, "fruit$i")->code });

        my $set = sub {
            return $there->rest('profile/portrait_set', {
                From_Account => 'ann', ProfileItem => [{
                    Tag => $tag, Value => 3 }] })->code;
        };

        ok $set->(), 'no such field' for 1 .. 4;
        $here->rest('profile/custom_field_set', { FieldList => [
            { Tag => $tag, Type => 'Integer' }] })
            ->code_is(0);
        soon('a field', sub { !$set->() });

        my $url = $hooks[1 - $i]->url;
        $here->rest('im_callback/set', { Url => $url })->code_is(0);
        soon('a callback URL', sub {
            $hooks[1 - $i]->clear;
            says($there, 'hello')->code_is(0) for 1 .. 4;
            return count($hooks[1 - $i]) == 4;
        });
    };
}

done_testing;

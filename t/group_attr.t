#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Attributes and counters: the acting connection hears of a change before the
# answer, once; so do the others, on whatever worker they are.

use strict;
use warnings;

use lib 't/lib';

use IO::Select;
use Mojo::IOLoop;
use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'web_instances 2;');
my $svc = 'group_open_http_svc';

$im->users(qw/ ann bob /);

my $ann = $im->ws_login('ann');
my $same = $im->ws_login('ann');
my $bob = $im->ws_login('bob');

sub option {
    my $event = shift or return;
    return $event->{GroupTips}[0]{MsgBody}{MsgGroupNewInfo}{GroupAttrOption};
}

sub counter {
    my $event = shift or return;
    return $event->{GroupTips}[0]{MsgBody}{GroupCounterInfo};
}

sub is_attr { my $e = shift; return $e->{GroupTips} && option($e) }
sub is_counter { my $e = shift; return $e->{GroupTips} && counter($e) }

# what has come until now
sub first { return $_[0]->next_event($_[1], 0) }

# what the server has written to them until now is read
sub drain {
    my $all = IO::Select->new(map {
        Mojo::IOLoop->stream($_->tx->connection)->handle } @_);

    Mojo::IOLoop->one_tick while $all->can_read(0);
}

my %gid = (Public => $im->group(Type => 'Public', owner => 'ann',
                                members => ['bob']),
           AVChatRoom => $im->group(Type => 'AVChatRoom', owner => 'ann'));

for ($ann, $same, $bob) {
    $_->request("$svc.apply_join_group", { GroupId => $gid{AVChatRoom} })
      ->code_is(0);
}

for my $type (sort keys %gid) {

    subtest $type => sub {
        my $gid = $gid{$type};

        my $set = sub {
            my ($command, $seq, @items) = @_;
            return $ann->request("$svc.${command}_group_attr", {
                GroupId => $gid, AttrMainSeq => $seq,
                @items ? (GroupAttr => \@items) : () })->code_is(0);
        };

        $set->(set => 0, { key => 'k', value => 'v' });
        my $option = option(first($ann, \&is_attr));
        is $option->{OpType}, 1, 'init: before the answer';
        is $option->{AttrMainSeq}, 1, 'AttrMainSeq';

        $set->(delete => 1, { key => 'k', seq => 1 });
        is option(first($ann, \&is_attr))->{OpType}, 4, 'delete';

        for ($same, $bob) {
            is option($_->next_event(\&is_attr))->{OpType}, 1,
                'another connection';
            is option($_->next_event(\&is_attr))->{OpType}, 4, 'the second';
        }

        $ann->request("$svc.update_group_counter", { GroupId => $gid,
            GroupCounter => [{ Key => 'n', Value => 3 }], Mode => 'Set' })
            ->code_is(0);
        is counter(first($ann, \&is_counter))->[0]{GroupCounter}[0]{Value},
            3, 'a counter';
        ok $bob->next_event(\&is_counter), 'and for others';

        $_->no_event(sub { is_attr($_[0]) || is_counter($_[0]) }, 0.2,
                     'nothing twice') for $ann, $bob;
    };
}

subtest 'an administrator who is no member' => sub {
    my $admin = $im->ws_login($im->admin);

    $admin->request("$svc.set_group_attr", { GroupId => $gid{Public},
        AttrMainSeq => 2, GroupAttr => [{ key => 'a', value => 'b' }] })
        ->code_is(0);
    ok $bob->next_event(\&is_attr), 'members hear of it';
    $admin->no_event(\&is_attr, 0.2, 'he does not');
};

subtest 'a counter does not run over' => sub {
    my $max = '9223372036854775807';
    my $update = sub { $im->rest("$svc/update_group_counter",
        qq({"GroupId":"$gid{Public}","Mode":"$_[0]","GroupCounter":)
        . qq([{"Key":"m","Value":$_[1]}]})) };

    $update->(Set => $max)->code_is(0);
    $update->(Increase => 1)->code_is(10004);
    $update->(Increase => -1)->code_is(0);
    $update->(Decrease => "-$max")->code_is(10004);
    like $im->rest("$svc/get_group_counter", { GroupId => $gid{Public} })
         ->text, qr/"m","Value":9223372036854775806/, 'as it was';
};

subtest 'all have heard before the answer' => sub {
    my @users = map { "u$_" } 1 .. 12;

    $im->users(@users);

    my @ws = map { $im->ws_login($_) } @users;

    for my $type (qw/ Public AVChatRoom Public AVChatRoom /) {

        my $gid = $im->group(Type => $type, owner => 'u1',
                             $type eq 'Public'
                             ? (members => [@users[1 .. $#users]]) : ());

        if ($type eq 'AVChatRoom') {
            $_->request("$svc.apply_join_group", { GroupId => $gid })
              ->code_is(0) for @ws;
        }

        my $late = 0;

        for my $n (1 .. 4) {
            $ws[0]->request("$svc.modify_group_attr", { GroupId => $gid,
                GroupAttr => [{ key => 'k', value => "v$n" }] })
                ->code_is(0);

            drain(@ws);

            $late += grep { !first($_, sub {
                is_attr($_[0]) && option($_[0])->{AttrMainSeq} == $n
            }) } @ws;
        }

        is $late, 0, $type;
    }
};

$im->finish;
done_testing;

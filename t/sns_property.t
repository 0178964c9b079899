#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Random commands on a few accounts: one after the other they do what a model
# does; two or three at once, on several connections to two workers, do what
# the model does in one of the orders that there are; many at once, and a power
# cut or the death of a worker among them, leave a state that can be.

use strict;
use warnings;

use lib 't/lib';

use Mojo::JSON qw/ encode_json /;
use Test::IM;
use Test::IM::Sns;
use Test::More;
use Time::HiRes qw/ time /;

my $seed = $ENV{IM_TEST_SEED} // int rand 1e9;
srand $seed;
note "IM_TEST_SEED=$seed";

my $im = Test::IM->new->run(workers => 2, app => 'rate 0;');

sns_server($im);

my @users = qw/ ann bob cat dan /;
$im->users(@users);
allow('cat', 'NeedConfirm');
allow('dan', 'DenyAny');

my %allow = (ann => 'any', bob => 'any', cat => 'confirm', dan => 'deny');


# A random command, its name and body, of two accounts in any direction.
sub command {
    my ($from, $to) = @_ ? @_ : (sort { rand() <=> 0.5 } @users)[0, 1];
    ($from, $to) = ($to, $from) if @_ && rand() < 0.5;
    my $n = rand 11.5;
    my %from = (From_Account => $from);
    my @item = (To_Account => $to);

    return $n < 3.5 ? ['friend_add', { %from,
            AddType => rand() < 0.3 ? 'Add_Type_Single' : 'Add_Type_Both',
            AddFriendItem => [{ @item, AddSource => 'AddSource_Type_t' }] }]
         : $n < 5.5 ? ['friend_delete', { %from, To_Account => [$to],
            DeleteType => rand() < 0.5 ? 'Delete_Type_Single'
                                       : 'Delete_Type_Both' }]
         : $n < 7 ? ['friend_response', { %from, ResponseFriendItem => [{
            @item, ResponseAction => 'Response_Action_'
            . (qw/ Agree AgreeAndAdd Reject /)[rand 3] }] }]
         : $n < 7.5 ? ['pendency_delete', { %from, To_Account => [$to],
            PendencyType => 'Pendency_Type_'
            . (qw/ ComeIn SendOut /)[rand 2] }]
         : $n < 8.5 ? ['black_list_add', { %from, To_Account => [$to] }]
         : $n < 9.7 ? ['black_list_delete', { %from, To_Account => [$to] }]
         : $n < 10 ? ['friend_delete_all', { %from,
            DeleteType => (qw/ Delete_Type_Single Delete_Type_Both /)
                          [rand 2] }]
         : $n < 11 ? ['recommend_add', { %from,
            RecommendItem => [{ @item }] }]
         : ['recommend_delete', { %from, To_Account => [$to] }];
}

my @kinds = qw/ friend black req rec /;

# The model: {friend}, {black}, {req} and {rec}, each "from to"; returns the
# code.
sub model {
    my ($m, $name, $body) = @_;
    my ($f, $b, $r, $rec) = @$m{@kinds};
    my $from = $body->{From_Account};
    my ($item) = @{ $body->{AddFriendItem} // $body->{ResponseFriendItem}
                    // $body->{RecommendItem} // [] };
    my $to = $item ? $item->{To_Account} : $body->{To_Account}[0];

    if ($name eq 'friend_delete_all') {
        for (grep { /^$from / } keys %$f) {
            delete $f->{$_};
            delete $f->{join ' ', reverse split ' '}
                if $body->{DeleteType} eq 'Delete_Type_Both';
        }

        return undef;
    }

    my ($there, $back) = ("$from $to", "$to $from");

    if ($name eq 'friend_add') {
        return 30001 if $f->{$there};
        return 30515 if $b->{$there};
        return 30525 if $b->{$back};

        if ($body->{AddType} ne 'Add_Type_Single') {
            return 30516 if $allow{$to} eq 'deny';
            $r->{$there} = 1, return 30539 if $allow{$to} eq 'confirm';
            delete $rec->{$back} unless $f->{$back};
            $f->{$back} = 1;
        }

        $f->{$there} = 1;
        delete @$r{$there, $back};
        delete $rec->{$there};
        return 0;
    }

    if ($name eq 'recommend_add') {
        return 30001 if $f->{$there};
        return 30515 if $b->{$there};
        return 30525 if $b->{$back};
        $rec->{$there} = 1;
        return 0;
    }

    if ($name eq 'recommend_delete') {
        return delete $rec->{$there} ? 0 : 30001;
    }

    if ($name eq 'friend_delete') {
        return 31704 unless delete $f->{$there};
        delete $f->{$back} if $body->{DeleteType} eq 'Delete_Type_Both';
        return 0;
    }

    if ($name eq 'friend_response') {
        return 30614 unless $r->{$back};

        my $action = $item->{ResponseAction};

        delete $r->{$back}, return 0 if $action eq 'Response_Action_Reject';
        return 30001 if $f->{$back} && ($f->{$there}
                        || $action eq 'Response_Action_Agree');

        $f->{$back} = 1;
        $f->{$there} = 1 if $action eq 'Response_Action_AgreeAndAdd';
        delete @$r{$there, $back};
        delete $rec->{$_} for grep { $f->{$_} } $there, $back;
        return 0;
    }

    if ($name eq 'pendency_delete') {
        my $in = $body->{PendencyType} eq 'Pendency_Type_ComeIn';
        return delete $r->{ $in ? $back : $there } ? 0 : 31804;
    }

    if ($name eq 'black_list_add') {
        return 30001 if $b->{$there};
        $b->{$there} = 1;
        delete @$_{$there, $back} for $f, $r, $rec;
        return 0;
    }

    return delete $b->{$there} ? 0 : 30001;
}

# The state as each account sees it, in the form of the model.
sub state_now {
    my (%s, %mirror, @wrong);
    @s{@kinds} = ({}, {}, {}, {});

    for my $user (@users) {
        my $get = sns('friend_get', $user, StartIndex => 0);
        my $items = $get->json('/UserDataItem');

        $s{friend}{"$user $_->{To_Account}"} = 1 for @$items;
        push @wrong, "$user: FriendNum " . $get->json('/FriendNum')
            if $get->json('/FriendNum') != @$items;

        $s{black}{"$user $_->{To_Account}"} = 1 for @{
            sns('black_list_get', $user, StartIndex => 0, MaxLimited => 100)
                ->json('/BlackListItem') };

        $s{rec}{"$user $_->{To_Account}"} = 1 for @{
            sns('recommend_get', $user)->json('/RecommendItem') };

        my $reqs = sns('pendency_get', $user,
                       PendencyType => 'Pendency_Type_Both');

        for (@{ $reqs->json('/PendencyItem') }) {
            $_->{PendencyType} =~ /ComeIn/
                ? $mirror{"$_->{To_Account} $user"} = 1
                : $s{req}{"$user $_->{To_Account}"} = 1;
        }
    }

    push @wrong, 'requests: ' . encode_json([$s{req}, \%mirror])
        if encode_json([sort keys %{ $s{req} }])
           ne encode_json([sort keys %mirror]);

    for my $pair (keys %{ $s{black} }) {
        my $back = join ' ', reverse split / /, $pair;
        push @wrong, "listed, but there is more: $_"
            for grep { $s{friend}{$_} || $s{req}{$_}
                       || $s{rec}{$_} } $pair, $back;
    }

    push @wrong, "recommended though a friend: $_"
        for grep { $s{friend}{$_} } keys %{ $s{rec} };

    push @wrong, "asks though a friend: $_"
        for grep { $s{friend}{$_} } keys %{ $s{req} };

    return (\%s, @wrong);
}

# Sends all at once, each on a connection of its own; returns the codes when
# they are answered, or after some time.
sub burst_for {
    my ($seconds, @commands) = @_;
    my ($done, @codes) = 0;

    for my $i (0 .. $#commands) {
        my ($name, $body) = @{ $commands[$i] };
        my $tx = $im->ua->build_tx(POST => $im->url("/v4/sns/$name",
            sdkappid => $im->app_id, identifier => $im->admin, random => 1,
            usersig => $im->usersig($im->admin), contenttype => 'json'),
            encode_json($body));

        $im->ua->start_p($tx)->then(sub {
            my $json = $_[0]->res->json // {};
            $codes[$i] = $json->{ErrorCode} ? -$json->{ErrorCode}
                         : $json->{ResultItem}
                           ? $json->{ResultItem}[0]{ResultCode} : undef;
        })->catch(sub { })->finally(sub { $done++ });
    }

    my $end = time + $seconds;
    my $timer = Mojo::IOLoop->recurring(0.01 => sub { });
    Mojo::IOLoop->one_tick while $done < @commands && time < $end;
    Mojo::IOLoop->remove($timer);

    return @codes;
}

sub same {
    my ($s, $t) = @_;
    return !grep { encode_json([sort keys %{ $s->{$_} }])
                   ne encode_json([sort keys %{ $t->{$_} }]) } @kinds;
}

sub copy_of { my ($m) = @_; return { map { $_ => { %{ $m->{$_} } } } @kinds } }

sub orders {
    my (@list) = @_;
    return [] unless @list;
    return map { my $i = $_;
                 map { [$list[$i], @$_] }
                     orders(@list[grep { $_ != $i } 0 .. $#list]) }
           0 .. $#list;
}

sub burst { burst_for(60, @_) }


subtest 'one after the other, as the model' => sub {
    my $model = { map { $_ => {} } @kinds };
    my @wrong;

    for my $step (1 .. 400) {
        my $command = command();
        my $want = model($model, @$command);
        my $reply = $im->rest("sns/$command->[0]", $command->[1]);
        my $got = defined $want ? $reply->json('/ResultItem/0/ResultCode')
                                : undef;

        push @wrong, "step $step: " . encode_json([@$command, $got, $want])
            if ($got // 'none') ne ($want // 'none');

        next if $step % 40;

        my ($state, @bad) = state_now();
        push @wrong, @bad;
        push @wrong, "step $step: " . encode_json([$state, $model])
            unless same($state, $model);
        last if @wrong;
    }

    is "@wrong", '', 'no difference';
};

subtest 'at once, as one after the other' => sub {
    my ($model, @wrong) = state_now();
    my %at_once;

    for my $round (1 .. 120) {
        my @pair = (sort { rand() <=> 0.5 } @users)[0, 1];

        # where the two are, from time to time from nothing

        for (1 .. rand 3) {
            my $command = command(@pair);
            model($model, @$command);
            $im->rest("sns/$command->[0]", $command->[1]);
        }

        my @commands = map { command(@pair) } 1 .. 2 + rand 2;
        @commands = grep { $_->[0] ne 'friend_delete_all' } @commands;

        $at_once{ join '+', sort map { $_->[0] =~ s/.*_(\w+_)/$1/r }
                            @commands }++;

        my @codes = burst(@commands);
        my ($state, @bad) = state_now();
        my @models;

        for my $order (orders(0 .. $#commands)) {
            my $m = copy_of($model);
            my @want;
            $want[$_] = model($m, @{ $commands[$_] }) for @$order;
            push @models, $m
                if encode_json(\@want) eq encode_json(\@codes)
                   && same($m, $state);
        }

        push @wrong, @bad;
        push @wrong, "round $round: " . encode_json([$model, \@commands,
            \@codes, $state]) unless @models;
        last if @wrong;

        $model = $models[0];
    }

    is "@wrong", '', 'in one of the orders';
    cmp_ok scalar keys %at_once, '>', 20, 'many kinds of encounters';
};

subtest 'many at once' => sub {
    my @wrong;

    for (1 .. 25) {
        burst(map { command() } 1 .. 30);
        push @wrong, (state_now())[1 .. 5];
        @wrong = grep { defined } @wrong;
        last if @wrong;
    }

    is "@wrong", '', 'always a state that can be';
};

subtest 'both add each other at once' => sub {
    for (1 .. 10) {
        sns('friend_delete_all', $_, DeleteType => 'Delete_Type_Both')
            for qw/ ann bob /;
        sns('black_list_delete', $_->[0], To_Account => [$_->[1]])
            for [qw/ ann bob /], [qw/ bob ann /];

        burst(map { my ($from, $to) = @$_;
                    ['friend_add', { From_Account => $from,
                        AddFriendItem => [{ To_Account => $to,
                            AddSource => 'AddSource_Type_t' }] }] }
              [qw/ ann bob /], [qw/ bob ann /]);

        is relation('ann', 'bob'), 'BothWay', 'friends' or last;
    }
};

subtest 'a worker dies' => sub {
    plan skip_all => 'needs a build --with-debug'
        unless Test::IM::with_debug();

    $im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);

    for my $point (qw/ before_commit mid_batch after_commit
                       before_publish /)
    {
        $im->reload(im => "fault $point " . (5 + int rand 20) . ';');

        for (1 .. 4) {
            burst_for(5, map { command() } 1 .. 30);

            my ($state, @wrong) = state_now();
            is "@wrong", '', "$point: a state that can be";
        }
    }
};

subtest 'a power cut' => sub {
    for my $round (1 .. 4) {
        burst_for(0.03 * $round, map { command() } 1 .. 60);
        $im->kill9_all;
        $im->start;

        my ($state, @wrong) = state_now();
        is "@wrong", '', 'a state that can be';
    }
};

diag "IM_TEST_SEED=$seed" unless Test::More->builder->is_passing;

done_testing;

package Test::IM::GroupLoad;

# Copyright (C) The ngx_im authors

# Back ends that send to a stored group and to a live room, and members who
# listen, while servers die; and the comparison of what the senders were told
# with what the group has and what the members have heard.
#
#   my $groups = Test::IM::GroupLoad->new(im => $cl->any,
#                                         nodes => $cl->nodes)->prepare;
#
#   $groups->start;
#   $groups->run(2);                 # as Test::IM::Load
#   my $n = $groups->acks;           # fewest of the group and of the room
#   $groups->move(1, $node);         # a member connects to another node
#   ...
#   $groups->settle;                 # tests, from here on
#   $groups->check;
#
# Each sender repeats a message, the same random number in it, until it is
# acknowledged.  On each node there is a member of both, who never asks for
# what he has missed.

use Mojo::Base -base, -signatures;

use Mojo::IOLoop;
use Mojo::JSON qw/ encode_json /;
use Mojo::UserAgent;
use Test::IM::WS;
use Test::More ();
use Time::HiRes qw/ time /;

has [qw/ im nodes group room stopped /];
has prefix => 'g';               # of the names
has senders => 6;                # every third one to the live room
has pause => 0.05;               # between an answer and the next message
has wait => 20;                  # for an answer
has slowest => 0;
has [qw/ acked codes /] => sub { {} };
has [qw/ members names busy /] => sub { [] };

our $svc = 'group_open_http_svc';

# Users, the groups, members: before anything else makes the store slow.
sub prepare ($self) {
    my $first = $self->nodes->[0];
    my @names = map { $self->prefix . "s$_" } 1 .. $self->senders;
    my @heard = map { $self->prefix . "m$_" } 1 .. @{ $self->nodes };

    $first->users(@names, @heard);

    $self->names(\@names);
    $self->group($first->group(Type => 'Public', owner => $names[0],
                               members => [@names[1 .. $#names], @heard]));
    $self->room($first->group(Type => 'AVChatRoom', owner => $names[0]));
    $self->acked({ $self->group => {}, $self->room => {} });

    for my $i (0 .. $#heard) {
        my $ws = $self->nodes->[$i]->ws_login($heard[$i]);

        $ws->request("$svc.apply_join_group", { GroupId => $self->room })
           ->code_is(0);
        push @{ $self->members }, { ws => $ws, heard => [[]] };
    }

    $self->{ua} = Mojo::UserAgent->new->connect_timeout(3)
                      ->request_timeout($self->wait)->inactivity_timeout(0);
    $self->{sig} = $self->im->usersig($self->im->admin);

    return $self;
}

sub start ($self) {
    $self->send_message($_, 1) for 0 .. $self->senders - 1;

    return $self;
}

sub run ($self, $seconds, $fn = sub { 0 }) {
    return $self->members->[0]{ws}->tick($fn, $seconds);
}

sub later ($self, $seconds, $fn) { Mojo::IOLoop->timer($seconds => $fn) }


# --- sending

sub send_message ($self, $k, $i) {
    my $gid = $k % 3 == 2 ? $self->room : $self->group;
    my $body = $self->message($gid, $k, $i);
    my $start = time;

    my $url = $self->im->url("/v4/$svc/send_group_msg",
        sdkappid => $self->im->app_id, identifier => $self->im->admin,
        usersig => $self->{sig}, random => int rand 4294967295,
        contenttype => 'json');

    $self->busy->[$k] = 1;

    $self->{ua}->post($url => encode_json($body) => sub ($ua, $tx) {
        my $json = $tx->error ? undef : $tx->res->json;
        my $code = $json ? $json->{ErrorCode} : $tx->res->code // 'none';
        my $took = time - $start;

        $self->slowest($took) if $took > $self->slowest;

        if ($code ne '0') {
            $self->codes->{$code}++;
            return $self->later(0.1, sub { $self->send_message($k, $i) });
        }

        $self->acked->{$gid}{"$k $i"} = $json->{MsgSeq};
        $self->busy->[$k] = 0;

        $self->later($self->pause, sub {
            $self->send_message($k, $i + 1) unless $self->stopped;
        });
    });
}

sub message ($self, $gid, $k, $i) {
    return { GroupId => $gid, Random => 1000 * $k + $i,
             From_Account => $self->names->[$k % $self->senders],
             MsgBody => [{ MsgType => 'TIMTextElem',
                           MsgContent => { Text => "$k $i" } }] };
}

# Messages that are acknowledged, of the group or the room that has fewer.
sub acks ($self) {
    return (sort { $a <=> $b } map { scalar keys %$_ }
            values %{ $self->acked })[0];
}


# --- members

# What has come since: [GroupId, MsgSeq, text] in a list for each connection.
sub collect ($self, $m) {
    my $events = $m->{ws}->events;
    my @all = splice @$events;

    for my $event (@all) {
        push @{ $m->{heard}[-1] },
             [$_->{ToGroupId}, $_->{MsgSeq}, $_->{MsgBody}[0]{MsgContent}{Text}]
            for @{ $event->{GroupMsgArray} // [] };
    }

    return $m->{heard}[-1];
}

sub move ($self, $i, $node) {
    my $m = $self->members->[$i];
    my $old = $m->{ws};

    $self->collect($m);
    push @{ $m->{heard} }, [];

    $m->{ws} = Test::IM::WS->new(im => $node, user => $old->user,
        a2 => $old->a2, tinyid => $old->tinyid, inst => $old->inst)->open;

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $m->{ws}->wslogin->code_is(0, 'a member is at another node');
}


# --- tests

# No new messages; what is on its way is acknowledged and heard, and so is
# one more of the live room.
sub settle ($self, $seconds = 60) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $self->stopped(1);

    Test::More::ok(scalar $self->run($seconds, sub {
        !grep { $_ } @{ $self->busy };
    }), 'every message is acknowledged');

    $self->{next} = $self->im->group_info($self->group)->{NextMsgSeq};

    my $k = $self->senders;
    my $reply = $self->im->rest("$svc/send_group_msg",
                                $self->message($self->room, $k, 1));
    $reply->code_is(0) if $reply->code // -1;

    Test::More::ok(scalar $self->run($seconds, sub {
        !grep { !$self->all_heard($_, "$k 1") } @{ $self->members };
    }), 'the members have heard the last of the group and of the room');

    $self->run(0.5);

    Test::More::note(sprintf '%d of the group, %d of the room, slowest %.1f s',
                     map({ scalar keys %{ $self->acked->{$_} } }
                         $self->group, $self->room), $self->slowest);
    Test::More::note('not acknowledged: ' . encode_json($self->codes));
}

sub all_heard ($self, $m, $text) {
    my %last = map { @$_[0, 1] } @{ $self->collect($m) };
    my %texts = map { $_->[2] => 1 } @{ $self->collect($m) };

    return ($last{ $self->group } // 0) == $self->{next} - 1
           && $texts{$text};
}

sub check ($self) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $self->check_history;
    $self->check_heard;
}

# All of a stored group, as each node has it.
sub check_history ($self) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    for my $im (@{ $self->nodes }) {
        my $next = $im->group_info($self->group)->{NextMsgSeq};
        my %text;

        for (my $from = $next - 1; $from > 0; $from -= 20) {
            my $list = $im->rest("$svc/group_msg_get_simple", {
                GroupId => $self->group, ReqMsgSeq => $from,
                ReqMsgNumber => 20 })->json('/RspMsgList') // [];

            $text{ $_->{MsgSeq} } = $_->{MsgBody}[0]{MsgContent}{Text}
                for @$list;
        }

        Test::More::is_deeply([sort { $a <=> $b } keys %text],
                              [1 .. $next - 1], 'numbers from 1 on');
        Test::More::is_deeply({ reverse %text },
                              $self->acked->{ $self->group },
            'what was acknowledged, under its number, once');
        $self->in_order('the history',
                        map { $text{$_} } sort { $a <=> $b } keys %text);
    }
}

# What each connection has heard.
sub check_heard ($self) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    for my $i (0 .. $#{ $self->members }) {
        my $m = $self->members->[$i];
        my $n = 0;

        for my $list (@{ $m->{heard} }) {
            my $name = "member $i, connection " . ++$n;
            my @group = grep { $_->[0] eq $self->group } @$list;
            my @room = grep { $_->[0] eq $self->room } @$list;
            my %twice;

            Test::More::is_deeply([map { $_->[1] } @group],
                [@group ? $group[0][1] .. $group[0][1] + $#group : ()],
                "$name: each one of the group, in order");

            Test::More::is_deeply([grep { $twice{ $_->[2] }++ } @room], [],
                                  "$name: none of the room twice");
            $self->in_order("$name, room", map { $_->[2] } @room);
        }
    }
}

sub stop ($self) {
    $_->{ws}->close for @{ $self->members };
}

# Texts, in the order of each sender.
sub in_order ($self, $name, @texts) {
    my (%last, @bad);

    for my $text (@texts) {
        my ($k, $i) = split / /, $text;

        push @bad, "$text after $last{$k}" if $i < ($last{$k} // 0);
        $last{$k} = $i;
    }

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::is_deeply(\@bad, [], "$name: in the order of each sender");
}

1;

package Test::IM::Load;

# Copyright (C) The ngx_im authors

# Clients that send and receive while nginx is killed or reloaded, and the
# comparison of what they were told with what the server has.
#
#   my $load = Test::IM::Load->new(im => $im, rest => 4, ws => 4)->start;
#
#   $load->run(2);                   # seconds of work
#   ...
#   $load->settle;                   # tests, from here on
#   $load->check;                    # or one by one:
#   $load->check_history;
#   $load->check_logins;
#   $load->check_seen;
#
# Back ends r1, r2 ... send by REST, users u1, u2 ... by WebSocket, all to the
# users.  As the SDK does, everybody repeats a message, the same numbers in
# it, until it is acknowledged; users connect again, log in by their a2 and
# ask for what they have missed with the cookie that they have.

use Mojo::Base -base, -signatures;

use Mojo::IOLoop;
use Mojo::JSON qw/ decode_json encode_json /;
use Mojo::UserAgent;
use Test::IM::WS;
use Test::More ();
use Time::HiRes qw/ time /;

has 'im';
has prefix => '';            # of the names
has rest => 4;
has ws => 4;
has pause => 0.01;           # between an answer and the next message
has wait => 6;               # for an answer

# codes that ask for a repetition
has retry => sub {
    return { map { $_ => 1 } 20004, 60008, 60018, 70202, 90994 };
};

has [qw/ senders users messages seen acks codes closes logins stopped /];
has on_ack => undef;         # called with the message
has disorder => sub { [] };
has problems => sub { [] };

sub start ($self) {
    $self->messages([])->codes({})->closes({})->acks(0)->logins(0);
    $self->stopped(0);

    my @users = map { $self->prefix . "u$_" } 1 .. $self->ws;
    my @backs = map { $self->prefix . "r$_" } 1 .. $self->rest;

    $self->im->users(@users, @backs);

    $self->senders([map { { name => $_, to => \@users, seq => 0 } }
                        @backs, @users]);
    $self->users([@{ $self->senders }[@backs .. @backs + $#users]]);

    for my $c (@{ $self->senders }) {
        $c->{ua} = Mojo::UserAgent->new->connect_timeout(3)
                       ->request_timeout($self->wait)->inactivity_timeout(0);
    }

    # every other back end connects for each request
    for my $n (0 .. $#backs) {
        $self->senders->[$n]{ua}->max_connections(0) if $n % 2;
    }

    for my $c (@{ $self->users }) {
        $c->{ws} = Test::IM::WS->new(im => $self->im, user => $c->{name});
        $c->{frame} = int rand 1000000;
        $c->{cookie} = '';
        $c->{seen} = {};
        $self->connect($c);
    }

    # what was sent before the first login is not told to anybody
    $self->run(60, sub { !grep { !$_->{synced} } @{ $self->users } })
        or die 'users cannot log in';

    $self->next_message($_) for @{ $self->senders };

    return $self;
}

sub problem ($self, $text) {
    my $list = $self->problems;
    push @$list, $text if @$list < 20;
}

sub later ($self, $seconds, $fn) { Mojo::IOLoop->timer($seconds => $fn) }

# Lets things happen for some seconds, or until the function is true.
sub run ($self, $seconds, $fn = undef) {
    my $end = time + $seconds;
    my $timer = Mojo::IOLoop->recurring(0.02 => sub { });
    my $value;

    while (time < $end && !($fn && ($value = $fn->()))) {
        Mojo::IOLoop->one_tick;
    }

    Mojo::IOLoop->remove($timer);

    return $value;
}


# --- sending

sub next_message ($self, $c) {
    return if $self->stopped || $c->{message};

    my $seq = ++$c->{seq};
    my $to = $c->{to}[$seq % @{ $c->{to} }];

    $to = $c->{to}[($seq + 1) % @{ $c->{to} }] if $to eq $c->{name};

    my $m = { from => $c->{name}, to => $to, seq => $seq,
              random => int rand 4294967295, tries => 0 };

    $m->{body} = { To_Account => $to, MsgSeq => $m->{seq},
                   MsgRandom => $m->{random}, MsgBody => [
                       { MsgType => 'TIMTextElem', MsgContent => {
                             Text => "$m->{from} $seq" } }] };

    push @{ $self->messages }, $m;
    $c->{message} = $m;

    $c->{ws} ? $self->send_ws($c) : $self->send_rest($c);
}

sub answered ($self, $c, $m, $body) {
    my $code = $body->{ErrorCode} // 0;

    return if ($c->{message} // 0) != $m;

    if ($code) {
        $self->codes->{$code}++;
        $self->problem("$m->{from} $m->{seq}: $code "
                       . ($body->{ErrorInfo} // ''))
            unless $self->retry->{$code};

        return $self->again($c, $m);
    }

    if (($body->{MsgKey} // '') !~ /^$m->{seq}_$m->{random}_\d+$/) {
        $self->problem("$m->{from} $m->{seq}: key "
                       . ($body->{MsgKey} // 'none'));
    }

    $m->{key} = $body->{MsgKey};
    $m->{acked} = time;
    $c->{message} = undef;
    $self->acks($self->acks + 1);
    $self->on_ack->($m) if $self->on_ack;

    # a connection may send 50 frames in a second
    $self->later($self->pause * ($c->{ws} ? 3 : 1), sub {
        $self->next_message($c);
    });
}

sub again ($self, $c, $m) {
    $self->later(0.1, sub {
        return if ($c->{message} // 0) != $m;
        $c->{ws} ? $self->send_ws($c) : $self->send_rest($c);
    });
}

sub send_rest ($self, $c) {
    my $m = $c->{message};
    my $admin = $self->im->admin;

    $m->{tries}++;
    $self->{sig} //= $self->im->usersig($admin);

    my $url = $self->im->url('/v4/openim/sendmsg',
        sdkappid => $self->im->app_id, identifier => $admin,
        usersig => $self->{sig}, random => int rand 4294967295,
        contenttype => 'json');

    my $body = { %{ $m->{body} }, From_Account => $m->{from},
                 SyncOtherMachine => 1 };

    $c->{ua}->post($url => encode_json($body) => sub ($ua, $tx) {
        my $data = eval { decode_json($tx->res->body) };

        return $self->answered($c, $m, $data)
            if !$tx->error && ref $data eq 'HASH';

        $self->codes->{ $tx->res->code // 'none' }++;
        $self->again($c, $m);
    });
}

sub send_ws ($self, $c) {
    my $m = $c->{message};

    # a message is sent once before the login: that of the last connection
    return unless $c->{online} || $c->{open} && $m->{frame};

    $m->{tries}++;
    $m->{frame} //= ++$c->{frame};

    $self->frame($c, 'openim.sendmsg', $m->{body}, $m->{frame}, sub ($body) {
        $self->answered($c, $m, $body);
    });
}


# --- a user's connection

sub connect ($self, $c) {
    my $url = $self->im->url('/info', sdkappid => $self->im->app_id,
        instanceid => $c->{ws}->instanceid, random => rand, platform => 7,
        host => 'unknown', version => -1, sdkversion => '2.27.6');

    $c->{open} = $c->{online} = $c->{synced} = 0;
    $c->{calls} = {};

    $c->{ua}->websocket($url->scheme('ws') => sub ($ua, $tx) {
        if (!$tx->is_websocket) {
            $self->codes->{ 'ws ' . ($tx->res->code // 'none') }++;
            return $self->later(0.2, sub { $self->connect($c) });
        }

        $c->{tx} = $tx;
        $c->{open} = 1;
        $c->{last} = {};

        $tx->on(text => sub ($tx, $bytes) { $self->received($c, $bytes) });
        $tx->on(finish => sub ($tx, $code, $reason = undef) {
            return if $c->{tx} != $tx;

            $self->closes->{ $code // 1006 }++;
            $c->{lost} = time;
            $c->{open} = $c->{online} = $c->{synced} = 0;
            $self->later(0.05 + rand 0.1, sub { $self->connect($c) });
        });

        # open requests first, then the login
        $self->send_ws($c) if $c->{message} && $c->{message}{frame};

        $self->login($c);
    });
}

sub frame ($self, $c, $name, $body, $seq, $fn) {
    my $tx = $c->{tx};

    $c->{calls}{$seq} = $fn;

    $tx->send({ text => encode_json({
        head => $c->{ws}->head($name, $seq), body => $body }) });

    # silence: nothing to rely on
    $self->later($self->wait, sub {
        return unless $c->{tx} == $tx && ($c->{calls}{$seq} // 0) == $fn;
        $self->codes->{silence}++;
        $tx->finish(4000);
    });
}

sub login ($self, $c) {
    my $ws = $c->{ws};
    my $by = defined $ws->a2 ? 'a2' : 'usersig';

    $self->frame($c, 'im_open_status.wslogin', { State => 'Online',
        is_web_uniapp => 0, InstType => 0 }, ++$c->{frame}, sub ($body) {

        my $code = $body->{ErrorCode} // 0;

        if ($code) {
            $self->codes->{"login $code"}++;
            $self->problem("login of $c->{name} by $by: $code")
                unless $self->retry->{$code};
            return $self->later(0.1, sub {
                $self->login($c) if $c->{open} && !$c->{online};
            });
        }

        if (defined $ws->inst && $ws->inst != $body->{InstId}) {
            $self->problem("instance of $c->{name} has changed");
        }

        $ws->a2($body->{A2Key})->tinyid($body->{TinyId})
           ->inst($body->{InstId});

        $self->logins($self->logins + 1);
        $c->{online} = 1;

        if (my $m = $c->{message}) {
            $self->send_ws($c) unless $m->{frame};
        }

        $self->sync($c, 0);
    });
}

sub sync ($self, $c, $flag) {
    $self->frame($c, 'openim.getmsg', { Cookie => $c->{cookie},
        SyncFlag => $flag, NeedAbstract => 1, IsOnlineSync => 0,
        NeedSignaling => 1 }, ++$c->{frame}, sub ($body) {

        my $code = $body->{ErrorCode} // 0;

        if ($code) {
            $self->codes->{"getmsg $code"}++;
            $self->problem("getmsg of $c->{name}: $code")
                unless $self->retry->{$code};
            return $self->later(0.1, sub {
                $self->sync($c, $flag) if $c->{online};
            });
        }

        my %last;

        $self->message($c, $_, \%last) for @{ $body->{MsgList} };
        $c->{cookie} = $body->{Cookie};

        return $self->sync($c, $body->{SyncFlag})
            if $body->{SyncFlag} != 2;

        $c->{synced} = 1;
    });
}

sub received ($self, $c, $bytes) {
    my $frame = eval { decode_json($bytes) };

    return $self->problem("frame of $c->{name}: $bytes")
        unless $frame && ref $frame->{head} eq 'HASH';

    my $name = $frame->{head}{servcmd} // '';

    if ($name eq 'im_open_push.msg_push') {
        for my $event (@{ $frame->{body}{EventArray} }) {
            $self->message($c, $_, $c->{last})
                for @{ $event->{C2cMsgArray} // [] };
        }

    } elsif ($name =~ /forceoffline|_push/) {
        $self->problem("$c->{name} was told $name");

    } elsif (my $fn = delete $c->{calls}{ $frame->{head}{seq} // '' }) {
        $fn->($frame->{body});
    }
}

# A message that a user has got; %$last: numbers of its senders.
sub message ($self, $c, $item, $last) {
    return if $item->{IsSyncMsg} || $item->{From_Account} eq $c->{name};

    my ($from, $seq) = @$item{qw/ From_Account MsgSeq /};
    my $key = "$from $seq $item->{MsgRandom}";

    $c->{seen}{$key}{"${seq}_$item->{MsgRandom}_$item->{MsgTimeStamp}"}++;

    push @{ $self->disorder }, "$c->{name}: $from $seq after $last->{$from}"
        if ($last->{$from} // 0) >= $seq;

    $last->{$from} = $seq;
}


# --- tests

# No new messages; what is on its way is acknowledged, all users are there.
sub settle ($self, $seconds = 60) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $self->stopped(1);

    Test::More::ok(scalar $self->run($seconds, sub {
        !grep { $_->{message} } @{ $self->senders };
    }), 'every message is acknowledged')
        or Test::More::diag(map {
            my $m = $_->{message};
            $m ? "$m->{from} $m->{seq}: $m->{tries} tries\n" : ();
        } @{ $self->senders });

    Test::More::ok(scalar $self->run($seconds, sub {
        !grep { !$_->{online} || !$_->{synced} } @{ $self->users };
    }), 'every user has a session');

    # what is pushed still, and what should not be
    $self->run($seconds, sub { !$self->unseen });
    $self->run(0.5);

    Test::More::is_deeply($self->problems, [], 'no wrong answer');

    Test::More::note(sprintf '%d messages, %d tries, %d logins',
                     scalar @{ $self->messages }, $self->tries,
                     $self->logins);
    Test::More::note('not acknowledged: ' . encode_json($self->codes));
    Test::More::note('closed: ' . encode_json($self->closes));

    return $self;
}

sub tries ($self) {
    my $n = 0;
    $n += $_->{tries} for @{ $self->messages };
    return $n;
}

# Messages by pairs of users, in the order in which they were sent.
sub pairs ($self) {
    my %pairs;

    push @{ $pairs{"$_->{from} $_->{to}"} }, $_
        for grep { $_->{key} } @{ $self->messages };

    return \%pairs;
}

# $list: what a history has of the messages from the first to the second.
sub compare ($self, $what, $list) {
    my $pairs = $self->pairs;
    my (%want, %have, @bad);

    for my $pair (keys %$pairs) {
        $want{"$pair $_->{key}"} = 1 for @{ $pairs->{$pair} };
    }

    my %last;

    for my $item (@$list) {
        my ($from, $to) = @$item{qw/ From_Account To_Account /};

        $have{"$from $to $item->{MsgKey}"}++;

        push @bad, "$from $to: $item->{MsgSeq} after $last{$from, $to}"
            if ($last{$from, $to} // 0) >= $item->{MsgSeq};
        $last{$from, $to} = $item->{MsgSeq};
    }

    my @lost = grep { !$have{$_} } sort keys %want;
    my @more = grep { !$want{$_} } sort keys %have;
    my @twice = grep { $have{$_} > 1 } sort keys %have;

    Test::More::is("@lost[0 .. ($#lost < 9 ? $#lost : 9)]", '',
                   "$what has all of " . keys(%want));
    Test::More::is("@more[0 .. ($#more < 9 ? $#more : 9)]", '',
                   "$what has no other one");
    Test::More::is("@twice[0 .. ($#twice < 9 ? $#twice : 9)]", '',
                   "$what has none twice");
    Test::More::is("@bad[0 .. ($#bad < 9 ? $#bad : 9)]", '',
                   "$what has them in order");
}

# All messages of all pairs, as a server has them.
sub history ($self, $im = $self->im) {
    my (%done, @list);

    for my $pair (sort keys %{ $self->pairs }) {
        my ($from, $to) = split ' ', $pair;

        next if $done{$from, $to}++ || $done{$to, $from}++;

        my %page = (MinTime => 0, MaxTime => int time + 10);
        my @all;

        for ( ;; ) {
            my $reply = $im->rest('openim/admin_getroammsg', {
                From_Account => $from, To_Account => $to, MaxCnt => 100,
                %page });

            if ($reply->code // -1) {
                $reply->code_is(0);
                return [];
            }

            unshift @all, @{ $reply->json('/MsgList') };
            last if $reply->json('/Complete') || !$reply->json('/MsgCnt');

            %page = (MinTime => 0, MaxTime => $reply->json('/LastMsgTime'),
                     LastMsgKey => $reply->json('/LastMsgKey'));
        }

        push @list, @all;
    }

    return \@list;
}

sub check ($self) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $self->check_history;
    $self->check_logins;
    $self->check_seen;
}

sub check_history ($self) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $self->compare('admin_getroammsg', $self->history);
}

# What a fresh login of each user finds with its peers.
sub check_logins ($self) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @list;

    for my $c (@{ $self->users }) {
        my $ws = $self->im->ws_login($c->{name}, platform => 7);

        for my $peer (map { $_->{name} } @{ $self->senders }) {
            next if $peer eq $c->{name};

            my %page = (LastMsgTime => 0, MsgKey => '');
            my @all;

            for ( ;; ) {
                # not too many frames in a second
                $self->run(0.02);

                my $reply = $ws->request('openim.getroammsg', {
                    Peer_Account => $peer, MaxCnt => 50,
                    WithRecalledMsg => 1, GetDirection => 0, %page });

                if ($reply->code // -1) {
                    $reply->code_is(0);
                    return;
                }

                unshift @all, @{ $reply->json('/MsgList') };
                last if $reply->json('/Complete') || !$reply->json('/MsgCnt');

                %page = map { $_ => $reply->json("/$_") }
                            qw/ LastMsgTime MsgKey /;
            }

            $_->{MsgKey} //= join '_', @$_{qw/ MsgSeq MsgRandom MsgTimeStamp /}
                for @all;

            push @list, grep { $_->{To_Account} eq $c->{name} } @all;
        }

        $ws->close;
    }

    $self->compare('openim.getroammsg', \@list);
}

# Acknowledged messages that their receivers have not seen.
sub unseen ($self) {
    my %user = map { $_->{name} => $_ } @{ $self->users };

    return map { "$_->[0]{to}: $_->[1]" }
           grep { !($user{ $_->[0]{to} }{seen}{ $_->[1] } // {})
                  ->{ $_->[0]{key} } }
           map { [$_, "$_->{from} $_->{seq} $_->{random}"] }
           grep { $_->{key} } @{ $self->messages };
}

sub check_seen ($self) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @lost = $self->unseen;
    my $n = grep { $_->{key} } @{ $self->messages };
    my @other;

    for my $c (@{ $self->users }) {
        push @other, map { "$c->{name}: $_" }
                     grep { keys %{ $c->{seen}{$_} } > 1 }
                     sort keys %{ $c->{seen} };
    }

    Test::More::is("@lost[0 .. ($#lost < 9 ? $#lost : 9)]", '',
                   "the users have seen all $n");
    Test::More::is("@other[0 .. ($#other < 9 ? $#other : 9)]", '',
                   'each with one key');

    my @bad = @{ $self->disorder };
    Test::More::is("@bad[0 .. ($#bad < 9 ? $#bad : 9)]", '', 'and in order');
}

# The last messages of the back ends once more: the answers of the first time.
sub check_repetition ($self, $n = 20) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my (@bad, %back);

    $back{ $_->{name} } = 1 for grep { !$_->{ws} } @{ $self->senders };

    my @list = grep { $_->{key} && $back{ $_->{from} } }
                   @{ $self->messages };

    for my $m (splice @list, -$n) {
        my $reply = $self->im->rest('openim/sendmsg', { %{ $m->{body} },
            From_Account => $m->{from}, SyncOtherMachine => 1 });
        my $key = $reply->json('/MsgKey') // $reply->text;

        push @bad, "$m->{key}: $key" unless $key eq $m->{key};
    }

    Test::More::is("@bad", '', 'a repetition has the same key');
}

# Ends all connections.
sub stop ($self) {
    $self->stopped(1);

    for my $c (@{ $self->users }) {
        my $tx = $c->{tx};
        $c->{tx} = 0;
        $tx->finish if $tx;
    }

    $self->run(0.3);

    delete $_->{ua} for @{ $self->senders };

    return $self;
}

1;

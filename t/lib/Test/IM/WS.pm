package Test::IM::WS;

# Copyright (C) The ngx_im authors

# A client of the web protocol v2, as much of the SDK as tests need.
#
#   my $bob = $im->ws_login('bob');            # or $im->ws(...), then:
#   $bob->wslogin->code_is(0);
#   $bob->request('openim.sendmsg', { ... })->code_is(0);
#   my $seq = $bob->send_request(...);         # does not wait, then:
#   $bob->answer($seq)->code_is(0);
#   my $push = $bob->next_push;                # { head, body }
#   my $item = $bob->next_event('C2cMsgArray');
#   $bob->no_event('C2cMsgArray', 0.3);
#
# Nothing is lost between two calls: what comes is kept until it is asked
# for.  A filter is the name of a key, or a function of the item (or frame);
# what it passes over is kept too.

use Mojo::Base -base, -signatures;

use Compress::Zlib ();
use Mojo::IOLoop;
use Mojo::JSON qw/ decode_json encode_json /;
use Mojo::Promise;
use Mojo::UserAgent;
use Test::IM::Reply;
use Test::More ();
use Time::HiRes qw/ time /;

has [qw/ im user sig tx /];
has path => '/binfo';            # /info: text frames
has compress => 1;
has platform => 7;
has instanceid => sub { join '', map { sprintf '%x', rand 16 } 1 .. 32 };
has query => sub { {} };         # changes of the URL's
has timeout => 30;
has seq => sub { int rand 100000000 };
has [qw/ a2 tinyid inst /];      # after wslogin
has closed => undef;             # code, once the server has closed
has [qw/ answers pushes events /];
has ua => sub { Mojo::UserAgent->new->inactivity_timeout(0) };

sub binary ($self) { $self->path =~ /binfo$/ }

# Also opens again what was closed: a reconnect, with the same a2.
sub open ($self) {
    my %query = (sdkappid => $self->im->app_id,
                 instanceid => $self->instanceid, random => rand,
                 platform => $self->platform, host => 'unknown',
                 version => -1, sdkversion => '2.27.6',
                 $self->compress ? (compress => 'gzip') : (),
                 %{ $self->query });

    my $url = $self->im->url($self->path, %query)->scheme('ws');
    my ($tx, $done);

    $self->closed(undef)->answers({})->pushes([])->events([]);

    $self->ua->websocket($url => sub ($ua, $t) {
        ($tx, $done) = ($t, 1);
        return unless $t->is_websocket;

        $t->max_websocket_size(16 * 1024 * 1024);
        $t->on(text => sub ($t, $bytes) { $self->_frame($bytes, 0) });
        $t->on(binary => sub ($t, $bytes) { $self->_frame($bytes, 1) });
        $t->on(finish => sub ($t, $code, $reason = undef) {
            $self->closed($code // 1006)
        });
    });

    $self->tick(sub { $done });

    die 'no websocket ' . $self->path . ': '
        . ($tx && $tx->res->code // 'no answer') . "\n"
        unless $tx && $tx->is_websocket;

    return $self->tx($tx);
}

sub _frame ($self, $bytes, $binary) {
    if ($binary != !!$self->binary) {
        Test::More::fail('a frame of the other kind on ' . $self->path);
        return;
    }

    if ($binary && $bytes =~ s/^COMP//) {
        $bytes = $bytes =~ /^\x1f\x8b/ ? Compress::Zlib::memGunzip($bytes)
                                       : Compress::Zlib::uncompress($bytes);
    }

    my $frame = eval { decode_json($bytes) };

    if (!$frame || ref $frame->{head} ne 'HASH'
        || ref $frame->{body} ne 'HASH')
    {
        Test::More::fail('a frame without head or body: ' . ($bytes // ''));
        return;
    }

    my $head = $frame->{head};
    my $name = $head->{servcmd} // '';

    if ($name =~ /_push|^StatSvc|^OverLoad|stat_forceoffline/) {
        push @{ $self->pushes }, $frame;
        push @{ $self->events }, @{ $frame->{body}{EventArray} // [] };

        if ($frame->{body}{NeedAck}) {
            $self->send_request('openim.ws_msg_push_ack', {
                SessionData => $frame->{body}{SessionData} });
        }

        return;
    }

    $self->answers->{ "$name/" . ($head->{seq} // '') } = $frame->{body};
}

# Lets things happen until the function is true.  Returns its last value.
sub tick ($self, $fn, $seconds = $self->timeout) {
    my $end = time + $seconds;
    my $loop = Mojo::IOLoop->singleton;
    my $timer = $loop->recurring(0.02 => sub { });
    my $value;

    while (!($value = $fn->()) && time < $end) {
        $loop->one_tick;
    }

    $loop->remove($timer);

    return $value;
}

sub head ($self, $name, $seq, %o) {
    my %id = defined $self->a2
             ? (a2 => $self->a2, tinyid => $self->tinyid)
             : defined $self->user
             ? (identifier => $self->user,
                usersig => $self->sig // $self->im->usersig($self->user))
             : ();

    return { ver => 'v4', platform => 0 + $self->platform,
             websdkappid => 537048168, websdkversion => '1.7.3', %id,
             status_instid => 0 + ($self->inst // 0),
             sdkappid => 0 + $self->im->app_id, contenttype => 'json',
             reqtime => int time, sdkability => 192371, tjgID => '',
             servcmd => $name, seq => $seq, %o };
}

sub send_text ($self, $bytes) {
    my $sent;
    $self->tx->send({ $self->binary ? 'binary' : 'text' => $bytes },
                    sub { $sent = 1 });
    $self->tick(sub { $sent || defined $self->closed });
    return $self;
}

# %head: changes of the frame's head.  Returns the seq.
sub send_request ($self, $name, $body = {}, %head) {
    my $seq = $head{seq} // $self->seq;

    $self->seq($self->seq + 1) unless defined $head{seq};

    my $bytes = encode_json({ head => $self->head($name, $seq, %head),
                              body => $body });

    $self->tx->send({ $self->binary ? 'binary' : 'text' => $bytes });
    $self->{names}{$seq} = $name;

    return $seq;
}

sub answer ($self, $seq, $seconds = $self->timeout) {
    my $name = $self->{names}{$seq};
    my $key = "$name/$seq";

    $self->tick(sub { $self->answers->{$key} || defined $self->closed },
                $seconds);

    my $body = delete $self->answers->{$key};

    return Test::IM::Reply->new(
        name => $name, status => $body ? 200 : 0, data => $body,
        text => $body ? encode_json($body) : '',
        error => $body ? undef : defined $self->closed
                 ? 'closed with ' . $self->closed : 'no answer');
}

sub request ($self, $name, $body = {}, %head) {
    return $self->answer($self->send_request($name, $body, %head));
}

# By UserSig, or by a2 if there was a login before.
sub wslogin ($self, %body) {
    my $reply = $self->request('im_open_status.wslogin',
                               { State => 'Online', is_web_uniapp => 0,
                                 InstType => 0, %body });

    if (($reply->code // -1) == 0) {
        $self->a2($reply->json('/A2Key'))->tinyid($reply->json('/TinyId'))
             ->inst($reply->json('/InstId'));
    }

    return $reply;
}

sub wslogout ($self) {
    my $reply = $self->request('im_open_status.wslogout',
                               { wslogout_type => 0 });
    $self->a2(undef)->tinyid(undef)->inst(0);
    return $reply;
}

sub _take ($self, $queue, $filter, $seconds) {
    my $fn = !defined $filter ? sub { 1 }
             : ref $filter ? $filter
             : sub ($item) { exists $item->{$filter} };

    my $found;

    $self->tick(sub {
        for my $i (0 .. $#$queue) {
            next unless $fn->($queue->[$i]);
            ($found) = splice @$queue, $i, 1;
            return 1;
        }

        return defined $self->closed;
    }, $seconds);

    return $found;
}

# The next pushed frame, or undef.  A text as filter: its servcmd.
sub next_push ($self, $filter = undef, $seconds = $self->timeout) {
    my $fn = defined $filter && !ref $filter
             ? sub ($frame) { $frame->{head}{servcmd} eq $filter } : $filter;

    return $self->_take($self->pushes, $fn, $seconds);
}

# The next item of any EventArray, or undef.
sub next_event ($self, $filter = undef, $seconds = $self->timeout) {
    return $self->_take($self->events, $filter, $seconds);
}

# A test: no such item comes in that time.
sub no_event ($self, $filter = undef, $seconds = 0.3, $name = undef) {
    my $item = $self->_take($self->events, $filter, $seconds);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok(!$item, $name // 'no event')
        or Test::More::diag(encode_json($item));

    return $self;
}

sub heartbeat ($self) { $self->request('heartbeat.alive') }

# A test: the server closes the connection, with that code if it is given.
sub closed_ok ($self, $code = undef, $name = undef) {
    $self->tick(sub { defined $self->closed });

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    if (defined $code) {
        Test::More::is($self->closed, $code, $name // "closed with $code");

    } else {
        Test::More::ok(defined $self->closed, $name // 'closed');
    }

    return $self;
}

sub close ($self, $code = 4000) {
    return $self if defined $self->closed || !$self->tx;

    $self->tx->finish($code);
    $self->tick(sub { defined $self->closed }, 10);

    return $self;
}

# Without a close frame.
sub cut ($self) {
    Mojo::IOLoop->remove($self->tx->connection);
    $self->tick(sub { defined $self->closed }, 10);
    return $self;
}

1;

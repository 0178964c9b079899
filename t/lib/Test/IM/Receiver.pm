package Test::IM::Receiver;

# Copyright (C) The ngx_im authors

# A receiver of callbacks on the loopback, in a process of its own.
#
#   my $app = Test::IM::Receiver->new->start;
#   ... app => 'callback ' . $app->url . ' all;'
#
#   $app->answer('C2C.CallbackBeforeSendMsg' => { ErrorCode => 1 });
#   $app->answer($command => undef, mode => 'hang');
#   my @requests = $app->wait_requests($command, 2);
#   my ($of_group) = $app->wait_requests($command, 1, $gid);
#
# A request is { query, headers, body, text }.  Modes: hang, reset, drip,
# text (answer is a text), bytes (that are not HTTP), huge; status => 500,
# with match => 'text' for bodies that have it only; delay => seconds; hold:
# until release(), which answers all that wait and ends the mode.

use Mojo::Base -base, -signatures;

use IO::Socket::INET;
use Mojo::JSON qw/ decode_json encode_json true /;
use Mojo::UserAgent;
use POSIX ();
use Test::IM;
use Time::HiRes qw/ sleep time /;

has [qw/ port pid /];
has host => '127.0.0.1';
has path => '/im';
has ua => sub { Mojo::UserAgent->new->request_timeout(60)
                ->inactivity_timeout(60) };

my @running;

sub url ($self) {
    return 'http://' . $self->host . ':' . $self->port . $self->path;
}

sub start ($self) {
    $self->port(Test::IM->free_port) unless $self->port;

    my $listen = 'http://127.0.0.1:' . $self->port;

    # for what the test asks
    my $control = Test::IM->free_port;
    $self->{control} = "http://127.0.0.1:$control";

    defined(my $pid = fork) or die "fork: $!";

    if ($pid == 0) {
        exec $^X, __FILE__, $listen, $self->{control}
            or POSIX::_exit(127);
    }

    $self->pid($pid);
    push @running, $self;

    for (1 .. 3000) {
        last if IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                      PeerPort => $control);
        sleep 0.02;
    }

    return $self;
}

sub stop ($self) {
    my $pid = $self->pid or return $self;

    kill KILL => $pid;
    waitpid $pid, 0;
    $self->pid(undef);

    return $self;
}

sub answer ($self, $command, $json, %options) {
    $self->ua->post("$self->{control}/_answer" => json => {
        command => $command, json => $json, %options })->res->code
        or die 'no receiver';
    return $self;
}

# All requests so far, of one command if it is given.
sub requests ($self, $command = undef) {
    my $list = $self->ua->get("$self->{control}/_requests")->res->json;

    return grep { !defined $command
                  || $_->{query}{CallbackCommand} eq $command } @$list;
}

sub wait_requests ($self, $command, $n, $gid = undef) {
    my $end = time + 30;
    my @list;

    while (time < $end) {
        @list = grep { !defined $gid || $_->{body}{GroupId} eq $gid }
                $self->requests($command);
        last if @list >= $n;
        sleep 0.03;
    }

    return @list;
}

sub release ($self) {
    $self->ua->post("$self->{control}/_release");
    return $self;
}

sub clear ($self) {
    $self->ua->post("$self->{control}/_clear");
    return $self;
}

END {
    local $?;
    $_->stop for @running;
}


# --- the process

sub serve (@listen) {
    require Mojolicious;
    require Mojo::Server::Daemon;

    my (%answers, @requests, @held);

    my $app = Mojolicious->new;
    $app->log->level('fatal');
    $app->max_request_size(4 * 1024 * 1024);

    my $r = $app->routes;

    $r->post('/_answer' => sub ($c) {
        my $json = $c->req->json;
        $answers{ $json->{command} } = $json;
        $c->rendered(204);
    });

    $r->get('/_requests' => sub ($c) { $c->render(json => \@requests) });

    $r->post('/_release' => sub ($c) {
        delete $_->{mode} for grep { ($_->{mode} // '') eq 'hold' }
                              values %answers;
        render(@$_[0, 1], '') for splice @held;
        $c->rendered(204);
    });

    $r->post('/_clear' => sub ($c) {
        @requests = ();
        %answers = ();
        $c->rendered(204);
    });

    $r->any('/*any' => { any => '' } => sub ($c) {
        my $query = $c->req->url->query->to_hash;

        push @requests, {
            query => $query, path => $c->req->url->path->to_string,
            raw => $c->req->url->query->to_string,
            method => $c->req->method,
            headers => $c->req->headers->to_hash, time => time,
            body => $c->req->json, connection => $c->tx->connection };

        my $command = $query->{CallbackCommand} // '';
        my $answer = $answers{$command} // {};
        my $mode = $answer->{mode} // '';

        if ($mode eq 'hold') {
            push @held, [$c, $answer, $c->render_later->tx];
            return;
        }

        if ($answer->{delay}) {
            my $tx = $c->render_later->tx;
            Mojo::IOLoop->timer($answer->{delay} => sub {
                render($c, $answer, $mode) if $tx });
            return;
        }

        render($c, $answer, $mode);
    });

    my $daemon = Mojo::Server::Daemon->new(
        app => $app, listen => [@listen], silent => 1,
        inactivity_timeout => 60, max_requests => 1000000);

    $daemon->run;
}

sub render ($c, $answer, $mode) {
    $c->res->code($answer->{status})
        if $answer->{status}
           && index($c->req->body, $answer->{match} // '') >= 0;

    if ($mode eq 'hang') {
        push @{ $c->app->{hanging} }, $c->render_later->tx;

    } elsif ($mode eq 'reset') {
        $c->render_later;
        Mojo::IOLoop->remove($c->tx->connection);

    } elsif ($mode eq 'bytes') {
        $c->render_later;
        my $id = $c->tx->connection;
        my $stream = Mojo::IOLoop->stream($id);
        $stream->write("\x00\x01 what is this?\r\n\r\n" x 10
                       => sub { Mojo::IOLoop->remove($id) });

    } elsif ($mode eq 'drip') {
        my $tx = $c->render_later->tx;
        my $n = 0;
        my $drip;
        $drip = sub {
            $c->write_chunk(' ') if $tx;
            Mojo::IOLoop->timer(0.1 => $drip) if $n++ < 30;
        };
        $drip->();

    } elsif ($mode eq 'huge') {
        $c->render(data => '{"ErrorCode":1,"x":"' . 'x' x (2 << 20) . '"}');

    } elsif ($mode eq 'text') {
        $c->render(data => $answer->{json});

    } elsif ($mode eq 'redirect') {
        $c->redirect_to('/other?CallbackCommand=Redirected');

    } else {
        $c->render(json => {
            ActionStatus => 'OK', ErrorInfo => '', ErrorCode => 0,
            %{ $answer->{json} // {} } });
    }
}

serve(@ARGV) unless caller;

1;

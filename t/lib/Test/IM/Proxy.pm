package Test::IM::Proxy;

# Copyright (C) The ngx_im authors

# A process between clients and a server on this machine, which may hold back
# what clients send.
#
#   my $proxy = Test::IM::Proxy->new(port => $port, to => $mongo->port,
#       hold => sub ($bytes) { return (2.5, 'x') })->start;
#   $proxy->wait_for(qr/held x/);
#   $proxy->wait_for(qr/sent x/);
#   $proxy->cut;                     # nobody gets through, until
#   $proxy->start;
#
# The function, which is called in that process, says for how many seconds
# these bytes, and what comes after them on this connection, are to be held
# back, and a name.  They are sent also if the client has gone by then.  The
# addresses that members of a replica set tell become that of the proxy.

use Mojo::Base -base, -signatures;

use File::Temp ();
use IO::Select;
use IO::Socket::INET;
use Mojo::File qw/ path /;
use POSIX ();
use Test::IM;
use Time::HiRes qw/ sleep time /;

has [qw/ port to pid /];
has hold => sub { sub { } };
has notes => sub { File::Temp->new };

my @running;

sub start ($self) {
    my $listen = IO::Socket::INET->new(Listen => 64, ReuseAddr => 1,
        LocalAddr => '127.0.0.1', LocalPort => $self->port)
        or die "listen: $!";

    $self->notes;                    # one file for both processes

    defined(my $pid = fork) or die "fork: $!";

    if ($pid == 0) {
        $SIG{$_} = 'DEFAULT' for qw/ HUP INT TERM /;
        $SIG{PIPE} = 'IGNORE';
        eval { $self->pass($listen) } or $self->note("died: $@");
        POSIX::_exit(0);
    }

    close $listen;
    push @running, $self;

    return $self->pid($pid);
}

sub cut ($self) {
    my $pid = $self->pid or return $self;

    kill KILL => $pid;
    waitpid $pid, 0;

    return $self->pid(undef);
}

sub note ($self, $text) {
    open my $file, '>>', $self->notes->filename or return;
    print {$file} "$text\n";
    close $file;
}

sub wait_for ($self, $pattern) {
    return Test::IM->wait_for(sub {
        path($self->notes->filename)->slurp =~ $pattern
    });
}

# In the process.  A client: what is to be sent for him, and when.
sub pass ($self, $listen) {
    my $select = IO::Select->new($listen);
    my ($to, $port) = ($self->to, $self->port);
    my (%other, %client, %queue);

    my $end = sub ($s) {
        my @pair = grep { defined } $s, $other{$s};

        for my $one (@pair) {
            $select->remove($one);
            delete @$_{ "$one" } for \%other, \%client, \%queue;
            close $one;
        }
    };

    for ( ;; ) {
        my $now = time;

        for my $c (keys %queue) {
            my $list = $queue{$c} // [];

            while (@$list && $list->[0][0] <= $now) {
                my ($due, $s, $bytes, $name) = @{ shift @$list };
                defined $bytes ? syswrite $s, $bytes : $end->($s);
                $self->note("sent $name") if defined $name;
            }

            delete $queue{$c} unless @$list;
        }

        for my $s ($select->can_read(%queue ? 0.02 : 5)) {

            if ($s == $listen) {
                my $c = $listen->accept or next;
                my $server = IO::Socket::INET->new(PeerPort => $to,
                                                   PeerAddr => '127.0.0.1');
                if (!$server) { close $c; next }

                ($other{$c}, $other{$server}) = ($server, $c);
                $client{$c} = 1;
                $select->add($c, $server);
                next;
            }

            next unless $other{$s};

            my $n = sysread $s, my $bytes, 65536;

            if (!$client{$s}) {
                if (!$n) { $end->($s); next }
                $bytes =~ s/127\.0\.0\.1:$to/127.0.0.1:$port/g;
                syswrite $other{$s}, $bytes;
                next;
            }

            my $list = $queue{$s};
            my $due = $list ? $list->[-1][0] : 0;

            if (!$n) {
                $select->remove($s);
                push @{ $queue{$s} }, [$due + 1, $other{$s}, undef];
                next;
            }

            my ($seconds, $name) = $self->hold->($bytes);

            if ($seconds) {
                $due = time + $seconds;
                $self->note("held $name");
            }

            push @{ $queue{$s} }, [$due, $other{$s}, $bytes, $name];
        }
    }
}

END {
    local $?;
    $_->cut for @running;
}

1;

package Test::IM::Cluster;

# Copyright (C) The ngx_im authors

# Several nodes on one store and one Redis, a balancer in front.
#
#   Test::IM::Cluster->skip;                  # leaves when there is no Redis
#   my $cl = Test::IM::Cluster->new->run(nodes => 2, workers => 2);
#   my ($one, $two) = @{ $cl->nodes };        # of Test::IM
#   $cl->any->rest(...);                      # through the balancer
#   $cl->redis('FLUSHALL');
#   $cl->stop_redis; $cl->start_redis;
#
# The store is shared: one folder of LMDB, unless IM_TEST_STORE says another
# one.  Options of run() are those of Test::IM.

use Mojo::Base -base, -signatures;

use File::Temp ();
use IO::Socket::INET;
use Mojo::File qw/ path /;
use POSIX qw/ WNOHANG /;
use Test::IM;
use Test::More ();
use Time::HiRes qw/ sleep time /;

has key => sub { join '', map { sprintf '%x', rand 16 } 1 .. 64 };
has nodes => sub { [] };
has [qw/ dir port redis_port redis_pid any /];
has redis_conf => '';

our $server = (grep { -x } map { "$_/redis-server" }
               '/usr/bin', '/usr/sbin', '/usr/local/bin',
               split /:/, $ENV{PATH} // '')[0];

my @running;

sub skip ($class) {
    Test::More::plan(skip_all => 'needs redis-server') unless $server;
}

# Starts Redis, the nodes, the balancer (unless balancer => 0).
sub run ($self, %o) {
    my $n = delete $o{nodes} // 2;
    my $balancer = delete $o{balancer} // 1;
    my $redis = delete $o{redis} // '';

    $self->dir(File::Temp::tempdir('im-cluster-XXXXXXXX', TMPDIR => 1));
    chmod 0755, $self->dir;

    push @running, $self;

    $self->start_redis;

    for my $i (1 .. $n) {
        my $im = Test::IM->new(key => $self->key);

        $im->store($self->dir . '/store');
        $im->run(%o, im => 'redis 127.0.0.1:' . $self->redis_port
                           . " timeout=2s $redis; node n$i;"
                           . ($o{im} // ''));
        push @{ $self->nodes }, $im;
    }

    $self->balance if $balancer;

    $self->ready or Test::More::BAIL_OUT('the nodes do not meet');

    return $self;
}

# Every worker of every node is connected, and each node is known.
sub ready ($self, $seconds = 60) {
    return $self->nodes->[0]->wait_for(sub {
        for my $im (grep { $_->pid } @{ $self->nodes }) {
            my $up = $im->metric('im_redis_connections') // 0;
            return if $up < $im->options->{workers};
        }

        my @beats = split /\n/, $self->redis('--raw', 'KEYS', 'im:n:*');
        return @beats >= grep { $_->pid } @{ $self->nodes };
    }, $seconds);
}

# A plain nginx in front: connections go to the nodes in turn.
sub balance ($self) {
    my $servers = join "\n", map {
        '        server 127.0.0.1:' . $_->port
        . ' max_fails=1 fail_timeout=1s;'
    } @{ $self->nodes };

    my $any = Test::IM->new(key => $self->key);

    my $location = <<'END';
        location / {
            proxy_pass http://nodes;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_read_timeout 300s;
        }
END

    $any->run(workers => 1, im_block => '', locations => $location,
              http => <<"END");
    map \$http_upgrade \$connection_upgrade { default upgrade; '' ''; }
    upstream nodes {
$servers
    }
END

    return $self->any($any);
}

sub start_redis ($self) {
    my $dir = $self->dir;

    $self->redis_port(Test::IM->new->free_port) unless $self->redis_port;

    defined(my $pid = fork) or die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>>', "$dir/redis.out";
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';
        exec $server, '--port', $self->redis_port, '--bind', '127.0.0.1',
             '--dir', $dir, '--save', '', '--appendonly', 'no',
             '--daemonize', 'no', split ' ', $self->redis_conf
            or POSIX::_exit(127);
    }

    $self->redis_pid($pid);

    Test::IM->new->wait_for(sub {
        IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                              PeerPort => $self->redis_port);
    }, 60) or Test::More::BAIL_OUT('redis-server does not answer');

    return $self;
}

sub stop_redis ($self, $signal = 'KILL') {
    my $pid = $self->redis_pid or return $self;

    kill $signal => $pid;
    waitpid $pid, 0;
    $self->redis_pid(undef);

    return $self;
}

# A command, its answer as redis-cli prints it.
sub redis ($self, @args) {
    open my $pipe, '-|', 'redis-cli', '-p', $self->redis_port, @args
        or die "redis-cli: $!";
    local $/;
    my $text = <$pipe> // '';
    close $pipe;
    return $text =~ s/\n\z//r;
}

sub finish ($self) {
    $self->stop_redis;
    File::Path::remove_tree($self->dir) if $self->dir && !$ENV{IM_TEST_LEAVE};
    $self->dir(undef);
}

END {
    local $?;
    $_->finish for @running;
}

1;

package Test::IM::Mongo;

# Copyright (C) The ngx_im authors

# A server that speaks MongoDB's protocol, as a replica set of one member,
# for a test.  Test::IM starts one when IM_TEST_STORE is "mongo".
#
#   Test::IM::Mongo->skip;                    # leaves when there is none
#   my $mongo = Test::IM::Mongo->new->start;
#   store $mongo->uri
#   $mongo->kill9; $mongo->start;             # its data stay
#   $mongo->command(im => { find => 'im' });  # its reply; dies of an error
#   $mongo->commands(im => { ... }, { ... }); # replies to several
#
# The program is that of IM_TEST_MONGO, else what "./build.sh mongo" makes.

use Mojo::Base -base, -signatures;

use Cwd qw/ abs_path /;
use File::Basename qw/ basename dirname /;
use File::Path qw/ remove_tree /;
use File::Temp ();
use IO::Socket::INET;
use Mojo::JSON qw/ decode_json encode_json /;
use POSIX ();
use Test::More ();
use Time::HiRes qw/ sleep time /;

our $top = abs_path(dirname(__FILE__) . '/../../../..');
our $build = $ENV{IM_BUILD} // "$top/build";
our $program = $ENV{IM_TEST_MONGO} // "$build/mongo/bin/secantusd-py";

has [qw/ dir port pid /];
has [qw/ standalone auth /] => 0;

my (@running, %by_folder);

sub skip ($class) {
    Test::More::plan(skip_all => 'no MongoDB server for tests, write: '
                                 . './build.sh mongo') unless -x $program;
}

# The one that all nodes with this folder share.
sub for_folder ($class, $folder, $port = 0) {
    return $by_folder{$folder} //= $class->new(port => $port)->start;
}

sub uri ($self, $set = 1) {
    return 'mongodb://127.0.0.1:' . $self->port . '/im'
           . ($set ? '?replicaSet=secantus' : '');
}

sub start ($self) {
    $self->dir(File::Temp::tempdir('im-mongo-XXXXXXXX', TMPDIR => 1))
        unless $self->dir;

    defined(my $pid = fork) or die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>>', $self->dir . '/log';
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';
        exec command_line(), '--host', '127.0.0.1', '--port', $self->port,
             '--storage-path', $self->dir . '/db', '--sync-on-commit',
             '--log-level', 'WARNING',
             $self->standalone ? '--standalone' : (),
             $self->auth ? '--auth' : ()
            or POSIX::_exit(127);
    }

    $self->pid($pid);
    push @running, $self unless grep { $_ == $self } @running;

    my $end = time + 60;

    until (IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                 PeerPort => $self->port))
    {
        die 'the MongoDB server does not answer' if time > $end;
        sleep 0.05;
    }

    return $self;
}

# That of Python is started by mongo.py, which makes it faster.
sub command_line {
    my $python = dirname($program) . '/python3';

    return $program unless basename($program) eq 'secantusd-py';
    return $python, "$top/t/lib/Test/IM/mongo.py";
}

sub kill9 ($self) {
    my $pid = $self->pid or return $self;

    kill KILL => $pid;
    waitpid $pid, 0;
    $self->pid(undef);

    return $self;
}

# A command to the database, by the Python driver that comes with the server.
sub command ($self, $db, $command) {
    return $self->commands($db, $command)->[0];
}

sub commands ($self, $db, @commands) {
    my $python = abs_path(dirname($program)) . '/python3';
    my @list = map { my $command = $_; [
        (grep { exists $command->{$_} }
            qw/ find count listIndexes dropIndexes update createUser /)[0],
        $command ] } @commands;

    my $script = <<'END';
import sys, json, pymongo
port, db, text = sys.argv[1:]
c = pymongo.MongoClient('127.0.0.1', int(port), directConnection=True)
print(json.dumps([c[db].command(name, d.pop(name), **d)
                  for name, d in json.loads(text)], default=str))
END

    open my $pipe, '-|', $python, '-c', $script, $self->port, $db,
         encode_json(\@list) or die "$python: $!";
    my $reply = do { local $/; <$pipe> };
    close $pipe or die "$list[0][0] failed";

    return decode_json($reply);
}

sub stop_all {
    for my $mongo (splice @running) {
        $mongo->kill9;
        remove_tree($mongo->dir) unless $ENV{IM_TEST_LEAVE};
    }
}

END {
    local $?;
    stop_all();
}

1;

package Test::IM;

# Copyright (C) The ngx_im authors

# nginx with the modules, for one test.
#
#   my $im = Test::IM->new->run(workers => 2);
#
#   $im->users('ann', 'bob');
#   $im->rest('openim/sendmsg', { ... })->code_is(0)->json_is('/MsgKey', ...);
#
#   my $bob = $im->ws_login('bob');
#   $bob->request('openim.getmsg', { ... })->code_is(0);
#   my $item = $bob->next_event('C2cMsgArray');
#
# At the end nginx is stopped, and the test fails if it does not exit, or if
# its log has lines of level alert or emerg, a worker ended by a signal or
# something that a sanitizer has found, see allow_log().
#
# Environment:
#
#   IM_TEST_NGINX  binary: build/sanitize/nginx if it is there, else Debian's,
#                  which needs load_module: build/dynamic
#   IM_TEST_STORE  lmdb or mongo; see Test::IM::Mongo for IM_TEST_MONGO
#   IM_TEST_REDIS  HOST:PORT: each server is a node, although the only one
#   IM_TEST_LOG    level of the error log (info)
#   IM_TEST_LEAVE  keep the folder and tell its name

use Mojo::Base -base, -signatures;

use Cwd qw/ abs_path /;
use Digest::SHA qw/ hmac_sha256_base64 /;
use Compress::Zlib ();
use File::Basename qw/ dirname /;
use File::Path qw/ remove_tree /;
use File::Temp ();
use IO::Socket::INET;
use IO::Socket::UNIX;
use MIME::Base64 qw/ encode_base64 /;
use Mojo::File qw/ path /;
use Mojo::IOLoop;
use Mojo::JSON qw/ decode_json encode_json /;
use Mojo::Promise;
use Mojo::URL;
use Mojo::UserAgent;
use POSIX qw/ WNOHANG /;
use Test::IM::Mongo;
use Test::IM::Reply;
use Test::IM::WS;
use Test2::API ();
use Test::More ();
use Time::HiRes qw/ sleep time /;

our $top = abs_path(dirname(__FILE__) . '/../../..');
our $build = $ENV{IM_BUILD} // "$top/build";

has app_id => 1400000001;
has key => sub { join '', map { sprintf '%x', rand 16 } 1 .. 64 };
has admin => 'administrator';
has [qw/ dir port pid conf /];
has store => undef;              # a folder that several share
has options => sub { {} };
has allowed => sub { [] };
# a command of a thousand changes takes the MongoDB server of the tests longer
has ua => sub {
    my $seconds = ($ENV{IM_TEST_STORE} // '') eq 'mongo' ? 280 : 70;

    return Mojo::UserAgent->new(max_redirects => 0)->connect_timeout(10)
           ->request_timeout($seconds)->inactivity_timeout($seconds);
};

my @running;


# --- start and stop

# Starts nginx.  workers => N; shutdown => worker_shutdown_timeout (10s); and
# text that goes into the configuration: main, im, app (into app {}), http,
# server, stream.
sub run ($self, %options) {
    $self->options({ workers => 1, %{ $self->options }, %options });

    if (!$self->dir) {
        $self->dir(File::Temp::tempdir('im-test-XXXXXXXX', TMPDIR => 1));
        chmod 0755, $self->dir;        # workers are not root
        mkdir $self->dir . "/$_" for qw/ tmp html /;
    }

    $self->port($self->free_port) unless $self->port;
    $self->write_conf;

    return $self->start;
}

sub start ($self) {
    my ($nginx, $dir) = (nginx(), $self->dir);

    defined(my $pid = fork) or die "fork: $!";

    if ($pid == 0) {
        open STDOUT, '>>', "$dir/nginx.out";
        open STDERR, '>&', \*STDOUT;
        open STDIN, '<', '/dev/null';
        $ENV{ASAN_OPTIONS} //= 'detect_stack_use_after_return=0';
        $ENV{LSAN_OPTIONS} //= "suppressions=$top/t/lsan.supp"
                               . ":print_suppressions=0";
        $ENV{UBSAN_OPTIONS} //= 'print_stacktrace=1';
        exec $nginx, '-p', "$dir/", '-c', "$dir/nginx.conf",
             '-e', "$dir/error.log"
            or POSIX::_exit(127);
    }

    $self->pid($pid);
    push @running, $self unless grep { $_ == $self } @running;

    $self->wait_for(sub {
        if (waitpid($pid, WNOHANG) == $pid) {
            my $status = $?;
            $self->pid(undef);
            Test::More::BAIL_OUT("nginx did not start, status $status:\n"
                                 . $self->output
                                 . $self->log_text);
        }

        return IO::Socket::INET->new(PeerAddr => '127.0.0.1',
                                     PeerPort => $self->port)
               && $self->worker_pids == $self->options->{workers};
    }, 60) or Test::More::BAIL_OUT('nginx does not answer: '
                                   . $self->log_text);

    return $self;
}

# Stops nginx with QUIT, so that sanitizers see its ends.  A name of a test
# to be made of it, or nothing: no test.
sub stop ($self, $name = undef) {
    my $pid = $self->pid or return $self;

    kill QUIT => $pid;

    my $done = $self->wait_for(sub { waitpid($pid, WNOHANG) == $pid }, 90);

    $self->kill9_all unless $done;
    $self->pid(undef);

    Test::More::ok($done, $name) if defined $name;

    return $self;
}

# What a power cut leaves: nobody runs, nothing was told to.  @others: workers
# whose master was killed before.
sub kill9_all ($self, @others) {
    my $pid = $self->pid or return $self;

    kill STOP => $pid;
    my @pids = ($pid, children($pid), @others);
    kill KILL => @pids;

    waitpid $pid, 0;
    $self->wait_for(sub { !grep { kill 0 => $_ } @pids });
    $self->pid(undef);

    return $self;
}

sub kill_worker ($self, $n = 0) {
    my $pid = ($self->worker_pids)[$n];

    $self->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);

    kill KILL => $pid;
    $self->wait_for(sub {
        my @pids = $self->worker_pids;
        return @pids == $self->options->{workers}
               && !grep { $_ == $pid } @pids;
    }) or die 'no new worker';

    return $self;
}

# A reload is over when no old worker is left; wait => 0: when the new ones
# are there.
sub reload ($self, %options) {
    my $wait = delete $options{wait} // 1;
    my %old = map { $_ => 1 } $self->worker_pids;

    if (%options) {
        $self->options({ %{ $self->options }, %options });
        $self->write_conf;
    }

    kill HUP => $self->pid;

    $self->wait_for(sub {
        my @pids = $self->worker_pids;
        my $old = grep { $old{$_} } @pids;
        return @pids - $old == $self->options->{workers}
               && (!$wait || !$old);
    }, 60) or die "no reload:\n" . $self->log_text;

    return $self;
}

sub master_pid ($self) { $self->pid }

sub worker_pids ($self) {
    return grep { (cmdline($_) // '') =~ /worker process/ }
           children($self->pid);
}

sub children ($pid) {
    return split ' ', eval { path("/proc/$pid/task/$pid/children")->slurp }
                      // '';
}

sub cmdline ($pid) {
    return eval { path("/proc/$pid/cmdline")->slurp };
}


# --- configuration

sub nginx {
    return abs_path($ENV{IM_TEST_NGINX}) if $ENV{IM_TEST_NGINX};

    my $nginx = "$build/sanitize/nginx";
    return -x $nginx ? $nginx : '/usr/sbin/nginx';
}

# Whether the binary knows "fault"; a test of fault points is skipped if not.
sub with_debug {
    return `${\ nginx()} -V 2>&1` =~ /--with-debug/;
}

# Lines that Debian's nginx needs, in the order that works.
sub load_modules {
    state $loads = do {
        my $args = `${\ nginx()} -V 2>&1`;
        $args =~ /add-module=/ ? '' : join '', map { "load_module $_;\n" }
            "$build/dynamic/ngx_im_module.so",
            '/usr/lib/nginx/modules/ngx_stream_module.so',
            "$build/dynamic/ngx_http_im_module.so",
            "$build/dynamic/ngx_stream_im_module.so";
    };

    return $loads;
}

# Each test takes ports of its own, below those that the system gives out.
# Who has taken one holds an abstract socket of its name, which goes with the
# process.
sub free_port ($self) {
    state $next = 10000 + ($$ % 200) * 100;
    state @taken;

    for (1 .. 1000) {
        my $port = $next++;
        $next = 10000 if $next > 32000;

        my $mark = IO::Socket::UNIX->new(Listen => 1,
                                         Local => "\0im-test-$port") or next;

        IO::Socket::INET->new(Listen => 1, ReuseAddr => 1,
                              LocalAddr => '127.0.0.1', LocalPort => $port)
            or next;

        push @taken, $mark;
        return $port;
    }

    die 'no free port';
}

# Directives of locations that this build knows, so that a part of the
# modules can be tested before the next one is there.
sub locations {
    my $source = path("$top/src/http/ngx_http_im_module.c")->slurp;
    my $text = '';

    for (['~ ^/v[0-9]+/', 'im_rest'], ['~ /b?info$', 'im_websocket'],
         ['/rooms/', 'im_events'], ['/metrics', 'im_metrics'])
    {
        my ($location, $directive) = @$_;

        $text .= "        location $location { $directive; }\n"
            if $source =~ /ngx_string\("$directive"\)/;
    }

    return $text;
}

sub write_conf ($self) {
    my %o = (map({ $_ => '' } qw/ main im app http server stream /),
             %{ $self->options });
    my $level = $ENV{IM_TEST_LOG} // 'info';
    my $store = $ENV{IM_TEST_STORE} // 'lmdb';
    my $dir = $self->dir;
    my $folder = $self->store // "$dir/store";

    die "unknown store $store" unless $store =~ /^(?:lmdb|mongo)$/;

    # a node alone
    if ($ENV{IM_TEST_REDIS} && $o{im} !~ /redis /) {
        $o{im} .= "redis $ENV{IM_TEST_REDIS} timeout=2s prefix=im"
                  . $self->port . ':; node n;';
    }

    my $stream = $o{stream} ? "stream {\n$o{stream}\n}\n" : '';

    # an im {} that a test gives as a whole, with a store or without
    my $im = $o{im_block} // <<"END";
im {
    zone 16m;
    bus 8m;
    drain_time 500ms;
    $o{im}

    app @{[ $self->app_id ]} {
        key "@{[ $self->key ]}";
        $o{app}
    }
}
END

    if ($im =~ /^\s*im \{/ && $im !~ /^\s*store /m) {
        my $address = "lmdb:$folder size=1g";

        if ($store eq 'mongo') {
            Test::IM::Mongo->skip;
            $address = Test::IM::Mongo->for_folder($folder, $self->free_port)
                       ->uri;
        }

        $im =~ s/im \{\n/im {\n    store $address;\n/;
    }

    $self->conf(load_modules() . <<"END");
daemon off;
@{[ $> ? '' : 'user nobody nogroup;' ]}
worker_processes $o{workers};
worker_shutdown_timeout @{[ $o{shutdown} // '10s' ]};
pid $dir/nginx.pid;
error_log $dir/error.log $level;
$o{main}

events {
    worker_connections 4096;
}

$im
http {
    access_log off;
    client_body_temp_path $dir/tmp/body;
    proxy_temp_path $dir/tmp/proxy;
    fastcgi_temp_path $dir/tmp/fastcgi;
    uwsgi_temp_path $dir/tmp/uwsgi;
    scgi_temp_path $dir/tmp/scgi;
    client_max_body_size 2m;
    large_client_header_buffers 4 16k;
    $o{http}

    server {
        listen 127.0.0.1:@{[ $self->port ]};
@{[ $o{locations} // locations() ]}
        $o{server}
    }
}

$stream
END

    path("$dir/nginx.conf")->spurt($self->conf);

    return $self;
}


# --- log

# Lines of the error log that this test expects.
sub allow_log ($self, @patterns) {
    push @{ $self->allowed }, @patterns;
    return $self;
}

sub log_text ($self) {
    return eval { path($self->dir . '/error.log')->slurp } // '';
}

sub output ($self) {
    return eval { path($self->dir . '/nginx.out')->slurp } // '';
}

sub log_like ($self, $pattern, $name = "log has $pattern") {
    my $ok = $self->wait_for(sub { $self->log_text =~ $pattern });
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok($ok, $name);
    return $self;
}

# Lines that make the test fail.
sub bad_lines ($self) {
    my @bad = grep {
        / \[(?:alert|emerg)\] |exited on signal|Sanitizer|runtime error:/
    } split /\n/, $self->output . $self->log_text;

    # nginx's own: its sources have relative names, ours do not
    for my $pattern (qr{^src/\S+ runtime error:}, @{ $self->allowed }) {
        @bad = grep { $_ !~ $pattern } @bad;
    }

    return @bad;
}


# --- requests

sub url ($self, $path, %query) {
    my $url = Mojo::URL->new('http://127.0.0.1:' . $self->port . $path);
    return %query ? $url->query(%query) : $url;
}

# A UserSig of the user for 180 days.  Options: time, expire, key, sdkappid.
sub usersig ($self, $user, %o) {
    my $appid = $o{sdkappid} // $self->app_id;
    my $time = $o{time} // int time;
    my $expire = $o{expire} // 180 * 86400;

    my $sig = hmac_sha256_base64("TLS.identifier:$user\n"
                                 . "TLS.sdkappid:$appid\n"
                                 . "TLS.time:$time\nTLS.expire:$expire\n",
                                 $o{key} // $self->key);

    $sig .= '=' while length($sig) % 4;

    my $json = encode_json({
        'TLS.ver' => '2.0', 'TLS.identifier' => $user,
        'TLS.sdkappid' => 0 + $appid, 'TLS.time' => 0 + $time,
        'TLS.expire' => 0 + $expire, 'TLS.sig' => $sig });

    return encode_base64(Compress::Zlib::compress($json), '')
           =~ tr{+/=}{*\-_}r;
}

# A command as the administrator sends it; $body is data, or the text itself.
# Options: user, sig; query => { changes, undef leaves out }; path, method,
# headers.
sub rest ($self, $command, $body = {}, %o) {
    my $user = $o{user} // $self->admin;

    my %query = (sdkappid => $self->app_id, identifier => $user,
                 usersig => $o{sig} // $self->usersig($user),
                 random => int rand 4294967295, contenttype => 'json',
                 %{ $o{query} // {} });

    delete $query{$_} for grep { !defined $query{$_} } keys %query;

    my $tx = $self->ua->build_tx(
        $o{method} // 'POST',
        $self->url($o{path} // "/v4/$command", %query),
        { 'Content-Type' => 'application/json', %{ $o{headers} // {} } },
        ref $body ? encode_json($body) : $body);

    $tx = $self->ua->start($tx);

    my $res = $tx->res;

    return Test::IM::Reply->new(
        name => $command, status => $res->code // 0, text => $res->body,
        error => $tx->error && !$res->code ? $tx->error->{message} : undef,
        headers => $res->headers);
}

# Answers to many commands at once, in their order: [name, body] each.
sub rests ($self, @calls) {
    my @replies;
    my $sig = $self->usersig($self->admin);

    Mojo::Promise->all(map {
        my ($command, $body) = @$_;

        $self->ua->post_p($self->url("/v4/$command",
            sdkappid => $self->app_id, identifier => $self->admin,
            usersig => $sig, random => 1, contenttype => 'json')
            => json => $body);
    } @calls)->then(sub (@all) {
        @replies = map { Test::IM::Reply->new(
            name => 'rests', status => $_->[0]->res->code // 0,
            text => $_->[0]->res->body) } @all;
    })->catch(sub { Test::More::fail("no answer: @_") })->wait;

    return @replies;
}

sub get ($self, $path, %query) {
    my $res = $self->ua->get($self->url($path, %query))->res;

    return Test::IM::Reply->new(name => $path, status => $res->code // 0,
                                text => $res->body,
                                headers => $res->headers);
}

# The value of a metric, such as 'im_sessions{transport="ws"}'.  Asks again
# when the worker that was asked has died.
sub metric ($self, $name) {
    my $reply;

    $self->wait_for(sub { ($reply = $self->get('/metrics'))->status == 200 },
                    10);

    return $reply->text =~ /^\Q$name\E (\S+)$/m ? $1 : undef;
}

sub users ($self, @users) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    while (@users > 10) {
        my $reply = $self->rest('im_open_login_svc/multiaccount_import',
                                { Accounts => [splice @users, 0, 100] });
        $reply->code_is(0) if $reply->code // -1;
    }

    for my $user (@users) {
        my $reply = $self->rest('im_open_login_svc/account_import',
                                { UserID => $user });
        $reply->code_is(0) if $reply->code // -1;
    }

    return $self;
}

# Makes a group, returns its GroupId.  owner and members are users; all else
# goes into the request as it is.
sub group ($self, %o) {
    my $owner = delete $o{owner};
    my $members = delete $o{members};

    my $reply = $self->rest('group_open_http_svc/create_group', {
        Type => 'Public', Name => 'group', %o,
        $owner ? (Owner_Account => $owner) : (),
        $members ? (MemberList => [map { { Member_Account => $_ } }
                                   @$members]) : () });

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $reply->code_is(0) if $reply->code // -1;

    return $reply->json('/GroupId');
}

sub group_info ($self, $gid) {
    return $self->rest('group_open_http_svc/get_group_info',
                       { GroupIdList => [$gid] })->json('/GroupInfo/0');
}

# A WebSocket, see Test::IM::WS for what it can do and for the options.
sub ws ($self, %o) {
    return Test::IM::WS->new(im => $self, %o)->open;
}

sub ws_login ($self, $user, %o) {
    my $ws = $self->ws(user => $user, %o);

    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $reply = $ws->wslogin;
    $reply->code_is(0) if $reply->code // -1;

    return $ws;
}


# --- waiting

# Calls the function until it is true, at most for so many seconds: more than
# a slow machine needs.  Returns its last value.
sub wait_for ($self, $fn, $seconds = 30) {
    my $end = time + $seconds;

    for ( ;; ) {
        my $value = $fn->();
        return $value if $value || time > $end;

        Mojo::IOLoop->one_tick if Mojo::IOLoop->is_running;
        sleep 0.02;
    }
}


# --- the end

sub finish ($self) {
    my $level = Test::More->builder;

    $self->stop('nginx exits in time') if $self->pid;

    if ($self->dir) {
        my @bad = $self->bad_lines;
        $level->ok(!@bad, 'nothing bad in the log');
        $level->diag($self->report(@bad)) if @bad;
        $self->clean(scalar @bad);
    }
}

# Bad lines with what follows a sanitizer's message.
sub report ($self, @bad) {
    my $text = $self->output . $self->log_text;

    if ($text =~ /^(.*(?:Sanitizer|runtime error:).*\n(?:.*\n){0,60})/m) {
        push @bad, $1;
    }

    return join "\n", @bad;
}

sub clean ($self, $failed) {
    my $dir = $self->dir or return;
    $self->dir(undef);

    if ($ENV{IM_TEST_LEAVE}) {
        Test::More::diag("left: $dir");
        return;
    }

    remove_tree($dir);
}

Test2::API::test2_stack()->top->follow_up(sub {
    $_->finish for splice @running;
});

# a test that died, or was told to end
$SIG{$_} = sub { exit 1 } for qw/ HUP INT TERM /;

END {
    local $?;

    for (@running) {
        $_->kill9_all;
        $_->clean(1);
    }
}

1;

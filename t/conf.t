#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# The configurations of conf/ are valid, and what cannot work is refused with
# a text that says what to write.

use strict;
use warnings;

use lib 't/lib';

use File::Temp ();
use Mojo::File qw/ path /;
use Test::IM;
use Test::More;

my $top = $Test::IM::top;
my $nginx = Test::IM::nginx();


# nginx -t; returns what it prints, and whether it is satisfied
sub check {
    my ($conf, %files) = @_;

    my $dir = File::Temp->newdir('im-conf-XXXXXXXX', TMPDIR => 1);

    path("$dir/$_")->spurt($files{$_}) for keys %files;
    mkdir "$dir/logs";
    path("$dir/nginx.conf")->spurt($conf =~ s/DIR/$dir/gr);

    # what a refused configuration had allocated is left to the exit
    local $ENV{ASAN_OPTIONS} = 'detect_leaks=0';

    # in its folder: the name of a socket may have 107 bytes only
    my $out = `cd $dir && $nginx -t -p $dir/ -c $dir/nginx.conf -e stderr 2>&1`;
    my $ok = $? == 0;

    return ($out, $ok);
}

# a configuration around an im {}
sub conf {
    my ($im, $locations) = @_;

    return Test::IM::load_modules() . <<"END";
pid logs/nginx.pid;
events {}
$im
http {
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {
        listen unix:sock;
        @{[ $locations // 'location /metrics { im_metrics; }' ]}
    }
}
END
}

sub block {
    my ($im, $app) = @_;

    return "im { store lmdb:store; $im app 1400000001 { key k; $app } }";
}

sub accepted {
    my ($name, $conf, %files) = @_;
    my ($out, $ok) = check($conf, %files);

    ok $ok, $name or diag $out;
    unlike $out, qr/Sanitizer|runtime error/, "$name: clean";
}

sub refused {
    my ($name, $im, $pattern, %files) = @_;
    my ($out, $ok) = check(conf($im), %files);

    ok !$ok, "$name: refused";
    like $out, qr/\[emerg\].*$pattern/, $name;
    unlike $out, qr/Sanitizer|runtime error/, "$name: clean";
}


subtest 'files of conf/' => sub {
    for my $file (glob "$top/conf/*.conf") {
        my $name = path($file)->basename;
        my $text = path($file)->slurp;

        $text =~ s/^\s*load_module.*$//mg;
        accepted($name, Test::IM::load_modules() . $text,
                 'app.key' => "secret\n",
                 'public.pem' => public_key());
    }

    ok 1;
};

subtest 'no block where one is needed' => sub {
    refused 'no im', '', 'no "im" section .* im \{ store';
    accepted 'not needed', conf('', '');
    refused 'no app', 'im { store lmdb:s; }',
            'no "app" in "im", write: app 1400000001 \{ key';
    refused 'no store', 'im { app 1 { key k; } }',
            'no "store" in "im", write: store lmdb:';
    refused 'twice', block('', '') . ' ' . block('', ''), '"im" directive '
            . 'is duplicate';
};

subtest 'key' => sub {
    refused 'no key', 'im { store lmdb:s; app 7 { } }',
            'no "key" in "app 7", write: key "64 secret characters"; or';
    refused 'empty', 'im { store lmdb:s; app 7 { key ""; } }',
            '"key" directive is empty';
    refused 'no file', 'im { store lmdb:s; app 7 { key file:none; } }',
            'none" failed, make this file with a secret of 64';
    refused 'empty file', 'im { store lmdb:s; app 7 { key file:f; } }',
            '"key" directive is empty', f => "\nx\n";
    refused 'long file', 'im { store lmdb:s; app 7 { key file:f; } }',
            'is longer than 8192 bytes', f => 'x' x 10000;
    refused 'twice', block('', 'key k2;'), '"key" directive is duplicate';
    refused 'not a public key',
            'im { store lmdb:s; app 7 { public_key f; } }',
            'no EC public key in .*it must begin with', f => "secret\n";
    refused 'no such public key',
            'im { store lmdb:s; app 7 { public_key f; } }',
            'make this file with the public key';

    accepted 'file', conf('im { store lmdb:s; app 7 { key file:f; } }'),
             f => "secret\r\n";
    accepted 'public key only',
             conf('im { store lmdb:s; app 7 { public_key f; } }'),
             f => public_key();
};

subtest 'apps and administrators' => sub {
    refused 'id', 'im { app x { key k; } }', 'invalid app "x"';
    refused 'zero', 'im { app 0 { key k; } }', 'invalid app "0"';
    refused 'too large', 'im { app 4294967296 { key k; } }',
            'invalid app "4294967296"';
    refused 'twice', 'im { app 7 { key k; } app 7 { key k; } }',
            'duplicate app "7"';
    refused 'the same admin', block('', 'admin a b a;'),
            'duplicate admin "a"';
    refused 'eleven', block('', 'admin 1 2 3 4 5 6 7 8 9 10; admin 11;'),
            'too many admins, "11" is one more than 10';
    refused 'long admin', block('', 'admin ' . 'x' x 33 . ';'),
            'invalid admin "x+"';

    accepted 'ten', conf(block('', 'admin 1 2 3 4 5 6 7 8 9 10;'));
    accepted 'two apps', conf('im { store lmdb:s; app 4294967295 { key k; }'
                              . ' app 1 { key k; } }');
};

subtest 'store' => sub {
    my $app = 'app 7 { key k; }';

    refused 'driver', "im { store redis:x; $app }",
            'unknown store "redis:x", write "lmdb:PATH"';
    refused 'no path', "im { store lmdb:; $app }", 'unknown store "lmdb:"';
    refused 'sync', "im { store lmdb:s sync=later; $app }",
            'invalid parameter "sync=later"';
    refused 'size', "im { store lmdb:s size=1x; $app }",
            'invalid parameter "size=1x"';
    refused 'small size', "im { store lmdb:s size=1k; $app }",
            'invalid parameter "size=1k"';
    refused 'parameter', "im { store lmdb:s fast; $app }",
            'invalid parameter "fast"';
    refused 'twice', "im { store lmdb:s; store lmdb:s; $app }",
            '"store" directive is duplicate';

    accepted "sync=$_", conf("im { store lmdb:s sync=$_ size=100g; $app }")
        for qw/ always everysec none /;
};

subtest 'redis and node' => sub {
    my $app = 'app 7 { key k; }';
    my $im = sub { "im { store lmdb:s; $_[0] $app }" };
    my $redis = 'redis 127.0.0.1:6379';

    refused 'no node', $im->("$redis;"), 'write: node NAME;';
    refused 'no redis', $im->('node a;'), 'write: redis 127.0.0.1:6379;';
    refused 'port', $im->('redis 127.0.0.1:x; node a;'),
            'invalid port in "redis 127.0.0.1:x"';
    refused 'URL', $im->('redis redis://u:secret@h; node a;'),
            '"redis" directive has "@" in the address, write: redis HOST:PORT';
    refused 'name', $im->("$redis; node a/b;"), 'invalid node "a/b"';
    refused 'long name', $im->("$redis; node " . 'x' x 65 . ';'),
            'invalid node "x+"';
    refused 'twice', $im->("$redis; $redis; node a;"),
            '"redis" directive is duplicate';
    refused 'two names', $im->("$redis; node a; node b;"),
            '"node" directive is duplicate';
    refused $_, $im->("$redis $_; node a;"), "invalid parameter \"$_\""
        for qw/ db=x db= password= prefix= prefix=a|b timeout=0 tls=on /;
    refused 'user', $im->("$redis user=u; node a;"),
            'has "user" without "password"';

    accepted $_, conf($im->("$_; node a-1.b_c;")) for $redis,
        'redis 127.0.0.1', 'redis [::1]:7000', 'redis unix:/run/redis.sock',
        "$redis user=u password=p db=15 prefix=a:b/c: timeout=2s";
};

subtest 'values' => sub {
    my @im = (
        ['zone 1023k', 'must be equal to or greater than 1m'],
        ['zone x', '"zone" directive invalid value'],
        ['bus 100k', 'must be equal to or greater than 1m'],
        ['coroutines 15', 'must be between 16 and 65536'],
        ['coroutines 65537', 'must be between 16 and 65536'],
        ['body_memory 1k', 'must be equal to or greater than 1m'],
        ['drain_time x', '"drain_time" directive invalid value'],
        ['sweep_interval 0', 'must not be zero'],
        ['commit_queue 0 64m 2s', 'invalid value "0", write: commit_queue'],
        ['commit_queue 1 1k 2s', 'invalid value "1k", write: commit_queue'],
        ['commit_queue 1 1m x', 'invalid value "x", write: commit_queue'],
        ['fault after_commit 0', '(?:invalid number|--with-debug)'],
        ['fault nowhere 1', '(?:unknown fault point|--with-debug)'],
        ['nothing 1', 'unknown directive "nothing"'],
        ['key k', '"key" directive is not allowed here'],
        ['user root', '"user" directive is not allowed here'],
    );

    my @setting = (
        ['message_size 100', 'must be equal to or greater than 1k'],
        ['web_instances 0', 'must be between 1 and 10'],
        ['web_instances 11', 'must be between 1 and 10'],
        ['multi_device all', 'invalid value "all"'],
        ['state_callback_style 2019', 'invalid value "2019"'],
        ['rate -1', 'invalid number'],
        ['group_rate 10000001', 'must be between 0 and 10000000'],
        ['dedup_c2c 0', 'must not be zero'],
        ['dedup_group x', 'invalid value'],
        ['history 0', 'must not be zero'],
        ['hello_interval 0', 'must not be zero'],
        ['ws_timeout 0', 'must not be zero'],
        ['poll_hold 0', 'must not be zero'],
        ['notices_max 0', 'must be between 1 and 10000'],
        ['friends_max 0', 'must be between 1 and 10000'],
        ['friend_groups_max 101', 'must be between 1 and 100'],
        ['blacklist_max 10001', 'must be between 1 and 10000'],
        ['pendency_max 0', 'must be between 1 and 10000'],
        ['friend_page 1001', 'must be between 1 and 1000'],
        ['friend_rate -1', 'invalid number'],
        ['status_subs_max 1001', 'must be between 1 and 1000'],
        ['allow_type all', 'invalid value "all"'],
        ['b_codes yes', 'it must be "on" or "off"'],
        ['nick_search 1', 'it must be "on" or "off"'],
        ['profile_field abcdefghi', 'it must be 1 to 8 letters'],
        ['profile_field a1', 'it must be 1 to 8 letters'],
        ['profile_field a type=float', 'invalid parameter "type=float"'],
        ['profile_field a read=all', 'invalid parameter "read=all"'],
        ['friend_field a write=', 'invalid parameter "write="'],
        ['friend_field a; friend_field a', 'duplicate name "a"'],
        ['group_field a-b', 'invalid key "a-b"'],
        ['group_field ' . 'a' x 17, 'it must be 1 to 16 letters'],
        ['group_field a read=all', 'invalid parameter "read=all"'],
        ['group_field a self=read', 'invalid parameter "self=read"'],
        ['group_field a; group_field a', 'duplicate key "a"'],
        ['group_field a types=Public; group_field a types=Private,Public',
         'duplicate key "a"'],
        [join('; ', map { "group_field a$_" } 1 .. 21), 'too many keys'],
        ['member_field a self=all', 'invalid parameter "self=all"'],
        [join('; ', map { "member_field a$_" } 1 .. 6), 'too many keys'],
        ['group_type a-b', 'it must be 1 to 32 letters'],
        ['group_type A switch', 'invalid parameter "switch"'],
        ['group_type A base=Public; group_type A base=Public',
         'duplicate name "A"'],
        ['allow_account_delete yes', 'it must be "on" or "off"'],
    );

    my @types = (
        ['group_type A', 'write its base: group_type A base=Public'],
        ['group_type Work base=Public', 'type "Work" of app .* is there'],
        ['group_type A base=B', 'cannot be based on "B"'],
        ['group_type A base=BChatRoom', 'cannot be based on "BChatRoom"'],
        ['group_type A base=Public nope=1', 'has no switch "nope"'],
        ['group_type A base=AVChatRoom invite_mode=1', 'has no switch'],
        ['group_type A base=Public kick_mode=3', 'it must be 0 to 2'],
        ['group_type A base=Public kick_mode=x', 'invalid value "x"'],
        ['group_type A base=AVChatRoom member_change_notice=1',
         'invalid value "1"'],
        ['group_type A base=Public activate_by_first_msg=1',
         'at most max_member=500'],
        ['group_field a types=Nope', 'cannot be in groups of type "Nope"'],
        ['member_field a types=AVChatRoom', 'cannot be in groups of type'],
    );

    refused "$_->[0]", block("$_->[0];", ''), $_->[1] for @types;
    refused "$_->[0]", block("$_->[0];", ''), $_->[1] for @im, @setting;
    refused "$_->[0] in app", block('', "$_->[0];"), $_->[1] for @setting;
    refused 'twice', block('', 'rate 1; rate 1;'),
            '"rate" directive is duplicate';
    refused 'zone in app', block('', 'zone 1m;'),
            '"zone" directive is not allowed here';
};

subtest 'locations' => sub {
    my ($out, $ok) = check(conf(block('', ''),
                           'location / { im_metrics; im_metrics; }'));

    ok !$ok, 'refused';
    like $out, qr/"im_metrics" directive is duplicate/, 'twice';
};

sub public_key {
    return <<'END';
-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEb6Of6YoAwvgXMMncWrObJPE9BALO
dDY6GKkFVLtRHPbyAaoEXXquWZ8Iwh1zKpm44Tv2EFigQ4g3DRUnVIACsA==
-----END PUBLIC KEY-----
END
}

done_testing;

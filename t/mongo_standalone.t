#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Addresses and servers of MongoDB that are refused.

use strict;
use warnings;

use lib 't/lib';

use Mojo::File qw/ path /;
use POSIX qw/ WNOHANG /;
use Test::IM;
use Test::IM::Mongo;
use Test::More;

Test::IM::Mongo->skip;

my $im = Test::IM->new;

# nginx with this store: what it says
sub refused {
    my ($address, @args) = @_;

    my $dir = File::Temp::tempdir(CLEANUP => 1);

    path("$dir/nginx.conf")->spurt(Test::IM->load_modules . <<"END");
daemon off;
pid $dir/nginx.pid;
error_log $dir/error.log;
events { }
im {
    zone 16m;
    store $address;
    app 1400000001 { key @{[ 'k' x 64 ]}; }
}
http {
    access_log off;
    client_body_temp_path $dir/body;
    proxy_temp_path $dir/proxy;
    fastcgi_temp_path $dir/fastcgi;
    uwsgi_temp_path $dir/uwsgi;
    scgi_temp_path $dir/scgi;
    server { listen 127.0.0.1:@{[ $im->free_port ]};
             location / { im_rest; } }
}
END

    my $nginx = Test::IM->nginx;
    my $log = sub { eval { path("$dir/error.log")->slurp } // '' };

    if (@args) {
        return `$nginx -p $dir/ -c $dir/nginx.conf -e $dir/log @args 2>&1`;
    }

    defined(my $pid = fork) or die "fork: $!";

    if ($pid == 0) {
        open STDERR, '>', '/dev/null';
        exec $nginx, '-p', "$dir/", '-c', "$dir/nginx.conf",
             '-e', "$dir/error.log" or POSIX::_exit(127);
    }

    $im->wait_for(sub { $log->() =~ /refused|there/ }, 60);
    kill QUIT => $pid;
    waitpid $pid, 0;

    return $log->();
}

my $mongo = Test::IM::Mongo->new(port => $im->free_port, standalone => 1)
    ->start;

like refused($mongo->uri), qr/a standalone server is refused.*rs\.initiate/,
     'a standalone server, with the command that helps';
like refused($mongo->uri(0)), qr/a standalone server is refused/,
     'also if the address names no replica set';

my $secret = 'mongodb://ann:Hidden1@127.0.0.1/im';

for (["$secret?replicaSet=rs0&tls=maybe", 'a wrong option'],
     ['mongodb://', 'no host'],
     ['mongodb://ann:Hidden1@127.0.0.1:port/im', 'a wrong port'],
     ['mongodb://ann:x:Hidden1@127.0.0.1/im', 'a password to be escaped'],
     ['mongodb://ann:Hidden1%zz@127.0.0.1/im', 'one that is escaped badly'],
     ['mongodb://ann:1/x?Hidden1@127.0.0.1/im', 'a password with a slash'],
     ["$secret size=1g", 'a parameter of the other store'],
     ['mongo://ann:Hidden1@127.0.0.1/im', 'another word'])
{
    my ($address, $name) = @$_;
    my $text = refused("\"$address\"" =~ s/ size=1g"/" size=1g/r, '-t');

    like $text, qr/\[emerg\].*(?:address|parameter|unknown store)/, $name;
    unlike $text, qr/Hidden1/, 'no password in the log';
}

like refused("\"$secret?replicaSet=rs0\"", '-t'), qr/test is successful/,
     'a good address, without a server';

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Indexes of a database that another build has made, replica sets of another
# name, and users with passwords.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::IM::Mongo;
use Test::More;

Test::IM::Mongo->skip;

my $mongo = Test::IM::Mongo->new(port => Test::IM->free_port)->start;

sub nginx {
    my ($store) = @_;

    return Test::IM->new(key => 'k' x 64)->run(im_block => <<"END");
im {
    zone 16m;
    bus 8m;
    store "$store";

    app 1400000001 {
        key "@{[ 'k' x 64 ]}";
    }
}
END
}

sub import_code {
    my ($im) = @_;

    return $im->rest('im_open_login_svc/account_import',
                     { UserID => 'ann' })->code;
}

# the schema

my $im = nginx($mongo->uri);

is import_code($im), 0, 'the first worker makes the schema';
$im->stop;

my $schema = $mongo->command(im => { find => 'im',
    filter => { _id => 'schema' } })->{cursor}{firstBatch}[0];

like $schema->{indexes}, qr/^[0-9a-f]{40}$/, 'a fingerprint of all indexes';

sub indexes {
    return sort map { $_->{name} } @{ $mongo->command(im =>
        { listIndexes => 'mute' })->{cursor}{firstBatch} };
}

my @all = indexes();

is_deeply \@all, [qw/ _id_ expire key until /], 'indexes of a table';

$mongo->command(im => { dropIndexes => 'mute', index => 'until' });
$im->start->stop;

is_deeply [indexes()], [qw/ _id_ expire key /],
          'nothing is made as long as the fingerprint is that of the build';

for my $set ({ '$set' => { indexes => 'another' } },
             { '$unset' => { indexes => 1 } })
{
    $mongo->command(im => { dropIndexes => 'mute', index => 'until' })
        if grep { $_ eq 'until' } indexes();
    $mongo->command(im => { update => 'im', updates => [
        { q => { _id => 'schema' }, u => $set }] });
    $im->start;

    is_deeply [indexes()], \@all, 'another one or none: all are made';
    is import_code($im), 0, 'and the store works';

    $im->stop;
}

is_deeply $mongo->command(im => { find => 'im',
    filter => { _id => 'schema' } })->{cursor}{firstBatch}, [$schema],
    'the fingerprint is that of the build again';

# the name of the replica set

$im = nginx($mongo->uri =~ s/=secantus/=rs7/r);
$im->log_like(qr/the\ server\ is\ of\ the\ replica\ set\ "secantus",
                 \ the\ address\ says\ replicaSet=rs7/x,
              'another replica set is told by its name');
isnt import_code($im), 0, 'commands answer a code';
$im->stop;

# users

$mongo->command(im => { createUser => 'joe', pwd => 'Right#word1',
    roles => [{ role => 'readWrite', db => 'im' }] });
$mongo->kill9->auth(1)->start;

my $uri = 'mongodb://joe:%s@127.0.0.1:' . $mongo->port
          . '/im?replicaSet=secantus&authMechanism=SCRAM-SHA-256';

$im = nginx(sprintf $uri, 'Right%23word1');
is import_code($im), 0, 'the right password';
unlike $im->log_text . $im->output, qr/Right/, 'which is not in the log';
$im->stop;

$im = nginx(sprintf $uri, 'Wrong%23word2');
isnt import_code($im), 0, 'a wrong one: a code';
$im->log_like(qr/\[error\].*[Aa]uthentication/, 'the log tells why');
unlike $im->log_text . $im->output, qr/Wrong/, 'but not the password';
isnt import_code($im), 0, 'which is so for all commands';

$im->stop;

done_testing;

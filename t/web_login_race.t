#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Logins of one user that come at once, to several workers: each ends those
# before it, wherever their connections are by then.

use Mojo::Base -strict, -signatures;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 4, app => 'web_instances 1;');

$im->users('ann');

subtest 'of logins that come at once one is left' => sub {
    my (@left, @other);

    for my $round (1 .. 8) {
        my @ws = map { $im->ws(user => 'ann')->open } 1 .. 8;
        my @seq = map { $_->send_request('im_open_status.wslogin',
            { State => 'Online', is_web_uniapp => 0, InstType => 0 }) } @ws;

        my @code = map { $ws[$_]->answer($seq[$_])->code // -1 } 0 .. $#ws;

        # 1002: of one that was ended before it had its answer
        push @other, grep { $_ != 0 && $_ != 1002 } @code;

        # a frame without an a2 is that of the session
        my %none = (a2 => '', tinyid => '', identifier => '', usersig => '');

        my $in = 0;
        $im->wait_for(sub {
            $in = grep { ($_->request('im_open_status.wshello', {}, %none)
                            ->code // -1) == 0 } @ws;
            return $in <= 1;
        });

        push @left, $in;
        $_->close for @ws;
    }

    is "@left", join(' ', (1) x 8), 'one session each time';
    is "@other", '', 'those which are ended at once are told so';
};

done_testing;

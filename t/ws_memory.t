#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# The memory of frames whose commands wait is counted, as that of incomplete
# frames and of bodies is.

use Mojo::Base -strict, -signatures;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::IM;
use Test::More;

plan skip_all => 'needs a build with --with-debug' if !Test::IM::with_debug();

my $size = 700_000;
my ($im, $ann, $found);
my $bodies = sub { $im->metric('im_body_bytes') // 0 };

# the notice of the new room to its owner is the first one to be published:
# the worker dies, and whoever repeats the frame waits for the first attempt,
# which is given up after three seconds; again, if they were over by then

for (1 .. 5) {
    $im = Test::IM->new->run(workers => 1, im => 'fault before_publish 1;');

    $im->allow_log(qr/exited on signal 9/);
    $im->users('ann');

    $ann = $im->ws_login('ann');

    my @room = ('group_open_http_svc.create_group',
                { Type => 'AVChatRoom', Name => 'room' });
    my %head = (seq => 4711);

    $ann->send_request(@room, %head);
    $ann->closed_ok(undef, 'the worker is killed');

    $im->wait_for(sub { $im->worker_pids == 1 }) or die 'no new worker';

    $ann->open;
    $ann->wslogin->code_is(0);

    is $bodies->(), 0, 'nothing is counted';

    my ($name, $body) = @room;
    $ann->send_request($name, { %$body, padding => 'x' x $size }, %head);

    last if $ann->tick(sub {
        ($found = $bodies->()) >= $size
        || $ann->answers->{"$name/4711"} }) && $found >= $size;
}

cmp_ok $found, '>=', $size, 'a frame that waits is counted';
ok $ann->tick(sub { $bodies->() == 0 }), 'and no more when it has ended';

done_testing;

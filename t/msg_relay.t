#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Merged messages, upload tickets, and what is not offered.

use strict;
use warnings;
use feature 'signatures';
no warnings 'experimental::signatures';

use lib 't/lib';

use Test::More;
use Test::IM;

my $im = Test::IM->new->run;

$im->users(qw/ ann bob /);

my $ann = $im->ws_login('ann');

sub save (@list) {
    return $ann->request('im_long_msg.save_relay_json_msg',
                         { MsgList => \@list });
}

sub load ($ws, $key) {
    return $ws->request('im_long_msg.get_relay_json_msg',
                        { JsonMsgKey => $key });
}

sub pre_sig (%body) {
    return $ann->request('im_cos_msg.pre_sig', {
        file_type => 1, file_name => 'a0-1.png', upload_method => 0,
        Duration => 900, %body });
}


subtest 'a list is kept as it was, as long as messages' => sub {
    my @list = ({ From_Account => 'ann', MsgSeq => 3959599999, Id => 'x-1',
                  MsgBody => [{ MsgType => 'TIMTextElem',
                                MsgContent => { Text => "\x{4f60}\n" } }] },
                { MsgTimeStamp => 1700000000, MsgBody => [] });

    my $r = save(@list)->code_is(0);
    my $key = $r->json('/JsonMsgKey');

    like $key, qr/^[0-9a-f]{32}$/, 'a random key';
    $r->json_is('/PbMsgKey', $key);

    load($ann, $key)->code_is(0)->json_is('/MsgList', \@list);

    my $bob = $im->ws_login('bob');
    load($bob, $key)->code_is(0)->json_is('/MsgList', \@list);
    $bob->close;

    $im->reload(app => 'history 2s;');
    $ann = $im->ws_login('ann');
    $key = save(@list)->code_is(0)->json('/JsonMsgKey');
    ok $im->wait_for(sub {
        sleep 1;
        return load($ann, $key)->code == 20001;
    }), 'not longer';

    $im->reload(app => '');
    $ann = $im->ws_login('ann');
};

subtest 'limits' => sub {
    save()->code_is(20001, 'an empty list');
    $ann->request('im_long_msg.save_relay_json_msg', {})->code_is(20001);
    save(map { { n => $_ } } 1 .. 301)->code_is(20001, '301 messages');
    save(map { { n => $_ } } 1 .. 300)->code_is(0, '300 messages');
    save({ t => 'x' x (512 * 1024) })->code_is(80002, 'too long');
    save({ t => 'x' x (512 * 1024 - 10) })->code_is(0, '512 KiB');
    load($ann, 'f' x 32)->code_is(20001);
    load($ann, 'f')->code_is(20001);
    $ann->request('im_long_msg.get_relay_json_msg', {})->code_is(20001);
};

subtest 'upload tickets' => sub {
    my $r = pre_sig()->code_is(0);
    my $base = 'http://127.0.0.1:' . $im->port;

    like $r->json('/download_url'),
         qr{^\Q$base\E/files/@{[ $im->app_id ]}/\d{8}/[0-9a-f]{32}-a0-1\.png$},
         'download_url';
    like $r->json('/upload_url'),
         qr/^\Q${\ $r->json('\/download_url') }\E\?app=/, 'upload_url';
    ok abs($r->json('/expired_time') - time - 900) < 60, 'expired_time';

    like pre_sig(file_name => '../a b/%.p?g')->json('/download_url'),
         qr{-\.\._a_b__\.p_g$}, 'nothing strange in the path';

    pre_sig(upload_method => 1)->code_is(60017);
    pre_sig(file_name => '')->code_is(60003);
    pre_sig(file_name => 'x' x 129)->code_is(60003);
    pre_sig(file_name => 'x' x 128)->code_is(0);
    pre_sig(file_name => 7)->code_is(60003);
};

subtest 'what is not offered' => sub {
    $ann->request($_, {})->code_is(60017)
        for qw/ im_cos_msg.video_cover im_cos_sign_svr.cos
                im_open_translate.ws_batch_trans_text tui_room_svr.* /;
};

subtest 'files_url' => sub {
    $im->stop->run(app => 'files_url https://cdn.example/a/b/;');
    $ann = $im->ws_login('ann');
    like pre_sig()->code_is(0)->json('/upload_url'),
         qr{^https://cdn\.example/a/b/@{[ $im->app_id ]}/.*\?app=},
         'with a path';

    $im->stop->run(app => 'files_url http://cdn.example:81;');
    $ann = $im->ws_login('ann');
    like pre_sig()->code_is(0)->json('/download_url'),
         qr{^http://cdn\.example:81/@{[ $im->app_id ]}/}, 'without';
};

done_testing;

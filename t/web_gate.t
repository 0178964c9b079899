#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Frames: who may call what, whoever the body claims to be, and what is no
# frame at all.

use strict;
use warnings;

use lib 't/lib';

use Mojo::File qw/ path /;
use Mojo::JSON qw/ encode_json /;
use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => <<'END', im => <<'END2');
    sig_failures 0;
    web_instances 2;
END
    app 1400000002 {
        key "another key, of 64 characters or so, for the second app -------";
    }
END2

my $second = Test::IM->new(app_id => 1400000002, dir => $im->dir,
                           port => $im->port, key =>
    'another key, of 64 characters or so, for the second app -------');

# rows of the source that a session may call, and those that it may not

my (%user, %not);

for my $file (glob "$Test::IM::top/src/{api,web}/*.c") {
    my $text = path($file)->slurp;

    while ($text =~ /\{ \s* ngx_string\("([^"]+)"\), \s*
                     ngx_string\("([^"]+)"\), \s*
                     im_cmd_\w+, \s* ((?:IM_BY_\w+ \s* \|? \s*)+)/gx)
    {
        my ($name, $by) = ("$1.$2", $3);

        if ($by =~ /IM_BY_USER/) {
            $user{$name} = 1;

        } elsif ($by =~ /IM_BY_ADMIN/) {
            $not{$name} = 1;
        }
    }
}

delete @not{ keys %user };
delete @user{ grep { /_noauth_svc\./ } keys %user };
delete @user{qw/ im_open_status.wslogin openim.ws_msg_push_ack /};

cmp_ok(keys %user, '>', 10, 'commands of users were found in the source');
cmp_ok(keys %not, '>', 5, 'commands of administrators too');

my $ann = $im->ws_login('ann');
my $end = $im->ws_login('end');
my $far = $second->ws_login('ann');

my %dead = (a2 => $end->a2, tinyid => $end->tinyid);
$end->wslogout;

my $old = $im->ws_login('old');
my %kicked = (a2 => $old->a2, tinyid => $old->tinyid);
$im->rest('im_open_login_svc/kick', { UserID => 'old' })->code_is(0);

# a frame carries many credentials in turn: slower than the limit of frames
sub quick {
    my ($name, %head) = @_;

    select undef, undef, undef, 0.022;

    my %none = map { $_ => '' } qw/ a2 tinyid identifier usersig /;

    our $ws //= $im->ws;
    return $ws->request($name, {}, %none, %head);
}

for my $name (sort keys %user) {
    my %codes;

    my $codes = join ' ', map { quick($name, %$_)->code }
        {}, { a2 => 'f' x 32, tinyid => $ann->tinyid }, { a2 => 'short' },
        { a2 => $far->a2, tinyid => $far->tinyid }, \%dead, \%kicked;

    my $none = $name =~ /^im_cos/ ? 60004 : 70001;

    is $codes, "$none 70001 70001 70001 6014 1002",
       "$name: nobody, unknown a2, malformed a2, other app's a2, ended, "
       . 'kicked';
}

my %right = (im_open_login_svc => 70403, registration_service => 70425,
             openim => 90009, profile => 40004, sns => 30004,
             recentcontact => 50003, im_callback => 60010);

for my $name (sort keys %not) {
    my ($service) = split /\./, $name;
    my $code = quick($name, a2 => $ann->a2, tinyid => $ann->tinyid)->code;

    is $code, $right{$service} // 10007, "$name is not for users";
}

subtest 'an administrator is an ordinary user on a socket' => sub {
    $im->ws_login('administrator')
       ->request('im_open_login_svc.account_check', {})->code_is(70403);
};

subtest 'the body does not say who calls' => sub {
    my $eve = $im->ws_login('eve');

    $eve->request('profile.portrait_set',
                  { From_Account => 'ann',
                    ProfileItem => [{ Tag => 'Tag_Profile_IM_Nick',
                                      Value => 'Evil' }] })->code_is(0);

    my $get = { To_Account => ['ann', 'eve'],
                TagList => ['Tag_Profile_IM_Nick'] };
    $im->rest('profile/portrait_get', $get)
       ->json_is('/UserProfileItem/0/ProfileItem', [], 'ann is untouched')
       ->json_is('/UserProfileItem/1/ProfileItem/0/Value', 'Evil');

    $im->rest('profile/portrait_set', { From_Account => 'ann',
                  ProfileItem => [{ Tag => 'Tag_Profile_IM_Nick',
                                    Value => 'Evil' }] }, user => 'eve')
       ->code_is(40004, 'by REST it is refused');

    $eve->request('openim.sendmsg',
                  { From_Account => 'ann', To_Account => 'ann', MsgSeq => 1,
                    MsgRandom => 2, MsgBody =>
                        [{ MsgType => 'TIMTextElem',
                           MsgContent => { Text => 'hi' } }] })->code_is(0);

    my $event = $ann->next_event('C2cMsgArray');
    is $event->{C2cMsgArray}[0]{From_Account}, 'eve', 'the sender is eve';
};

subtest 'what is no frame' => sub {
    for my $bad ('', 'x', '[]', '{}', '{"head":{}}', '{"head":7,"body":{}}',
                 '{"head":{"servcmd":7,"seq":1},"body":{}}',
                 '{"a":' x 40 . '1' . '}' x 40, '[' x 1000)
    {
        my $ws = $im->ws;

        $ws->send_text($bad);
        $ws->tick(sub { $ws->answers->{'/'} });
        is $ws->answers->{'/'}{ErrorCode}, 60003,
           'is answered: ' . substr $bad, 0, 30;
        $ws->heartbeat->code_is(0, 'and the connection goes on');
        $ws->close;
    }

    my $ws = $im->ws;

    $ws->send_text(encode_json({ head => { servcmd => 'openim.getmsg',
                                           seq => 5 }, body => [] }));
    $ws->tick(sub { $ws->answers->{'openim.getmsg/5'} });
    is $ws->answers->{'openim.getmsg/5'}{ErrorCode}, 90001,
       'a body that is no object';

    $ann->request('no_such_svc.none')->code_is(60009);
    $ann->request('group_open_http_svc.none')->code_is(10003);
    $ann->request('noservice')->code_is(60009);
    $ann->request('.')->code_is(60009);
};

subtest 'hundreds of frames at once' => sub {
    my $ws = $im->ws;

    $ws->send_request('heartbeat.alive') for 1 .. 400;
    ok $ws->closed_ok(1008), 'too many frames a second';
};

$_->close for $ann, $far;

$im->finish;

done_testing;

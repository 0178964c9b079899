#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Codes of the group service that need a state of their own: a store that
# fails, answers that are too long, what was handled, what came too late.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0;');
my $svc = 'group_open_http_svc';
my $random = 1;

$im->users(qw/ ann bob cid /);

sub text { return [{ MsgType => 'TIMTextElem',
                     MsgContent => { Text => $_[0] } }] }

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

sub message {
    my ($gid, %body) = @_;
    return rest('send_group_msg', GroupId => $gid, Random => $random++,
                MsgBody => text('x'), %body);
}

subtest 'an application is handled twice' => sub {
    my $gid = $im->group(owner => 'ann');
    my ($ann, $bob) = map { $im->ws_login($_) } qw/ ann bob /;

    $bob->request("$svc.apply_join_group", { GroupId => $gid })->code_is(0);

    my $pend = $ann->request("$svc.get_pendency", { StartTime => 0,
        Limit => 10, Handle_Account => 'ann' })->code_is(0)
        ->json('/PendencyList/0');
    my %handle = (GroupId => $gid, Applicant_Account => 'bob',
                  HandleMsg => 'Reject', ApprovalMsg => 'no',
                  Authentication => $pend->{Authentication},
                  MsgKey => $pend->{MsgTimeStamp});

    $bob->request("$svc.get_pendency", { StartTime => 0, Limit => 10,
        Handle_Account => 'ann' })->code_is(10007);
    $bob->request("$svc.get_pendency", { StartTime => 0, Limit => 10 })
        ->code_is(0)->json_is('/PendencyList', []);
    $ann->request("$svc.handle_apply_join_group",
                  { %handle, Authentication => 'x' })->code_is(10004);
    $ann->request("$svc.handle_apply_join_group",
                  { %handle, Applicant_Account => 'cid' })->code_is(10004);
    $ann->request("$svc.handle_apply_join_group", \%handle)->code_is(0);
    $ann->request("$svc.handle_apply_join_group", \%handle)->code_is(10024);
    $_->close for $ann, $bob;
};

subtest 'a name with a zero byte is of nobody' => sub {
    my $gid = $im->group(owner => 'ann');

    rest('send_group_system_notification', GroupId => $gid, Content => 'x',
         ToMembers_Account => ["a\0b", 'ann'])->code_is(0);
    rest('set_unread_msg_num', GroupId => $gid, Member_Account => "a\0b",
         UnreadMsgNum => 1)->code_is(10007);
    rest('get_joined_group_list', Member_Account => "a\0b")->code_is(0)
        ->json_is('/TotalCount', 0);
    is_deeply rest('get_role_in_group', GroupId => $gid,
                   User_Account => ["a\0b", 'ann', "\0"])->code_is(0)
        ->json('/UserIdList'), [map { { Member_Account => $_->[0],
            Role => $_->[1] } } ["a\0b", 'NotMember'], ['ann', 'Owner'],
            ["\0", 'NotMember']], 'among others';
    $im->rest('openim_msg_ext_http_svc/get_key_values', {
        From_Account => 'ann', To_Account => "a\0b", MsgKey => '1_2_3' })
       ->code_is(23004);
};

subtest 'answers of more than 1 MiB' => sub {
    my $gid = $im->group(Type => 'ChatRoom', owner => 'ann');
    my @names = map { sprintf 'user%028d', $_ } 1 .. 200;

    $im->rest('im_open_login_svc/multiaccount_import',
              { Accounts => [@names[$_ .. $_ + 99]] })->code_is(0)
        for 0, 100;
    rest('import_group_member', GroupId => $gid, MemberList =>
         [map { { Member_Account => $_ } } @names])->code_is(0);

    rest('get_group_info', GroupIdList => [($gid) x 10])->code_is(0);
    rest('get_group_info', GroupIdList => [($gid) x 50])->code_is(10018)
        ->json_hasnt('/GroupInfo');
};

subtest 'more mutes than are listed' => sub {
    my $gid = $im->group(Type => 'AVChatRoom', owner => 'ann');

    my $list = sub { rest('get_group_shutted_uin', GroupId => $gid) };

    for my $i (0 .. 25) {
        my $reply = rest('forbid_send_msg', GroupId => $gid,
            ShutUpTime => 600, Members_Account =>
            [map { sprintf 'm%031d', $_ } $i * 500 .. $i * 500 + 499]);
        $reply->code_is(0) if $reply->code;

        is scalar @{ $list->()->json('/ShuttedUinList') }, 1500, q{all}
            if $i == 2;
    }

    $list->()->code_is(10018);
};

subtest 'bans in pages' => sub {
    my $gid = $im->group(Type => 'AVChatRoom', owner => 'ann');

    for my $i (0 .. 29) {
        my $reply = rest('ban_group_member', GroupId => $gid, Duration => 600,
            Members_Account => [map { "b$_" } $i * 20 .. $i * 20 + 19]);
        $reply->code_is(0) if $reply->code;
    }

    my %seen;
    my $offset = 0;

    do {
        my $page = rest('get_group_ban_member', GroupId => $gid,
                        Offset => $offset);
        $seen{$_->{Member_Account}}++
            for @{ $page->json('/BannedAccountList') };
        $offset = $page->json('/NextOffset');
    } while ($offset);

    is scalar keys %seen, 600, 'all of them';
    ok !(grep { $_ > 1 } values %seen), 'each once';
};

subtest 'recall' => sub {
    my $gid = $im->group(owner => 'ann', members => ['bob']);

    $im->reload(app => 'rate 0; recall_time 1s;');

    my $bob = $im->ws_login('bob');
    my $seq = $bob->request("$svc.send_group_msg", { GroupId => $gid,
        Random => 1, MsgBody => text('x') })->code_is(0)->json('/MsgSeq');
    my $recall = { GroupId => $gid, MsgSeqList => [{ MsgSeq => $seq }] };

    select undef, undef, undef, 2.2;

    $bob->request("$svc.group_msg_recall", $recall)->code_is(0)
        ->json_is('/RecallRetList/0/RetCode', 10031);
    rest('group_msg_recall', %$recall)->code_is(0)
        ->json_is('/RecallRetList/0/RetCode', 0);
    rest('group_msg_recall', %$recall)
        ->json_is('/RecallRetList/0/RetCode', 10032);
    rest('group_msg_recall', %$recall, MsgSeqList => [{ MsgSeq => 99 }])
        ->json_is('/RecallRetList/0/RetCode', 10030);

    $im->reload(app => 'rate 0; group_recall off;');
    rest('group_msg_recall', %$recall)->code_is(10041);
    rest('group_msg_recall', %$recall,
         GroupId => $im->group(Type => 'AVChatRoom'))->code_is(10033);
};

subtest 'a sender who is too fast' => sub {
    $im->reload(app => 'rate 0; group_rate 0; group_rate_normal 0;
                        sender_rate 2;');

    my $gid = $im->group(owner => 'ann', members => ['bob']);
    my $ann = $im->ws_login('ann');
    my $body = sub { { GroupId => $gid, Random => $random++,
                       MsgBody => text('x') } };

    $ann->request("$svc.send_group_msg", $body->())->code_is(0, 'the first');

    # all at once
    my @codes = map { $ann->answer($_)->code }
                map { $ann->send_request("$svc.send_group_msg", $body->()) }
                1 .. 30;

    ok((grep { $_ == 10023 } @codes), 'then too often');
    message($gid, From_Account => 'bob')->code_is(0, 'another sender');
    is scalar(grep { message($gid)->code } 1 .. 10), 0,
        'not the administrator';
    $ann->close;
};

SKIP: {
    skip 'needs a build with fault points', 1 unless Test::IM::with_debug();

    subtest 'a member who cannot be read' => sub {
        my $gid = $im->group(owner => 'ann', members => ['bob']);
        my $command = 'get_group_member_info';

        $im->reload(app => 'rate 0;', im => 'fault member_read 1;');

        my $bob = $im->ws_login('bob');
        my @codes = map { $bob->request("$svc.$command",
                                        { GroupId => $gid })->code } 1 .. 3;

        is_deeply [sort { $a <=> $b } @codes], [0, 0, 10002],
            'is no stranger';

        $im->reload(im => 'fault member_read 1;');
        $bob = $im->ws_login('bob');
        @codes = map { $bob->request("$svc.send_group_msg", {
            GroupId => $gid, Random => $random++, MsgBody => text('x') })
            ->code } 1 .. 3;
        is_deeply [sort { $a <=> $b } @codes], [0, 0, 10002],
            'nor as a sender';
        $im->reload(im => '');
    };
}

$im->finish;

subtest 'a store that is full' => sub {
    my $full = Test::IM->new;
    my $dir = File::Temp::tempdir('im-test-XXXXXXXX', TMPDIR => 1);

    chmod 0755, $dir;
    mkdir "$dir/$_" for qw/ tmp html /;
    $full->dir($dir);

    my $block = sub { "im { zone 16m; bus 8m; drain_time 500ms;
        store lmdb:$dir/store size=$_[0];
        app @{[ $full->app_id ]} { key \"@{[ $full->key ]}\"; rate 0;
            group_rate 0; group_rate_normal 0; groups_day_max 0; } }" };

    $full->run(workers => 1, im_block => $block->('2m'));
    $full->users(qw/ ann bob /);

    my $gid = $full->group(owner => 'ann', members => ['bob']);
    my $n = 0;
    my $send = sub { $full->rest("$svc/send_group_msg", { GroupId => $gid,
        Random => $n++, MsgBody => text('x' x 6000) })->code };

    ok $full->wait_for(sub { $send->() == 10002 }, 180), 'it is full';

    # the last pages go to whoever needs little
    my %body = (
        create_group => sub { { Type => 'Public', Name => 'g' x 30,
                                Introduction => 'x' x 240 } },
        set_group_attr => sub { { GroupId => $gid, GroupAttr =>
            [map { { key => "k$_", value => $n++ . 'x' x 3900 } } 1 .. 4] } },
        forbid_send_msg => sub { { GroupId => $gid, ShutUpTime => 600,
            Members_Account => [map { 'new' . $n++ } 1 .. 50] } });

    for my $name (sort keys %body) {
        my $code = 0;

        for (1 .. 400) {
            $code = $full->rest("$svc/$name", $body{$name}->())->code;
            last if $code;
        }

        is $code, 10002, "$name fails";
    }

    is $full->group_info($gid)->{MemberNum}, 2, 'reading goes on';
    is $full->rest("$svc/get_group_member_info", { GroupId => $gid })->code,
        0, 'of all kinds';
    $full->finish;
};

done_testing;

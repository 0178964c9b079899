#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# From LMDB to MongoDB: "./build.sh copy".  It is killed, goes on, and is run
# once more; nginx on the copy answers as before, and goes on.

use strict;
use warnings;

use lib 't/lib';

use File::Basename qw/ dirname /;
use Mojo::File qw/ path /;
use Mojo::JSON qw/ encode_json /;
use Test::IM;
use Test::IM::Mongo;
use Test::More;
use Time::HiRes qw/ sleep time /;

Test::IM::Mongo->skip;

plan skip_all => 'no sanitizer build'
    unless -x "$Test::IM::build/sanitize/nginx";

my $log = `$Test::IM::top/build.sh unit 2>&1`;
is $?, 0, 'the program compiles' or BAIL_OUT($log);

$ENV{LSAN_OPTIONS} //= "suppressions=$Test::IM::top/t/lsan.supp"
                       . ':print_suppressions=0';

my $program = "$Test::IM::build/sanitize/unit/im_copy";
my $app = 'rate 0; group_rate 0; group_rate_normal 0; group_rate_low 0; '
          . 'group_rate_lowest 0; allow_account_delete on; web_instances 4;';
my ($svc, $random) = ('group_open_http_svc', 1000);

$ENV{IM_TEST_STORE} = 'lmdb';

my $im = Test::IM->new->run(workers => 2, app => $app);
my $store = $im->dir . '/store';
my $mongo = Test::IM::Mongo->for_folder($store, $im->free_port);

sub text { { MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } } }

sub send_to {
    my ($from, $to, $text, %o) = @_;

    my $reply = $im->rest('openim/sendmsg', {
        From_Account => $from, To_Account => $to, MsgRandom => $random++,
        SyncOtherMachine => 1, MsgBody => [text($text)], %o });

    return $reply->code == 0 ? $reply->json('/MsgKey')
                             : fail('sendmsg: ' . $reply->text);
}

sub send_group {
    my ($from, $gid, $text) = @_;

    my $reply = $im->rest("$svc/send_group_msg", {
        GroupId => $gid, From_Account => $from, Random => $random++,
        MsgBody => [text($text)] });

    return $reply->code == 0 ? $reply->json('/MsgSeq')
                             : fail('send_group_msg: ' . $reply->text);
}

# what the program says, and its status
sub copy {
    my ($dir, @args) = @_;

    my $out = `$program $dir '@{[ $mongo->uri ]}' @args 2>&1`;

    # nginx's own sources have relative names
    unlike $out, qr{Sanitizer|^(?!src/).*runtime error:}m,
           'nothing found by a sanitizer';

    return ($? >> 8, $out);
}

# A script with the database as db; there is a client where the server is.
sub query {
    my ($script) = @_;

    my $python = dirname($Test::IM::Mongo::program) . '/python';
    my $file = path($im->dir . '/query.py')->spurt(
        "import pymongo\ndb = pymongo.MongoClient('@{[ $mongo->uri ]}').im\n"
        . $script);

    return `$python $file 2>&1` =~ s/\s+\z//r;
}

my @many = map { "m$_" } 1 .. 30;

$im->users(qw/ ann bob cid dan gone /, @many);

my $public = $im->group(Type => 'Public', owner => 'ann',
                        members => [qw/ bob cid /], Name => 'one');
my $work = $im->group(Type => 'Private', owner => 'bob',
                      members => ['ann', @many], Name => 'two');
my $ended = $im->group(Type => 'Public', owner => 'ann', members => ['bob']);

my @keys = map { send_to($_ % 2 ? ('ann', 'bob') : ('bob', 'ann'), "n$_") }
           1 .. 120;

send_to('cid', 'ann', "c$_") for 1 .. 5;
send_to('dan', 'gone', "g$_", SyncOtherMachine => 2) for 1 .. 3;
send_to('ann', 'dan', 'short', MsgLifeTime => 1);
send_group($_ % 2 ? 'ann' : 'bob', $public, "p$_") for 1 .. 60;
send_group('bob', $work, "w$_") for 1 .. 15;
send_group('ann', $ended, 'last');

$im->rest('openim/admin_msgwithdraw', {
    From_Account => 'ann', To_Account => 'bob', MsgKey => $keys[0] })
    ->code_is(0);
$im->rest("$svc/group_msg_recall", {
    GroupId => $public, MsgSeqList => [{ MsgSeq => 3 }] })->code_is(0);
$im->rest("$svc/destroy_group", { GroupId => $ended })->code_is(0);
$im->rest("$svc/forbid_send_msg", { GroupId => $public,
    Members_Account => ['cid'], MuteTime => 3600 })->code_is(0);
$im->rest('profile/portrait_set', { From_Account => 'ann', ProfileItem => [
    { Tag => 'Tag_Profile_IM_Nick', Value => "\x{5b89}" } ] })->code_is(0);
$im->rest('sns/friend_add', { From_Account => 'ann', ForceAddFlags => 1,
    AddFriendItem => [map { { To_Account => $_,
                              AddSource => 'AddSource_Type_XX' } }
                      qw/ bob cid /] })->code_is(0);
$im->rest('sns/black_list_add', { From_Account => 'ann',
                                  To_Account => ['dan'] })->code_is(0);
$im->rest('openim/admin_set_msg_read', { Report_Account => 'ann',
                                         Peer_Account => 'cid' })->code_is(0);
$im->rest('im_open_login_svc/account_delete', {
    DeleteItem => [{ UserID => 'gone' }] })->code_is(0);

my $ws = $im->ws_login('bob');
my @login = ($ws->a2, $ws->inst, $ws->tinyid);

# All messages with the peer, by pages.
sub history {
    my ($user, $peer) = @_;

    my (@list, $reply, %from);

    for (1 .. 20) {
        $reply = $im->rest('openim/admin_getroammsg', {
            From_Account => $user, To_Account => $peer, MaxCnt => 100,
            MinTime => $^T - 10, MaxTime => $^T + 600, %from });

        unshift @list, @{ $reply->json('/MsgList') // [] };
        last if ($reply->json('/Complete') // 1) == 1;

        %from = (MaxTime => $reply->json('/LastMsgTime'),
                 LastMsgKey => $reply->json('/LastMsgKey'));
    }

    return @list;
}

# All that REST tells of it, without what each answer has anew.
sub answers {
    my @commands = (
        ['im_open_login_svc/account_check', { CheckItem => [
            map { { UserID => $_ } } qw/ ann bob gone ghost /, @many ] }],
        ['profile/portrait_get', { To_Account => [qw/ ann bob /],
            TagList => ['Tag_Profile_IM_Nick'] }],
        ['sns/friend_get', { From_Account => 'ann', StartIndex => 0 }],
        ['sns/friend_get', { From_Account => 'bob', StartIndex => 0 }],
        ['sns/black_list_get', { From_Account => 'ann', StartIndex => 0,
                                 MaxLimited => 20, LastSequence => 0 }],
        (map { ['openim/get_c2c_unread_msg_num', { To_Account => $_ }] }
            qw/ ann bob cid /),
        (map { ['recentcontact/get_list', {
            From_Account => $_, TimeStamp => 0, StartIndex => 0,
            TopTimeStamp => 0, TopStartIndex => 0, AssistFlags => 15 }] }
            qw/ ann bob cid /),
        ["$svc/get_group_info", { GroupIdList => [$public, $work, $ended] }],
        (map { ["$svc/get_group_member_info", { GroupId => $_,
                                                Limit => 100 }],
               ["$svc/group_msg_get_simple", { GroupId => $_,
                                               ReqMsgNumber => 20 }] }
             $public, $work),
        (map { ["$svc/get_joined_group_list", { Member_Account => $_ }] }
             qw/ ann bob m7 /),
        ["$svc/get_group_muted_account", { GroupId => $public }],
        ["$svc/get_appid_group_list", { Limit => 100 }],
    );

    my @history = map { ["history of @$_", [history(@$_)]] }
                  ['ann', 'bob'], ['bob', 'ann'], ['ann', 'cid'];

    return @history, map {
        my $data = $im->rest(@$_)->data;
        delete @$data{qw/ RequestId TimeStamp /};

        # what is left of a mute counts down
        s/"MutedUntil":\K\d+/0/ for my $text = encode_json($data);

        [$_->[0], Mojo::JSON::decode_json($text)]
    } @commands;
}

sleep 1.5;                       # the short message expires

my @before = answers();

my @wrong = grep { ref $_->[1] eq 'HASH' && $_->[1]{ErrorCode} } @before;

is join(' ', map { $_->[0] } @wrong), '',
   'the commands have answers';

is scalar @{ $before[0][1] }, 120, 'all messages of two users';

my $last = $im->rest("$svc/group_msg_get_simple", {
    GroupId => $public, ReqMsgNumber => 1 })->json('/RspMsgList/0/MsgSeq');

cmp_ok $last, '>=', 60, 'messages of a group';

subtest 'refused' => sub {
    my ($rc, $out) = copy($store);

    is $rc, 1, 'while nginx runs';
    like $out, qr/process \d+ has the store open: stop nginx first/, 'told';

    ($rc, $out) = copy($im->dir);
    is $rc, 1, 'no store';
    like $out, qr/opening ".*im\.mdb" failed: No such file/, 'told';

    ($rc, $out) = copy($store, 0);
    is $rc, 2, 'a bulk of no rows';

    is query('print(sorted(db.list_collection_names()))'), '[]',
       'nothing was written';
};

$ws->cut;
$im->stop('nginx ends');

# --- killed in the middle, with small bulks

{
    my $pid = open my $fh, '-|',
        "exec $program $store '@{[ $mongo->uri ]}' 5 2>&1" or die "fork: $!";
    my $text = '';

    while (my $line = <$fh>) {
        $text .= $line;
        last if $line =~ m{^inbox +(\d+)/(\d+) rows$} && $1 < $2
                || $line =~ /^conv /;
    }

    kill KILL => $pid;
    close $fh;

    like $text, qr{^account +(\d+)/\1 rows$}m, 'progress of tables';
    like $text, qr{^inbox +\d+/\d+ rows$}m, 'and in one';
    unlike $text, qr/ended/, 'it was killed before its end';
}

subtest 'no worker takes what is not whole' => sub {
    my $dir = File::Temp::tempdir(CLEANUP => 1);

    local $ENV{IM_TEST_STORE} = 'mongo';
    $im->write_conf;

    my $pid = fork // die "fork: $!";

    if ($pid == 0) {
        open STDERR, '>', '/dev/null';
        exec Test::IM->nginx, '-p', $im->dir . '/', '-c',
             $im->dir . '/nginx.conf', '-e', "$dir/error.log",
             '-g', "error_log $dir/error.log;"
            or POSIX::_exit(127);
    }

    my $log = sub { (eval { path("$dir/error.log")->slurp } // '')
                    . $im->log_text };

    ok $im->wait_for(sub { $log->() =~ /the copy into it has not ended/ },
                     60), 'told in the log';
    kill QUIT => $pid;
    waitpid $pid, 0;
    $im->allow_log(qr/the copy into it has not ended/,
                   qr/worker could not start "store"/,
                   qr/worker process \d+ exited with fatal code/);
};

subtest 'it goes on' => sub {
    my ($rc, $out) = copy($store);

    is $rc, 0, 'to the end' or diag $out;
    like $out, qr/^the copy goes on$/m, 'told';
    like $out, qr/^the copy has ended: all \d+ rows are there$/m, 'told';
    like $out, qr{^inbox +(\d+)/\1 rows$}m, 'rows of a table';
    like $out, qr{^c2c +(\d+)/\1 rows verified$}m, 'compared';
};

subtest 'once more' => sub {
    my $ids = 'print([str(d["_id"]) for n in ("inbox", "member", "login") '
              . 'for d in db[n].find().sort("_id")])';
    my $before = query($ids);
    my ($rc, $out) = copy($store);

    is $rc, 0, 'is no failure';
    like $out, qr/^the copy has ended before$/m, 'told';
    like $out, qr/^nothing to copy: all \d+ rows are there$/m, 'told';
    like $before, qr/^\['[0-9a-f]{24}'/, 'there are documents';
    is query($ids), $before, 'they are the same';
};

is query('d = db.inbox.find_one({"user": "gone"}, sort=[("seq", -1)]); '
         . 'print(sorted(d), d["seq"], d["expire"], '
         . 'db.inbox.count_documents({"user": "gone"}))'),
   "['_e', '_id', 'app', 'expire', 'seq', 'user'] 3 1 1",
   'the last number of a stream that is gone';

is query('print(sorted(db.group_msg.index_information()))'),
   "['_id_', 'dk', 'expire', 'key', 'modified', 'nocount', 'recall']",
   'the indexes';

# --- nginx on the copy

$ENV{IM_TEST_STORE} = 'mongo';
$im->run(workers => 2, app => $app);

my @after = answers();

for my $i (0 .. $#before) {
    is_deeply $after[$i], $before[$i], "$before[$i][0] answers the same";
}

subtest 'the numbers go on' => sub {
    is send_group('ann', $public, 'next'), $last + 1, 'of a group';
    is send_group('bob', $work, 'next'), 16, 'of another one';

    my $key = send_to('ann', 'bob', 'next');
    my @list = history('bob', 'ann');

    is scalar @list, 121, 'the history has one more';
    is $list[-1]{MsgKey}, $key, 'at its end';

    is query('print([d["seq"] for d in db.inbox.find({"user": "bob"})'
             . '.sort("seq")] == list(range(1, 1 + db.inbox.'
             . 'count_documents({"user": "bob"}))))'), 'True',
       'an inbox without holes';

    $im->users('gone');
    send_to('dan', 'gone', 'again', SyncOtherMachine => 2);

    is query('print(db.inbox.find_one({"user": "gone"}, '
             . 'sort=[("seq", -1)])["seq"])'), '4',
       'a stream that was gone';

    my $gid = $im->group(Type => 'Public', owner => 'ann');
    is send_group('ann', $gid, 'first'), 1, 'a new group is none of the old';
};

subtest 'logins go on' => sub {
    $ws->open;
    $ws->wslogin->code_is(0, 'login by a2');
    is_deeply [$ws->a2, $ws->inst, $ws->tinyid], \@login,
              'the same instance';
    send_to('cid', 'bob', 'hello');
    ok $ws->next_event(sub { encode_json($_[0]) =~ /hello/ }),
       'it gets messages';
    $ws->close;
};

subtest 'what is not a copy of this store' => sub {
    $im->stop('nginx ends');

    $ENV{IM_TEST_STORE} = 'lmdb';
    $im->run(workers => 1, app => $app);
    send_to('ann', 'bob', 'later');
    $im->stop('nginx ends');

    my ($rc, $out) = copy($store);
    is $rc, 1, 'is refused';
    like $out, qr/nginx has written to the store since the copy began/,
         'told';

    query('db["copy"].drop()');
    ($rc, $out) = copy($store);
    is $rc, 1, 'a database that nginx uses, too';
    like $out, qr/nginx uses the database "im" already/, 'told';
};

done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Dirty words: the app's list, the file of the configuration, and the texts
# that are refused for them.

use strict;
use warnings;
use utf8;

use lib 't/lib';

use Mojo::File qw/ tempfile /;
use Mojo::JSON qw/ decode_json /;
use Test::IM;
use Test::IM::Sns;
use Test::More;

my $file = tempfile;
$file->spurt("# of the operator\r\n\r\n  forbidden fruit \r\n",
             "\x{e7}\x{a6}\x{81}");

my $im = Test::IM->new->run(workers => 2, app => 'rate 0; '
    . 'dirty_word_delay 0; friend_field Note; profile_field Team; '
    . "web_instances 4; dirty_words $file;");

sns_server($im);
$im->users(qw/ ann bob cat dan /);

sub words {
    my ($command, $body, %o) = @_;

    return $im->rest("openim_dirty_words/$command", $body // {}, %o);
}

sub list { return words(get => $_[0])->code_is(0)->json('/DirtyWordsList') }

sub add_words { words(add => { DirtyWordsList => [@_] })->code_is(0) }

# of a message of the app to bob, on any worker
sub says {
    my ($text, %o) = @_;

    return $im->rest('openim/sendmsg', { To_Account => 'bob',
        MsgRandom => int rand 4e9, MsgBody => [{ MsgType => 'TIMTextElem',
        MsgContent => { Text => $text } }], %o });
}

subtest 'the list' => sub {
    is_deeply list(), [], 'empty at first';

    add_words(' fake coins ', "buy likes\n", 'Fake Coins', 'fake coins');
    is_deeply list(), ['fake coins', 'buy likes', 'Fake Coins'],
        'in the order of adding, each once, without blanks around';

    add_words('buy likes', 'zoo');
    is_deeply list(), ['fake coins', 'buy likes', 'Fake Coins', 'zoo'],
        'words that are there are ignored';

    words(delete => { DirtyWordsList => ['Fake Coins', 'unknown'] })
        ->code_is(0);
    is_deeply list(), ['fake coins', 'buy likes', 'zoo'], 'deleted';

    add_words(map { "word$_" } $_ * 100 .. $_ * 100 + 99) for 1 .. 2;
    is scalar @{ list() }, 203, 'all of them';
    is scalar @{ list({ Page => 0 }) }, 200, 'the first page';
    is_deeply list({ Page => 1 }), [qw/ word297 word298 word299 /],
        'the last one';
    is_deeply list({ Page => 2 }), [], 'none behind it';

    my $reply = words(get => '', method => 'GET')->code_is(0);
    is scalar @{ $reply->json('/DirtyWordsList') }, 203, 'by GET';
    $reply = words(get => '', method => 'GET', query => { Page => 1 })
        ->code_is(0);
    is scalar @{ $reply->json('/DirtyWordsList') }, 3, 'a page by GET';
    words(get => '')->code_is(0);
    words(delete => { DirtyWordsList => [map { "word$_" }
        $_ * 100 .. $_ * 100 + 99] })->code_is(0) for 1 .. 2;
};

subtest 'what is refused' => sub {
    for my $command (qw/ add delete /) {
        words($command => $_)->code_is(10004)
            for {}, { DirtyWordsList => 'word' }, { DirtyWordsList => [] },
                { DirtyWordsList => [1] }, { DirtyWordsList => [' '] },
                { DirtyWordsList => ['x' x 201] },
                { DirtyWordsList => ["a\0b"] },
                { DirtyWordsList => [map { "w$_" } 1 .. 101] };
        words($command => { DirtyWordsList => ['word'] }, user => 'ann')
            ->code_is(10007);
    }

    words(get => { Page => $_ })->code_is(10004) for 'one', -1;
    words(get => '', method => 'GET', query => { Page => 'x' })
        ->code_is(60002);
    words(get => {}, user => 'ann')->code_is(10007);
    words(replace => {})->code_is(10003);
    $im->rest('openim_dirty_words/add', '{')->code_is(10011);
    is_deeply list(), ['fake coins', 'buy likes', 'zoo'], 'nothing changed';

    add_words('y' x 200);
    words(delete => { DirtyWordsList => ['y' x 200] })->code_is(0);
};

subtest 'how texts are compared' => sub {
    add_words('Straße', '你好', 'ａＢc1');

    says($_)->code_is(80001)
        for 'fake coins', 'no FAKE Coins here', 'xfake coinsx', 'ZoO',
            'ｚoＯ', 'an der straße 5', '说你好吗', 'ABC1', 'ａｂｃ１',
            'fafake coins', 'forbidden fruit', 'the Forbidden Fruits',
            "\x{7981}", 'buy buy likes';

    says($_)->code_is(0)
        for 'fake  coins', 'fake', 'STRASSE', 'STRAßE'
            =~ s/ß/ss/r, '你', '好', 'zo o', 'forbidden', 'word100';
};

subtest 'messages' => sub {
    my $elem = sub { { MsgType => $_[0], MsgContent => $_[1] } };

    $im->rest('openim/sendmsg', { To_Account => 'bob',
        MsgRandom => int rand 4e9, MsgBody => [
            $elem->(TIMTextElem => { Text => 'fine' }),
            $elem->(TIMTextElem => { Text => 'a zoo' })] })->code_is(80001);
    $im->rest('openim/sendmsg', { To_Account => 'bob',
        MsgRandom => int rand 4e9, MsgBody => [
            $elem->(TIMCustomElem => { Data => 'zoo', Desc => 'zoo',
                                       Ext => 'zoo', Sound => '' })] })
        ->code_is(0);
    says('zoo', SendMsgControl => ['NoMsgCheck'])->code_is(0);
    says('zoo', MsgLifeTime => 0)->code_is(80001);
    $im->rest('openim/batchsendmsg', { To_Account => ['bob'],
        MsgRandom => 7, MsgBody => [$elem->(TIMTextElem => {
            Text => 'zoo' })] })->code_is(0);

    # with one who has it, a batch is sent one by one
    my $batch = sub {
        my ($to, %o) = @_;
        my $reply = $im->rest('openim/batchsendmsg', { To_Account => $to,
            From_Account => 'ann', MsgSeq => 5, MsgRandom => 9,
            MsgBody => [$elem->(TIMTextElem => { Text => 'zoo' })], %o })
            ->code_is(0);
        is $reply->json('/ErrorList'), undef, 'all of the batch';
    };

    $batch->(['bob']);
    $batch->(['cat', 'bob', 'dan']);
    is @{ $im->rest('openim/admin_getroammsg', { From_Account => 'ann',
        To_Account => $_, MaxCnt => 10, MinTime => 0, MaxTime => time + 9 })
        ->json('/MsgList') }, 1, "$_ has it" for qw/ bob cat dan /;
    $batch->(['bob', 'cat'], MsgRandom => 10, MsgLifeTime => 0);

    $im->rest('openim/importmsg', { SyncFromOldSystem => 2,
        From_Account => 'ann', To_Account => 'bob', MsgRandom => 11,
        MsgTimeStamp => time - 9, MsgBody => [$elem->(TIMTextElem => {
            Text => 'zoo' })] })->code_is(0);

    my $gid = $im->group(Type => 'Public', owner => 'ann');
    my $send = sub {
        return $im->rest('group_open_http_svc/send_group_msg', {
            GroupId => $gid, From_Account => 'ann', Random => int rand 4e9,
            MsgBody => [$elem->(TIMTextElem => { Text => $_[0] })], %{
            $_[1] // {} } });
    };

    $send->('zoo')->code_is(80001);
    $send->('fine')->code_is(0);
    $send->('zoo', { OnlineOnlyFlag => 1 })->code_is(80001);
    $send->('zoo', { SendMsgControl => ['NoMsgCheck'] })->code_is(0);

    $im->rest('group_open_http_svc/import_group', { Type => 'Public',
        Name => 'old', GroupId => 'old', Owner_Account => 'ann',
        CreateTime => 1000000000 })->code_is(0);

    my $reply = $im->rest('group_open_http_svc/import_group_msg', {
        GroupId => 'old', MsgList => [map { {
            From_Account => 'ann', SendTime => 1000000001 + $_, Random => $_,
            MsgBody => [$elem->(TIMTextElem => {
                Text => $_ == 2 ? 'zoo' : 'fine' })] } } 1 .. 3] })
        ->code_is(0);
    is_deeply [map { $_->{Result} } @{ $reply->json('/ImportMsgResult') }],
        [0, 80001, 0], 'an imported one';
};

subtest 'clients' => sub {
    my $ws = $im->ws_login('ann');
    my $says = sub {
        return $ws->request('openim.sendmsg', { To_Account => 'bob',
            MsgTimeStamp => time, MsgSeq => 1 + int rand 1e6,
            MsgRandom => int rand 4e9, MsgBody => [{
                MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } }],
            SendMsgControl => ['NoMsgCheck'] });
    };

    $says->('the zoo')->code_is(80001);  # that is for administrators
    $says->('the park')->code_is(0);
};

subtest 'groups' => sub {
    my $create = sub {
        return $im->rest('group_open_http_svc/create_group', {
            Type => 'Public', Name => 'clean', Owner_Account => 'ann', @_ });
    };

    $create->($_ => 'zoo')->code_is(80001)
        for qw/ Name Introduction Notification /;
    my $gid = $create->()->code_is(0)->json('/GroupId');

    my $modify = sub {
        return $im->rest('group_open_http_svc/modify_group_base_info', {
            GroupId => $gid, @_ });
    };

    $modify->($_ => 'zoo')->code_is(80001)
        for qw/ Name Introduction Notification /;
    $modify->(Name => 'park')->code_is(0);

    $im->rest('group_open_http_svc/modify_group_member_info', {
        GroupId => $gid, Member_Account => 'ann', NameCard => 'zoo' })
        ->code_is(80001);
};

subtest 'profiles' => sub {
    my $set = sub {
        return $im->rest('profile/portrait_set', { From_Account => 'ann',
            ProfileItem => [{ Tag => "Tag_Profile_$_[0]",
                              Value => $_[1] }] });
    };

    $set->($_, 'zoo')->code_is(40005)
        for qw/ IM_Nick IM_SelfSignature IM_Location Custom_Team /;
    $set->(IM_Nick => 'Ann')->code_is(0);
    $set->(IM_Gender => 'Gender_Type_Male')->code_is(0);
    $im->rest('im_open_login_svc/account_import', { Identifier => 'zed',
        Nick => 'zoo' })->code_is(40005);
};

subtest 'relations' => sub {
    my $bad = [30005];

    is_deeply codes(add('ann', 'bob', @$_)), $bad, "friend_add $_->[0]"
        for [Remark => 'zoo'], [GroupName => 'zoo'], [AddWording => 'zoo'];
    is add('ann', 'bob', Remark => 'zoo')->json('/ResultItem/0/ResultInfo'),
        'Err_SNS_FriendAdd_Dirty_Word', 'ResultInfo';
    is_deeply codes(add('ann', 'bob')), [0], 'a clean one';

    is_deeply codes(sns('friend_import', 'ann', AddFriendItem => [{
        To_Account => 'bob', AddSource => 'AddSource_Type_a', @$_ }])),
        $bad, "friend_import $_->[0]"
        for [Remark => 'zoo'], [GroupName => ['a', 'zoo']],
            [CustomItem => [{ Tag => 'Tag_SNS_Custom_Note',
                              Value => 'zoo' }]];

    is_deeply codes(sns('friend_update', 'ann', UpdateItem => [{
        To_Account => 'bob', SnsItem => [{ Tag => "Tag_SNS_$_->[0]",
                                           Value => $_->[1] }] }])),
        $bad, "friend_update $_->[0]"
        for [IM_Remark => 'zoo'], [IM_Group => ['zoo']],
            [Custom_Note => 'zoo'];

    is_deeply codes(sns('friend_response', 'ann', ResponseFriendItem => [{
        To_Account => 'bob', ResponseAction => 'Response_Action_Agree',
        Remark => 'zoo' }])), $bad, 'friend_response';

    sns('group_add', 'ann', GroupName => ['a', 'zoo'])->code_is(30005);
    sns('group_add', 'ann', GroupName => ['wood'])->code_is(0);
    sns('group_update', 'ann', GroupOldName => 'wood',
        GroupNewName => 'zoo')->code_is(30005);
    add_words('wood');
    sns('group_delete', 'ann', GroupName => ['wood'])->code_is(0);
};

subtest 'another app, limits, a reload' => sub {
    my $small = Test::IM->new->run(workers => 2,
        app => 'rate 0; dirty_words_max 3; dirty_word_delay 0;');
    $small->users(qw/ ann bob /);

    my $add = sub {
        return $small->rest('openim_dirty_words/add',
                            { DirtyWordsList => [@_] });
    };

    $add->(qw/ one two /)->code_is(0);
    $add->(qw/ three four /)->code_is(10004);
    $add->(qw/ two three /)->code_is(0);
    $add->(qw/ one two three /)->code_is(0);
    $add->('four')->code_is(10004);
    is_deeply $small->rest('openim_dirty_words/get')
        ->json('/DirtyWordsList'), [qw/ one two three /],
        'all of a request or none';

    my $says = sub {
        return $small->rest('openim/sendmsg', { To_Account => 'bob',
            MsgRandom => int rand 4e9, MsgBody => [{
            MsgType => 'TIMTextElem', MsgContent => { Text => $_[0] } }] });
    };

    $says->('one')->code_is(80001) for 1 .. 6;
    $small->reload;
    $says->('two')->code_is(80001) for 1 .. 6;
    $small->rest('openim_dirty_words/delete',
                 { DirtyWordsList => [qw/ one two three /] })->code_is(0);
    $says->('two')->code_is(0) for 1 .. 6;
};

done_testing;

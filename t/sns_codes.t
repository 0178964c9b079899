#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# Every condition of the commands of relations, with its number of today and
# that of 2018.

use strict;
use warnings;

use lib 't/lib';

use Mojo::JSON qw/ decode_json encode_json /;
use Test::IM;
use Test::IM::Sns;
use Test::More;
use Time::HiRes qw/ time /;

my $im;

my %source = (AddSource => 'AddSource_Type_a');

# An account or a few of them, each with its own friends; made anew for a row.
my $n = 0;

sub users { my @u = map { 'u' . ++$n } 1 .. $_[0]; $im->users(@u); return @u }

# The code of the whole request, or of its only item.
sub code {
    my ($reply) = @_;

    my $code = $reply->json('/ErrorCode');
    my ($list) = grep { ref $_ } map { $reply->json("/$_") }
                 qw/ ResultItem InfoItem BlackListCheckItem /;

    return $code || !$list || !@$list ? $code : $list->[-1]{ResultCode};
}

sub import_one {
    my ($from, $to, %item) = @_;

    return sns('friend_import', $from, AddFriendItem => [{
        To_Account => $to, %source, %item }]);
}

sub update {
    my ($from, $to, $tag, $value) = @_;

    return sns('friend_update', $from, UpdateItem => [{ To_Account => $to,
        SnsItem => [{ Tag => $tag, Value => $value }] }]);
}

sub respond {
    my ($from, $to, %item) = @_;

    return sns('friend_response', $from, ResponseFriendItem => [{
        To_Account => $to, ResponseAction => 'Response_Action_AgreeAndAdd',
        %item }]);
}

# a request that waits for the second one
sub asked {
    my ($from, $to) = users(2);

    allow($to, 'NeedConfirm');
    add($from, $to);

    return ($to, $from);
}

sub full {
    my ($user) = @_;

    my @friends = users(2);
    import_one($user, $_) for @friends;

    return @friends;
}

my @many = map { "x$_" } 1 .. 1001;


# name, number of today, that of 2018, the request

my @rows = (
    ['friend_add: AddSource', 30001, 30501, sub {
        add(users(2), AddSource => 'web') }],
    ['friend_add: remark', 30001, 30502, sub {
        add(users(2), Remark => 'x' x 97) }],
    ['friend_add: wording', 30001, 30502, sub {
        add(users(2), AddWording => 'x' x 257) }],
    ['friend_add: name of a group', 30001, 30502, sub {
        add(users(2), GroupName => 'x' x 31) }],
    ['friend_add: nobody', 30001, 30503, sub { add(users(1), []) }],
    ['friend_add: too many', 30001, 30503, sub { add(users(1), \@many) }],
    ['friend_add: AddType', 30001, 30541, sub {
        add(users(2), AddType => 'x') }],
    ['friend_add: forced by a user', 30004, 30542, sub {
        my ($a, $b) = users(2);
        return $im->rest('sns/friend_add', { From_Account => $a,
            ForceAddFlags => 1, AddFriendItem => [{ To_Account => $b,
            %source }] }, user => $a) }],
    ['friend_add: for another one', 30004, 30004, sub {
        my ($a, $b) = users(2);
        return $im->rest('sns/friend_add', { From_Account => $a,
            AddFriendItem => [{ To_Account => $b, %source }] },
            user => $b) }],
    ['friend_add: From_Account', 30003, 30003, sub {
        add('nobody', users(1)) }],
    ['friend_add: To_Account', 30003, 30003, sub {
        add(users(1), 'nobody') }],
    ['friend_add: oneself', 30001, 30001, sub {
        my ($a) = users(1); add($a, $a) }],
    ['friend_add: a friend', 30001, 30520, sub {
        my ($a, $b) = users(2); import_one($a, $b); add($a, $b) }],
    ['friend_add: full', 30010, 30519, sub {
        my ($a, $b) = users(2); full($a); add($a, $b) }],
    ['friend_add: peer full', 30014, 30535, sub {
        my ($a, $b) = users(2); full($b); add($a, $b) }],
    ['friend_add: groups', 30011, 30518, sub {
        my ($a, $b) = users(2);
        sns('group_add', $a, GroupName => [qw/ one two /]);
        add($a, $b, GroupName => 'three') }],
    ['friend_add: listed', 30515, 30515, sub {
        my ($a, $b) = users(2);
        sns('black_list_add', $a, To_Account => [$b]);
        add($a, $b) }],
    ['friend_add: listed by the peer', 30525, 30525, sub {
        my ($a, $b) = users(2);
        sns('black_list_add', $b, To_Account => [$a]);
        add($a, $b, ForceAddFlags => 1) }],
    ['friend_add: denied', 30516, 30516, sub {
        my ($a, $b) = users(2); allow($b, 'DenyAny'); add($a, $b) }],
    ['friend_add: asked', 30539, 30539, sub {
        my ($a, $b) = users(2); allow($b, 'NeedConfirm'); add($a, $b) }],
    ['friend_add: requests', 30012, 30517, sub {
        my ($a, $b, $c) = users(3);
        allow($c, 'NeedConfirm');
        add($b, $c);
        add($a, $c) }],
    ['friend_add: forbidden', 30009, 30545, sub {
        my ($a, $b) = users(2);
        allow($a, 'AllowAny', 'AdminForbid_Type_SendOut');
        add($a, $b) }],
    ['friend_add: rate', 30540, 30540, sub {
        my ($a, $b, $c, $d) = users(4);
        return $im->rest('sns/friend_add', { From_Account => $a,
            AddFriendItem => [map { { To_Account => $_, %source } }
                              $b, $c, $d] }, user => $a) }],

    ['friend_import: AddSource', 30001, 30801, sub {
        import_one(users(2), AddSource => 'x') }],
    ['friend_import: remark', 30001, 30801, sub {
        import_one(users(2), Remark => 'x' x 97) }],
    ['friend_import: unknown Tag', 30001, 30801, sub {
        import_one(users(2), CustomItem => [{ Tag => 'Tag_SNS_Custom_X',
                                              Value => 'x' }]) }],
    ['friend_import: full', 30010, 30812, sub {
        my ($a, $b) = users(2); full($a); import_one($a, $b) }],
    ['friend_import: groups', 30011, 30813, sub {
        import_one(users(2), GroupName => [qw/ one two three /]) }],
    ['friend_import: To_Account', 30003, 30003, sub {
        import_one(users(1), 'nobody') }],

    ['friend_response: action', 30001, 30601, sub {
        respond(asked(), ResponseAction => 'x') }],
    ['friend_response: nobody', 30001, 30603, sub {
        sns('friend_response', users(1), ResponseFriendItem => []) }],
    ['friend_response: no request', 30614, 30614, sub {
        respond(users(2)) }],
    ['friend_response: full', 30010, 30615, sub {
        my ($a, $b) = asked(); full($a); respond($a, $b) }],
    ['friend_response: peer full', 30014, 30630, sub {
        my ($a, $b) = asked(); full($b); respond($a, $b) }],
    ['friend_response: groups', 30011, 30616, sub {
        my ($a, $b) = asked();
        sns('group_add', $a, GroupName => [qw/ one two /]);
        respond($a, $b, TagName => 'three') }],

    ['friend_update: unknown Tag', 30001, 30701, sub {
        my ($a, $b) = users(2); import_one($a, $b);
        update($a, $b, Tag_SNS_IM_AddSource => 'x') }],
    ['friend_update: remark', 30001, 30701, sub {
        my ($a, $b) = users(2); import_one($a, $b);
        update($a, $b, Tag_SNS_IM_Remark => 'x' x 97) }],
    ['friend_update: not a friend', 30001, 30712, sub {
        update(users(2), Tag_SNS_IM_Remark => 'x') }],
    ['friend_update: groups', 30011, 30713, sub {
        my ($a, $b) = users(2); import_one($a, $b);
        update($a, $b, Tag_SNS_IM_Group => [qw/ one two three /]) }],

    ['friend_delete: nobody', 30001, 31701, sub {
        sns('friend_delete', users(1), To_Account => []) }],
    ['friend_delete: DeleteType', 30001, 31702, sub {
        my ($a, $b) = users(2);
        sns('friend_delete', $a, To_Account => [$b], DeleteType => 'x') }],
    ['friend_delete_all: DeleteType', 30001, 31702, sub {
        sns('friend_delete_all', users(1), DeleteType => 'x') }],
    ['friend_delete: not a friend', 31704, 31704, sub {
        my ($a, $b) = users(2); import_one($b, $a);
        sns('friend_delete', $a, To_Account => [$b]) }],
    ['friend_delete: rate', 31707, 31707, sub {
        my ($a, $b, $c, $d) = users(4);
        return $im->rest('sns/friend_delete', { From_Account => $a,
            To_Account => [$b, $c, $d] }, user => $a) }],

    ['friend_check: CheckType', 30001, 30901, sub {
        my ($a, $b) = users(2);
        sns('friend_check', $a, To_Account => [$b], CheckType => 'x') }],
    ['friend_check: too many', 30001, 30901, sub {
        sns('friend_check', users(1), To_Account => \@many,
            CheckType => 'CheckResult_Type_Both') }],
    ['friend_check: To_Account', 30003, 30003, sub {
        sns('friend_check', users(1), To_Account => ['nobody'],
            CheckType => 'CheckResult_Type_Singal') }],

    ['friend_get_all: Tag', 30001, 31101, sub {
        sns('friend_get_all', users(1), StartIndex => 0,
            TagList => ['Tag_SNS_IM_X']) }],
    ['friend_get_all: Tags', 30001, 31102, sub {
        sns('friend_get_all', users(1), StartIndex => 0,
            TagList => [('Tag_SNS_IM_Remark') x 31]) }],
    ['friend_get_list: too many', 30001, 31201, sub {
        sns('friend_get_list', users(1), To_Account => [@many[0 .. 100]],
            TagList => ['Tag_SNS_IM_Remark']) }],
    ['friend_get_list: Tag', 30001, 31201, sub {
        my ($a, $b) = users(2);
        sns('friend_get_list', $a, To_Account => [$b],
            TagList => ['Tag_SNS_IM_X']) }],
    ['friend_get_list: Tags', 30001, 31202, sub {
        my ($a, $b) = users(2);
        sns('friend_get_list', $a, To_Account => [$b],
            TagList => [('Tag_SNS_IM_Remark') x 31]) }],
    ['friend_get_list: not a friend', 30001, 31211, sub {
        my ($a, $b) = users(2);
        sns('friend_get_list', $a, To_Account => [$b]) }],

    ['pendency_get: type', 30001, 31001, sub {
        sns('pendency_get', users(1), PendencyType => 'x') }],
    ['pendency_delete: type', 30001, 31802, sub {
        my ($a, $b) = users(2);
        sns('pendency_delete', $a, To_Account => [$b],
            PendencyType => 'Pendency_Type_Both') }],
    ['pendency_delete: nobody', 30001, 31801, sub {
        sns('pendency_delete', users(1), To_Account => [],
            PendencyType => 'Pendency_Type_ComeIn') }],
    ['pendency_delete: no request', 31804, 31804, sub {
        my ($a, $b) = users(2);
        sns('pendency_delete', $a, To_Account => [$b],
            PendencyType => 'Pendency_Type_ComeIn') }],

    ['black_list_add: nobody', 30001, 31301, sub {
        sns('black_list_add', users(1), To_Account => []) }],
    ['black_list_add: twice', 30001, 31307, sub {
        my ($a, $b) = users(2);
        sns('black_list_add', $a, To_Account => [$b]);
        sns('black_list_add', $a, To_Account => [$b]) }],
    ['black_list_add: full', 30013, 31309, sub {
        my ($a, @b) = users(4);
        sns('black_list_add', $a, To_Account => \@b) }],
    ['black_list_add: oneself', 30001, 30001, sub {
        my ($a) = users(1);
        sns('black_list_add', $a, To_Account => [$a]) }],
    ['black_list_add: To_Account', 30003, 30003, sub {
        sns('black_list_add', users(1), To_Account => ['nobody']) }],
    ['black_list_check: nobody', 30001, 31401, sub {
        sns('black_list_check', users(1), To_Account => [],
            CheckType => 'BlackCheckResult_Type_Both') }],
    ['black_list_check: CheckType', 30001, 31404, sub {
        my ($a, $b) = users(2);
        sns('black_list_check', $a, To_Account => [$b],
            CheckType => 'CheckResult_Type_Both') }],
    ['black_list_delete: nobody', 30001, 31501, sub {
        sns('black_list_delete', users(1), To_Account => []) }],
    ['black_list_delete: not listed', 30001, 31503, sub {
        my ($a, $b) = users(2);
        sns('black_list_delete', $a, To_Account => [$b]) }],
    ['black_list_get: MaxLimited', 30001, 31601, sub {
        sns('black_list_get', users(1), StartIndex => 0,
            MaxLimited => 1001) }],

    ['group_add: no name', 30001, 32201, sub {
        sns('group_add', users(1), GroupName => []) }],
    ['group_add: too many names', 30001, 32201, sub {
        sns('group_add', users(1), GroupName => [@many[0 .. 32]]) }],
    ['group_add: length', 30001, 32202, sub {
        sns('group_add', users(1), GroupName => ['']) }],
    ['group_add: groups', 30011, 32215, sub {
        sns('group_add', users(1), GroupName => [qw/ one two three /]) }],
    ['group_add: taken', 30001, 32218, sub {
        my ($a) = users(1);
        sns('group_add', $a, GroupName => ['one']);
        sns('group_add', $a, GroupName => ['one']) }],
    ['group_add: not a friend', 32216, 32216, sub {
        my ($a, $b) = users(2);
        sns('group_add', $a, GroupName => ['one'], To_Account => [$b]) }],
    ['group_delete: no name', 30001, 32301, sub {
        sns('group_delete', users(1), GroupName => []) }],
    ['group_delete: none such', 30001, 32309, sub {
        sns('group_delete', users(1), GroupName => ['one']) }],
    ['group_update: none such', 32507, 32507, sub {
        sns('group_update', users(1), GroupOldName => 'one',
            GroupNewName => 'two') }],
    ['group_update: length', 32503, 32503, sub {
        my ($a) = users(1);
        sns('group_add', $a, GroupName => ['one']);
        sns('group_update', $a, GroupOldName => 'one',
            GroupNewName => 'x' x 31) }],
    ['group_update: taken', 32506, 32506, sub {
        my ($a) = users(1);
        sns('group_add', $a, GroupName => [qw/ one two /]);
        sns('group_update', $a, GroupOldName => 'one',
            GroupNewName => 'two') }],
    ['group_update: nothing', 32522, 32522, sub {
        my ($a) = users(1);
        sns('group_add', $a, GroupName => ['one']);
        sns('group_update', $a, GroupOldName => 'one') }],
    (map { my ($name, $code, $type, $friend, $before) = @$_;
        ["group_update: $name", $code, $code, sub {
            my ($a, $b) = users(2);
            import_one($a, $b, $before ? (GroupName => ['one']) : ())
                if $friend;
            sns('group_add', $a, GroupName => ['one']);
            sns('group_update', $a, GroupOldName => 'one',
                UpdateGroupItem => [{ To_Account => $b,
                                      UpdateType => $type }]) }] }
        ['type', 32505, 'x', 1, 0],
        ['not a friend', 32518, 'Update_Type_Add', 0, 0],
        ['in it', 32519, 'Update_Type_Add', 1, 1],
        ['not in it', 32520, 'Update_Type_Delete', 1, 0]),
);

# All at once; the codes of the items and how often each came.
sub burst {
    my ($command, @bodies) = @_;
    my ($done, %codes) = 0;

    for my $body (@bodies) {
        my $tx = $im->ua->build_tx(POST => $im->url("/v4/sns/$command",
            sdkappid => $im->app_id, identifier => $im->admin, random => 1,
            usersig => $im->usersig($im->admin), contenttype => 'json'),
            encode_json($body));

        $im->ua->start_p($tx)->then(sub {
            my $json = $_[0]->res->json // {};
            my $item = $json->{ResultItem} ? $json->{ResultItem}[0] : {};
            $codes{ $json->{ErrorCode} || $item->{ResultCode} // -1 }++;
        })->catch(sub { })->finally(sub { $done++ });
    }

    my $end = time + 60;
    my $timer = Mojo::IOLoop->recurring(0.01 => sub { });
    Mojo::IOLoop->one_tick while $done < @bodies && time < $end;
    Mojo::IOLoop->remove($timer);

    return \%codes;
}

for my $b (0, 1) {
    my $set = $b ? '2018' : 'today';

    $im = Test::IM->new->run(workers => 2, app => 'rate 0; friends_max 2;
        friend_groups_max 2; blacklist_max 2; pendency_max 1; friend_rate 2;'
        . ($b ? ' b_codes on;' : ''),
        # all of the writers may wait for their turn
        im => 'commit_queue 10000 64m 60s;');
    sns_server($im);

    subtest "numbers of $set" => sub {
        for my $row (@rows) {
            my ($name, $a_code, $b_code, $request) = @$row;
            my $reply = $request->();

            is code($reply), $b ? $b_code : $a_code, $name
                or diag $reply->text;
        }
    };

    # where commits are fast, writers hardly ever meet so often

    subtest "many writers of one row, numbers of $set" => sub {
        plan skip_all => 'needs a build --with-debug'
            unless Test::IM::with_debug();

        my ($ann, $bob, $cid) = users(3);
        allow($cid, 'NeedConfirm');

        # each of them may lose against another one a few times only

        for my $case (
            ['friend_import', $bob, $b ? 30814 : 30008],
            ['friend_add', $cid, $b ? 30543 : 30008])
        {
            my ($command, $to, $conflict) = @$case;
            my %codes;

            for (1 .. 400) {
                my $got = burst($command, map { {
                    From_Account => $ann, AddFriendItem => [{
                        To_Account => $to, %source, Remark => "r$_" }] } }
                    1 .. 80);
                $codes{$_} += $got->{$_} for keys %$got;
                last if $codes{$conflict};
            }

            ok delete $codes{$conflict}, "$command: $conflict";
            is join(' ', sort keys %codes),
                $command eq 'friend_add' ? 30539 : 0, 'all others are done';
        }
    };

    $im->stop;
}

subtest 'a store that has no time' => sub {
    $im = Test::IM->new->run(workers => 1, app => 'rate 0;',
                             im => 'commit_queue 1 1m 2s;');
    sns_server($im);

    my @users = users(40);
    my %codes;

    for my $round (1 .. 60) {
        my $got = burst('friend_import', map { {
            From_Account => $users[0], AddFriendItem => [{
                To_Account => $_, %source, Remark => "r$round" }] } }
            @users[1 .. 39]);
        $codes{$_} += $got->{$_} for keys %$got;
        last if $codes{30007};
    }

    ok delete $codes{30007}, '30007 came';
    delete @codes{0, 30008};
    is_deeply \%codes, {}, 'and nothing else but conflicts';
};

done_testing;

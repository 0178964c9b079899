#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# How many groups there may be: by day, of a type, of an account.

use strict;
use warnings;

use lib 't/lib';

use Test::IM;
use Test::More;

# a day of the server, in UTC, that does not end meanwhile
my $left = 86400 - time % 86400;
sleep $left + 1 if $left < 120;

my $im = Test::IM->new->run(workers => 2, app => 'rate 0;');
my $svc = 'group_open_http_svc';

sub rest { my ($name, %body) = @_; return $im->rest("$svc/$name", \%body); }

sub create {
    return rest('create_group', Type => 'Public', Name => 'g', @_);
}

sub total {
    my $reply = rest('get_appid_group_list', Limit => 1, @_)->code_is(0);
    return $reply->json('/TotalCount');
}

subtest 'BChatRooms' => sub {
    my @rooms = map { create(Type => 'BChatRoom')->code_is(0)
                      ->json('/GroupId') } 1 .. 5;

    create(Type => 'BChatRoom')->code_is(10006);
    is total(GroupType => 'BChatRoom'), 5, 'five of them';

    rest('destroy_group', GroupId => $rooms[0])->code_is(0);
    create(Type => 'BChatRoom')->code_is(0);
    create(Type => 'BChatRoom')->code_is(10006);
};

subtest 'counts of all groups' => sub {
    my $before = total();
    my @gids = map { create(Type => $_)->code_is(0)->json('/GroupId') }
               qw/ Private Public Public ChatRoom AVChatRoom /;

    is total(), $before + 5, 'TotalCount';
    is total(GroupType => 'Public'), 2, 'of a type';
    is total(GroupType => 'Meeting'), 1, 'by its other name';

    rest('destroy_group', GroupId => $gids[1])->code_is(0);
    is total(GroupType => 'Public'), 1, 'one less';

    my @listed;
    my $next = 0;

    do {
        my $page = rest('get_appid_group_list', Limit => 3, Next => $next)
                   ->code_is(0);
        push @listed, map { $_->{GroupId} } @{ $page->json('/GroupIdList') };
        $next = $page->json('/Next');
    } while ($next && @listed < 100);

    is scalar @listed, total(), 'as many are listed';
    is_deeply [@listed[-4 .. -1]], [@gids[0, 2, 3, 4]], 'in order';
    is_deeply rest('get_appid_group_list', GroupType => 'AVChatRoom')
        ->json('/GroupIdList'), [{ GroupId => $gids[4] }], 'those of a type';
    rest('get_appid_group_list', GroupType => 'x')->code_is(10004);
    $im->rest("$svc/get_appid_group_list", qq({"Next":$_->[0]}))
       ->code_is($_->[1])
        for ['9223372036854775806', 0], ['9223372036854775807', 10004];
};

subtest 'by day' => sub {
    $im->reload(app => 'rate 0; groups_day_max 6;');

    my @gids = map { create()->code_is(0)->json('/GroupId') } 1, 2;

    create()->code_is(10006);
    create(Type => 'AVChatRoom')->code_is(10006);
    rest('import_group', Type => 'ChatRoom', Name => 'g')->code_is(10006);

    rest('destroy_group', GroupId => $gids[0])->code_is(0);
    create()->code_is(0, 'a dissolved one does not count');
    create()->code_is(10006);

    $im->reload(app => 'rate 0; groups_day_max 0; bchatrooms_max 0;');
    create()->code_is(0, '0 is no limit');
    create(Type => 'BChatRoom')->code_is(0);
};

subtest 'AVChatRooms' => sub {
    $im->reload(app => 'rate 0; avchatrooms_max 2;');

    create(Type => 'AVChatRoom')->code_is(0);
    create(Type => 'AVChatRoom')->code_is(10036);
    create(Type => 'BChatRoom')->code_is(10006);
};

subtest 'groups of an account' => sub {
    $im->reload(app => 'rate 0; groups_joined_max 2;');
    $im->users(qw/ ann bob cid dan /);

    my ($one, $two, $free) =
        map { create(Type => 'ChatRoom', Owner_Account => $_)->code_is(0)
              ->json('/GroupId') } qw/ ann bob dan /;

    my $add = sub {
        my $gid = shift;
        return rest('add_group_member', GroupId => $gid,
                    MemberList => [map { { Member_Account => $_ } } @_]);
    };

    $add->($one, 'cid')->code_is(0);
    $add->($two, 'cid')->code_is(0);
    $add->($free, 'cid')->code_is(10037);
    $add->($free, qw/ cid ann nobody /)->code_is(0)
        ->json_is('/MemberList', [
            { Member_Account => 'cid', Result => 4 },
            { Member_Account => 'ann', Result => 1 },
            { Member_Account => 'nobody', Result => 0 } ]);

    create(Owner_Account => 'cid')->code_is(10037);
    create(Type => 'AVChatRoom', Owner_Account => 'cid')
        ->code_is(0, 'live rooms do not count');

    my $reply = create(Owner_Account => 'dan', MemberList => [
        { Member_Account => 'cid' }, { Member_Account => 'bob' } ])
        ->code_is(0)->json_is('/OverJoinedGroupLimit_Account', ['cid']);
    is $im->group_info($reply->json('/GroupId'))->{MemberNum}, 2,
        'he is left out';

    rest('import_group_member', GroupId => $one, MemberList =>
         [{ Member_Account => 'dan' }])->code_is(0)
        ->json_is('/MemberList/0/Result', 0);

    my $cid = $im->ws_login('cid');

    $cid->request("$svc.apply_join_group", { GroupId => $free })
        ->code_is(10037);
    $cid->request("$svc.create_group", { Type => 'Public', Name => 'x',
        MemberList => [] })->code_is(10037);

    $cid->request("$svc.quit_group", { GroupId => $one })->code_is(0);
    $cid->request("$svc.apply_join_group", { GroupId => $free })->code_is(0);

    rest('destroy_group', GroupId => $free)->code_is(0);
    ok $im->wait_for(sub {
        $cid->request("$svc.apply_join_group", { GroupId => $one })->code == 0
    }), 'a dissolved one makes room';
};

subtest 'members' => sub {
    $im->reload(app => 'rate 0;');

    my %max = (Private => 200, Public => 2000, ChatRoom => 10000,
               AVChatRoom => 0);

    for my $type (sort keys %max) {
        my $gid = create(Type => $type)->code_is(0)->json('/GroupId');
        is $im->group_info($gid)->{MaxMemberNum}, $max{$type}, $type;

        next unless $max{$type};

        create(Type => $type, MaxMemberCount => $max{$type})->code_is(0);
        create(Type => $type, MaxMemberCount => $max{$type} + 1)
            ->code_is(10004);
        rest('modify_group_base_info', GroupId => $gid,
             MaxMemberNum => $max{$type})->code_is(0);
        rest('modify_group_base_info', GroupId => $gid,
             MaxMemberNum => $max{$type} + 1)->code_is(10004);
    }

    $im->users(qw/ eve fay gus /);

    my $full = create(Type => 'ChatRoom', Owner_Account => 'eve',
                      MaxMemberCount => 1)->code_is(0)->json('/GroupId');
    my $wait = create(Owner_Account => 'eve', MaxMemberCount => 1)
               ->code_is(0)->json('/GroupId');
    my $fay = $im->ws_login('fay');

    $fay->request("$svc.apply_join_group", { GroupId => $_ })->code_is(10014)
        for $full, $wait;
    rest('add_group_member', GroupId => $full, MemberList =>
         [{ Member_Account => 'gus' }])->code_is(10014);
};

subtest 'rate of the list' => sub {
    $im->reload(app => 'rate 200;');

    my @codes = map { rest('get_appid_group_list')->code } 1 .. 20;

    is $codes[0], 0, 'the first';
    ok((grep { $_ == 10006 } @codes), 'then too often');
    ok !(grep { $_ != 0 && $_ != 10006 } @codes), 'no other code';
};

$im->finish;
done_testing;

#!/usr/bin/perl

# Copyright (C) The ngx_im authors

# A worker dies while it writes a relation: both sides are as they were, or
# both as they are without the crash, counts and sequences too.

use strict;
use warnings;

use lib 't/lib';

use Mojo::JSON qw/ encode_json /;
use Test::IM;
use Test::IM::Sns;
use Test::More;

plan skip_all => 'needs a build --with-debug' unless Test::IM::with_debug();

my $im = Test::IM->new;

$im->allow_log(qr/exited on signal 9|shared memory zone .* was locked/);
$im->run(workers => 2, app => 'rate 0; friend_field Note;');

sns_server($im);

my %source = (AddSource => 'AddSource_Type_a');

sub import_one {
    my ($from, $to, %item) = @_;
    sns('friend_import', $from,
        AddFriendItem => [{ To_Account => $to, %source, %item }]);
}

sub friends_both { import_one(@_); import_one(reverse @_) }

sub asked { allow($_[1], 'NeedConfirm'); add(@_) }

sub recommended {
    sns('recommend_add', $_[0], RecommendItem => [{ To_Account => $_[1] }]);
}

# name, what is there before, the command of the first account

my @cases = (
    ['friend_add', sub { recommended(@_); recommended(reverse @_) }, sub {
        add(@_, Remark => 'r', GroupName => 'g') }],
    ['a request', sub { allow($_[1], 'NeedConfirm') }, sub { add(@_) }],
    ['a second request', \&asked, sub { add(@_, AddWording => 'again') }],
    ['agreement', sub { asked(@_[1, 0]) }, sub {
        sns('friend_response', $_[0], ResponseFriendItem => [{
            To_Account => $_[1], TagName => 'g',
            ResponseAction => 'Response_Action_AgreeAndAdd' }]) }],
    ['rejection', sub { asked(@_[1, 0]) }, sub {
        sns('friend_response', $_[0], ResponseFriendItem => [{
            To_Account => $_[1],
            ResponseAction => 'Response_Action_Reject' }]) }],
    ['friend_import', sub { asked(@_) }, sub {
        import_one(@_, GroupName => ['g', 'h'], CustomItem => [{
            Tag => 'Tag_SNS_Custom_Note', Value => 'n' }]) }],
    ['friend_update', \&friends_both, sub {
        sns('friend_update', $_[0], UpdateItem => [{ To_Account => $_[1],
            SnsItem => [{ Tag => 'Tag_SNS_IM_Group', Value => ['g', 'h'] },
                        { Tag => 'Tag_SNS_IM_Remark', Value => 'r' },
                        { Tag => 'Tag_SNS_Custom_Note', Value => 'n' }]
        }]) }],
    ['friend_delete', \&friends_both, sub {
        sns('friend_delete', $_[0], To_Account => [$_[1]],
            DeleteType => 'Delete_Type_Both') }],
    ['friend_delete_all', \&friends_both, sub {
        sns('friend_delete_all', $_[0], DeleteType => 'Delete_Type_Both') }],
    ['pendency_delete', \&asked, sub {
        sns('pendency_delete', $_[0], To_Account => [$_[1]],
            PendencyType => 'Pendency_Type_SendOut') }],
    ['black_list_add', sub { friends_both(@_) }, sub {
        sns('black_list_add', $_[0], To_Account => [$_[1]]) }],
    ['black_list_add after requests', sub {
        allow($_, 'NeedConfirm') for @_;
        add(@_);
        add(reverse @_) }, sub {
        sns('black_list_add', $_[0], To_Account => [$_[1]]) }],
    ['black_list_delete', sub {
        sns('black_list_add', $_[0], To_Account => [$_[1]]) }, sub {
        sns('black_list_delete', $_[0], To_Account => [$_[1]]) }],
    ['group_add', \&friends_both, sub {
        sns('group_add', $_[0], GroupName => ['g', 'h']) }],
    ['group_add with friends', \&friends_both, sub {
        sns('group_add', $_[0], GroupName => ['g', 'h'],
            To_Account => [$_[1]]) }],
    ['a friend into a group', sub {
        friends_both(@_);
        sns('group_add', $_[0], GroupName => ['g']) }, sub {
        sns('group_update', $_[0], GroupOldName => 'g',
            UpdateGroupItem => [{ To_Account => $_[1],
                                  UpdateType => 'Update_Type_Add' }]) }],
    ['group_update', sub {
        friends_both(@_);
        sns('group_add', $_[0], GroupName => ['g'],
            To_Account => [$_[1]]) }, sub {
        sns('group_update', $_[0], GroupOldName => 'g',
            GroupNewName => 'h') }],
    ['group_delete', sub {
        friends_both(@_);
        sns('group_add', $_[0], GroupName => ['g'],
            To_Account => [$_[1]]) }, sub {
        sns('group_delete', $_[0], GroupName => ['g']) }],
    ['recommend_add', sub { }, \&recommended],
    ['recommend_delete', \&recommended, sub {
        sns('recommend_delete', $_[0], To_Account => [$_[1]]) }],
    ['portrait_set', sub { }, sub {
        $im->rest('profile/portrait_set', { From_Account => $_[0],
            ProfileItem => [{ Tag => 'Tag_Profile_IM_Nick', Value => 'x' },
                            { Tag => 'Tag_Profile_IM_Level', Value => 3 }]
        }) }],
);

# All that both can read, without times, as a text; they are "a" and "b".
sub seen {
    my @users = @_;
    my $text = '';

    for my $user (@users) {
        for ([friend_get => StartIndex => 0],
             [black_list_get => StartIndex => 0, MaxLimited => 100],
             # not both at once: their order depends on the second
             (map { [pendency_get => PendencyType => "Pendency_Type_$_"] }
                  qw/ ComeIn SendOut /),
             [group_get => NeedFriend => 'Need_Friend_Type_Yes'],
             ['recommend_get'])
        {
            my ($command, @body) = @$_;
            $text .= sns($command, $user, @body)->text . "\n";
        }

        $text .= $im->rest('profile/portrait_get', { To_Account => [$user],
            TagList => [map { "Tag_Profile_IM_$_" } qw/ Nick Level / ] })
            ->text . "\n";
    }

    $text =~ s/"\w*Time\w*":\s*\d+/"Time":0/g;
    $text =~ s/"Tag":"Tag_SNS_IM_AddTime","Value":\d+/"Time":0/g;
    $text =~ s/"$users[$_]"/qw( "a" "b" )[$_]/ge for 0, 1;

    return $text;
}

my $n = 0;

sub pair { $n++; my @pair = ("a$n", "b$n"); $im->users(@pair); return @pair }

sub deaths { scalar(() = $im->log_text =~ /exited on signal 9/g) }


for my $case (@cases) {
    my ($name, $before, $command) = @$case;

    subtest $name => sub {
        my @model = pair();

        $before->(@model);
        my $was = seen(@model);
        $command->(@model)->code_is(0);
        my $is = seen(@model);
        isnt $is, $was, 'it changes something';

        for my $point (['before_commit', 1], ['mid_batch', 2],
                       ['after_commit', 1], ['before_publish', 1])
        {
            my ($fault, $passes) = @$point;

            # not all of them tell anybody, or write two rows
            next if $fault eq 'before_publish'
                    && $name =~ /^(?:friend_import|recommend|portrait)/;
            next if $fault eq 'mid_batch' && $name eq 'portrait_set';

            my @pair = pair();
            my $deaths = deaths();

            $before->(@pair);
            $im->reload(im => "fault $fault $passes;");
            my $reply = $command->(@pair);

            ok $im->wait_for(sub { deaths() > $deaths }), "$fault: dies"
                or diag $reply->text;
            $im->wait_for(sub { $im->worker_pids == 2 });

            my $done = $fault =~ /^(?:after|before_publish)/;
            is seen(@pair), $done ? $is : $was,
                $done ? 'it is done' : 'nothing happened';

            next if $done;

            $command->(@pair)->code_is(0);
            is seen(@pair), $is, 'it can be done again';
        }
    };
}

done_testing;

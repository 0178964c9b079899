package Test::IM::Sns;

# Copyright (C) The ngx_im authors

# What tests of relations have in common.
#
#   use Test::IM::Sns;
#   sns_server($im);
#   is_deeply codes(add('ann', 'bob')), [0];

use Mojo::Base -strict, -signatures;

use Exporter qw/ import /;

our @EXPORT = qw/ sns_server sns add allow friends codes relation mod /;

my $im;

sub sns_server ($server) { $im = $server }

sub sns ($command, $from, %body) {
    return $im->rest("sns/$command", { From_Account => $from, %body });
}

# AddType and ForceAddFlags are the request's, all else goes into each item.
sub add ($from, $to, %o) {
    my %top = map { exists $o{$_} ? ($_ => delete $o{$_}) : () }
              qw/ AddType ForceAddFlags /;

    return sns('friend_add', $from, %top, AddFriendItem => [
        map { { To_Account => $_, AddSource => 'AddSource_Type_Web', %o } }
        ref $to ? @$to : $to ]);
}

sub allow ($user, $type, $forbid = undef) {
    $im->rest('profile/portrait_set', { From_Account => $user,
        ProfileItem => [
            { Tag => 'Tag_Profile_IM_AllowType',
              Value => "AllowType_Type_$type" },
            $forbid ? { Tag => 'Tag_Profile_IM_AdminForbidType',
                        Value => $forbid } : () ] })->code_is(0);
}

# Account => { Tag => Value }
sub friends ($user) {
    my $reply = sns('friend_get', $user, StartIndex => 0);
    return { map { $_->{To_Account} => { map { $_->{Tag} => $_->{Value} }
                                         @{ $_->{ValueItem} } } }
             @{ $reply->json('/UserDataItem') } };
}

sub codes ($reply, $list = 'ResultItem') {
    return [map { $_->{ResultCode} }
            @{ $reply->code_is(0)->json("/$list") }];
}

# BothWay, AWithB, BWithA, NoRelation
sub relation ($from, $to) {
    my $reply = sns('friend_check', $from, To_Account => [$to],
                    CheckType => 'CheckResult_Type_Both');
    return $reply->json('/InfoItem/0/Relation') =~ s/CheckResult_Type_//r;
}

# The next notice of that type.
sub mod ($ws, $type) {
    my $event = $ws->next_event(sub ($event) {
        $event->{FriendListMod}
        && $event->{FriendListMod}[0]{PushType} == $type
    });
    return $event ? $event->{FriendListMod}[0] : undef;
}

1;

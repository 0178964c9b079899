package Test::IM::Reply;

# Copyright (C) The ngx_im authors

# An answer, by REST or in a frame.  Functions that end in _is, _like and
# _has are tests and return the object.

use Mojo::Base -base, -signatures;

use Mojo::JSON qw/ decode_json /;
use Mojo::JSON::Pointer;
use Test::More ();

has [qw/ name status text error headers /];
has data => sub ($self) { eval { decode_json($self->text // '') } };

sub json ($self, $path = '') {
    return Mojo::JSON::Pointer->new($self->data)->get($path);
}

# ErrorCode, or undef if there is no answer.
sub code ($self) {
    my $data = $self->data;
    return ref $data eq 'HASH' ? $data->{ErrorCode} // 0 : undef;
}

sub info ($self) { $self->json('/ErrorInfo') }

sub code_is ($self, $code, $name = undef) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $got = $self->code;

    Test::More::is($got, $code, $name // $self->name . " answers $code")
        or Test::More::diag($self->error // $self->status . ' '
                            . ($self->text // ''));

    return $self;
}

sub status_is ($self, $status, $name = undef) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::is($self->status, $status,
                   $name // $self->name . " has status $status");
    return $self;
}

sub json_is ($self, $path, $want, $name = undef) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::is_deeply($self->json($path), $want,
                          $name // $self->name . " has this $path");
    return $self;
}

sub json_like ($self, $path, $want, $name = undef) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::like($self->json($path), $want,
                     $name // $self->name . " has such a $path");
    return $self;
}

sub json_has ($self, $path, $name = undef) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok(Mojo::JSON::Pointer->new($self->data)->contains($path),
                   $name // $self->name . " has $path");
    return $self;
}

sub json_hasnt ($self, $path, $name = undef) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    Test::More::ok(!Mojo::JSON::Pointer->new($self->data)->contains($path),
                   $name // $self->name . " has no $path");
    return $self;
}

1;

#!/bin/sh

# Copyright (C) The ngx_im authors
#
#   ./build.sh dynamic         modules for Debian's nginx
#   ./build.sh static DIR      nginx of the source tree DIR with the modules
#
# Environment: IM_BUILD, folder of everything that is built (./build).


set -eu

LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")" && pwd)
build=${IM_BUILD:-$here/build}

# what Debian's nginx has and the tests use
im_modules="--with-threads --with-stream --with-http_ssl_module
            --with-http_v2_module --with-http_dav_module
            --with-http_secure_link_module"


die() {
    echo "$0: error: $*" >&2
    exit 1
}


# configures in the source tree $1, objects in $2, unless nothing changed

configure() {
    src=$1
    objs=$2
    shift 2

    stamp=$(echo "$src" "$@"; cat "$here/config"; ls "$here"/src/*/*.h)

    if [ -f "$objs/Makefile" ] && [ "$stamp" = "$(cat "$objs/stamp")" ]; then
        return
    fi

    mkdir -p "$objs"
    rm -f "$objs/Makefile" "$objs/stamp"

    if ! (cd "$src" && ./configure --builddir="$objs" "$@") \
         > "$objs/configure.log" 2>&1
    then
        tail -n 20 "$objs/configure.log" >&2
        die "configure failed, see $objs/configure.log"
    fi

    echo "$stamp" > "$objs/stamp"
}


build_dynamic() {
    src=/usr/share/nginx/src
    objs=$build/dynamic

    [ -f $src/conf_flags ] || die "nginx-dev is needed: apt-get install" \
                                  "nginx-dev libnginx-mod-stream"

    # an array of bash, with words that have no blanks in them
    flags=$(sed 's/^NGX_CONF_FLAGS=( *//; s/ *)$//' $src/conf_flags)

    configure $src "$objs" $flags --with-stream --add-dynamic-module="$here"

    (cd $src && make -s -j2 -f "$objs/Makefile" modules)

    ls "$objs"/ngx_*im_module.so
}


build_static() {
    [ -f "$1/configure" ] || die "\"$1\" is no source tree of nginx"

    src=$(cd "$1" && pwd)
    objs=$build/static

    configure "$src" "$objs" $im_modules --with-cc-opt=-O2 \
              --add-module="$here"

    (cd "$src" && make -s -j2 -f "$objs/Makefile" binary)

    ls "$objs"/nginx
}


case ${1:-} in

dynamic)
    build_dynamic
    ;;

static)
    [ $# -eq 2 ] || die "write: $0 static DIR"
    build_static "$2"
    ;;

*)
    sed -n '/^#   /s/^# //p' "$0"
    exit 1
    ;;

esac

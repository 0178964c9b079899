#!/bin/sh

# Copyright (C) The ngx_im authors
#
#   ./build.sh dynamic         modules for Debian's nginx
#   ./build.sh static DIR      nginx of the source tree DIR with the modules
#   ./build.sh sanitize        nginx of Debian's source package, with
#                              AddressSanitizer and UndefinedBehaviorSanitizer
#   ./build.sh optimised       the same without sanitizers and debug code
#   ./build.sh unit            the programs of t/unit/ (sanitize first)
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

    # all objects depend on these: the old ones come back if nothing changed
    for f in ngx_auto_config.h ngx_auto_headers.h; do
        [ ! -f "$objs/$f" ] || mv "$objs/$f" "$objs/$f.old"
    done

    if ! (cd "$src" && ./configure --builddir="$objs" "$@") \
         > "$objs/configure.log" 2>&1
    then
        tail -n 20 "$objs/configure.log" >&2
        die "configure failed, see $objs/configure.log"
    fi

    for f in ngx_auto_config.h ngx_auto_headers.h; do
        if cmp -s "$objs/$f" "$objs/$f.old"; then
            mv "$objs/$f.old" "$objs/$f"
        fi
    done

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


# Debian's source package has the upstream tarball.  The lists are our own,
# so that the system's sources need no deb-src.  apt-get fails when the
# archive of Debian's patches is missing, which nobody needs here.

fetch_source() {
    version=$(dpkg-query -W -f '${source:Upstream-Version}' nginx)
    tarball=$build/nginx_$version.orig.tar.gz
    source=$build/nginx-$version

    if [ ! -f "$tarball" ]; then
        apt=$build/apt
        mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"

        apt-get indextargets --format \
                '$(REPO_URI) $(RELEASE) $(COMPONENT) $(SIGNED_BY)' \
                'Created-By: Packages' \
        | awk '/debian/ && $3 == "main" {
              print "deb-src " ($4 ~ /^\// ? "[signed-by=" $4 "] " : "") $1, $2, $3
          }' | sort -u > "$apt/sources.list"

        opts="-o Dir::Etc::sourcelist=$apt/sources.list
              -o Dir::Etc::sourceparts=- -o Dir::State::lists=$apt/lists
              -o Dir::Cache=$apt/cache -o APT::Sandbox::User="

        apt-get $opts -qq update > "$apt/log" 2>&1 || true
        (cd "$build" && apt-get $opts -qq source --download-only nginx) \
            >> "$apt/log" 2>&1 || true

        [ -f "$tarball" ] || die "could not get nginx_$version.orig.tar.gz" \
                                 "by apt-get source, see $apt/log"
    fi

    [ -f "$source/configure" ] || tar -C "$build" -xzf "$tarball"
}


# nginx with the modules in $build/$1

build_source() {
    objs=$build/$1
    shift

    mkdir -p "$build"
    fetch_source

    configure "$source" "$objs" $im_modules --add-module="$here" "$@"

    (cd "$source" && make -s -j2 -f "$objs/Makefile" binary)

    ls "$objs/nginx"
}


# NGX_DEBUG_PALLOC: each piece of a pool is a malloc() of its own, so that
# AddressSanitizer sees its bounds.  nonnull-attribute: nginx copies empty
# strings whose data is NULL.

build_sanitize() {
    cc_opt="-O1 -g -fno-omit-frame-pointer -DNGX_DEBUG_PALLOC=1"
    san="-fsanitize=address,undefined -fno-sanitize=nonnull-attribute"

    build_source sanitize --with-debug --with-cc-opt="$cc_opt $san" \
                 --with-ld-opt="$san"
}


build_optimised() {
    build_source optimised --with-cc-opt=-O2
}


# The programs may call everything that is in nginx but main().  They are
# linked against an archive: a program that includes a .c file, to see what
# is static there, has that file's functions instead of those in the archive.

build_unit() {
    objs=$build/sanitize
    units=$(cd "$here/t/unit" && ls *.c | sed 's/\.c$//')

    [ -x "$objs/nginx" ] || die "write first: $0 sanitize"

    fetch_source
    mkdir -p "$objs/unit"

    libs=$(sed -n '/(LINK) -o .*\/nginx /,/^$/p' "$objs/Makefile" \
           | tr -s '\t \\' '\n' | grep -- '^-[lLWf]' | tr '\n' ' ')

    cat > "$objs/unit.mk" <<END
include $objs/Makefile

OBJS = \$(shell find $objs/src $objs/addon -name '*.o') $objs/ngx_modules.o

$objs/unit/libnginx.a: \$(OBJS)
	objcopy --redefine-sym main=nginx_main \\
	        $objs/src/core/nginx.o $objs/unit/nginx.o
	rm -f \$@
	ar rcs \$@ $objs/unit/nginx.o \$(filter-out %/core/nginx.o,\$(OBJS))

$objs/unit/%: $here/t/unit/%.c $objs/unit/libnginx.a
	\$(CC) \$(CFLAGS) -I$here/src \$(ALL_INCS) -o \$@ \$< \\
	        -Wl,-z,muldefs $objs/unit/libnginx.a $libs
END

    (cd "$source" \
     && make -s -j2 -f "$objs/unit.mk" \
             $(for u in $units; do echo "$objs/unit/$u"; done))
}


case ${1:-} in

dynamic)
    build_dynamic
    ;;

static)
    [ $# -eq 2 ] || die "write: $0 static DIR"
    build_static "$2"
    ;;

sanitize)
    build_sanitize
    ;;

optimised)
    build_optimised
    ;;

unit)
    build_unit
    ;;

*)
    sed -n '/^#  /s/^# //p' "$0"
    exit 1
    ;;

esac

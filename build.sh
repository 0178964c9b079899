#!/bin/sh

# Copyright (C) The ngx_im authors
#
#   ./build.sh run             builds and starts a server in the foreground
#   ./build.sh usersig USER [SECONDS]
#                              prints a UserSig for that server
#   ./build.sh test            runs all tests
#   ./build.sh test-mongo      those that can, on MongoDB; test has some of them
#   ./build.sh dynamic         modules for Debian's nginx
#   ./build.sh static DIR      nginx of the source tree DIR with the modules
#   ./build.sh sanitize        nginx of Debian's source package, with
#                              AddressSanitizer and UndefinedBehaviorSanitizer
#   ./build.sh optimised       the same without sanitizers and debug code
#   ./build.sh copy DIR ADDRESS [ROWS]
#                              copies the LMDB store in the directory DIR into
#                              the MongoDB of ADDRESS, see docs/store.md
#   ./build.sh unit            the programs of t/unit/ (sanitize first)
#   ./build.sh node            npm packages and a browser for the tests
#   ./build.sh mongo           a MongoDB server for the tests
#
# What is missing is installed by apt-get for run and test.
#
# Environment:
#
#   IM_PORT   port of the server (8080)
#   IM_HOST   its name or address in what is printed (the first address)
#   IM_DIR    its configuration, key, store and logs (./run)
#   IM_BUILD  everything that is built (./build)


set -eu

LC_ALL=C
export LC_ALL

here=$(cd "$(dirname "$0")" && pwd)
build=${IM_BUILD:-$here/build}
dir=${IM_DIR:-$here/run}
port=${IM_PORT:-8080}

app=${IM_APP:-1400000001}
admin=administrator

build_packages="gcc make libc6-dev pkg-config perl nginx nginx-dev
                libnginx-mod-stream liblmdb-dev libbson-dev
                libmongoc-dev zlib1g-dev libssl-dev libcurl4-openssl-dev
                libboost-context-dev libhiredis-dev"

test_packages="binutils libmojolicious-perl openssl procps redis-server"

# what Debian's nginx has and the tests use
im_modules="--with-threads --with-stream --with-stream_ssl_module
            --with-http_ssl_module
            --with-http_v2_module --with-http_dav_module
            --with-http_secure_link_module"

# What does not run on MongoDB, too, by the beginnings of names:
#   has nothing of a store, or a MongoDB of its own in any case: conf, docs,
#     mongo, unit, and all of cluster but three;
#   is about the files of LMDB: store.
mongo_except="cluster_death cluster_failover cluster_idle cluster_limit
              cluster_mongo cluster_notice cluster_once cluster_outbox
              cluster_redis cluster_room cluster_settings cluster_slow conf
              docs mongo store unit"

# those of the others that each run of all tests has
mongo_tests="callback_c2c cluster_fault cluster_group cluster_session
             conv_list group_members group_messages group_sequence
             msg_pipeline msg_read msg_recall msg_send profile rest_account
             room_send sdk sns_friend web_login"


die() {
    echo "$0: error: $*" >&2
    exit 1
}


# installs those of the packages that are not there

install() {
    missing=

    for package in "$@"; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in
        "install ok installed") ;;
        *) missing="$missing $package" ;;
        esac
    done

    [ -n "$missing" ] || return 0

    echo "installing$missing" >&2

    if [ "$(id -u)" -eq 0 ]; then
        sudo=
    elif command -v sudo > /dev/null; then
        sudo=sudo
    else
        die "write as root: apt-get install$missing"
    fi

    $sudo apt-get -qq update >&2
    $sudo env DEBIAN_FRONTEND=noninteractive \
          apt-get -qq -y --no-install-recommends install $missing >&2
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
        tail -n 2 "$objs/configure.log" >&2
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
              signed = $4 ~ /^\// ? "[signed-by=" $4 "] " : ""
              print "deb-src " signed $1, $2, $3
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
# $1: the build whose objects are used, then names of programs.

build_programs() {
    objs=$build/$1
    shift

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

$objs/unit/%: $here/t/unit/%.c $objs/unit/libnginx.a \\
              \$(wildcard $here/t/unit/*.h)
	\$(CC) \$(CFLAGS) -I$here/src \$(ALL_INCS) -o \$@ \$< \\
	        -Wl,-z,muldefs $objs/unit/libnginx.a $libs

$objs/unit/im_copy: $(echo "$here"/src/tool/im_copy*) $objs/unit/libnginx.a
	\$(CC) \$(CFLAGS) -I$here/src \$(ALL_INCS) -o \$@ \$(filter %.c,\$^) \\
	        -Wl,-z,muldefs $objs/unit/libnginx.a $libs
END

    (cd "$source" \
     && make -s -j2 -f "$objs/unit.mk" \
             $(for u in "$@"; do echo "$objs/unit/$u"; done))
}


build_unit() {
    [ -x "$build/sanitize/nginx" ] || die "write first: $0 sanitize"

    build_programs sanitize im_copy \
        $(cd "$here" && ls t/unit/*.c | sed 's|.*/||; s|\.c$||')
}


copy() {
    install $build_packages
    build_optimised > /dev/null
    build_programs optimised im_copy

    exec "$build/optimised/unit/im_copy" "$@"
}


# A UserSig of the user $1 for $2 seconds, by the key in $dir.

usersig() {
    [ -f "$dir/app.key" ] || die "no $dir/app.key, write first: $0 run"

    perl -MCompress::Zlib -MDigest::SHA=hmac_sha256_base64 \
         -MMIME::Base64 -MJSON::PP -e '
        my ($file, $app, $user, $expire) = @ARGV;

        open my $fh, "<", $file or die "$file: $!\n";
        chomp(my $key = <$fh>);

        my $time = time;
        my $sig = hmac_sha256_base64("TLS.identifier:$user\n"
            . "TLS.sdkappid:$app\nTLS.time:$time\nTLS.expire:$expire\n",
            $key);
        $sig .= "=" while length($sig) % 4;

        my $text = JSON::PP->new->encode({
            "TLS.ver" => "2.0", "TLS.identifier" => $user,
            "TLS.sdkappid" => 0 + $app, "TLS.time" => 0 + $time,
            "TLS.expire" => 0 + $expire, "TLS.sig" => $sig });

        $text = encode_base64(compress($text), "");
        $text =~ tr{+/=}{*\-_};
        print "$text\n";
    ' "$dir/app.key" "$app" "$1" "$2"
}


# A line to be pasted: command $1 with the body $2.

curl_line() {
    query="sdkappid=$app&identifier=$admin&usersig=$(usersig $admin 86400)"

    echo
    echo "curl -s 'http://127.0.0.1:$port/v4/$1?$query&random=$$$3" \
         "&contenttype=json' -d '$2'" | sed "s/ &contenttype/\&contenttype/"
}


print_help() {
    host=${IM_HOST:-$(hostname -I 2>/dev/null | awk '{ print $1 }')}
    host=${host:-127.0.0.1}

    body='"MsgBody":[{"MsgType":"TIMTextElem","MsgContent":{"Text":"Hi"}}]'

    echo "H5 page:      http://$host:$port/"
    echo "SDK:          SDKAppID $app, proxyServer ws://$host:$port"
    echo "UserSig:      $0 usersig USER"
    echo "stop:         Ctrl-C"
    echo
    echo "Two accounts, a message between them, a live room, and a message" \
         "to all who are in it:"

    curl_line im_open_login_svc/account_import '{"UserID":"ann"}' 1
    curl_line im_open_login_svc/account_import '{"UserID":"bob"}' 2
    curl_line openim/sendmsg \
        '{"From_Account":"ann","To_Account":"bob","MsgRandom":'$$','"$body}" 3
    curl_line group_open_http_svc/create_group \
        '{"Type":"AVChatRoom","GroupId":"live","Name":"live"}' 4
    curl_line group_open_http_svc/send_group_msg \
        '{"GroupId":"live","From_Account":"ann","Random":'$$','"$body}" 5
    echo
}


# conf/im.conf for a server that has all its files in $dir

write_conf() {
    mkdir -p "$dir/logs" "$dir/tmp"

    # one file only, made as a whole
    if [ ! -s "$dir/app.key" ]; then
        (umask 077
         head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' \
             > "$dir/app.key.new"
         mv "$dir/app.key.new" "$dir/app.key")
    fi

    {
        echo "# made by build.sh from conf/im.conf, and made anew each time"

        for module in "$build/dynamic/ngx_im_module.so" \
                      /usr/lib/nginx/modules/ngx_stream_module.so \
                      "$build/dynamic/ngx_http_im_module.so" \
                      "$build/dynamic/ngx_stream_im_module.so"
        do
            echo "load_module  \"$module\";"
        done

        # so that workers can read what this user can
        [ "$(id -u)" -ne 0 ] || echo "user  $(id -un) $(id -gn);"

        temp=
        for name in client_body proxy fastcgi uwsgi scgi; do
            temp="$temp    ${name}_temp_path  tmp/$name;\\n"
        done

        sed -e "s|listen  8080;|listen  $port;|" \
            -e "s|root  h5;|root  \"$here/conf/h5\";|" \
            -e "s|^http {|http {\\n$temp|" "$here/conf/im.conf"
    } > "$dir/im.conf"
}


run() {
    install $build_packages
    build_dynamic > /dev/null

    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)

    write_conf

    set -- nginx -p "$dir/" -c "$dir/im.conf" -e "$dir/logs/error.log"

    PATH=$PATH:/usr/sbin
    "$@" -t -q

    print_help

    exec "$@" -g "daemon off;"
}


# The npm packages of t/package.json, and a browser.  Without them their
# tests are skipped.

build_node() {
    objs=$build/node

    command -v npm > /dev/null || (install nodejs npm) || true
    command -v chromium > /dev/null || (install chromium) || true
    command -v npm > /dev/null || return 0

    if [ -d "$objs/node_modules" ] \
       && cmp -s "$here/t/package.json" "$objs/package.json"
    then
        return
    fi

    mkdir -p "$objs"
    cp "$here/t/package.json" "$objs"

    if ! (cd "$objs" && npm install --no-audit --no-fund --no-package-lock \
                            --loglevel=error)
    then
        rm -f "$objs/package.json"
        echo "no npm packages: tests that need them are skipped" >&2
    fi
}


# A server with MongoDB's protocol, in Python.  Without it tests are skipped.

build_mongo() {
    (install python3-venv) || true

    objs=$build/mongo
    package=secantusdb==0.7.0b3

    if [ -x "$objs/bin/secantusd-py" ] \
       && [ "$(cat "$objs/package" 2>/dev/null)" = "$package" ]
    then
        return
    fi

    if ! (rm -rf "$objs" && python3 -m venv "$objs" \
          && "$objs/bin/pip" install -q --disable-pip-version-check "$package")
    then
        echo "no MongoDB server: tests that need it are skipped" >&2
        return
    fi

    echo "$package" > "$objs/package"
}


run_tests() {
    install $build_packages $test_packages

    build_node
    build_mongo
    build_dynamic
    build_sanitize
    build_optimised

    cd "$here"
    jobs=$(nproc)

    prove -j"$jobs" -It/lib -r t

    # the same on what is installed: Debian's nginx, and a build for speed

    IM_TEST_NGINX=/usr/sbin/nginx prove -j"$jobs" -It/lib \
        t/conf.t t/metrics.t

    IM_TEST_NGINX=$build/optimised/nginx prove -j"$jobs" -It/lib \
        $(ls t/*.t | grep -vE '/(unit|docs)\.t$')

    # the same on MongoDB, and on two nodes that share it

    if [ -x "${IM_TEST_MONGO:-$build/mongo/bin/secantusd-py}" ]; then
        IM_TEST_STORE=mongo prove -j"$jobs" -It/lib \
            $(printf 't/%s.t\n' $mongo_tests)
    fi
}


run_mongo_tests() {
    install $build_packages $test_packages

    build_node
    build_mongo
    build_sanitize

    cd "$here"
    except=$(echo $mongo_except | tr ' ' '|')

    IM_TEST_STORE=mongo prove -j"$(nproc)" -It/lib \
        $(ls t/*.t | grep -vE "/($except)[_.]")
}


case ${1:-} in

run)
    run
    ;;

usersig)
    [ $# -eq 2 ] || [ $# -eq 3 ] || die "write: $0 usersig USER [SECONDS]"
    usersig "$2" "${3:-15552000}"
    ;;

test)
    run_tests
    ;;

test-mongo)
    run_mongo_tests
    ;;

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

copy)
    [ $# -eq 3 ] || [ $# -eq 4 ] || die "write: $0 copy DIR ADDRESS [ROWS]"
    shift
    copy "$@"
    ;;

unit)
    build_unit
    ;;

node)
    build_node
    ;;

mongo)
    build_mongo
    ;;

*)
    sed -n '5,/^$/s/^# \{0,1\}//p' "$0"
    exit 1
    ;;

esac

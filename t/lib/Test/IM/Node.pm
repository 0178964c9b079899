package Test::IM::Node;

# Copyright (C) The ngx_im authors

# Tests in JavaScript, with npm packages in build/node (see package.json; it
# is "build.sh node" that installs them).
#
#   node_missing('ws') and plan skip_all => ...
#   node_script($im, 'sdk/c2c.js');            # a subtest of its TAP
#
# Environment:
#
#   IM_TEST_CHROMIUM  the browser (chromium, in the PATH)

use Mojo::Base -strict, -signatures;

use Exporter qw/ import /;
use Mojo::File qw/ path /;
use Test::IM;
use Test::More;

our @EXPORT = qw/ chromium node_missing node_script node_tap /;
our $node = "$Test::IM::build/node";

sub which ($name) {
    my ($path) = grep { -x && !-d } map { "$_/$name" } split /:/, $ENV{PATH};
    return $path;
}

sub chromium {
    return $ENV{IM_TEST_CHROMIUM} // which('chromium')
           // which('chromium-browser');
}

# What is not there, as a text, or nothing.
sub node_missing (@packages) {
    return 'no node' unless which('node');
    return 'node is older than 18' unless `node --version` =~ /^v(\d+)/
                                          && $1 >= 18;

    for (@packages) {
        return "no npm package $_ in $node, see build.sh node"
            unless -d "$node/node_modules/$_";
    }

    return;
}

# Runs a command and makes tests of the TAP that it prints.  Returns true if
# all is well.
sub node_tap ($command, $seconds, %env) {
    my ($planned, $seen, $failed, $bail) = (0, 0, 0, '');

    local @ENV{keys %env} = values %env;

    my $pid = open my $out, '-|', @$command or die "@$command: $!";

    local $SIG{ALRM} = sub {
        $bail = "no end in $seconds s";
        kill KILL => $pid;
    };

    alarm $seconds;

    while (my $line = <$out>) {
        chomp $line;

        if ($line =~ /^(not )?ok\b\s*\d*(?:\s*-)?\s*(.*)/) {
            my ($not, $name) = ($1, $2);
            my $skip = $name =~ /\s# SKIP/;

            $name =~ s/\s+#.*//;
            $seen++;

            SKIP: {
                skip $name, 1 if $skip;
                ok(!$not, $name) or $failed++;
            }

        } elsif ($line =~ /^1\.\.(\d+)/) {
            $planned = $1;

        } elsif ($line =~ /^Bail out/) {
            $bail = $line;

        } elsif ($failed) {
            diag($line);

        } else {
            note($line);
        }
    }

    close $out;
    alarm 0;

    ok(!$bail && $planned && $seen == $planned, 'all tests were run')
        or diag($bail || "$seen of $planned tests");

    return !$failed && !$bail && $seen == $planned;
}

sub environment ($im) {
    return (NODE_PATH => "$node/node_modules",
            IM_TEST_URL => 'http://127.0.0.1:' . $im->port,
            IM_TEST_APP => $im->app_id, IM_TEST_KEY => $im->key,
            IM_TEST_ADMIN => $im->admin, IM_TEST_PID => $im->pid,
            IM_TEST_CHROMIUM => chromium() // '',
            IM_TEST_SHOTS => "$Test::IM::build/screenshots");
}

# A script below t/.
sub node_script ($im, $script, $seconds = 300) {
    subtest $script => sub {
        node_tap(['node', "$Test::IM::top/t/$script"], $seconds,
                 environment($im));
    };
}

1;

#!/bin/sh

# Copyright (C) The ngx_im authors

# Plots of a folder of results, as SVG: the CPU time of each server as a ratio
# to that of the limit program, with the least and the greatest of the rounds.
# Needs gnuplot (apt-get install gnuplot-nox).
#
#   bench/plot.sh FOLDER [TO]
#
# Makes TO/room-1.svg and so on, a case each, and one-1.svg (TO: the folder).

set -eu

here=$(cd "$(dirname "$0")" && pwd)

[ $# -ge 1 ] || {
    echo "plot.sh FOLDER [TO]" >&2
    exit 1
}

[ -n "$(command -v gnuplot)" ] || {
    echo "$0: error: no gnuplot, install gnuplot-nox" >&2
    exit 1
}

to=${2:-$1}
ratios=$(mktemp)
trap 'rm -f "$ratios" "$ratios".*' EXIT

"$here/table.pl" "$1" "$ratios" > /dev/null


# A plot of each case of the results $1.log, with the title $2.

plot() {
    n=0

    cut -f 1,2 "$ratios" | uniq | grep "^$1.log" | cut -f 2 \
    | while read -r case; do
        n=$((n + 1))

        awk -F '\t' -v name="$1.log" -v case="$case" -v OFS='\t' '
            $1 == name && $2 == case { print $3, $4, $5, $6 }
        ' "$ratios" > "$ratios.case"

        gnuplot <<PLOT
set terminal svg size 640,320 font "sans-serif,12"
set output "$to/$1-$n.svg"
set title "$2\n$case" noenhanced
set ylabel "CPU time, limit = 1"
set yrange [0:*]
set style fill solid 0.6
set boxwidth 0.6
set grid ytics
set key off
set pointintervalbox 0
set xtics noenhanced
set datafile separator "\t"
plot "$ratios.case" using 0:2:xticlabels(1) with boxes linecolor "#4472a8", \
     "" using 0:2:3:4 with yerrorbars linecolor "#333333" pointtype 0, \
     "" using 0:2:(sprintf("%.2f", \$2)) with labels offset 1,0.6 left
PLOT
    done
}


plot room "A message to all of a live room"
plot one "A message to one who is connected, not stored"

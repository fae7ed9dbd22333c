#!/bin/sh
# Started by Slurm on a node. $1: interpreter, $2: the keeper, $3: the attempt's control directory.
# `began` is made once, so that a job that Slurm starts again after a failure does not run on top of itself.
test ! -e "$3/pid.json" && mkdir "$3/began" || exit 75
exec "$1" -I -S "$2" "$3" 9 9</dev/null

#!/bin/sh
# Delivers the message on standard input into the Maildir $1, durably; fetchmail's MDA in run.py.
set -e
read -r up _ </proc/uptime
name="$up.$$.bench"
cat >"$1/tmp/$name"
sync "$1/tmp/$name"
mv "$1/tmp/$name" "$1/new/$name"
sync "$1/new"

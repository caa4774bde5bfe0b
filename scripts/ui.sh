#!/bin/sh
# Dagster's web server and daemon, with the warm workers beside them. Ctrl-C ends all.
# Web server and workers would both make the tables of a new DAGSTER_HOME, and one of them would fail.
[ -d .dagster/history ] || .venv/bin/dagster instance info >/dev/null
.venv/bin/lake-assets workers &
workers=$!
trap 'kill "$workers" 2>/dev/null; wait "$workers"' EXIT
# The shell takes these after `dagster dev` has ended by them.
trap 'exit 130' INT
trap 'exit 143' TERM
.venv/bin/dagster dev --host 127.0.0.1 --port "$1"

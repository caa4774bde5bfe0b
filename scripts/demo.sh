#!/bin/sh
# The stocks job on sample data, and what it published.
set -eu
hour=$1
bin=.venv/bin
log=.lake/demo.log
mkdir -p .lake
echo "\$ dagster job execute -m lake_assets.definitions -j stocks --tags '{\"dagster/partition\": \"$hour\"}'"
echo
echo "The job fetches an hour of bars, checks them on a branch and publishes them. Its log goes to $log."
"$bin/dagster" job execute -m lake_assets.definitions -j stocks --tags "{\"dagster/partition\": \"$hour\"}" \
  >"$log" 2>&1 || {
  tail -n 40 "$log" >&2
  echo "The job failed; its whole log is in $log" >&2
  exit 1
}
show() {
  echo
  echo "\$ lake-assets $*"
  "$bin/lake-assets" "$@"
}
show log main --limit 5
show ls main:stocks_parquet
show cat main:stocks_parquet --limit 3
show tables
# A key of the first row of the published bars, such as DE0007164600.
key=$("$bin/lake-assets" cat main:stocks_parquet --limit 1 --json 2>/dev/null | sed -n 's/.*"ISIN": *"\([^"]*\)".*/\1/p' | head -n 1)
cat <<TEXT

Look further:
  make ui                                   the asset graph, on http://127.0.0.1:3000
  $bin/lake-assets get stocks_table $key
  git -C .lake/lake.git log --stat main     the lake is an ordinary Git repository
  $bin/lake-assets clean                    what a clean-up would delete
TEXT

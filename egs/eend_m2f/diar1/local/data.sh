#!/usr/bin/env bash
# Stage 1: the data of the corpora's own recipes, each by itself, and all training (validation,
# test) sets together as data/{train,dev,test_all}, their ids prefixed by the corpus.
set -euo pipefail

corpora=                    # names in conf/corpora.txt, with commas; default: all
prepare=true                # false: the corpora's recipes have run already
allow_counts=               # checks that may fail, e.g. recordings,hours (diarize-prepare --help)
data=data

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/data.sh [--corpora ami_mix,ramc] [--prepare true|false]
  [--allow-counts CHECK,...] [--data data]"
. ./path.sh
# shellcheck source=/dev/null
. utils/parse_options.sh

fail() { printf '%s: error: %s\n' "$0" "$*" >&2 && exit 1; }

lines=$(grep -v '^ *\(#\|$\)' conf/corpora.txt)
if [ -n "$corpora" ]; then
  chosen=
  for name in ${corpora//,/ }; do
    line=$(awk -v name="$name" '$1 == name' <<< "$lines")
    [ -n "$line" ] || fail "--corpora: '$name' is not in conf/corpora.txt"
    chosen+=$line$'\n'
  done
  lines=${chosen%$'\n'}
fi

if [ "$prepare" = true ]; then
  while read -r _ recipe _ _ _ options; do
    [ -x "../../$recipe/run.sh" ] || fail "there is no recipe egs/$recipe"
    read -r -a words <<< "$options"
    [ -z "$allow_counts" ] || words+=(--local-data-opts "--allow-counts $allow_counts")
    "../../$recipe/run.sh" --stop-stage 1 "${words[@]}" >&2 < /dev/null
  done <<< "$lines"
fi
python3 local/join_sets.py ../.. "$data" <<< "$lines"

#!/usr/bin/env bash
# Stage 1: the data of the recipes of the corpora, separately, and all training (validation, test)
# sets joined as data/{train,dev,test_all}, with the corpus as prefix of the ids.
set -euo pipefail

corpora=                    # names in conf/corpora.txt, with commas; default: all
prepare=true                # false: stage 1 of the recipes was run before
allow_counts=               # checks that may fail, e.g. recordings,hours (diarize-prepare --help)
data=data

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/data.sh [--corpora ami_mix,ramc] [--prepare true|false]
  [--allow-counts CHECK,...] [--data data]"
. ./path.sh
. ./db.sh
# shellcheck source=/dev/null
. utils/parse_options.sh
# shellcheck source=/dev/null
. utils/split_words.sh

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

# Check the directories of all corpora first, since each preparation may take hours.
check_roots() {
  local recipe name
  while read -r _ recipe _; do
    [ -x "../../$recipe/run.sh" ] || fail "there is no recipe egs/$recipe"
    [ -f "../../$recipe/local/data.sh" ] || continue
    while read -r name; do
      [ -n "${!name}" ] || fail "egs/$recipe: no directory: set $name in db.sh"
      [ -d "${!name}" ] || fail "egs/$recipe: no directory ${!name}: correct $name in db.sh"
    done < <(grep -oE '\$[A-Z][A-Z0-9_]+' "../../$recipe/local/data.sh" | tr -d '$' | sort -u |
      grep -xFf <(sed -n 's/^\([A-Z0-9_]*\)=.*/\1/p' db.sh))
  done <<< "$lines"
}

if [ "$prepare" = true ]; then
  check_roots
  while read -r _ recipe _ _ _ options; do
    split_words words "$options"
    [ -z "$allow_counts" ] || words+=(--local-data-opts "--allow-counts $(quote_words "$allow_counts")")
    "../../$recipe/run.sh" --stop-stage 1 "${words[@]}" >&2 < /dev/null
  done <<< "$lines"
fi
python3 local/join_sets.py ../.. "$data" <<< "$lines"

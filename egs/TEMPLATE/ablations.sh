#!/usr/bin/env bash
# Trains each variant of a list from the same seed for the same number of steps, and writes one
# table.  Run in the directory of a recipe after stages 1 to 3 of ./run.sh.  Completed variants are
# not repeated.
set -euo pipefail

variants=conf/ablations.txt # lines of "table|variant|published DER or nothing|overrides"
config=conf/train.yaml      # configuration that the overrides change
title="Ablations"
steps=                      # of each variant; default: those of the config
only=                       # variants whose table or name contains this text
opts=                       # further options of each ./run.sh
pretrained_dir=             # directory of the experiments named by init=NAME in the overrides
out=exp/ablations.md
list=false                  # true: check and show the variants, train nothing

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: $0 [--variants FILE] [--config YAML] [--steps N] [--only TEXT] [--list true]
Options and their defaults are at the head of $0."
command_line="${0##*/}$(printf ' %q' "$@")"
. ./path.sh
# shellcheck source=/dev/null
. utils/parse_options.sh
# shellcheck source=/dev/null
. utils/split_words.sh
[ "$#" -eq 0 ] || { printf '%s\n' "$help_message" >&2 && exit 1; }

fail() {
  printf '%s: error: %s\n' "$0" "$*" >&2
  exit 1
}

# The overrides of a variant without its init=NAME; and that NAME.
settings_of() { tr ' ' '\n' <<< "$1" | grep -v '^init=' | tr '\n' ' ' | sed 's/ *$//' || true; }
init_of() { tr ' ' '\n' <<< "$1" | sed -n 's/^init=//p'; }

result_of() { # overrides -> the RESULT line of that variant, trained unless it exists
  local settings init name tag words=()
  settings=$(settings_of "$1")
  init=$(init_of "$1")
  name=$(printf '%s' "$settings" | tr -c 'A-Za-z0-9' '_')
  tag=ablation_${steps:-all}_${name:-base}
  [ -z "$steps" ] || settings="train.steps=$steps $settings"
  [ -z "$settings" ] || words=(--args "--set $settings")
  if [ -n "$init" ]; then
    [ -f "$pretrained_dir/$init/final.pth" ] ||
      fail "$pretrained_dir/$init/final.pth is missing: pretrain that model first"
    words+=(--init-model "$pretrained_dir/$init/final.pth")
  fi
  if [ ! -s "exp/$tag.result" ]; then
    ./run.sh --config "$config" "${further[@]}" --stage 4 --stop-stage 8 --tag "$tag" "${words[@]}" \
      > "exp/$tag.stdout" < /dev/null
    grep '^RESULT ' "exp/$tag.stdout" | tail -n 1 > "exp/$tag.result"
  fi
  cat "exp/$tag.result"
}

field() { sed -n "s/.* $1=\([^ ]*\).*/\1/p" <<< "$2"; }

[ -f "$variants" ] || fail "$variants is missing"
further=()
split_words further "$opts"
chosen=$(grep -v '^ *\(#\|$\)' "$variants" | grep -F -- "$only" || true)
[ -n "$chosen" ] || fail "no variant of $variants contains '$only'"
# A row without effect, or equal to another, is not an ablation.
python3 "$DIARIZE_ROOT/egs/TEMPLATE/check_ablations.py" "$config" "$variants"
[ "$list" = false ] || { printf '%s\n' "$chosen" && exit 0; }

mkdir -p exp
rows=
while IFS='|' read -r table variant published overrides; do
  echo "$0: table $table: $variant" >&2
  line=$(result_of "$overrides")
  rows+="| $table | $variant | $(field miss "$line") | $(field fa "$line") |"
  rows+=" $(field conf "$line") | $(field der "$line") | ${published:-–} |"
  rows+=" $(field count_acc "$line") |"$'\n'
done <<< "$chosen"

{
  echo "# $title"
  echo
  echo "\`$command_line\`, $(date -u +%Y-%m-%d), git $(git rev-parse --short HEAD),"
  echo "${steps:-all} steps of $config. Collar 0, overlap scored, percent; thresholds from the"
  echo "validation set."
  echo
  echo "| table | variant | miss | FA | conf | DER | published DER | count right |"
  echo "|---|---|---:|---:|---:|---:|---:|---:|"
  printf '%s' "$rows"
} > "$out.$$"
mv "$out.$$" "$out"
cat "$out"

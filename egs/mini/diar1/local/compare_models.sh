#!/usr/bin/env bash
# Trains several models for the same processor time on the data of ./run.sh (stages 1 to 3), and
# writes one table and one figure.  Completed trainings are not repeated; others are resumed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

configs="conf/train.yaml conf/train_eda.yaml" # one configuration of each model
minutes="5"                 # processor time of each training in minutes; several: one each
seeds="0"                   # seeds of each training
train_set="train four"      # data directories or manifests of data/
datadir=data                # directory of the sets
init_models=                # one model for each configuration, such as of two speakers; empty: none
args=                       # further options of each training
out=exp/compare_models.md   # table; the figure is beside it, with the suffix .svg

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: $0 [--minutes '5 15 60'] [--seeds '0 1 2'] [--configs 'YAML YAML ...']
Options and their defaults are at the head of $0."
command_line="${0##*/}$(printf ' %q' "$@")"
. ./path.sh
# shellcheck source=/dev/null
. utils/parse_options.sh
# shellcheck source=/dev/null
. utils/split_words.sh
[ "$#" -eq 0 ] || { printf '%s\n' "$help_message" >&2 && exit 1; }

config_list=() init_list=() extra=()
split_words config_list "$configs"
split_words init_list "$init_models"
split_words extra "$args"
if [ "${#init_list[@]}" -ne 0 ] && [ "${#init_list[@]}" -ne "${#config_list[@]}" ]; then
  echo "$0: error: --init-models: ${#init_list[@]} models for ${#config_list[@]} configs" >&2
  exit 1
fi

# The set of all options but the number of steps: one thread, whose processor time is measured.
train() { # last stage, config, initial model or nothing, directory tag, overrides
  local words=(--set train.max_seconds=null "${@:5}" "${extra[@]}") start=()
  [ -z "$3" ] || start=(--init-model "$3")
  ./diar.sh --config "$2" --train-set "$train_set" --valid-set dev --test-sets test \
    --datadir "$datadir" --num-processes 1 --stage 4 --stop-stage "$1" --tag "$4" "${start[@]}" \
    --args "${words[*]}"
}

steps_of() { # config, initial model -> "steps per minute" of processor time, measured once
  local tag speed
  tag=compare_speed_$(basename "$1" .yaml)
  speed=exp/$tag/steps_per_minute
  if [ ! -s "$speed" ]; then
    train 4 "$1" "$2" "$tag" train.steps=60 train.log_interval=20 \
      train.valid_interval=0 valid.max_recordings=4 >&2
    python3 local/compare_models.py speed "exp/$tag/train_log.jsonl" > "$speed.part"
    mv "$speed.part" "$speed"
  fi
  cat "$speed"
}

tags=()
for number in "${!config_list[@]}"; do
  config=${config_list[number]} initial=${init_list[number]:-}
  per_minute=$(steps_of "$config" "$initial")
  for budget in $minutes; do
    steps=$(awk -v m="$budget" -v s="$per_minute" 'BEGIN { printf "%d", m * s + 0.5 }')
    for seed in $seeds; do
      tag=compare_$(basename "$config" .yaml)_${budget}min_seed$seed
      tags+=("$tag")
      [ ! -s "exp/$tag/result_lines.txt" ] || continue
      echo "$0: $tag, $steps steps" >&2
      # A tenth more than measured, so that the schedule ends.
      train 8 "$config" "$initial" "$tag" "train.steps=$steps" "train.seed=$seed" \
        "train.max_cpu_seconds=$(awk -v m="$budget" 'BEGIN { print 66 * m }')" \
        "train.valid_interval=$(((steps + 9) / 10))" > "exp/$tag.stdout"
    done
  done
done

python3 local/compare_models.py table --data "$datadir/test" --command "$command_line" \
  --figure "${out%.md}.svg" --out "$out" "${tags[@]/#/exp/}"
cat "$out"

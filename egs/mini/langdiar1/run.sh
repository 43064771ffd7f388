#!/usr/bin/env bash
# Language diarization of synthetic voices: from nothing to scores, offline, on a CPU.
#   ./run.sh                 data, simulation, training, inference, scores
#   ./run.sh --short true    the same in a few minutes, with next to no training
# All options of diar.sh can be added.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

short=false data_opts='' args=()
while [ "$#" -gt 0 ]; do
  case "$1" in
    --short) short=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --local-data-opts | --local_data_opts) data_opts=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    *) args+=("$1") && shift ;;
  esac
done
case "$short" in
  true) options=(
    --datadir data/short --expdir exp/short
    --local-data-opts "--short true $data_opts"
    --simulate-config conf/simulate_short.conf
    --args "--set train.steps=20 train.valid_interval=20" --inference-nj 1
  ) ;;
  false) options=(--local-data-opts "$data_opts") ;;
  *) echo "$0: --short takes true or false, not '$short'" >&2; exit 1 ;;
esac

exec ./diar.sh --task language --config conf/train.yaml \
  --train-set train --valid-set dev \
  --test-sets "test_a_short test_a_long test_b_short test_b_long test_c_short test_c_long" \
  --num-processes 2 \
  "${options[@]}" "${args[@]}"

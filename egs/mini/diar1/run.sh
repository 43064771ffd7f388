#!/usr/bin/env bash
# Speaker diarization of synthetic voices: from nothing to scores, offline, on a CPU.
#   ./run.sh                 the demonstration
#   ./run.sh --short true    the same in a few minutes, with next to no training
# All options of diar.sh can be added.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

short=false args=()
while [ "$#" -gt 0 ]; do
  case "$1" in
    --short) short=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    *) args+=("$1") && shift ;;
  esac
done
case "$short" in
  true) options=(
    --datadir data/short --expdir exp/short
    --local-data-opts "--short true --data data/short"
    --simulate-config conf/simulate_short.conf
    --config conf/train_short.yaml --train-set train
  ) ;;
  false) options=(--config conf/train.yaml --train-set "train four") ;;
  *) echo "$0: --short takes true or false, not '$short'" >&2; exit 1 ;;
esac

exec ./diar.sh \
  --valid-set dev --test-sets test \
  --simulate-args "--max-duration 90" --num-processes 2 \
  "${options[@]}" "${args[@]}"

#!/usr/bin/env bash
# Speaker diarization of synthetic voices: from nothing to scores, offline, on a CPU.
#   ./run.sh                 the demonstration
#   ./run.sh --short true    the same in a few minutes, with next to no training
#   ./run.sh --long true     the same voices in earnest: two trainings, up to two hours
# All options of diar.sh can be added.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

short=false long=false stage=1 expdir=exp data_opts='' args=()
while [ "$#" -gt 0 ]; do
  case "$1" in
    --short) short=${2:-} ;;
    --long) long=${2:-} ;;
    --stage) stage=${2:-} ;;
    --expdir) expdir=${2:-} ;;
    --local-data-opts | --local_data_opts) data_opts=${2:-} ;;
    --help | -h) exec ./diar.sh --help ;;
    *) args+=("$1") && shift && continue ;;
  esac
  shift $(($# < 2 ? $# : 2))
done

diar() {
  ./diar.sh --valid-set dev --test-sets test --simulate-args "--max-duration 90" \
    --num-processes 2 --stage "$stage" --expdir "$expdir" --local-data-opts "$data_opts" \
    "$@" "${args[@]}"
}
case "$short $long" in
  "false false") diar --config conf/train.yaml --train-set "train four" ;;
  "true false")
    [ "$expdir" != exp ] || expdir=exp/short
    data_opts="--short true $data_opts"
    diar --datadir data/short \
      --simulate-config conf/simulate_short.conf --config conf/train_short.yaml --train-set train ;;
  "false true")
    diar --config conf/train_long.yaml --train-set train --stop-stage 5
    [ "$stage" -gt 4 ] || stage=4
    diar --config conf/adapt_long.yaml --train-set "train four" \
      --init-model "$expdir/train_long/final.pth" ;;
  *) echo "$0: --short or --long true, not '$short' and '$long'" >&2; exit 1 ;;
esac

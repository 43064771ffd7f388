#!/usr/bin/env bash
# Speaker diarization of mixtures of real voices: speechocean762, with LibriSpeech if it is there.
#   ./run.sh --data-root DIR [--librispeech-root DIR] [--librispeech-train false]
# Without them the corpora are where db.sh says.  Options of diar.sh can be added.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
# shellcheck disable=SC1091
. ./db.sh

sets=(test) data_opts=() args=() librispeech=${LIBRISPEECH:-} libri_train=true
stage=1 expdir=exp datadir=data without=libri_
while [ "$#" -gt 0 ]; do
  case "$1" in
    --data-root) data_opts+=("$1" "${2:-}") && shift $(($# < 2 ? $# : 2)) ;;
    --librispeech-train) libri_train=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --librispeech-root) librispeech=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --expdir) expdir=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --datadir) datadir=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --stage) stage=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    *) args+=("$1") && shift ;;
  esac
done
data_opts+=(--data "$datadir")
[[ "$libri_train" =~ ^(true|false)$ ]] || {
  echo "$0: --librispeech-train takes true or false, not '$libri_train'" >&2; exit 1; }
if [ -n "$librispeech" ]; then
  [ "$libri_train" = true ] && without=none || without=libri_train
  data_opts+=(--librispeech-root "$librispeech" --librispeech-train "$libri_train")
  sets+=(libri_test)
fi
mkdir -p "$datadir"
awk -v without="$without" 'index($3, without) != 1' conf/simulate.conf > "$datadir/simulate.conf"
options=(--valid-set dev --test-sets "${sets[*]}" --local-data-opts "${data_opts[*]}"
  --simulate-config "$datadir/simulate.conf" --simulate-args "--max-duration 90"
  --num-processes 2 --datadir "$datadir" --expdir "$expdir")

# First two speakers, then up to four, then longer crops.
./diar.sh "${options[@]}" --train-set start --config conf/start.yaml \
  --stage "$stage" --stop-stage 5 "${args[@]}"
[ "$stage" -gt 4 ] || stage=4
./diar.sh "${options[@]}" --train-set train --config conf/train.yaml \
  --stage "$stage" --stop-stage 5 --init-model "$expdir/start/final.pth" "${args[@]}"
./diar.sh "${options[@]}" --train-set train --config conf/adapt.yaml \
  --stage "$stage" --init-model "$expdir/train/final.pth" "${args[@]}"
[ ! -f "$expdir/adapt/RESULTS.md" ] ||
  local/report.sh --expdir "$expdir" --datadir "$datadir" "${sets[@]}"

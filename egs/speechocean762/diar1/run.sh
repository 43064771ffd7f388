#!/usr/bin/env bash
# Speaker diarization of mixtures of real voices: speechocean762, with LibriSpeech if it is there.
#   ./run.sh --data-root DIR [--librispeech-root DIR] [--librispeech-train false]
# Without them the corpora are where db.sh says.  Options of diar.sh can be added.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./db.sh
. utils/split_words.sh
root='' librispeech=${LIBRISPEECH:-} libri_train=true stage=1 expdir=exp datadir=data more='' args=()
while [ "$#" -gt 0 ]; do
  case "$1" in
    --data-root) root=${2:-} ;;
    --librispeech-train) libri_train=${2:-} ;;
    --librispeech-root) librispeech=${2:-} ;;
    --expdir) expdir=${2:-} ;;
    --datadir) datadir=${2:-} ;;
    --stage) stage=${2:-} ;;
    --local-data-opts | --local_data_opts) more=${2:-} ;;
    --help | -h) exec ./diar.sh --help ;;
    *) args+=("$1") && shift && continue ;;
  esac
  shift $(($# < 2 ? $# : 2))
done
data_opts=(--librispeech-train "$libri_train" ${root:+--data-root "$root"}
  ${librispeech:+--librispeech-root "$librispeech"})
case "$libri_train ${librispeech:+given}" in
  "true given") sets="test libri_test" without=none ;;
  "false given") sets="test libri_test" without=libri_train ;;
  "true " | "false ") sets=test without=libri_ ;;
  *) echo "$0: --librispeech-train is true or false, not '$libri_train'" >&2; exit 1 ;;
esac
mkdir -p "$datadir"
awk -v without="$without" 'index($3, without) != 1' conf/simulate.conf > "$datadir/.simulate.$$"
mv "$datadir/.simulate.$$" "$datadir/simulate.conf"
part() { # NAME SET INIT options: one of the trainings
  ./diar.sh --valid-set dev --test-sets "$sets" --simulate-config "$datadir/simulate.conf" \
    --local-data-opts "$(quote_words "${data_opts[@]}")$more" \
    --simulate-args "--max-duration 90" --num-processes 2 --datadir "$datadir" --expdir "$expdir" \
    --stage "$stage" --config "conf/$1.yaml" --train-set "$2" --init-model "$3" "${@:4}" "${args[@]}"
}
part start start "" --stop-stage 5
[ "$stage" -gt 4 ] || stage=4
part train train "$expdir/start/final.pth" --stop-stage 5
part adapt train "$expdir/train/final.pth"
[ ! -f "$expdir/adapt/RESULTS.md" ] || local/report.sh "$expdir" "$datadir" "$sets"

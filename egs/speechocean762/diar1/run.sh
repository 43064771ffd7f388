#!/usr/bin/env bash
# Speaker diarization of mixtures of real voices: speechocean762, with LibriSpeech if it is there.
#   ./run.sh --data-root DIR [--librispeech-root DIR] [--librispeech-train false]
#   ./run.sh ... --long true [--long-rounds 8] [--long-from MODEL] [--words-root DIR]
#     [--clips-root DIR]
# Without them the corpora are those of db.sh.  Options of diar.sh can be added.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. ./db.sh
. utils/split_words.sh
root='' librispeech=${LIBRISPEECH:-} libri_train=true stage=1 expdir=exp datadir=data more='' args=()
long=false rounds=8 from='' words='' clips=''
while [ "$#" -gt 0 ]; do
  case "$1" in
    --data-root) root=${2:-} ;;
    --librispeech-train) libri_train=${2:-} ;;
    --long) long=${2:-} ;;
    --long-rounds) rounds=${2:-} ;;
    --long-from) from=${2:-} ;;
    --words-root) words=${2:-} ;;
    --clips-root) clips=${2:-} ;;
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
[ "$long" != true ] || data_opts+=(--long true ${words:+--words-root "$words"}
  ${clips:+--clips-root "$clips"})
case "$long" in
  true | false) ;;
  *) echo "$0: --long is true or false, not '$long'" >&2; exit 1 ;;
esac
case "$libri_train ${librispeech:+given}" in
  "true given") sets="test libri_test" without=none ;;
  "false given") sets="test libri_test" without=libri_train ;;
  "true " | "false ") sets=test without=libri_ ;;
  *) echo "$0: --librispeech-train is true or false, not '$libri_train'" >&2; exit 1 ;;
esac
mkdir -p "$datadir"
lines=(conf/simulate.conf)
[ "$long" != true ] || lines+=(conf/simulate_long.conf)
awk -v without="$without" 'index($3, without) != 1' "${lines[@]}" > "$datadir/.simulate.$$"
mv "$datadir/.simulate.$$" "$datadir/simulate.conf"
part() { # CONFIG SET INIT options: one of the trainings
  ./diar.sh --valid-set dev --test-sets "$sets" --simulate-config "$datadir/simulate.conf" \
    --local-data-opts "$(quote_words "${data_opts[@]}")$more" \
    --simulate-args "--max-duration 90" --num-processes 2 --datadir "$datadir" --expdir "$expdir" \
    --stage "$stage" --config "conf/$1.yaml" --train-set "$2" --init-model "$3" "${@:4}" "${args[@]}"
}
if [ "$long" = false ] || [ -z "$from" ]; then
  part start start "" --stop-stage 5
  [ "$stage" -gt 4 ] || stage=4
  part train train "$expdir/start/final.pth" --stop-stage 5
  part adapt train "$expdir/train/final.pth"
  [ ! -f "$expdir/adapt/RESULTS.md" ] || local/report.sh "$expdir" "$datadir" "$sets"
  from=$expdir/adapt/final.pth
fi
[ "$long" = true ] || exit 0
# Rounds, each from the model of the one before; a round on disk is not trained again.
last=$expdir/long_0.pth
[ -f "$last" ] || [ "$stage" -gt 4 ] || local/more_queries.sh "$from" "$last"
for ((round = 1; round <= rounds; round++)); do
  here=(--tag "long_$round" --valid-set dev_long --num-processes 1
    --args "--set train.seed=$round")
  [ "$round" -eq "$rounds" ] || here+=(--stop-stage 5)
  if [ "$round" -eq "$rounds" ] || [ ! -f "$expdir/long_$round/final.pth" ]; then
    part long long "$last" "${here[@]}"
    [ "$stage" -gt 4 ] || stage=4
  fi
  last=$expdir/long_$round/final.pth
done

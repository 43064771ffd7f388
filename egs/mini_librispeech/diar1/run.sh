#!/usr/bin/env bash
# Simulated mixtures of Mini LibriSpeech (SLR 31), for one GPU and one evening.
#   ./run.sh --librispeech DIR --musan DIR --rirs-noises DIR    mixtures of 1-4 speakers
#   ./run.sh --hitachi true ...               2 speakers, as egs/mini_librispeech of hitachi's EEND
#   ./run.sh --short true --librispeech DIR   all stages in minutes
# All options of diar.sh can be added.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. utils/split_words.sh

short=false hitachi=false data_opts='' args=()
while [ "$#" -gt 0 ]; do
  case "$1" in
    --short) short=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --hitachi) hitachi=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --local-data-opts | --local_data_opts) data_opts=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --librispeech) export LIBRISPEECH=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --musan) export MUSAN=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --rirs-noises) export RIRS_NOISES=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    *) args+=("$1") && shift ;;
  esac
done
parts="--train-parts train-clean-5 --dev-parts dev-clean-2 --test-parts dev-clean-2"
made="--allow-counts recordings,speakers $(quote_words --musan "${MUSAN:-synthetic}" \
  --rirs-noises "${RIRS_NOISES:-synthetic}")"
case "$short,$hitachi" in
  true,*) options=(--datadir data/short --expdir exp/short --config conf/train_short.yaml
    --local-data-opts "$parts $made $data_opts"
    --simulate-config conf/simulate_short.conf --simulate-args "--max-duration 60") ;;
  false,true) options=(--datadir data/hitachi --expdir exp/hitachi --config conf/train.yaml
    --local-data-opts "$parts --speech-bounds none $data_opts"
    --simulate-config conf/simulate_hitachi.conf) ;;
  false,false) options=(--config conf/train.yaml --local-data-opts "$parts $data_opts") ;;
  *) echo "$0: --short and --hitachi must be true or false" >&2; exit 1 ;;
esac

./diar.sh --train-set train --valid-set dev --test-sets test "${options[@]}" "${args[@]}"
[ "$hitachi,$short" != true,false ] || local/beside_hitachi.sh >&2

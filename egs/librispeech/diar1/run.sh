#!/usr/bin/env bash
# Pretraining on simulated mixtures of LibriSpeech (EEND-M2F, Section 4.1): 1-4 speakers.
#   ./run.sh --librispeech DIR --musan DIR --rirs-noises DIR     (or set them in db.sh)
#   ./run.sh --short true --librispeech DIR   all stages in minutes, with any part of the corpus
# All options of diar.sh can be added.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. utils/split_words.sh

short=false data_opts='' args=()
while [ "$#" -gt 0 ]; do
  case "$1" in
    --short) short=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --local-data-opts | --local_data_opts) data_opts=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --librispeech) export LIBRISPEECH=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --musan) export MUSAN=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --rirs-noises) export RIRS_NOISES=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    *) args+=("$1") && shift ;;
  esac
done
part="--allow-counts recordings,speakers --train-parts train-clean-100 --hold-out 0.1"
made=$(quote_words --musan "${MUSAN:-synthetic}" --rirs-noises "${RIRS_NOISES:-synthetic}")
case "$short" in
  true) options=(
    --datadir data/short --expdir exp/short --local-data-opts "$part $made $data_opts"
    --simulate-config conf/simulate_short.conf --simulate-args "--max-duration 60"
    --config conf/train_short.yaml
  ) ;;
  false) options=(--config conf/pretrain.yaml --local-data-opts "$data_opts") ;;
  *) echo "$0: --short must be true or false, not '$short'" >&2; exit 1 ;;
esac

exec ./diar.sh --train-set train --valid-set dev --test-sets test "${options[@]}" "${args[@]}"

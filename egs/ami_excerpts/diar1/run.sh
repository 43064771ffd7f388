#!/usr/bin/env bash
# A model as it is, finetuned, and adapted, on recordings of one's own: here 6 minutes of AMI.
#   ./run.sh --data-root DIR [--flavour only_words|phrases] [--init-model FILE] [options of diar.sh]
# DIR is ami_excerpts; FILE is by default ../../speechocean762/diar1's exp/adapt or, without, model.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
. utils/split_words.sh

root='' flavour=only_words expdir=exp datadir=data more='' args=()
model=../../speechocean762/diar1/exp/adapt/final.pth
[ -f "$model" ] || model=../../speechocean762/diar1/model/final.pth
while [ "$#" -gt 0 ]; do
  case "$1" in
    --data-root) root=${2:-} ;;
    --flavour) flavour=${2:-} ;;
    --init-model) model=${2:-} ;;
    --expdir) expdir=${2:-} ;;
    --datadir) datadir=${2:-} ;;
    --local-data-opts | --local_data_opts) more=${2:-} ;;
    --help | -h) exec ./diar.sh --help ;;
    *) args+=("$1") && shift && continue ;;
  esac
  shift $(($# < 2 ? $# : 2))
done
[ -n "$root" ] || { echo "$0: error: --data-root is required, the directory ami_excerpts" >&2; exit 1; }
[ -f "$model" ] || { echo "$0: error: --init-model: no file '$model'" >&2; exit 1; }
case "$flavour" in
  only_words) rttm=rttm.ami_only_words ;;
  phrases) rttm=rttm ;;
  *) echo "$0: error: --flavour is only_words or phrases, not '$flavour'" >&2; exit 1 ;;
esac
escaped=${root//,/\\,}
data_opts=$(quote_words --audio "$root/audio" --rttm "$escaped/train/$rttm,$escaped/dev/$rttm" \
  --uem "$escaped/train/uem,$escaped/dev/uem" --split conf/split.list --dev-share 0.2 --test-share 0)
diar() {
  ./diar.sh --train-set train --valid-set dev --test-sets test --local-data-opts "$data_opts$more" \
    --inference-nj 1 --expdir "$expdir" --datadir "$datadir" "$@" "${args[@]}"
}
diar --stop-stage 3
diar --tag zero_shot --inference-model "$model" --stage 6 --stop-stage 7
diar --config conf/finetune.yaml --init-model "$model" --stage 4
diar --config conf/adapt.yaml --init-model "$expdir/finetune/final.pth" --stage 4
local/report.sh "$root/dev" "$expdir" "$datadir"

#!/usr/bin/env bash
# EEND-M2F on AMI, headset mixtures or one distant microphone; all options of diar.sh can be added.
#   ./run.sh              prepares both, trains and tests on mix
#   ./run.sh --mic sdm    prepares, trains and tests this one only
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

mic=''
data_opts=''
args=()
while [ "$#" -gt 0 ]; do
  case "$1" in
    --mic) mic=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --local-data-opts | --local_data_opts) data_opts=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    *) args+=("$1") && shift ;;
  esac
done
case "$mic" in
  '') name=mix ;;
  mix | sdm) name=$mic ;;
  *) echo "$0: --mic must be mix or sdm, not '$mic'" >&2; exit 1 ;;
esac

exec ./diar.sh \
  --train-set "train_$name" --valid-set "dev_$name" --test-sets "test_$name" \
  --expdir "exp/$name" \
  --local-data-opts "--mic ${mic:-both} $data_opts" \
  --config conf/finetune.yaml \
  --init-model ../../librispeech/diar1/exp/pretrain/final.pth \
  "${args[@]}"

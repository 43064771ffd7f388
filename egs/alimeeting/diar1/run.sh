#!/usr/bin/env bash
# EEND-M2F on AliMeeting, far or near; all options of diar.sh can be added.
#   ./run.sh                     prepares both, trains and tests on far
#   ./run.sh --condition near    prepares, trains and tests this one only
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

condition=''
data_opts=''
args=()
while [ "$#" -gt 0 ]; do
  case "$1" in
    --condition) condition=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --local-data-opts | --local_data_opts) data_opts=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    *) args+=("$1") && shift ;;
  esac
done
case "$condition" in
  '') name=far ;;
  far | near) name=$condition ;;
  *) echo "$0: --condition must be far or near, not '$condition'" >&2; exit 1 ;;
esac

exec ./diar.sh \
  --train-set "train_$name" --valid-set "dev_$name" --test-sets "test_$name" \
  --expdir "exp/$name" \
  --local-data-opts "--condition ${condition:-both} $data_opts" \
  --config conf/finetune.yaml \
  --init-model ../../librispeech/diar1/exp/pretrain/final.pth \
  "${args[@]}"

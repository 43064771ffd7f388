#!/usr/bin/env bash
# EEND-M2F on all corpora together: the row "EEND-M2F" of the paper's Table 1.
#   ./run.sh                          all corpora of conf/corpora.txt
#   ./run.sh --corpora ami_mix,ramc   these only
# local/schedule.sh continues with the finetuning per corpus, and prints the whole table.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

corpora=$(awk '!/^#/ && NF { printf "%s%s", sep, $1; sep = "," }' conf/corpora.txt)
data_opts='' args=()
while [ "$#" -gt 0 ]; do
  case "$1" in
    --corpora) corpora=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    --local-data-opts | --local_data_opts) data_opts=${2:-} && shift $(($# < 2 ? $# : 2)) ;;
    *) args+=("$1") && shift ;;
  esac
done

exec ./diar.sh \
  --train-set train --valid-set dev --test-sets "$(sed 's/,/_test /g; s/$/_test/' <<< "$corpora")" \
  --local-data-opts "--corpora $corpora $data_opts" \
  --config conf/finetune.yaml \
  --init-model ../../librispeech/diar1/exp/pretrain/final.pth \
  "${args[@]}"

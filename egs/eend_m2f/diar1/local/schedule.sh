#!/usr/bin/env bash
# The paper's schedule from the pretrained backbone to Table 1: finetuning on all corpora (300 s
# crops), then on each by itself (600 s), then the table.  An experiment with RESULTS.md is not
# scored again; its training is resumed, which ends at once, or with an error for other data.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

corpora=                    # names in conf/corpora.txt, with commas; default: all
pretrained=../../librispeech/diar1/exp/pretrain/final.pth
opts=                       # further options for every run, such as "--ngpu 1 --inference-nj 4"
published_output=           # directory of published output to score again (VoxConverse)
only_table=false            # true: no training, the table with what there is

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/schedule.sh [--corpora ami_mix,ramc] [--opts '--ngpu 1'] [--only-table true]
  [--pretrained FILE] [--published-output DIR]"
. ./path.sh
# shellcheck source=/dev/null
. utils/parse_options.sh

[ -n "$corpora" ] || corpora=$(awk '!/^#/ && NF { print $1 }' conf/corpora.txt | paste -sd,)

# run TAG OPTIONS...: one training and its scores; of one that is scored, the check of its data
run() {
  local done=()
  if [ -f "exp/$1/RESULTS.md" ]; then
    echo "$0: exp/$1 has results; checked is whether it was trained on these data" >&2
    done=(--stop-stage 4)
  fi
  # shellcheck disable=SC2086  # opts holds several words
  ./run.sh --corpora "$corpora" --tag "$@" $opts "${done[@]}" >&2 || {
    echo "$0: error: exp/$1 is not finished, or was trained on other data; see above" >&2
    exit 1
  }
}

if [ "$only_table" = false ]; then
  run finetune --config conf/finetune.yaml --init-model "$pretrained"
  for name in ${corpora//,/ }; do
    run "adapt_$name" --stage 4 --config conf/adapt.yaml --init-model exp/finetune/final.pth \
      --train-set "${name}_train" --valid-set "${name}_dev" --test-sets "${name}_test"
  done
fi
mkdir -p exp
published=()
[ -z "$published_output" ] || published=(--published-output "$published_output")
python3 -m diarize.bin.paper_table --table conf/table1.yaml --data-root data \
  --ours "EEND-M2F, ours=exp/finetune/infer_{set}/rttm" \
  --ours "EEND-M2F + FT, ours=exp/adapt_{corpus}/infer_{set}/rttm" \
  "${published[@]}" --out exp/TABLE1.md
cat exp/TABLE1.md

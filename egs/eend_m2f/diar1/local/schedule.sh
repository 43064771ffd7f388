#!/usr/bin/env bash
# The paper's schedule from the pretrained backbone to Table 1: finetuning on all corpora (300 s
# crops), then on each separately (600 s), then the table.  An experiment with RESULTS.md is not
# scored again; its training is resumed, which ends immediately, or with an error if data differ.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

corpora=                    # names in conf/corpora.txt, with commas; default: all
pretrained=../../librispeech/diar1/exp/pretrain/final.pth
opts=                       # further options of each run, quoted as in the shell: "--ngpu 1"
local_data_opts=            # for local/data.sh in stage 1, such as "--allow-counts hours"
published_output=           # directory of published output to score again (VoxConverse)
only_table=false            # true: no training, only the table of existing results

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/schedule.sh [--corpora ami_mix,ramc] [--opts '--ngpu 1'] [--only-table true]
  [--local-data-opts '--allow-counts hours'] [--pretrained FILE] [--published-output DIR]"
. ./path.sh
# shellcheck source=/dev/null
. utils/parse_options.sh
# shellcheck source=/dev/null
. utils/split_words.sh

fail() { printf '%s: error: %s\n' "$0" "$*" >&2 && exit 1; }

[ "$#" -eq 0 ] || fail "unexpected argument '$1'; options of run.sh go into --opts"
words=()
split_words words "$opts"
[ -n "$corpora" ] || corpora=$(awk '!/^#/ && NF { print $1 }' conf/corpora.txt | paste -sd,)

# run TAG OPTIONS...: training and scores; for a scored experiment, the check of its data
run() {
  local done=()
  if [ -f "exp/$1/RESULTS.md" ]; then
    echo "$0: exp/$1 has results; checked is whether it was trained on these data" >&2
    done=(--stop-stage 4)
  fi
  ./run.sh --corpora "$corpora" --tag "$@" "${words[@]}" "${done[@]}" >&2 || {
    echo "$0: error: exp/$1 is not finished, or was trained on other data; see above" >&2
    exit 1
  }
}

[ -z "$published_output" ] || [ -d "$published_output" ] ||
  fail "--published-output: no directory $published_output"
if [ "$only_table" = false ]; then
  # The second configuration is used only after days of training with the first.
  python3 -m diarize.bin.check_start --task speaker -- --config conf/adapt.yaml ||
    fail "nothing was run"
  run finetune --config conf/finetune.yaml --init-model "$pretrained" \
    --local-data-opts "$local_data_opts"
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

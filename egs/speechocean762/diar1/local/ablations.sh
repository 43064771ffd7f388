#!/usr/bin/env bash
# What each ingredient of the long training is worth: exp/ablations_long.md.
# Run in the recipe's directory after stages 1 to 3 of "./run.sh --long true ..." and with its
# exp/long_0.pth.  Each row is a training of --steps steps on the manifest without one ingredient,
# from the same model and the same seed, scored on the set dev_long; the first two rows differ in
# the seed alone, which tells how much of a difference is chance.  Completed rows are not repeated.
set -euo pipefail

steps=400
variants="scenes noise rooms levels pauses babble music hum clips impact rustle breath laughter
  cough"
datadir=data
expdir=exp
init_model=                 # default: EXPDIR/long_0.pth

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/ablations.sh [--steps 400] [--variants 'WHAT ...']"
. ./path.sh
. utils/parse_options.sh
: "${init_model:=$expdir/long_0.pth}"

# train NAME SEED MANIFEST [options]: a training, unless it is complete
train() {
  local out=$expdir/ablations_long/$1
  [ -f "$out/done" ] && return 0
  python3 -m diarize.bin.train --config conf/long.yaml --train "$3" --valid "$datadir/dev_long" \
    --out "$out" --init-model "$init_model" --set "train.steps=$steps" "train.seed=$2" \
    train.valid_interval=0 "data.store_dir=$datadir/long/store" "${@:4}"
  touch "$out/done"
}

# row NAME TEXT: the last validation of a training as a line of the table
row() {
  python3 - "$expdir/ablations_long/$1/train_log.jsonl" "$2" << 'EOF'
import json, sys
rows = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
last = [row for row in rows if row["kind"] == "valid"][-1]
cells = [f"{last[key]:.2f}" for key in ("miss", "fa", "conf", "der", "count_acc")]
print("|", " | ".join([sys.argv[2], *cells]), "|")
EOF
}

whole=$datadir/long/mixture.scp
train whole 1 "$whole"
train seed2 2 "$whole"
train channel 1 "$whole" data.channel=0
for what in $variants; do
  mkdir -p "$datadir/long/without"
  python3 local/leave_out.py "$whole" "$datadir/long/without/$what.scp" --without "$what" \
    --scenes "$datadir/scenes"
  train "$what" 1 "$datadir/long/without/$what.scp"
done
{
  printf '# Ingredients of the long training\n\n%s steps each, one seed. ' "$steps"
  printf 'Percent, collar 0, set dev_long.\n\n'
  echo '| training | miss | false alarm | confusion | DER | count right |'
  echo '|---|---|---|---|---|---|'
  row whole "whole"
  row seed2 "the same, another seed"
  row channel "without channels of crops"
  for what in $variants; do row "$what" "without $what"; done
} > "$expdir/.ablations.$$"
mv "$expdir/.ablations.$$" "$expdir/ablations_long.md"
cat "$expdir/ablations_long.md"

#!/usr/bin/env bash
# Stage 1: DIHARD III as data/{train,dev,test}, checked against the published counts.
set -euo pipefail

partition=full              # or core: recordings and regions of uem_scoring/<partition>/all.uem
split_seed=                 # of another 80/20 split (seed 1 if there is no list) of the development set
split_list=conf/split.txt   # the split, if it exists and no seed is given
allow_counts=               # checks that may fail, e.g. recordings,hours (diarize-prepare --help)
data=data

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/data.sh [--partition full|core] [--split-seed N] [--split-list FILE]
  [--allow-counts CHECK,...] [--data data]; DIHARD3_DEV and DIHARD3_EVAL are set in db.sh"
. ./path.sh
. ./db.sh
# shellcheck source=/dev/null
. utils/parse_options.sh

python3 -m diarize.bin.prepare dihard3 --dev "$DIHARD3_DEV" --eval "$DIHARD3_EVAL" \
  --partition "$partition" --split-list "$split_list" ${split_seed:+--split-seed "$split_seed"} \
  --allow-counts "$allow_counts" --out "$data"

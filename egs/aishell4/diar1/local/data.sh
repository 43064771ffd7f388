#!/usr/bin/env bash
# Stage 1: AISHELL-4 as data/{train,dev,test}, checked against the published counts.
set -euo pipefail

channels=mean               # mean, sum, or the number of a channel from 0
split_seed=                 # of another 80/20 split (seed 1 if there is no list) of training
split_list=conf/split.txt   # the split, if it exists and --split-seed is not set
wav_dir=                    # directory of mixed audio; default: <data>/wav
allow_counts=               # checks that may fail, e.g. recordings,hours (diarize-prepare --help)
data=data

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/data.sh [--channels mean|sum|0..7] [--split-seed N] [--split-list FILE]
  [--wav-dir DIR] [--allow-counts CHECK,...] [--data data]; AISHELL4 is set in db.sh"
. ./path.sh
. ./db.sh
# shellcheck source=/dev/null
. utils/parse_options.sh

python3 -m diarize.bin.prepare aishell4 --root "$AISHELL4" --channels "$channels" \
  --split-list "$split_list" ${split_seed:+--split-seed "$split_seed"} \
  --wav-dir "${wav_dir:-$data/wav}" --allow-counts "$allow_counts" --out "$data"

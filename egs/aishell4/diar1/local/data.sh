#!/usr/bin/env bash
# Stage 1: AISHELL-4 as data/{train,dev,test}, checked against the published counts.
set -euo pipefail

channels=mean               # mean, sum, or the number of a channel from 0
keep_broken=false           # true: also the two recordings whose TextGrid is faulty
split_seed=                 # of another 80/20 split (seed 1 if there is no list) of training
split_list=conf/split.txt   # the split, if it exists and no seed is given
audio=                      # where mixed audio goes; default: <data>/wav
any_counts=false            # true: a part of the corpus will do
data=data

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/data.sh [--channels mean|sum|0..7] [--keep-broken true|false]
  [--split-seed N] [--split-list FILE] [--audio DIR] [--any-counts true|false] [--data data];
  AISHELL4 stands in db.sh"
. ./path.sh
. ./db.sh
# shellcheck source=/dev/null
. utils/parse_options.sh

python3 -m diarize.bin.prepare aishell4 --root "$AISHELL4" --channels "$channels" \
  --keep-broken "$keep_broken" --split-list "$split_list" ${split_seed:+--split-seed "$split_seed"} \
  --audio "${audio:-$data/wav}" --any-counts "$any_counts" --out "$data"

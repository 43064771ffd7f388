#!/usr/bin/env bash
# Stage 1: DISPLACE as data/{train,dev,test}, split by recordings, labelled by language; data/eval,
# too, if labels exist.
set -euo pipefail

root=                       # default: DISPLACE of db.sh
edition=2024                # 2023: set audio and rttm, since its layout is not published
audio=                      # globs below the root
rttm=
split_seed=                 # of another 60/20/20 split (seed 1 if there is no list)
split_list=conf/split.txt   # the split, if it exists and no seed is given
allow_counts=               # checks that may fail, e.g. recordings,hours (diarize-prepare --help)
data=data

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/data.sh [--root DIR] [--edition 2023|2024] [--audio GLOB] [--rttm GLOB]
  [--split-seed N] [--split-list FILE] [--allow-counts CHECK,...] [--data data]"
. ./path.sh
. ./db.sh
# shellcheck source=/dev/null
. utils/parse_options.sh

python3 -m diarize.bin.prepare displace --root "${root:-$DISPLACE}" --edition "$edition" \
  ${audio:+--audio "$audio"} ${rttm:+--rttm "$rttm"} ${split_seed:+--split-seed "$split_seed"} \
  --split-list "$split_list" --allow-counts "$allow_counts" --out "$data"

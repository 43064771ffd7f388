#!/usr/bin/env bash
# Stage 1: the balanced soap opera corpora as data/{train,dev,test}, labelled by language.
set -euo pipefail

root=                       # default: SOAPIES of db.sh
pairs=engzul,engxho,engtsn,engsot
split_by=official           # or episode: no episode in two sets
split_seed=1                # of --split-by episode
allow_counts=               # checks that may fail, e.g. recordings,hours (diarize-prepare --help)
data=data

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/data.sh [--root DIR] [--pairs engzul,...] [--split-by official|episode]
  [--split-seed N] [--allow-counts CHECK,...] [--data data]"
. ./path.sh
. ./db.sh
# shellcheck source=/dev/null
. utils/parse_options.sh

python3 -m diarize.bin.prepare soapies --root "${root:-$SOAPIES}" --pairs "$pairs" \
  --split-by "$split_by" --split-seed "$split_seed" --allow-counts "$allow_counts" --out "$data"

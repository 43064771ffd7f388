#!/usr/bin/env bash
# Stage 1: the balanced soap opera corpora as data/{train,dev,test}, labelled by language.
set -euo pipefail

root=                       # default: SOAPIES of db.sh
pairs=engzul,engxho,engtsn,engsot
split=official              # or episode: no episode on two sides
split_seed=1                # of --split episode
any_counts=false            # true: a part of the corpus will do
data=data

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/data.sh [--root DIR] [--pairs engzul,...] [--split official|episode]
  [--split-seed N] [--any-counts true|false] [--data data]"
. ./path.sh
. ./db.sh
# shellcheck source=/dev/null
. utils/parse_options.sh

python3 -m diarize.bin.prepare soapies --root "${root:-$SOAPIES}" --pairs "$pairs" \
  --split "$split" --split-seed "$split_seed" --any-counts "$any_counts" --out "$data"

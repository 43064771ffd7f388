#!/usr/bin/env bash
# Stage 1: CALLHOME as data/{train,dev,test}, checked against the published counts.
set -euo pipefail

parts=conf/parts.txt        # Kaldi's two parts: the first trains and validates, the second tests
split_seed=                 # of another 80/20 split (seed 1 if there is no list) of the first part
split_list=conf/split.txt   # the split, if it exists and no seed is given
sph2pipe=auto               # always, never, or auto: for compressed files
allow_counts=               # checks that may fail, e.g. recordings,hours (diarize-prepare --help)
data=data

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/data.sh [--parts FILE] [--split-seed N] [--split-list FILE]
  [--sph2pipe auto|always|never] [--allow-counts CHECK,...] [--data data];
  CALLHOME and CALLHOME_KEY are set in db.sh"
. ./path.sh
. ./db.sh
# shellcheck source=/dev/null
. utils/parse_options.sh

python3 -m diarize.bin.prepare callhome --root "$CALLHOME" --key "$CALLHOME_KEY" \
  --parts "$parts" --split-list "$split_list" ${split_seed:+--split-seed "$split_seed"} \
  --sph2pipe "$sph2pipe" --allow-counts "$allow_counts" --out "$data"

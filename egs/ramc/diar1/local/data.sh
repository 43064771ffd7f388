#!/usr/bin/env bash
# Stage 1: MagicData-RAMC as data/{train,dev,test}, checked against the published counts.
set -euo pipefail

overlap_marks=ignore        # [+] of G00000000: ignore, or speakers (speech of both)
allow_counts=               # checks that may fail, e.g. recordings,hours (diarize-prepare --help)
data=data

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/data.sh [--overlap-marks ignore|speakers] [--allow-counts CHECK,...]
  [--data data]; RAMC is set in db.sh"
. ./path.sh
. ./db.sh
# shellcheck source=/dev/null
. utils/parse_options.sh

python3 -m diarize.bin.prepare ramc --root "$RAMC" --overlap-marks "$overlap_marks" \
  --allow-counts "$allow_counts" --out "$data"

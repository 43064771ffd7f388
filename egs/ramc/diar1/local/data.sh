#!/usr/bin/env bash
# Stage 1: MagicData-RAMC as data/{train,dev,test}, checked against the published counts.
set -euo pipefail

any_counts=false            # true: a part of the corpus will do
data=data

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/data.sh [--any-counts true|false] [--data data]; RAMC stands in db.sh"
. ./path.sh
. ./db.sh
# shellcheck source=/dev/null
. utils/parse_options.sh

python3 -m diarize.bin.prepare ramc --root "$RAMC" --any-counts "$any_counts" --out "$data"

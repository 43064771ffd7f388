#!/usr/bin/env bash
# Stage 1: AliMeeting as data/{train,dev,test}_{far,near}, checked against the published counts.
set -euo pipefail

condition=both              # far, near or both
far_channels=mean           # mean, sum, or the number of a channel from 0
near_channels=sum           # mean or sum of a session's headsets
wav_dir=                    # directory of mixed audio; default: <data>/wav
allow_counts=               # checks that may fail, e.g. recordings,hours (diarize-prepare --help)
data=data

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/data.sh [--condition far|near|both] [--far-channels mean|sum|0..7]
  [--near-channels mean|sum] [--wav-dir DIR] [--allow-counts CHECK,...] [--data data];
  ALIMEETING is set in db.sh"
. ./path.sh
. ./db.sh
# shellcheck source=/dev/null
. utils/parse_options.sh

conditions=$condition
[ "$condition" != both ] || conditions="far near"
for name in $conditions; do
  channels=$far_channels
  [ "$name" != near ] || channels=$near_channels
  python3 -m diarize.bin.prepare alimeeting --root "$ALIMEETING" --condition "$name" \
    --channels "$channels" --wav-dir "${wav_dir:-$data/wav}" --allow-counts "$allow_counts" --out "$data"
done

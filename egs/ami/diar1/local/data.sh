#!/usr/bin/env bash
# Stage 1: AMI as data/{train,dev,test}_{mix,sdm}, checked against the published counts.
set -euo pipefail

mic=both                    # mix, sdm or both
flavour=only_words          # annotation used as reference; or word_and_vocalsounds
regions=setup               # or full: the whole audio
allow_counts=               # checks that may fail, e.g. recordings,hours (diarize-prepare --help)
data=data

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/data.sh [--mic mix|sdm|both] [--flavour only_words|word_and_vocalsounds]
  [--regions setup|full] [--allow-counts CHECK,...] [--data data]; AMI and AMI_SETUP are set in db.sh"
. ./path.sh
. ./db.sh
# shellcheck source=/dev/null
. utils/parse_options.sh

mics=$mic
[ "$mic" != both ] || mics="mix sdm"
for name in $mics; do
  python3 -m diarize.bin.prepare ami --root "$AMI" --setup "$AMI_SETUP" --mic "$name" \
    --flavour "$flavour" --regions "$regions" --allow-counts "$allow_counts" --out "$data"
done

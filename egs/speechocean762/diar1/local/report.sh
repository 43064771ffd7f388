#!/usr/bin/env bash
# report.sh EXPDIR DATADIR 'SET...': EXPDIR/RESULTS.md, the results page with the time of each
# part of the training, and the scores of trivial output for each set.
set -euo pipefail
. ./path.sh

[ "$#" -eq 3 ] || { echo "Usage: $0 EXPDIR DATADIR 'SET...'" >&2; exit 1; }
expdir=$1 datadir=$2

{
  cat "$expdir/adapt/RESULTS.md"
  printf '\n## The parts of the training\n\n| | seconds |\n|---|---|\n'
  for part in start train adapt; do
    seconds=$(python3 -c '
import sys
from pathlib import Path
from diarize.report.provenance import training_seconds
print(round(training_seconds(Path(sys.argv[1])) or 0))' "$expdir/$part/train_log.jsonl")
    printf '| %s | %s |\n' "$expdir/$part" "$seconds"
  done
  for set in $3; do
    echo
    python3 -m diarize.bin.baselines --title "$set and baselines without a model" --collar 0 \
      --ref "$datadir/$set/rttm" --uem "$datadir/$set/uem" \
      --systems "adapt=$expdir/adapt/infer_$set/rttm"
  done
} > "$expdir/.RESULTS.$$"
mv "$expdir/.RESULTS.$$" "$expdir/RESULTS.md"

#!/usr/bin/env bash
# report.sh SET...: exp/RESULTS.md, the results page with what the parts of the training took, and
# for each set what output gets that needs no model.
set -euo pipefail
. ./path.sh

expdir=exp datadir=data
while [ "$#" -gt 1 ]; do
  case "$1" in
    --expdir) expdir=$2 && shift 2 ;;
    --datadir) datadir=$2 && shift 2 ;;
    *) break ;;
  esac
done
[ "$#" -gt 0 ] || { echo "Usage: $0 [--expdir DIR] [--datadir DIR] SET..." >&2; exit 1; }

{
  cat "$expdir/adapt/RESULTS.md"
  printf '\n## The parts of the training\n\n| | seconds |\n|---|---|\n'
  for part in start train adapt; do
    seconds=$(python3 -c '
import sys
from pathlib import Path
from diarize.bin.provenance import training_seconds
print(round(training_seconds(Path(sys.argv[1])) or 0))' "$expdir/$part/train_log.jsonl")
    printf '| %s | %s |\n' "$expdir/$part" "$seconds"
  done
  for set in "$@"; do
    echo
    python3 -m diarize.bin.baselines --title "$set beside what needs no model" --collar 0 \
      --ref "$datadir/$set/rttm" --uem "$datadir/$set/uem" \
      --sys "adapt=$expdir/adapt/infer_$set/rttm"
  done
} > "$expdir/.RESULTS.tmp"
mv "$expdir/.RESULTS.tmp" "$expdir/RESULTS.md"

#!/usr/bin/env bash
# show_result.sh [EXP_DIR]: the RESULT lines of all experiments below EXP_DIR, the best first.
set -euo pipefail
export LC_ALL=C

if [ "$#" -gt 1 ] || [ "${1:-}" = --help ]; then
  echo "Usage: $0 [exp]" >&2
  exit 1
fi
exp=${1:-exp}
files=$(find -L "$exp" -name result_lines.txt | sort)
if [ -z "$files" ]; then
  echo "$0: no experiment in $exp has been scored (stage 8)" >&2
  exit 1
fi
while IFS= read -r file; do
  sed -n "s|^RESULT |$(dirname "$file") |p" -- "$file"
done <<< "$files" | awk '
  { der = "na"; for (i = 2; i <= NF; i++) if ($i ~ /^der=/) der = substr($i, 5)
    print der "\t" $0 }' | sort -n | cut -f 2-

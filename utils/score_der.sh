#!/usr/bin/env bash
# score_der.sh [--collars "0.0 0.25"] [--uem FILE] REF.rttm HYP.rttm OUT_DIR
# Writes OUT_DIR/result.txt (per recording and pooled, for each collar) and OUT_DIR/result.json.
set -euo pipefail

collars="0.0 0.25"
uem=
help_message="Usage: $0 [--collars '0.0 0.25'] [--uem FILE] REF.rttm HYP.rttm OUT_DIR"
utils=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source=parse_options.sh
. "$utils/parse_options.sh"
if [ "$#" -ne 3 ]; then
  echo "$help_message" >&2
  exit 1
fi

export PYTHONPATH="$utils/..${PYTHONPATH:+:$PYTHONPATH}"
for file in "$1" "$2"; do
  [ -f "$file" ] || { echo "$0: error: no file $file" >&2 && exit 1; }
done
options=()
for collar in $collars; do
  options+=(-c "$collar")
done
[ -z "$uem" ] || options+=(-u "$uem")
mkdir -p "$3"
python3 -m diarize.bin.score -r "$1" -s "$2" "${options[@]}" --json "$3/result.json" \
  > "$3/.result.$$"
mv "$3/.result.$$" "$3/result.txt"
grep "^OVERALL" "$3/result.txt"

#!/usr/bin/env bash
# beside_hitachi.sh [exp/hitachi/train]: our DER in hitachi's setting, with the published one.
# Published in RESULT.md of egs/mini_librispeech/v1, github.com/hitachi-speech/EEND: collar 0.25,
# overlap scored, thresholds chosen on the test set itself.
set -euo pipefail
exp=${1:-exp/hitachi/train}
lines=$exp/result_lines.txt
[ -f "$lines" ] || { echo "$0: $lines is missing: run stages 1 to 8" >&2; exit 1; }
ours=$(sed -n 's/^RESULT .*set=test collar=0\.25 der=\([^ ]*\).*/\1/p' "$lines")
printf '%-44s %s\n' 'Mini LibriSpeech, 2 speakers, collar 0.25' 'DER (%)' \
  'hitachi-speech/EEND (dev-clean-2, 8 kHz)' '29.96' \
  "EEND-M2F, $exp (half of its speakers)" "${ours:--}"

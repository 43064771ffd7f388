#!/usr/bin/env bash
# report.sh DIR EXP DATA: EXP/RESULTS.md of all systems and trivial output, on both references.
# DIR contains rttm and rttm.ami_only_words of the test recordings.
set -euo pipefail
. ./path.sh

[ "$#" -eq 3 ] || { echo "Usage: $0 DIR EXP DATA" >&2; exit 1; }
exp=$2
systems=()
for tag in zero_shot finetune adapt; do
  systems+=(--systems "$tag=$exp/$tag/infer_test/rttm")
done
python3 -m diarize.bin.baselines --title "Baselines without a model" --uem "$3/test/uem" \
  --ref "only words=$1/rttm.ami_only_words" --ref "phrases=$1/rttm" "${systems[@]}" \
  --out "$exp/baselines.md"
cat <(printf '# Results of the AMI excerpts\n\n') "$exp/baselines.md" <(echo) \
  "$exp/finetune/RESULTS.md" <(echo) "$exp/adapt/RESULTS.md" > "$exp/RESULTS.md"

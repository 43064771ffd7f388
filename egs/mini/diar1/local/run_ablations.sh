#!/usr/bin/env bash
# Tables 3 to 6 of the EEND-M2F paper in miniature: every variant is trained from the same
# seed for the same number of steps on the mini corpus, tuned on dev, scored on test.
# Needs the data of ./run.sh (stages 1 to 3).  Variants that are done are not done again.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

help_message="Usage: $0 [--steps 150] [--only masked] [--out exp/ablations.md]"
steps=150
only=
out=exp/ablations.md
. ./path.sh
. utils/parse_options.sh

# table | variant | overrides of conf/train.yaml
variants() {
  cat << 'LIST'
3 masked attention x deep supervision|no MA, no DS|model.decoder.masked_attention=false criterion.deep_supervision=false
3 masked attention x deep supervision|MA, no DS|criterion.deep_supervision=false
3 masked attention x deep supervision|no MA, DS|model.decoder.masked_attention=false
3 masked attention x deep supervision|MA, DS|
4 loss terms|BCE only|criterion.dice=0
4 loss terms|dice only|criterion.bce=0
4 loss terms|BCE + dice|
5 queries|N = 4|model.decoder.queries=4
5 queries|N = 8|
5 queries|N = 16|model.decoder.queries=16
6 layers|backbone 2, decoder 3|model.backbone.layers=2
6 layers|backbone 4, decoder 2|model.decoder.layers=2
6 layers|backbone 4, decoder 3|
6 layers|backbone 4, decoder 4|model.decoder.layers=4
6 layers|backbone 6, decoder 3|model.backbone.layers=6
LIST
}

result_of() { # overrides -> the RESULT line of that variant, trained now unless it is there
  local name tag
  name=$(printf '%s' "$1" | tr -c 'A-Za-z0-9' '_')
  tag=ablation_${steps}_${name:-base}
  if [ ! -s "exp/$tag/result.txt" ]; then
    # shellcheck disable=SC2086
    ./run.sh --stage 4 --stop-stage 8 --tag "$tag" \
      --args "--set train.steps=$steps $1" > "exp/$tag.stdout" < /dev/null
    grep '^RESULT ' "exp/$tag.stdout" | tail -n 1 > "exp/$tag/result.txt"
  fi
  cat "exp/$tag/result.txt"
}

field() { sed -n "s/.* $1=\([^ ]*\).*/\1/p" <<< "$2"; }

mkdir -p exp
rows=
while IFS='|' read -r table variant overrides; do
  case "$table $variant" in *"$only"*) ;; *) continue ;; esac
  echo "$0: table $table: $variant" >&2
  line=$(result_of "$overrides")
  rows+="| $table | $variant | $(field miss "$line") | $(field fa "$line") |"
  rows+=" $(field conf "$line") | $(field der "$line") | $(field count_acc "$line") |"$'\n'
done < <(variants)

{
  echo "# Ablations on the mini corpus"
  echo
  echo "\`local/run_ablations.sh --steps $steps\`, $(date -u +%Y-%m-%d), git $(git rev-parse --short HEAD)."
  echo "Test set, collar 0, overlap scored, percent; thresholds tuned on dev. After $steps steps"
  echo "the order of the variants is that of early training, not of the papers' end points."
  echo
  echo "| table | variant | miss | FA | conf | DER | count right |"
  echo "|---|---|---|---|---|---|---|"
  printf '%s' "$rows"
} > "$out.tmp"
mv "$out.tmp" "$out"
cat "$out"

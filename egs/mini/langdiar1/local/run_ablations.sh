#!/usr/bin/env bash
# Ablations of SAGE-LD in miniature, in one table: each variant is trained from the same seed,
# tuned on dev, and scored on all test sets.  Requires the data of ./run.sh (stages 1 to 3) and
# makes the other training sets.  Completed variants are not repeated.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: $0 [--steps 300] [--conv-steps 40] [--adapt-steps 100] [--only voices]
  --steps N        of each variant but those below (default 300)
  --adapt-steps N  on the small set, after a pretraining of --steps, and without one (100)
  --conv-steps N   of both front-ends of that comparison (40): the convolutional layers have no
                   pretrained weights here and are trained, at a few times real time
  --voice-steps N  of single-voice against naive simulation (default: as in conf/train.yaml;
                   the first of the two is then the demonstration itself)
  --only PATTERN   tables whose name has PATTERN in it
  --collect true   train nothing: print the table of the finished variants, – for the others
  --list true      show the variants and their experiments, train nothing
  --options '...'  further options of run.sh, such as '--num-processes 4'"
steps=300
adapt_steps=100
conv_steps=40
voice_steps=
only=
list=false
collect=false
options=
out=exp/ablations.md
. ./path.sh
. utils/parse_options.sh

# table | variant | steps | training set | starts from | overrides of conf/train.yaml
variants() {
  local small="data.crop_seconds=10 train.batch_size=4"
  cat << LIST
pretraining|pretrained on simulation, not adapted|$steps|train||
pretraining|pretrained, then adapted|$adapt_steps|adapt|ablation_${steps}_train_|train.optimizer.lr=3e-4
pretraining|adaptation set alone, from scratch|$adapt_steps|adapt||
pretraining|adaptation set alone, as many steps as both|$((steps + adapt_steps))|adapt||
frames|25 ms every 20 ms|$steps|train||$(frames 20 25)
frames|105 ms every 100 ms|$steps|train||$(frames 100 105)
frames|205 ms every 200 ms|$steps|train||$(frames 200 205)
loss|focal|$steps|train||criterion.tversky=0
loss|focal Tversky|$steps|train||criterion.focal=0
loss|both|$steps|train||
front-end|log-mel, 20 ms|$conv_steps|train||$(frames 20 25) $small
front-end|convolutional, 20 ms, without weights|$conv_steps|train||model.front_end=ssl_conv $small
voices|one voice|$voice_steps|train||
voices|voices change with the language (naive)|$voice_steps|train_naive||
LIST
}

frames() { # hop and window in ms: log-mel frames of the paper's rates
  printf 'model.log_mel.hop_ms=%s model.log_mel.window_ms=%s model.log_mel.stack=1' "$1" "$2"
  printf ' model.log_mel.num_mels=40'
}

tag_of() { # steps, training set, start, overrides
  if [ -z "$1" ] && [ "$2" = train ]; then
    echo train # the demonstration
  else
    printf 'ablation_%s_%s_%s' "${1:-all}" "$2" "$(printf '%s' "${3:+from_}$4" | tr -c 'A-Za-z0-9' '_')"
  fi
}

# train_and_score TAG STEPS SET START OVERRIDES: exp/TAG/result_lines.txt, unless it exists
train_and_score() {
  local tag=$1 settings="train.max_seconds=null $5" more=()
  if [ -s "exp/$tag/result_lines.txt" ]; then return 0; fi
  [ -z "$2" ] || settings+=" train.steps=$2 train.valid_interval=$2"
  [ -z "$4" ] || more=(--init-model "exp/$4/final.pth")
  # shellcheck disable=SC2086
  ./run.sh --stage 4 --stop-stage 4 --tag "$tag" --train-set "$3" "${more[@]}" \
    --args "--set $settings" $options < /dev/null
  # A training stopped by a signal saves a checkpoint and exits with 0, but is not complete.
  if ! grep -q '^\(done\|already\) ' "exp/$tag/train.log"; then
    echo "$0: error: exp/$tag was stopped before its end; the same command resumes" >&2
    exit 1
  fi
  # shellcheck disable=SC2086
  ./run.sh --stage 5 --stop-stage 8 --tag "$tag" --train-set "$3" $options < /dev/null \
    > "exp/$tag.stdout"
}

field() { # field NAME SET TAG
  [ -s "exp/$3/result_lines.txt" ] || { echo – && return 0; }
  sed -n "s/^RESULT task=language set=$2 .* $1=\([^ ]*\).*/\1/p" "exp/$3/result_lines.txt"
}

other_sets() { # training sets not made by ./run.sh
  if [ -s data/train_naive/mixture.scp ] && [ -s data/adapt/mixture.scp ]; then return 0; fi
  # shellcheck disable=SC2086
  ./run.sh --stage 3 --stop-stage 3 --simulate-config conf/simulate_ablations.conf $options \
    < /dev/null
}

if [ "$list" = true ]; then
  while IFS='|' read -r table variant count set start overrides; do
    tag=$(tag_of "$count" "$set" "$start" "$overrides")
    printf '%s\n' "$tag|$table|$variant|$count|$set|$start|$overrides"
  done < <(variants)
  exit 0
fi
mkdir -p exp
[ "$collect" = true ] || other_sets
rows=
while IFS='|' read -r table variant count set start overrides; do
  case "$table" in *"$only"*) ;; *) continue ;; esac
  tag=$(tag_of "$count" "$set" "$start" "$overrides")
  echo "$0: $table: $variant (exp/$tag)" >&2
  [ "$collect" = true ] || train_and_score "$tag" "$count" "$set" "$start" "$overrides"
  row="| $table | $variant | ${count:-as conf/train.yaml} |"
  for test in test_a_short test_a_long test_b_short test_b_long; do
    row+=" $(field der "$test" "$tag") |"
  done
  for test in test_c_short test_c_long; do
    row+=" $(field second_language "$test" "$tag") | $(field der "$test" "$tag") |"
  done
  rows+="$row"$'\n'
done < <(variants)

{
  echo "# Ablations on the mini corpus of languages"
  echo
  echo "Generated by \`local/run_ablations.sh\`; not edited by hand."
  echo
  echo "Steps $steps, adaptation $adapt_steps, convolutional $conv_steps; $(date -u +%Y-%m-%d)," \
    "git $(git rev-parse --short HEAD), $(python3 -c '
import platform, torch
print("Python", platform.python_version() + ", torch", torch.__version__)')."
  echo "DER of whole recordings, collar 0, in percent; thresholds tuned on dev. Of set (c), in"
  echo "which the voice changes and the language does not, also the share of speech that goes to"
  echo "a second language. After so few steps the order of the variants is that of early"
  echo "training; one run each, so that differences of 2 points are noise. – was not run."
  echo
  echo "| table | variant | steps | (a) 10 s | (a) 60 s | (b) 10 s | (b) 60 s | (c) 10 s second | (c) 10 s DER | (c) 60 s second | (c) 60 s DER |"
  echo "|---|---|---|---|---|---|---|---|---|---|---|"
  printf '%s' "$rows"
} > "$out.$$"
mv "$out.$$" "$out"
cat "$out"

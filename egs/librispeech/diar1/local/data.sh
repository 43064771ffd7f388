#!/usr/bin/env bash
# Data preparation from LibriSpeech, MUSAN and RIRS_NOISES, unpacked.
#
# Writes data/{train,dev,test}_voices (single utterances of speakers in one set only, with the
# bounds of their speech), data/noises and data/rirs.  A second run changes nothing.
set -euo pipefail
. ./path.sh
. ./db.sh
. ./cmd.sh

librispeech=$LIBRISPEECH
musan=$MUSAN                # or "synthetic", for a test without MUSAN
rirs_noises=$RIRS_NOISES    # or "synthetic"
data=data
train_parts=train-clean-100,train-clean-360,train-other-500
dev_parts=dev-clean
test_parts=test-clean
hold_out=0                  # share of training speakers for dev, and for test, instead of parts
split_seed=1
allow_counts=               # checks that may fail, e.g. recordings,hours (diarize-prepare --help)
speech_bounds="split"       # split: cut at pauses; trim: cut the ends only; none: whole files
split_pause=0.5             # seconds, for "split"
nj=4
help_message="Usage: local/data.sh [options]   (in the directory of the recipe)
The options and their defaults are at the head of $0; README.md explains them."

# shellcheck source=/dev/null
. utils/parse_options.sh
if [ "$#" -ne 0 ]; then
  printf '%s: unexpected argument "%s"\n%s\n' "$0" "$1" "$help_message" >&2
  exit 1
fi
case "$speech_bounds" in
  split) [[ "$split_pause" =~ [1-9] ]] || { echo "$0: --split-pause must be above 0" >&2; exit 1; } ;;
  trim) split_pause=0 ;;
  none) ;;
  *) echo "$0: --speech-bounds is split, trim or none, not '$speech_bounds'" >&2; exit 1 ;;
esac

prepare() { python3 -m diarize.bin.prepare "$@" --out "$data" --allow-counts "$allow_counts"; }

mkdir -p "$data"
prepare librispeech --root "$librispeech" --train-parts "$train_parts" --dev-parts "$dev_parts" \
  --test-parts "$test_parts" --hold-out "$hold_out" --split-seed "$split_seed"
for name in train dev test; do
  if [ "$speech_bounds" = none ]; then
    utils/copy_data_dir.sh "$data/${name}_read" "$data/${name}_voices"
  else
    utils/make_speech_segments.sh --nj "$nj" --cmd "$train_cmd" --split-pause "$split_pause" \
      "$data/${name}_read" "$data/${name}_voices"
  fi
done

[ "$musan" = synthetic ] || prepare musan --root "$musan"
[ "$rirs_noises" = synthetic ] || prepare rirs-noises --root "$rirs_noises"
made=()
[ "$musan" != synthetic ] || made+=(noises)
[ "$rirs_noises" != synthetic ] || made+=(rirs)
if [ "${#made[@]}" -gt 0 ]; then
  # The script makes both; only the selected ones are copied.
  PYTHONPATH="$DIARIZE_ROOT/egs/mini:$PYTHONPATH" python3 \
    "$DIARIZE_ROOT/egs/mini/diar1/local/make_rooms.py" "$data/synthetic"
  for name in "${made[@]}"; do
    utils/copy_data_dir.sh "$data/synthetic/$name" "$data/$name"
  done
fi

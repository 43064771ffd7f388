#!/usr/bin/env bash
# Data preparation of the mini recipe: synthetic speakers, rooms and noises, without download.
#
# Writes data/{train,dev,test}_voices (one utterance per recording, speakers and sentences in one
# set only), data/rirs and data/noises; the audio is in data/wav.  An interrupted run can be
# repeated; --nj changes only the time.

set -euo pipefail

data=data
num_voices=                 # train, dev, test; 88 12 20, or 40 6 8 with --short true
num_utts=                   # of each voice; 40 25 25, or 12 12 12
seed=1
nj=2
short=false

help_message="Usage: local/data.sh [options]   (in the directory of the recipe)
  --short true|false          a small set for a quick run (default $short)
  --num-voices 'TRAIN DEV TEST'  voices in each set (default '88 12 20'; short: '40 6 8')
  --num-utts 'TRAIN DEV TEST'    utterances of each voice ('40 25 25'; short: '12 12 12')
  --seed N                    another seed yields other voices and sentences (default $seed)
  --nj N                      processes (default $nj)
  --data DIR                  where all of it goes (default $data)"

mini=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
root=$(cd "$mini/../.." && pwd)
if [ -f ./path.sh ]; then
  # shellcheck disable=SC1091
  . ./path.sh
fi
# shellcheck disable=SC1091
. "$root/utils/parse_options.sh"
if [ "$#" -ne 0 ]; then
  printf '%s: unexpected argument "%s"\n%s\n' "$0" "$1" "$help_message" >&2
  exit 1
fi

if [ "$short" = true ]; then
  : "${num_voices:=40 6 8}" "${num_utts:=12 12 12}"
else
  : "${num_voices:=88 12 20}" "${num_utts:=40 25 25}"
fi
read -r -a voices <<<"$num_voices"
read -r -a utts <<<"$num_utts"

# One thread per process: the synthesis forks, and --nj is the number of cores.
export PYTHONPATH="$root:$mini${PYTHONPATH:+:$PYTHONPATH}"
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

python3 "$mini/diar1/local/make_voices.py" "$data" --voices "${voices[@]}" \
  --utterances "${utts[@]}" --seed "$seed" --nj "$nj"
python3 "$mini/diar1/local/make_rooms.py" "$data" --seed "$seed"

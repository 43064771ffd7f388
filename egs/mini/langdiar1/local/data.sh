#!/usr/bin/env bash
# Data preparation of the mini recipe of languages: synthetic voices, without download.
#
# Writes data/{train,dev,test}_voices (one utterance per recording, with utt2lang and word times in
# ctm; voices and sentences in one set only), data/units.cmn.model (units of Chinese text),
# data/rirs and data/noises.  An interrupted run can be repeated.

set -euo pipefail

data=data
num_voices=                 # train, dev, test; 40 6 8, or 10 2 3 with --short true
num_utts=                   # of each voice in each language; 6 6 8, or 4 4 4
languages=                  # of all sets, separated by commas; short: en,hi,ta,sw,fr,cmn
unseen=                     # of the test set only; short: kn,it
udhr=                       # directory of running text (hin.txt ...), for half of the sentences
seed=1
nj=2
short=false

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/data.sh [options]   (in the directory of the recipe)
  --short true|false          a small set for a quick run (default $short)
  --num-voices 'TRAIN DEV TEST'  voices in each set (default '40 6 8'; short: '10 2 3')
  --num-utts 'TRAIN DEV TEST'    utterances of each voice in each language ('6 6 8'; short: '4 4 4')
  --languages LANG,LANG,...   that every voice speaks (default: 14; short: 6)
  --unseen LANG,LANG,...      that only the test voices speak as well (default: 6; short: 2)
  --udhr DIR                  running text in files like hin.txt, for half of the sentences
  --seed N                    another seed gives other voices and sentences (default $seed)
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
  : "${num_voices:=10 2 3}" "${num_utts:=4 4 4}" "${languages:=en,hi,ta,sw,fr,cmn}"
  : "${unseen:=kn,it}"
else
  : "${num_voices:=40 6 8}" "${num_utts:=6 6 8}"
fi
read -r -a voices <<<"$num_voices"
read -r -a utts <<<"$num_utts"
options=()
[ -z "$languages" ] || options+=(--languages "$languages")
[ -z "$unseen" ] || options+=(--unseen "$unseen")
[ -z "$udhr" ] || options+=(--udhr "$udhr")

# One thread per process: the synthesis forks, and --nj is the number of cores.
export PYTHONPATH="$root:$mini${PYTHONPATH:+:$PYTHONPATH}"
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1

python3 "$mini/langdiar1/local/make_languages.py" "$data" --voices "${voices[@]}" \
  --utterances "${utts[@]}" --seed "$seed" --nj "$nj" "${options[@]}"
python3 "$mini/diar1/local/make_rooms.py" "$data" --seed "$seed"
if grep -q ' cmn$' "$data/train_voices/utt2lang"; then
  python3 -m diarize.bin.simulate units --data "$data/train_voices" --language cmn --size 400 \
    --out "$data/units.cmn.model"
fi

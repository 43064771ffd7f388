#!/usr/bin/env bash
# Data preparation: speechocean762 (OpenSLR 101), and LibriSpeech if specified.
#
# Writes data/{train,dev,test}_voices (stretches of speech, no person in two of them), of
# LibriSpeech data/libri_{train,test}_voices, and data/{rirs,noises} and data/unheard/{rirs,noises},
# simulated rooms and noises for training and for dev and test.  The audio is in data/wav.
# With --long true also data/mixed_voices, data/rooms and data/unheard_rooms, with several places
# in each room, and data/{scenes,unheard_scenes}, sounds that are not speech.
# An interrupted run can be repeated.
set -euo pipefail

data=data
data_root=                  # default: $SPEECHOCEAN762 of db.sh
librispeech_root=           # default: $LIBRISPEECH of db.sh; the directory above LibriSpeech
librispeech_train=true
long=false
words_root=                 # default: $WORDS of db.sh; optional
clips_root=                 # default: $CLIPS of db.sh; optional
seed=1
speeds=85,92,100,108,115
nj=2
allow_counts=

help_message="Usage: local/data.sh [options]   (in the directory of the recipe)
  --data-root DIR             speechocean762, as it is unpacked (default \$SPEECHOCEAN762)
  --librispeech-root DIR      the directory above LibriSpeech (default \$LIBRISPEECH; may be empty)
  --librispeech-train B       its speakers join the training, but for 40 (default $librispeech_train)
  --long B                    also what the long training needs (default $long)
  --words-root DIR            data directory of single words of many speakers (default \$WORDS)
  --clips-root DIR            data directory of sounds that are not speech (default \$CLIPS)
  --speeds LIST               speeds in percent at which training voices are played ($speeds)
  --seed N                    of splits, levels, rooms, noises (default $seed)
  --allow-counts CHECK,...    recordings, speakers, utterances: may differ from the published
  --nj N                      processes (default $nj)
  --data DIR                  where all of it goes (default $data)"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../../../.." && pwd)
if [ -f ./path.sh ]; then
  # shellcheck disable=SC1091
  . ./path.sh
fi
if [ -f ./db.sh ]; then
  # shellcheck disable=SC1091
  . ./db.sh
fi
# shellcheck disable=SC1091
. "$root/utils/parse_options.sh"
if [ "$#" -ne 0 ]; then
  printf '%s: unexpected argument "%s"\n%s\n' "$0" "$1" "$help_message" >&2
  exit 1
fi
: "${data_root:=${SPEECHOCEAN762:-}}" "${librispeech_root:=${LIBRISPEECH:-}}"
: "${words_root:=${WORDS:-}}" "${clips_root:=${CLIPS:-}}"
if [ -z "$data_root" ]; then
  printf '%s: error: no path of speechocean762; set --data-root, or SPEECHOCEAN762 in db.sh\n' "$0" >&2
  exit 1
fi

# One thread per process: --nj is the number of cores.
export PYTHONPATH="$root:$root/egs/mini${PYTHONPATH:+:$PYTHONPATH}"
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1
others=()
[ -z "$librispeech_root" ] || others=(--librispeech-root "$librispeech_root")
[ -z "$words_root" ] || others+=(--words-root "$words_root")

python3 "$here/prepare_voices.py" "$data" --root "$data_root" "${others[@]}" \
  --librispeech-train "$librispeech_train" --speeds "$speeds" --seed "$seed" --nj "$nj" \
  --mixed "$long" --allow-counts "$allow_counts"
make_rooms=$root/egs/mini/diar1/local/make_rooms.py
python3 "$make_rooms" "$data" --rirs 100 --noises 60 --noise-seconds 20 --seed "$seed"
python3 "$make_rooms" "$data/unheard" --rirs 40 --noises 30 --noise-seconds 20 \
  --seed $((seed + 1000))

[ "$long" = true ] || exit 0
clips=()
[ -z "$clips_root" ] || clips=(--clips "$clips_root")
python3 "$make_rooms" "$data/rooms" --rirs 240 --positions 6 --noises 60 --noise-seconds 20 \
  --seed $((seed + 1))
python3 "$make_rooms" "$data/unheard_rooms" --rirs 60 --positions 6 --noises 30 \
  --noise-seconds 20 --seed $((seed + 1001))
python3 "$here/make_nonspeech.py" "$data/scenes" --count 300 --seconds 30 "${clips[@]}" \
  --voices "$data/train_voices" --rirs "$data/rooms/rirs" --seed "$seed" --nj "$nj"
python3 "$here/make_nonspeech.py" "$data/unheard_scenes" --count 40 --seconds 30 "${clips[@]}" \
  --clips-part dev --voices "$data/dev_voices" --rirs "$data/unheard_rooms/rirs" \
  --seed $((seed + 1000)) --nj "$nj"

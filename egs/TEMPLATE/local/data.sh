#!/usr/bin/env bash
# Data preparation for your own recordings: a folder of audio and a folder of RTTM.
#
# Writes data/{train,dev,test}, if not empty, and data/split.list.  Recordings that share a speaker
# or a group are in one set.  The local/data.sh made by setup.sh calls this script.
set -euo pipefail

data=data
audio=
rttm=
uem=
names=lines
speakers=shared
groups=
split=
dev_share=0.1
test_share=0.1
seed=1
incomplete=error

help_message="Usage: local/data.sh --audio DIR --rttm DIR [options]   (in the directory of the recipe)
  --audio DIR,...        folders or files; a file's name without suffix is the recording; a comma in
                         a name is written \\\\, if there are several names
  --rttm DIR,...         folders or files; a recording where nobody speaks has an empty one
  --uem DIR,...          the annotated regions of each recording (default: all of it); training,
                         validation and scoring exclude the rest
  --names lines|files    recording of an RTTM: that of its lines, or of its file name
  --speakers shared|local  equal labels in two recordings are one person, or not ($speakers)
  --groups FILE          '<recording> <group>': recordings of a group are in one set
  --split FILE           '<recording> train|dev|test'; the other recordings by --seed
  --dev-share X, --test-share X   of the audio; 0: none by the rule ($dev_share, $test_share)
  --seed N               another seed, another split ($seed)
  --incomplete error|skip  audio without RTTM, RTTM without audio: error, or left out ($incomplete)
  --data DIR             where it goes ($data)"

# shellcheck disable=SC1091
. ./path.sh
# shellcheck disable=SC1091
. utils/parse_options.sh
# shellcheck disable=SC1091
. utils/split_words.sh
if [ "$#" -ne 0 ]; then
  printf '%s: unexpected argument "%s"\n%s\n' "$0" "$1" "$help_message" >&2
  exit 1
fi
if [ -z "$audio" ] || [ -z "$rttm" ]; then
  printf '%s: error: --audio and --rttm are needed; or write your own local/data.sh\n%s\n' \
    "$0" "$help_message" >&2
  exit 1
fi

more=() audio_paths=() rttm_paths=() uem_paths=()
split_list audio_paths "$audio"
split_list rttm_paths "$rttm"
if [ -n "$uem" ]; then
  split_list uem_paths "$uem"
  more+=(--uem "${uem_paths[@]}")
fi
[ -z "$groups" ] || more+=(--groups "$groups")
[ -z "$split" ] || more+=(--split "$split")

python3 -m diarize.bin.prepare folders --out "$data" --audio "${audio_paths[@]}" \
  --rttm "${rttm_paths[@]}" \
  --names "$names" --speakers "$speakers" --dev-share "$dev_share" --test-share "$test_share" \
  --seed "$seed" --incomplete "$incomplete" "${more[@]}"

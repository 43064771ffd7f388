#!/usr/bin/env bash
# make_speech_segments.sh [--nj 4] [--cmd run.py] [options] SRC DST
# Makes DST from SRC, with the speech found by an energy detector in its utterances as segments;
# for read speech (LibriSpeech), one speaker per recording.  Files and logs of the jobs are in
# DST/.sad.  Nothing is done if DST is newer than SRC and was made with the same options.  See
# diarize-sad.
set -euo pipefail

nj=4
cmd=run.py
split_pause=0               # cut at pauses of this many seconds; 0: only the ends are trimmed
max_silent=0.01             # largest share of utterances without speech
sad_opts=                   # further options of "diarize-sad detect"
help_message="Usage: $0 [--nj 4] [--cmd run.py] [--split-pause 0] [--max-silent 0.01] SRC DST"
utils=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
# shellcheck source=parse_options.sh
. "$utils/parse_options.sh"
# shellcheck source=split_words.sh
. "$utils/split_words.sh"
if [ "$#" -ne 2 ]; then
  echo "$help_message" >&2
  exit 1
fi
src=$1 dst=$2
if [ -z "${DIARIZE_ROOT:-}" ] && [ -f "$utils/../tools/activate_python.sh" ]; then
  # shellcheck disable=SC1091
  . "$utils/../tools/activate_python.sh"
fi
export PYTHONPATH="$utils/..${PYTHONPATH:+:$PYTHONPATH}" PATH="$utils:$PATH"

work=$dst/.sad
made_with="$split_pause $max_silent $sad_opts"
up_to_date() {
  [ -f "$dst/segments" ] && [ -f "$work/done" ] && [ "$(cat "$work/done")" = "$made_with" ] &&
    [ -z "$(find "$src/" -maxdepth 1 \( -name wav.scp -o -name segments -o -name utt2spk \) \
      -newer "$work/done")" ]
}
if up_to_date; then
  echo "$dst is up to date" >&2
  exit 0
fi
utterances=$(wc -l < "$src/utt2spk")
[ "$utterances" -ge "$nj" ] || nj=$utterances
"$utils/split_data.sh" --per-utt "$src" "$nj"
mkdir -p "$work"
rm -f "$work/done"
extra=()
split_words extra "$sad_opts"
# Several words, as in Kaldi: "slurm.py --mem 4G".
$cmd JOB=1:"$nj" "$work/log/detect.JOB.log" \
  python3 -m diarize.bin.sad detect --data "$src/split${nj}utt/JOB" --out "$work/speech.JOB" \
  --split-pause "$split_pause" "${extra[@]}" || {
  grep -hs '^diarize-sad: error: ' "$work"/log/detect.*.log | head -n 1 >&2
  exit 1
}

parts=()
for ((job = 1; job <= nj; job++)); do parts+=("$work/speech.$job"); done
split=()
[[ "$split_pause" =~ ^0*(\.0*)?$ ]] || split=(--cut)
python3 -m diarize.bin.sad apply --data "$src" --parts "${parts[@]}" --out "$dst" \
  --max-silent "$max_silent" "${split[@]}"
printf '%s\n' "$made_with" > "$work/done"

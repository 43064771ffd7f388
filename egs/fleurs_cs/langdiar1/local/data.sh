#!/usr/bin/env bash
# Stage 1: FLEURS as data/{train,dev,test}_voices for the simulation of code-switching: word times
# by forced alignment (or from --ctm), units of unspaced text, one voice by voice conversion.
set -euo pipefail
. ./path.sh
. ./db.sh

root=                       # default: FLEURS of db.sh
languages=en_us,hi_in,bn_in,ta_in,te_in,mr_in,gu_in,kn_in,ml_in,pa_in,or_in,as_in,ur_pk,ne_np,sd_in,zu_za,xh_za,nso_za,sw_ke,sn_zw,ln_cd,lg_ug,ny_mw,kam_ke,umb_ao
ctm=                        # directory with {train,dev,test}.ctm, or
align_cache=                # of the aligner's weights (diarize-align); without either: no word times
align_download=false        # true: download the weights if missing
spelling=                   # directory with {train,dev,test}.txt: the texts in Latin letters
unspaced=cmn,yue,ja,th,lo,my,km  # languages whose text has no blanks
unit_size=1000
convert=                    # voice conversion: a command with {wav} {reference} {out}, or module:function
num_voices=20
musan=$MUSAN                # noises for the training mixtures, or "synthetic"
rirs_noises=$RIRS_NOISES    # rooms, or "synthetic"
allow_counts=               # checks that may fail, e.g. recordings,hours (diarize-prepare --help)
data=data

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: local/data.sh [--root DIR] [--languages en_us,hi_in] [--convert PLUGIN]
  [--ctm DIR | --align-cache DIR]   (the others: see the head of $0)"
# shellcheck source=/dev/null
. utils/parse_options.sh

python3 -m diarize.bin.prepare fleurs --root "${root:-$FLEURS}" --languages "$languages" \
  --allow-counts "$allow_counts" --out "$data"

# align SET: word times; characters are the words of text without blanks
align() {
  local dir=$data/${1}_utts work=$data/.align.$$ options=(--cache "$align_cache") kind
  [ "$align_download" = false ] || options+=(--download)
  [ -z "$spelling" ] || options+=(--spelling "$spelling/$1.txt")
  rm -rf "$work"
  mkdir -p "$work"
  awk -v list=",$unspaced," -v out="$work/" '
    { print $1 > (out (index(list, "," $2 ",") ? "characters" : "words")) }' "$dir/utt2lang"
  for kind in characters words; do
    [ -f "$work/$kind" ] || continue
    utils/subset_data_dir.sh --utt-list "$work/$kind" "$dir" "$work/$kind.dir"
    [ "$kind" = words ] || options+=(--characters)
    python3 -m diarize.bin.align --data "$work/$kind.dir" "${options[@]}" \
      --out "$work/$kind.ctm"
    [ "$kind" = words ] || unset 'options[-1]'
  done
  LC_ALL=C sort -s -k1,1 "$work"/*.ctm > "$work/all"
  mv "$work/all" "$dir/ctm"
  rm -r "$work"
}

for name in train dev test; do
  dir=$data/${name}_utts
  if [ -n "$ctm" ]; then
    cp "$ctm/$name.ctm" "$dir/ctm"
  elif [ -n "$align_cache" ] && [ ! "$dir/ctm" -nt "$dir/wav.scp" ]; then
    align "$name"
  fi
  python3 local/convert_voices.py "$dir" "$data/${name}_voices" --wav "$data/wav/${name}_$num_voices" \
    --convert "$convert" --num-voices "$num_voices"
done
[ -f "$data/train_voices/ctm" ] ||
  echo "local/data.sh: no word times: simulate with --simulate-config conf/simulate_inter.conf" >&2
for language in ${unspaced//,/ }; do
  grep -q " $language\$" "$data/train_voices/utt2lang" || continue
  python3 -m diarize.bin.simulate units --data "$data/train_voices" --language "$language" \
    --size "$unit_size" --out "$data/units.$language.model"
done

[ -z "$musan" ] || [ "$musan" = synthetic ] ||
  python3 -m diarize.bin.prepare musan --root "$musan" --allow-counts "$allow_counts" --out "$data"
[ -z "$rirs_noises" ] || [ "$rirs_noises" = synthetic ] ||
  python3 -m diarize.bin.prepare rirs-noises --root "$rirs_noises" --allow-counts "$allow_counts" \
    --out "$data"
if [ "$musan" = synthetic ] || [ "$rirs_noises" = synthetic ]; then
  PYTHONPATH="$DIARIZE_ROOT/egs/mini:$PYTHONPATH" python3 \
    "$DIARIZE_ROOT/egs/mini/diar1/local/make_rooms.py" "$data/synthetic"
  [ "$musan" != synthetic ] || utils/copy_data_dir.sh "$data/synthetic/noises" "$data/noises"
  [ "$rirs_noises" != synthetic ] || utils/copy_data_dir.sh "$data/synthetic/rirs" "$data/rirs"
fi
for name in noises rirs; do
  [ -d "$data/$name" ] || echo "local/data.sh: no $data/$name: set MUSAN and RIRS_NOISES in db.sh," \
    "or remove --noise-data and --rir-data from the simulation's config" >&2
done

# shellcheck shell=bash disable=SC2154  # the options of diar.sh
# Stages 1 to 3: data preparation, format, simulation.  Sourced by diar.sh.

# Lines of the simulation config, without comments.
simulate_lines() {
  [ -f "$simulate_config" ] || return 0
  sed -E -e 's/(^|[[:space:]])#.*//' -e '/^[[:space:]]*$/d' -- "$simulate_config"
}

# in_datadir WORD: WORD of the simulation config, with {data} replaced
in_datadir() { printf '%s\n' "${1//'{data}'/"$datadir"}"; }

# simulated SET: whether SET is simulated
simulated() {
  simulate_lines | awk -v set="$1" '$2 == set { found = 1 } END { exit !found }'
}

# written SET: whether the simulation writes its audio
written() {
  simulate_lines | awk -v set="$1" '$2 == set && $1 == "write" { found = 1 } END { exit !found }'
}

# set_name ENTRY: a training set without its weight, the number after the last colon
set_name() {
  local number='[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?'
  if [[ "$1" =~ ^(.+):$number$ ]]; then
    printf '%s\n' "${BASH_REMATCH[1]}"
  else
    printf '%s\n' "$1"
  fi
}

# only_manifest SET: whether SET is an external manifest without its own audio
only_manifest() {
  [ -f "$datadir/$1/mixture.scp" ] && [ ! -f "$datadir/$1/wav.scp" ] && ! simulated "$1"
}

# Data directories required from local/data.sh: the sources of the simulation, and other sets.
source_dirs() {
  local name source options words index
  while read -r _ _ source _ _ _ options; do
    printf '%s\n' "$datadir/$source"
    split_words words "$options" || return 1
    for index in "${!words[@]}"; do
      case "${words[index]}" in --noise-data | --rir-data) in_datadir "${words[index + 1]}" ;; esac
    done
  done < <(simulate_lines)
  for name in "${train_names[@]}"; do
    simulated "$name" || only_manifest "$name" || printf '%s\n' "$datadir/$name"
  done
  for name in "${eval_sets[@]}"; do
    simulated "$name" || printf '%s\n' "$datadir/$name"
  done
}

# prepare_dir DIR: reco2dur, spk2utt, segments from rttm (or rttm from segments), uem; validated
prepare_dir() {
  local dir=$1 name reference=()
  if [ ! -f "$dir/wav.scp" ] && [ -f "$dir/mixture.scp" ]; then
    fail "$dir has mixture.scp but no wav.scp: a manifest alone can be trained on, not scored;" \
      "write its audio (diarize-simulate write, then finish)"
  fi
  for name in "${train_names[@]}" "${eval_sets[@]}"; do
    [ "$dir" != "$datadir/$name" ] || reference=(--reference)
  done
  for name in "${train_names[@]}"; do
    [ "$dir" != "$datadir/$name" ] || reference+=(--skip-bad "$skip_bad")
  done
  utils/datadir.sh prepare --task "$task" "${pipes[@]}" "${reference[@]}" "$dir"
}

# Every recording that exists before the simulation is decoded, and its speakers are counted.
check_recordings() {
  local name words=() training=()
  for name in "${train_names[@]}"; do
    if only_manifest "$name"; then
      words+=(--train "$datadir/$name/mixture.scp")
    elif ! simulated "$name"; then
      words+=(--train "$datadir/$name")
    fi
  done
  simulated "$valid_set" || words+=(--valid "$datadir/$valid_set")
  if runs 4; then
    split_words training "$args"
    training=(-- --config "$config" "${training[@]}")
  else
    words=()
  fi
  for name in "${eval_sets[@]}"; do
    simulated "$name" || { [ "$name" = "$valid_set" ] && runs 4; } ||
      words+=(--test "$datadir/$name")
  done
  [ "${#words[@]}" -eq 0 ] ||
    python3 -m diarize.bin.check_start "${words[@]}" "${pipes[@]}" --skip-bad "$skip_bad" \
      "${training[@]}" >&2 || fail "the data cannot be used for training or scoring"
}

# make_manifest SET: data/SET/mixture.scp of all lines of that set, with ids of their own
make_manifest() {
  local set=$1 dir=$datadir/$1 name source labels mixtures length options number=0 extra kind
  local parts=$dir/.parts.$$
  [ ! -d "$dir" ] || find "$dir" -maxdepth 1 -name '.parts.*' -exec rm -r {} + # interrupted runs
  mkdir -p "$parts"
  while read -r _ name source labels mixtures length options; do
    number=$((number + 1))
    [ "$name" = "$set" ] || continue
    split_words extra "$options"
    extra=("${extra[@]//'{data}'/"$datadir"}")
    length=$(in_datadir "$length")
    if [ "$task" = language ]; then
      kind=(code-switch --num-languages "$labels" --seconds "$length"
        --prefix "${set}_${labels}lang_${number}_")
    elif [[ "$length" = *.json ]]; then
      kind=(conversations --num-speakers "$labels" --stats "$length"
        --prefix "${set}_${labels}spk_${number}_")
    else
      kind=(manifest --num-speakers "$labels" --beta "$length"
        --prefix "${set}_${labels}spk_${number}_")
    fi
    python3 -m diarize.bin.simulate "${kind[@]}" --data "$datadir/$source" \
      --num-mixtures "$mixtures" --seed $((seed * 1000 + number)) --out "$parts/$number" \
      "${extra[@]}" < /dev/null
  done < <(simulate_lines)
  find "$parts" -type f ! -name '.*' -print0 |
    LC_ALL=C sort -m -k1,1 --files0-from=- > "$parts/.merged" # each part is sorted
  mv "$parts/.merged" "$dir/mixture.scp"
  rm -r "$parts"
}

# write_mixtures SET: the manifest as a data directory with audio
write_mixtures() {
  local dir=$datadir/$1 extra
  mkdir -p "$dir/log"
  split_words extra "$simulate_args"
  "${train_words[@]}" JOB=1:"$nj" "$dir/log/simulate.JOB.log" \
    python3 -m diarize.bin.simulate write --manifest "$dir/mixture.scp" --out "$dir" \
    --job JOB --num-jobs "$nj" "${pipes[@]}" "${extra[@]}" ||
    stop_with "$dir/log/simulate.JOB.log" "$nj"
  python3 -m diarize.bin.simulate finish --manifest "$dir/mixture.scp" --out "$dir" \
    --num-jobs "$nj"
}

stage_1() {
  local opts
  split_words opts "$local_data_opts"
  local/data.sh --data "$datadir" "${opts[@]}" >&2
}

stage_2() {
  local dir name list dirs
  list=$(source_dirs)
  mapfile -t dirs < <(sort -u <<< "$list")
  for dir in "${dirs[@]}"; do
    prepare_dir "$dir"
  done
  for name in "${train_names[@]}"; do
    ! only_manifest "$name" ||
      python3 -m diarize.bin.simulate check --manifest "$datadir/$name/mixture.scp"
  done
  check_recordings
}

stage_3() {
  local set sets
  mapfile -t sets < <(simulate_lines | awk '{ print $2 }' | sort -u)
  for set in "${sets[@]}"; do
    log "simulating $datadir/$set"
    make_manifest "$set"
    if written "$set"; then write_mixtures "$set"; fi
  done
}

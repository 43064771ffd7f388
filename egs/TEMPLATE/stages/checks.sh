# shellcheck shell=bash disable=SC2154  # the options of diar.sh
# Checks of the options before the first stage, sourced by diar.sh.

# The options themselves; exits for a wrong one.
check_options() {
  local value
  [ "$#" -eq 0 ] || fail "unexpected argument '$1'; see --help"
  case "$task" in
    speaker | language) ;;
    *) fail "--task is speaker or language, not '$task'" ;;
  esac
  for value in "$stage" "$stop_stage" "$num_nodes" "$num_processes" "$nj" "$inference_nj"; do
    [[ "$value" =~ ^[1-9][0-9]*$ ]] || fail "a stage or a number of jobs is 1 or more, not '$value'"
  done
  [ "$stage" -le 9 ] || fail "--stage $stage: the last stage is 9"
  [[ "$skip_bad" =~ ^[0-9]+$ ]] || fail "--skip-bad is a number of recordings, not '$skip_bad'"
  [[ "$ngpu" =~ ^(auto|[0-9]+)$ ]] || fail "--ngpu is auto or a number, not '$ngpu'"
  [[ "$num_threads" =~ ^(auto|[1-9][0-9]*)$ ]] ||
    fail "--num-threads is auto or a number, not '$num_threads'"
  [[ "$gpu_inference" =~ ^(auto|true|false)$ ]] ||
    fail "--gpu-inference is auto, true or false, not '$gpu_inference'"
  [[ "$rendezvous" =~ ^(auto|[^/]+:[0-9]+)$ ]] ||
    fail "--rendezvous is auto or host:port, not '$rendezvous'"
  [ -n "$datadir" ] && [ -n "$expdir" ] || fail "--datadir and --expdir must not be empty"
  check_weights
}

# Either all training sets have weights above 0, or none has a weight.
check_weights() {
  local entry name weighted=0
  for entry in "${train_entries[@]}"; do
    name=$(set_name "$entry")
    [ "$name" != "$entry" ] || continue
    weighted=$((weighted + 1))
    awk -v weight="${entry##*:}" 'BEGIN { exit !(weight + 0 > 0) }' ||
      fail "--train-set: the weight of '$entry' must be above 0"
  done
  [ "$weighted" -eq 0 ] || [ "$weighted" -eq "${#train_entries[@]}" ] ||
    fail "--train-set '$train_set': write NAME:WEIGHT for all sets or for none"
}

# check_command NAME WORD...: fails unless the first WORD of the runner NAME is a command
check_command() {
  command -v "${2:-}" > /dev/null || fail "$1: no command '${2:-}' in PATH; correct $1 in cmd.sh"
}

# use_gpus FOUND: sets ngpu and gpu_inference if auto, for the FOUND GPUs of this machine
use_gpus() {
  local found=$1
  [ "$ngpu" != auto ] || ngpu=$((found > 0 ? 1 : 0))
  if [ "$gpu_inference" = auto ]; then
    gpu_inference=$([ "$ngpu" -gt 0 ] && echo true || echo false)
  fi
  # Jobs of a batch system run elsewhere.
  if runs 4 && [ "${cuda_words[0]}" = run.py ] && [ "$ngpu" -gt "$found" ]; then
    fail "--ngpu $ngpu, but this machine has $found GPUs; lower it, or set cuda_cmd in cmd.sh"
  fi
  if runs 6 && [ "${decode_words[0]}" = run.py ] && [ "$gpu_inference" = true ] &&
    [ "$found" -eq 0 ]; then
    fail "--gpu-inference true, but this machine has no GPU; use false or auto"
  fi
  log "training on $ngpu GPUs of each machine; inference on a GPU: $gpu_inference"
}

# Configurations, commands and input files of the selected stages; exits for a fault.
check_start() {
  local set found how length words=() training=()
  if runs 1; then
    [ -x local/data.sh ] || fail "local/data.sh is missing or not executable: stage 1 runs it"
    check_data_opts
  fi
  if runs 3; then
    check_command train_cmd "${train_words[@]}"
    mapfile -t words < <(simulate_lines | awk '$1 == "write" { print $5 ":" $6 }')
    words=(--datadir "$datadir" --mixtures "${words[@]}")
    while read -r how _ _ _ _ length _; do
      [[ "$how" =~ ^(manifest|write)$ ]] ||
        fail "$simulate_config: '$how' is neither manifest nor write"
      length=$(in_datadir "$length")
      [[ "$length" != *.json ]] || [[ "$length" = "$datadir"/* ]] || [ -f "$length" ] ||
        fail "$simulate_config: no file $length"
    done < <(simulate_lines)
  fi
  if runs 4; then
    check_command cuda_cmd "${cuda_words[@]}"
    split_words training "$args"
    training=(-- --config "$config" "${training[@]}")
    [ -z "$init_model" ] || training+=(--init-model "$init_model")
  fi
  if runs 6; then
    check_command decode_cmd "${decode_words[@]}"
    [ -f "$inference_config" ] || [ "$inference_config" = conf/infer.yaml ] ||
      fail "--inference-config: no file $inference_config"
    [ ! -f "$inference_config" ] || words+=(--inference-config "$inference_config")
    # Sets that no earlier stage makes.
    for set in "${eval_sets[@]}"; do
      runs 1 || runs 2 || runs 3 || [ -f "$datadir/$set/wav.scp" ] ||
        fail "no $datadir/$set/wav.scp, which stage 6 needs: run stages 1 to 3"
    done
    runs 4 || runs 5 || find_model
  fi
  runs 3 || runs 4 || runs 6 || return 0
  if runs 4 || runs 6; then words+=(--gpus); fi
  found=$(python3 -m diarize.bin.check_start --task "$task" "${words[@]}" "${training[@]}") ||
    fail "nothing was run"
  if runs 4 || runs 6; then use_gpus "$found"; fi
}

# The options of local/data.sh; the data directory is that of --datadir.
check_data_opts() {
  local index words
  split_words words "$local_data_opts"
  for index in "${!words[@]}"; do
    [ "${words[index]}" != --data ] || [ "${words[index + 1]:-}" = "$datadir" ] ||
      fail "--local-data-opts: --data ${words[index + 1]:-} differs from --datadir $datadir;" \
        "local/data.sh gets the directory of --datadir"
  done
}

# Locks the directories that the selected stages write or read; exits if another run uses them.
lock_directories() {
  locked=()
  trap remove_empty EXIT
  if runs 1 || runs 2 || runs 3; then
    mkdir -p "$datadir"
    take_lock "$datadir/.run.lock" exclusive "$datadir" || exit 1
    locked+=("$datadir")
  fi
  if runs 4 || runs 5 || runs 6 || runs 7 || runs 8 || runs 9; then
    mkdir -p "$exp"
    take_lock "$exp/.run.lock" exclusive "$exp" || exit 1
    locked+=("$exp")
  fi
}

# share_data: other runs may read the data from now on, none may write them.
share_data() {
  [ ! -w "$datadir" ] || take_lock "$datadir/.run.lock" shared "$datadir" || exit 1
}

# Removes the directories that are empty but for the lock of this run.
remove_empty() {
  local dir
  for dir in "${locked[@]}"; do
    [ "$(ls -A "$dir" 2> /dev/null)" != .run.lock ] || rm -r "$dir"
  done
  rmdir "$expdir" 2> /dev/null || true
}

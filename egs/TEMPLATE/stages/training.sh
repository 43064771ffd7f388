# shellcheck shell=bash disable=SC2154  # the options of diar.sh
# Stages 4 and 5: training, averaging.  Sourced by diar.sh.

# Training data with weights: a data directory, or a manifest if there is no audio on disk.
train_data() {
  local entry name weight
  for entry in "${train_entries[@]}"; do
    name=$(set_name "$entry")
    weight=${entry#"$name"}
    if [ -f "$datadir/$name/wav.scp" ]; then
      printf '%s\n' "$datadir/$name$weight"
    elif [ -f "$datadir/$name/mixture.scp" ]; then
      printf '%s\n' "$datadir/$name/mixture.scp$weight"
    else
      fail "no training data in $datadir/$name: run stages 1 to 3"
    fi
  done
}

# Launch command of the training: direct, or torchrun, with one job per machine.
plan_launch() {
  launch=(python3) node_jobs=() node_log=
  local processes=$((ngpu > 0 ? ngpu : num_processes))
  [ "$processes" -gt 1 ] || [ "$num_nodes" -gt 1 ] || return 0
  if [ "$num_nodes" -eq 1 ]; then
    launch=(torchrun --nnodes 1 --nproc-per-node "$processes" --standalone)
    return 0
  fi
  [ "$rendezvous" != auto ] || rendezvous=$exp/.rendezvous.$$.$started
  launch=(torchrun_node.py JOB "$num_nodes" "$rendezvous" --nproc-per-node "$processes"
    --rdzv-id "$tag")
  node_jobs=(JOB=1:"$num_nodes" --max-jobs-run "$num_nodes") node_log=.JOB
}

# follow_log FILE: shows the progress in a log while it grows, in the background.
follow_log() {
  tail --pid=$$ -n 0 -F "$1" 2> /dev/null |
    grep --line-buffered -E \
      '^(step .* (validation|left) |(done|stopped|going on|already|out of time) )' >&2 &
  follower=$!
}

stage_4() {
  local list data extra threads=1 failed=false
  list=$(train_data)
  mapfile -t data <<< "$list"
  split_words extra "$args"
  [ -z "$init_model" ] || extra+=(--init-model "$init_model")
  [ "$ngpu" -gt 0 ] || extra+=(--set train.device=cpu)
  [ "$skip_bad" -eq 0 ] || extra+=(--skip-bad "$skip_bad")
  [ "$num_threads" = auto ] || { threads=$num_threads && extra+=(--set "train.threads=$threads"); }
  mkdir -p "$exp"
  [ ! -f "$exp/train.log" ] || mv "$exp/train.log" "$exp/train.previous.log"
  plan_launch
  log "training; its log: $PWD/$exp/train.log"
  follow_log "$exp/train${node_log/JOB/1}.log"
  "${cuda_words[@]}" --gpu "$ngpu" --num-threads "$threads" \
    "${node_jobs[@]}" "$exp/train$node_log.log" "${launch[@]}" -m diarize.bin.train \
    --config "$config" --train "${data[@]}" --valid "$datadir/$valid_set" --out "$exp" \
    "${pipes[@]}" "${extra[@]}" || failed=true
  kill "$follower" 2> /dev/null || true
  find "$exp" -maxdepth 1 -name '.rendezvous.*' -delete
  [ "$failed" = false ] || stop_with "$exp/train$node_log.log" "$num_nodes"
}

stage_5() {
  python3 -m diarize.bin.average --exp "$exp" >&2
}

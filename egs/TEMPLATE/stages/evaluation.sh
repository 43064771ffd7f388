# shellcheck shell=bash disable=SC2154  # the options of diar.sh
# Stages 6 to 9: posteriors, RTTM, scores, packing.  Sourced by diar.sh.

# find_model: sets model to --inference-model, a path or a file of the experiment; exits without it
find_model() {
  model=$inference_model
  [ -e "$model" ] || model=$exp/$inference_model
  [ -e "$model" ] || fail "no model $model: run stages 4 and 5, or set --inference-model"
}

# infer_set SET: posteriors of all recordings, in parallel jobs
infer_set() {
  local set=$1 out=$exp/infer_$1 jobs where=(--device cpu) gpus=0
  mkdir -p "$out/log"
  if [ "$gpu_inference" = true ]; then where=() gpus=1; fi
  jobs=$(wc -l < "$datadir/$set/wav.scp")
  [ "$jobs" -lt "$inference_nj" ] || jobs=$inference_nj
  [ ! -f "$inference_config" ] || where+=(--config "$inference_config")
  "${decode_words[@]}" --gpu "$gpus" JOB=1:"$jobs" "$out/log/posteriors.JOB.log" \
    python3 -m diarize.bin.posteriors --model "$model" --data "$datadir/$set" --out "$out" \
    --job JOB --num-jobs "$jobs" "${pipes[@]}" "${where[@]}" ||
    stop_with "$out/log/posteriors.JOB.log" "$jobs"
  python3 -m diarize.bin.posteriors --merge "$jobs" --out "$out"
}

# draw_images SET: pictures and pages of num_images recordings, spread over the set
draw_images() {
  local set=$1 recordings
  mapfile -t recordings < <(awk -v n="$num_images" '{ id[NR] = $1 }
    END { if (n > NR) n = NR; for (i = 0; i < n; i++) print id[int(i * NR / n) + 1] }' \
    "$datadir/$set/wav.scp")
  [ "${#recordings[@]}" -gt 0 ] || return 0
  recordings=("${recordings[@]/#/--recording=}") # an id may begin with a dash
  python3 -m diarize.bin.plot --ref "$datadir/$set/rttm" --hyp "$exp/infer_$set/rttm" \
    --uem "$datadir/$set/uem" "${recordings[@]}" --out "$exp/images" >&2
  python3 -m diarize.bin.report --data "$datadir/$set" --hyp "$exp/infer_$set/rttm" \
    --posteriors "$exp/infer_$set" --task "$task" "${pipes[@]}" "${recordings[@]}" \
    --out "$exp/images" >&2
}

stage_6() {
  local set model
  find_model
  for set in "${eval_sets[@]}"; do
    log "inference on $datadir/$set"
    infer_set "$set"
  done
}

stage_7() {
  local set best=$exp/infer_$valid_set/best.yaml conf=()
  [ ! -f "$inference_config" ] || conf=(--config "$inference_config")
  rm -f "$exp/best.yaml" # it may stem from an earlier packed model
  python3 -m diarize.bin.postprocess tune --posteriors "$exp/infer_$valid_set" --out "$best" \
    --ref "$datadir/$valid_set/rttm" --uem "$datadir/$valid_set/uem" "${conf[@]}" >&2
  for set in "${eval_sets[@]}"; do
    python3 -m diarize.bin.postprocess apply --posteriors "$exp/infer_$set" --config "$best" \
      --uem "$datadir/$set/uem" --out "$exp/infer_$set" >&2
  done
}

stage_8() {
  local set
  for set in "${eval_sets[@]}"; do
    utils/score_der.sh --collars "$collar" --uem "$datadir/$set/uem" \
      "$datadir/$set/rttm" "$exp/infer_$set/rttm" "$exp/infer_$set/scoring" >&2
  done
  mkdir -p "$exp/images"
  draw_images "${eval_sets[1]:-$valid_set}"
  python3 -m diarize.bin.plot curves --log "$exp/train_log.jsonl" \
    --out "$exp/images/curves.png" >&2
  python3 -m diarize.bin.results --exp "$exp" --sets "${eval_sets[*]}" --valid "$valid_set" \
    --data-root "$datadir" --task "$task" --started "$started" --command "$command_line" \
    --out "$exp/RESULTS.md" > "$exp/result_lines.txt"
  python3 -m diarize.bin.report --exp "$exp" >&2
}

stage_9() {
  local dir=$exp/packed part=$exp/packed/.model.$$ name
  for name in final.pth config.yaml RESULTS.md "infer_$valid_set/best.yaml"; do
    [ -f "$exp/$name" ] || fail "no $exp/$name to pack: run stages 4 to 8"
  done
  mkdir -p "$dir"
  find "$dir" -name '.model.*' -delete # of interrupted runs
  # Each file is complete or not there, also on a full disk.
  if ! { cp "$exp/infer_$valid_set/best.yaml" "$part" && mv "$part" "$exp/best.yaml"; }; then
    rm -f "$part"
    fail "$exp/best.yaml cannot be written"
  fi
  if ! tar -C "$exp" -czf "$part" final.pth config.yaml best.yaml RESULTS.md; then
    rm -f "$part"
    fail "$dir/$tag.tar.gz cannot be written"
  fi
  mv "$part" "$dir/$tag.tar.gz"
  log "packed: $dir/$tag.tar.gz (unpack it, then diarize-infer --model DIR file.wav)"
}

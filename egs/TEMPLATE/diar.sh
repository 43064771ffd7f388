#!/usr/bin/env bash
# Staged script of all recipes, for speakers and for languages, called by run.sh.
set -euo pipefail

# General
stage=1
stop_stage=9
skip_data_prep=false        # as in ESPnet: skip stages 1 to 3
skip_train=false            # skip stages 4 and 5
skip_eval=false             # skip stages 6 to 8
skip_packing=false          # skip stage 9
ngpu=auto                   # GPUs per machine for training; auto: 1 if available, else 0
num_nodes=1                 # machines for training, one job each
rendezvous=auto             # for several machines: host:port of the first; auto: its address
nj=2                        # jobs of data preparation and simulation
inference_nj=2
gpu_inference=auto          # true, false, or auto: as in training
num_processes=1             # of training without a GPU, by torchrun; one per core is fastest
num_threads=auto            # per training process; auto: train.threads of the config, else 1
datadir=data
expdir=exp
tag=                        # the experiment is expdir/tag; default: the name of the config
task=speaker                # labels: speaker or language
# Data
train_set=train             # one or more, separated by blanks; weights: "real:0.7 simulated:0.3"
valid_set=dev
test_sets='test'
local_data_opts=            # options of local/data.sh
skip_bad=0                  # unusable training recordings that are left out, with a list of them
allow_pipes=true            # run commands in wav.scp with your permissions, as in Kaldi
simulate_config=conf/simulate.conf
simulate_args=              # options of "diarize-simulate write", such as --max-duration 120
seed=1                      # of the simulation
# Training and inference
config=conf/train.yaml
args=                       # options of diarize-train, such as --set train.steps=100
init_model=                 # initial weights for finetuning and adaptation
inference_config=conf/infer.yaml
inference_model=final.pth   # a path, or a file name in the experiment
collar="0.0 0.25"
num_images=3                # test recordings to plot: a picture and a page each

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: $0 [--stage 1] [--stop-stage 9] [options]
Stages: 1 data (local/data.sh), 2 format, 3 simulate, 4 train, 5 average, 6 infer (posteriors),
        7 make RTTM (thresholds tuned on the validation set), 8 score, 9 pack
Options and their defaults stand at the head of $0; see README.md of egs/TEMPLATE."

started=$(date +%s)
command_line=$(printf '%q ' "./${0##*/}" "$@")
. ./path.sh
# shellcheck source=/dev/null
. utils/parse_options.sh
# shellcheck source=/dev/null
. utils/split_words.sh
. ./cmd.sh

log() { printf '%s diar.sh: %s\n' "$(date '+%F %T')" "$*" >&2; }

fail() {
  printf 'diar.sh: error: %s\n' "$*" >&2
  exit 1
}

# ---- helpers of the stages

# Lines of the simulation config, without comments, with {data} replaced.
simulate_lines() {
  [ -f "$simulate_config" ] || return 0
  sed -e 's/#.*//' -e '/^[[:space:]]*$/d' -e "s|{data}|$datadir|g" -- "$simulate_config"
}

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

# Names of the training sets, without weights.
train_names() {
  local entry
  for entry in $train_set; do set_name "$entry"; done
}

# only_manifest SET: whether SET is an external manifest without its own audio
only_manifest() {
  [ -f "$datadir/$1/mixture.scp" ] && [ ! -f "$datadir/$1/wav.scp" ] && ! simulated "$1"
}

# Data directories required from local/data.sh: the sources of the simulation, and other sets.
source_dirs() {
  local name
  simulate_lines | awk -v root="$datadir" '
    { print root "/" $3; for (i = 7; i < NF; i++) if ($i ~ /^--(noise|rir)-data$/) print $(i + 1) }'
  for name in $(train_names); do
    simulated "$name" || only_manifest "$name" || printf '%s\n' "$datadir/$name"
  done
  for name in $valid_set $test_sets; do
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
  for name in $(train_names) $valid_set $test_sets; do
    [ "$dir" != "$datadir/$name" ] || reference=(--reference)
  done
  for name in $(train_names); do
    [ "$dir" != "$datadir/$name" ] || reference+=(--skip-bad "$skip_bad")
  done
  utils/datadir.sh prepare --labels "$task" "${pipes[@]}" "${reference[@]}" "$dir"
}

# Every recording that exists before the simulation is decoded, and its speakers are counted.
check_recordings() {
  local name words=() training=()
  for name in $(train_names); do
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
  for name in $eval_sets; do
    simulated "$name" || { [ "$name" = "$valid_set" ] && runs 4; } ||
      words+=(--test "$datadir/$name")
  done
  [ "${#words[@]}" -eq 0 ] ||
    python3 -m diarize.bin.check_start "${words[@]}" "${pipes[@]}" --skip-bad "$skip_bad" \
      "${training[@]}" >&2 || fail "the data cannot be used for training or scoring"
}

# make_manifest SET: data/SET/mixture.scp of all lines of that set, with ids of their own
make_manifest() {
  local set=$1 dir=$datadir/$1 how name source labels mixtures length options number=0 extra kind
  mkdir -p "$dir/.parts"
  rm -f "$dir/.parts/"*
  while read -r how name source labels mixtures length options; do
    number=$((number + 1))
    [ "$name" = "$set" ] || continue
    [[ "$how" =~ ^(manifest|write)$ ]] ||
      fail "$simulate_config: '$how' is neither manifest nor write"
    split_words extra "$options"
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
      --num-mixtures "$mixtures" --seed $((seed * 1000 + number)) --out "$dir/.parts/$number" \
      "${extra[@]}" < /dev/null
  done < <(simulate_lines)
  LC_ALL=C sort -m -k1,1 "$dir/.parts/"* > "$dir/.mixture.tmp" # each part is sorted
  mv "$dir/.mixture.tmp" "$dir/mixture.scp"
  rm -r "$dir/.parts"
}

# write_mixtures SET: the manifest as a data directory with audio
write_mixtures() {
  local dir=$datadir/$1 extra
  mkdir -p "$dir/log"
  split_words extra "$simulate_args"
  $train_cmd JOB=1:"$nj" "$dir/log/simulate.JOB.log" \
    python3 -m diarize.bin.simulate write --manifest "$dir/mixture.scp" --out "$dir" \
    --job JOB --num-jobs "$nj" "${pipes[@]}" "${extra[@]}" ||
    stop_with "$dir/log/simulate.JOB.log" "$nj"
  python3 -m diarize.bin.simulate finish --manifest "$dir/mixture.scp" --out "$dir" \
    --num-jobs "$nj"
}

# Training data with weights: a data directory, or a manifest if there is no audio on disk.
train_data() {
  local entry name weight
  for entry in $train_set; do
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

# use_gpus FOUND: sets ngpu and gpu_inference if auto, for the FOUND GPUs of this machine
use_gpus() {
  local found=$1
  [ "$ngpu" != auto ] || ngpu=$((found > 0 ? 1 : 0))
  if [ "$gpu_inference" = auto ]; then
    gpu_inference=$([ "$ngpu" -gt 0 ] && echo true || echo false)
  fi
  # Jobs of a batch system run elsewhere.
  if runs 4 && [ "${cuda_cmd%% *}" = run.py ] && [ "$ngpu" -gt "$found" ]; then
    fail "--ngpu $ngpu, but this machine has $found GPUs; lower it, or set cuda_cmd in cmd.sh"
  fi
  if runs 6 && [ "${decode_cmd%% *}" = run.py ] && [ "$gpu_inference" = true ] && [ "$found" -eq 0 ]; then
    fail "--gpu-inference true, but this machine has no GPU; use false or auto"
  fi
  log "training on $ngpu GPUs of each machine; inference on a GPU: $gpu_inference"
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

# stop_with LOG JOBS: ends with the message, exception or signal in the logs of failed jobs, which
# external runners do not report.
stop_with() {
  local number reason logs=()
  for ((number = 1; number <= $2; number++)); do logs+=("${1//JOB/$number}"); done
  reason=$(python3 utils/runners/reason.py "${logs[@]}") || true
  fail "stage failed: ${reason:-its jobs say nothing; log: $1}"
}

# infer_set SET: posteriors of all recordings, in parallel jobs
infer_set() {
  local set=$1 out=$exp/infer_$1 jobs model=$inference_model where=(--device cpu) gpus=0
  mkdir -p "$out/log"
  [ -f "$model" ] || model=$exp/$inference_model
  [ -f "$model" ] || fail "no model $inference_model: run stages 4 and 5"
  if [ "$gpu_inference" = true ]; then where=() gpus=1; fi
  jobs=$(wc -l < "$datadir/$set/wav.scp")
  [ "$jobs" -lt "$inference_nj" ] || jobs=$inference_nj
  [ ! -f "$inference_config" ] || where+=(--config "$inference_config")
  $decode_cmd --gpu "$gpus" JOB=1:"$jobs" "$out/log/posteriors.JOB.log" \
    python3 -m diarize.bin.posteriors --model "$model" --data "$datadir/$set" --out "$out" \
    --job JOB --num-jobs "$jobs" "${pipes[@]}" "${where[@]}" ||
    stop_with "$out/log/posteriors.JOB.log" "$jobs"
  python3 -m diarize.bin.posteriors --merge "$jobs" --out "$out"
}

draw_images() {
  local set=$1 name out=$exp/images recordings
  [ "$num_images" -gt 0 ] || return 0
  recordings=$(awk -v n="$num_images" '{ id[NR] = $1 }
    END { if (n > NR) n = NR; for (i = 0; i < n; i++) print id[int(i * NR / n) + 1] }' \
    "$datadir/$set/wav.scp")
  for name in $recordings; do
    python3 -m diarize.bin.plot --ref "$datadir/$set/rttm" --hyp "$exp/infer_$set/rttm" \
      --uem "$datadir/$set/uem" --recording "$name" --out "$out/$name.png" >&2
  done
  # Recording ids contain no blanks.
  # shellcheck disable=SC2086
  python3 -m diarize.bin.report --data "$datadir/$set" --hyp "$exp/infer_$set/rttm" \
    --posteriors "$exp/infer_$set" --task "$task" "${pipes[@]}" --recording $recordings \
    --out "$out" >&2
}

# runs N: whether stage N is selected
runs() {
  local skip=("" "$skip_data_prep" "$skip_data_prep" "$skip_data_prep" "$skip_train" "$skip_train"
    "$skip_eval" "$skip_eval" "$skip_eval" "$skip_packing")
  [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ] && [ "${skip[$1]}" = false ]
}

# ---- the stages

stage_1() {
  local opts
  split_words opts "$local_data_opts"
  local/data.sh "${opts[@]}" >&2
}

stage_2() {
  local dir name
  for dir in $(source_dirs | sort -u); do
    prepare_dir "$dir"
  done
  for name in $(train_names); do
    ! only_manifest "$name" ||
      python3 -m diarize.bin.simulate check --manifest "$datadir/$name/mixture.scp"
  done
  check_recordings
}

stage_3() {
  local set
  for set in $(simulate_lines | awk '{ print $2 }' | sort -u); do
    log "simulating $datadir/$set"
    make_manifest "$set"
    if written "$set"; then write_mixtures "$set"; fi
  done
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
  $cuda_cmd --gpu "$ngpu" --num-threads "$threads" \
    "${node_jobs[@]}" "$exp/train$node_log.log" "${launch[@]}" -m diarize.bin.train \
    --config "$config" --train "${data[@]}" --valid "$datadir/$valid_set" --out "$exp" \
    "${pipes[@]}" "${extra[@]}" || failed=true
  kill "$follower" 2> /dev/null || true
  rm -f "$exp/.rendezvous."*
  [ "$failed" = false ] || stop_with "$exp/train$node_log.log" "$num_nodes"
}

stage_5() {
  python3 -m diarize.bin.average --exp "$exp" >&2
}

stage_6() {
  local set
  for set in $eval_sets; do
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
  for set in $eval_sets; do
    python3 -m diarize.bin.postprocess apply --posteriors "$exp/infer_$set" --config "$best" \
      --uem "$datadir/$set/uem" --out "$exp/infer_$set" >&2
  done
}

stage_8() {
  local set
  for set in $eval_sets; do
    utils/score_der.sh --collars "$collar" --uem "$datadir/$set/uem" \
      "$datadir/$set/rttm" "$exp/infer_$set/rttm" "$exp/infer_$set/scoring" >&2
  done
  mkdir -p "$exp/images"
  draw_images "${test_sets%% *}"
  python3 -m diarize.bin.plot curves --log "$exp/train_log.jsonl" \
    --out "$exp/images/curves.png" >&2
  python3 -m diarize.bin.results --exp "$exp" --sets "$eval_sets" --valid "$valid_set" \
    --data-root "$datadir" --task "$task" --started "$started" --command "$command_line" \
    --out "$exp/RESULTS.md" > "$exp/result_lines.txt"
  python3 -m diarize.bin.report --experiment "$exp" >&2
}

stage_9() {
  local dir=$exp/packed
  mkdir -p "$dir"
  cp "$exp/infer_$valid_set/best.yaml" "$exp/best.yaml"
  tar -C "$exp" -czf "$dir/.model.tmp" final.pth config.yaml best.yaml RESULTS.md
  mv "$dir/.model.tmp" "$dir/$tag.tar.gz"
  log "packed: $dir/$tag.tar.gz (unpack it, then diarize-infer --model DIR file.wav)"
}

# Either all training sets have weights above 0, or none has a weight.
check_weights() {
  local entry name weighted=0 all=0
  for entry in $train_set; do
    all=$((all + 1))
    name=$(set_name "$entry")
    [ "$name" != "$entry" ] || continue
    weighted=$((weighted + 1))
    awk -v weight="${entry##*:}" 'BEGIN { exit !(weight + 0 > 0) }' ||
      fail "--train-set: the weight of '$entry' must be above 0"
  done
  [ "$weighted" -eq 0 ] || [ "$weighted" -eq "$all" ] ||
    fail "--train-set '$train_set': write NAME:WEIGHT for all sets or for none"
}

# check_command NAME VALUE: fails unless the first word of the VALUE of NAME is a command
check_command() {
  command -v "${2%% *}" > /dev/null ||
    fail "$1: no command '${2%% *}' in PATH; correct $1 in cmd.sh"
}

# Checks that are possible before the first stage.
check_start() {
  local set found words=() training=()
  if runs 1; then
    [ -x local/data.sh ] || fail "local/data.sh is missing or not executable: stage 1 runs it"
  fi
  if runs 3; then
    check_command train_cmd "${train_cmd:-}"
    mapfile -t words < <(simulate_lines |
      awk -v task="$task" '$1 == "write" { print $5 ":" (task == "language" ? $6 : "") }')
    words=(--datadir "$datadir" --mixtures "${words[@]}")
    while read -r set; do
      [[ "$set" = "$datadir"/* ]] || [ -f "$set" ] || fail "$simulate_config: no file $set"
    done < <(simulate_lines | awk '$6 ~ /\.json$/ { print $6 }')
  fi
  if runs 4; then
    check_command cuda_cmd "${cuda_cmd:-}"
    split_words training "$args"
    training=(-- --config "$config" "${training[@]}")
    [ -z "$init_model" ] || training+=(--init-model "$init_model")
  fi
  if runs 6; then
    check_command decode_cmd "${decode_cmd:-}"
    [ -f "$inference_config" ] || [ "$inference_config" = conf/infer.yaml ] ||
      fail "--inference-config: no file $inference_config"
    [ ! -f "$inference_config" ] || words+=(--inference-config "$inference_config")
    # Sets that no earlier stage makes.
    for set in $eval_sets; do
      runs 1 || runs 2 || runs 3 || [ -f "$datadir/$set/wav.scp" ] ||
        fail "no $datadir/$set/wav.scp, which stage 6 needs: run stages 1 to 3"
    done
  fi
  runs 3 || runs 4 || runs 6 || return 0
  if runs 4 || runs 6; then words+=(--gpus); fi
  found=$(python3 -m diarize.bin.check_start --task "$task" "${words[@]}" "${training[@]}") ||
    fail "nothing was run"
  if runs 4 || runs 6; then use_gpus "$found"; fi
}

# ---- checks before the first stage

[ "$#" -eq 0 ] || fail "unexpected argument '$1'; see --help"
case "$task" in speaker | language) ;; *) fail "--task is speaker or language, not '$task'" ;; esac
for value in "$stage" "$stop_stage" "$num_nodes" "$num_processes" "$nj" "$inference_nj"; do
  [[ "$value" =~ ^[1-9][0-9]*$ ]] || fail "a stage or a number of jobs is 1 or more, not '$value'"
done
[[ "$skip_bad" =~ ^[0-9]+$ ]] || fail "--skip-bad is a number of recordings, not '$skip_bad'"
[[ "$ngpu" =~ ^(auto|[0-9]+)$ ]] || fail "--ngpu is auto or a number, not '$ngpu'"
[[ "$num_threads" =~ ^(auto|[1-9][0-9]*)$ ]] ||
  fail "--num-threads is auto or a number, not '$num_threads'"
pipes=()
[ "$allow_pipes" = false ] || pipes=(--allow-pipes)
[[ "$gpu_inference" =~ ^(auto|true|false)$ ]] ||
  fail "--gpu-inference is auto, true or false, not '$gpu_inference'"
[[ "$rendezvous" =~ ^(auto|[^/]+:[0-9]+)$ ]] ||
  fail "--rendezvous is auto or host:port, not '$rendezvous'"
check_weights
[ -n "$tag" ] || { tag=${config##*/} && tag=${tag%.*}; }
exp=$expdir/$tag
eval_sets=$valid_set
for name in $test_sets; do
  case " $eval_sets " in *" $name "*) ;; *) eval_sets+=" $name" ;; esac
done

titles=("" "data preparation" "format, validate, reco2dur" "simulation" "training" "averaging"
  "posteriors" "RTTM, thresholds from $valid_set" "scoring" "packing")
check_start
for number in 1 2 3 4 5 6 7 8 9; do
  if runs "$number"; then
    log "stage $number: ${titles[number]}"
    "stage_$number"
  fi
done
# The last line of the output is the summary that a script can read.
if runs 8; then
  grep '^RESULT ' "$exp/result_lines.txt"
fi

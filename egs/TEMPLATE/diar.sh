#!/usr/bin/env bash
# Staged script of all recipes, for speakers and for languages, called by run.sh.  The stages are
# in stages/.
set -euf -o pipefail # no expansion of file names: ids and names of sets are not patterns

# General
stage=1                     # first stage to run
stop_stage=9                # last stage to run
skip_data_prep=false        # as in ESPnet: skip stages 1 to 3
skip_train=false            # skip stages 4 and 5
skip_eval=false             # skip stages 6 to 8
skip_packing=false          # skip stage 9
ngpu=auto                   # GPUs per machine for training; auto: 1 if available, else 0
num_nodes=1                 # machines for training, one job each
rendezvous=auto             # for several machines: host:port of the first; auto: its address
nj=2                        # jobs of data preparation and simulation
inference_nj=2              # jobs of inference
gpu_inference=auto          # true, false, or auto: as in training
num_processes=1             # of training without a GPU, by torchrun; one per core is fastest
num_threads=auto            # per training process; auto: train.threads of the config, else 1
datadir=data                # data directories of all sets; local/data.sh gets it as --data
expdir=exp                  # directory of the experiments
tag=                        # the experiment is expdir/tag; default: the name of the config
task=speaker                # labels: speaker or language
# Data
train_set=train             # one or more, separated by blanks; weights: "real:0.7 simulated:0.3"
valid_set=dev               # for the choice of checkpoints and thresholds
test_sets='test'            # one or more, separated by blanks
local_data_opts=            # options of local/data.sh, quoted as in the shell
skip_bad=0                  # unusable training recordings that are left out, with a list of them
allow_pipes=true            # run commands in wav.scp with your permissions, as in Kaldi
simulate_config=conf/simulate.conf  # sets to simulate in stage 3
simulate_args=              # options of "diarize-simulate write", such as --max-duration 120
seed=1                      # of the simulation
# Training and inference
config=conf/train.yaml      # training configuration
args=                       # options of diarize-train, quoted likewise, such as --set train.steps=100
init_model=                 # initial weights for finetuning and adaptation
inference_config=conf/infer.yaml  # inference configuration, if the file exists
inference_model=final.pth   # a path, or a file name in the experiment
collar="0.0 0.25"           # seconds, separated by blanks
num_images=3                # test recordings to plot: a picture and a page each

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="$(sed -n '2,/^[^#]/s/^# \{0,1\}//p' run.sh 2> /dev/null || true)

Usage: ./run.sh [--stage 1] [--stop-stage 9] [options]
Stages: 1 data (local/data.sh), 2 format, 3 simulate, 4 train, 5 average, 6 infer (posteriors),
        7 make RTTM (thresholds tuned on the validation set), 8 score, 9 pack
Options with their defaults, some of which run.sh sets; see README.md of egs/TEMPLATE:
{options}"

started=$(date +%s)
command_line=$(printf '%q ' "./${0##*/}" "$@")
. ./path.sh
. utils/parse_options.sh
. utils/split_words.sh
. utils/lock.sh
. ./cmd.sh
# shellcheck source=stages/checks.sh
. "$DIARIZE_ROOT/egs/TEMPLATE/stages/checks.sh"
# shellcheck source=stages/data.sh
. "$DIARIZE_ROOT/egs/TEMPLATE/stages/data.sh"
# shellcheck source=stages/training.sh
. "$DIARIZE_ROOT/egs/TEMPLATE/stages/training.sh"
# shellcheck source=stages/evaluation.sh
. "$DIARIZE_ROOT/egs/TEMPLATE/stages/evaluation.sh"

log() { printf '%s diar.sh: %s\n' "$(date '+%F %T')" "$*" >&2; }

fail() {
  printf 'diar.sh: error: %s\n' "$*" >&2
  exit 1
}

# stop_with LOG JOBS: ends with the message, exception or signal in the logs of failed jobs, which
# external runners do not report.
stop_with() {
  local number reason logs=()
  for ((number = 1; number <= $2; number++)); do logs+=("${1//JOB/$number}"); done
  reason=$(python3 utils/runners/reason.py "${logs[@]}") || true
  fail "stage failed: ${reason:-the logs contain no reason; log: $1}"
}

# runs N: whether stage N is selected
runs() {
  local skip=("" "$skip_data_prep" "$skip_data_prep" "$skip_data_prep" "$skip_train" "$skip_train"
    "$skip_eval" "$skip_eval" "$skip_eval" "$skip_packing")
  [ "$stage" -le "$1" ] && [ "$stop_stage" -ge "$1" ] && [ "${skip[$1]}" = false ]
}

# Lists of sets, and the runners of cmd.sh as words, which may be quoted.
train_names=() eval_sets=("$valid_set")
read -r -a train_entries <<< "$train_set"
for entry in "${train_entries[@]}"; do train_names+=("$(set_name "$entry")"); done
for name in $test_sets; do
  case " ${eval_sets[*]} " in *" $name "*) ;; *) eval_sets+=("$name") ;; esac
done
split_words train_words "${train_cmd:-}"
split_words cuda_words "${cuda_cmd:-}"
split_words decode_words "${decode_cmd:-}"
pipes=()
[ "$allow_pipes" = false ] || pipes=(--allow-pipes)
[ -n "$tag" ] || { tag=${config##*/} && tag=${tag%.*}; }
exp=$expdir/$tag

check_options "$@"
check_start
lock_directories
titles=("" "data preparation" "format, validate, reco2dur" "simulation" "training" "averaging"
  "posteriors" "RTTM, thresholds from $valid_set" "scoring" "packing")
for number in 1 2 3 4 5 6 7 8 9; do
  if runs "$number"; then
    [ "$number" -lt 4 ] || share_data
    log "stage $number: ${titles[number]}"
    "stage_$number"
  fi
done
# The last line of the output is the summary that a script can read.
if runs 8; then
  grep '^RESULT ' "$exp/result_lines.txt"
fi

#!/usr/bin/env bash
# Benchmarks and tests for a machine with a GPU: at most 25 minutes, the most valuable first.
#   bench/gpu.sh                          all steps
#   bench/gpu.sh --steps "tests memory"   these only
#   bench/gpu.sh --miniature true         the same on a CPU, small, to try the script itself
# Each result is printed as soon as it is known; where the environment variable OUT is set, the output
# of a step is then in $OUT/STEP.txt.  A step that fails or exceeds its limit does not stop the others.
# The exit status is 1 where any failed, and the last line names them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

minutes=25
steps="env tests demo demo_lang train infer simulate memory compile long"
miniature=false
wheels=                     # directory of packages for an installation without network
run_step=                   # used by the script itself

# shellcheck disable=SC2034  # it is for parse_options.sh
help_message="Usage: bench/gpu.sh [--minutes 25] [--steps '$steps']
  [--miniature true|false] [--wheels DIR]"
began=$(date +%s)
# shellcheck source=/dev/null
. utils/parse_options.sh
if [ -f tools/activate_python.sh ]; then
  # shellcheck source=/dev/null
  . tools/activate_python.sh
fi
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} PYTHONUNBUFFERED=1
device=cuda short=()
if [ "$miniature" = true ]; then
  device=cpu
  export DIARIZE_GPU_TESTS_ON=cpu OMP_NUM_THREADS=${OMP_NUM_THREADS:-1} CUDA_VISIBLE_DEVICES=
fi
ngpu=$([ "$device" = cuda ] && echo 1 || echo 0)

# missing: the packages that cannot be imported, by the names of a package index
missing() {
  python3 - << 'END'
import importlib.util as find

names = {"torch": "torch", "torchaudio": "torchaudio", "numpy": "numpy", "scipy": "scipy",
         "yaml": "pyyaml", "soundfile": "soundfile", "kaldiio": "kaldiio", "pytest": "pytest",
         "hypothesis": "hypothesis", "matplotlib": "matplotlib", "tensorboard": "tensorboard",
         "espeakng_loader": "espeakng-loader", "babel": "babel", "tqdm": "tqdm",
         "sentencepiece": "sentencepiece"}
print(" ".join(name for module, name in names.items() if find.find_spec(module) is None))
END
}

# prepare: print one line on the machine; install missing packages if possible
prepare() {
  local lacking words=(--quiet --disable-pip-version-check)
  lacking=$(missing)
  if [ -n "$lacking" ]; then
    [ -z "$wheels" ] || words+=(--no-index --no-deps --find-links "$wheels")
    # shellcheck disable=SC2086  # several names
    timeout 120 python3 -m pip install "${words[@]}" $lacking > /dev/null 2>&1 || true
    lacking=$(missing)
  fi
  printf 'gpu.sh: %s, torch %s, device %s; missing packages: %s\n' "$(python3 --version)" \
    "$(python3 -c 'import torch; print(torch.__version__)' 2> /dev/null || echo none)" "$device" \
    "${lacking:-none}"
}

# recipe NAME OPTIONS...: stages of a mini recipe, its log on the terminal
recipe() {
  (cd "egs/mini/$1" && ./run.sh --ngpu "$ngpu" "${@:2}" 2>&1)
}

# first_stage NAME: 4 in miniature where the data of the recipe exist, otherwise 1
first_stage() {
  if [ "$miniature" = true ] && [ -f "egs/mini/$1/data/short/train/mixture.scp" ]; then
    echo 4
  else
    echo 1
  fi
}

step_env() {
  nvidia-smi 2> /dev/null || echo "no nvidia-smi"
  python3 - << 'END'
import os, platform, torch

print("python", platform.python_version(), "torch", torch.__version__, "CUDA", torch.version.cuda)
print("cores", len(os.sched_getaffinity(0)), "GPUs", torch.cuda.device_count())
for number in range(torch.cuda.device_count()):
    found = torch.cuda.get_device_properties(number)
    print(number, found.name, f"{found.total_memory / 1e9:.1f} GB", "bf16",
          torch.cuda.is_bf16_supported(including_emulation=False))
END
  [ "$device" = cpu ] || python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'
}

step_tests() {
  local chosen=()
  [ "$miniature" = false ] || chosen=(-k "bf16_trains or posteriors or languages")
  python3 -m pytest -q -p no:cacheprovider test/bin/test_gpu.py "${chosen[@]}"
}

step_demo() {
  local opts=(--short true --stage "$(first_stage diar1)" --expdir "$work/demo")
  [ "$miniature" = false ] || short=("train.steps=4" "train.valid_interval=2")
  recipe diar1 "${opts[@]}" --num-images 1 --args "--set train.precision=bf16 ${short[*]}"
}

step_demo_lang() {
  local opts=(--short true --stage "$(first_stage langdiar1)" --expdir "$work/demo_lang")
  [ "$miniature" = false ] || opts+=(--stop-stage 5)
  [ "$miniature" = false ] || short=("train.steps=2" "train.valid_interval=2" "train.batch_size=4")
  recipe langdiar1 "${opts[@]}" --num-images 1 \
    --args "--set train.precision=bf16 train.steps=20 train.valid_interval=20 ${short[*]}"
}

step_train() {
  [ "$miniature" = false ] || short=(--batch 1 --steps 1 --mixtures 4 --configs mini)
  python3 bench/train.py --device "$device" --workers-hide-data --corpus "$work/corpus" "${short[@]}"
}

step_infer() {
  local seconds=(60 600 3600)
  [ "$miniature" = false ] || seconds=(20)
  [ "$miniature" = false ] || short=(--cores 1 --window 0 --config egs/mini/diar1/conf/train_short.yaml)
  python3 bench/infer.py --device "$device" --seconds "${seconds[@]}" "${short[@]}"
}

step_simulate() {
  [ "$miniature" = false ] || short=(--mixtures 4 --rounds 1)
  python3 bench/simulate.py --corpus "$work/corpus" "${short[@]}"
}

step_memory() {
  [ "$miniature" = false ] || short=(--stages pretrain --steps 1 --set train.batch_size=4
    train.max_memory=0.01 data.crop_seconds=4 model.backbone.layers=1 model.backbone.dim=32
    model.backbone.ff_dim=32 model.backbone.heads=2 model.decoder.layers=1
    model.decoder.ff_dim=32 model.decoder.heads=2 model.decoder.queries=4)
  python3 bench/memory.py --device "$device" "${short[@]}"
}

step_compile() {
  [ "$miniature" = false ] || { echo "compiling is for a GPU" && return; }
  python3 bench/train.py --device "$device" --compile --workers-hide-data --corpus "$work/corpus"
}

# A whole training of the demonstration, in the remaining time.
step_long() {
  local left=$((ends - $(date +%s) - 120))
  [ "$miniature" = false ] || { left=3 && short=(--short true --stage 4 --stop-stage 5); }
  [ "$left" -ge 3 ] || { echo "no time is left" && return; }
  recipe diar1 --expdir "$work/long" --tag long "${short[@]}" \
    --args "--set train.precision=bf16 train.max_seconds=$left"
}

if [ -n "$run_step" ]; then
  work=$GPU_SH_WORK ends=$GPU_SH_ENDS
  "step_$run_step"
  exit
fi

prepare
work=$(mktemp -d) ends=$((began + 60 * minutes))
trap 'rm -rf "$work"' EXIT
export GPU_SH_WORK=$work GPU_SH_ENDS=$ends
# Time limits of the steps in seconds; their sum exceeds the total.
declare -A limits=([env]=60 [tests]=420 [demo]=300 [demo_lang]=240 [train]=240 [infer]=180
  [simulate]=120 [memory]=300 [compile]=240 [long]=1500)
failed=() unknown=()
for name in $steps; do [ -n "${limits[$name]:-}" ] || unknown+=("$name"); done
[ "${#unknown[@]}" -eq 0 ] || { echo "gpu.sh: error: no step ${unknown[*]}" >&2 && exit 1; }
for name in $steps; do
  left=$((ends - $(date +%s)))
  [ "$left" -ge 10 ] || { failed+=("$name (no time left)") && continue; }
  limit=$((limits[$name] < left ? limits[$name] : left))
  printf '\n=== %s (%s s so far, at most %s s)\n' "$name" $(($(date +%s) - began)) "$limit"
  begin=$(date +%s) code=0
  timeout -k 10 "$limit" bash bench/gpu.sh --run-step "$name" --miniature "$miniature" 2>&1 |
    tee "$work/$name.txt" || code=$?
  [ "$code" -eq 0 ] || failed+=("$name ($code)")
  printf '=== %s: exit status %s, %s s\n' "$name" "$code" $(($(date +%s) - begin)) |
    tee -a "$work/$name.txt"
  if [ -n "${OUT:-}" ]; then
    cp "$work/$name.txt" "$OUT/.$name.tmp" && mv "$OUT/.$name.tmp" "$OUT/$name.txt"
  fi
done
if [ "${#failed[@]}" -gt 0 ]; then
  printf '\ngpu.sh: failed:%s\n' "$(printf ' %s,' "${failed[@]}" | sed 's/,$//')"
  exit 1
fi
printf '\ngpu.sh: all steps done in %s s\n' $(($(date +%s) - began))

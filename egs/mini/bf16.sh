#!/usr/bin/env bash
# Both mini recipes in bfloat16 on a CPU: pretraining, finetuning (backbone alone), adaptation,
# inference, scores; the losses are compared with those of the same trainings in float32.
#   ./bf16.sh    uses the data of "make demo-short demo-lang-short"
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

common=(train.batch_size=4 train.log_interval=1 train.tensorboard=false
  train.schedule.name=constant train.optimizer.lr=3.0e-4)
out=exp/bf16

# stages RECIPE PRECISION TAG LAST-STAGE SETTINGS OPTION...: one training and the later stages
stages() {
  local recipe=$1 precision=$2 tag=$3 last=$4 settings=$5 dir=$out/$2 sets=()
  shift 5
  printf 'network: {device: cpu, precision: %s}\n' "$precision" > "$recipe/$dir/infer.yaml"
  [ "$recipe" = diar1 ] || sets=(--test-sets "test_a_short test_c_long")
  (cd "$recipe" && ./run.sh --short true --ngpu 0 --stage 4 --stop-stage "$last" --expdir "$dir" \
    --tag "$tag" --inference-config "$dir/infer.yaml" --inference-nj 1 --num-images 1 \
    "${sets[@]}" "$@" --args "--set train.precision=$precision ${common[*]} $settings")
}

# trainings RECIPE PRECISION MODULE LAST-STAGE: all three, each from the previous model
trainings() {
  local recipe=$1 precision=$2 module=$3 last=$4 dir=$out/$2
  rm -rf "${recipe:?}/$dir"
  mkdir -p "$recipe/$dir"
  stages "$recipe" "$precision" pretrain 5 "train.steps=8 train.valid_interval=4"
  stages "$recipe" "$precision" finetune 5 "train.steps=4 train.valid_interval=2 \
    init_modules=[$module]" --num-processes 1 --init-model "$dir/pretrain/final.pth"
  stages "$recipe" "$precision" adapt "$last" "train.steps=4 train.valid_interval=2 \
    train.gradient_checkpointing=true train.accumulation=2 data.crop_seconds=20" \
    --num-processes 1 --init-model "$dir/finetune/final.pth"
}

for recipe in diar1 langdiar1; do
  [ -d "$recipe/data/short/train" ] || {
    echo "$0: error: $recipe/data/short is missing: make demo-short demo-lang-short" >&2
    exit 1
  }
  module=$([ "$recipe" = diar1 ] && echo backbone || echo encoder)
  trainings "$recipe" fp32 "$module" 5
  trainings "$recipe" bf16 "$module" 9
  python3 compare_losses.py "$recipe/$out/fp32" "$recipe/$out/bf16"
done

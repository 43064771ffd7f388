#!/usr/bin/env bash
# EEND-M2F on VoxConverse 0.3; all options of diar.sh can be added.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

exec ./diar.sh \
  --train-set train --valid-set dev --test-sets test \
  --config conf/finetune.yaml \
  --init-model ../../librispeech/diar1/exp/pretrain/final.pth \
  "$@"

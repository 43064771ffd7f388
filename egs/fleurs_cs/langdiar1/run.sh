#!/usr/bin/env bash
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

exec ./diar.sh \
  --train-set train \
  --valid-set dev \
  --test-sets test \
  --config conf/pretrain.yaml \
  "$@"

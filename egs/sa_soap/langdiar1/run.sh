#!/usr/bin/env bash
# SAGE-LD on the South African soap operas: adaptation of the model of ../../fleurs_cs, and scores.
# All options of diar.sh can be added.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

exec ./diar.sh --task language \
  --train-set train --valid-set dev --test-sets test \
  --config conf/adapt.yaml \
  --init-model ../../fleurs_cs/langdiar1/exp/pretrain/final.pth \
  "$@"

#!/usr/bin/env bash
# SAGE-LD on DISPLACE: adaptation of the model that ../../fleurs_cs pretrains, and its scores.
# All options of diar.sh can be added.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

exec ./diar.sh --task language \
  --train-set train --valid-set dev --test-sets test \
  --config conf/adapt.yaml \
  --init-model ../../fleurs_cs/langdiar1/exp/pretrain/final.pth \
  "$@"

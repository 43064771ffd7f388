#!/usr/bin/env bash
# SAGE-LD's pretraining: code-switched speech simulated from FLEURS, and its scores on simulated
# sets.  ../../displace and ../../sa_soap adapt the model.  All options of diar.sh can be added.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

exec ./diar.sh --task language \
  --train-set train --valid-set dev --test-sets "test_seen test_unseen test_confound" \
  --config conf/pretrain.yaml \
  "$@"

#!/usr/bin/env bash
# Tables 3 to 6 of the paper: each variant of conf/ablations.txt is finetuned from its pretrained
# backbone and scored on all test sets together.  Options: those of egs/TEMPLATE/ablations.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec ../../TEMPLATE/ablations.sh --title "Tables 3 to 6 of EEND-M2F" --config conf/finetune.yaml \
  --pretrained-dir ../../librispeech/diar1/exp --opts "--test-sets test_all" "$@"

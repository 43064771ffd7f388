#!/usr/bin/env bash
# validate_data_dir.sh [--for kaldi|train|infer]
#   [--no-feats --no-text --no-wav --no-spk-sort --non-print] DIR
# Writes every fault to standard error; the exit status is nonzero if there is one.  The default
# is Kaldi's own rule: feats.scp, text and spk2utt exist and utterances are sorted by speaker.
# The commands of this project need less: --for train, --for infer.
set -euo pipefail
purpose=(--for kaldi)
for word in "$@"; do
  case $word in
    --for | --for=*) purpose=() ;;
  esac
done
exec "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/datadir.sh" validate \
  ${purpose[@]+"${purpose[@]}"} "$@"

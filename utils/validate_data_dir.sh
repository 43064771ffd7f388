#!/usr/bin/env bash
# validate_data_dir.sh [--no-feats --no-text --no-wav --no-spk-sort --non-print] DIR
# Writes every fault to standard error; the exit status is nonzero if there is one.
set -euo pipefail
exec "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/datadir.sh" validate "$@"

#!/usr/bin/env bash
# subset_data_dir.sh [--first|--last|--shortest|--per-spk|--speakers] SRC N DST
# subset_data_dir.sh --utt-list|--spk-list|--reco-list FILE SRC DST
set -euo pipefail
exec "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/datadir.sh" subset "$@"

#!/usr/bin/env bash
# copy_data_dir.sh [--utt-prefix P] [--utt-suffix S] [--spk-prefix P] [--spk-suffix S]
#   [--validate-opts "--non-print"] [--extra-files "a b"] SRC DST: all tables, renamed.
set -euo pipefail
exec "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/datadir.sh" copy "$@"

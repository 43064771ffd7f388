#!/usr/bin/env bash
# fix_data_dir.sh [--utt-extra-files "a b"] [--spk-extra-files "c"] DIR
# Keeps the utterances that all tables have, sorted; the original files go to DIR/.backup.
set -euo pipefail
exec "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/datadir.sh" fix "$@"

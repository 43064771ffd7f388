#!/usr/bin/env bash
# split_by_language.sh [--min-duration SECONDS] [--allow-pipes] DATA RTTM OUT: makes OUT/<language> for each label.
set -euo pipefail
exec "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/datadir.sh" split-by-language "$@"

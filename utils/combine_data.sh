#!/usr/bin/env bash
# combine_data.sh [--extra-files "a b"] [--skip-fix true] DST SRC1 SRC2 ...: one directory of several.
set -euo pipefail
exec "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/datadir.sh" combine "$@"

#!/usr/bin/env bash
# fix_data_dir.sh DIR: keeps what all files have, sorted; the files as they were go to DIR/.backup.
set -euo pipefail
exec "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/datadir.sh" fix "$@"

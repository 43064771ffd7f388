#!/usr/bin/env bash
# diarize-datadir in the project's environment, for the scripts of data directories.
set -euo pipefail
export LC_ALL=C
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
if [ -z "${DIARIZE_ROOT:-}" ] && [ -f "$root/tools/activate_python.sh" ]; then
  # shellcheck disable=SC1091
  . "$root/tools/activate_python.sh"
fi
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"
exec python3 -m diarize.bin.datadir "$@"

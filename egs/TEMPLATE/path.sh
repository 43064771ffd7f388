# shellcheck shell=bash
# Sourced by the recipe: the Python environment and the search paths.
DIARIZE_ROOT=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
export DIARIZE_ROOT
if [ -f "$DIARIZE_ROOT/tools/activate_python.sh" ]; then
  # shellcheck disable=SC1091
  . "$DIARIZE_ROOT/tools/activate_python.sh"
fi
export PATH="$PWD/utils:$DIARIZE_ROOT/utils:$PATH"
export PYTHONPATH="$DIARIZE_ROOT${PYTHONPATH:+:$PYTHONPATH}"
# Kaldi's order of keys, but UTF-8 in Python.
export LC_ALL=C PYTHONUTF8=1
# Jobs run in parallel: one thread each, unless a stage sets another number.
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}

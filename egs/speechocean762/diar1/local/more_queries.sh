#!/usr/bin/env bash
# more_queries.sh MODEL OUT: the initial model of the long training, MODEL with its 10 queries.
set -euo pipefail
. ./path.sh
mkdir -p "$(dirname "$2")"
exec python3 local/more_queries.py "$1" "$2" --queries 10

#!/usr/bin/env bash
# split_data.sh [--per-utt] DIR N: makes DIR/splitN/1..N, or DIR/splitNutt/1..N.
set -euo pipefail
exec "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/datadir.sh" split "$@"

#!/usr/bin/env bash
# get_reco2dur.sh [--allow-pipes] DIR: writes DIR/reco2dur from the audio's headers.
set -euo pipefail
exec "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/datadir.sh" reco2dur "$@"

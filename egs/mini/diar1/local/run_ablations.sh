#!/usr/bin/env bash
# Tables 3 to 6 of the EEND-M2F paper in miniature, on the data of ./run.sh (stages 1 to 3).
# After few steps the order of the variants is that of early training, not that of the paper.
# Options: those of egs/TEMPLATE/ablations.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec ../../TEMPLATE/ablations.sh --title "Ablations on the mini corpus" --steps 150 "$@"

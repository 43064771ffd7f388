#!/usr/bin/env bash
# Own data: a folder of audio and a folder of RTTM (--help).  For anything else write this file:
# it makes data/{train,dev,test}, see "The files you write" in egs/TEMPLATE/README.md.
set -euo pipefail
exec ../../TEMPLATE/local/data.sh "$@"

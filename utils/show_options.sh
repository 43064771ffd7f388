#!/usr/bin/env bash
# show_options.sh SCRIPT: the options at the head of a script that uses parse_options.sh, with the
# comments and the defaults.  Options are the assignments before help_message or parse_options.sh.
set -euo pipefail

[ "$#" -eq 1 ] && [ "$1" != --help ] || { echo "Usage: $0 SCRIPT" >&2 && exit 1; }
awk '
  /^help_message=|^\. .*parse_options\.sh/ { exit }
  /^[A-Za-z_][A-Za-z0-9_]*=/ {
    name = $0
    sub(/=.*/, "", name)
    gsub(/_/, "-", name)
    value = substr($0, length(name) + 2)
    comment = ""
    if (match(value, /(^|[ \t])#/)) {
      comment = substr(value, RSTART + RLENGTH)
      value = substr(value, 1, RSTART - 1)
    }
    gsub(/^[ \t]+|[ \t]+$/, "", comment)
    gsub(/^[ \t]+|[ \t]+$/, "", value)
    gsub(/^["\x27]|["\x27]$/, "", value)
    head = "  --" name
    if (value != "") head = head " " value
    if (comment == "") print head
    else if (length(head) < 32) printf "%-32s%s\n", head, comment
    else printf "%s\n%32s%s\n", head, "", comment
    shown = 1
    next
  }
  shown && /^# [A-Z]/ && !/shellcheck/ { print substr($0, 3) ":" }
  /^# General$/ { print "General:" ; shown = 1 }
' "$1"

# shellcheck shell=bash
# split_words ARRAY STRING: sets ARRAY to the words of STRING, which may be quoted as in the shell:
#
#   split_words opts "--audio '/my data/wav' --seed 1"     # four words
#
# Nothing is expanded and nothing is run.  Returns 1, with a message, for a quote without its end
# and for a line break within a word.
split_words() {
  local -n _split_out=$1
  local _split_text
  _split_text=$(python3 -c '
import shlex, sys
try:
    words = shlex.split(sys.argv[1])
except ValueError as err:
    sys.exit(f"{sys.argv[2]}: error: {err}: {sys.argv[1]}")
if any("\n" in word for word in words):
    sys.exit(f"{sys.argv[2]}: error: a line break within a word: {sys.argv[1]}")
print("\n".join([*words, "."]))' "$2" "$0") || return 1
  mapfile -t _split_out <<< "$_split_text"
  _split_out=("${_split_out[@]:0:${#_split_out[@]}-1}") # without the "." that keeps empty words
}

# split_list ARRAY STRING: sets ARRAY to the fields of STRING, separated by commas.  A comma within
# a field is written \, and a STRING that is the name of a file or directory is one field.
split_list() {
  local -n _list_out=$1
  local _list_text=$2 _list_comma=$'\001'
  if [ -e "$_list_text" ]; then
    _list_out=("$_list_text")
    return 0
  fi
  IFS=, read -r -a _list_out <<< "${_list_text//\\,/$_list_comma}"
  _list_out=("${_list_out[@]//$_list_comma/,}")
}

# quote_words WORD...: prints the words so that split_words returns them
quote_words() {
  local word quote="'\\''"
  for word; do printf "'%s' " "${word//\'/$quote}"; done
}

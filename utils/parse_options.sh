# shellcheck shell=bash
# Parses the options of the script that sources it, after the defaults are set.
#
#   nj=4; some_flag=false; help_message="Usage: $0 [options] dir"
#   . utils/parse_options.sh
#
# --help prints help_message, with the output of show_options.sh in place of "{options}".
# --some-flag true sets some_flag (dash and underscore are equivalent); the value may be empty or
# begin with a dash, and the last one counts if an option is repeated, as in Kaldi.  Only variables
# that are already defined are set; one with the default true or false accepts only these.  Every
# --config FILE is a file of shell assignments, sourced first, from left to right, so that the
# command line has precedence.  FILE.yaml is not sourced: it is the value of a variable "config" of
# the script.  Parsing stops at the first word that is not an option; the rest stays in "$@".

_po_fail() {
  printf '%s: %s\n' "$0" "$1" >&2
  exit 1
}

# First pass, "$@" unchanged: --help, the form of each option, the files to source.
_po_configs=()
_po_index=1
while [ "$_po_index" -le "$#" ]; do
  _po_word=${!_po_index}
  case "$_po_word" in
    --help | -h)
      _po_word=${help_message-$0: no help message}
      printf '%b\n' "${_po_word%%'{options}'*}"
      case "$_po_word" in
        *'{options}'*)
          "$(dirname "${BASH_SOURCE[0]}")/show_options.sh" "$0"
          printf '%b' "${_po_word#*'{options}'}" ;;
      esac
      exit 0 ;;
    --*=*) _po_fail "options are written as --name value, not --name=value: '$_po_word'" ;;
    --*) ;;
    *) break ;;
  esac
  _po_index=$((_po_index + 1))
  [ "$_po_index" -le "$#" ] || _po_fail "option '$_po_word' needs a value"
  if [ "$_po_word" = --config ]; then
    case "${!_po_index}" in
      '' | *.yaml | *.yml) [ -n "${config+set}" ] ||
        _po_fail "--config must be a file of shell assignments, not '${!_po_index}'" ;;
      *) _po_configs+=("${!_po_index}") ;;
    esac
  fi
  _po_index=$((_po_index + 1))
done

# Switches are recognised by their defaults, before a file can change these.
_po_switches=' '
while IFS= read -r _po_name; do
  case "${!_po_name-}" in true | false) _po_switches+="$_po_name " ;; esac
done < <(compgen -v)

for _po_word in ${_po_configs[@]+"${_po_configs[@]}"}; do
  [ -f "$_po_word" ] && [ -r "$_po_word" ] || _po_fail "cannot read --config file '$_po_word'"
  # Without a slash the shell would look for the file in PATH first.
  case "$_po_word" in */*) ;; *) _po_word=./$_po_word ;; esac
  # shellcheck disable=SC1090
  . "$_po_word"
  for _po_name in $_po_switches; do
    case "${!_po_name-}" in
      true | false) ;;
      *) _po_fail "$_po_name must be true or false, not '${!_po_name-}', in $_po_word" ;;
    esac
  done
done

# Second pass: the values.
while [ "$#" -gt 0 ]; do
  case "$1" in --*) ;; *) break ;; esac
  _po_name=${1#--}
  _po_name=${_po_name//-/_}
  if [ "$_po_name" = config ]; then
    case "$2" in '' | *.yaml | *.yml) ;; *) shift 2; continue ;; esac
  fi
  [[ "$_po_name" =~ ^[A-Za-z][A-Za-z0-9_]*$ && -n "${!_po_name+set}" ]] ||
    _po_fail "unknown option '$1'; see --help"
  case "$_po_switches" in
    *" $_po_name "*)
      [ "$2" = true ] || [ "$2" = false ] || _po_fail "$1 must be true or false, not '$2'" ;;
  esac
  printf -v "$_po_name" '%s' "$2"
  shift 2
done

unset -v _po_configs _po_index _po_word _po_name _po_switches
unset -f _po_fail

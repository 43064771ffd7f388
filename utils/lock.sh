# shellcheck shell=bash
# take_lock FILE shared|exclusive NAME: locks FILE until this process and all that it has started
# have ended.  Returns 1, with a message, if another process holds a lock that excludes this one.
#
# The system releases the lock with the last process, also after kill -9, so that no lock outlives
# its owner.  FILE lists its owners, for the message.  A second call for the same FILE replaces
# the lock.  Without the command flock, or on a file system without locks, a notice is printed.
declare -A _lock_fds=()

take_lock() {
  local file=$1 kind=$2 name=$3 fd=${_lock_fds[$1]:-} status=0
  if ! command -v flock > /dev/null; then
    printf '%s: notice: no command flock: a second run in %s is not noticed\n' "$0" "$name" >&2
    return 0
  fi
  while :; do
    [ -n "$fd" ] || exec {fd}>> "$file"
    flock --nonblock --conflict-exit-code 75 "--$kind" "$fd" || status=$?
    # The owner may have removed the file since it was opened.
    [ "$status" -eq 0 ] && [ ! "$file" -ef "/dev/fd/$fd" ] || break
    exec {fd}>&-
    fd=
  done
  case "$status" in
    0) ;;
    75)
      printf '%s: error: %s is in use by %s; wait for its end, or use another directory\n' \
        "$0" "$name" "$(_lock_owner "$file")" >&2
      exec {fd}>&-
      return 1 ;;
    *)
      printf '%s: notice: %s cannot be locked: a second run is not noticed\n' "$0" "$name" >&2
      return 0 ;;
  esac
  _lock_fds[$file]=$fd
  [ "$kind" = shared ] || : > "$file"
  printf '%s\t%s\t%s\t%s\n' "$$" "$(uname -n)" "$(date '+%F %T')" "${command_line:-$0}" >> "$file"
}

# _lock_owner FILE: the last owner that lives, or is on another machine; else the last
_lock_owner() {
  local pid host since command owner='another process'
  while IFS=$'\t' read -r pid host since command; do
    if [ "$host" != "$(uname -n)" ] || ps -p "$pid" > /dev/null 2>&1; then
      owner="process $pid on $host since $since ($command)"
    else
      owner="a process started by $pid on $host ($command), which has ended"
    fi
  done < "$1"
  printf '%s' "$owner"
}

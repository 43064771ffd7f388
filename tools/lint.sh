#!/usr/bin/env bash
# ruff over all Python, shellcheck over all shell of the repository.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

shell_files() {
  local file
  git ls-files --cached --others --exclude-standard | while IFS= read -r file; do
    [ -f "$file" ] && [ ! -L "$file" ] || continue
    case "$file" in
      *.sh) printf '%s\n' "$file" ;;
      utils/* | .ci/* | tools/*)
        if head -n 1 -- "$file" | grep -q '^#!.*\(bash\|/sh\)'; then printf '%s\n' "$file"; fi ;;
    esac
  done
}

ruff check .
mapfile -t files < <(shell_files)
if [ "${#files[@]}" -gt 0 ]; then
  shellcheck "${files[@]}"
fi
echo "lint: ${#files[@]} shell files and all Python are clean"

#!/usr/bin/env bash
# setup.sh [--init-model MODEL] DIR: creates a recipe, with links to the template and the files to
# fill in.  With an initial model, conf/finetune.yaml and conf/adapt.yaml are those for it, and
# run.sh adapts it to the data.
# Example: egs/TEMPLATE/setup.sh egs/mycorpus/diar1
set -euo pipefail

init_model='' words=()
while [ "$#" -gt 0 ]; do
  case "$1" in
    --init-model)
      init_model=${2:-}
      [ -e "$init_model" ] || { echo "$0: --init-model: no file or directory '$init_model'" >&2; exit 1; }
      shift
      ;;
    *) words+=("$1") ;;
  esac
  shift
done
set -- "${words[@]}"
if [ "$#" -ne 1 ] || [[ "$1" = -* ]]; then
  echo "Usage: $0 [--init-model MODEL] egs/CORPUS/diar1   (or langdiar1)" >&2
  exit 1
fi
template=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)
root=$(cd "$template/../.." && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
case "$dir" in
  "$root"/egs/*/*/*) depth= ;;
  "$root"/egs/*/*) depth=../.. ;;
  *) depth= ;;
esac
if [ -z "$depth" ]; then
  echo "$0: a recipe lies in $root/egs/CORPUS/NAME, not in $dir" >&2
  exit 1
fi

link() {
  [ -e "$dir/$2" ] || ln -sfn "$1" "$dir/$2"
}
for name in diar.sh path.sh cmd.sh db.sh; do
  link "$depth/TEMPLATE/$name" "$name"
done
link "$depth/../utils" utils

mkdir -p "$dir/conf" "$dir/local"
if [ -n "$init_model" ]; then
  # shellcheck source=/dev/null
  (cd "$dir" && . ./path.sh && cd - > /dev/null &&
    python3 "$template/fit_config.py" "$init_model" "$template/conf" "$dir/conf")
fi
for name in pretrain finetune adapt; do
  if [ ! -e "$dir/conf/$name.yaml" ] && [ -f "$template/conf/$name.yaml" ]; then
    cp "$template/conf/$name.yaml" "$dir/conf/"
  fi
done
for name in infer.yaml simulate.conf; do
  [ -e "$dir/conf/$name" ] || cp "$template/conf/$name" "$dir/conf/"
done
if [ ! -e "$dir/run.sh" ]; then
  training="--config conf/pretrain.yaml"
  if [ -n "$init_model" ]; then
    path=$(realpath -s "$init_model")
    case "$path" in "$root"/*) path=$(realpath -s --relative-to="$dir" "$path") ;; esac
    training=
    ! grep -q "^task: language" "$dir/conf/adapt.yaml" || training="--task language "
    training+="--config conf/adapt.yaml --simulate-config /dev/null --init-model $(printf %q "$path")"
  fi
  cat > "$dir/run.sh" << RUN
#!/usr/bin/env bash
set -euo pipefail
cd "\$(dirname "\${BASH_SOURCE[0]}")"

exec ./diar.sh \\
  --train-set train \\
  --valid-set dev \\
  --test-sets test \\
  $training \\
  "\$@"
RUN
fi
if [ ! -e "$dir/local/data.sh" ]; then
  cat > "$dir/local/data.sh" << DATA
#!/usr/bin/env bash
# Own data: a folder of audio and a folder of RTTM (--help).  For anything else write this file:
# it makes data/{train,dev,test}, see "The files you write" in egs/TEMPLATE/README.md.
set -euo pipefail
exec $depth/TEMPLATE/local/data.sh "\$@"
DATA
fi
chmod +x "$dir/run.sh" "$dir/local/data.sh"
echo "$dir: own data need no more than the options of local/data.sh; see conf/ and run.sh"

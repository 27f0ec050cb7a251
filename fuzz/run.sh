#!/usr/bin/env bash
# Fuzzes for as long as asked; what it finds is kept in fuzz/findings/<name>/.
#   fuzz/run.sh [SECONDS] [NAME...]    for example: fuzz/run.sh 3600 gguf
#   fuzz/run.sh --replay [SECONDS] [NAME...]
#                                      the corpora with a fixed seed and count, as ./test.sh does
# SECONDS (600; with --replay a cap of 180) are for all together; two programs run at a time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

replay=false
if [[ ${1:-} == --replay ]]; then replay=true; shift; fi
seconds=${1:-$($replay && echo 180 || echo 600)}
[[ $seconds =~ ^[1-9][0-9]*$ ]] || { echo "fuzz: SECONDS is '$seconds', not a number" >&2; exit 2; }
shift || true

scripts/setup.sh test
build=build/asan
[[ -f $build/build.ninja ]] || cmake --preset asan >/dev/null
names=("$@")
if ((${#names[@]} == 0)); then
  for source in fuzz/*_fuzz.cpp; do
    [[ -e $source ]] || continue
    source=${source##*/}
    names+=("${source%_fuzz.cpp}")
  done
fi
((${#names[@]} > 0)) || { echo "fuzz: there is no fuzz/*_fuzz.cpp" >&2; exit 1; }
for name in "${names[@]}"; do
  [[ -f fuzz/${name}_fuzz.cpp ]] || { echo "fuzz: there is no fuzz/${name}_fuzz.cpp" >&2; exit 2; }
done
cmake --build "$build" --target "${names[@]/%/_fuzz}"

# In memory where there is such a place: a disk that is busy writing what was just built holds up the
# targets that keep files, for seconds at a time.
if [[ -d /dev/shm && -w /dev/shm ]]; then work=$(mktemp -d -p /dev/shm); else work=$(mktemp -d); fi
mkdir "$work/tmp"
export TMPDIR=$work/tmp
trap 'rm -rf "$work"' EXIT
jobs_at_once=2
each=$((seconds * jobs_at_once / (${#names[@]} > 1 ? ${#names[@]} : jobs_at_once)))
((each > 0)) || each=1

fuzz_one() {
  local name=$1 findings=fuzz/findings/$1 seeds=fuzz/corpus/$1 options inputs
  mkdir -p "$findings" "$seeds"
  options=(-rss_limit_mb=3072 -timeout=20 -print_final_stats=1 "-artifact_prefix=$findings/"
           "-max_total_time=$each")
  if [[ -f fuzz/$name.dict ]]; then options+=("-dict=fuzz/$name.dict"); fi
  if $replay; then
    # The seeds stay as they are: what mutation adds goes to a folder that is thrown away.
    mkdir "$work/$name"
    inputs=("$work/$name" "$seeds")
    options+=(-seed=1 -runs=20000)
  else
    inputs=("$findings/corpus" "$seeds")
    mkdir -p "$findings/corpus"
  fi
  "$build/fuzz/${name}_fuzz" "${options[@]}" "${inputs[@]}" >"$work/$name.log" 2>&1
}

passed=0
failed=0
failures=()
running=()
finish_one() {
  local name=${running[0]%%:*} pid=${running[0]##*:}
  running=("${running[@]:1}")
  local code=0
  wait "$pid" || code=$?
  if ((code == 0)); then
    passed=$((passed + 1))
    echo "fuzz: $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$work/$name.log") inputs, nothing found"
  else
    failed=$((failed + 1))
    echo "fuzz: $name failed:"
    tail -n 60 "$work/$name.log"
    failures+=("$name ended with $code: $(why "$work/$name.log")")
  fi
}
# One line of what was found, and the input where it is short: enough to see it again elsewhere.
why() {
  local what input
  what=$(grep -a -m1 -E '^SUMMARY: |ERROR: |terminating |runtime error: ' "$1" || tail -n 1 "$1")
  input=$(sed -n 's/^Base64: *//p' "$1" | tail -n 1)
  echo "${what:0:300}; input ${input:0:2000}"
}
for name in "${names[@]}"; do
  while ((${#running[@]} >= jobs_at_once)); do finish_one; done
  fuzz_one "$name" &
  running+=("$name:$!")
done
while ((${#running[@]} > 0)); do finish_one; done
for failure in ${failures[@]+"${failures[@]}"}; do echo "failed: $failure"; done
echo "$passed passed, $failed failed, 0 skipped"
((failed == 0))

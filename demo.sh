#!/usr/bin/env bash
# Builds malina, obtains a small language model, answers a question with it, and tunes a classifier.
#   ./demo.sh [QUESTION]
# Does all its own set-up on a fresh Debian 12 machine; a second run does only what is missing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
question=${1:-Give me three tips for a good night\'s sleep.}
name=smollm2

scripts/setup.sh demo
# The demonstration needs the program alone; the tests are left to ./test.sh.
[[ -f build/release/build.ninja ]] || cmake --preset release -DMALINA_TESTS=OFF >/dev/null
cmake --build --preset release --target malina
model=$(scripts/fetch_model.sh)

malina=build/release/malina
if ! "$malina" verify "$name" >/dev/null 2>&1; then
  "$malina" import "$model" --name "$name"
fi
echo
echo "\$ malina run $name \"$question\""
"$malina" run "$name" "$question" --seed 1

run() { printf '\n$ malina %s\n' "$*"; "$malina" "$@"; }
run data check examples/intents.csv
run tune --model "$name" --data examples/intents.csv --suffix intents --fast --force
run decide "$name:intents" "My card still has not come."

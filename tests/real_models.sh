#!/usr/bin/env bash
# Compares real models of several families with what Hugging Face Transformers computes of the same
# weights (tests/golden/real): tokens, teacher-forced answers and perplexity, exact and by default.
#   tests/real_models.sh            all of them: fetches 1.9 GB, and takes an hour or so on two cores
#   tests/real_models.sh NAME...    as scripts/fetch_model.sh --list names them
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/setup.sh test

wanted=("$@")
if ((${#wanted[@]} == 0)); then
  for folder in tests/golden/real/*/; do wanted+=("$(basename "$folder")"); done
fi
filter=
for name in "${wanted[@]}"; do
  [[ -d tests/golden/real/$name ]] || { echo "real_models: there is no tests/golden/real/$name" >&2; exit 2; }
  scripts/fetch_model.sh "$name" >/dev/null
  filter+=:*${name//[-.]/_}
done
cmake --preset release >/dev/null
cmake --build --preset release --target golden_real_models_test
build/release/tests/golden/golden_real_models_test --gtest_filter="${filter#:}"

#!/usr/bin/env bash
# Runs every test: sets up what is missing on Debian 12, then the release build with all its tests, the
# sanitized builds with the tests that read untrusted input or share memory between threads, and the
# fuzz corpora. The last line is the total; the exit code is 0 only where all is well.
#   ./test.sh             everything
#   ./test.sh --release   the release build alone: a first answer in a few minutes
#   ./test.sh --serve     the server under the thread sanitizer and then under those of addresses and
#                         undefined behaviour: the tests of its modules, and the whole program's. Not
#                         in everything, since it compiles the program two more times
#   ./test.sh --clients   the clients that applications have (OpenAI's for Python and Node, Ollama's, LangChain,
#                         schemathesis, lm-eval) against the program's server. Not in everything, since
#                         it takes their pinned versions from the package registries
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

everything=true
case ${1:-} in
  "") ;;
  --release | --serve | --clients) everything=false ;;
  *) echo "test: '$1' is none of --release, --serve and --clients" >&2; exit 2 ;;
esac

results=$PWD/build/results
rm -rf "$results"
mkdir -p "$results"
jobs=$(nproc)
runs=()
broken=()
began=$SECONDS

step() { printf '== %s (%d:%02d)\n' "$*" $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)); }

build() {  # PRESET [TARGET...]
  local preset=$1
  shift
  step "build $preset"
  cmake --preset "$preset" >"$results/configure-$preset.log" 2>&1 || {
    cat "$results/configure-$preset.log"
    return 1
  }
  cmake --build --preset "$preset" ${1:+--target "$@"} >"$results/build-$preset.log" 2>&1 || {
    grep -vE '^\[[0-9]+/[0-9]+\] (Building|Linking)' "$results/build-$preset.log" | tail -n 80
    return 1
  }
}

run() {  # NAME PRESET [CTEST OPTION...]: runs ctest, and keeps its results under NAME
  local name=$1 preset=$2
  shift 2
  step "test $name"
  mkdir -p "$results/$name"
  runs+=("$results/$name")
  # What failed is told by the tally, from the reports; a script's total stands at its output's end.
  GTEST_OUTPUT="xml:$results/$name/" GTEST_BRIEF=1 ctest --preset "$preset" --parallel "$jobs" \
    --no-tests=error --test-output-truncation head \
    --output-junit "$results/$name/ctest.xml" "$@" </dev/null || true
}

step "set up"
scripts/setup.sh test
MALINA_TEST_MODEL=$(scripts/fetch_model.sh)
export MALINA_TEST_MODEL

sanitized_server() {
  local preset
  export TSAN_OPTIONS=halt_on_error=1 UBSAN_OPTIONS=print_stacktrace=1
  export ASAN_OPTIONS=detect_stack_use_after_return=1:allocator_may_return_null=1
  for preset in tsan asan; do
    if build $preset malina serve_test platform_test; then
      run $preset-serve $preset --tests-regex '^(serve|platform)($|_)'
    else
      broken+=(--broken "the program with the sanitizers of the preset $preset")
    fi
  done
}
if [[ ${1:-} == --serve ]]; then
  sanitized_server
  step "total"
  exec scripts/tally.py "${broken[@]}" "${runs[@]}"
fi

if [[ ${1:-} == --clients ]]; then
  if build release malina; then
    step "clients"
    # What failed is counted from what it prints; where it fails without a word of that, it is broken.
    tests/clients/run.sh build/release/malina 2>&1 | tee "$results/clients.log" ||
      grep -q '^FAILED' "$results/clients.log" || broken+=(--broken "the clients")
    runs+=("$results/clients.log")
  else
    broken+=(--broken "the release build")
  fi
  step "total"
  exec scripts/tally.py "${broken[@]}" "${runs[@]}"
fi

if build release; then
  run release release
else
  broken+=(--broken "the release build")
fi

sanitized() {
  # Untrusted bytes: file formats (hundreds of broken files), tokenizers, templates, tiny models, keys,
  # tampered audits. What only repeats the same arithmetic many times is left to the release build.
  export ASAN_OPTIONS=detect_stack_use_after_return=1:allocator_may_return_null=1
  export UBSAN_OPTIONS=print_stacktrace=1
  if build asan format_test text_test model_test engine_test eval_test tune_test store_test govern_test; then
    GTEST_FILTER='-Invariance.*:*SameTokenByToken*:PublicData.*' \
      run asan asan --tests-regex '^(format|text|model|engine|eval|tune|store|govern)$'
    step "fuzz"
    # A failure before the first target leaves no total, and is counted as broken.
    fuzz/run.sh --replay 180 2>&1 | tee "$results/fuzz.log" ||
      grep -q ' passed, ' "$results/fuzz.log" || broken+=(--broken "fuzzing")
    runs+=("$results/fuzz.log")
  else
    broken+=(--broken "the build with address and undefined-behaviour sanitizers")
  fi

  # Threads: the pool, the engine upon it, the group commit and what is recorded through it.
  export TSAN_OPTIONS=halt_on_error=1
  if build tsan base_test engine_test store_test govern_test; then
    run tsan tsan --tests-regex '^(base|engine|store|govern)$'
  else
    broken+=(--broken "the build with the thread sanitizer")
  fi
}
if $everything; then sanitized; fi

step "total"
scripts/tally.py "${broken[@]}" "${runs[@]}"

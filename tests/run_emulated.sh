#!/usr/bin/env bash
# Runs the tests of the engine's parts (kernels, formats, tokenizers, tiny models) on processors
# that this machine is not: AArch64, cross-built, and the oldest x86-64 that a release supports
# (Nehalem: x86-64-v2), where any instruction beyond it would end the test. Both under qemu-user.
#   tests/run_emulated.sh [aarch64|nehalem]...
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted=("$@")
((${#wanted[@]} > 0)) || wanted=(aarch64 nehalem)
for target in "${wanted[@]}"; do
  case $target in
    aarch64 | nehalem) ;;
    *) echo "run_emulated: '$target' is neither aarch64 nor nehalem" >&2; exit 2 ;;
  esac
done
scripts/setup.sh emulated

programs=(base_test math_test format_test text_test model_test engine_test)
results=$PWD/build/results
mkdir -p "$results"
reports=()
for target in "${wanted[@]}"; do
  if [[ $target == aarch64 ]]; then preset=aarch64; emulator=(qemu-aarch64); fi
  if [[ $target == nehalem ]]; then preset=release; emulator=(qemu-x86_64 -cpu Nehalem); fi
  cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset" --target "${programs[@]}"
  for program in "${programs[@]}"; do
    # Emulated arithmetic is fifty times slower: what needs the real model, and the random mixes of
    # sequences, are left to real machines; so are tests that start the program anew, natively.
    echo "run_emulated: $program on $target"
    report=$results/$target-$program.xml log=$results/$target-$program.log
    rm -f "$report"
    env -u MALINA_ISA -u MALINA_TEST_MODEL GTEST_FILTER="-Invariance.LogitsAreTheBitsOfTheSequenceAlone:FileMapDeathTest.*" GTEST_BRIEF=1 \
      GTEST_OUTPUT="xml:$report" "${emulator[@]}" "build/$preset/$program" </dev/null >"$log" 2>&1 ||
      tail -n 40 "$log"
    if [[ -f $report ]]; then
      reports+=("$report")
    else
      reports+=(--broken "$program on $target ended before its last test")
    fi
  done
done
scripts/tally.py "${reports[@]}"

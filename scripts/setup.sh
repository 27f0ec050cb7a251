#!/usr/bin/env bash
# Installs what malina needs on Debian 12 and what is missing: asks for nothing twice.
#   scripts/setup.sh demo       to build malina and fetch the demonstration's model
#   scripts/setup.sh test       that, and what ./test.sh needs (clang 19 for sanitizers and fuzzing)
#   scripts/setup.sh bench      that of demo, and Google Benchmark
#   scripts/setup.sh package    that of demo, and what cpack needs to make a Debian package
#   scripts/setup.sh emulated   that of demo, and what tests/run_emulated.sh needs
set -euo pipefail

libraries=(libfmt-dev nlohmann-json3-dev libssl-dev libutf8proc-dev libsqlite3-dev libcli11-dev
           libsodium-dev libedit-dev libsimde-dev libcurl4-openssl-dev libtomlplusplus-dev
           libboost1.81-dev prometheus-cpp-dev liblinear-dev)
tools=(g++ cmake ninja-build mold ccache pkg-config)
packaging=(dpkg-dev file)
# systemd has systemd-analyze, which holds how closed the service is.
tests=(libgtest-dev openssl clang-19 libclang-rt-19-dev systemd "${packaging[@]}")

purpose=${1:-test}
packages=("${tools[@]}" "${libraries[@]}")
case $purpose in
  demo) ;;
  test) packages+=("${tests[@]}") ;;
  package) packages+=("${packaging[@]}") ;;
  bench) packages+=(libbenchmark-dev) ;;
  emulated)
    # The libraries of the other architecture stand beside the machine's own; JSON is headers alone.
    packages+=(libgtest-dev qemu-user g++-aarch64-linux-gnu libgtest-dev:arm64 libfmt-dev:arm64
               libssl-dev:arm64 libutf8proc-dev:arm64 liblinear-dev:arm64)
    ;;
  *) echo "setup: '$purpose' is not one of demo, test, bench, package, emulated" >&2; exit 2 ;;
esac

# The model comes in a Python package: any python3 with pip will do, for example one of pyenv.
if [[ $purpose != package ]] && ! python3 -m pip --version >/dev/null 2>&1; then
  packages+=(python3 python3-pip)
fi

if [[ ! -e /etc/debian_version ]]; then
  echo "setup: this is not Debian; malina needs the equivalents of ${packages[*]}" >&2
  exit 0
fi
native=$(dpkg --print-architecture)
installed() {  # PACKAGE[:ARCHITECTURE]
  local architecture=$native
  if [[ $1 == *:* ]]; then architecture=${1#*:}; fi
  dpkg-query -W -f='${Architecture} ${db:Status-Status}\n' "${1%:*}" 2>/dev/null |
    grep -qxE "($architecture|all) installed"
}
missing=()
for package in "${packages[@]}"; do installed "$package" || missing+=("$package"); done
if ((${#missing[@]} == 0)); then exit 0; fi

echo "setup: installing ${missing[*]}" >&2
as_root=()
if [[ $(id -u) != 0 ]]; then
  command -v sudo >/dev/null || { echo "setup: run it as root, or install sudo" >&2; exit 1; }
  as_root=(sudo)
fi
apt_get() {
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@" </dev/null
}
if [[ " ${missing[*]} " == *:arm64* ]]; then "${as_root[@]}" dpkg --add-architecture arm64; fi
# A list of another source that cannot be fetched is no reason to stop: the install decides.
apt_get update || echo "setup: apt-get update reported an error; trying to install all the same" >&2
apt_get install -y --no-install-recommends "${missing[@]}" >/dev/null

#!/usr/bin/env bash
# The clients that applications already have, against a running server: OpenAI's for Python and Node,
# Ollama's, LangChain, schemathesis on the OpenAPI document, and lm-eval with a small model. Each in the version that
# is pinned here.
#   tests/clients/run.sh [PROGRAM]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
program=$(realpath "${1:-$here/../../build/release/malina}")
place=${MALINA_CLIENTS:-${XDG_CACHE_HOME:-$HOME/.cache}/malina/clients}

mkdir -p "$place"
if ! cmp -s "$here/requirements.txt" "$place/installed.txt"; then
  python3 -m venv --clear "$place/venv"
  "$place/venv/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
  cp "$here/requirements.txt" "$place/installed.txt"
fi
if command -v npm >/dev/null && ! cmp -s "$here/openai-node.version" "$place/installed-node.txt"; then
  (cd "$place" && npm install --silent --no-audit --no-fund "openai@$(cat "$here/openai-node.version")")
  cp "$here/openai-node.version" "$place/installed-node.txt"
fi
export MALINA_NODE_MODULES=$place/node_modules
MALINA_TEST_MODEL=$("$here/../../scripts/fetch_model.sh")
export MALINA_TEST_MODEL
failed=0
"$place/venv/bin/python" "$here/clients_test.py" "$program" || failed=1
"$place/venv/bin/python" "$here/lm_eval_test.py" "$program" || failed=1
exit $failed

#!/usr/bin/env bash
# Makes an environment of the libraries that others read label files with (about 800 MB, once), and runs the tests against them.
set -euo pipefail
cd "$(dirname "$0")/../.."
place=.venv-peers
if ! [ -f "$place/.ready" ] || [ tests/peers/requirements.txt -nt "$place/.ready" ]; then
  uv venv --quiet --clear --python "$(command -v python)" "$place"
  VIRTUAL_ENV="$PWD/$place" UV_COMPILE_BYTECODE=1 uv pip sync --quiet --require-hashes tests/peers/requirements.txt
  touch "$place/.ready"
fi
DATADISTILL_TEST_PEERS="$PWD/$place/bin/python" exec python -m pytest tests/peers "$@"

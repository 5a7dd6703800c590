#!/usr/bin/env bash
# make test-conda: the chain inside the project's conda environments. A conda on PATH is used as it is (it downloads gigabytes);
# without one, a stand-in solves the same files against a channel made of the project's own .venv. Then detectron2 0.6, the version of those
# environments. Leaves nothing behind.
set -euo pipefail
cd "$(dirname "$0")/../.."

folder=$(mktemp --directory)
trap 'rm -rf "$folder"' EXIT
if conda --version > /dev/null 2>&1; then
  echo "Using $(conda --version), with conda-forge"
  export DATADISTILL_TEST_CONDA=conda
else
  echo "No conda here: using the stand-in of tests/conda, with a local channel"
  export DATADISTILL_TEST_CONDA=stand-in
  # The solver goes into an environment of its own: the project needs it for nothing else.
  .venv/bin/python -m venv "$folder/solver"
  "$folder/solver/bin/python" -m pip install --quiet py-rattler==0.28.0 PyYAML==6.0.3
  "$folder/solver/bin/python" tests/conda/make_channel.py .venv/bin/python "$folder/channel"
  mkdir -p "$folder/conda/bin"
  cp tests/conda/activate "$folder/conda/bin/activate"
  { echo "#!$folder/solver/bin/python"; tail -n +2 tests/conda/stand_in.py; } > "$folder/conda/bin/conda"
  chmod +x "$folder/conda/bin/conda"
  export PATH="$folder/conda/bin:$PATH" STAND_IN_CHANNEL="$folder/channel"
fi
OMP_NUM_THREADS=1 .venv/bin/python -m pytest -p no:cacheprovider -p no:xdist --durations=0 "$@" tests/conda
mkdir "$folder/release"
tests/conda/detectron2_release.sh "$folder/release"

#!/usr/bin/env bash
# make test-cluster (exits 77 where Slurm is missing and can't be installed, or doesn't start): installs Slurm if there is none (Debian, root), runs the tests of this folder, and removes what it installed.
set -euo pipefail
cd "$(dirname "$0")/../.."
packages=(slurm-wlm munge)

before=""
if ! command -v slurmctld > /dev/null || ! command -v munged > /dev/null; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "make test-cluster: ${packages[*]} are missing, and only root on Debian can have them installed; install them and try again" >&2
    exit 77
  fi
  before=$(mktemp)
  dpkg-query --show --showformat='${Package}\n' | sort > "$before"
fi

clean_up() {
  tests/cluster/stop_slurm.sh "$cluster"
  if [ -n "$before" ]; then
    # Just what was not there before: apt-get's own autoremove would take other packages, too.
    after=$(dpkg-query --show --showformat='${Package}\n' | sort)
    mapfile -t added < <(comm -13 "$before" - <<< "$after")
    rm -f "$before"
    if (( ${#added[@]} )); then
      DEBIAN_FRONTEND=noninteractive apt-get purge --yes -qq "${added[@]}" > /dev/null
    fi
  fi
}
cluster=$(mktemp --directory)/slurm
trap clean_up EXIT

if [ -n "$before" ]; then
  echo "Installing ${packages[*]} ..."
  # Where no package can be had, that is known within a minute.
  quick=(-o Acquire::Retries=0 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20)
  if ! { apt-get "${quick[@]}" update -qq && DEBIAN_FRONTEND=noninteractive apt-get "${quick[@]}" install --yes -qq --no-install-recommends "${packages[@]}" > /dev/null; }; then
    echo "make test-cluster: ${packages[*]} could not be installed (see above); without them nothing was tested" >&2
    exit 77
  fi
fi

# A machine may have Slurm and not let it start (no devices, no ports): that is no failure of what is tested.
if ! tests/cluster/start_slurm.sh "$cluster"; then
  tail -n 5 "$cluster"/log/* >&2 || true
  echo "make test-cluster: Slurm does not start on this machine (see above); nothing was tested" >&2
  exit 77
fi
tests/cluster/stop_slurm.sh "$cluster"

export DATADISTILL_TEST_CLUSTER=$cluster OMP_NUM_THREADS=1
.venv/bin/python -m pytest -p no:cacheprovider -p no:xdist --durations=0 "$@" tests/cluster

"""Tests on a real Slurm: only for `make test-cluster`, which installs it. `make test` doesn't collect them."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("DATADISTILL_TEST_CLUSTER") else ["test_*.py"]

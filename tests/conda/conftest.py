"""Tests inside conda environments: only for `make test-conda`, which sets conda up. `make test` doesn't collect them."""

from __future__ import annotations

import os

collect_ignore_glob = [] if os.environ.get("DATADISTILL_TEST_CONDA") else ["test_*.py"]

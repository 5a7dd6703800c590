"""Collected only by `make test-peers`, which makes the libraries' own environment (they pin other versions than ours)."""

import os

collect_ignore_glob = [] if "DATADISTILL_TEST_PEERS" in os.environ else ["test_*.py"]

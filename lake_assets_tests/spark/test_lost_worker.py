"""A streaming query on workers that are lost: its result is right, and it tells that its metrics may not be."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.cluster
def test_lines_that_are_read_again_since_a_worker_is_lost_are_told(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lake_assets_tests.spark.lost_worker", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["words"] == 8
    # Spark adds what both attempts have observed: the fault that this is about.
    assert told["lines"] > 4
    assert not told["exact"]

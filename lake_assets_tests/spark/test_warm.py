"""A JVM that outlives sessions: nothing of one is seen by the next, and one of other memory is replaced."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.soak
def test_nothing_of_a_session_is_seen_by_the_next_one_in_the_same_jvm(tmp_path: Path) -> None:
    # In a process of its own: this one has the session of all tests.
    program = [sys.executable, "-m", "lake_assets_tests.spark.warm_sessions", str(tmp_path)]
    done = subprocess.run(program, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-6000:]
    said = json.loads((tmp_path / "said.json").read_text())
    first, second, third = (said.pop(f"{number} jvm") for number in ("first", "second", "third"))
    assert first == second != third
    assert said == {
        "captured": "said by the JVM",
        "clean": True,
        "settings": {
            "spark.sql.caseSensitive": None,
            "spark.leaks": None,
            "spark.sql.shuffle.partitions": "8",
            "spark.sql.session.timeZone": "UTC",
        },
        "hadoop": None,
        "tables": [],
        "views": [],
        "function": False,
        "counted": 5,
        "alive": False,
    }

"""A worker ends with its parent, also while it warms up, and nothing of its warm-up is left."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lake_assets.workers import messages
from lake_assets.workers.lifeline import Lifeline, remove_scratch, scratch
from lake_assets_tests.workers.conftest import Place, until


def test_the_last_action_is_done_when_the_parent_lets_go() -> None:
    read, written = os.pipe()
    first, second = threading.Event(), threading.Event()
    lifeline = Lifeline(read, first.set)
    lifeline.instead(second.set)
    os.close(written)
    assert second.wait(20)
    assert not first.is_set()


def test_an_action_that_comes_after_the_parents_end_is_done_at_once() -> None:
    read, written = os.pipe()
    first, second = threading.Event(), threading.Event()
    lifeline = Lifeline(read, first.set)
    os.close(written)
    assert first.wait(20)
    lifeline.instead(second.set)
    assert second.is_set()


def test_the_folder_of_a_warm_up_goes_with_it_or_once_its_process_is_dead(tmp_path: Path) -> None:
    (tmp_path / "killed.warm-up" / "lake").mkdir(parents=True)
    with scratch(tmp_path, "warming") as folder:
        (folder / "lines").mkdir()
        remove_scratch(tmp_path)
        assert [path.name for path in tmp_path.iterdir()] == ["warming.warm-up"]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_whose_process_was_killed_is_removed(tmp_path: Path) -> None:
    program = (
        "import os, signal; from pathlib import Path; from lake_assets.workers.lifeline import scratch\n"
        "with scratch(Path(os.getcwd()), 'killed'): os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=tmp_path).returncode == -9
    assert [path.name for path in tmp_path.iterdir()] == ["killed.warm-up"]
    remove_scratch(tmp_path)
    assert list(tmp_path.iterdir()) == []


def slow(place: Place) -> Path:
    """Let the code location load until it is killed, and return the file that appears when it does."""
    loading = place.folder / "loading"
    place.code.write_text(f"import pathlib, time\npathlib.Path({str(loading)!r}).touch()\ntime.sleep(600)\n")
    return loading


@pytest.mark.soak
def test_ctrl_c_ends_workers_that_warm_up_at_once(place: Place) -> None:
    loading = slow(place)
    place.start_workers()
    until("it loads", loading.exists)
    parent = place.parent
    (worker,) = parent.children()
    parent.terminate()
    parent.wait(20)
    assert not worker.is_running()
    assert messages.names(messages.folder_of(place.instance)) == []


def test_a_worker_that_warms_up_ends_when_its_parent_is_killed(place: Place) -> None:
    loading = slow(place)
    place.start_workers()
    until("it loads", loading.exists)
    (worker,) = place.parent.children()
    place.parent.kill()
    worker.wait(20)

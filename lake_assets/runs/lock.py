"""Which runs have a living process: told by locks that the kernel lets go of when it dies, even by kill -9.

Dagster's default launcher leaves the run of a killed process 'started' for ever. So every process that uses a run's
branch holds a shared ``flock`` on the run's file below Dagster's local folder. With the multiprocess executor each step
has a process of its own, and between two steps none lives: each writes down the run's own process, too.
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

_held: dict[Path, int] = {}
_mutex = threading.Lock()


def acquire_run_lock(instance: DagsterInstance, name: str) -> None:
    """Say until this process dies that the run (or rollback) of that name goes on.

    Where Dagster's local folder cannot be written there is no lock, and only Dagster tells.
    """
    path = _path(instance, name)
    with _mutex, suppress(OSError):
        if path in _held:
            return
        for other in list(_held):
            # A process may execute one run after the other.
            if _has_ended(instance, other.stem):
                os.close(_held.pop(other))
                other.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _take(path)
        holder = {"host": socket.gethostname(), **_run_worker(instance, name)}
        os.write(file, f"{json.dumps(holder)}\n".encode())
        _held[path] = file


def is_alive(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Return whether a run goes on: Dagster says so, and its process is not known to have died."""
    return not run.is_finished and is_held(instance, run.run_id) is not False


def is_held(instance: DagsterInstance, name: str) -> bool | None:
    """Return whether a process that holds that name lives; None where no process of this machine ever held it."""
    path = _path(instance, name)
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        holders = [json.loads(line) for line in os.pread(file, 1 << 20, 0).splitlines()]
    except (OSError, ValueError):
        return None
    finally:
        os.close(file)
    if not holders or any(holder["host"] != socket.gethostname() for holder in holders):
        return None
    return any(_lives(holder["pid"], holder["started"]) for holder in holders if "pid" in holder)


class Living(NamedTuple):
    """Ids of the runs that go on, and of those with the runs they were re-executed from."""

    going_on: frozenset[str]
    needed: frozenset[str]


def living(instance: DagsterInstance) -> Living:
    """Return the runs that go on: whoever looks for a run's branch may be one of them."""
    ended = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
    unfinished = instance.get_runs(RunsFilter(statuses=[status for status in DagsterRunStatus if status not in ended]))
    runs = [run for run in unfinished if is_alive(instance, run)]
    needed = {run.run_id for run in runs}
    for run in runs:
        parent = run.parent_run_id
        while parent is not None and parent not in needed:
            needed.add(parent)
            ancestor = instance.get_run_by_id(parent)
            parent = ancestor.parent_run_id if ancestor is not None else None
    return Living(frozenset(run.run_id for run in runs), frozenset(needed))


def forget_ended(instance: DagsterInstance) -> None:
    """Remove the locks that no process holds, of runs that have ended and of what Dagster knows nothing of."""
    for path in _path(instance, "any").parent.glob("*.lock"):
        if is_held(instance, path.stem) is not True and _has_ended(instance, path.stem):
            path.unlink(missing_ok=True)


def _path(instance: DagsterInstance, name: str) -> Path:
    return Path(instance.root_directory) / "run_locks" / f"{name}.lock"


def _has_ended(instance: DagsterInstance, name: str) -> bool:
    run = instance.get_run_by_id(name)
    return run is None or run.is_finished


def _take(path: Path) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        fcntl.flock(file, fcntl.LOCK_SH)
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file).st_ino:
                return file
        os.close(file)  # Removed between the two: a lock that nobody would see.


def _run_worker(instance: DagsterInstance, run_id: str) -> dict[str, float]:
    """Return the process that executes the run where this one executes a step for it, by Dagster's own word."""
    import psutil

    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        return {}
    # A code server is a parent, too, and outlives the runs it starts.
    for record in instance.get_records_for_run(run_id, of_type=DagsterEventType.ENGINE_EVENT).records:
        event = record.event_log_entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event is not None else None
        if pid is not None and str(pid.value) == str(parent.pid):
            with suppress(psutil.NoSuchProcess):
                return {"pid": parent.pid, "started": psutil.Process(parent.pid).create_time()}
    return {}


def _lives(pid: int, started: float) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

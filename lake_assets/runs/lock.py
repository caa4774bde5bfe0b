"""Finds out which runs have a live process, by file locks. The kernel releases them when the process dies.

With Dagster's default launcher, the run of a killed process stays 'started' for ever. So every process that uses a
run's branch holds a shared ``flock`` on the run's lock file in Dagster's local folder. With the multiprocess executor
each step has its own process, and between two steps there is none. So each process also writes the run's main process
into the lock file.
"""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import socket
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dagster import DagsterEventType, DagsterInstance, DagsterRun, DagsterRunStatus, RunsFilter

_held: dict[Path, int] = {}
_mutex = threading.Lock()


def acquire_run_lock(instance: DagsterInstance, name: str) -> None:
    """Mark a run, rollback or deletion as alive, until this process ends.

    If Dagster's local folder cannot be written, there is no lock, and only the run's status in Dagster counts.

    Parameters
    ----------
    instance
        The Dagster instance.
    name
        Id of the run, or name of the branch of a rollback or deletion.
    """
    path = _path(instance, name)
    with _mutex, suppress(OSError):
        if path in _held:
            return
        for other in list(_held):
            # A process may execute several runs, one after another.
            if _has_ended(instance, other.stem):
                os.close(_held.pop(other))
                other.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _open_locked(path)
        holder = {"host": socket.gethostname(), **_run_worker(instance, name)}
        os.write(file, f"{json.dumps(holder)}\n".encode())
        _held[path] = file


def release_run_lock(instance: DagsterInstance, name: str) -> None:
    """Release the lock of a run that has ended, where its process goes on. A lock that is not held is ignored.

    Parameters
    ----------
    instance
        The Dagster instance.
    name
        Id of the run.
    """
    path = _path(instance, name)
    with _mutex, suppress(OSError):
        if (file := _held.pop(path, None)) is not None:
            path.unlink(missing_ok=True)
            os.close(file)


def is_alive(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Return whether a run is alive: Dagster says that it is not finished, and its process is not known to be dead.

    Parameters
    ----------
    instance
        The Dagster instance.
    run
        The run.
    """
    return not run.is_finished and is_held(instance, run.run_id) is not False


def is_held(instance: DagsterInstance, name: str) -> bool | None:
    """Return whether a live process holds the lock; None if it cannot be known.

    That is so if no process of this machine ever held the lock.

    Parameters
    ----------
    instance
        The Dagster instance.
    name
        Id of the run, or name of the branch of a rollback or deletion.
    """
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
    return any(_is_running(holder["pid"], holder["started"]) for holder in holders if "pid" in holder)


def unfinished_runs(instance: DagsterInstance) -> Sequence[DagsterRun]:
    """Return the runs that Dagster has not seen end. Their processes may be dead.

    Parameters
    ----------
    instance
        The Dagster instance.
    """
    ended = (DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED)
    return instance.get_runs(RunsFilter(statuses=[status for status in DagsterRunStatus if status not in ended]))


def in_flight(instance: DagsterInstance, pool: str) -> str | None:
    """Return an unfinished run that uses a pool, or None.

    A run whose process was killed is reported to Dagster as failed. Otherwise it would occupy the pool for ever.

    Parameters
    ----------
    instance
        The Dagster instance.
    pool
        Name of the pool.
    """
    found: str | None = None
    for run in unfinished_runs(instance):
        pools = run.run_op_concurrency.all_pools if run.run_op_concurrency is not None else None
        if pool not in (pools or ()):
            continue
        if is_alive(instance, run):
            found = run.run_id
        else:
            instance.report_run_failed(run, "Its process was killed: the sensor found that none holds its lock.")
    return found


class LiveRuns(NamedTuple):
    """Ids of the live runs, and ids of the live runs and their ancestors.

    Parameters
    ----------
    alive
        The live runs.
    needed
        The live runs, and the runs that they were re-executed from. Their branches may be in use.
    """

    alive: frozenset[str]
    needed: frozenset[str]


def live_runs(instance: DagsterInstance) -> LiveRuns:
    """Return the runs that are alive.

    Parameters
    ----------
    instance
        The Dagster instance.
    """
    runs = [run for run in unfinished_runs(instance) if is_alive(instance, run)]
    needed = {run.run_id for run in runs}
    for run in runs:
        parent = run.parent_run_id
        while parent is not None and parent not in needed:
            needed.add(parent)
            ancestor = instance.get_run_by_id(parent)
            parent = ancestor.parent_run_id if ancestor is not None else None
    return LiveRuns(frozenset(run.run_id for run in runs), frozenset(needed))


def remove_stale_locks(instance: DagsterInstance) -> None:
    """Remove the lock files that no process holds, of finished runs and of runs that Dagster does not know.

    Parameters
    ----------
    instance
        The Dagster instance.
    """
    for path in _path(instance, "any").parent.glob("*.lock"):
        if is_held(instance, path.stem) is not True and _has_ended(instance, path.stem):
            path.unlink(missing_ok=True)


def _path(instance: DagsterInstance, name: str) -> Path:
    return Path(instance.root_directory) / "run_locks" / f"{name}.lock"


def _has_ended(instance: DagsterInstance, name: str) -> bool:
    run = instance.get_run_by_id(name)
    return run is None or run.is_finished


def _open_locked(path: Path) -> int:
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
        fcntl.flock(file, fcntl.LOCK_SH)
        with suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file).st_ino:
                return file
        os.close(file)  # The file was removed between open and lock, so nobody would see this lock.


def _run_worker(instance: DagsterInstance, run_id: str) -> dict[str, float]:
    """Return the run's main process, if this process executes one step of the run. Dagster's event log names it."""
    import psutil

    parent = multiprocessing.parent_process()
    if parent is None or parent.pid is None:
        return {}
    # The parent may also be a code server, which outlives the runs that it starts.
    for record in instance.get_records_for_run(run_id, of_type=DagsterEventType.ENGINE_EVENT).records:
        event = record.event_log_entry.dagster_event
        pid = event.engine_event_data.metadata.get("pid") if event is not None else None
        if pid is not None and str(pid.value) == str(parent.pid):
            with suppress(psutil.NoSuchProcess):
                return {"pid": parent.pid, "started": psutil.Process(parent.pid).create_time()}
    return {}


def _is_running(pid: int, started: float) -> bool:
    import psutil

    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False

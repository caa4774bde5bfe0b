"""The `dagster` command, which kills itself (-9) at one point of its code, or one of its executors on a cluster.

``python killed_at.py MODULE:NAME CALL before|after alone|group …`` dies at the CALL-th
call of that function, before it or once it has returned: alone, or with its whole process group (Spark's JVM).
With ``executor-N`` instead it goes on, and an executor dies while the N-th of Spark's next stages runs.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from functools import wraps
from importlib import import_module
from itertools import count
from typing import Any


def arm(place: str, call: int, when: str, whom: str) -> None:
    module, _, name = place.partition(":")
    owner: Any = import_module(module)
    *owners, attribute = name.split(".")
    for part in owners:
        owner = getattr(owner, part)
    original = getattr(owner, attribute)
    calls = count(1)

    @wraps(original)
    def deadly(*args: Any, **kwargs: Any) -> Any:
        now = next(calls) == call
        if now and when == "before":
            die(whom)
        result = original(*args, **kwargs)
        if now:
            die(whom)
        return result

    setattr(owner, attribute, deadly)


def die(whom: str) -> None:
    if whom.startswith("executor-"):
        threading.Thread(target=kill_executor, args=[int(whom.rpartition("-")[2])], daemon=True).start()
        return
    if whom == "group":
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def kill_executor(wanted: int) -> None:
    """Kill an executor of this application as soon as so many stages have begun from now on, and say so."""
    import psutil
    from pyspark import SparkContext

    context: Any = SparkContext._active_spark_context  # pyright: ignore[reportPrivateUsage]
    tracker, seen = context.statusTracker(), set[int]()
    end = time.monotonic() + 120
    while time.monotonic() < end:
        active = {stage for stage in tracker.getActiveStageIds() if tracker.getStageInfo(stage).numActiveTasks}
        seen |= active
        if len(seen) >= wanted and active:
            break
        time.sleep(0.002)
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "org.apache.spark.executor.CoarseGrainedExecutorBackend" in command and context.applicationId in command:
            process.kill()
            print(f"killed an executor in stage {len(seen)}", file=sys.stderr, flush=True)
            return


if __name__ == "__main__":
    place, call, when, whom, *arguments = sys.argv[1:]
    arm(place, int(call), when, whom)
    sys.argv = ["dagster", *arguments]
    from dagster._cli import main

    main()

"""The `dagster` command, which kills itself (-9) at one point of its code.

``python killed_at.py MODULE:NAME CALL before|after alone|group …`` dies at the CALL-th
call of that function, before it or once it has returned: alone, or with its whole process group (Spark's JVM).
"""

from __future__ import annotations

import os
import signal
import sys
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
    if whom == "group":
        os.killpg(0, signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    place, call, when, whom, *arguments = sys.argv[1:]
    arm(place, int(call), when, whom)
    sys.argv = ["dagster", *arguments]
    from dagster._cli import main

    main()

"""Spark's errors as one line with cause and remedy, before Spark's own traceback of hundreds of lines."""

from __future__ import annotations

import re
import sys
from collections.abc import Generator
from contextlib import contextmanager

REMEDIES = (
    (
        r"AccessDenied|Access Denied|Status Code: 40[13]|Forbidden",
        "the store denied access: check Spark's credentials and their permissions",
    ),
    (r"NoSuchBucket|Status Code: 404", "not found: check the bucket and the path"),
    (
        r"UnknownHost|Connection refused|ConnectException|ConnectTimeout",
        "check that the server is running, and its address",
    ),
    (r"ClassNotFoundException|NoClassDefFoundError", "a connector is missing in Spark's jars: see SPARK_JARS"),
    (r"OutOfMemoryError|GC overhead limit", "give Spark more memory: see SPARK_DRIVER_MEMORY"),
    (r"No space left on device", "free some space where Spark keeps its temporary files (SPARK_LOCAL_DIRS)"),
)
"""Pattern of a Java error to its remedy."""

_MISSING = re.compile(r"^ModuleNotFoundError: No module named '([^']+)'", re.MULTILINE)
_WORKER = re.compile(r"\(TID \d+\) \((\S+) executor [^)]+\)")
_PACKAGES = re.compile(r"\b(?:[a-z]\w*\.){2,}(?=[A-Z])")
_LONGEST = 500


class EngineError(Exception):
    """An operation of Spark failed. Spark's own error is the cause of this one."""


@contextmanager
def spark_errors() -> Generator[None]:
    """Translate Spark's errors from Java to :class:`EngineError`."""
    try:
        yield
    except Exception as error:
        if not is_spark_error(error):
            raise
        # Spark's error of a worker's Python names no worker, and the error that it was made of does.
        raise EngineError(describe(str(error), f"{error}\n{error.__context__ or ''}")) from error


def log_errors_once() -> None:
    """Keep PySpark from logging what it raises as well: with the whole stack of Java, as one line of JSON."""
    from pyspark.logger import PySparkLogger

    for name in ("SQLQueryContextLogger", "DataFrameQueryContextLogger"):
        PySparkLogger.getLogger(name).disabled = True


def is_spark_error(error: Exception) -> bool:
    """Tell whether an error came from Java. This imports nothing."""
    py4j, captured = sys.modules.get("py4j.protocol"), sys.modules.get("pyspark.errors.exceptions.captured")
    kinds = [py4j.Py4JJavaError] if py4j is not None else []
    return isinstance(error, (*kinds, *([captured.CapturedException] if captured is not None else [])))


def describe(trace: str, whole: str = "") -> str:
    """Return the cause in a Java stack trace, and its remedy, as one line.

    Parameters
    ----------
    trace
        The stack trace.
    whole
        A text that names the worker, if it is not the trace.
    """
    causes = _causes(trace)
    if (missing := _MISSING.search(trace)) is not None:
        found = _WORKER.search(whole or trace)
        worker = f"the worker {found[1]}" if found else "a worker"
        return (
            f"Spark: {worker} has no Python package {missing[1].partition('.')[0]!r}: install it there for the Python "
            "of spark.pyspark.python"
        )
    for pattern, remedy in REMEDIES:
        known = next((cause for cause in causes if re.search(pattern, cause)), None)
        if known is not None:
            return f"Spark: {_short(known)}; {remedy}"
    return f"Spark: {_short(causes[-1])}"


def _causes(trace: str) -> list[str]:
    """Return the message of each error in a stack trace, without the frames, from the outermost to the innermost."""
    trace = re.sub(r"^An error occurred while calling [^\n]*\n: ", "", trace)
    parts = re.split(r"^Caused by: |^JVM stacktrace:\n", trace, flags=re.MULTILINE)
    texts = [re.split(r"^\s+at |^\s+\.\.\. ", part, maxsplit=1, flags=re.MULTILINE)[0].strip() for part in parts]
    return [_of_python(text) for text in texts if text] or [trace]


def _of_python(text: str) -> str:
    """Return the last line of a Python worker's traceback, or the whole text if it has no traceback."""
    return text.splitlines()[-1] if "Traceback (most recent call last)" in text else text


def _short(text: str) -> str:
    line = " ".join(_PACKAGES.sub("", text).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"

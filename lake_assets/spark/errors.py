"""Spark's errors as one line with cause and remedy; its trace, of hundreds of lines, stands below it."""

from __future__ import annotations

import re
import sys
from collections.abc import Generator
from contextlib import contextmanager

REMEDIES = (
    (
        r"AccessDenied|Access Denied|Status Code: 40[13]|Forbidden",
        "the store refused it: see the credentials that Spark was given, and what they may read and write",
    ),
    (r"NoSuchBucket|Status Code: 404", "it is not there: see the bucket and the path"),
    (r"UnknownHost|Connection refused|ConnectException|ConnectTimeout", "see whether the server runs, and its address"),
    (r"ClassNotFoundException|NoClassDefFoundError", "a connector is not among Spark's jars: see SPARK_JARS"),
    (r"OutOfMemoryError|GC overhead limit", "give Spark more memory: see SPARK_DRIVER_MEMORY"),
    (r"No space left on device", "free some space where Spark keeps its temporary files (SPARK_LOCAL_DIRS)"),
)
"""What an error of Java's says, and what to do about it."""

_PACKAGES = re.compile(r"\b(?:[a-z]\w*\.){2,}(?=[A-Z])")
_LONGEST = 500


class EngineError(Exception):
    """Spark could not do something; its own error is the cause of this one."""


@contextmanager
def spark_errors() -> Generator[None]:
    """Raise Spark's errors that come with a trace of Java's as :class:`EngineError`."""
    try:
        yield
    except Exception as error:
        if not is_spark_error(error):
            raise
        raise EngineError(describe(str(error))) from error


def is_spark_error(error: Exception) -> bool:
    """Return whether an error came from Java; asking loads nothing."""
    py4j, captured = sys.modules.get("py4j.protocol"), sys.modules.get("pyspark.errors.exceptions.captured")
    kinds = [py4j.Py4JJavaError] if py4j is not None else []
    return isinstance(error, (*kinds, *([captured.CapturedException] if captured is not None else [])))


def describe(trace: str) -> str:
    """Return the cause that a trace of Java's names, and what to do about it, as one line."""
    causes = _causes(trace)
    for pattern, remedy in REMEDIES:
        told = next((cause for cause in causes if re.search(pattern, cause)), None)
        if told is not None:
            return f"Spark: {_short(told)}; {remedy}"
    return f"Spark: {_short(causes[-1])}"


def _causes(trace: str) -> list[str]:
    """Return what a trace says of each error, without the frames, from the outermost to the innermost."""
    trace = re.sub(r"^An error occurred while calling [^\n]*\n: ", "", trace)
    parts = re.split(r"^Caused by: |^JVM stacktrace:\n", trace, flags=re.MULTILINE)
    said = [re.split(r"^\s+at |^\s+\.\.\. ", part, maxsplit=1, flags=re.MULTILINE)[0].strip() for part in parts]
    return [_of_python(text) for text in said if text] or [trace]


def _of_python(text: str) -> str:
    """Return the last line of a traceback of a Python worker's, else the text."""
    return text.splitlines()[-1] if "Traceback (most recent call last)" in text else text


def _short(text: str) -> str:
    line = " ".join(_PACKAGES.sub("", text).split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"

"""The warm-up of a worker of lake_assets' own code location: the job `words`, on a lake that is thrown away."""

from __future__ import annotations

import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

_RUNS = 3
"""Runs after the first take the ways of a lake and a checkpoint that are there already, and compile more of the JVM."""


def count_words(folder: Path) -> None:
    """Run the job `words` on a lake in a folder.

    Parameters
    ----------
    folder
        An empty folder.
    """
    from dagster import DagsterInstance

    with _settings(_scratch(folder)):
        from lake_assets import definitions, environments

        job = definitions.definitions(environments.resources()).resolve_job_def("words")
        quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
        with DagsterInstance.ephemeral() as instance:
            for number in range(_RUNS):
                (folder / "lines" / f"{number}.txt").write_text("one line of words\n")
                job.execute_in_process(run_config=quiet, instance=instance)


def _scratch(folder: Path) -> dict[str, str]:
    (folder / "lines").mkdir()
    # An empty variable counts as not set.
    return {
        "LAKE_ENV": "embedded",
        "LAKE_HOME": str(folder / "lake"),
        "LAKE_BRANCH": "",
        "STREAM_HOME": "",
        "WORDS_SOURCE": str(folder / "lines"),
        "WORDS_SINK": "",
    }


@contextmanager
def _settings(values: Mapping[str, str]) -> Generator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)

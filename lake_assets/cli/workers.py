"""The command `workers`."""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from lake_assets.cli.code_location import module_name
from lake_assets.cli.dagster_instance import open_instance
from lake_assets.cli.output import note
from lake_assets.settings import WorkerSettings

_SIGNALS = {signal.SIGTERM, signal.SIGINT}


def workers(
    number: Annotated[
        int | None, typer.Option(metavar="N", min=0, max=64, help="How many. Default: LAKE_WORKERS.")
    ] = None,
) -> None:
    """Keep warm workers, which execute Dagster's runs without the seconds that Python and Spark need to start.

    `dagster.yaml` names the launcher that asks them. Stopped by Ctrl-C or SIGTERM: runs that go on are finished before;
    a second one ends them, too.
    """
    from lake_assets.workers.parent import Workers

    wanted = WorkerSettings.read().number if number is None else number
    # Threads that are started later inherit this, so that this thread alone takes the signals.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    with open_instance() as instance:
        kept = Workers(instance, _command, wanted, note)
        kept.start()
        note(f"{wanted} warm worker(s) for {module_name()}")
        signal.sigwait(_SIGNALS)
        kept.stop()
        note("Stopping. Runs that go on are finished.")
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        try:
            kept.join()
        except KeyboardInterrupt:
            kept.kill()
            kept.join()


def _command(name: str) -> Sequence[str]:
    return [sys.executable, "-m", "lake_assets.cli.worker_process", module_name(), name]

"""The command `shell`."""

from __future__ import annotations

import sys
from contextlib import ExitStack, closing
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lake_assets.cli.code_location import find_nosql, open_lake, spark_resource
from lake_assets.cli.terminal import KEPT, unprotect
from lake_assets.lake.contract import MAIN
from lake_assets.text.printable import printable

if TYPE_CHECKING:
    from lake_assets.resources.spark import SparkResource


class LazySpark:
    """A Spark session that starts when it is first used.

    Parameters
    ----------
    resource
        What starts it.
    """

    def __init__(self, resource: SparkResource) -> None:
        self._resource = resource
        self._started = False

    def __getattr__(self, name: str) -> Any:
        # Python itself and completion look up many of these names.
        if name.startswith("__"):
            raise AttributeError(name)
        self._started = True
        return getattr(self._resource.session, name)

    def __repr__(self) -> str:
        return repr(self._resource.session) if self._started else "<a Spark session that starts when it is first used>"

    def stop(self) -> None:
        """Stop the session, if it was started."""
        if self._started:
            from lake_assets.spark.stopping import stop

            stop(self._resource.session)


def shell() -> None:
    """Open a Python prompt with the lake, the tables and a Spark session ready.

    Uses IPython if it is installed, otherwise Python's own prompt. The Spark session starts when it is first used.
    """
    with ExitStack() as opened:
        lake = opened.enter_context(closing(open_lake()))
        names: dict[str, Any] = {"lake": lake}
        lines = [
            f"lake    {lake.repository}, {MAIN} at {lake.head(MAIN).id[:12]}",
            '            list(lake.list("main")), next(lake.log("main")), lake.path("main", "FOLDER").root',
        ]
        store = find_nosql()
        if store is not None:
            names["tables"] = opened.enter_context(closing(store))
            lines += [
                f"tables  {', '.join(store.tables()) or 'no table yet'}",
                '            tables.get("TABLE", "KEY"), tables.schema("TABLE")',
            ]
        names["spark"] = spark = LazySpark(spark_resource())
        opened.callback(spark.stop)
        lines += [
            "spark   a Spark session; it starts when it is first used",
            '            spark.read.parquet(lake.path("main", "FOLDER").uri)',
        ]
        _prompt(names, "\n".join(lines))


def _prompt(names: dict[str, Any], banner: str) -> None:
    banner = printable(banner, KEPT)
    unprotect()
    if not sys.stdin.isatty() or find_spec("IPython") is None:
        # IPython would colour and number what it prints into a pipe.
        import code

        _complete_names(names)
        code.interact(banner=banner, local=names, exitmsg="")
        return
    import IPython

    print(banner)
    IPython.start_ipython(argv=["--no-banner"], user_ns=names)


def _complete_names(names: dict[str, Any]) -> None:
    """Complete names with Tab, if Python was built with readline."""
    if not sys.stdin.isatty():
        return
    try:
        import readline
    except ImportError:
        return
    import rlcompleter

    readline.set_completer(rlcompleter.Completer(names).complete)
    readline.parse_and_bind("tab: complete")

"""The prompt of `lake-assets sql`: a query ends with a semicolon, and names are completed."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_assets.cli.errors import describe
from lake_assets.sql.errors import SqlError
from lake_assets.text.printable import printable

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

    from lake_assets.sql.catalog import LakeCatalog
    from lake_assets.sql.engine import Result

HISTORY = ".lake_assets_sql_history"
"""Name of the file of earlier queries, in the home folder."""

KEYWORDS = """
    SELECT FROM WHERE GROUP BY HAVING ORDER LIMIT JOIN LEFT FULL USING ON AT VERSION TIMESTAMP AS AND OR NOT IN LIKE
    BETWEEN IS NULL CASE WHEN THEN ELSE END DISTINCT UNION ALL EXCEPT INTERSECT WITH OVER PARTITION QUALIFY VALUES
    DESCRIBE SUMMARIZE count sum avg min max changes
"""
_HELP = "A query ends with ; and may have several lines. \\d lists assets and tables, \\d NAME columns, \\q ends."


@dataclass
class Names:
    """What can be completed at a place in a query.

    Parameters
    ----------
    catalog
        The assets and tables.
    """

    catalog: LakeCatalog
    _columns: dict[str, Sequence[str]] = field(default_factory=dict[str, Sequence[str]])

    def after(self, text: str) -> Iterator[tuple[str, int]]:
        """Yield words that may follow a text, each with the number of characters that it replaces.

        Parameters
        ----------
        text
            The query up to the cursor.
        """
        if (quoted := re.search(r"'([^']*)$", text)) and text.count("'") % 2:
            yield from self._matching(self._refs(), quoted[1])
            return
        word = re.search(r"[\w.]*$", text)
        begun = word[0] if word else ""
        if re.search(r"(?i)\b(from|join|describe|summarize|\\d)\s+[\w.]*$", text):
            yield from self._matching(self.catalog.names(), begun)
        elif begun:
            begun = begun.rpartition(".")[2]
            yield from self._matching([*self._columns_in(text), *self.catalog.names(), *KEYWORDS.split()], begun)

    def _matching(self, words: Sequence[str], begun: str) -> Iterator[tuple[str, int]]:
        for word in dict.fromkeys(words):
            if word.lower().startswith(begun.lower()):
                yield word, len(begun)

    def _refs(self) -> Sequence[str]:
        return [*self.catalog.lake.branches(), *self.catalog.lake.tags(), *self.catalog.names()]

    def _columns_in(self, text: str) -> Iterator[str]:
        """Yield the columns of the assets that a text names."""
        for name in self.catalog.names():
            if re.search(rf"(?i)(?<![\w.]){re.escape(name)}(?![\w.])", text):
                yield from self.columns(name)

    def columns(self, name: str) -> Sequence[str]:
        """Return the columns of an asset or table; none if it has no rows.

        Parameters
        ----------
        name
            Its name.
        """
        if name not in self._columns:
            self._columns[name] = ()
            with suppress(SqlError):
                self._columns[name] = self.catalog.columns(name.split("."))
        return self._columns[name]


def prompt(
    catalog: LakeCatalog,
    run: Callable[[str, LakeCatalog], AbstractContextManager[Result]],
    show: Callable[[Result], None],
) -> None:
    """Ask for queries and print their rows, until the end of the input.

    Parameters
    ----------
    catalog
        What they read.
    run
        Runs a query.
    show
        Prints its rows.
    """
    session = _session(Names(catalog))
    print(_HELP)
    while True:
        try:
            text = session.prompt().strip().rstrip(";").strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text.lower() in ("\\q", "exit", "quit"):
            return
        try:
            if text.startswith("\\d"):
                _describe(text[2:].strip(), catalog.now())
            elif text:
                with run(text, catalog.now()) as result:
                    show(result)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
        except Exception as error:  # noqa: BLE001 - the prompt goes on
            print(printable(describe(error)), file=sys.stderr)


def _describe(name: str, catalog: LakeCatalog) -> None:
    for line in catalog.columns(name.split(".")) if name else catalog.names():
        print(printable(line))


def _session(names: Names) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.history import FileHistory

    class FromCatalog(Completer):
        """Completes what the catalog names."""

        def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterator[Completion]:
            """Yield the completions at the cursor."""
            del complete_event
            with suppress(Exception):  # A lake that does not answer takes no prompt away.
                for word, replaced in names.after(document.text_before_cursor):
                    yield Completion(word, start_position=-replaced)

    def goes_on() -> bool:
        text = asking.default_buffer.text.strip()
        return (
            bool(text) and not text.endswith(";") and not text.startswith("\\") and text.lower() not in ("exit", "quit")
        )

    def continuation(width: int, *_: Any) -> str:
        return "...".rjust(width - 1) + " "

    file = Path.home() / HISTORY
    file.touch(mode=0o600)
    asking: PromptSession[str] = PromptSession(
        "sql> ",
        history=FileHistory(file),
        completer=FromCatalog(),
        complete_while_typing=False,
        multiline=Condition(goes_on),
        prompt_continuation=continuation,
    )
    return asking

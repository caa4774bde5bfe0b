"""SQL in a notebook or in IPython: ``%load_ext lake_assets.notebook`` gives ``%sql`` and ``%%sql``."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, line_cell_magic, magics_class, no_var_expand

from lake_assets.cli.code_location import choose
from lake_assets.cli.errors import describe
from lake_assets.cli.sql import open_catalog, refuse_old_python
from lake_assets.lake.contract import MAIN

if TYPE_CHECKING:
    import pandas
    from IPython.core.interactiveshell import InteractiveShell

_OPTIONS = re.compile(r"\s*(?:--ref(?:\s+|=)(?P<ref>\S+)\s*)?(?:(?P<name>[^\W\d]\w*)\s*<<)?")


@magics_class
class SqlMagics(Magics):
    """The magic ``sql``, on the lake and the tables of the code location in force."""

    @no_var_expand
    @line_cell_magic
    def sql(self, line: str, cell: str = "") -> pandas.DataFrame | None:
        """Query assets and tables: ``%sql [--ref REF] [NAME <<] QUERY``, or ``%%sql …`` with the query below.

        Parameters
        ----------
        line
            The options and the query. ``NAME <<`` keeps the rows as a frame of this name. ``$name`` in a query is the
            value of a variable.
        cell
            The query's further lines.
        """
        options, shell = _OPTIONS.match(line), self.shell
        assert options is not None
        assert shell is not None
        text = f"{line[options.end() :]}\n{cell}".strip()
        try:
            frame = _frame(text, options["ref"] or MAIN, shell.user_ns)
        except Exception as error:
            raise UsageError(describe(error)) from error
        if options["name"]:
            shell.user_ns[options["name"]] = frame
            return None
        return frame


def _frame(text: str, ref: str, variables: dict[str, Any]) -> pandas.DataFrame:
    import pyarrow

    refuse_old_python()
    from lake_assets.sql.engine import run_query

    with open_catalog(ref) as catalog, run_query(text, catalog, parameters=variables, exact=True) as result:
        rows = pyarrow.Table.from_batches(list(result), result.schema)
        return rows.rename_columns(list(result.unique_names)).to_pandas()


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics; IPython calls this. LAKE_ASSETS_MODULE names the code location, as for the command line.

    Parameters
    ----------
    shell
        The notebook's shell.
    """
    choose(os.environ.get("LAKE_ASSETS_MODULE", ""))
    shell.register_magics(SqlMagics)

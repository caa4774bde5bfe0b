"""What may be asked for besides a profile, and the tables that answer it. Of personal columns there are only counts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from lake_assets.quality.asked import crosstab, group_counts, key_skew, repeated_keys, spearman
from lake_assets.quality.lake_profiles import rows_at
from lake_assets.quality.profile import Profile

if TYPE_CHECKING:
    import pandas
    import pyarrow

    from lake_assets.lake.contract import Lake

_GROUPS, _CROSSED = 20, 12


@dataclass(frozen=True, slots=True)
class Asked:
    """What is shown besides the profile. It takes a pass of its own.

    Parameters
    ----------
    groups
        Columns whose groups are counted, each a list of names.
    crosstabs
        Pairs of columns.
    keys
        Columns that a key consists of, each a list of names: the keys that are repeated, and the skew of their rows.
    spearman
        Columns of numbers whose ranks are correlated.
    """

    groups: Sequence[Sequence[str]] = ()
    crosstabs: Sequence[tuple[str, str]] = ()
    keys: Sequence[Sequence[str]] = ()
    spearman: Sequence[str] = ()

    @property
    def columns(self) -> Collection[str]:
        """The columns that are read."""
        return dict.fromkeys(chain(*self.groups, *self.crosstabs, *self.keys, self.spearman))


@dataclass(frozen=True, slots=True)
class Answer:
    """A table that answers something that was asked for.

    Parameters
    ----------
    title
        What it is of.
    rows
        The table.
    note
        What is to be said besides.
    """

    title: str
    rows: pandas.DataFrame
    note: str = ""

    @property
    def records(self) -> list[dict[str, Any]]:
        """The rows as values of Python, by the names of the columns."""
        import pyarrow as pa

        return pa.Table.from_pandas(self.rows, preserve_index=False).to_pylist()


def answers_at(lake: Lake, ref: str, prefix: str, known: Profile, asked: Asked) -> list[Answer]:
    """Return the answers for the rows of a folder or file. The columns that they are about are held in memory.

    Parameters
    ----------
    lake, ref, prefix
        The place.
    known
        The profile of the rows.
    asked
        What is asked for.

    Raises
    ------
    ValueError
        There is no such column.
    """
    if not asked.columns:
        return []
    hidden = {one.name for one in known.columns.values() if one.personal}
    return list(_answers(rows_at(lake, ref, prefix, asked.columns), asked, hidden))


def _answers(rows: pyarrow.Table, asked: Asked, hidden: Collection[str]) -> Iterator[Answer]:
    for names in asked.groups:
        if not set(hidden).intersection(names):
            yield Answer(f"rows by {', '.join(names)}", group_counts(rows, names, _GROUPS))
    for down, across in asked.crosstabs:
        if not set(hidden).intersection((down, across)):
            table = crosstab(rows, down, across)
            table = table.loc[table.sum(axis=1).nlargest(_CROSSED).index, table.sum().nlargest(_CROSSED).index]
            yield Answer(f"{down} by {across}", table.reset_index())
    for names in asked.keys:
        yield _key(rows, names, hidden)
    numbers = [name for name in asked.spearman if name not in hidden]
    if numbers:
        yield Answer("correlation (Spearman)", spearman(rows, numbers).reset_index(names=""))


def _key(rows: pyarrow.Table, names: Sequence[str], hidden: Collection[str]) -> Answer:
    import pandas as pd

    found, skew = repeated_keys(rows, names), key_skew(rows, names)
    note = f"{found.keys:,} key(s) are repeated, by {found.rows:,} row(s)" if found.keys else "no key is repeated"
    if skew is not None:
        note += f"; the most frequent has {skew:.2f} × the rows of the median"
    shown = [] if set(hidden).intersection(names) else found.examples
    return Answer(f"key {', '.join(names)}", pd.DataFrame([dict(one) for one in shown]), note)

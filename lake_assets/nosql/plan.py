"""What a write is asked to do, checked against what its table is at that moment: the same on every store."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lake_assets.nosql.choice import Choice
from lake_assets.nosql.encoding import frame_schema, is_spark, write_frame
from lake_assets.nosql.errors import SchemaMismatch, StaleWrite, TableExists
from lake_assets.nosql.options import Options, SaveMode, refuse_incomparable
from lake_assets.nosql.running_numbers import NUMBER, next_number, numbered
from lake_assets.nosql.table_schema import (
    TableRecord,
    check_comparable,
    check_counters,
    check_mode,
    check_name,
    check_ttl,
    differences,
    fit,
    incoming_schema,
)

if TYPE_CHECKING:
    from lake_assets.nosql.encoding import Frame


@dataclass(frozen=True, slots=True)
class Target:
    """What a table is after a write.

    Parameters
    ----------
    schema
        Its columns, key columns first.
    key
        Names of the key columns.
    spread, ttl
        As of :class:`~lake_assets.nosql.options.Options`.
    numbers
        The first running number that the write gives. None if the rows have a key.
    """

    schema: pa.Schema
    key: tuple[str, ...]
    spread: int = 1
    ttl: str | None = None
    numbers: int | None = None

    def record(self, source_commit: str | None) -> TableRecord:
        """Return the table's description.

        Parameters
        ----------
        source_commit
            The commit that it reflects.
        """
        return TableRecord.of(
            self.schema, self.key, source_commit, spread=self.spread, ttl=self.ttl, numbers=self.numbers
        )

    @classmethod
    def of(cls, record: TableRecord) -> Target:
        """Return what a table is.

        Parameters
        ----------
        record
            Its description.
        """
        return cls(record.arrow_schema, record.key, record.spread, record.ttl, record.numbers)


class Plan:
    """A write.

    Parameters
    ----------
    where
        Name of the store, for errors.
    table
        Name of the table.
    items, key, mode, newest_by, delete, allow_overwrite_schema, source_commit, expected_commit, check_expected
        As of :meth:`NoSQLStore.write`.
    options
        As of :meth:`NoSQLStore.write`.

    Raises
    ------
    NoSQLError
        The write is refused whatever the table is.
    """

    def __init__(
        self,
        where: str,
        table: str,
        items: Frame,
        *,
        key: Sequence[str],
        mode: SaveMode,
        newest_by: Sequence[str],
        delete: Frame | None,
        allow_overwrite_schema: bool,
        source_commit: str | None,
        expected_commit: str | None,
        check_expected: bool,
        options: Options | None,
    ) -> None:
        check_name(table)
        check_mode(table, mode)
        self.options = options or Options()
        self.options.check(table, source_commit)
        self.table, self.source_commit = table, source_commit
        self.mode: SaveMode = mode
        self._where = where
        self._items, self._key = _with_index(items, tuple(key))
        self._newest_by, self._delete = newest_by, delete
        self._allow = allow_overwrite_schema
        self._expected, self._check_expected = expected_commit, check_expected
        self._partial = self.options.update == "columns"
        self._frame = frame_schema(self._items)

    def settle(self, record: TableRecord | None, reflects: str | None) -> Target | None:
        """Return what the table is to be after the write. None if there is nothing to do.

        Parameters
        ----------
        record
            The table's description. None if there is no table.
        reflects
            The commit that it reflects.

        Raises
        ------
        NoSQLError
            The write does not fit the table.
        """
        table, options = self.table, self.options
        if self._check_expected and reflects != self._expected:
            raise StaleWrite(
                f"{self._where}: table {table!r} reflects commit {reflects}, not {self._expected}: "
                "compute the write again"
            )
        if record is not None and self.mode == "errorifexists":
            raise TableExists(f"{self._where}: table {table!r} exists already")
        if record is not None and self.mode == "ignore":
            return None
        had = None if self.mode == "overwrite" else record
        key, numbers = self._key_of(had)
        if numbers is not None and self.source_commit is not None:
            raise SchemaMismatch(f"table {table!r} is fed from the lake and has no key: name its key columns")
        schema = fit(
            table,
            record,
            self._columns(numbers),
            key=key,
            mode=self.mode,
            allow_overwrite_schema=self._allow,
            partial=self._partial,
        )
        for name in self._newest_by:
            check_comparable(table, schema, name)
            if self._partial and name not in key and name not in self._frame.names:
                raise SchemaMismatch(f"table {table!r}: newest_by names {name!r}, which the frame lacks")
        check_counters(table, schema, key, options.counter)
        for name in options.set:
            if name not in schema.names or name in key:
                raise SchemaMismatch(f"table {table!r}: set names {name!r}, which is not a column outside of the key")
        # An overwritten table stays spread, as by `verify --repair`, which does not know that it is.
        spread = options.spread
        if spread == 1 and record is not None and record.key == key:
            spread = record.spread
        target = Target(schema, key, spread, options.ttl, numbers)
        if had is not None:
            target = self._as_before(target, had)
        if target.ttl is not None:
            check_ttl(table, schema, key, target.ttl)
        if target.spread > 1 and len(key) < 2:
            raise SchemaMismatch(f"table {table!r}: spread needs a sort key, by which the items are spread")
        return target

    def _key_of(self, had: TableRecord | None) -> tuple[tuple[str, ...], int | None]:
        """Return the key columns, and the first running number if there is no key."""
        if self._key:
            return (*self.options.partition, *self._key), had.numbers if had is not None else None
        if had is not None:
            partition = tuple(self.options.partition)
            if had.key[: len(partition)] != partition:
                raise SchemaMismatch(f"table {self.table!r} has the key {had.key}, but the partition is {partition}")
            return had.key, had.numbers
        if self.options.partition or NUMBER in self._frame.names:
            reason = "partition needs one" if self.options.partition else f"the frame has a column {NUMBER!r} already"
            raise SchemaMismatch(f"table {self.table!r}: name the key columns, since {reason}")
        return (NUMBER,), 0

    def _as_before(self, target: Target, had: TableRecord) -> Target:
        """Return the target with what a table keeps. Refuse what only a new one can be given."""
        for name, given, stored in (("spread", target.spread, had.spread), ("ttl", target.ttl, had.ttl)):
            if given not in (None, 1, stored):
                raise SchemaMismatch(
                    f"table {self.table!r} has {name} {stored}, and the write has {given}: only mode 'overwrite' "
                    "changes it"
                )
        if self.source_commit is not None:
            refuse_incomparable(self.table, {"ttl": had.ttl})
        return replace(target, spread=had.spread, ttl=had.ttl)

    def choice(self, target: Target) -> Choice:
        """Return what becomes of incoming items.

        Parameters
        ----------
        target
            What the table is after the write.
        """
        return self.choosing(target)()

    def choosing(self, target: Target) -> Callable[[], Choice]:
        """Return what makes :meth:`choice`, here or on a worker of Spark.

        Parameters
        ----------
        target
            What the table is after the write.
        """
        names = self._encoded(target).names
        newest_by = tuple(self._newest_by)
        return partial(
            Choice, self.table, target.schema, target.key, names, self.mode, newest_by, self.options, target.ttl
        )

    def encoded_by(self, target: Target) -> Target:
        """Return the target with only those columns that the runs have.

        Parameters
        ----------
        target
            What the table is after the write.
        """
        return replace(target, schema=self._encoded(target))

    def is_for_workers(self, target: Target) -> bool:
        """Tell whether Spark's workers can write the items, each by itself and more than once.

        Counters and expressions add up, and the parts of a batch are those of one order of all items. The last of all
        running numbers is known where all items are.

        Parameters
        ----------
        target
            What the table is after the write.
        """
        options = self.options
        return is_spark(self._items) and target.numbers is None and not (options.counter or options.set)

    def to_encode(self, target: Target) -> tuple[Any, pa.Schema, tuple[str, ...]]:
        """Return the frame, and the columns and the key of its items.

        Parameters
        ----------
        target
            What the table is after the write.
        """
        return self._items, self._encoded(target), target.key

    def encode(self, target: Target, folder: Path) -> tuple[list[str], Target]:
        """Write the items as sorted runs. Return their names, and the target with the next running number.

        Parameters
        ----------
        target
            What the table is after the write.
        folder
            Folder of the runs.
        """
        items: Any = self._items
        if target.numbers is not None and NUMBER not in self._frame.names:
            items = numbered(items, target.numbers)
        runs = write_frame(self.table, items, self._encoded(target), target.key, folder)
        if target.numbers is None:
            return runs, target
        return runs, replace(target, numbers=next_number(folder, runs, target.numbers))

    def deletions(self, target: Target, folder: Path) -> list[str]:
        """Write the keys to delete as sorted runs, and return their names.

        Parameters
        ----------
        target
            What the table is after the write.
        folder
            Folder of the runs.
        """
        if self._delete is None:
            return []
        keys = pa.schema([target.schema.field(name) for name in target.key])
        problems = differences(keys, frame_schema(self._delete), keys.names)
        if problems:
            raise SchemaMismatch(f"table {self.table!r}, the keys to delete: {'; '.join(problems)}")
        return write_frame(self.table, self._delete, keys, target.key, folder)

    def commit_after(self, record: TableRecord | None) -> str | None:
        """Return the commit that the table reflects after the write.

        A table keeps its commit until a write sets another one, or overwrites the table.

        Parameters
        ----------
        record
            The table's description before.
        """
        kept = None if self.mode == "overwrite" or record is None else record.source_commit
        return self.source_commit or kept

    def _encoded(self, target: Target) -> pa.Schema:
        return incoming_schema(target.schema, self._columns(target.numbers), self._partial)

    def _columns(self, numbers: int | None) -> pa.Schema:
        """Return the columns of the rows, with the running number."""
        if numbers is None or NUMBER in self._frame.names:
            return self._frame
        return pa.schema([pa.field(NUMBER, pa.int64()), *self._frame])


def index_names(frame: Any) -> tuple[str, ...]:
    """Return the names of a pandas frame's index. Nothing if it is another frame, or has no name.

    Parameters
    ----------
    frame
        The frame.
    """
    names = list(getattr(getattr(frame, "index", None), "names", [None]))
    return () if None in names else tuple(map(str, names))


def _with_index(items: Any, key: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """Return a pandas frame with its named index as columns, and the key, which is the index if there is none."""
    items, names = _named(items), index_names(items)
    # A column may be the index, too.
    levels = [level for level, name in enumerate(names) if name not in items.columns]
    return (_named(items.reset_index(level=levels)) if levels else items), key or names


def _named(items: Any) -> Any:
    """Return a pandas frame whose columns are named by texts. Another frame is as it was."""
    if not hasattr(items, "set_axis") or all(isinstance(name, str) for name in items.columns):
        return items
    return items.set_axis([str(name) for name in items.columns], axis="columns")

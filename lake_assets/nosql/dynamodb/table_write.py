"""A write to a table of DynamoDB, from its begin in the catalog to its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lake_assets.nosql.contract import WriteResult
from lake_assets.nosql.dynamodb.administration import create_table, delete_table, is_there
from lake_assets.nosql.dynamodb.catalog import Catalog
from lake_assets.nosql.dynamodb.client import Client
from lake_assets.nosql.dynamodb.entry import Entry
from lake_assets.nosql.dynamodb.incoming import Incoming
from lake_assets.nosql.dynamodb.lease import Lease
from lake_assets.nosql.dynamodb.rows import Layout
from lake_assets.nosql.dynamodb.writing import Writing
from lake_assets.nosql.plan import Plan, Target
from lake_assets.nosql.runs import Item


class TableWrite:
    """A write, while the lease of its table is held.

    Parameters
    ----------
    client
        The client.
    catalog
        The catalog.
    lease
        The writer's lease.
    name
        Name of the table in DynamoDB.
    writing
        The operations of the write.
    tags
        Tags of a new table.
    """

    def __init__(
        self,
        client: Client,
        catalog: Catalog,
        lease: Lease,
        *,
        name: str,
        writing: Writing,
        tags: Sequence[dict[str, str]] = (),
    ) -> None:
        self._client, self._catalog, self._lease = client, catalog, lease
        self._name, self._writing, self._tags = name, writing, tags

    def apply(
        self,
        plan: Plan,
        after: Target,
        entry: Entry | None,
        gone: Iterator[list[Item]],
        incoming: Incoming,
    ) -> WriteResult:
        """Write encoded items.

        Parameters
        ----------
        plan
            The write.
        after
            What the table is after it.
        entry
            The table's record before it. None if there is no table.
        gone
            Blocks of items to delete.
        incoming
            The items to put.
        """
        writing, layout = self._writing, self._writing.layout
        options, overwrite = plan.options, plan.mode == "overwrite"
        batch = options.batch if options.counter or options.set else None
        record = after.record(plan.commit_after(entry.table if entry is not None else None))
        before = Target.of(entry.table) if entry is not None else None
        replaced, pending = 0, None
        there = entry is None or is_there(self._client, self._name)
        if not there and not overwrite:
            raise self._client.gone(plan.table)
        if entry is not None and before is not None and overwrite and not self._stays(there, plan.table, before):
            replaced = self._rows(entry) if there else 0
            before = None
            # Whoever is killed before the end leaves no table, and not one that says that it is whole.
            self._catalog.withdraw(self._lease)
        if entry is None or before is None:
            # What is there without a record is left over from a write that was killed.
            delete_table(self._client, self._name)
            self._catalog.forget(self._lease)
            create_table(self._client, self._name, layout.physical_key, self._tags, layout.expires)
            count = incoming.put_new(self._lease, writing, batch)
            result = WriteResult(count, replaced, 0, count)
        else:
            rows = self._rows(entry)
            # What only the next write of a commit ends stays unfinished.
            pending = None if not entry.pending or plan.source_commit or overwrite else entry.pending
            self._catalog.begin(self._lease, entry, pending or record.source_commit)
            if overwrite:
                comparable = (before.schema, before.ttl) == (after.schema, after.ttl)
                put, deleted = incoming.replace(self._lease, writing, comparable)
                result = WriteResult(put, rows if deleted is None else deleted, 0, put)
            else:
                deleted = writing.delete(gone)
                put, kept, new = incoming.put(self._lease, writing, batch)
                count = self._client.count(self._name) if new is None else rows - deleted + new
                result = WriteResult(put, deleted, kept, count)
        after_it = Entry(record, result.row_count, pending)
        self._catalog.finish(self._lease, after_it, "write", result, mode=plan.mode, options=options)
        return result

    def _stays(self, there: bool, table: str, before: Target) -> bool:
        """Tell whether an overwrite goes into the table that there is."""
        return there and self._writing.layout.made_as(Layout(table, before))

    def _rows(self, entry: Entry) -> int:
        return entry.rows if entry.is_counted else self._client.count(self._name)

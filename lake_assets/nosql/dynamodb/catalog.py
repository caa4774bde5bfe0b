"""What the store knows of its tables, in one table of DynamoDB: records, leases, logs and markers of batches."""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import datetime, timezone
from typing import Any, Literal

import msgspec

from lake_assets.nosql import contract as contracts
from lake_assets.nosql.contract import NoSQLError, Operation, Options, WriteResult
from lake_assets.nosql.dynamodb import client as clients
from lake_assets.nosql.dynamodb.administration import create_table
from lake_assets.nosql.dynamodb.client import Client
from lake_assets.nosql.dynamodb.entry import Entry
from lake_assets.nosql.dynamodb.lease import KIND, NAME, Hold, Lease, catalog_key
from lake_assets.nosql.table_schema import TableRecord

_EXPIRES, _HALVED = "expires", "halved"
_PASSING = ("ThrottlingError", "ProvisionedThroughputExceeded", "TransactionConflict", "TransactionInProgressException")
"""Why a transaction is repeated. Our own sign of life is a conflict, too."""
_DIGITS = 9
"""Digits of an operation's number."""
_UNTRUE = "ConditionalCheckFailed"
_NAME_BYTES = 1024
"""DynamoDB's limit of a sort key."""
_BATCH_SECONDS = 30 * 86_400
"""How long a batch is remembered."""


class Catalog:
    """The catalog of one store.

    Parameters
    ----------
    client
        The client.
    name
        Name of the catalog's table in DynamoDB. It is created at the first write.
    lease_seconds
        How long a writer that gives no sign of life keeps a table from others.
    tags
        Tags of the table.
    """

    def __init__(self, client: Client, name: str, lease_seconds: float, tags: Sequence[dict[str, str]]) -> None:
        self._client, self._api = client, client.api
        self.name = name
        self.seconds = lease_seconds
        self._tags = tags
        self._made = False

    def make(self) -> None:
        """Create the catalog's table if it is missing."""
        if self._made:
            return
        create_table(self._client, self.name, [(KIND, "S"), (NAME, "S")], self._tags, _EXPIRES)
        self._made = True

    def names(self) -> tuple[str, ...]:
        """Return the names of all tables, sorted."""
        return tuple(sorted(item[NAME]["S"] for item in self.items("table", projection=True)))

    def find(self, table: str) -> Entry | None:
        """Return the record of a table, or None.

        Parameters
        ----------
        table
            Name of the table.
        """
        if not table:
            return None
        try:
            key = catalog_key("table", table)
            item = self._api.get_item(TableName=self.name, Key=key, ConsistentRead=True).get("Item")
        except self._api.exceptions.ResourceNotFoundException:
            return None
        if item is None:
            return None
        record = msgspec.msgpack.decode(item["record"]["B"], type=TableRecord)
        return Entry(record, int(item["rows"]["N"]), item["pending"]["S"] if "pending" in item else None)

    def history(self, table: str) -> tuple[Operation, ...]:
        """Return the operations of a table, the newest first.

        Parameters
        ----------
        table
            Name of the table.
        """
        found = [msgspec.msgpack.decode(item["operation"]["B"], type=Operation) for item in self.items(_log(table))]
        return tuple(reversed(found))

    @contextmanager
    def writing(self, table: str) -> Generator[Lease]:
        """Wait until no other writer has the table, and keep it until the end.

        Parameters
        ----------
        table
            Name of the table.
        """
        self.make()
        lease = Lease(self._client.signs, self.name, table, self.seconds)
        lease.acquire()
        try:
            yield lease
        finally:
            lease.release()

    def begin(self, lease: Lease, entry: Entry, commit: str | None) -> None:
        """Record that a write begins.

        Parameters
        ----------
        lease
            The writer's lease.
        entry
            The table's record.
        commit
            The commit that the write brings the table to.
        """
        self._put(lease, lease.table, replace(entry, pending=commit or ""), [])

    def withdraw(self, lease: Lease) -> None:
        """Remove the record of a table that is made anew, until the write ends.

        Parameters
        ----------
        lease
            The writer's lease.
        """
        self._put(lease, lease.table, None, [])

    def finish(
        self,
        lease: Lease,
        entry: Entry | None,
        kind: str,
        result: WriteResult,
        *,
        mode: str = "",
        options: Options | None = None,
    ) -> None:
        """Record what a write did, in one transaction.

        Parameters
        ----------
        lease
            The writer's lease.
        entry
            The table's record from now on. None if it is dropped.
        kind, mode
            As of :class:`~lake_assets.nosql.contract.Operation`.
        result
            What it did.
        options
            The options of a write: the log has its run, and its batch is marked as applied.
        """
        at = datetime.now(timezone.utc).isoformat(timespec="microseconds")
        commit = entry.table.source_commit if entry is not None else None
        options = options or Options()
        done = Operation(at, kind, mode, **asdict(result), source_commit=commit, run=options.run)
        item = catalog_key(_log(lease.table), f"{at} {self._number(lease):0{_DIGITS}}") | {
            "operation": {"B": msgspec.msgpack.encode(done)}
        }
        more = [{"Put": {"TableName": self.name, "Item": item}}]
        if options.batch is not None:
            more.append(self.marker(lease.table, options.batch))
        self._put(lease, lease.table, entry, more)

    def _number(self, lease: Lease) -> int:
        """Return the number of the next operation in a table's log. Now and then, only the newest ones are kept."""
        kind = _log(lease.table)
        last = self._api.query(
            TableName=self.name, ConsistentRead=True, ScanIndexForward=False, Limit=1, **_of_kind(kind, projection=True)
        )["Items"]
        # Before operations were numbered, their names ended otherwise.
        ends = [item[NAME]["S"].partition(" ")[2] for item in last]
        number = int(ends[0]) + 1 if ends and len(ends[0]) == _DIGITS else 0
        if number % (contracts.LOGGED // 10) == 0:
            names = [item[NAME]["S"] for item in self.items(kind, projection=True)]
            old = [{"DeleteRequest": {"Key": catalog_key(kind, name)}} for name in names[: 1 - contracts.LOGGED]]
            self._client.write(self.name, old, lease.check)
        return number

    def marker(self, table: str, batch: str, halved: bool = False) -> dict[str, Any]:
        """Return the write that marks a batch, or part of one, as applied. It fails if that was done before.

        Parameters
        ----------
        table
            Name of the table.
        batch
            Name of the batch or part.
        halved
            Whether, instead, the part is applied by halves; see :meth:`state`.
        """
        halves = {_HALVED: {"BOOL": True}} if halved else {}
        item = _batch_key(table, batch) | halves | {_EXPIRES: {"N": str(int(time.time()) + _BATCH_SECONDS)}}
        condition = "attribute_not_exists(#kind)"
        names = {"#kind": KIND}
        return {
            "Put": {
                "TableName": self.name,
                "Item": item,
                "ConditionExpression": condition,
                "ExpressionAttributeNames": names,
            }
        }

    def applied(self, table: str, batch: str) -> bool:
        """Tell whether a batch was applied.

        Parameters
        ----------
        table
            Name of the table.
        batch
            Name of the batch.
        """
        return self.state(table, batch) == "applied"

    def state(self, table: str, batch: str) -> Literal["applied", "halved"] | None:
        """Return what became of a batch, or of a part of one. None if nothing did.

        Parameters
        ----------
        table
            Name of the table.
        batch
            Name of the batch or part.
        """
        key = _batch_key(table, batch)
        item = self._api.get_item(TableName=self.name, Key=key, ConsistentRead=True).get("Item")
        return None if item is None else "halved" if _HALVED in item else "applied"

    def forget(self, lease: Lease) -> None:
        """Forget all batches of a table.

        Parameters
        ----------
        lease
            The writer's lease.
        """
        keys = [{name: item[name] for name in (KIND, NAME)} for item in self.items(_batches(lease.table))]
        self._client.write(self.name, [{"DeleteRequest": {"Key": key}} for key in keys], lease.check)

    def _put(self, lease: Lease, table: str, entry: Entry | None, more: list[dict[str, Any]]) -> None:
        key = catalog_key("table", table)
        if entry is None:
            change = {"Delete": {"TableName": self.name, "Key": key}}
        else:
            item: dict[str, Any] = key | {
                "record": {"B": msgspec.msgpack.encode(entry.table)},
                "rows": {"N": str(entry.rows)},
            }
            if entry.pending is not None:
                item["pending"] = {"S": entry.pending}
            change = {"Put": {"TableName": self.name, "Item": item}}
        if not self.transact(lease, [change, *more]):
            raise NoSQLError(f"table {table!r}: someone else wrote the same batch meanwhile: write again")

    def transact(self, hold: Hold, changes: list[dict[str, Any]]) -> bool:
        """Make changes at once, if the writer still may. Return False if the condition of a change is not true.

        Parameters
        ----------
        hold
            What lets it write.
        changes
            As of TransactWriteItems, at most 99.

        Raises
        ------
        NoSQLError
            The writer lost its hold, or the transaction was refused. The message names the reasons.
        """
        # The token is made here, so that a call whose answer is lost is not done twice.
        token, end = uuid.uuid4().hex, time.monotonic() + clients.PATIENCE
        pauses = clients.pauses()
        while True:
            try:
                items = [hold.condition(), *changes]
                self._api.transact_write_items(TransactItems=items, ClientRequestToken=token)
                return True
            except self._api.exceptions.TransactionInProgressException as error:
                reasons: list[dict[str, str]] = [error.response["Error"]]
            except self._api.exceptions.TransactionCanceledException as error:
                reasons = error.response.get("CancellationReasons") or [error.response["Error"]]
            if reasons[0].get("Code") == _UNTRUE:
                hold.lost()
            given = [reason for reason in reasons if reason.get("Code", "None") != "None"]
            if _UNTRUE in {reason["Code"] for reason in given} <= {_UNTRUE, *_PASSING}:
                return False
            if not all(reason["Code"] in _PASSING for reason in given) or time.monotonic() > end:
                told = "; ".join(f"{reason['Code']}: {reason.get('Message', '')}" for reason in given)
                raise NoSQLError(f"table {hold.table!r}: DynamoDB refused a transaction: {told}: write again")
            time.sleep(next(pauses))

    def items(self, kind: str, projection: bool = False) -> list[dict[str, Any]]:
        """Return the items of a kind, sorted by name.

        Parameters
        ----------
        kind
            The kind.
        projection
            Whether only the names are wanted.
        """
        try:
            pages = self._client.pages(
                self._api.query, TableName=self.name, ConsistentRead=True, **_of_kind(kind, projection)
            )
            return [item for page in pages for item in page["Items"]]
        except self._api.exceptions.ResourceNotFoundException:
            return []


def _of_kind(kind: str, projection: bool = False) -> dict[str, Any]:
    """Return the arguments of a query for the items of a kind, or for their names."""
    only_names: dict[str, Any] = {"ProjectionExpression": "#name"} if projection else {}
    return only_names | {
        "KeyConditionExpression": "#kind = :kind",
        "ExpressionAttributeNames": {"#kind": KIND} | ({"#name": NAME} if projection else {}),
        "ExpressionAttributeValues": {":kind": {"S": kind}},
    }


def _log(table: str) -> str:
    return f"log of {table}"


def _batches(table: str) -> str:
    return f"batches of {table}"


def _batch_key(table: str, batch: str) -> dict[str, Any]:
    """Return the key of a batch, or of a part of one. A long name is replaced by its digest."""
    name = batch.encode()
    return catalog_key(_batches(table), batch if len(name) <= _NAME_BYTES else hashlib.sha256(name).hexdigest())


def part_of(batch: str, number: int, items: Sequence[tuple[bytes, bytes]]) -> str:
    """Return the name of a part of a batch. Other items make another part.

    Parameters
    ----------
    batch
        Name of the batch.
    number
        Number of the part.
    items
        Its encoded items.
    """
    digest = hashlib.sha256()
    for key, row in items:
        digest.update(len(key).to_bytes(4, "big") + key + row)
    return f"{batch} part {number} {digest.hexdigest()}"

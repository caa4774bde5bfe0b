"""What the store knows of its tables, in one table of DynamoDB: records, leases, logs and markers of batches."""

from __future__ import annotations

import hashlib
import threading
import time
import uuid
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

import msgspec

from lake_assets.nosql.contract import UNFINISHED, NoSQLError, Operation, WriteResult
from lake_assets.nosql.dynamodb.client import Client, error_code
from lake_assets.nosql.table_schema import TableRecord

_KIND, _NAME, _EXPIRES = "kind", "name", "expires"
_BATCH_SECONDS = 30 * 86_400
"""How long a batch is remembered."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A table's record.

    Parameters
    ----------
    table
        Its schema, key and commit.
    rows
        The number of items. It counts only where ``pending`` is None.
    pending
        The commit that an unfinished write was bringing the table to; empty if it had none. None if there is none.
    """

    table: TableRecord
    rows: int
    pending: str | None = None

    @property
    def reflects(self) -> str | None:
        """The commit that the table reflects."""
        return self.table.source_commit if self.pending is None else f"{UNFINISHED}{self.pending}"


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
        self._seconds = lease_seconds
        self._tags = tags
        self._made = False

    def make(self) -> None:
        """Create the catalog's table if it is missing."""
        if self._made:
            return
        create_table(self._client, self.name, [(_KIND, "S"), (_NAME, "S")], self._tags)
        with suppress(self._api.exceptions.ClientError):  # It is enabled already, or being enabled.
            self._api.update_time_to_live(
                TableName=self.name, TimeToLiveSpecification={"Enabled": True, "AttributeName": _EXPIRES}
            )
        self._made = True

    def names(self) -> tuple[str, ...]:
        """Return the names of all tables, sorted."""
        return tuple(sorted(item[_NAME]["S"] for item in self._query("table", projection=True)))

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
            key = _key("table", table)
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
        found = [msgspec.msgpack.decode(item["operation"]["B"], type=Operation) for item in self._query(_log(table))]
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
        lease = Lease(self._api, self.name, table, self._seconds)
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

    def finish(
        self, lease: Lease, entry: Entry | None, kind: str, mode: str, result: WriteResult, batch: str | None = None
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
        batch
            Name of the batch, if it has one.
        """
        at = datetime.now(timezone.utc).isoformat(timespec="microseconds")
        commit = entry.table.source_commit if entry is not None else None
        done = Operation(at, kind, mode, result.put, result.deleted, result.kept, result.row_count, commit)
        item = _key(_log(lease.table), f"{at} {uuid.uuid4().hex}") | {"operation": {"B": msgspec.msgpack.encode(done)}}
        more = [{"Put": {"TableName": self.name, "Item": item}}]
        if batch is not None:
            more.append(self.marker(lease.table, batch))
        self._put(lease, lease.table, entry, more)

    def marker(self, table: str, batch: str) -> dict[str, Any]:
        """Return the write that marks a batch, or part of one, as applied. It fails if that was done before.

        Parameters
        ----------
        table
            Name of the table.
        batch
            Name of the batch or part.
        """
        item = _key(_batches(table), batch) | {_EXPIRES: {"N": str(int(time.time()) + _BATCH_SECONDS)}}
        condition = "attribute_not_exists(#kind)"
        names = {"#kind": _KIND}
        return {
            "Put": {
                "TableName": self.name,
                "Item": item,
                "ConditionExpression": condition,
                "ExpressionAttributeNames": names,
            }
        }

    def applied(self, table: str, batch: str) -> bool:
        """Tell whether a batch, or part of one, was applied.

        Parameters
        ----------
        table
            Name of the table.
        batch
            Name of the batch or part.
        """
        key = _key(_batches(table), batch)
        return "Item" in self._api.get_item(TableName=self.name, Key=key, ConsistentRead=True)

    def forget(self, lease: Lease) -> None:
        """Forget all batches of a table.

        Parameters
        ----------
        lease
            The writer's lease.
        """
        keys = [{name: item[name] for name in (_KIND, _NAME)} for item in self._query(_batches(lease.table))]
        self._client.write(self.name, [{"DeleteRequest": {"Key": key}} for key in keys], lease.check)

    def _put(self, lease: Lease, table: str, entry: Entry | None, more: list[dict[str, Any]]) -> None:
        key = _key("table", table)
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
        self.transact(lease, [change, *more])

    def transact(self, lease: Lease, changes: list[dict[str, Any]]) -> None:
        """Make changes at once, if the lease is still held.

        Parameters
        ----------
        lease
            The writer's lease.
        changes
            As of TransactWriteItems, at most 99.
        """
        # The token is made here, so that a call whose answer is lost is not done twice.
        token = uuid.uuid4().hex
        while True:
            try:
                items = [lease.condition(), *changes]
                self._api.transact_write_items(TransactItems=items, ClientRequestToken=token)
                return
            except self._api.exceptions.TransactionCanceledException as error:
                reasons = [reason.get("Code") for reason in error.response.get("CancellationReasons", [])]
                if "TransactionConflict" in reasons and "ConditionalCheckFailed" not in reasons:
                    # Our own sign of life came between.
                    time.sleep(0.02)
                    continue
                if reasons and reasons[0] == "ConditionalCheckFailed":
                    lease.lost()
                raise

    def _query(self, kind: str, projection: bool = False) -> list[dict[str, Any]]:
        arguments: dict[str, Any] = {
            "KeyConditionExpression": "#kind = :kind",
            "ExpressionAttributeNames": {"#kind": _KIND},
            "ExpressionAttributeValues": {":kind": {"S": kind}},
        }
        if projection:
            arguments["ProjectionExpression"] = "#name"
            arguments["ExpressionAttributeNames"]["#name"] = _NAME
        try:
            pages = self._client.pages(self._api.query, TableName=self.name, ConsistentRead=True, **arguments)
            return [item for page in pages for item in page["Items"]]
        except self._api.exceptions.ResourceNotFoundException:
            return []


class Lease:
    """One writer's hold on a table. It gives a sign of life until it is released.

    Parameters
    ----------
    api
        The client.
    catalog
        Name of the catalog's table.
    table
        Name of the table.
    seconds
        How long the lease is valid without a sign of life.
    """

    def __init__(self, api: Any, catalog: str, table: str, seconds: float) -> None:
        self._api, self._catalog, self.table = api, catalog, table
        self._seconds = seconds
        self._owner = uuid.uuid4().hex
        self._beat = 0
        self._confirmed = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"lease of {table}", daemon=True)

    def acquire(self) -> None:
        """Wait for the lease. That of a dead writer is taken over when it gave no sign of life."""
        seen: tuple[str, str] | None = None
        since = time.monotonic()
        while not self._take(seen if seen and time.monotonic() - since > self._seconds else None):
            key = _key("lease", self.table)
            item = self._api.get_item(TableName=self._catalog, Key=key, ConsistentRead=True).get("Item")
            now = (item["owner"]["S"], item["beat"]["N"]) if item else None
            if now != seen:
                seen, since = now, time.monotonic()
            self._end.wait(min(0.2, self._seconds / 10))
        self._confirmed = time.monotonic()
        self._thread.start()

    def check(self) -> None:
        """Raise :class:`NoSQLError` if the lease may be lost."""
        if time.monotonic() - self._confirmed > self._seconds * 0.8:
            self.lost()

    def lost(self) -> None:
        """Raise :class:`NoSQLError`."""
        raise NoSQLError(
            f"table {self.table!r}: another writer took it over, since this one gave no sign of life for "
            f"{self._seconds:g} s: write again"
        )

    def condition(self) -> dict[str, Any]:
        """Return what a transaction checks: that the lease is held."""
        return {
            "ConditionCheck": {
                "TableName": self._catalog,
                "Key": _key("lease", self.table),
                "ConditionExpression": "#owner = :owner",
                "ExpressionAttributeNames": {"#owner": "owner"},
                "ExpressionAttributeValues": {":owner": {"S": self._owner}},
            }
        }

    def release(self) -> None:
        """Let others write."""
        self._end.set()
        self._thread.join()
        with suppress(Exception):  # Then others wait for its end.
            self._api.delete_item(
                TableName=self._catalog,
                Key=_key("lease", self.table),
                ConditionExpression="#owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":owner": {"S": self._owner}},
            )

    def _take(self, dead: tuple[str, str] | None) -> bool:
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(#owner) OR #owner = :owner"}
        values = {":owner": {"S": self._owner}}
        names = {"#owner": "owner"}
        if dead is not None:
            condition["ConditionExpression"] += " OR (#owner = :dead AND #beat = :beat)"
            values |= {":dead": {"S": dead[0]}, ":beat": {"N": dead[1]}}
            names["#beat"] = "beat"
        item = _key("lease", self.table) | {"owner": {"S": self._owner}, "beat": {"N": str(self._beat)}}
        return self._put(item, **condition, ExpressionAttributeNames=names, ExpressionAttributeValues=values)

    def _put(self, item: dict[str, Any], **condition: Any) -> bool:
        try:
            self._api.put_item(TableName=self._catalog, Item=item, **condition)
        except self._api.exceptions.ClientError as error:
            # A transaction of this or another writer reads it at this moment.
            if error_code(error) in ("ConditionalCheckFailedException", "TransactionConflictException"):
                return False
            raise
        return True

    def _live(self) -> None:
        while not self._end.wait(self._seconds / 5):
            now = time.monotonic()
            with suppress(Exception):  # The next sign may arrive. Until then `check` decides.
                if self._sign():
                    self._confirmed = now

    def _sign(self) -> bool:
        self._beat += 1
        item = _key("lease", self.table) | {"owner": {"S": self._owner}, "beat": {"N": str(self._beat)}}
        names, values = {"#owner": "owner"}, {":owner": {"S": self._owner}}
        return self._put(
            item,
            ConditionExpression="#owner = :owner",
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=values,
        )


def create_table(client: Client, name: str, key: Sequence[tuple[str, str]], tags: Sequence[dict[str, str]]) -> None:
    """Create an on-demand table if it is missing, and wait until it can be used.

    Parameters
    ----------
    client
        The client.
    name
        Name of the table.
    key
        Name and type of the key's attributes.
    tags
        Its tags.
    """
    api = client.api
    roles = zip(key, ("HASH", "RANGE"), strict=False)
    with suppress(api.exceptions.ResourceInUseException):
        api.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": attribute, "KeyType": role} for (attribute, _), role in roles],
            AttributeDefinitions=[{"AttributeName": attribute, "AttributeType": kind} for attribute, kind in key],
            BillingMode="PAY_PER_REQUEST",
            **({"Tags": list(tags)} if tags else {}),
        )
    api.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})


def delete_table(client: Client, name: str) -> None:
    """Delete a table, if it is there, and wait until it is gone.

    Parameters
    ----------
    client
        The client.
    name
        Name of the table.
    """
    api = client.api
    with suppress(api.exceptions.ResourceNotFoundException):
        api.delete_table(TableName=name)
    api.get_waiter("table_not_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 300})


def _key(kind: str, name: str) -> dict[str, Any]:
    return {_KIND: {"S": kind}, _NAME: {"S": name}}


def _log(table: str) -> str:
    return f"log of {table}"


def _batches(table: str) -> str:
    return f"batches of {table}"


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

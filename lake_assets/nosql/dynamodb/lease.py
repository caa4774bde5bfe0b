"""The lease of a table: one writer at a time, in whatever process or machine."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import suppress
from typing import Any, Protocol

from lake_assets.nosql.contract import NoSQLError
from lake_assets.nosql.dynamodb.client import error_code

KIND, NAME = "kind", "name"
"""The key of the catalog's table."""


def catalog_key(kind: str, name: str) -> dict[str, Any]:
    """Return a key of the catalog.

    Parameters
    ----------
    kind, name
        Its components.
    """
    return {KIND: {"S": kind}, NAME: {"S": name}}


class Hold(Protocol):
    """What lets a writer write: the lease of its table, or its part in a write that has it."""

    table: str

    def check(self) -> None:
        """Raise :class:`NoSQLError` if this writer may not go on."""
        ...

    def lost(self) -> None:
        """Raise :class:`NoSQLError`."""
        ...

    def condition(self) -> dict[str, Any]:
        """Return what a transaction checks."""
        ...


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
        self.owner = uuid.uuid4().hex
        self._beat, self._job = 0, ""
        self._signing = threading.Lock()
        self._confirmed = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._live, name=f"lease of {table}", daemon=True)

    def acquire(self) -> None:
        """Wait for the lease. That of a dead writer is taken over when it gave no sign of life."""
        seen: tuple[str, str] | None = None
        since = time.monotonic()
        while not self._take(seen if seen and time.monotonic() - since > self._seconds else None):
            key = catalog_key("lease", self.table)
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
                "Key": catalog_key("lease", self.table),
                "ConditionExpression": "#owner = :owner",
                "ExpressionAttributeNames": {"#owner": "owner"},
                "ExpressionAttributeValues": {":owner": {"S": self.owner}},
            }
        }

    def hand_out(self, job: str) -> None:
        """Let the attempts of a job on Spark's workers write, and those of no other.

        Parameters
        ----------
        job
            Name of the job. Empty for none.
        """
        self._job = job
        while not self._sign():
            self.check()
            time.sleep(0.02)

    def release(self) -> None:
        """Let others write."""
        self._end.set()
        self._thread.join()
        with suppress(Exception):  # Then others wait for its end.
            self._api.delete_item(
                TableName=self._catalog,
                Key=catalog_key("lease", self.table),
                ConditionExpression="#owner = :owner",
                ExpressionAttributeNames={"#owner": "owner"},
                ExpressionAttributeValues={":owner": {"S": self.owner}},
            )

    def _take(self, dead: tuple[str, str] | None) -> bool:
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(#owner) OR #owner = :owner"}
        values = {":owner": {"S": self.owner}}
        names = {"#owner": "owner"}
        if dead is not None:
            condition["ConditionExpression"] += " OR (#owner = :dead AND #beat = :beat)"
            values |= {":dead": {"S": dead[0]}, ":beat": {"N": dead[1]}}
            names["#beat"] = "beat"
        item = catalog_key("lease", self.table) | {"owner": {"S": self.owner}, "beat": {"N": str(self._beat)}}
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
        # One at a time, so that no older sign comes after the one that takes a job's permission.
        with self._signing:
            self._beat += 1
            item = catalog_key("lease", self.table) | {"owner": {"S": self.owner}, "beat": {"N": str(self._beat)}}
            item["job"] = {"S": self._job}
            names, values = {"#owner": "owner"}, {":owner": {"S": self.owner}}
            return self._put(
                item,
                ConditionExpression="#owner = :owner",
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )

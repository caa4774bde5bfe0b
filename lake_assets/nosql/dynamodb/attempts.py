"""Attempts of Spark's tasks at parts of a write: each writes only while the driver has its job's lease.

A task may be tried again, or run twice at once, and an attempt that was given up may live on. Each enters its name in
the catalog before it writes. The driver takes the permission back before it ends the write, and waits for those that
have not ended.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Generator
from contextlib import contextmanager, suppress
from typing import Any

from lake_assets.nosql.contract import NoSQLError
from lake_assets.nosql.dynamodb.catalog import Catalog
from lake_assets.nosql.dynamodb.client import Client
from lake_assets.nosql.dynamodb.lease import NAME, Lease, catalog_key

_EXPIRES, _KEPT = "expires", 86_400
_RENEWAL, _SILENCE, _PATIENCE = 0.1, 0.6, 0.5
"""Parts of a lease's seconds: how long a look at it is good for; without a sign of life, the driver is taken for dead;
how long the driver waits for attempts that do not end."""


class Attempt:
    """One attempt, on a worker.

    Parameters
    ----------
    client
        The client.
    catalog
        Name of the catalog's table.
    table
        Name of the table.
    owner, job
        Who has the lease, and the job that it is handed out to.
    name
        Name of the attempt.
    seconds
        How long the lease is valid without a sign of life.
    """

    def __init__(
        self, client: Client, catalog: str, table: str, *, owner: str, job: str, name: str, seconds: float
    ) -> None:
        self._api, self._catalog, self.table = client.api, catalog, table
        self._holder, self._seconds, self._name = (owner, job), seconds, name
        self._confirmed = self._alive = time.monotonic()
        self._beat = ""

    @contextmanager
    def running(self, catalog: Catalog) -> Generator[None]:
        """Enter the attempt in the catalog until it ends.

        Parameters
        ----------
        catalog
            The catalog.
        """
        catalog.transact(self, [{"Update": self._entry("")}])
        try:
            yield
        finally:
            with suppress(Exception):  # Then the driver waits for it.
                self._api.update_item(**self._entry("ended"))

    def check(self) -> None:
        """Raise :class:`NoSQLError` if the driver is dead, or has ended the job."""
        now = time.monotonic()
        if now - self._confirmed <= _RENEWAL * self._seconds:
            return
        key = catalog_key("lease", self.table)
        item = self._api.get_item(TableName=self._catalog, Key=key, ConsistentRead=True).get("Item", {})
        found = tuple(item.get(name, {}).get("S", "") for name in ("owner", "job"))
        beat = item.get("beat", {}).get("N", "")
        if beat != self._beat:
            self._beat, self._alive = beat, now
        if found != self._holder or now - self._alive > _SILENCE * self._seconds:
            self.lost()
        self._confirmed = now

    def lost(self) -> None:
        """Raise :class:`NoSQLError`."""
        raise NoSQLError(f"table {self.table!r}: the write of this attempt has ended, or its driver is dead")

    def condition(self) -> dict[str, Any]:
        """Return what a transaction checks: that the lease is handed out to this attempt's job."""
        owner, job = self._holder
        return {
            "ConditionCheck": {
                "TableName": self._catalog,
                "Key": catalog_key("lease", self.table),
                "ConditionExpression": "#owner = :owner AND #job = :job",
                "ExpressionAttributeNames": {"#owner": "owner", "#job": "job"},
                "ExpressionAttributeValues": {":owner": {"S": owner}, ":job": {"S": job}},
            }
        }

    def _entry(self, state: str) -> dict[str, Any]:
        """Return the update that enters a state. Items are put only while :meth:`check` lets them be."""
        expires = {"N": str(int(time.time()) + _KEPT)}
        return {
            "TableName": self._catalog,
            "Key": catalog_key(_kind(self.table), self._name),
            "UpdateExpression": "SET #state = :state, #expires = :expires",
            "ExpressionAttributeNames": {"#state": "state", "#expires": _EXPIRES},
            "ExpressionAttributeValues": {":state": {"S": state}, ":expires": expires},
        }


class Attempts:
    """The attempts of one job, for its driver.

    Parameters
    ----------
    client
        The client.
    catalog
        The catalog.
    lease
        The driver's lease.
    seconds
        How long the lease is valid without a sign of life.
    """

    def __init__(self, client: Client, catalog: Catalog, lease: Lease, seconds: float) -> None:
        self._client, self._catalog, self._lease, self._seconds = client, catalog, lease, seconds

    @contextmanager
    def allowed(self, job: str) -> Generator[None]:
        """Let the attempts of a job write. At the end, wait until none does any more.

        Parameters
        ----------
        job
            Name of the job.
        """
        self._forget()
        self._lease.hand_out(job)
        try:
            yield
        finally:
            self._lease.hand_out("")
            end = time.monotonic() + _PATIENCE * self._seconds
            while not all(self._states().values()) and time.monotonic() < end:
                time.sleep(0.1)

    def only(self, counted: Collection[str]) -> bool:
        """Tell whether nobody wrote besides some attempts.

        Parameters
        ----------
        counted
            Their names.
        """
        return self._states().keys() <= set(counted)

    def _states(self) -> dict[str, str]:
        return {item[NAME]["S"]: item["state"]["S"] for item in self._catalog.items(_kind(self._lease.table))}

    def _forget(self) -> None:
        keys = [catalog_key(_kind(self._lease.table), name) for name in self._states()]
        self._client.write(self._catalog.name, [{"DeleteRequest": {"Key": key}} for key in keys], self._lease.check)


def _kind(table: str) -> str:
    return f"attempts of {table}"

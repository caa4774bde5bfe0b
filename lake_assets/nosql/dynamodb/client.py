"""Calls to DynamoDB: in batches, in parallel, with what the server left undone repeated until it is done."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, cached_property
from itertools import islice
from typing import Any, TypeVar

from lake_assets.nosql.contract import NoSQLError
from lake_assets.nosql.dynamodb.access import Access
from lake_assets.nosql.dynamodb.attributes import Attribute, same_items
from lake_assets.nosql.dynamodb.rate import Rate
from lake_assets.nosql.errors import TableGone

T = TypeVar("T")
R = TypeVar("R")
Item = dict[str, Attribute]

_WRITES, _READS = 25, 100
PATIENCE = 300.0
"""Seconds without any progress after which a batch or a transaction is given up."""

_REMEDY = (
    "set AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_DEFAULT_REGION, or another source of the AWS chain; "
    "LAKE_NOSQL=lmdb keeps tables on this machine's disk instead"
)


@cache
def _loader(data_path: str | None) -> Any:
    """Return what reads the descriptions of AWS's services: it takes 80 ms of CPU time to read them anew."""
    from botocore.loaders import create_loader

    return create_loader(data_path)


class Client:
    """A client of DynamoDB. It is used by several threads.

    Parameters
    ----------
    access
        The endpoint and the credentials.

    Raises
    ------
    NoSQLError
        There are no credentials or no region.
    """

    def __init__(self, access: Access) -> None:
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
        from botocore.session import Session

        self._access, parallel = access, access.parallel
        self.name = access.endpoint_url or "AWS"
        try:
            session = Session(profile=access.profile_name)
            session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
            keys = access.access_key_id, access.secret_access_key, access.session_token
            if any(keys):
                session.set_credentials(*keys)
            if access.region_name is not None:
                session.set_config_variable("region", access.region_name)
            if session.get_credentials() is None or not session.get_config_variable("region"):
                missing = "credentials" if session.get_config_variable("region") else "region"
                raise NoSQLError(f"DynamoDB: there are no {missing}: {_REMEDY}")
            # A call whose answer is lost is repeated: every write here may be.
            config = Config(
                retries={"mode": "adaptive", "total_max_attempts": 10},
                max_pool_connections=parallel + 1,
                connect_timeout=10,
                read_timeout=60,
            )
            self.api: Any = session.create_client("dynamodb", endpoint_url=access.endpoint_url, config=config)
        except BotoCoreError as error:
            raise NoSQLError(f"DynamoDB: {error}: {_REMEDY}") from error
        self._session = session
        self._pool = ThreadPoolExecutor(parallel, "dynamodb")
        self._parallel = parallel
        self._closed = False
        self._rate = Rate(access.writes_per_second) if access.writes_per_second else None

    @cached_property
    def signs(self) -> Any:
        """A client for signs of life. They do not wait for what ``api`` holds back while the server throttles."""
        from botocore.config import Config

        config = Config(retries={"mode": "standard", "total_max_attempts": 5}, connect_timeout=5, read_timeout=5)
        return self._session.create_client("dynamodb", endpoint_url=self._access.endpoint_url, config=config)

    def handed_over(self, workers: int) -> Access:
        """Return what a worker of Spark makes its client from: with the credentials that this one has now.

        Parameters
        ----------
        workers
            The number of workers that share the limit of writes.
        """
        keys = self._session.get_credentials().get_frozen_credentials()
        limit = self._access.writes_per_second
        return replace(
            self._access,
            region_name=self._session.get_config_variable("region"),
            profile_name=None,
            access_key_id=keys.access_key,
            secret_access_key=keys.secret_key,
            session_token=keys.token,
            writes_per_second=limit / workers if limit else None,
        )

    def guard(self, check: Callable[[], None]) -> None:
        """Call a function before each request that writes items, also before it is sent again.

        Parameters
        ----------
        check
            Raises if nothing may be written any more.
        """
        for operation in ("BatchWriteItem", "PutItem", "DeleteItem"):
            self.api.meta.events.register(f"before-send.dynamodb.{operation}", lambda **_: check())

    def close(self) -> None:
        """Release threads and connections."""
        self._closed = True
        self._pool.shutdown(cancel_futures=True)
        self.api.close()
        if "signs" in vars(self):
            self.signs.close()

    @contextmanager
    def translated(self, table: str = "") -> Generator[None]:
        """Translate errors of the client to :class:`NoSQLError`.

        Parameters
        ----------
        table
            Name of the table, for errors.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        if self._closed:
            raise NoSQLError(f"DynamoDB at {self.name}: the store is closed")
        where = f"DynamoDB at {self.name}" + (f", table {table!r}" if table else "")
        try:
            yield
        except ClientError as error:
            if table and error_code(error) == "ResourceNotFoundException":
                raise self.gone(table) from error
            advice = f": {_REMEDY}" if error_code(error) in _UNKNOWN_USER else ""
            raise NoSQLError(f"{where}: {error}{advice}") from error
        except BotoCoreError as error:
            raise NoSQLError(f"{where}: {error}: is the server up?") from error

    def gone(self, table: str) -> TableGone:
        """Return the error of a table that is known here and not to DynamoDB.

        Parameters
        ----------
        table
            Name of the table.
        """
        return TableGone(
            f"DynamoDB at {self.name}, table {table!r}: somebody deleted it in DynamoDB: `lake-assets verify {table} "
            f"--repair` makes it anew, if it reflects a commit; `lake-assets tables --drop {table}` forgets it"
        )

    def each(self, work: Callable[[T], R], inputs: Iterable[T]) -> Iterator[R]:
        """Yield the results of calls in parallel, in their order. A bounded number is under way at once.

        Parameters
        ----------
        work
            The call.
        inputs
            Its arguments.
        """
        waiting = iter(inputs)
        running = [self._pool.submit(work, one) for one in islice(waiting, 2 * self._parallel)]
        try:
            while running:
                yield running.pop(0).result()
                running += [self._pool.submit(work, one) for one in islice(waiting, 1)]
        finally:
            for one in running:
                one.cancel()
            for one in running:
                if not one.cancelled():
                    one.exception()

    def wait(self, count: int) -> None:
        """Wait until items may be written, if there is a limit of items in a second.

        Parameters
        ----------
        count
            Their number.
        """
        if self._rate is not None:
            self._rate.wait(count)

    def write(self, table: str, requests: Sequence[dict[str, Any]], check: Callable[[], None]) -> None:
        """Put and delete items, all of them.

        Parameters
        ----------
        table
            Name of the table in DynamoDB.
        requests
            Each ``{"PutRequest": {"Item": …}}`` or ``{"DeleteRequest": {"Key": …}}``, of different keys.
        check
            Called before each request. It raises if this writer may not go on.
        """

        def send(some: Sequence[dict[str, Any]]) -> int:
            self.wait(len(some))
            check()
            left = self.api.batch_write_item(RequestItems={table: list(some)})["UnprocessedItems"].get(table, [])
            return _take_rest(some, left)

        for _ in self.each(lambda some: _until_done(send, some), _chunks(requests, _WRITES)):
            pass

    def put_if(self, table: str, item: Item, condition: Mapping[str, Any], check: Callable[[], None]) -> bool:
        """Put an item if a condition is true, and tell whether it is stored now.

        Parameters
        ----------
        table
            Name of the table in DynamoDB.
        item
            The item.
        condition
            The condition, as of PutItem.
        check
            Called before the request. It raises if this writer may not go on.
        """
        self.wait(1)
        check()
        try:
            self.api.put_item(TableName=table, Item=item, ReturnValuesOnConditionCheckFailure="ALL_OLD", **condition)
        except self.api.exceptions.ConditionalCheckFailedException as error:
            # An answer was lost, and the request was sent again.
            return same_items(error.response.get("Item", {}), item)
        return True

    def delete_if(self, table: str, key: Item, condition: Mapping[str, Any], check: Callable[[], None]) -> Item | None:
        """Delete an item if a condition is true. Return the item that is still stored; None if none is.

        Parameters
        ----------
        table
            Name of the table in DynamoDB.
        key
            The item's key.
        condition
            The condition, as of DeleteItem. It is not true where there is no item.
        check
            Called before the request. It raises if this writer may not go on.
        """
        self.wait(1)
        check()
        try:
            self.api.delete_item(TableName=table, Key=key, ReturnValuesOnConditionCheckFailure="ALL_OLD", **condition)
        except self.api.exceptions.ConditionalCheckFailedException as error:
            return error.response.get("Item")
        return None

    def read(self, table: str, keys: Sequence[Item]) -> Iterator[list[Item]]:
        """Yield the items of keys, in no order.

        Parameters
        ----------
        table
            Name of the table in DynamoDB.
        keys
            Different keys.
        """

        def fetch(some: list[Item]) -> list[Item]:
            found: list[Item] = []

            def send(rest: list[Item]) -> int:
                answer = self.api.batch_get_item(RequestItems={table: {"Keys": list(rest), "ConsistentRead": True}})
                found.extend(answer["Responses"].get(table, []))
                return _take_rest(rest, answer["UnprocessedKeys"].get(table, {}).get("Keys", []))

            _until_done(send, some)
            return found

        yield from self.each(fetch, _chunks(keys, _READS))

    def pages(self, call: Callable[..., dict[str, Any]], **arguments: Any) -> Iterator[dict[str, Any]]:
        """Yield the pages of a query or scan.

        Parameters
        ----------
        call
            ``api.query`` or ``api.scan``.
        arguments
            Its arguments.
        """
        while True:
            page = call(**arguments)
            yield page
            if "LastEvaluatedKey" not in page:
                return
            arguments["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def scan(self, table: str, segment: tuple[int, int] | None = None, **arguments: Any) -> Iterator[list[Item]]:
        """Yield the items of a table in no order, all segments in parallel.

        Parameters
        ----------
        table
            Name of the table in DynamoDB.
        segment
            Number of one segment and the number of all. None for all segments.
        arguments
            Further arguments of the scan.
        """
        if segment is not None:
            parts = {"Segment": segment[0], "TotalSegments": segment[1]} if segment[1] > 1 else {}
            pages = self.pages(self.api.scan, TableName=table, ConsistentRead=True, **parts, **arguments)
            yield from (page["Items"] for page in pages)
            return
        count = self._parallel
        starts: list[Any] = [None] * count
        live = list(range(count))

        def page(number: int) -> tuple[int, dict[str, Any]]:
            after = {"ExclusiveStartKey": starts[number]} if starts[number] else {}
            return number, self.api.scan(
                TableName=table, ConsistentRead=True, Segment=number, TotalSegments=count, **after, **arguments
            )

        while live:
            found = list(self.each(page, live))
            live = []
            for number, answer in found:
                if "LastEvaluatedKey" in answer:
                    starts[number] = answer["LastEvaluatedKey"]
                    live.append(number)
                yield answer["Items"]

    def count(self, table: str) -> int:
        """Return the number of items by a scan.

        Parameters
        ----------
        table
            Name of the table in DynamoDB.
        """
        pages = self.pages(self.api.scan, TableName=table, ConsistentRead=True, Select="COUNT")
        return sum(page["Count"] for page in pages)


_UNKNOWN_USER = ("UnrecognizedClientException", "InvalidSignatureException", "AccessDeniedException")


def error_code(error: Exception) -> str:
    """Return the code of a botocore error. Empty if it has none.

    Parameters
    ----------
    error
        The error.
    """
    response: Any = getattr(error, "response", {})
    return response.get("Error", {}).get("Code", "")


def pauses() -> Iterator[float]:
    """Yield the seconds between attempts, more and more."""
    pause = 0.05
    while True:
        yield pause * random.uniform(0.5, 1)  # noqa: S311 - not for secrets
        pause = min(pause * 2, 5)


def _take_rest(some: Any, left: list[Any]) -> int:
    done = len(some) - len(left)
    some[:] = left
    return done


def _until_done(send: Callable[[Any], int], some: list[Any]) -> None:
    """Repeat a batch with what the server left, more and more slowly."""
    last = time.monotonic()
    for pause in pauses():
        if send(some):
            last = time.monotonic()
        if not some:
            return
        if time.monotonic() - last > PATIENCE:
            raise NoSQLError(
                f"DynamoDB: it throttles, and {len(some)} items are unprocessed after {PATIENCE:.0f} s: run again"
            )
        time.sleep(pause)


def _chunks(values: Sequence[T], size: int) -> Iterator[list[T]]:
    for at in range(0, len(values), size):
        yield list(values[at : at + size])

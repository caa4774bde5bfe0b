"""What a server of DynamoDB does to its clients: it throttles, leaves items, drops connections and answers twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from lake_assets.nosql import contract
from lake_assets.nosql.contract import NoSQLError, Options, SchemaMismatch
from lake_assets.nosql.difference import drift
from lake_assets.nosql.dynamodb import client, table_write
from lake_assets.nosql.dynamodb.administration import create_table
from lake_assets.nosql.dynamodb.attributes import EXPIRES
from lake_assets.nosql.dynamodb.rate import Rate
from lake_assets.nosql.dynamodb.store import DynamoDBStore
from lake_assets_tests.dynamodb_proxy import Fault, proxied


@pytest.fixture
def store(dynamodb: Any) -> Iterator[DynamoDBStore]:
    """An empty store."""
    opened = DynamoDBStore(**dynamodb.options())
    yield opened
    opened.close()


def requests(store: DynamoDBStore, operation: str) -> list[dict[str, Any]]:
    """Return a list that the bodies of later requests of an operation are added to."""
    sent: list[dict[str, Any]] = []
    store._client.api.meta.events.register(  # pyright: ignore[reportPrivateUsage]
        f"before-send.dynamodb.{operation}", lambda request, **_: sent.append(json.loads(request.body))
    )
    return sent


def written(sent: list[dict[str, Any]]) -> int:
    return sum(len(items) for body in sent for items in body["RequestItems"].values())


def items(rows: int, changed: int = 0) -> pd.DataFrame:
    return pd.DataFrame({"k": [f"key {at}" for at in range(rows)], "v": [at < changed for at in range(rows)]})


def test_only_what_differs_is_sent_and_a_second_write_sends_nothing(store: DynamoDBStore) -> None:
    store.write("t", items(1000), key=["k"], source_commit="c1")
    sent = requests(store, "BatchWriteItem")
    result = store.write("t", items(1000, 10), key=["k"], mode="overwrite", source_commit="c2")
    assert (result.put, written(sent)) == (1000, 10)
    store.write("t", items(1000, 10), key=["k"], mode="overwrite", source_commit="c2")
    assert written(sent) == 10
    # And back, by the reverse difference.
    store.write("t", items(990), key=["k"], mode="overwrite", source_commit="c1")
    assert (written(sent), store.row_count("t")) == (30, 990)


@pytest.mark.parametrize(
    "options",
    [Options(), Options(counter=["n"], batch="1"), Options(set={"n": "old.n + new.n"}, batch="1")],
    ids=["plain", "counter", "set"],
)
def test_every_write_of_items_waits_for_the_limit_of_items_in_a_second(
    dynamodb: Any, monkeypatch: pytest.MonkeyPatch, options: Options
) -> None:
    store = DynamoDBStore(**dynamodb.options(writes_per_second=1000.0))
    waited: list[int] = []
    monkeypatch.setattr(Rate, "wait", lambda _, count: waited.append(count))
    for at in range(2):
        came = pa.table({"k": [f"key {at}" for at in range(150)], "n": [at] * 150})
        store.write("t", came, key=["k"], options=replace(options, batch=options.batch and str(at)))
        assert sum(waited) == (at + 1) * 150
    store.delete("t", ["key 1"])
    assert sum(waited) == 301
    store.close()


def refusing(store: DynamoDBStore, operations: list[str]) -> None:
    """Let the server deny operations."""
    api = store._client.api  # pyright: ignore[reportPrivateUsage]

    def deny(**_: Any) -> Any:
        response: dict[str, Any] = {"Error": {"Code": "AccessDeniedException", "Message": "not authorized"}}
        raise api.exceptions.ClientError(response, "UpdateTimeToLive")

    for operation in operations:
        setattr(api, operation, deny)


def test_time_to_live_is_on_or_the_write_says_that_it_is_not(dynamodb: Any) -> None:
    options = dynamodb.options(tags={"team": "data"})
    items = pa.table({"k": ["a"], "until": pa.array([4_000_000_000_000_000], pa.timestamp("us", "UTC"))})
    denied = DynamoDBStore(**options)
    refusing(denied, ["update_time_to_live"])
    with pytest.raises(NoSQLError, match=r"not authorized.*allow dynamodb:UpdateTimeToLive"):
        denied.write("t", items, key=["k"], options=Options(ttl="until"))
    assert denied.tables() == ()
    store = DynamoDBStore(**options)
    created = requests(store, "CreateTable")
    for _ in range(2):
        store.write("t", items, key=["k"], mode="overwrite", options=Options(ttl="until"))
    # DynamoDB Local keeps no tags, so they are looked for in what is sent.
    assert {str(body["Tags"]) for body in created} == {"[{'Key': 'team', 'Value': 'data'}]"}
    api, name = store._client.api, store._name("t")  # pyright: ignore[reportPrivateUsage]
    for table, attribute in ((name, EXPIRES), (options["prefix"], "expires")):
        found = api.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        assert found == {"TimeToLiveStatus": "ENABLED", "AttributeName": attribute}
    # Where it is on already, nobody needs to be allowed to turn it on.
    denied.write("plain", items, key=["k"])
    refusing(denied, ["describe_time_to_live"])
    create_table(store._client, name, [("k", "S")], [], EXPIRES)  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(NoSQLError, match="active on a different"):
        create_table(store._client, name, [("k", "S")], [], "other")  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(NoSQLError, match="allow dynamodb:UpdateTimeToLive"):
        create_table(denied._client, name, [("k", "S")], [], EXPIRES)  # pyright: ignore[reportPrivateUsage]
    store.close()
    denied.close()


OTHERS: dict[str, dict[str, Any]] = {
    "number as text": {"n": {"S": "5"}},
    "fraction": {"n": {"N": "1.5"}},
    "too large": {"n": {"N": "1" + "0" * 30}},
    "text as number": {"text": {"N": "5"}},
    "flag as text": {"flag": {"S": "true"}},
    "moment as number": {"at": {"N": "1500000000"}},
    "no moment": {"at": {"S": "yesterday"}},
    "decimal as a word": {"money": {"S": "much"}},
    "raw as text": {"raw": {"S": "x"}},
    "element": {"list": {"L": [{"S": "x"}]}},
    "field": {"struct": {"M": {"a": {"S": "x"}}}},
}


@pytest.mark.parametrize("key", [["k"], ["k", "m"], ["m", "k"], ["k", "m", "o"]], ids="-".join)
@pytest.mark.parametrize("spread", [1, 3])
def test_what_another_client_wrote_with_other_types_is_told_found_and_mended(
    store: DynamoDBStore, tmp_path: Path, key: list[str], spread: int
) -> None:
    if spread > 1 and len(key) == 1:
        return
    schema = pa.schema(
        [
            *[("k", pa.string()), ("m", pa.int64()), ("o", pa.string()), ("n", pa.int32()), ("text", pa.string())],
            *[("flag", pa.bool_()), ("at", pa.timestamp("us", "UTC")), ("money", pa.decimal128(9, 2))],
            *[("raw", pa.binary()), ("list", pa.list_(pa.int64())), ("struct", pa.struct([("a", pa.int64())]))],
        ]
    )
    rows = [{"k": name, "m": at, "o": "z", "n": at} for at, name in enumerate(OTHERS)]
    should = pa.Table.from_pylist([*rows, {"k": "good", "m": 99, "o": "z", "n": 7}], schema)
    options = Options(spread=spread)
    store.write("t", should, key=key, source_commit="c1", options=options)
    api, name = store._client.api, store._name("t")  # pyright: ignore[reportPrivateUsage]
    for item in api.scan(TableName=name)["Items"]:
        api.put_item(TableName=name, Item=item | OTHERS.get(item["k"]["S"], {}))
    for row, (kind, attributes) in zip(rows, OTHERS.items(), strict=True):
        (column,) = attributes
        wanted = tuple(row[part] for part in key)
        with pytest.raises(SchemaMismatch, match=rf"'t': column '{column}' is .*--repair") as told:
            store.get("t", wanted if len(key) > 1 else wanted[0])
        assert spread > 1 or str(row[key[0]]) in str(told.value), kind
    with pytest.raises(SchemaMismatch, match="--repair"):
        list(store.scan("t"))
    with pytest.raises(SchemaMismatch, match="--repair"):
        store.write("t", should.select([*key, "n"]), key=key, options=Options(update="columns"))
    found = drift(store, "t", should.to_batches(), schema, tmp_path)
    assert (found.rows, found.changed, found.count) == (12, 11, 11)
    # Where nothing depends on them, they are replaced, or removed.
    first, second = should.slice(0, 1), tuple(rows[1][part] for part in key)
    store.write("t", first, key=key)
    assert store.delete("t", [second if len(key) > 1 else second[0]]) == 1
    found = drift(store, "t", should.to_batches(), schema, tmp_path)
    assert (found.missing, found.changed) == (1, 9)
    less = should.slice(0, 5)
    store.write("t", less, key=key, mode="overwrite", source_commit="c1", options=options)
    assert not drift(store, "t", less.to_batches(), schema, tmp_path).differs
    assert store.row_count("t") == 5


@pytest.mark.parametrize("mode", ["append", "overwrite"])
@pytest.mark.parametrize("key", [["k"], ["k", "m", "o"]], ids="-".join)
def test_an_attribute_that_another_client_added_is_found_and_mended(
    store: DynamoDBStore, tmp_path: Path, key: list[str], mode: contract.SaveMode
) -> None:
    should = pa.table({"k": ["a", "b", "c"], "m": [1, 2, 3], "o": ["z"] * 3, "n": [1, None, 3]})
    options = Options(spread=2 if len(key) > 1 else 1)
    store.write("t", should, key=key, source_commit="c1", options=options)
    api, name = store._client.api, store._name("t")  # pyright: ignore[reportPrivateUsage]
    for item in api.scan(TableName=name)["Items"]:
        if item["k"]["S"] < "c":
            api.put_item(TableName=name, Item=item | {"other": {"S": "x"}})
    found = drift(store, "t", should.to_batches(), should.schema, tmp_path)
    assert (found.changed, found.count) == (2, 2)
    store.write("t", should, key=key, mode=mode, source_commit="c1", options=options)
    assert not drift(store, "t", should.to_batches(), should.schema, tmp_path).differs
    assert all("other" not in item for item in api.scan(TableName=name)["Items"])
    assert pa.Table.from_batches(store.scan("t")).to_pylist() == should.to_pylist()


def test_a_table_that_was_deleted_in_dynamodb_itself_is_told_found_and_mended(
    store: DynamoDBStore, tmp_path: Path
) -> None:
    rows = pa.table({"k": ["a", "b"], "x": [1, 2]})
    store.write("t", rows, key=["k"], source_commit="c1")
    store._client.api.delete_table(TableName=store._name("t"))
    for use in (lambda: list(store.scan("t")), lambda: store.write("t", rows, key=["k"])):
        with pytest.raises(NoSQLError, match=r"somebody deleted it in DynamoDB: .*verify t --repair"):
            use()
    found = drift(store, "t", rows.to_batches(), rows.schema, tmp_path)
    assert (found.missing, found.changed, found.extra) == (2, 0, 0)
    store.write("t", rows, key=["k"], mode="overwrite", source_commit="c1", expected_commit="c1", check_expected=True)
    assert store.row_count("t") == 2
    assert sorted(row["k"] for batch in store.scan("t") for row in batch.to_pylist()) == ["a", "b"]


def test_an_item_with_a_key_that_is_none_of_the_table_is_told(store: DynamoDBStore, tmp_path: Path) -> None:
    should = pa.table({"k": ["a"], "m": [1], "o": ["z"]})
    store.write("t", should, key=["k", "m", "o"])
    api, name = store._client.api, store._name("t")  # pyright: ignore[reportPrivateUsage]
    api.put_item(TableName=name, Item={"k": {"S": "a"}, "lake.sort-key": {"B": b"x"}})
    with pytest.raises(SchemaMismatch, match="'m' contains a null"):
        list(store.scan("t"))
    with pytest.raises(SchemaMismatch, match=r"no key of \('k', 'm', 'o'\): delete it"):
        drift(store, "t", should.to_batches(), should.schema, tmp_path)


@pytest.mark.parametrize("key", [["k"], ["k", "m", "o"]], ids="-".join)
def test_an_overwrite_may_give_columns_other_types(store: DynamoDBStore, key: list[str]) -> None:
    for values in ([1, 2], ["x", "y"], [3, 4]):
        items = pa.table({"k": ["a", "b"], "m": values, "o": values})
        store.write("t", items, key=key, mode="overwrite")
        assert pa.Table.from_batches(store.scan("t")).to_pylist() == items.to_pylist()


def test_an_overwrite_by_another_time_to_live_expires_by_that(store: DynamoDBStore) -> None:
    ends = (datetime(2100, 1, 1, tzinfo=timezone.utc), datetime(2200, 1, 1, tzinfo=timezone.utc))
    items = pa.table({"k": ["a"], "first": [ends[0]], "second": [ends[1]]})
    for column, end in zip(("first", "second"), ends, strict=True):
        store.write("t", items, key=["k"], mode="overwrite", options=Options(ttl=column))
        (item,) = store._client.api.scan(TableName=store._name("t"))["Items"]  # pyright: ignore[reportPrivateUsage]
        assert item[EXPIRES] == {"N": str(int(end.timestamp()))}


def test_a_table_whose_writer_was_killed_while_it_made_it_anew_is_not_there_and_the_next_write_makes_it(
    store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = pa.table({"k": ["a", "b"], "n": [1, 2]})
    store.write("t", items, key=["k"], source_commit="c1")

    def killed(*_: Any) -> None:
        raise KeyboardInterrupt

    anew: dict[str, Any] = {"key": ["k", "n"], "mode": "overwrite", "source_commit": "c2"}
    with monkeypatch.context() as patch:
        patch.setattr(table_write, "create_table", killed)
        with pytest.raises(KeyboardInterrupt):
            store.write("t", items, **anew)
    assert (store.source_commit("t"), store.tables()) == (None, ())
    assert store.write("t", items, **anew, expected_commit=None, check_expected=True).row_count == 2
    assert pa.Table.from_batches(store.scan("t")).to_pylist() == items.to_pylist()


def test_items_that_are_too_large_are_refused_by_their_key_before_anything_is_written(store: DynamoDBStore) -> None:
    store.write("t", pa.table({"k": ["a"], "text": ["small"]}), key=["k"])
    large = pa.table({"k": ["a", "b"], "text": ["new", "x" * 410_000]})
    with pytest.raises(SchemaMismatch, match=r"'t'.*'b'.*410,"):
        store.write("t", large, key=["k"])
    assert store.get("t", "a") == {"k": "a", "text": "small"}
    fits = pa.table({"k": ["b"], "text": ["x" * 409_000]})
    assert store.write("t", fits, key=["k"]).row_count == 2


def test_unprocessed_items_are_sent_again_until_all_are_stored(store: DynamoDBStore) -> None:
    api = store._client.api  # pyright: ignore[reportPrivateUsage]
    send, rounds = api.batch_write_item, []

    def leaving_some(RequestItems: dict[str, list[Any]]) -> dict[str, Any]:  # noqa: N803
        ((table, wanted),) = RequestItems.items()
        rounds.append(len(wanted))
        done = wanted[: (len(wanted) + 1) // 2]
        send(RequestItems={table: done})
        return {"UnprocessedItems": {table: wanted[len(done) :]} if len(done) < len(wanted) else {}}

    api.batch_write_item = leaving_some
    assert store.write("t", items(60), key=["k"]).row_count == 60
    assert len(rounds) > 3
    api.batch_write_item = send
    assert sorted(k for batch in store.scan("t") for k in batch.column("k").to_pylist()) == sorted(items(60)["k"])


@pytest.mark.parametrize("fault", [pytest.param("throttled", marks=pytest.mark.soak), "dropped", "lost", "slow"])
def test_a_server_that_throttles_drops_or_answers_slowly_loses_nothing(dynamodb: Any, fault: Fault) -> None:
    with proxied(dynamodb.endpoint) as proxy:
        store = DynamoDBStore(**dynamodb.options(endpoint_url=proxy.endpoint))
        store.write("counts", items(120).assign(n=0)[["k", "n"]], key=["k"])
        proxy.fault = fault
        store.write("t", items(200), key=["k"], source_commit="c1")
        store.write("t", items(190, 5), key=["k"], mode="overwrite", source_commit="c2")
        options = Options(counter=["n"], batch="1")
        store.write("counts", items(120).assign(n=1)[["k", "n"]], key=["k"], options=options)
        more = Options(condition="new.n > old.n")
        result = store.write("counts", items(40).assign(n=2)[["k", "n"]], key=["k"], options=more)
        found = pd.concat([batch.to_pandas() for batch in store.scan("t")])
        counts = [n for batch in store.scan("counts") for n in batch.column("n").to_pylist()]
        store.close()
    assert proxy.faults > 3
    assert (len(found), found["v"].sum()) == (190, 5)
    assert (result.put, result.kept) == (40, 0)
    assert sorted(counts) == [1] * 80 + [2] * 40


def cancelling(store: DynamoDBStore, reasons: list[str], times: int) -> list[str]:
    """Let the first calls of transactions be cancelled. Return a list of the tokens of all."""
    api = store._client.api  # pyright: ignore[reportPrivateUsage]
    send, tokens = api.transact_write_items, []

    def cancelled(**arguments: Any) -> Any:
        tokens.append(arguments["ClientRequestToken"])
        if len(tokens) > times:
            return send(**arguments)
        if reasons == ["TransactionInProgressException"]:
            response: dict[str, Any] = {"Error": {"Code": reasons[0], "Message": "it is in progress"}}
            raise api.exceptions.TransactionInProgressException(response, "TransactWriteItems")
        response = {
            "Error": {"Code": "TransactionCanceledException", "Message": "cancelled"},
            "CancellationReasons": [{"Code": code, "Message": f"why {code}"} for code in reasons],
        }
        raise api.exceptions.TransactionCanceledException(response, "TransactWriteItems")

    api.transact_write_items = cancelled
    return tokens


@pytest.mark.parametrize(
    "reasons",
    [
        ["None", "ThrottlingError"],
        ["None", "ProvisionedThroughputExceeded", "TransactionConflict"],
        ["TransactionConflict", "None"],
        ["TransactionInProgressException"],
    ],
    ids="-".join,
)
def test_a_transaction_that_is_throttled_is_repeated_as_the_same_one(store: DynamoDBStore, reasons: list[str]) -> None:
    store.write("t", pa.table({"k": ["a"], "n": [1]}), key=["k"])
    tokens = cancelling(store, reasons, 3)
    store.write("t", pa.table({"k": ["a"], "n": [2]}), key=["k"], source_commit="c1")
    assert len(set(tokens[:4])) == 1
    assert store.get("t", "a") == {"k": "a", "n": 2}


def test_a_transaction_that_is_refused_says_why_and_one_that_is_throttled_ends(
    store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = pa.table({"k": ["a"], "n": [1]})
    store.write("t", items, key=["k"])
    tokens = cancelling(store, ["None", "ValidationError", "ThrottlingError"], 1)
    with pytest.raises(NoSQLError, match=r"'t'.*ValidationError: why ValidationError; ThrottlingError: why"):
        store.write("t", items, key=["k"])
    assert len(tokens) == 1
    monkeypatch.setattr(client, "PATIENCE", 0.3)
    tokens = cancelling(store, ["None", "ThrottlingError"], 1000)
    with pytest.raises(NoSQLError, match=r"'t'.*ThrottlingError: why ThrottlingError.*again"):
        store.write("t", items, key=["k"])
    assert 2 < len(tokens) < 20


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"k": ["a", ""], "v": ["x", "y"]}, "'k' contains an empty string"),
        ({"k": ["a", None], "v": ["x", "y"]}, "'k' contains a null"),
        ({"k": ["a", "a"], "v": ["x", "y"]}, "key 'a' more than once"),
        ({"k": ["a", "b" * 3000], "v": ["x", "y"]}, "more than 511 bytes"),
        ({"k": ["a", "b"], "v": ["x", "y" * 410_000]}, "the item with key 'b' has 410,"),
    ],
)
def test_bad_rows_are_refused_and_nothing_is_written(store: DynamoDBStore, rows: dict[str, Any], words: str) -> None:
    store.write("t", pa.table({"k": ["a"], "v": ["old"]}), key=["k"])
    with pytest.raises(SchemaMismatch, match=words):
        store.write("t", pa.table(rows), key=["k"])
    assert [row for batch in store.scan("t") for row in batch.to_pylist()] == [{"k": "a", "v": "old"}]


def test_a_log_that_grew_without_a_bound_is_cut(store: DynamoDBStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contract, "LOGGED", 10)
    store.write("t", items(1), key=["k"])
    catalog = store._catalog  # pyright: ignore[reportPrivateUsage]
    (one,) = catalog.items("log of t")
    for at in range(40):
        # Operations had no numbers.
        earlier = one | {"name": {"S": f"2025-01-01T00:00:00.{at:06}+00:00 {at:032x}"}}
        store._client.api.put_item(TableName=catalog.name, Item=earlier)  # pyright: ignore[reportPrivateUsage]
    store._client.api.delete_item(  # pyright: ignore[reportPrivateUsage]
        TableName=catalog.name, Key={name: one[name] for name in ("kind", "name")}
    )
    for _ in range(2):
        store.write("t", items(2), key=["k"])
        assert len(store.history("t")) == 10

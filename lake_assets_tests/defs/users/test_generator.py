"""The made-up users: always the same, in the schema of the sample file, and of nobody."""

from __future__ import annotations

import hashlib
import ipaddress
import json

import pyarrow.parquet as pq

from lake_assets.defs.users.generator import ROWS, generate
from lake_assets.defs.users.schema import COLUMNS
from lake_assets_tests.conftest import REPOSITORY_ROOT

DOCUMENTATION = [ipaddress.ip_network(network) for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]


def digest(batch: str) -> str:
    return hashlib.sha256(json.dumps(generate(batch).to_pylist(), default=str).encode()).hexdigest()


def test_a_batch_is_the_same_in_every_process_and_on_every_machine() -> None:
    assert digest("userdata1") == "6c5492fc511941fbb737231e38de4158493d3d16c3991e6a0baa81c6a95d17fb"


def test_another_batch_has_other_users() -> None:
    first, second = (generate(batch) for batch in ("userdata1", "userdata2"))
    assert first.num_rows == second.num_rows == ROWS
    same = sum(a == b for a, b in zip(first["email"].to_pylist(), second["email"].to_pylist(), strict=True))
    assert same < ROWS / 100


def test_the_columns_are_those_of_the_sample_file() -> None:
    table = generate("userdata1")
    assert table.column_names == [column.name for column in COLUMNS]
    sample = REPOSITORY_ROOT.parent / "shared" / "data" / "users" / "userdata1.parquet"
    if sample.is_file():
        stored = pq.read_schema(sample)
        assert table.column_names == stored.names
        # INT96 is read in nanoseconds, and of no zone.
        assert table.schema.types[1:] == stored.types[1:]


def test_no_mail_address_and_no_host_is_a_real_one() -> None:
    table = generate("userdata1")
    assert {email.split("@")[1] for email in table["email"].to_pylist()} == {
        "example.com",
        "example.net",
        "example.org",
    }
    addresses = {ipaddress.ip_address(address) for address in table["ip_address"].to_pylist()}
    assert all(any(address in network for network in DOCUMENTATION) for address in addresses)


def test_values_are_missing_as_they_are_in_the_sample_file() -> None:
    rows = generate("userdata1").to_pylist()
    assert 0 < sum(row["salary"] is None for row in rows) < ROWS / 5
    for name in ("gender", "cc", "birthdate", "title", "comments"):
        assert 0 < sum(row[name] == "" for row in rows) < ROWS

"""lakeFS behind a network that fails: nothing is done twice, nothing is lost, and an end comes in time."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator

import pytest

from lake_assets.lake.contract import Lake
from lake_assets.lake.errors import LakeUnavailable
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets_tests import lakefs_server
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import paths, put, read
from lake_assets_tests.lake.faults import FaultyProxy
from lake_assets_tests.lakefs_server import CREDENTIALS

pytestmark = pytest.mark.services

KINDS = ["429", "500", "503", "drop before", "drop after", "500 after", "slow"]


@pytest.fixture(scope="module")
def proxy() -> Iterator[FaultyProxy]:
    with FaultyProxy(lakefs_server.shared_endpoint()) as proxy:
        yield proxy


@pytest.fixture
def lake(proxy: FaultyProxy) -> LakeFSLake:
    repository = lakefs_server.fresh_repository().rpartition("/")[2]
    lake = LakeFSLake(proxy.endpoint, *CREDENTIALS, repository, deadline=20)
    lake.create_branch("mine", "main")
    put(lake, "mine", "stocks", {"a": "1"})
    return lake


def write(lake: Lake) -> None:
    put(lake, "mine", "stocks", {"b": "2"}, message="Second")
    assert [commit.message for commit in lake.log("mine", 3)] == ["Second", "Write stocks", "Format"]
    assert read(lake, "mine", "stocks") == {"b": "2"}


def merge(lake: Lake) -> None:
    merged = lake.merge("mine", "main", "Publish", audit=TESTS)
    assert lake.head("main") == merged
    assert [commit.message for commit in lake.log("main", 3)] == ["Publish", "Write stocks", "Format"]


def revert(lake: Lake) -> None:
    lake.revert(lake.head("mine").id, "mine", "Undo")
    assert [commit.message for commit in lake.log("mine", 3)] == ["Undo", "Write stocks", "Format"]
    assert paths(lake, "mine") == []


def branch(lake: Lake) -> None:
    assert lake.create_branch("other", "mine") == lake.head("mine")
    lake.delete_branch("other")
    assert lake.branches() == ("main", "mine")


def read_all(lake: Lake) -> None:
    assert read(lake, "mine", "stocks") == {"a": "1"}
    assert lake.diff("main", "mine").added == ("stocks/a",)


CALLS: list[tuple[Callable[[Lake], None], str]] = [
    (write, r"POST .*/branches$"),
    (write, r"POST .*/objects\?path=.lake"),
    (write, r"POST .*/objects/delete"),
    (write, r"GET .*/branches/[^/]+/diff"),
    (write, r"POST .*/branches/[^/]+/commits"),
    (write, r"POST .*/refs/[^/]+/merge/mine"),
    (write, r"DELETE .*/branches/_private"),
    (merge, r"POST .*/refs/mine/merge/main"),
    (merge, r"GET .*/refs/mine/merge/main"),
    (revert, r"POST .*/revert"),
    (revert, r"POST .*/refs/[^/]+/merge/mine"),
    (branch, r"POST .*/branches$"),
    (branch, r"DELETE .*/branches/other"),
    (read_all, r"GET .*/refs/mine/commits"),
    (read_all, r"GET .*/refs/main/diff/mine"),
]


# Everything that may happen, to what must not happen twice; the two that differ most, to the rest.
CASES = [
    pytest.param(act, call, kind, id=f"{act.__name__}: {call}: {kind}")
    for act, call in CALLS
    for kind in (KINDS if re.search(r"commits$|merge/|revert$", call) and "POST" in call else ["503", "drop after"])
]


@pytest.mark.parametrize(("act", "request_", "kind"), CASES)
def test_a_fault_changes_no_result(
    proxy: FaultyProxy, lake: LakeFSLake, act: Callable[[Lake], None], request_: str, kind: str
) -> None:
    fault = proxy.inject(kind, request_)
    act(lake)
    assert fault.met.is_set()
    assert lake.private_branches() == {}


def test_a_server_that_only_fails_is_given_up_within_the_deadline() -> None:
    began = time.monotonic()
    with pytest.raises(LakeUnavailable, match=r"gave up after 2 s: check that the server") as caught:
        LakeFSLake("http://127.0.0.1:9", *CREDENTIALS, "lake", deadline=2)
    assert time.monotonic() - began < 5
    assert CREDENTIALS[1] not in str(caught.value)


def test_wrong_credentials_are_named_and_not_tried_again(lake: LakeFSLake, proxy: FaultyProxy) -> None:
    with pytest.raises(LakeUnavailable, match="refuses these credentials: check LAKEFS_ACCESS_KEY_ID") as caught:
        LakeFSLake(proxy.endpoint, CREDENTIALS[0], "not the secret", "lake", deadline=20)
    assert "not the secret" not in str(caught.value)
    assert "not the secret" not in repr(lake)

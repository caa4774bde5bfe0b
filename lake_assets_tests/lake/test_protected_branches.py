"""Working branches: protected as `main` is, made and deleted as other branches are, and never anything else."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pygit2
import pytest

from lake_assets.lake.contract import Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.lake.errors import AlreadyExists, InvalidName, ProtectedBranch, RefNotFound, Unaudited
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets.lake.transaction import transaction
from lake_assets_tests.audits import TESTS
from lake_assets_tests.lake.backends import LakeSpec, put, read, run_together


@pytest.fixture
def dev(lake: Lake) -> str:
    """A working branch that begins at a `main` with a file."""
    put(lake, "work", "prices", {"a": "1"})
    lake.merge("work", "main", audit=TESTS)
    lake.create_branch("dev-ana", "main", protected=True)
    return "dev-ana"


def test_it_is_listed_until_it_is_deleted(lake: Lake, dev: str) -> None:
    assert lake.protected_branches() == (dev, "main")
    assert set(lake.branches()) == {dev, "main", "work"}
    lake.delete_branch(dev)
    assert lake.protected_branches() == ("main",)
    # The name is free again, for a branch of either kind.
    lake.create_branch(dev, "main")
    put(lake, dev, "prices", {"b": "2"})
    lake.delete_branch(dev)
    lake.create_branch(dev, "main", protected=True)
    assert lake.protected_branches() == (dev, "main")


def test_only_an_audited_merge_moves_it(lake: Lake, dev: str) -> None:
    head = lake.head(dev)
    with pytest.raises(ProtectedBranch):
        put(lake, dev, "prices", {"b": "2"})
    with pytest.raises(ProtectedBranch):
        lake.revert("main", dev)
    lake.create_branch("trial", dev)
    put(lake, "trial", "prices", {"b": "2"})
    with pytest.raises(Unaudited):
        lake.merge("trial", dev)
    with pytest.raises(Unaudited), transaction(lake, dev) as begun, begun.write("other") as write:
        Path(write.root).name  # noqa: B018 - nothing is written
    assert lake.head(dev) == head
    merged = lake.merge("trial", dev, audit=TESTS)
    assert lake.head(dev) == merged
    assert merged.parents[0] == head.id
    assert "audit" in merged.metadata
    assert read(lake, "main", "prices") == {"a": "1"}


def test_another_handle_of_the_lake_sees_it(lake: Lake, dev: str, lake_backend: LakeSpec) -> None:
    other = lake_backend.open()
    assert other.protected_branches() == (dev, "main")
    with pytest.raises(ProtectedBranch):
        put(other, dev, "prices", {"b": "2"})
    other.close()


TEMPORARY = ["run-1", "Run-1", "step-2", "rollback-x", "delete-x", "transaction-x", "migration-x", "_private-x"]
ODD = [
    "",
    "a b",
    "a/b",
    "a.b",
    "-a",
    "ä",
    "a" * 201,
    "0" * 40,
    "x\n",
    "main",
    "Main",
    "HEAD",
    "head",
    "a--b",
    "be76259",
]


@pytest.mark.parametrize("name", [*TEMPORARY, *ODD])
def test_a_name_of_something_else_is_refused(lake: Lake, name: str) -> None:
    with pytest.raises(InvalidName):
        lake.create_branch(name, "main", protected=True)
    assert lake.protected_branches() == ("main",)


def test_a_name_that_is_taken_stays_what_it_is(lake: Lake, dev: str) -> None:
    lake.tag("v1", "main")
    for name in (dev, "work", "v1"):
        with pytest.raises(AlreadyExists):
            lake.create_branch(name, "main", protected=True)
    with pytest.raises(AlreadyExists):
        lake.create_branch(dev, "main")
    with pytest.raises(AlreadyExists):
        lake.tag(dev, "main")
    assert lake.protected_branches() == (dev, "main")
    put(lake, "work", "prices", {"b": "2"})
    with pytest.raises(RefNotFound):
        lake.create_branch("later", "nowhere", protected=True)
    assert lake.protected_branches() == (dev, "main")


def test_branching_copies_no_byte(lake: Lake, dev: str) -> None:
    assert [item.physical_address for item in lake.list(dev)] == [item.physical_address for item in lake.list("main")]


def _make(number: int, spec: LakeSpec) -> None:
    lake = spec.open()
    with suppress(AlreadyExists):
        lake.create_branch("one", "main", protected=True)
    lake.create_branch(f"own{number}", "main", protected=True)
    lake.close()


def test_several_processes_make_branches_at_once_and_each_is_protected(lake: Lake, lake_backend: LakeSpec) -> None:
    run_together(_make, 6, lake_backend)
    names = ["one", *(f"own{number}" for number in range(6))]
    assert lake.protected_branches() == ("main", *names)
    for name in names:
        with pytest.raises(ProtectedBranch):
            put(lake, name, "prices", {"b": "2"})
    if isinstance(lake, LakeFSLake):
        rules = lake.api.call("GET", "/settings/branch_protection")
        assert {rule["pattern"] for rule in rules} == {"main", *names}


def _upload_until_refused(lake: LakeFSLake, branch: str) -> None:
    """Write past the product. The server knows a new rule after a moment."""
    for number in range(10_000):
        lake.api.call("POST", f"/branches/{branch}/objects", query={"path": f"a{number}"}, body=b"1")


@pytest.mark.services
def test_lakefs_refuses_other_programs(tmp_path: Path) -> None:
    from lake_assets_tests.lake.backends import fresh_place

    lake = LakeSpec("lakefs", fresh_place("lakefs", tmp_path)).open()
    assert isinstance(lake, LakeFSLake)
    lake.create_branch("dev", "main", protected=True)
    with pytest.raises(ProtectedBranch):
        _upload_until_refused(lake, "dev")
    lake.delete_branch("dev")
    assert [rule["pattern"] for rule in lake.api.call("GET", "/settings/branch_protection")] == ["main"]


def test_a_protection_whose_branch_a_killed_process_never_made_is_in_nobodys_way(tmp_path: Path) -> None:
    lake = GitLake(tmp_path)
    git = pygit2.Repository(str(tmp_path / "lake.git"))
    git.references.create("refs/protected/dev", git.references["refs/heads/main"].target)
    assert lake.protected_branches() == ("main",)
    lake.create_branch("dev", "main")
    put(lake, "dev", "prices", {"a": "1"})
    assert lake.protected_branches() == ("main",)

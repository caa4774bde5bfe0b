"""One write as a value: what it may change, named as the lake names it."""

from __future__ import annotations

import inspect
from dataclasses import FrozenInstanceError

import pytest

from lake_assets.lake.contract import Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.lake.errors import InvalidName
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets.lake.spec import WriteSpec
from lake_assets.lake.transaction import Transaction


@pytest.mark.parametrize("kind", [Lake, GitLake, LakeFSLake, Transaction])
def test_a_caller_names_every_option_of_a_write(kind: type) -> None:
    parameters = inspect.signature(kind.write).parameters.values()
    positional = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    assert positional[-1] == "prefix"


def test_a_spec_names_each_folder_as_the_lake_does() -> None:
    spec = WriteSpec(branch="work", prefix="t/", partitions=["b=2/", "b=1", "b=1/c=1"], beside=["_beside/t/"])
    checked = spec.checked("a lake")
    assert checked.targets == ["t/b=1", "t/b=2"]
    assert checked.roots == ["t", "_beside/t"]
    assert checked.updates("_beside/t/file")
    assert not checked.updates("t/b=1/file")
    assert not checked.appends


def test_without_partitions_the_target_is_the_prefix() -> None:
    assert WriteSpec(branch="work", prefix="t").checked("a lake").targets == ["t"]
    assert WriteSpec(branch="work", prefix="t", partitions=[]).checked("a lake").targets == []


def test_a_spec_refuses_what_no_lake_can_write() -> None:
    with pytest.raises(InvalidName):
        WriteSpec(branch="work", prefix="").checked("a lake")
    with pytest.raises(InvalidName):
        WriteSpec(branch="work", prefix="t", beside=["t/below"]).checked("a lake")
    with pytest.raises(ValueError, match="mode must be"):
        WriteSpec(branch="work", prefix="t", mode="replace").checked("a lake")  # pyright: ignore[reportArgumentType]


def test_a_spec_does_not_change() -> None:
    spec = WriteSpec(branch="work", prefix="t")
    with pytest.raises(FrozenInstanceError):
        spec.mode = "append"  # pyright: ignore[reportAttributeAccessIssue]

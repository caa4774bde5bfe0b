"""An asset's folder is its own, whatever the keys."""

from __future__ import annotations

from pathlib import PurePosixPath
from urllib.parse import quote

import pytest
from dagster import AssetKey
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.lake.errors import InvalidName
from lake_assets.lake.names import check_path, is_within
from lake_assets.layout.asset_folders import folders_of_name, key_of_prefix, name_of, old_prefix_of, prefix_of

awkward = st.text(st.sampled_from("ab.~_/\\%=-é \n*0G") | st.characters(codec="utf-8"), max_size=8)
plain = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,5}", fullmatch=True)
keys = st.lists(plain | awkward | st.sampled_from(["git", "Git ", "GIT~1", "sales"]), min_size=1, max_size=4).map(
    AssetKey
)


@pytest.mark.parametrize(
    ("components", "folder"),
    [
        (["sales"], "sales"),
        (["sales", "daily"], "sales.daily"),
        (["sales.daily"], "sales~2Edaily"),
        (["sales/daily"], "sales~2Fdaily"),
        (["a", "b", "c"], "a.b.c"),
        (["words_2", "by-hour"], "words_2.by-hour"),
        (["_hidden"], "~5Fhidden"),
        (["day=1"], "day~3D1"),
        (["Köln"], "K~C3~B6ln"),
        (["git~1"], "~67it~7E1"),
        (["a", ""], "a.~"),
    ],
)
def test_a_folder_is_the_components_joined_by_dots(components: list[str], folder: str) -> None:
    assert prefix_of(AssetKey(components)) == folder


@given(keys, keys)
def test_two_keys_have_two_folders_and_none_lies_in_the_other(one: AssetKey, other: AssetKey) -> None:
    left, right = prefix_of(one), prefix_of(other)
    assert (left == right) == (one == other)
    assert one == other or not is_within(left, right)
    assert left.casefold() != right.casefold() or any(
        a.casefold() == b.casefold() for a, b in zip(one.path, other.path, strict=True)
    )


@given(keys)
def test_a_folder_is_a_plain_name_to_lake_engines_and_uris_and_tells_its_key(key: AssetKey) -> None:
    folder = prefix_of(key)
    if len(folder) > 255:
        with pytest.raises(InvalidName, match="longer than 255 bytes: shorten it"):
            check_path(folder, "lake")
    else:
        assert check_path(folder, "lake") == folder
    assert folder == quote(folder)
    assert len(PurePosixPath(folder).parts) == 1
    assert not folder.startswith(("_", "."))
    assert key_of_prefix(folder) == key


@given(keys)
def test_the_name_in_a_commit_tells_the_folder_and_the_one_of_before(key: AssetKey) -> None:
    assert folders_of_name(name_of(key))[0] == prefix_of(key)
    assert folders_of_name(name_of(key))[-1] == old_prefix_of(key)


@pytest.mark.parametrize("folder", ["", "_x", "a b", "a~2eb", "a~", "~61", "a..b", "a~FF", "a~+1", "é"])
def test_other_folders_are_no_assets(folder: str) -> None:
    assert key_of_prefix(folder) is None

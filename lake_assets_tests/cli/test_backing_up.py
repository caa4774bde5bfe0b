"""`backup` and `restore`: the lake with its tables."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas
import pygit2
import pytest

from lake_assets import environments
from lake_assets.backup.folder import taken
from lake_assets.lake.contract import Lake
from lake_assets.lake.embedded.repairs import repair
from lake_assets.nosql.contract import NoSQLStore
from lake_assets.nosql.lmdb.restoring import restore_tables
from lake_assets.nosql.lmdb.store import LMDBStore
from lake_assets_tests.audits import TESTS
from lake_assets_tests.cli.conftest import Command

Answer = Callable[..., Any]
Refused = Callable[..., str]


def move_main(lake: Lake, text: str) -> str:
    """Publish one file, and return the commit."""
    lake.create_branch("mine", "main")
    with lake.write("mine", "notes") as write:
        Path(write.root, "note.txt").write_text(text)
    merged = lake.merge("mine", "main", audit=TESTS)
    lake.delete_branch("mine")
    return merged.id


def feed(store: NoSQLStore, commit: str, *keys: str) -> None:
    """Make a table what a commit says."""
    rows = pandas.DataFrame({"key": list(keys), "commit": [commit] * len(keys)})
    store.write("notes", rows, key=["key"], mode="overwrite", source_commit=commit)


def notes(folder: Path) -> tuple[str | None, list[str]]:
    """Return the commit and the keys of the table in a folder."""
    with closing(LMDBStore(folder, read_only=True)) as store:
        return store.source_commit("notes"), [row["key"] for batch in store.scan("notes") for row in batch.to_pylist()]


def test_a_backup_is_a_lake_with_its_tables_and_restores_both(
    command: Command,
    answer: Answer,
    lake: Lake,
    store: NoSQLStore,
    lake_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    feed(store, move_main(lake, "one"), "a", "b")
    target = tmp_path / "backup"
    said = command("backup", str(target))
    assert said.stdout == (
        f"Backed up main at {lake.head('main').id} to {target}: 6 new data file(s), "
        f"{said.stdout.partition('file(s), ')[2]}"
    )
    assert said.stdout.endswith("6 of them by hard link (not read); 3 table(s)\n")
    assert notes(target / "nosql") == (lake.head("main").id, ["a", "b"])
    before = lake.head("main").id
    copied = (target / "nosql" / "data.mdb").stat().st_ino
    again = answer("backup", str(target))
    assert (again["main"], again["copied"]["linked"], again["tables"]["notes"]) == (before, 0, before)
    assert (target / "nosql" / "data.mdb").stat().st_ino == copied, "unchanged tables are not copied again"
    feed(store, move_main(lake, "two"), "c")
    store.close()
    monkeypatch.setenv("LAKE_HOME", str(target))
    assert [entry["path"] for entry in answer("ls", "main:notes")] == ["notes/note.txt"]
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "new"))
    assert f"Restored main at {before}" in command("restore", str(target)).stdout
    assert answer("tables")[-1]["source_commit"] == before
    assert notes(tmp_path / "new" / "nosql") == (before, ["a", "b"])
    restored = environments.open_lake()
    assert restored.head("main").id == before
    assert list(restored.verify("main")) == []
    restored.close()


def test_tables_are_copied_while_they_are_written(
    store: NoSQLStore, lake: Lake, answer: Answer, tmp_path: Path
) -> None:
    """What the backup's table reflects is reached by the backup's main, whatever is written meanwhile."""
    target = tmp_path / "backup"
    for text in ("one", "two", "three"):
        feed(store, move_main(lake, text), text)
        answer("backup", str(target))
        with closing(environments.open_lake()) as opened:
            commit, keys = notes(target / "nosql")
            assert commit is not None
            assert opened.unreached([answer("backup", str(target))["main"]], [commit]) == ()
            assert keys == [text]


def test_nothing_is_backed_up_onto_the_lake_or_beside_other_things(
    refused: Refused, lake: Lake, store: NoSQLStore, lake_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(lake_home)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    (tmp_path / "file").write_text("x")
    for place in (lake_home, lake_home / "backup", lake_home / "nosql" / "x", tmp_path, tmp_path / "link"):
        assert "are not apart: name a folder elsewhere" in refused("backup", str(place)), place
    assert "holds other things than a backup" in refused("backup", str(tmp_path / "full"))
    assert "cannot be used for a backup" in refused("backup", str(tmp_path / "file"))
    assert "cannot be used for a backup" in refused("backup", str(tmp_path / "file" / "below"))
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["letter.txt"]
    with taken(tmp_path / "backup", "lake", []):
        assert "another backup" in refused("backup", str(tmp_path / "backup"))


def test_a_backup_that_is_used_as_a_lake_is_not_backed_up_onto_itself(
    command: Command, refused: Refused, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("backup", str(tmp_path / "backup")).exit_code == 0
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "backup"))
    assert "are not apart" in refused("backup", str(tmp_path / "backup"))
    assert "are not apart" in refused("restore", str(tmp_path / "backup"))


def test_a_living_lake_and_its_tables_are_replaced_only_where_that_is_said(
    command: Command, answer: Answer, refused: Refused, lake: Lake, store: NoSQLStore, lake_home: Path, tmp_path: Path
) -> None:
    target = tmp_path / "backup"
    old = move_main(lake, "one")
    feed(store, old, "a")
    answer("backup", str(target))
    feed(store, move_main(lake, "two"), "b")
    newer = lake.head("main").id
    assert "give --replace" in refused("restore", str(target))
    assert (lake.head("main").id, notes(lake_home / "nosql")[1]) == (newer, ["b"])
    store.drop("notes")
    assert "give --replace" in refused("restore", str(target))
    assert not list(lake_home.glob("*replaced*"))
    store.close()
    assert answer("restore", str(target), "--replace")["main"] == old
    assert notes(lake_home / "nosql") == (old, ["a"])
    assert len(list(lake_home.glob("lake.git.replaced-*"))) == 1
    assert len(list(lake_home.glob("nosql.replaced-*"))) == 1
    # The lake alone is lost: the tables are those of the backup already.
    shutil.rmtree(lake_home / "lake.git")
    assert answer("restore", str(target))["main"] == old


def test_what_is_no_backup_restores_nothing(refused: Refused, lake_home: Path, tmp_path: Path) -> None:
    assert "no complete backup" in refused("restore", str(tmp_path / "nowhere"))
    assert not (lake_home / "lake.git").exists()
    assert not (lake_home / "nosql").exists()


@pytest.mark.parametrize("copy", [[], ["--copy"]])
@pytest.mark.parametrize("setting", ["group", "umask"])
def test_backup_and_restored_lake_have_the_permissions_of_the_lake(
    command: Command,
    lake: Lake,
    store: NoSQLStore,
    lake_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    copy: list[str],
) -> None:
    git_dir = lake_home / "lake.git"
    pygit2.Config(str(git_dir / "config"))["core.sharedRepository"] = setting
    before = os.umask(0o077)
    try:
        for path in (git_dir / "lfs").rglob("*"):
            path.chmod(0o700 if path.is_dir() else 0o400)
        assert list(repair(lake_home)) == []
        for text in ("one", "two"):
            with closing(environments.open_lake()) as opened:
                feed(store, move_main(opened, text), text)
            assert command("backup", str(tmp_path / "backup"), *copy).exit_code == 0
        monkeypatch.setenv("LAKE_HOME", str(tmp_path / "new"))
        assert command("restore", str(tmp_path / "backup"), *copy).exit_code == 0
    finally:
        os.umask(before)
    for place in (tmp_path / "backup", tmp_path / "new"):
        modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (place, *place.rglob("*"))}
        assert [path for path, mode in modes.items() if bool(mode & stat.S_IRGRP) != (setting == "group")] == []
        assert {path: oct(mode) for path, mode in modes.items() if mode & 0o007} == {}
        folders = {path: bool(mode & stat.S_IWGRP) for path, mode in modes.items() if path.is_dir()}
        assert [path for path, writable in folders.items() if writable != (setting == "group")] == []


def test_what_fails_leaves_no_copy_of_the_tables_behind(
    refused: Refused, command: Command, lake: Lake, store: NoSQLStore, tmp_path: Path
) -> None:
    target = tmp_path / "backup"
    feed(store, move_main(lake, "one"), "a")
    assert command("backup", str(target)).exit_code == 0
    switch = restore_tables(target / "nosql", tmp_path / "new" / "nosql")
    assert (tmp_path / "new" / ".nosql.new").exists()
    del switch
    assert list((tmp_path / "new").iterdir()) == []
    feed(store, move_main(lake, "two"), "b")
    switch = store.backup(target / "nosql")
    assert (target / "nosql" / "new").exists()
    del switch
    assert not (target / "nosql" / "new").exists()
    assert notes(target / "nosql")[1] == ["a"]


def test_missing_data_are_named_and_the_exit_code_says_so(command: Command, lake: Lake, tmp_path: Path) -> None:
    (item,) = list(lake.list("main", "blob"))
    Path(item.physical_address.removeprefix("file://")).unlink()
    result = command("backup", str(tmp_path / "backup"))
    assert (result.exit_code, result.stderr.splitlines()) == (
        1,
        ["blob/noise.bin: missing or damaged at its origin, and not in the copy"],
    )


def put_note(lake: Lake, text: str) -> str:
    """Publish one file through the lake's own file system, and return the commit."""
    lake.create_branch("mine", "main")
    with lake.write("mine", "notes") as write, write.filesystem.open_output_stream(f"{write.root}/note.txt") as file:
        file.write(text.encode())
    merged = lake.merge("mine", "main", audit=TESTS)
    lake.delete_branch("mine")
    return merged.id


@pytest.mark.services
def test_of_a_lake_on_lakefs_the_refs_are_recorded_and_the_tables_copied(
    on_lakefs: Lake, command: Command, answer: Answer, refused: Refused, tmp_path: Path, lake_home: Path
) -> None:
    target = tmp_path / "backup"
    old = put_note(on_lakefs, "one")
    on_lakefs.tag("v1", "main")
    on_lakefs.create_branch("work", "main")
    with closing(environments.open_nosql()) as store:
        feed(store, old, "a")
    result = command("backup", str(target))
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"Backed up main at {old} to {target}: no new data file; 1 table(s)\n"
    assert "back up its database and its object store" in result.stderr
    recorded = answer("backup", str(target))
    assert (recorded["branches"], recorded["tags"]) == ({"main": old, "work": old}, {"v1": old})
    assert notes(target / "nosql") == (old, ["a"])
    # The table is ahead of the backup. The server has kept what it had.
    with closing(environments.open_nosql()) as store:
        feed(store, put_note(on_lakefs, "two"), "b")
    assert "give --replace" in refused("restore", str(target))
    newer = on_lakefs.head("main").id
    assert answer("restore", str(target), "--replace")["main"] == newer
    assert notes(lake_home / "nosql") == (old, ["a"])
    # A server that was not restored, or to an older state, lacks what the backup says.
    record = target / "backup.json"
    record.write_text(record.read_text().replace(f'"main": "{old}"', f'"main": "{"0" * 64}"'))
    assert f"lacks commit {'0' * 64}" in refused("restore", str(target), "--replace")
    assert notes(lake_home / "nosql") == (old, ["a"])

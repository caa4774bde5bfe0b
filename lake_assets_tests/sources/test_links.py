"""Links in the folders of sources: stocks, users and words follow one rule."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lake_assets.defs.stocks.source import open_source
from lake_assets.defs.users.batch_files import UsersSourceError
from lake_assets.defs.users.folder_source import FolderOfUsers
from lake_assets.defs.words.source import FolderSource
from lake_assets.sources import SourceError
from lake_assets.sources.links import Base, LinkRefused

from .conftest import BODY, HOUR, NAME

Listed = Callable[[bool], tuple[list[str], list[str]]]
"""Whether links may lead out, to what is listed, and what is told of the rest."""


class Kind:
    """A source of one domain, with the name of a file of it."""

    def __init__(self, folder: Path, first: str, second: str, listed: Listed) -> None:
        self.folder, self.first, self.second, self.listed = folder, folder / first, folder / second, listed
        self.first.parent.mkdir(parents=True)
        self.second.parent.mkdir(parents=True, exist_ok=True)


def stocks(folder: Path) -> Kind:
    def listed(outside: bool) -> tuple[list[str], list[str]]:
        told: list[str] = []
        found = open_source(str(folder), links_outside=outside).files(told.append)
        return [str(hour.hour) for hour, _ in found or ()], told

    return Kind(folder, NAME, NAME.replace("XETR08", "XETR09"), listed)


def users(folder: Path) -> Kind:
    def listed(outside: bool) -> tuple[list[str], list[str]]:
        source = FolderOfUsers(str(folder), outside)
        return [batch for batch, _ in source.batches()], list(source.passed_over())

    return Kind(folder, "a.parquet", "b.parquet", listed)


def words(folder: Path) -> Kind:
    def listed(outside: bool) -> tuple[list[str], list[str]]:
        source = FolderSource(folder, links_outside=outside)
        return sorted(source.files()), list(source.passed_over())

    return Kind(folder, "a.txt", "b.txt", listed)


@pytest.fixture(params=[stocks, users, words])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    return request.param(tmp_path / "source")


def test_a_link_out_of_the_folder_is_refused_by_name_unless_allowed(kind: Kind, tmp_path: Path) -> None:
    secret = tmp_path / "passwd"
    secret.write_bytes(BODY)
    kind.first.symlink_to(secret)
    kind.second.write_bytes(BODY)
    listed, told = kind.listed(False)
    assert len(listed) == 1
    (line,) = told
    assert f"{kind.first} leads out of {kind.folder}, to {secret}" in line
    assert "SOURCE_LINKS_OUTSIDE=true" in line
    assert len(kind.listed(True)[0]) == 2


def test_a_folder_that_is_a_link_out_is_refused_by_name(kind: Kind, tmp_path: Path) -> None:
    inside = kind.first.relative_to(kind.folder).parent
    if inside == Path():
        inside = Path("more")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / kind.first.name).write_bytes(BODY)
    if (kind.folder / inside).exists():
        (kind.folder / inside).rmdir()
    (kind.folder / inside).symlink_to(outside)
    listed, told = kind.listed(False)
    assert listed == []
    if kind.first.suffix != ".parquet":  # a folder in the folder of users is no batch
        assert len(told) == 1
        assert str(kind.folder / inside) in told[0]


def test_a_file_with_two_names_is_listed_once(kind: Kind) -> None:
    kind.second.write_bytes(BODY)
    kind.first.symlink_to(kind.second)
    by_its_name, told = kind.listed(False)
    kind.first.unlink()
    assert by_its_name == kind.listed(False)[0]
    assert len(told) == (0 if kind.first.suffix == ".txt" else 1)


def test_loops_and_links_to_nothing_are_no_files(kind: Kind) -> None:
    kind.first.symlink_to(kind.first)
    kind.second.symlink_to(kind.folder / "nowhere")
    (kind.folder / "loop").symlink_to(kind.folder)
    (kind.folder / "up").symlink_to("..")
    (kind.folder / "one").symlink_to("two")
    (kind.folder / "two").symlink_to("one")
    listed, told = kind.listed(False)
    assert listed == []
    assert any("circle" in line and str(kind.first) in line for line in told)
    kind.first.unlink()
    kind.first.write_bytes(BODY)
    assert len(kind.listed(True)[0] if kind.first.suffix != ".txt" else kind.listed(False)[0]) == 1


def test_a_linked_folder_is_read_by_its_target(kind: Kind, tmp_path: Path) -> None:
    kind.first.write_bytes(BODY)
    link = tmp_path / "latest"
    link.symlink_to(kind.folder)
    here = kind.listed(False)[0]
    kind.folder.rename(tmp_path / "moved")
    kind.folder.symlink_to(tmp_path / "moved")
    there, told = kind.listed(False)
    assert len(there) == len(here) == 1
    assert told == []


def test_a_stock_file_outside_is_neither_fetched_nor_described(tmp_path: Path, into: Path) -> None:
    file = tmp_path / "source" / NAME
    file.parent.mkdir(parents=True)
    file.symlink_to("/etc/passwd")
    source = open_source(str(tmp_path / "source"))
    for ask in (lambda: source.fetch(HOUR, into), lambda: source.head(HOUR)):
        with pytest.raises(SourceError, match="leads out of"):
            ask()
    assert list(into.iterdir()) == []
    assert open_source(str(tmp_path / "source"), links_outside=True).fetch(HOUR, into).size > 0


def test_a_batch_outside_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source/a.parquet").symlink_to("/etc/passwd")
    with pytest.raises(UsersSourceError, match="leads out of"):
        FolderOfUsers(str(tmp_path / "source")).read("a", tmp_path)


def test_words_are_listed_once_by_their_real_paths(tmp_path: Path) -> None:
    day = tmp_path / "words/2026-11-26"
    day.mkdir(parents=True)
    (day / "a.txt").touch()
    for name in ("latest", "aa", "2026-11-26/again"):
        (tmp_path / "words" / name).symlink_to(day)
    (tmp_path / "words/b.txt").symlink_to(day / "a.txt")
    (tmp_path / "words/..data").mkdir()
    (tmp_path / "words/..data/c [1]\n.txt").touch()
    (tmp_path / "words/c.txt").symlink_to("..data/c [1]\n.txt")
    (tmp_path / "words/.d.txt").touch()
    (tmp_path / "words/d.txt").symlink_to(".d.txt")
    source = FolderSource(tmp_path / "words")
    assert sorted(source.files()) == [f"{tmp_path}/words/..data/c [1]\n.txt", str(day / "a.txt")]
    assert any("d.txt" in line and "begin with '.'" in line for line in source.passed_over())
    linked = tmp_path / "link"
    linked.symlink_to("words")
    assert FolderSource(linked).id == source.id
    assert FolderSource(linked).files() == source.files()


def test_a_folder_whose_name_begins_alike_is_outside(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "ab").mkdir()
    (tmp_path / "a/x").symlink_to("../ab")
    with pytest.raises(LinkRefused):
        Base(os.path.realpath(tmp_path / "a")).real(str(tmp_path / "a/x"))
    assert Base("/").real("/etc") == "/etc"


def test_a_folder_that_cannot_be_read_keeps_no_other_from_being_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (NAME, NAME.replace("28", "29")):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(BODY)
    scandir = os.scandir

    def refuse(path: str) -> object:
        if path.endswith("29"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    told: list[str] = []
    listed = open_source(str(tmp_path)).files(told.append)
    assert [hour for hour, _ in listed or ()] == [HOUR]
    assert "2017-07-29: is not readable" in told[0]

"""The Git commit of the code: of the checkout that holds an asset's file, whatever the working folder is."""

from __future__ import annotations

from pathlib import Path

import pygit2
import pytest

from lake_assets.runs import code_commit as module
from lake_assets.runs.code_commit import code_commit


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask anew, as a new process does."""
    monkeypatch.delenv("LAKE_CODE_COMMIT", raising=False)
    module._of_file.cache_clear()
    module._is_dirty.cache_clear()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout of one commit, with an installed package that Git ignores."""
    repository = pygit2.init_repository(str(tmp_path / "project"))
    folder = tmp_path / "project"
    (folder / ".gitignore").write_text(".venv/\n")
    (folder / "assets.py").write_text("first\n")
    (folder / ".venv").mkdir()
    (folder / ".venv" / "library.py").write_text("library\n")
    repository.index.add_all()
    repository.index.write()
    ann = pygit2.Signature("ann", "ann@example.com")
    repository.create_commit("HEAD", ann, ann, "first", repository.index.write_tree(), [])
    return folder


def head(checkout: Path) -> str:
    return str(pygit2.Repository(str(checkout)).head.target)


def test_it_is_the_head_of_the_checkout(checkout: Path) -> None:
    assert code_commit(str(checkout / "assets.py")) == head(checkout)


def test_a_changed_file_makes_it_dirty(checkout: Path) -> None:
    (checkout / ".gitignore").write_text(".venv/\nmore\n")
    assert code_commit(str(checkout / "assets.py")) == f"{head(checkout)}-dirty"


def test_data_that_git_does_not_know_leave_it_clean_and_an_unknown_file_of_code_does_not(checkout: Path) -> None:
    (checkout / "data.csv").write_text("1\n")
    assert code_commit(str(checkout / "assets.py")) == head(checkout)
    (checkout / "new.py").write_text("new\n")
    assert code_commit(str(checkout / "new.py")) == f"{head(checkout)}-dirty"


def test_an_installed_package_is_not_of_the_checkout_that_it_lies_in(checkout: Path) -> None:
    assert code_commit(str(checkout / ".venv" / "library.py")) is None


def test_without_a_checkout_there_is_none(tmp_path: Path) -> None:
    assert code_commit(str(tmp_path / "assets.py")) is None
    assert code_commit(None) is None
    pygit2.init_repository(str(tmp_path / "empty"))
    assert code_commit(str(tmp_path / "empty" / "assets.py")) is None


def test_the_variable_names_it_for_an_image(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_CODE_COMMIT", "c0ffee")
    assert code_commit(str(checkout / "assets.py")) == "c0ffee"
    assert code_commit(None) == "c0ffee"


def test_it_is_read_once_a_process(checkout: Path) -> None:
    before = code_commit(str(checkout / "assets.py"))
    (checkout / "assets.py").write_text("second\n")
    assert code_commit(str(checkout / "assets.py")) == before

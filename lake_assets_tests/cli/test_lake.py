"""`ls`, `log`, `branches` and `diff`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance

from lake_assets.lake.contract import Commit
from lake_assets.lake.embedded import GitLake
from lake_assets_tests.cli.conftest import LOADED, Command

Answer = Callable[..., Any]
Refused = Callable[..., str]


def test_ls_lists_all_of_main(command: Command, lake: GitLake) -> None:
    lines = command("ls").stdout.splitlines()
    assert lines[0].split() == ["path", "size", "checksum"]
    assert [line.split()[0] for line in lines[1:]] == [item.path for item in lake.list("main")]


def test_ls_lists_a_prefix_with_whole_checksums_and_addresses_in_json(answer: Answer, lake: GitLake) -> None:
    found = answer("ls", "main:blob")
    (item,) = lake.list("main", "blob")
    assert found == [
        {"path": "blob/noise.bin", "size": 256, "checksum": item.checksum, "physical_address": item.physical_address}
    ]
    assert item.checksum.removeprefix("sha256:") in item.physical_address


def test_ls_shows_the_checksum_short(command: Command, lake: GitLake) -> None:
    (item,) = lake.list("main", "blob")
    line = command("ls", "main:blob").stdout.splitlines()[1]
    assert line.split() == ["blob/noise.bin", "256", "B", item.checksum.removeprefix("sha256:")[:12]]


def test_dagsters_uri_is_a_place(answer: Answer, head: Commit) -> None:
    assert answer("ls", f"lake://{head.id}/blob") == answer("ls", "main:blob")


def test_ls_of_an_empty_lake_is_empty(command: Command, answer: Answer, lake_home: Path) -> None:
    GitLake(lake_home).close()
    assert answer("ls") == []
    assert command("ls").stdout.split() == ["path", "size", "checksum"]


def test_log_tells_who_made_a_commit_of_what(answer: Answer, lake: GitLake, head: Commit) -> None:
    newest, *_, oldest = answer("log")
    assert newest["id"] == head.id
    assert newest["run"] == LOADED
    assert newest["time"] == head.committed_at.isoformat()
    assert newest["parents"] == list(head.parents)
    assert oldest["parents"] == []
    (materialized,) = answer("log", "--prefix", "stocks_parquet", "--limit", "1")[-1:]
    assert materialized["message"].startswith(("Materialize", "Publish"))


def test_log_of_a_prefix_has_asset_rows_and_code_version(answer: Answer, command: Command, lake: GitLake) -> None:
    (entry,) = (entry for entry in answer("log", "main") if entry["asset"])
    assert (entry["asset"], entry["rows"], entry["code_version"]) == ("stocks_parquet", 25, "3")
    lines = command("log").stdout.splitlines()
    columns = ["id", "time", "message", "asset", "partition", "rows", "run", "code_version", "audit"]
    assert lines[0].split() == columns
    (line,) = (line for line in lines if entry["id"][:12] in line)
    assert line.split()[-5:] == ["-", "25", LOADED[:8], "3", "-"]
    (published,) = (line for line in lines if f"Publish run {LOADED}" in line)
    assert published.endswith("1 overridden, by the tests")


def test_log_is_limited(answer: Answer, lake: GitLake) -> None:
    assert len(answer("log", "--limit", "2")) == 2


def test_branches_name_their_head(answer: Answer, command: Command, lake: GitLake, head: Commit) -> None:
    lake.create_branch("trial", "main")
    assert [(entry["name"], entry["commit"]) for entry in answer("branches")] == [
        ("main", head.id),
        ("trial", head.id),
    ]
    assert command("branches").stdout.splitlines()[2].split()[:2] == ["trial", head.id[:12]]


def test_diff_tells_added_removed_and_changed(answer: Answer, command: Command, lake: GitLake) -> None:
    lake.create_branch("trial", "main")
    with lake.write("trial", "blob") as write:
        Path(write.root, "noise.bin").write_text("other")
        Path(write.root, "new.txt").write_text("new")
    with lake.write("trial", "stocks_csv/hour=08"):
        pass
    removed = ["stocks_csv/hour=08/_manifest.json", "stocks_csv/hour=08/bars.csv"]
    assert answer("diff", "main", "trial") == {
        "added": ["blob/new.txt"],
        "removed": removed,
        "changed": ["blob/noise.bin"],
    }
    assert answer("diff", "main", "trial", "stocks_csv")["removed"] == removed
    assert answer("diff", "main", "trial", "stocks_parquet") == {"added": [], "removed": [], "changed": []}
    lines = [line.split() for line in command("diff", "main", "trial", "blob").stdout.splitlines()]
    assert lines == [["change", "path"], ["added", "blob/new.txt"], ["changed", "blob/noise.bin"]]


@pytest.mark.parametrize(
    "arguments",
    [
        ("ls", "nowhere"),
        ("log", "nowhere"),
        ("diff", "main", "nowhere"),
        ("path", "nowhere:blob"),
        ("cat", "nowhere:blob"),
    ],
)
def test_an_unknown_ref_is_named(refused: Refused, lake: GitLake, arguments: tuple[str, ...]) -> None:
    line = refused(*arguments)
    assert "no branch, tag or commit of this name" in line
    assert "nowhere" in line


@pytest.mark.parametrize("name", ["ls", "path", "cat"])
def test_a_missing_prefix_is_named(refused: Refused, lake: GitLake, name: str) -> None:
    line = refused(name, "main:stocks")
    assert "nothing is there" in line
    assert "path 'stocks'" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("ls", ":blob"),
        ("ls", "s3://bucket/key"),
        ("ls", "lake:///blob"),
        ("path", "main"),
        ("cat", "main"),
        ("cat", ""),
    ],
)
def test_what_is_no_place_is_wrong_usage(command: Command, arguments: tuple[str, ...]) -> None:
    result = command(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "write REF" in result.stderr


@pytest.mark.parametrize("arguments", [("nothing",), ("ls", "--nothing"), ("log", "--limit", "-1"), ("diff", "main")])
def test_wrong_usage_is_exit_code_2(command: Command, arguments: tuple[str, ...]) -> None:
    result = command(*arguments)
    assert result.exit_code == 2
    assert "Usage: " in result.stderr


def test_a_home_that_cannot_be_made_is_one_line(
    refused: Refused, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "file" / "home"))
    for arguments in (("ls",), ("tables",), ("clean",)):
        assert str(tmp_path / "file") in refused(*arguments)


def test_an_unknown_environment_is_one_line(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAKE_ENV", "elsewhere")
    assert refused("ls") == "LAKE_ENV is 'elsewhere'; it must be one of embedded, services"


def test_what_plain_git_made_is_shown_and_stops_nothing(
    lake: GitLake, command: Command, instance: DagsterInstance
) -> None:
    git = ["git", "-C", f"{lake.repository}/lake.git", "-c", "user.name=Ann", "-c", "user.email=ann@example.org"]

    def run(*arguments: str, text: str = "") -> str:
        ended = subprocess.run([*git, *arguments], input=text, check=True, capture_output=True, text=True)
        return ended.stdout.strip()

    blob = run("hash-object", "-w", "--stdin", text="by hand")
    tree = run("mktree", text=run("ls-tree", "main") + f"\n100644 blob {blob}\tnotes.txt\n")
    run("update-ref", "refs/heads/feature/x", run("commit-tree", tree, "-p", "main", "-m", "By hand"))
    run("tag", "of-tree", "main^{tree}")
    assert "feature/x" in command("branches").stdout
    listed = command("ls", "feature/x")
    assert listed.exit_code == 0
    assert [line.split() for line in listed.stdout.splitlines() if "notes" in line] == [
        ["notes.txt", "7", "B", blob[:12]]
    ]
    assert command("log", "feature/x", "--limit", "1").exit_code == 0
    assert command("cat", "feature/x:notes.txt").stdout == "by hand"
    (line,) = (line for line in command("verify", "feature/x").stdout.splitlines() if line.startswith("notes.txt"))
    assert "plain Git file" in line
    assert "names a tree, not a commit" in command("ls", "of-tree").stderr

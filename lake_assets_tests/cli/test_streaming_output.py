"""What is printed appears before all is read, and no more than a block of it is held."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow
import pyarrow.parquet as pq
import pytest

from lake_assets.cli.content import open_content
from lake_assets.cli.output import blocks, emit_all, show
from lake_assets.lake.embedded import GitLake


@pytest.mark.parametrize("printed", [show, emit_all])
def test_the_first_lines_are_printed_while_the_rest_is_still_to_come(
    capsys: pytest.CaptureFixture[str], printed: object
) -> None:
    seen: list[int] = []

    def records() -> Iterator[dict[str, int]]:
        for number in range(5000):
            if number == 3000:
                seen.append(capsys.readouterr().out.count("\n"))
            yield {"number": number}

    assert callable(printed)
    printed(records())
    assert seen[0] >= 2000


def test_no_more_than_a_block_is_held() -> None:
    assert max(map(len, blocks(range(10_000)))) <= 1000


def test_cat_lists_and_opens_files_as_it_needs_them_and_leaves_no_snapshot(
    lake: GitLake, lake_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lake.create_branch("trial", "main")
    with lake.write("trial", "many") as write:
        for number in range(50):
            pq.write_table(pyarrow.table({"a": [number]}), Path(write.root, f"part-{number:03}.parquet"))
    listed: list[str] = []
    every = GitLake.list

    def counted(self: GitLake, *arguments: str) -> Iterator[object]:
        for item in every(self, *arguments):
            listed.append(item.path)
            yield item

    monkeypatch.setattr(GitLake, "list", counted)
    assert list(open_content(lake, "trial", "many").rows(3)) == [{"a": 0}, {"a": 1}, {"a": 2}]
    assert len(listed) == 3
    assert not list((lake_home / "snapshots").glob("[!.]*"))

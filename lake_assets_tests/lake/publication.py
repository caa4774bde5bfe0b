"""A program that publishes: ``python -m lake_assets_tests.lake.publication HOME TEXT [table]``.

A run's branch, two writes, their merge into `main`, and a table that reflects it.
"""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

from lake_assets.lake.embedded import GitLake
from lake_assets.lake.errors import AlreadyExists
from lake_assets_tests.audits import TESTS

FILES = {"stocks/csv": ["day=1/a.csv", "day=2/b.csv"], "stocks/parquet": ["day=1/c"]}


def publish(home: Path, text: str) -> str:
    """Publish files that hold ``text`` and return the commit."""
    lake = GitLake(home)
    with suppress(AlreadyExists):
        lake.create_branch("run", "main")
    for prefix, names in FILES.items():
        with lake.write("run", prefix) as write:
            for name in names:
                path = Path(write.root, name)
                path.parent.mkdir(exist_ok=True)
                path.write_text(f"{text} in {prefix}/{name}\n" * 1000)
    merged = lake.merge("run", "main", audit=TESTS).id
    lake.delete_branch("run")
    lake.close()
    return merged


def reflect(home: Path, commit: str) -> None:
    """Write a table that reflects a commit."""
    import pandas

    from lake_assets.nosql.lmdb.store import LMDBStore

    store = LMDBStore(home / "nosql")
    rows = pandas.DataFrame({"key": ["a", "b"], "value": [1, 2]})
    store.write("table", rows, key=["key"], mode="overwrite", source_commit=commit)
    store.close()


if __name__ == "__main__":
    place, words, *also = sys.argv[1:]
    published = publish(Path(place), words)
    if also:
        reflect(Path(place), published)
    print("published", flush=True)

"""The stream of words on a fresh home, driven as a user would."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from dagster import AssetKey, ExecuteInProcessResult

from lake_assets.lake.contract import MAIN
from lake_assets.streaming.position import Position, read_position
from lake_assets_tests.graph_fixtures import Graph

LINES = ["Hello World!", "dog dog cat cat", "streaming wizeline hello cat", "work wizeline java", "java cat dog dog"]
COUNTS = {
    "Hello": 1,
    "World!": 1,
    "dog": 4,
    "cat": 4,
    "streaming": 1,
    "wizeline": 2,
    "hello": 1,
    "work": 1,
    "java": 2,
}


def counted(lines: list[str]) -> dict[str, int]:
    """Count words as the definition says, without Spark."""
    return dict(Counter(word for line in lines for word in line.split(" ") if word))


class Stream:
    """The job `words` on a graph, and the counts on `main`."""

    def __init__(self, graph: Graph, folder: Path) -> None:
        self.graph = graph
        self.folder = folder

    def add(self, name: str, *lines: str) -> Path:
        """Put a file of lines into the source's folder."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / name
        path.write_text("".join(f"{line}\n" for line in lines))
        return path

    def run(self, *assets: str, job: str = "words", **config: Any) -> ExecuteInProcessResult:
        """Execute the job, or a few of its assets; `config` goes to every stream."""
        run_config = {"ops": {name: {"config": config} for name in ("word_counts", "word_counts_windowed")}}
        return self.graph.defs.resolve_job_def(job).execute_in_process(
            instance=self.graph.instance,
            raise_on_error=False,
            run_config=run_config if config else None,
            asset_selection=[AssetKey(name) for name in assets] or None,
        )

    def counts(self, ref: str = MAIN) -> dict[str, int]:
        """Return the published counts by word."""
        return {row["word"]: row["count"] for row in self.rows("word_counts", ref)}

    def changes(self, ref: str = MAIN) -> dict[str, int]:
        """Return what the last run changed."""
        return {row["word"]: row["count"] for row in self.rows("_beside/word_counts/changes", ref)}

    def windows(self, ref: str = MAIN) -> dict[tuple[str, str], int]:
        """Return the published counts by window's beginning and word."""
        rows = self.rows("word_counts_windowed", ref)
        return {(row["window_start"].strftime("%H:%M:%S"), row["word"]): row["count"] for row in rows}

    def rows(self, prefix: str, ref: str = MAIN) -> list[Mapping[str, Any]]:
        """Return the rows of a folder."""
        snapshot = self.graph.lake.path(ref, prefix)
        return pq.read_table(snapshot.root, filesystem=snapshot.filesystem).to_pylist()

    def position(self, stream: str = "word_counts", ref: str = MAIN) -> Position:
        """Return how far a stream has been read."""
        position = read_position(self.graph.lake, ref, stream)
        assert position is not None
        return position


def error(result: ExecuteInProcessResult) -> str:
    """Return what the failed steps of a run said."""
    told = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    return " ".join(str(data.user_failure_data and data.user_failure_data.description) for data in told)

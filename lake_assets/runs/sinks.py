"""Sinks: stores outside the lake that hold the data of one commit of ``main``, and the runs that update them."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from dagster import AssetKey, RunRequest
from typing_extensions import Self

from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.errors import RefNotFound
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.runs.asset_places import AssetPlaces
from lake_assets.runs.publishing import LAYER, PUBLISHED

if TYPE_CHECKING:
    from lake_assets._dagster import AssetGraph

SINK = "sink"

_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0

RUNS_PER_TICK = 20
"""The maximal number of runs per tick.

The first run updates the sink to the head. Each further run records another range of partitions in Dagster.
"""


@runtime_checkable
class Sink(Protocol):
    """A resource that assets tagged ``layer: sink`` write to. It stores the commit that each of them reflects."""

    def reflected_commit(self, asset_key: AssetKey) -> str | None:
        """Return the commit of ``main`` that an asset's data reflect; None if the asset was never written.

        A sensor calls this while runs may write the asset. So it must not disturb them, and must return or raise within
        seconds.

        Parameters
        ----------
        asset_key
            Key of the sink asset.
        """
        ...


class Requested(NamedTuple):
    """The cursor of a sensor: for which head of ``main`` it has requested runs, how often, and when last.

    Parameters
    ----------
    head
        The head, or another text without spaces that says what the runs are for.
    times
        How many times. 0 if no sink was behind.
    at
        Time of the last request, in seconds since 1970.
    """

    head: str
    times: int = 0
    at: float = 0.0

    @classmethod
    def read(cls, cursor: str | None, head: str) -> Self:
        """Return what a cursor says of a head. Anything may stand there, as a person can set it.

        Parameters
        ----------
        cursor
            The cursor.
        head
            The head of ``main``.
        """
        with suppress(ValueError):
            name, times, at = (cursor or "").split(" ")
            if name == head and times.isdecimal():
                return cls(head, int(times[:9]), float(at))
        return cls(head)

    def pause(self) -> float:
        """Return the seconds until runs may be requested again. Runs that failed are not requested at every tick."""
        pause = min(_FIRST_PAUSE * 2.0 ** min(self.times - 1, 30), _LONGEST_PAUSE)
        left = self.at + pause - time.time()
        # Do not wait longer if the clock was set back.
        return left if self.times and 0 < left <= pause else 0.0

    def again(self) -> str:
        """Return the cursor after one more request."""
        return f"{self.head} {self.times + 1} {time.time()}"

    def after(self, requests: int, reflected: Mapping[AssetKey, str | None]) -> str:
        """Return the cursor after a tick.

        Parameters
        ----------
        requests
            The number of runs that it requests.
        reflected
            The commit that each sink reflects. A table may be restored from an older copy while ``main`` stays.
        """
        if requests:
            return self.again()
        commits = [f"{key.to_user_string()} {commit}" for key, commit in reflected.items()]
        return f"{self.head} even {hashlib.sha256(repr(commits).encode()).hexdigest()[:16]}"


def sinks_of(graph: AssetGraph, resource_keys: Sequence[str]) -> Iterator[tuple[AssetKey, str]]:
    """Yield the sink assets of a graph, each with the resource that it writes to.

    Parameters
    ----------
    graph
        The graph of the code location.
    resource_keys
        Keys of the resources. Sinks that use none of them are left out.
    """
    for key in sorted(key for key in graph.toposorted_asset_keys if graph.get(key).tags.get(LAYER) == SINK):
        used = graph.get(key).assets_def.required_resource_keys
        resource_key = next((resource_key for resource_key in resource_keys if resource_key in used), None)
        if resource_key is not None:
            yield key, resource_key


def requests_for(
    lake: Lake, graph: AssetGraph, sink: AssetKey, reflected: str | None, head: Commit
) -> Sequence[RunRequest]:
    """Return the runs that update a sink to ``main``'s head.

    Parameters
    ----------
    lake
        The lake.
    graph
        The graph of the code location.
    sink
        Key of the sink asset.
    reflected
        The commit that the sink reflects; None if it was never written.
    head
        Head of ``main``.
    """
    if reflected is None:
        return []  # Never written: the next run of its job builds it.
    inputs = [key for key in graph.get(sink).parent_keys if graph.get(key).tags.get(LAYER) != PUBLISHED]
    try:
        paths = [path for key in inputs for path in lake.diff(reflected, head.id, prefix_of(key)).paths]
    except RefNotFound:
        # The sink was fed from another lake, or from this one before it was restored from an older backup.
        paths = [item.path for key in inputs for item in lake.list(head.id, prefix_of(key))]
        if not paths and (definition := graph.get(sink).partitions_def) is not None:
            # No partition is there to materialize. The run empties the sink, and says so.
            first = definition.get_first_partition_key()
            return [RunRequest(_run_key(sink, head), partition_key=first, asset_selection=[sink])]
        paths = paths or [MAIN]
    return _requests(graph, sink, _run_key(sink, head), paths)


def _run_key(sink: AssetKey, head: Commit) -> str:
    """Return a key that no run has had: a sink may need a second run for one head, such as after a restore.

    Whether a run is under way already is told by Dagster's runs.
    """
    return f"{sink.to_user_string()}:{head.id}:{time.time_ns()}"


def _requests(graph: AssetGraph, sink: AssetKey, run_key: str, paths: Sequence[str]) -> list[RunRequest]:
    """Return a run for each range of adjacent partitions that changed, the newest first."""
    if not paths:
        return []
    definition = graph.get(sink).partitions_def
    if definition is None:
        return [RunRequest(run_key, asset_selection=[sink])]
    keys = {place.partition for place in AssetPlaces(graph).of(paths) if place.partition is not None}
    ranges = definition.subset_with_partition_keys(keys).get_partition_key_ranges(definition)
    requests: list[RunRequest] = []
    for first, last in sorted((span.start, span.end) for span in ranges):
        key = f"{run_key}:{first}"
        if first == last:
            requests.append(RunRequest(key, partition_key=first, asset_selection=[sink]))
        else:
            tags = {"dagster/asset_partition_range_start": first, "dagster/asset_partition_range_end": last}
            requests.append(RunRequest(key, tags=tags, asset_selection=[sink]))
    return requests[::-1]

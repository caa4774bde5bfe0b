"""Reporting manual changes of main to Dagster, and updating the sinks, which are the stores fed from main."""

from __future__ import annotations

import logging
from collections.abc import Container, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from lake_assets.cli.code_location import load_definitions, load_graph, sink_commits
from lake_assets.cli.errors import CommandError
from lake_assets.lake.contract import MAIN

if TYPE_CHECKING:
    from dagster import AssetKey, AssetMaterialization, DagsterInstance, RunRequest

    from lake_assets._dagster import AssetGraph
    from lake_assets.lake.contract import Lake

WithSinks = Annotated[
    bool, typer.Option("--sinks", help="Update the tables and topics fed from main at once, in this process.")
]

OfBranch = Annotated[
    str, typer.Option("--branch", metavar="NAME", help="main, or a working branch. Default: LAKE_BRANCH, or else main.")
]


def describe_events(graph: AssetGraph, events: Sequence[AssetMaterialization]) -> str:
    """Describe, in one line, the assets and publications that were reported to Dagster."""
    from lake_assets.runs.publishing import LAYER, PUBLISHED

    partitions: dict[AssetKey, list[str]] = {}
    for event in events:
        partitions.setdefault(event.asset_key, []).extend([event.partition] if event.partition else [])
    named: dict[str, list[str]] = {"Assets": [], "Publications": []}
    for key, keys in partitions.items():
        which = f" ({len(keys)} partitions)" if len(keys) > 1 else "".join(f" {partition}" for partition in keys)
        kind = "Publications" if graph.get(key).tags.get(LAYER) == PUBLISHED else "Assets"
        named[kind].append(f"{key.to_user_string()}{which}")
    summary = f"{len(events)} materialization(s) reported to Dagster."
    return " ".join([summary, *(f"{kind}: {', '.join(names)}." for kind, names in named.items() if names)])


def sinks_below(graph: AssetGraph, events: Iterable[AssetMaterialization]) -> list[str]:
    """Return the names of the sinks that read the reported assets, sorted."""
    return _sinks_below(graph, {event.asset_key for event in events})


def sinks_of_paths(graph: AssetGraph, paths: Iterable[str]) -> list[str]:
    """Return the names of the sinks that read the assets at changed paths, sorted."""
    from lake_assets.runs.asset_places import AssetPlaces

    return _sinks_below(graph, {place.asset for place in AssetPlaces(graph).of(paths)})


def _sinks_below(graph: AssetGraph, changed: Container[AssetKey]) -> list[str]:
    from lake_assets.runs.publishing import LAYER
    from lake_assets.runs.sinks import SINK

    sinks = (key for key in graph.toposorted_asset_keys if graph.get(key).tags.get(LAYER) == SINK)
    reads = (key for key in sinks if any(parent in changed for parent in graph.get(key).parent_keys))
    return sorted(key.to_user_string() for key in reads)


def describe_behind(sinks: Sequence[str]) -> str:
    """Describe, in one line, which sinks are behind main, and how they are updated."""
    return (
        f"Not updated yet: {', '.join(sinks)}. Sinks follow when Dagster's daemon runs (sensor sinks_follow_main); "
        "the same command with --sinks updates them at once."
    )


def describe_brought(sinks: Sequence[str], branch: str = MAIN) -> str:
    """Describe, in one line, which sinks were updated to a branch."""
    return f"Updated to {branch}: {', '.join(sinks)}" if sinks else f"Every sink is up to date with {branch} already."


def with_sinks(asked: bool, brought: Sequence[str]) -> dict[str, Sequence[str]]:
    """Return the sinks for the JSON document. Empty without --sinks."""
    return {"sinks": brought} if asked else {}


def bring_along(lake: Lake, instance: DagsterInstance, branch: str = MAIN) -> list[str]:
    """Materialize every sink that is behind a branch, in this process, and return their names.

    Parameters
    ----------
    lake, instance
        The lake, and Dagster's instance.
    branch
        The branch.

    Raises
    ------
    CommandError
        A sink's run failed.
    """
    from lake_assets.resources.working_branch import BRANCH_TAG

    job = load_definitions().resolve_implicit_global_asset_job_def()
    brought: list[str] = []
    for request in _requests(lake, branch):
        names = ", ".join(key.to_user_string() for key in request.asset_selection or ())
        with _quiet():
            result = job.execute_in_process(
                instance=instance,
                asset_selection=list(request.asset_selection or ()),
                partition_key=request.partition_key,
                tags={**request.tags, BRANCH_TAG: branch},
                raise_on_error=False,
            )
        if not result.success:
            raise CommandError(f"{names} was not updated: see run {result.run_id} in Dagster's UI, and try again")
        brought.append(names)
    return sorted(set(brought))


def _requests(lake: Lake, branch: str) -> list[RunRequest]:
    """Return the runs that update the sinks."""
    from lake_assets.runs.sinks import requests_for

    head, graph = lake.head(branch), load_graph()
    sinks = sink_commits(branch)
    return [request for sink, at in sinks for request in requests_for(lake, graph, sink, at, head)]


@contextmanager
def _quiet() -> Generator[None]:
    """Suppress a run's log except errors. Dagster's UI shows all of it."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)

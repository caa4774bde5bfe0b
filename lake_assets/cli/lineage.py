"""The command `lineage`: the origin of data in the lake."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lake_assets.cli.code_location import open_lake
from lake_assets.cli.lake import SHORT
from lake_assets.cli.output import Json, cell, emit, moment
from lake_assets.cli.places import URI, parse_place, path_of
from lake_assets.cli.terminal import console
from lake_assets.lake.audit import describe, read_record
from lake_assets.lake.contract import MAIN
from lake_assets.lake.errors import PathNotFound

if TYPE_CHECKING:
    from rich.tree import Tree

    from lake_assets.lake.contract import Lake
    from lake_assets.runs.provenance import Origin

_SHOWN_PLACES = 3


def lineage(
    place: Annotated[
        str,
        typer.Argument(
            metavar="ASSET[@REF]",
            help="An asset, a partition's folder such as asset/day=2017-07-28, or a file, as `ls` shows it.",
        ),
    ],
    json: Json = False,
) -> None:
    """Show the commits, runs, code versions and sources that made an asset.

    The tree shows below each commit the commits that it read. A partition was made from the same partition of an input
    if the input has it, otherwise from the whole input. The default of REF is main.
    """
    from lake_assets.runs.provenance import origins

    prefix, ref = _asked(place)
    with closing(open_lake()) as lake:
        head = lake.head(ref)
        found = origins(lake, head.id, path_of(lake, prefix, head.id)) if prefix else ()
        if not found:
            raise PathNotFound("nothing is there", repository=lake.repository, ref=ref, path=prefix)
        publications = [_publication(lake, head.id, origin) for origin in found]
    if json:
        documents = _documents(found, set())
        for document, publication in zip(documents, publications, strict=True):
            document["publication"] = publication
        emit({"asset": prefix, "ref": ref, "commit": head.id, "made_by": documents})
    else:
        _print(prefix, ref, head.id, found, publications)


def _asked(place: str) -> tuple[str, str]:
    """Parse the argument into prefix and ref."""
    if place.startswith(URI):
        asked = parse_place(place)
        return asked.prefix, asked.ref
    prefix, at, ref = place.rpartition("@")
    # A ref has no slash, so this is a path that contains an @.
    if not at or "/" in ref:
        prefix, ref = place, MAIN
    return prefix.strip("/"), ref or MAIN


def _publication(lake: Lake, at: str, origin: Origin) -> dict[str, Any] | None:
    """Return the commit that published an asset's newest place, and its audit. None if it is not published."""
    from lake_assets.runs.commit_metadata import CommitMetadata

    commit = next(lake.first_parents(at, origin.places[0]), None)
    if commit is None or commit.id == origin.commit.id:
        return None
    record = read_record(commit.metadata)
    if record is not None:
        asset = CommitMetadata.parse(origin.commit.metadata).asset
        record = [entry for entry in record if entry.get("asset", asset) == asset] or record
    return {"commit": commit.id, "audit": record}


def _published(publication: dict[str, Any] | None) -> str:
    if publication is None:
        return "not published"
    audit = "not recorded" if publication["audit"] is None else describe(publication["audit"])
    return f"published by {publication['commit'][:SHORT]}: {audit}"


def _documents(found: Sequence[Origin], seen: set[tuple[str, tuple[str, ...]]]) -> list[dict[str, Any]]:
    return [_document(origin, seen) for origin in found]


def _document(origin: Origin, seen: set[tuple[str, tuple[str, ...]]]) -> dict[str, Any]:
    document: dict[str, Any] = {"asset": origin.asset, "places": origin.places, **_facts(origin)}
    # An input of several commits is expanded once, since a graph as a tree could be huge.
    if _is_new(origin, seen):
        document["inputs"] = _documents(origin.inputs, seen)
    return document


def _is_new(origin: Origin, seen: set[tuple[str, tuple[str, ...]]]) -> bool:
    key = (origin.commit.id, origin.places)
    if key in seen:
        return False
    seen.add(key)
    return True


def _facts(origin: Origin) -> dict[str, Any]:
    from lake_assets.runs.commit_metadata import CommitMetadata

    made = CommitMetadata.parse(origin.commit.metadata)
    return {
        "commit": origin.commit.id,
        "time": origin.commit.committed_at,
        "message": origin.commit.message,
        "run": made.run_id,
        "job": made.job,
        "step": made.step,
        "code_version": made.code_version,
        "code_commit": made.code_commit,
        "rows": made.rows,
        "sources": [source for _, source in sorted(made.sources.items())],
        "rollback_to": made.rollback_to,
        "reason": made.reason,
        "by": made.by,
    }


def _print(
    prefix: str, ref: str, commit: str, found: Sequence[Origin], publications: Sequence[dict[str, Any] | None]
) -> None:
    from rich.text import Text
    from rich.tree import Tree

    at = commit[:SHORT] if commit.startswith(ref) else f"{ref} ({commit[:SHORT]})"
    tree = Tree(Text(cell(f"{prefix} at {at}")), guide_style="dim")
    _grow(tree, found, set(), publications)
    # Wide enough for any line, so that nothing is cut. A terminal wraps long lines.
    console(width=100_000).print(tree)


def _grow(
    tree: Tree,
    found: Sequence[Origin],
    seen: set[tuple[str, tuple[str, ...]]],
    publications: Sequence[dict[str, Any] | None] = (),
) -> None:
    from rich.text import Text

    for number, origin in enumerate(found):
        node = tree.add(Text(cell("  ".join(_label(origin)))))
        if publications:
            node.add(Text(cell(_published(publications[number]))))
        if not _is_new(origin, seen):
            if origin.inputs:
                node.add(Text("as above"))
            continue
        for source in _facts(origin)["sources"]:
            node.add(Text(cell(f"source {source}")))
        _grow(node, origin.inputs, seen)


def _label(origin: Origin) -> Iterator[str]:
    facts = _facts(origin)
    folders = [place[len(origin.prefix) + 1 :] for place in origin.places if place != origin.prefix]
    more = f" and {len(folders) - _SHOWN_PLACES} more" if len(folders) > _SHOWN_PLACES else ""
    yield " ".join([origin.asset, ", ".join(folders[:_SHOWN_PLACES])]).strip() + more
    yield f"commit {facts['commit'][:SHORT]}"
    if facts["rollback_to"]:
        yield f"back to {facts['rollback_to'][:SHORT]}"
    elif facts["run"]:
        yield f"run {facts['run'][:8]}"
    else:
        yield "no run"
    if facts["reason"]:
        yield f"reason: {facts['reason']}"
    if facts["by"]:
        yield f"by {facts['by']}"
    if facts["code_version"]:
        yield f"code version {facts['code_version']}"
    if facts["code_commit"]:
        commit, dash, dirty = facts["code_commit"].partition("-")
        yield f"code commit {commit[:SHORT]}{dash}{dirty}"
    if facts["rows"] is not None:
        yield f"{facts['rows']} rows"
    yield moment(facts["time"])

"""Commands for the lake's content and history: `ls`, `log`, `branches`, `diff`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import asdict
from itertools import chain, islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lake_assets.cli.code_location import open_lake
from lake_assets.cli.options import MOST
from lake_assets.cli.output import Json, amount, cell, emit, emit_all, emit_stream, moment, note, show
from lake_assets.cli.places import parse_place, path_of
from lake_assets.lake.audit import read_record, summarize
from lake_assets.lake.contract import MAIN, Commit, Lake, LakeObject
from lake_assets.lake.errors import PathNotFound

if TYPE_CHECKING:
    from lake_assets.cli.row_diff import RowComparison
    from lake_assets.runs.commit_metadata import CommitMetadata

SHORT = 12
"""Characters of a commit id or checksum in a table. JSON has the full value."""


def ls(
    place: Annotated[str, typer.Argument(metavar="REF[:PREFIX]", help="What to list.")] = MAIN,
    json: Json = False,
) -> None:
    """List files. With --json also full checksums and physical addresses."""
    wanted = parse_place(place, whole=True)
    with closing(open_lake()) as lake:
        prefix = wanted.path(lake)
        objects = lake.list(wanted.ref, prefix)
        first = next(objects, None)
        if first is None and prefix:
            raise PathNotFound("nothing is there", repository=lake.repository, ref=wanted.ref, path=prefix)
        objects = chain([] if first is None else [first], objects)
        if json:
            emit_all(map(asdict, objects))
        else:
            show(map(_file, objects), ("path", "size", "checksum"), right=("size",))


def _file(item: LakeObject) -> dict[str, str]:
    checksum = item.checksum.rpartition(":")[2]
    return {"path": item.path, "size": amount(item.size), "checksum": checksum[:SHORT]}


def log(
    ref: Annotated[str, typer.Argument(metavar="REF", help="Where to start.")] = MAIN,
    limit: Annotated[int, typer.Option(min=0, max=MOST, help="Maximal number of commits; 0 for all.")] = 20,
    prefix: Annotated[
        str | None, typer.Option(metavar="PREFIX", help="Only commits that changed this folder or file.")
    ] = None,
    first_parent: Annotated[
        bool, typer.Option("--first-parent", help="Leave out commits of branches that were merged into REF.")
    ] = False,
    json: Json = False,
) -> None:
    """List commits, newest first, each with its asset, run and number of rows.

    For commits of main, the audit is shown: how many checks passed, or who overrode them.
    """
    with closing(open_lake()) as lake:
        below = path_of(lake, prefix, ref) if prefix else None
        commits = (
            islice(lake.first_parents(ref, below), limit or None)
            if first_parent
            else lake.log(ref, limit or None, below)
        )
        if json:
            emit_all(_commit(commit) | {"parents": commit.parents, "metadata": commit.metadata} for commit in commits)
        else:
            columns = ("id", "time", "message", "asset", "partition", "rows", "run", "code_version", "audit")
            show(map(_shown, commits), columns, right=("rows",))


def _shown(commit: Commit) -> dict[str, Any]:
    from lake_assets.runs.commit_metadata import CommitMetadata

    made = CommitMetadata.parse(commit.metadata)
    record = _record(commit, made)
    return record | {
        "id": record["id"][:SHORT],
        "time": moment(record["time"]),
        "message": record["message"].partition("\n")[0],
        "run": (record["run"] or "")[:8],
        "audit": ", ".join(filter(None, [_audit(record["audit"], merge=len(commit.parents) > 1), _correction(made)])),
    }


def _commit(commit: Commit) -> dict[str, Any]:
    from lake_assets.runs.commit_metadata import CommitMetadata

    return _record(commit, CommitMetadata.parse(commit.metadata))


def _record(commit: Commit, made: CommitMetadata) -> dict[str, Any]:
    return {
        "id": commit.id,
        "time": commit.committed_at,
        "message": commit.message,
        "asset": made.asset,
        "partition": made.partition,
        "rows": made.rows,
        "run": made.run_id,
        "code_version": made.code_version,
        "audit": read_record(commit.metadata),
    }


def _audit(record: list[dict[str, Any]] | None, *, merge: bool) -> str:
    if record is None:
        return "not recorded" if merge else ""
    return summarize(record) if record else ""


def _correction(made: CommitMetadata) -> str:
    """Return who rolled back or deleted, and why. Empty for other commits."""
    return f"by {made.by}: {made.reason}" if made.by else ""


def branches(json: Json = False) -> None:
    """List branches with their newest commit."""
    with closing(open_lake()) as lake:
        heads = [(name, lake.head(name)) for name in lake.branches()]
    records: Iterator[dict[str, Any]] = (
        {"name": name, "commit": head.id, "time": head.committed_at, "message": head.message} for name, head in heads
    )
    if json:
        emit_all(records)
        return
    shown = (
        record
        | {
            "commit": record["commit"][:SHORT],
            "time": moment(record["time"]),
            "message": record["message"].partition("\n")[0],
        }
        for record in records
    )
    show(shown, ("name", "commit", "time", "message"))


def diff(
    left: Annotated[str, typer.Argument(metavar="A", help="A ref.")],
    right: Annotated[str, typer.Argument(metavar="B", help="The ref to compare with it.")],
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="Only this folder or file.")] = "",
    rows: Annotated[str, typer.Option(metavar="PREFIX", help="Compare the rows of this Parquet by --key.")] = "",
    key: Annotated[str, typer.Option(metavar="COL[,COL]", help="With --rows: the key columns.")] = "",
    limit: Annotated[
        int, typer.Option(min=0, max=MOST, help="With --rows: rows to show; 0 for all. All are counted.")
    ] = 20,
    json: Json = False,
) -> None:
    """Compare two refs. Files, or rows by key, are added (only in B), removed (only in A) or changed.

    With --rows, only files that differ are read, in bounded memory. The rows are sorted by key, and shown with their
    changed columns.
    """
    if bool(rows) != bool(key) or (rows and prefix):
        raise typer.BadParameter("to compare rows give --rows PREFIX --key COL[,COL], and no further PREFIX")
    with closing(open_lake()) as lake:
        if rows:
            from lake_assets.cli.row_diff import RowComparison

            asked = RowComparison(left=left, right=right, prefix=path_of(lake, rows, left, right), key=key.split(","))
            _diff_rows(lake, asked, limit or None, json)
            return
        found = lake.diff(left, right, path_of(lake, prefix, left, right) if prefix else "")
    if json:
        emit(asdict(found))
        return
    sides = (("added", found.added), ("removed", found.removed), ("changed", found.changed))
    show({"change": change, "path": path} for change, paths in sides for path in paths)


def _diff_rows(lake: Lake, asked: RowComparison, limit: int | None, json: bool) -> None:
    from lake_assets.cli.row_diff import row_diff

    with row_diff(lake, asked) as found:
        if json:
            emit_stream({**found.counts}, "rows", map(asdict, found.rows(limit)))
            return
        shown = (
            {"change": row.change, **row.key, "columns": _changes(row.before, row.after)} for row in found.rows(limit)
        )
        show(shown, ("change", *asked.key, "columns"))
        note(", ".join(f"{count} {change}" for change, count in found.counts.items()))


def _changes(before: Mapping[str, Any] | None, after: Mapping[str, Any] | None) -> str:
    if before is None or after is None:
        return ""
    return ", ".join(f"{name}: {cell(before[name])} -> {cell(after[name])}" for name in before)

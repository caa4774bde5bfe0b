"""Commands on the quality of data: `profile` and `drift`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lake_assets.cli.code_location import load_graph, open_lake
from lake_assets.cli.errors import CommandError
from lake_assets.cli.output import Json, emit, note, show
from lake_assets.cli.places import parse_place
from lake_assets.layout.asset_folders import key_of_prefix

if TYPE_CHECKING:
    from lake_assets.quality.profile import Profile
    from lake_assets.quality.questions import Asked

_COLUMNS = ("column", "type", "nulls", "empty", "distinct", "min", "max", "mean", "std")
_NAMED = 5
"""The number of partitions that are named."""


def profile(
    place: Annotated[
        str, typer.Argument(metavar="REF:PREFIX", help="A folder or file: Parquet, ORC, CSV or JSON lines.")
    ],
    html: Annotated[Path | None, typer.Option("--html", metavar="FILE", help="Write a page for people.")] = None,
    group: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN,…", help="Also count the rows of each group. Repeatable.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN,…", help="Also find repeated keys, and the skew. Repeatable.")
    ] = None,
    crosstab: Annotated[
        list[str] | None, typer.Option(metavar="A,B", help="Also count the rows of each pair of values. Repeatable.")
    ] = None,
    spearman: Annotated[bool, typer.Option("--spearman", help="Also correlate the ranks of numbers.")] = False,
    json: Json = False,
) -> None:
    """Print figures of the columns: nulls, distinct values, bounds, means and more.

    All rows are read once. A figure that is not exact is marked with ~, and --json says its bound. Of columns that
    the asset declares as personal only counts are computed. --group, --key, --crosstab and --spearman are exact, and
    read their columns once more, into memory.
    """
    from pyarrow import ArrowException

    from lake_assets.quality.lake_profiles import profile_at
    from lake_assets.quality.questions import answers_at

    parsed = parse_place(place)
    with closing(open_lake()) as lake:
        path = parsed.rows(lake)
        try:
            found = profile_at(lake, parsed.ref, path, _personal(path))
            asked = _asked(found, group or (), key or (), crosstab or (), spearman)
            answered = answers_at(lake, parsed.ref, path, found, asked)
        except (ValueError, ArrowException) as error:
            raise CommandError(str(error)) from error
    if html is not None:
        from lake_assets.quality.report import as_html

        html.write_text(as_html(found, place, answered), encoding="utf-8")
        note(f"{html} is the report.")
    if json:
        answers = [{"asked": one.title, "note": one.note, "rows": one.records} for one in answered]
        emit(found.as_dict() | ({"answers": answers} if answered else {}))
    elif html is None:
        show(
            [
                {
                    "column": column.name,
                    "type": column.type,
                    "nulls": column.nulls,
                    "empty": column.empty,
                    "distinct": f"{'' if column.exactness('distinct') == 'exact' else '~'}{column.distinct}",
                    "min": column.min,
                    "max": column.max,
                    "mean": column.mean,
                    "std": column.std,
                }
                for column in found.columns.values()
            ],
            _COLUMNS,
        )
        note(f"{found.rows:,} rows.")
        for one in answered:
            note(f"{one.title}: {one.note}" if one.note else f"{one.title}:")
            show(one.records, tuple(map(str, one.rows.columns)))


def drift(
    before: Annotated[str, typer.Argument(metavar="A", help="The ref to compare with.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The ref that is compared.")],
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="The folder: an asset, or one of its partitions.")],
    json: Json = False,
) -> None:
    """Print how the distribution of an asset's rows differs between two refs, where, and a few rows that show it.

    What chance explains for the numbers of rows is not printed. The exit code is 0 in any case.
    """
    from pyarrow import ArrowException

    from lake_assets.quality.lake_drift import drift_at

    with closing(open_lake()) as lake:
        left, right = (parse_place(f"{ref}:{prefix}") for ref in (before, after))
        commits = lake.head(before).id, lake.head(after).id
        paths = left.rows(lake), right.rows(lake)
        same = lake.fingerprint(commits[0], paths[0]) == lake.fingerprint(commits[1], paths[1]) is not None
        states = [(commits[at], paths[at]) for at in range(2)]
        try:
            findings = [] if same else drift_at(lake, states[0], states[1], _personal(paths[1]))
        except (ValueError, ArrowException) as error:
            raise CommandError(str(error)) from error
    if json:
        emit([asdict(one.finding) | {"partitions": one.partitions, "rows": one.rows} for one in findings])
        return
    show(
        [
            {
                "column": one.finding.column,
                "metric": one.finding.metric,
                "drift": one.finding.description,
                "partitions": _some(one.partitions),
            }
            for one in findings
        ],
        ("column", "metric", "drift", "partitions"),
    )
    for one in findings:
        if one.rows:
            note(f"Rows that show it ({one.finding.column}, {one.finding.metric}):")
            show(one.rows, tuple(one.rows[0]))
    if not findings:
        note("The rows are the same." if same else "No drift.")


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f", and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def _asked(
    known: Profile, groups: Sequence[str], keys: Sequence[str], crosstabs: Sequence[str], spearman: bool
) -> Asked:
    from lake_assets.quality.questions import Asked

    pairs = [tuple(_names(text)) for text in crosstabs]
    if any(len(pair) != 2 for pair in pairs):
        raise CommandError("a crosstab has two columns: --crosstab A,B")
    numbers = [one.name for one in known.columns.values() if one.is_numeric and one.type != "bool"] if spearman else []
    return Asked([*map(_names, groups)], [(pair[0], pair[1]) for pair in pairs], [*map(_names, keys)], numbers)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _personal(path: str) -> Collection[str]:
    """Return the personal columns of the asset that a path of the lake belongs to."""
    from lake_assets.io_managers.previews import personal_columns

    parts = path.split("/")
    graph = load_graph()
    for length in range(len(parts), 0, -1):
        key = key_of_prefix("/".join(parts[:length]))
        if key is not None and graph.has(key):
            return personal_columns(graph.get(key).metadata)
    return ()

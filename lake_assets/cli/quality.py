"""Commands on constraints: `quality backtest` and `quality quarantine`."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lake_assets.cli.code_location import load_graph, open_lake
from lake_assets.cli.errors import CommandError
from lake_assets.cli.output import Json, emit, note, show

if TYPE_CHECKING:
    from dagster import AssetKey

    from lake_assets.quality.constraints import AnyConstraint
    from lake_assets.quality_assets.naming import AnomalyRules

_Asset = Annotated[str, typer.Argument(metavar="ASSET", help="The asset, as Dagster shows it.")]
_Rules = Annotated[
    Path | None,
    typer.Option("--constraints", metavar="FILE", help="A YAML list of constraints, instead of the asset's own."),
]


class Side(str, Enum):
    """Figures that are anomalies: those that are too low, too high, or both."""

    BOTH = "both"
    LOW = "low"
    HIGH = "high"


def backtest(
    asset: _Asset,
    constraints: _Rules = None,
    ref: Annotated[str, typer.Option("--ref", metavar="REF", help="Where the history ends.")] = "main",
    sides: Annotated[
        Side | None, typer.Option(help="Which figures are anomalies. Default: as the asset declares it.")
    ] = None,
    json: Json = False,
) -> None:
    """Print how often constraints would have fired over the published history, and when.

    The kept profiles are read, and no row. The row `anomaly` says the same of the check `anomaly`, with the bounds and
    the ignored columns that the asset declares.
    """
    from lake_assets.layout.asset_folders import prefix_of
    from lake_assets.quality.backtest import backtest as backtested
    from lake_assets.quality_assets.naming import profile_key

    key, rules = _declared(asset, constraints)
    judged = _anomaly_rules(profile_key(key))
    bounds = replace(judged.bounds, sides=sides.value) if sides is not None else judged.bounds
    with closing(open_lake()) as lake:
        folders = prefix_of(key), prefix_of(profile_key(key))
        found = backtested(lake, lake.head(ref).id, *folders, rules, bounds=bounds, ignore=judged.ignore)
    lines: list[dict[str, Any]] = [
        {
            "constraint": one.name,
            "fired": len(one.fired),
            "judged": one.judged,
            "unknown": one.unknown,
            "when": [f"{at.commit.committed_at:%Y-%m-%d %H:%MZ} {at.place}".strip() for at, _ in one.fired],
            "found": [text for _, text in one.fired],
        }
        for one in found
    ]
    if json:
        emit(lines)
        return
    show(
        [
            {
                **{name: value for name, value in line.items() if name != "found"},
                "when": "; ".join(line["when"][:5]) + (" …" if len(line["when"]) > 5 else ""),
            }
            for line in lines
        ],
        ("constraint", "fired", "judged", "unknown", "when"),
    )
    note("fired: would have fired so many times; unknown: the profile does not tell.")


def quarantine(
    before: Annotated[str, typer.Argument(metavar="A", help="The ref to compare with.")],
    after: Annotated[str, typer.Argument(metavar="B", help="The ref that is compared.")],
    asset: _Asset,
    constraints: _Rules = None,
    json: Json = False,
) -> None:
    """Print the rows that break a constraint at one of two refs only: what entered quarantine, and what left it."""
    from pyarrow import ArrowException

    from lake_assets.io_managers.previews import personal_columns
    from lake_assets.layout.asset_folders import prefix_of
    from lake_assets.quality.lake_profiles import rows_at
    from lake_assets.quality.quarantine import quarantine_changes
    from lake_assets.quality.verifying import REASONS
    from lake_assets.quality_assets.references import references_at

    key, rules = _declared(asset, constraints)
    graph = load_graph()
    hidden = {name.casefold() for name in personal_columns(graph.get(key).metadata)} if graph.has(key) else set[str]()
    try:
        with closing(open_lake()) as lake:
            old, new = (rows_at(lake, ref, prefix_of(key)) for ref in (before, after))
            then, now = (references_at(lake, ref, rules) for ref in (before, after))
        entered, left = quarantine_changes(old, new, rules, references=now, references_before=then)
    except (ValueError, ArrowException) as error:
        raise CommandError(str(error)) from error
    found = [
        {"change": change, **{name: value for name, value in row.items() if name.casefold() not in hidden}}
        for change, rows in (("entered", entered), ("left", left))
        for row in rows.to_pylist()
    ]
    if json:
        emit(found)
        return
    names = [name for name in entered.column_names if name.casefold() not in hidden and name != REASONS]
    show([{**row, REASONS: ", ".join(row[REASONS])} for row in found[:50]], ("change", REASONS, *names))
    note(f"{entered.num_rows:,} row(s) entered quarantine, {left.num_rows:,} left it.")


def _anomaly_rules(profile: AssetKey) -> AnomalyRules:
    """Return how the check `anomaly` judges, by the definition of a profile."""
    import msgspec

    from lake_assets.quality_assets.naming import ANOMALY, AnomalyRules

    graph = load_graph()
    declared = graph.get(profile).metadata.get(ANOMALY) if graph.has(profile) else None
    text = getattr(declared, "value", declared)
    return msgspec.json.decode(str(text), type=AnomalyRules) if text else AnomalyRules()


def _declared(asset: str, file: Path | None) -> tuple[Any, Sequence[AnyConstraint]]:
    from dagster import AssetKey

    from lake_assets.quality.constraints import of_yaml
    from lake_assets.quality_assets.naming import CONSTRAINTS, profile_key

    key, graph = AssetKey.from_user_string(asset), load_graph()
    if file is not None:
        try:
            return key, of_yaml(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CommandError(f"{file}: {error}") from error
    made = profile_key(key)
    if not graph.has(made) or CONSTRAINTS not in graph.get(made).metadata:
        raise CommandError(
            f"asset {asset!r} declares no constraints: declare it with profiled(…), or give --constraints"
        )
    declared = graph.get(made).metadata[CONSTRAINTS]
    return key, of_yaml(str(getattr(declared, "value", declared)))

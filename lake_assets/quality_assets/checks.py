"""A factory of asset checks that are made from constraints, and from what was published before."""

# No postponed annotations here: Dagster reads them when the decorators run.

import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from dagster import (
    AllPartitionMapping,
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetCheckSpec,
    AssetDep,
    AssetKey,
    Failure,
    MetadataValue,
    PartitionsDefinition,
    PreviewWarning,
    multi_asset_check,
)

from lake_assets._dagster import is_selected
from lake_assets.lake.contract import Lake
from lake_assets.lake.names import join
from lake_assets.lake.rows import is_data
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.layout.partitions import folders
from lake_assets.quality.constraints import AnyConstraint, Complete, Fresh, RowCount, refuse_same_names
from lake_assets.quality.lake_profiles import known_profile, stream_at
from lake_assets.quality.profile import Profile
from lake_assets.quality.thresholds import Finding
from lake_assets.quality.verifying import Verdict, verify, verify_by_profile
from lake_assets.quality_assets.comparison import Comparison, Published
from lake_assets.quality_assets.naming import profile_key
from lake_assets.quality_assets.references import referenced, references_at
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.branch import base_commit, read_ref
from lake_assets.runs.check_results import logged
from lake_assets.runs.checked_commits import checked_at
from lake_assets.runs.partitions import partitions_of
from lake_assets.text.markdown import as_markdown

COMPARED = {
    "drift": "The distributions of the columns are as in what was published before the run.",
    "anomaly": "The figures of the profile are within what the published history explains.",
}
_SHOWN = 10


def constraint_checks(
    asset: str | Sequence[str] | AssetKey,
    constraints: Sequence[AnyConstraint],
    *,
    partitions_def: PartitionsDefinition[str] | None = None,
    personal: Collection[str] = (),
    compare: Comparison | None = None,
    by_file: bool = False,
) -> AssetChecksDefinition:
    """Return checks of an asset, one for each constraint. A constraint of severity ``ERROR`` blocks.

    They read the run's branch. If the profile does not suffice for a constraint, a partition's rows are read, in
    bounded memory. The rows that ``Refers`` names are those of an asset in the lake, of all its partitions: in a run
    that makes both, the checks come after it.

    Parameters
    ----------
    asset
        Key of the asset.
    constraints
        The constraints.
    partitions_def
        The partitions of the asset.
    personal
        Names of columns of which the profile keeps no value.
    compare
        What may differ from what was published before the run. Then there are also the checks ``drift`` and
        ``anomaly``, which warn. They read the profiles of :func:`.profiled`.
    by_file
        For an asset that is written by increments: each file keeps the constraints by itself, as a unique key does
        whose time is that of the file. Then a run that writes the asset reads only the files that it has changed, and
        what is published is not read again.

    Raises
    ------
    ValueError
        Several constraints have the same name, or a constraint is about more than a file.

    Examples
    --------
    >>> checks = constraint_checks("trades", [Complete(column="isin"), Range(column="price", min=0)])
    """
    key = AssetKey.from_coercible(asset)
    described = {one.title: (_describe(one), one.severity == "ERROR") for one in constraints}
    refuse_same_names(constraints)
    if by_file and (partitions_def is not None or any(isinstance(one, Fresh | RowCount) for one in constraints)):
        raise ValueError(f"the checks of {key.to_user_string()} are by file: no partitions, Fresh or RowCount then")
    if compare is not None:
        described |= {name: (text, False) for name, text in COMPARED.items()}
    others = [AssetDep(one, partition_mapping=AllPartitionMapping()) for one in referenced(constraints) if one != key]
    with warnings.catch_warnings():
        # Without partitions a check would get the whole history.
        warnings.simplefilter("ignore", PreviewWarning)
        specs = [
            AssetCheckSpec(
                name,
                asset=key,
                description=text,
                blocking=blocking,
                partitions_def=partitions_def,
                additional_deps=others,
            )
            for name, (text, blocking) in described.items()
        ]

    @multi_asset_check(name=f"{'_'.join(key.path)}_constraints", specs=specs)
    def check(context: AssetCheckExecutionContext, lake: LakeResource) -> Iterator[AssetCheckResult]:
        """Verify the constraints: by the profile where that suffices, all others in one more pass."""
        ref = read_ref(lake.lake, context.instance, context.run)
        places = [""]
        if partitions_def is not None:
            places = list(folders(partitions_def, partitions_of(context)).values())
        # A run of the checks alone reads all.
        if by_file and is_selected(context, key):
            places = _changed_files(lake.lake, base_commit(lake.lake, context.instance, context.run, ref), ref, key)
        try:
            known = {place: known_profile(lake.lake, ref, join(prefix_of(key), place), personal) for place in places}
            others = references_at(lake.lake, ref, constraints)
            verdicts = [
                _verified(lake.lake, ref, key, place, known=known[place], constraints=constraints, references=others)
                for place in places
            ]
        except ValueError as error:
            # A retry cannot help.
            raise Failure(f"the checks of {key.to_user_string()}: {error}", allow_retries=False) from error
        for number, one in enumerate(constraints):
            yield logged(context.log, _result(key, one, [found[number] for found in verdicts], ref))
        if compare is not None:
            base = base_commit(lake.lake, context.instance, context.run, ref)
            before = Published(
                lake.lake, base, key.to_user_string(), prefix_of(key), prefix_of(profile_key(key)), personal
            )
            for result in _compared(key, before, known, compare, ref):
                yield logged(context.log, result)

    return check


def _changed_files(lake: Lake, before: str, ref: str, key: AssetKey) -> list[str]:
    """Return the files of an asset that a run has added or changed, by their names in its folder."""
    prefix = prefix_of(key)
    found = lake.diff(before, ref, prefix)
    return sorted(path[len(prefix) + 1 :] for path in (*found.added, *found.changed) if is_data(path))


def _verified(
    lake: Lake,
    ref: str,
    key: AssetKey,
    place: str,
    *,
    known: Profile,
    constraints: Sequence[AnyConstraint],
    references: Mapping[str, Any],
) -> Sequence[Verdict]:
    found = [one for one in verify_by_profile(known, constraints) if one is not None and one.counted]
    if len(found) == len(constraints):
        return found
    return verify(stream_at(lake, ref, join(prefix_of(key), place)), constraints, known=known, references=references)


def _result(key: AssetKey, one: AnyConstraint, verdicts: Sequence[Verdict], ref: str) -> AssetCheckResult:
    bad, rows = sum(verdict.bad for verdict in verdicts), sum(verdict.rows for verdict in verdicts)
    failed = [verdict for verdict in verdicts if not verdict.passed]
    return AssetCheckResult(
        asset_key=key,
        check_name=one.title,
        passed=not failed,
        severity=AssetCheckSeverity.ERROR if one.severity == "ERROR" else AssetCheckSeverity.WARN,
        description=(failed or verdicts)[0].description if len(verdicts) == 1 else f"{bad:,} of {rows:,} rows break it",
        metadata={"bad_rows": bad, "rows": rows, **checked_at(ref)},
    )


def _compared(
    key: AssetKey, before: Published, known: dict[str, Profile], rules: Comparison, ref: str
) -> Iterator[AssetCheckResult]:
    recent = before.recent()
    drifted = {place: before.drifted(new, place, rules, recent) for place, new in known.items()}
    yield _finding_result(
        key,
        "drift",
        {place: found for place, (found, _) in drifted.items()},
        next(iter(drifted.values()))[1],
        {"compared_with": before.commit, **checked_at(ref)},
    )
    history = [one.figures for one in recent]
    anomalous = {place: before.anomalous(new, history, rules) for place, new in known.items()}
    yield _finding_result(
        key,
        "anomaly",
        anomalous,
        f"by {len(history)} published profile(s)",
        {"compared_with": before.commit, "profiles": len(history), **checked_at(ref)},
    )


def _finding_result(
    key: AssetKey, name: str, found: dict[str, list[Finding]], what: str, metadata: dict[str, Any]
) -> AssetCheckResult:
    listed = [
        {"place": place, "column": one.column, "metric": one.metric, "found": one.description}
        for place, findings in found.items()
        for one in findings
    ]
    texts = "; ".join(as_markdown(str(one["found"])) for one in listed[:_SHOWN])
    return AssetCheckResult(
        asset_key=key,
        check_name=name,
        passed=not listed,
        severity=AssetCheckSeverity.WARN,
        description=f"{texts or 'nothing differs'} ({what})",
        metadata={"findings": len(listed), "found": MetadataValue.json(listed[: 10 * _SHOWN]), **metadata},
    )


def _describe(one: AnyConstraint) -> str:
    kind = (type(one).__doc__ or "").partition("\n")[0]
    about = ", ".join(one.named_columns)
    share = f" At least {one.at_least:.1%}." if isinstance(one, Complete) else ""
    return f"{about}: {kind}{share}" if about else kind

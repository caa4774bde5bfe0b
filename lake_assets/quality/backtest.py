"""What constraints and the bounds of anomalies would have said of the published history, from its kept profiles."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from lake_assets.quality.anomaly import AnomalyBounds, anomalies
from lake_assets.quality.constraints import AnyConstraint
from lake_assets.quality.stored_profiles import PublishedProfile, published_profiles, read_profile
from lake_assets.quality.verifying import verify_by_profile

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake

ANOMALY = "anomaly"
HISTORY = 30
"""The number of profiles that each one is compared with: those that were published before it."""


@dataclass(frozen=True, slots=True)
class Backtested:
    """What a constraint would have said.

    Parameters
    ----------
    name
        Its name; ``anomaly`` for the bounds of anomalies.
    fired
        The publications that it would have fired for, newest first, each with what it would have found.
    judged
        The number of publications that it judged.
    unknown
        The number of publications whose profile does not suffice, or lacks the column.
    """

    name: str
    fired: Sequence[tuple[PublishedProfile, str]]
    judged: int
    unknown: int


def backtest(
    lake: Lake,
    commit: str,
    data: str,
    profiles: str,
    constraints: Sequence[AnyConstraint],
    *,
    bounds: AnomalyBounds | None = None,
    ignore: Collection[str] = (),
    limit: int = 1000,
) -> list[Backtested]:
    """Return what constraints would have said of each publication of an asset. No row is read.

    Parameters
    ----------
    lake
        The lake.
    commit
        The newest commit of the history.
    data, profiles
        The folders of the asset and of its profiles.
    constraints
        The constraints, also ones that no run verifies yet.
    bounds
        What is an anomaly.
    ignore
        Columns in which nothing is one.
    limit
        The largest number of publications.
    """
    published = list(islice(published_profiles(lake, commit, data, profiles), limit))
    fired: dict[str, list[tuple[PublishedProfile, str]]] = {one.title: [] for one in constraints}
    judged = dict.fromkeys(fired, 0)
    for at in published if constraints else ():
        known = read_profile(lake, at.commit.id, at.folder)
        for one in constraints:
            if any(name not in known.columns for name in one.named_columns):
                continue
            # An age ends when the rows were published.
            (verdict,) = verify_by_profile(known, [one], now=at.commit.committed_at)
            if verdict is not None:
                judged[one.title] += 1
                if not verdict.passed:
                    fired[one.title].append((at, verdict.description))
    found = [Backtested(name, fired[name], judged[name], len(published) - judged[name]) for name in fired]
    return [*found, _anomalies(published, bounds or AnomalyBounds(), ignore)]


def _anomalies(published: Sequence[PublishedProfile], bounds: AnomalyBounds, ignore: Collection[str]) -> Backtested:
    figures: list[Mapping[str, Any]] = [at.figures for at in published]
    fired: list[tuple[PublishedProfile, str]] = []
    for number, at in enumerate(published):
        former = figures[number + 1 : number + 1 + HISTORY]
        found = [one for one in anomalies(figures[number], former, bounds) if one.column not in ignore]
        if found:
            fired.append((at, "; ".join(one.description for one in found)))
    judged = max(0, len(published) - bounds.least)
    return Backtested(ANOMALY, fired, judged, len(published) - judged)

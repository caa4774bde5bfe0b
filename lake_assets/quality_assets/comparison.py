"""Compares what a run wrote with what was published before it: drift, and anomalies in the history."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from lake_assets.lake.errors import PathNotFound
from lake_assets.lake.names import join
from lake_assets.quality.anomaly import AnomalyBounds, anomalies
from lake_assets.quality.drift import drift
from lake_assets.quality.lake_profiles import profile_at
from lake_assets.quality.partition_drift import drift_of_partition
from lake_assets.quality.profile import Profile
from lake_assets.quality.stored_profiles import PublishedProfile, kept_profile, published_profiles, read_profile
from lake_assets.quality.thresholds import Finding, Thresholds

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake

HISTORY = 30
"""The number of published profiles that a run is compared with."""
_LOOKED_AT = 100
"""The number of commits in which they are looked for, so that a run costs the same however long the history is."""
_BATCHES = 8
"""The number of published partitions that a new one is compared with."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared, and what may differ.

    Parameters
    ----------
    ignore
        Columns that differ in every batch, such as the day.
    drift
        How much the distributions may differ.
    anomaly
        What is an anomaly.
    """

    ignore: Collection[str] = ()
    drift: Thresholds | None = None
    anomaly: AnomalyBounds | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """What was published before a run, of one asset.

    Parameters
    ----------
    lake
        The lake.
    commit
        The commit at which the run's branch began.
    asset
        Name of the asset as Dagster shows it.
    data, profiles
        The folders of the asset and of its profiles.
    personal
        Names of columns of which profiles keep no value.
    """

    lake: Lake
    commit: str
    asset: str
    data: str
    profiles: str
    personal: Collection[str] = ()

    def recent(self) -> Sequence[PublishedProfile]:
        """Return the newest published profiles, newest first."""
        found = published_profiles(
            self.lake, self.commit, self.data, self.profiles, asset=self.asset, within=_LOOKED_AT
        )
        return list(islice(found, HISTORY))

    def drifted(
        self, new: Profile, place: str, rules: Comparison, recent: Sequence[PublishedProfile]
    ) -> tuple[list[Finding], str]:
        """Return how a partition's rows differ from published ones, and from which.

        They are those of the same partition, if it is published, and otherwise the newest published partitions.

        Parameters
        ----------
        new
            The profile of the partition.
        place
            Its folder below the asset's; empty for an asset without partitions.
        rules
            What may differ.
        recent
            What :meth:`recent` returned.
        """
        before = self._same(place)
        if before is None:
            found = list(islice(self._others(place, recent), _BATCHES))
            if not found:
                return [], "nothing is published yet"
            what = f"compared with the last {len(found)} published partition(s)"
            findings = drift_of_partition(found, new, rules.drift)
        else:
            what, findings = f"compared with commit {self.commit}", drift(before, new, rules.drift)
        return [one for one in findings if one.column not in rules.ignore], what

    def anomalous(self, new: Profile, history: Sequence[Mapping[str, Any]], rules: Comparison) -> list[Finding]:
        """Return the figures that the published history does not explain.

        Parameters
        ----------
        new
            The profile of the partition.
        history
            The figures of published profiles.
        rules
            What may differ.
        """
        found = anomalies(new.as_dict(), history, rules.anomaly)
        return [one for one in found if one.column not in rules.ignore]

    def _same(self, place: str) -> Profile | None:
        data = join(self.data, place)
        of = self.lake.fingerprint(self.commit, data)
        if of is None:
            return None
        kept = kept_profile(self.lake, self.commit, join(self.profiles, place), of)
        try:
            return kept or profile_at(self.lake, self.commit, data, self.personal)
        except (PathNotFound, ValueError):
            return None

    def _others(self, place: str, recent: Sequence[PublishedProfile]) -> Iterator[Profile]:
        """Yield the profiles of other partitions, the newest published first."""
        seen = {place}
        columns: list[tuple[str, str]] | None = None
        for one in recent:
            if one.place in seen:
                continue
            seen.add(one.place)
            found = read_profile(self.lake, one.commit.id, one.folder)
            described = [(column.name, column.type) for column in found.columns.values()]
            # Those of other columns do not merge.
            if columns in (None, described) and found.rows:
                columns = described
                yield found

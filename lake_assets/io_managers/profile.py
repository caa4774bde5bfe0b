"""Profiles of assets in the lake: JSON for people and the state for merging, in a folder for each partition."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dagster import InputContext, OutputContext

from lake_assets.frames.hive_folders import PartitionValues
from lake_assets.io_managers.annotations import annotation_of
from lake_assets.io_managers.inputs import FoundInput
from lake_assets.io_managers.lake_io_manager import LakeIOManager
from lake_assets.io_managers.target import Stored, Target
from lake_assets.lake.contract import Lake, Write
from lake_assets.lake.names import join
from lake_assets.quality.profile import Profile, merged
from lake_assets.quality.stored_profiles import read_figures, read_profile, write_profile


@dataclass(frozen=True, slots=True)
class AssetProfile:
    """The profile of a partition, or of an asset without partitions.

    Parameters
    ----------
    profile
        The profile.
    of
        Fingerprint of the files that were profiled.
    metadata
        Materialization metadata: what the page shows.
    """

    profile: Profile
    of: str
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])


class ProfileIOManager(LakeIOManager):
    """Stores profiles: ``AssetProfile``, or ``dict[str, AssetProfile]`` (partition key to profile).

    An input is loaded as :class:`.Profile`. That of several partitions is merged from theirs, and no row is read.

    Examples
    --------
    >>> @asset
    ... def report(stocks_parquet_profile: Profile) -> str:
    ...     return as_html(stocks_parquet_profile, "stocks")
    """

    def _store(self, context: OutputContext, obj: Any, write: Write, target: Target) -> dict[str, Stored]:
        name = context.asset_key.to_user_string()
        made: dict[str, Any] = obj if isinstance(obj, dict) else dict.fromkeys(target.folders, obj)
        if not all(isinstance(one, AssetProfile) for one in made.values()):
            raise TypeError(f"{name} returned a {type(obj).__name__}; profile_io_manager stores AssetProfile")
        if sorted(made) != sorted(target.folders) or (len(made) > 1 and not isinstance(obj, dict)):
            raise ValueError(f"{name} returned profiles of {sorted(made)}, not of {sorted(target.folders)}")
        stored: dict[str, Stored] = {}
        for key, one in made.items():
            root = join(write.root, target.folders[key])
            write.filesystem.create_dir(root, recursive=True)
            write_profile(write.filesystem, root, one.profile, one.of)
            stored[key] = Stored(len(one.profile.columns), _version(one.profile, one.of), one.metadata)
        return stored

    def _recomputed_version(
        self, lake: Lake, commit: str, path: str, part: Stored, partition: PartitionValues
    ) -> str | None:
        del part, partition
        return _version(read_profile(lake, commit, path), str(read_figures(lake, commit, path).get("of")))

    def _load(self, context: InputContext, found: FoundInput) -> Any:
        if annotation_of(context)[0] not in (Profile, Any):
            raise TypeError(
                f"cannot load {context.asset_key.to_user_string()} as {context.dagster_type.display_name}: annotate "
                "the input as Profile"
            )
        commit = found.snapshot.commit
        return merged(read_profile(self.lake.lake, commit, found.target.path(key)) for key in found.target.folders)


def _version(profile: Profile, of: str) -> str:
    """Return the version of a profile: which files are profiled, and which columns hide their values.

    Sketches of the same rows differ by chance, so their bytes are no version.
    """
    columns = [f"{one.name}\0{one.type}\0{one.personal}" for one in profile.columns.values()]
    return hashlib.sha256("\n".join([of, *columns]).encode()).hexdigest()[:32]

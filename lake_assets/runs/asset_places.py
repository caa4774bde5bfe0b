"""Finds the asset and partition that a path in the lake belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster import AssetKey

from lake_assets.layout.asset_folders import prefix_of
from lake_assets.layout.partitions import partition_key_of
from lake_assets.runs.provenance import parents, place_of

if TYPE_CHECKING:
    from lake_assets._dagster import AssetGraph


@dataclass(frozen=True, slots=True)
class AssetPlace:
    """A partition of an asset, and its folder in the lake.

    Parameters
    ----------
    asset
        Key of the asset.
    partition
        Partition key; None if the asset has no partitions.
    path
        The folder.
    """

    asset: AssetKey
    partition: str | None
    path: str


class AssetPlaces:
    """The folders of all assets of a graph.

    Parameters
    ----------
    graph
        The graph of the code location.
    """

    def __init__(self, graph: AssetGraph) -> None:
        self._graph = graph
        self._order = {key: number for number, key in enumerate(graph.toposorted_asset_keys)}
        self._prefixes = {prefix_of(key): key for key in self._order}
        self._partitions: dict[str, str | None] = {}

    def prefix(self, path: str) -> str | None:
        """Return the prefix of the asset that a file belongs to; None if it belongs to no asset.

        Parameters
        ----------
        path
            Path of the file.
        """
        return place_of(path, self._prefixes.keys())

    def of(self, paths: Iterable[str]) -> list[AssetPlace]:
        """Return the partitions that files belong to, upstream assets first.

        Files that belong to no asset are left out.

        Parameters
        ----------
        paths
            Paths of the files.
        """
        found = {place for path in paths if (place := self.find(path)) is not None}
        return sorted(found, key=lambda place: (self._order[place.asset], place.path))

    def find(self, path: str) -> AssetPlace | None:
        """Return the partition that a file belongs to.

        Return None if the file belongs to no asset, or lies in no partition of a partitioned asset.

        Parameters
        ----------
        path
            Path of the file.
        """
        prefix = self.prefix(path)
        if prefix is None:
            return None
        asset = self._prefixes[prefix]
        definition = self._graph.get(asset).partitions_def
        if definition is None:
            return AssetPlace(asset, None, prefix)
        for folder in parents(path):
            if folder == prefix:
                break
            if folder not in self._partitions:
                self._partitions[folder] = partition_key_of(definition, folder[len(prefix) + 1 :])
            key = self._partitions[folder]
            if key is not None:
                return AssetPlace(asset, key, folder)
        return None

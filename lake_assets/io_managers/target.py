"""The folders of an asset's partitions in the lake, and what was stored in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lake_assets.frames.hive_folders import PartitionValues, folder
from lake_assets.lake.names import join
from lake_assets.layout.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored in one partition.

    Parameters
    ----------
    rows
        The number of rows.
    version
        Version of the content.
    metadata
        Further materialization metadata.
    beside
        The files in the folder beside the prefix, also those of earlier writes: path below it to size in bytes.
    columns
        What the manifest records about each column.
    """

    rows: int
    version: str
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    beside: Mapping[str, int] = field(default_factory=dict[str, int])
    columns: Sequence[Mapping[str, Any]] = ()

    def manifest(self, windows: str) -> Manifest:
        """Return the manifest of the partition, without its files.

        Parameters
        ----------
        windows
            The time windows of the asset's partitions.
        """
        return Manifest(
            rows=self.rows,
            data_version=self.version,
            beside=dict(self.beside),
            columns=self.columns,
            windows=windows,
        )


@dataclass(frozen=True)
class Target:
    """The folders of an asset's partitions in the lake.

    Parameters
    ----------
    prefix
        The asset's folder.
    partitions
        Partition key to its partition columns; None for an unpartitioned asset.
    windows
        The time windows of the partitions; empty if there are none.
    """

    prefix: str
    partitions: Mapping[str, PartitionValues] | None
    windows: str = ""

    @cached_property
    def folders(self) -> dict[str, str]:
        """Partition key to its folder below the prefix; ``{"": ""}`` for an unpartitioned asset."""
        if self.partitions is None:
            return {"": ""}
        return {key: folder(values) for key, values in self.partitions.items()}

    @property
    def columns(self) -> tuple[str, ...]:
        """The partition columns, outermost first."""
        return tuple(next(iter((self.partitions or {}).values()), ()))

    def values(self, key: str) -> PartitionValues:
        """Return the partition columns of a partition; empty for an unpartitioned asset.

        Parameters
        ----------
        key
            Partition key.
        """
        return {} if self.partitions is None else self.partitions[key]

    def path(self, key: str) -> str:
        """Return the path of a partition in the lake.

        Parameters
        ----------
        key
            Partition key; empty for an unpartitioned asset.
        """
        return join(self.prefix, self.folders[key])

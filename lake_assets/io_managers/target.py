"""Where an asset's partitions lie in the lake, and what was stored of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from lake_assets.frames.hive_folders import PartitionValues, folder
from lake_assets.lake.names import join


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored of one partition.

    Parameters
    ----------
    rows
        How many there are.
    version
        A version of the content.
    metadata
        Further materialization metadata.
    beside
        Files in the folder beside the prefix, whichever write made them: path below it to size in bytes.
    columns
        What the manifest is to keep of each column.
    """

    rows: int
    version: str
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    beside: Mapping[str, int] = field(default_factory=dict[str, int])
    columns: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True)
class Target:
    """Where an asset's partitions lie in the lake.

    Parameters
    ----------
    prefix
        The asset's folder.
    partitions
        Partition key to its columns; None for an unpartitioned asset.
    windows
        The time windows that are its partitions; empty where it has none.
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
        """Return the columns of one partition; none of an unpartitioned asset."""
        return {} if self.partitions is None else self.partitions[key]

    def path(self, key: str) -> str:
        """Return the path of one partition in the lake."""
        return join(self.prefix, self.folders[key])

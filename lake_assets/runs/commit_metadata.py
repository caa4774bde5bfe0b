"""The metadata of a commit: its run, asset, partitions and inputs, and the reason for it."""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_TEXTS = {
    "run_id": "run_id",
    "job": "job",
    "step": "step",
    "asset": "asset",
    "partition": "partition",
    "code_version": "code_version",
    "code_commit": "code_commit",
    "data_version": "data_version",
    "branch": "branch",
    "branch_head": "branch_head",
    "merged": "merged",
    "rollback_to": "rollback_to",
    "deleted": "deleted",
    "by": "by",
    "reason": "reason",
    "run_url": "::lakefs::Dagster::url[url:ui]",  # lakeFS shows it as a button.
}
_ROWS = "rows"
_INPUT = "input:"
_SOURCE = "source"
_MOVED = "moved"


def _no_texts() -> dict[str, str]:
    return {}


def _no_numbers() -> dict[str, int]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitMetadata:
    """The metadata of one commit. Fields that the commit lacks are None or empty.

    Parameters
    ----------
    run_id
        The Dagster run that made the commit. For a merge: the run that it published.
    job
        The job of that run.
    step
        The step that made the commit.
    asset
        The asset's key as Dagster shows it (``sales/daily``).
    partition
        The partition key; ``<first>...<last>`` for several.
    rows
        The number of rows in all partitions that were written.
    partition_rows
        Partition key to number of rows, if there are several partitions.
    code_version
        Dagster's code version of the asset.
    code_commit
        The Git commit of the code. It ends with ``-dirty`` if files were changed since.
    data_version
        Dagster's data version of the data that were written.
    inputs
        Name of each input asset to the lake's commit that was read.
    sources
        Partition key to the address that a raw file was fetched from. The key is ``""`` for a single file.
    branch
        The working branch that the run or the person works on; None for ``main``.
    branch_head
        For a publication: the head of the run's branch that was merged.
    merged
        For a merge of one protected branch into another: the branch that was merged.
    rollback_to
        For a rollback: the commit whose data were restored.
    deleted
        For a deletion: the folder that was removed.
    by
        For a rollback or a deletion: the person who asked for it.
    reason
        For a rollback or a deletion: the reason.
    moved
        For a migration: each new place to the old one. It is stored compressed, since there may be many.
    run_url
        The page of the run in the Dagster UI.
    """

    run_id: str | None = None
    job: str | None = None
    step: str | None = None
    asset: str | None = None
    partition: str | None = None
    rows: int | None = None
    partition_rows: Mapping[str, int] = field(default_factory=_no_numbers)
    code_version: str | None = None
    code_commit: str | None = None
    data_version: str | None = None
    inputs: Mapping[str, str] = field(default_factory=_no_texts)
    sources: Mapping[str, str] = field(default_factory=_no_texts)
    branch: str | None = None
    branch_head: str | None = None
    merged: str | None = None
    rollback_to: str | None = None
    deleted: str | None = None
    by: str | None = None
    reason: str | None = None
    moved: Mapping[str, str] = field(default_factory=_no_texts)
    run_url: str | None = None

    def to_metadata(self) -> dict[str, str]:
        """Return the metadata of a commit, ``str -> str``. Fields that are None or empty are left out."""
        texts = {key: getattr(self, name) for name, key in _TEXTS.items()}
        metadata: dict[str, str] = {key: value for key, value in texts.items() if value is not None}
        if self.rows is not None:
            metadata[_ROWS] = str(self.rows)
        metadata |= {f"{_ROWS}[{partition}]": str(rows) for partition, rows in self.partition_rows.items()}
        metadata |= {f"{_INPUT}{asset}": commit for asset, commit in self.inputs.items()}
        for partition, source in self.sources.items():
            metadata[f"{_SOURCE}[{partition}]" if partition else _SOURCE] = source
        if self.moved:
            metadata[_MOVED] = _pack(self.moved)
        return metadata

    @classmethod
    def parse(cls, metadata: Mapping[str, str]) -> CommitMetadata:
        """Read the metadata of a commit.

        It never fails. Values of a wrong type and unknown keys are ignored.

        Parameters
        ----------
        metadata
            The metadata of any commit, whoever made it.
        """
        texts = {name: metadata[key] for name, key in _TEXTS.items() if key in metadata}
        partition_rows: dict[str, int] = {}
        inputs: dict[str, str] = {}
        sources: dict[str, str] = {}
        for key, value in metadata.items():
            if key.startswith(_INPUT):
                inputs[key.removeprefix(_INPUT)] = value
            elif key == _SOURCE:
                sources[""] = value
            elif key.endswith("]") and key.startswith(f"{_SOURCE}["):
                sources[key[len(_SOURCE) + 1 : -1]] = value
            elif key.endswith("]") and key.startswith(f"{_ROWS}["):
                rows = _number(value)
                if rows is not None:
                    partition_rows[key[len(_ROWS) + 1 : -1]] = rows
        return cls(
            **texts,
            rows=_number(metadata.get(_ROWS, "")),
            partition_rows=partition_rows,
            inputs=inputs,
            sources=sources,
            moved=_unpack(metadata.get(_MOVED, "")),
        )

    def rows_of(self, partition: str | None) -> int | None:
        """Return the number of rows in one partition, or in all if the commit has no number for each.

        Parameters
        ----------
        partition
            Partition key; None if the asset has no partitions.
        """
        return self.partition_rows.get(partition or "", self.rows)

    def covers(self, partition: str | None) -> bool:
        """Return whether the commit wrote this partition.

        Parameters
        ----------
        partition
            Partition key; None if the asset has no partitions.
        """
        return self.partition == partition or partition in self.partition_rows


def partition_range(keys: Sequence[str]) -> str | None:
    """Return the text of :attr:`CommitMetadata.partition` for these partition keys; None if there are no keys.

    Parameters
    ----------
    keys
        The partition keys.
    """
    first, last = min(keys, default=None), max(keys, default=None)
    return first if first == last else f"{first}...{last}"


def _number(text: str) -> int | None:
    # Python refuses to read numbers of thousands of digits. Such texts are not row counts.
    return int(text) if text.isdecimal() and len(text) < 20 else None


def _pack(places: Mapping[str, str]) -> str:
    return base64.b64encode(zlib.compress(json.dumps(dict(places)).encode(), 9)).decode()


def _unpack(packed: str) -> dict[str, str]:
    try:
        places = json.loads(zlib.decompress(base64.b64decode(packed))) if packed else {}
    except (binascii.Error, zlib.error, ValueError):
        return {}
    if not isinstance(places, dict):
        return {}
    return {name: place for name, place in places.items() if isinstance(place, str)}

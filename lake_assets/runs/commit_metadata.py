"""What a commit says of itself: which run made it, of which asset and partitions, from which commits, and why."""

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
    "branch_head": "branch_head",
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
    """The metadata of one commit. A field that the commit does not have is None, or empty.

    Parameters
    ----------
    run_id
        The Dagster run that made the commit, or whose branch a merge published.
    job, step
        The job of that run, and its step.
    asset
        The asset, as Dagster shows its key (``sales/daily``).
    partition
        Its partition key; ``<first>...<last>`` of several.
    rows
        The number of rows in all partitions that the commit holds.
    partition_rows
        Partition key to its number of rows, where there are several partitions.
    code_version
        Dagster's code version of the asset.
    code_commit
        The Git commit of the code; it ends with ``-dirty`` where files were changed since.
    data_version
        Dagster's data version of what was written.
    inputs
        Asset name of each input to the lake's commit that was read.
    sources
        Partition key to the address a raw file was fetched from; the key is ``""`` where there is one file.
    branch_head
        Of a publication: the head of the run's branch that was merged.
    rollback_to
        Of a rollback: the commit whose data it restored.
    deleted
        Of a deletion: the folder that was removed.
    by, reason
        Of a rollback or a deletion: who asked for it, and why.
    moved
        Of a migration: each place to where it was before. It is stored packed, since there may be many.
    run_url
        The page of the run in Dagster's web page.
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
    branch_head: str | None = None
    rollback_to: str | None = None
    deleted: str | None = None
    by: str | None = None
    reason: str | None = None
    moved: Mapping[str, str] = field(default_factory=_no_texts)
    run_url: str | None = None

    def to_metadata(self) -> dict[str, str]:
        """Return the commit metadata, ``str -> str``, without the fields that are None or empty."""
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
        """Return what a commit's metadata say.

        It never fails: a value that is not of its field's type, or a key that is not known, is passed over.

        Parameters
        ----------
        metadata
            Of a commit by this program, an older one, or anybody.
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
        """Return the number of rows of one partition; of all of them where the commit does not tell them apart."""
        return self.partition_rows.get(partition or "", self.rows)

    def covers(self, partition: str | None) -> bool:
        """Return whether the commit holds this partition (None: of an asset without partitions)."""
        return self.partition == partition or partition in self.partition_rows


def partition_range(keys: Sequence[str]) -> str | None:
    """Return what :attr:`CommitMetadata.partition` says of these partition keys; None where there are none."""
    first, last = min(keys, default=None), max(keys, default=None)
    return first if first == last else f"{first}...{last}"


def _number(text: str) -> int | None:
    # Longer ones are no row counts, and Python refuses to read them.
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

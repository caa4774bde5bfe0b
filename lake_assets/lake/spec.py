"""What a caller asks of a lake: the folders that one write replaces or extends, and the commit that it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import get_args

from lake_assets.lake import names
from lake_assets.lake.contract import WriteMode


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitStep:
    """A commit to make, without its content.

    Parameters
    ----------
    message
        Commit message.
    metadata
        Commit metadata.
    """

    message: str
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteSpec:
    """The arguments of :meth:`Lake.write`, as one value that a backend passes on.

    Parameters
    ----------
    branch, prefix, mode, message, metadata, partitions, beside
        As of :meth:`Lake.write`.
    """

    branch: str
    prefix: str
    mode: WriteMode = "overwrite"
    message: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict[str, str])
    partitions: Sequence[str] | None = None
    beside: Sequence[str] = ()

    def checked(self, repository: str) -> WriteSpec:
        """Return the same write, with each folder named in the one way that the lake names it.

        Parameters
        ----------
        repository
            Name of the lake, for errors.

        Raises
        ------
        ValueError
            There is no such mode.
        InvalidName
            A folder cannot have this name, or one of the folders that are written lies in another.
        """
        if self.mode not in get_args(WriteMode):
            raise ValueError(f"mode must be 'overwrite' or 'append', not {self.mode!r}")
        prefix = names.check_folder(self.prefix, repository, "prefix")
        targets = names.targets(prefix, self.partitions, repository)
        partitions = None if self.partitions is None else [target[len(prefix) + 1 :] for target in targets]
        beside = names.apart(prefix, self.beside, repository)
        return replace(self, prefix=prefix, partitions=partitions, beside=beside)

    @property
    def appends(self) -> bool:
        """Whether the write adds files, and replaces none."""
        return self.mode == "append"

    @property
    def targets(self) -> list[str]:
        """The folders that the write replaces or extends: the prefix, or its partitions."""
        if self.partitions is None:
            return [self.prefix]
        return [f"{self.prefix}/{partition}" for partition in self.partitions]

    @property
    def roots(self) -> list[str]:
        """The folders that the writer is handed: the prefix, and those beside it."""
        return [self.prefix, *self.beside]

    def updates(self, path: str) -> bool:
        """Tell whether a path lies in one of the folders beside the prefix.

        Parameters
        ----------
        path
            A path of the lake.
        """
        return any(names.is_within(path, folder) for folder in self.beside)

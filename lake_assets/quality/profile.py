"""A profile: the figures of a frame, and the state by which it merges with others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cached_property
from statistics import median
from typing import TYPE_CHECKING, Any

from lake_assets.quality.column_profile import ColumnProfile
from lake_assets.quality.correlation_state import Matrix
from lake_assets.quality.describing import described
from lake_assets.quality.frame_state import FrameState
from lake_assets.quality.stored_state import read_state, write_state

if TYPE_CHECKING:
    import pandas


class Profile:
    """The figures of a frame.

    Parameters
    ----------
    state
        The state that the figures are computed from.

    Examples
    --------
    >>> profile(frame).columns["StartPrice"].mean
    71.3
    """

    def __init__(self, state: FrameState) -> None:
        self._state = state

    @property
    def rows(self) -> int:
        """The number of rows."""
        return self._state.rows

    @property
    def bytes(self) -> int:
        """The size of the rows in Arrow's memory, in bytes. It depends on how they were read."""
        return self._state.size

    @cached_property
    def columns(self) -> Mapping[str, ColumnProfile]:
        """The figures of each column, by its name."""
        return {state.name: ColumnProfile(state) for state in self._state.columns}

    @property
    def parts(self) -> Mapping[str, int]:
        """The number of rows of each part that was named, such as a partition."""
        return self._state.parts

    @property
    def skew(self) -> float | None:
        """The number of rows of the largest part, by the median of all parts."""
        middle = median(self.parts.values()) if self.parts else 0
        return max(self.parts.values()) / middle if middle else None

    def correlation(self) -> pandas.DataFrame:
        """Return Pearson's coefficients of the columns of numbers, over the rows where both have a finite value."""
        import pandas as pd

        pandas: Any = pd  # its stubs refuse lists of texts
        state = self._state.correlation
        return pandas.DataFrame(state.matrix(), state.names, state.names)

    def paired(self) -> tuple[list[str], Matrix, Matrix]:
        """Return how far each two columns of numbers are apart, row by row.

        These are the names of the columns, the mean of the differences in standard deviations of these, and the
        numbers of rows where both have a finite value.
        """
        state = self._state.correlation
        return state.names, state.paired(), state.counts

    def describe(self) -> pandas.DataFrame:
        """Return what ``describe()`` of pandas returns: of numbers and times if there are any, otherwise of texts."""
        return described(self.columns.values())

    def merge(self, *others: Profile) -> Profile:
        """Return the profile of the rows of this and other profiles.

        Parameters
        ----------
        others
            Profiles of the same columns.

        Raises
        ------
        ValueError
            They have different columns.
        """
        return merged([self, *others])

    def named(self, part: str) -> Profile:
        """Return the same profile, whose rows are counted as those of a part.

        Parameters
        ----------
        part
            Name of the part, such as a partition's key.
        """
        state = self._state
        return Profile(FrameState(state.columns, state.correlation, state.rows, state.size, {part: state.rows}))

    def to_bytes(self) -> bytes:
        """Return the state, for merging later. It contains no code."""
        return write_state(self._state)

    @classmethod
    def from_bytes(cls, state: bytes) -> Profile:
        """Return the profile of a state.

        Parameters
        ----------
        state
            What :meth:`to_bytes` returned.

        Raises
        ------
        ValueError
            It is not a state, or of an unknown version.
        """
        return cls(read_state(state))

    def as_dict(self) -> dict[str, Any]:
        """Return all figures as values of JSON."""
        return {
            "rows": self.rows,
            "bytes": self.bytes,
            "parts": dict(self.parts),
            "columns": [column.as_dict() for column in self.columns.values()],
        }

    def to_json(self) -> str:
        """Return all figures as JSON, for people."""
        return json.dumps(self.as_dict(), indent=2, ensure_ascii=False)


def merged(profiles: Iterable[Profile]) -> Profile:
    """Return the profile of the rows of several profiles.

    Parameters
    ----------
    profiles
        Profiles of the same columns, at least one.
    """
    return Profile(FrameState.merged([one._state for one in profiles]))  # pyright: ignore[reportPrivateUsage]

"""What is kept for Pearson's correlation of each pair of columns of numbers, over the rows where both have a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

ROWS = 1 << 13
"""The number of rows that are worked on at a time: the values of many columns stay in the processor's cache."""

if TYPE_CHECKING:
    import pyarrow

Matrix: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(slots=True)
class CorrelationState:
    """Numbers, means, and products of the differences from the means, each a matrix over pairs of columns.

    Parameters
    ----------
    names
        The columns of numbers.
    counts
        The number of rows in which both columns have a finite value.
    means
        The mean of the column of the row, over those rows.
    squares
        The sum of its squared differences from that mean.
    products
        The sum of the products of both columns' differences.
    """

    names: list[str]
    counts: Matrix
    means: Matrix
    squares: Matrix
    products: Matrix

    @classmethod
    def empty(cls, names: list[str]) -> CorrelationState:
        """Return the state of no rows.

        Parameters
        ----------
        names
            The columns of numbers.
        """
        zeros = [np.zeros((len(names), len(names))) for _ in range(4)]
        return cls(names, *zeros)

    @np.errstate(over="ignore", invalid="ignore")
    def add(self, batch: pyarrow.RecordBatch) -> None:
        """Add rows.

        Parameters
        ----------
        batch
            The rows, which have the columns.
        """
        import pyarrow as pa

        if not self.names or not batch.num_rows:
            return
        # A column is a line of memory, since lines are written and summed faster.
        values = np.empty((len(self.names), batch.num_rows))
        for at, name in enumerate(self.names):
            column = batch.column(name)
            values[at] = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        known = np.isfinite(values)
        whole = bool(known.all())
        if not whole:
            values[~known] = 0.0
        each = known.sum(axis=1)
        base = values.sum(axis=1) / np.maximum(each, 1)
        values -= base[:, None]
        if whole:
            n = np.full((len(self.names),) * 2, float(batch.num_rows))
            sums = np.repeat(values.sum(axis=1)[:, None], len(self.names), axis=1)
            squares = np.repeat(np.einsum("ij,ij->i", values, values)[:, None], len(self.names), axis=1)
        else:
            values[~known] = 0.0
            mask = known.astype(np.float64)
            n = mask @ mask.T
            sums = values @ mask.T
            squares = (values * values) @ mask.T
        products = values @ values.T
        some = np.maximum(n, 1)
        means = sums / some
        self.merge(
            CorrelationState(
                self.names, n, means + base[:, None], squares - sums * means, products - sums * sums.T / some
            )
        )

    @np.errstate(over="ignore", invalid="ignore")
    def merge(self, other: CorrelationState) -> None:
        """Add the rows of another part.

        Parameters
        ----------
        other
            The state of the other part, of the same columns.
        """
        total = self.counts + other.counts
        some = np.maximum(total, 1)
        delta = other.means - self.means
        weight = self.counts * other.counts / some
        self.squares = self.squares + other.squares + delta * delta * weight
        self.products = self.products + other.products + delta * delta.T * weight
        self.means = self.means + delta * (other.counts / some)
        self.counts = total

    def matrix(self) -> Matrix:
        """Return the coefficients; NaN where a column does not vary."""
        with np.errstate(invalid="ignore", divide="ignore"):
            # Roots first: the product of two sums of squares may be beyond the greatest number.
            found = self.products / (np.sqrt(self.squares) * np.sqrt(self.squares.T))
        varies = (self.squares > 0) & (self.squares.T > 0) & (self.counts > 1)
        return np.where(varies, np.clip(found, -1, 1), np.nan)

    def paired(self) -> Matrix:
        """Return by how much the column of the row is above that of the column: the mean difference by its deviation.

        It is zero where that is too near to none to be known.
        """
        with np.errstate(invalid="ignore", divide="ignore"):
            spread = self.squares + self.squares.T - 2 * self.products
            found = (self.means - self.means.T) / np.sqrt(spread / self.counts)
        known = (spread > 1e-9 * (self.squares + self.squares.T)) & (self.counts > 1)
        return np.where(known, found, 0.0)

"""What drift is, and how much may differ without being any."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """How much may differ. To each is added what chance explains for the numbers of rows.

    Parameters
    ----------
    psi
        The population stability index.
    ks
        The distance of Kolmogorov and Smirnov.
    nulls
        The change of the share of nulls, of NaN, and of empty and blank texts.
    level
        The probability, over all columns, that chance makes one of these shares rise by more than is allowed.
    garbled
        The same for garbled texts, which must also become more than twice as many.
    distinct
        The ratio of the shares of distinct values among all, where the numbers of rows are alike or nearly all are
        distinct. It is above that of rows that are drawn again from the same ones.
    pattern
        The change of the share of a shape of texts.
    outside
        How far values may lie outside of the former bounds, in units of the former span.
    paired
        How far two columns of numbers are apart before it counts which is the greater one: the mean of the
        differences, in standard deviations of these.
    rows
        The ratio of the numbers of rows. A batch that is there twice has twice the rows.
    confidence
        How many standard deviations of chance are allowed.
    """

    psi: float = 0.1
    ks: float = 0.05
    nulls: float = 0.01
    level: float = 0.008
    garbled: float = 0.05
    distinct: float = 1.8
    pattern: float = 0.02
    outside: float = 0.75
    paired: float = 0.2
    rows: float = 1.8
    confidence: float = 4.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that drifted.

    Parameters
    ----------
    metric
        What differs, such as ``psi`` or ``nulls``.
    column
        The column; empty for the frame as a whole.
    value, allowed
        By how much it differs, and by how much it may.
    description
        The same in words.
    """

    metric: str
    column: str
    value: float
    allowed: float
    description: str

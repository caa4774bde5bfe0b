"""What chance explains: how probable it is that two samples of the same rows differ as they do."""

from __future__ import annotations

import bisect
import math


def chance(share: float, other: float, rows: int, others: int, confidence: float) -> float:
    """Return how far two shares may differ by chance, where that is nearly normal.

    Parameters
    ----------
    share, other
        The shares.
    rows, others
        The numbers of rows that they are of.
    confidence
        How many standard deviations of chance are allowed.
    """
    both = min(max((share * rows + other * others) / (rows + others), 1 / (rows + others)), 0.5)
    return confidence * math.sqrt(both * (1 - both) * (1 / rows + 1 / others))


def chance_of_more(found: int, rows: int, before: int, rows_before: int) -> float:
    """Return the probability that at least so many of a kind are among the new rows, if old and new are alike.

    It is exact (Fisher's test, one-sided), also where a kind is rare, or was never there.

    Parameters
    ----------
    found, rows
        The number of the kind among the new rows, and the number of all new rows.
    before, rows_before
        The same of the rows before.
    """
    kind, everything = found + before, rows + rows_before
    if found <= max(0, kind - rows_before):
        return 1.0
    if found * everything <= kind * rows:
        return 1.0 - chance_of_more(before + 1, rows_before, found - 1, rows)
    # Each term by the one before: they fall from the first on, since it is above the mean.
    term = total = math.exp(
        _log_choices(rows, found) + _log_choices(rows_before, before) - _log_choices(everything, kind)
    )
    for number in range(found, min(kind, rows)):
        term *= (rows - number) * (kind - number) / ((number + 1) * (rows_before - kind + number + 1))
        total += term
        if term < total * 1e-9:
            break
    return min(total, 1.0)


def most_by_chance(level: float, rows: int, before: int, rows_before: int) -> int:
    """Return how many of a kind there may be among new rows, before chance explains no more of them.

    Parameters
    ----------
    level
        The probability below which chance is no explanation.
    rows
        The number of the new rows.
    before, rows_before
        The number of the kind among the rows before, and the number of these.
    """
    numbers = range(rows + 1)
    return bisect.bisect(numbers, -level, key=lambda found: -chance_of_more(found, rows, before, rows_before)) - 1


def _log_choices(rows: int, chosen: int) -> float:
    return math.lgamma(rows + 1) - math.lgamma(chosen + 1) - math.lgamma(rows - chosen + 1)

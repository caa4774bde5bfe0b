"""Small PNG pictures of a profile: histograms, box plots, the correlations, and what is missing.

They are drawn by Pillow. Matplotlib would take 1.8 s of processor time for them, which is more than the profile of a
million values. Every shade also has its number, so no picture needs colour vision.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lake_assets.quality.column_profile import ColumnProfile
from lake_assets.quality.profile import Profile
from lake_assets.text.printable import printable

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageDraw import ImageDraw

MOST_COLUMNS = 12
"""The number of columns that a picture shows at most, so that it stays below 200 kB."""
_INK, _PAPER, _LINE, _BAR = "#1b1b1b", "#ffffff", "#8a8a8a", "#0b62a4"
_POSITIVE, _NEGATIVE = (11, 98, 164), (194, 90, 0)
_SMALL, _USUAL = 11, 13
_ACROSS = 3
"""So a picture is as wide as the dialog in which Dagster's UI shows it."""
_WIDTH, _HEIGHT = 205, 150


def histograms(profile: Profile) -> bytes | None:
    """Return the histograms of the columns that have one, each with its bounds and tallest count.

    Parameters
    ----------
    profile
        The profile.
    """
    shown = [(one, *one.histogram()) for one in _ordered(profile)]
    shown = [item for item in shown if len(item[2]) > 1]
    if not shown:
        return None
    rows = -(-len(shown) // _ACROSS)
    image, draw = _canvas(_WIDTH * min(len(shown), _ACROSS), _HEIGHT * rows)
    for at, (column, edges, counts) in enumerate(shown):
        left, top = at % _ACROSS * _WIDTH + 12, at // _ACROSS * _HEIGHT + 8
        wide, high = _WIDTH - 24, _HEIGHT - 56
        _text(draw, left, top, column.name, _USUAL, wide)
        bottom, tallest, bar = top + 20 + high, max(counts), wide / len(counts)
        for place, count in enumerate(counts):
            if count:
                # What is rare is seen, too. Whole pixels keep the gaps alike.
                top_of_bar = bottom - max(2, round(high * count / tallest))
                draw.rectangle(
                    (left + round(place * bar), top_of_bar, left + round((place + 1) * bar) - 2, bottom), fill=_BAR
                )
        draw.line((left, bottom, left + wide, bottom), fill=_LINE)
        _text(draw, left, bottom + 3, f"{short(edges[0])} to {short(edges[-1])}; at most {tallest:,}", _SMALL, wide)
    return _png(image)


def box_plots(profile: Profile) -> bytes | None:
    """Return a box plot of each column of numbers: quartiles, and the lines to 1 and 99 %.

    Parameters
    ----------
    profile
        The profile.
    """
    shares = (0.01, 0.25, 0.5, 0.75, 0.99)
    shown = [(one, one.stored_quantiles(shares)) for one in _ordered(profile) if not one.is_time]
    shown = [(one, found) for one, found in shown if found and all(map(math.isfinite, found))]
    if not shown:
        return None
    image, draw = _canvas(720, 58 * len(shown) + 10)
    left, wide = 170, 530
    for at, (column, found) in enumerate(shown):
        top = 58 * at + 8
        span = (found[-1] - found[0]) or 1.0
        low, q1, middle, q3, high = (left + 10 + (value - found[0]) / span * (wide - 20) for value in found)
        _text(draw, 10, top + 8, column.name, _USUAL, left - 20)
        draw.line((low, top + 16, high, top + 16), fill=_LINE, width=2)
        draw.rectangle((q1, top + 4, q3, top + 28), fill="#cfe3f3", outline=_BAR, width=2)
        draw.line((middle, top + 2, middle, top + 30), fill=_INK, width=3)
        label = f"1 % {short(found[0])}; quartiles {short(found[1])}, {short(found[2])}, {short(found[3])}; "
        _text(draw, left, top + 33, f"{label}99 % {short(found[4])}", _SMALL, wide)
    return _png(image)


def heat_map(profile: Profile) -> bytes | None:
    """Return Pearson's correlations of the columns of numbers, each with its number.

    Parameters
    ----------
    profile
        The profile.
    """
    matrix = profile.correlation()
    names = [str(name) for name in matrix.columns][:MOST_COLUMNS]
    if len(names) < 2:
        return None
    cell, left = 58, 160
    image, draw = _canvas(left + cell * len(names) + 10, 30 + 30 * len(names) + 10)
    for across, name in enumerate(names):
        _text(draw, left + across * cell + 2, 8, name, _SMALL, cell - 4)
    for down, values in enumerate(matrix.to_numpy().tolist()[: len(names)]):
        top = 28 + down * 30
        _text(draw, 10, top + 8, names[down], _USUAL, left - 16)
        for across, value in enumerate(values[: len(names)]):
            x = left + across * cell
            strength = 0.0 if math.isnan(value) else abs(value)
            colour = _POSITIVE if value > 0 else _NEGATIVE
            shade = tuple(round(255 - (255 - part) * strength) for part in colour)
            draw.rectangle((x, top, x + cell - 2, top + 28), fill=shade)
            text = "–" if math.isnan(value) else f"{value:+.2f}"
            _text(draw, x + 12, top + 8, text, _SMALL, cell, _PAPER if strength > 0.55 else _INK)
    return _png(image)


def missingness(profile: Profile) -> bytes | None:
    """Return a bar of each column: the share of rows without a value, and that of empty texts.

    Parameters
    ----------
    profile
        The profile.
    """
    shown = [one for one in profile.columns.values() if one.rows and (one.count < one.rows or one.empty)]
    shown = sorted(shown, key=lambda one: one.count)[: 2 * MOST_COLUMNS]
    if not shown:
        return None
    image, draw = _canvas(720, 26 * len(shown) + 12)
    left, wide = 170, 340
    for at, column in enumerate(shown):
        top, missing, empty = 26 * at + 8, column.rows - column.count, column.empty or 0
        _text(draw, 10, top + 2, column.name, _USUAL, left - 20)
        draw.rectangle((left, top, left + wide, top + 18), outline=_LINE)
        end = left + wide * missing / column.rows
        draw.rectangle((left, top, end, top + 18), fill=_BAR)
        draw.rectangle((end, top, end + wide * empty / column.rows, top + 18), fill="#e0b070", outline=_LINE)
        label = f"{missing / column.rows:.1%} missing" + (f", {empty / column.rows:.1%} empty" if empty else "")
        _text(draw, left + wide + 10, top + 2, label, _USUAL, 190)
    return _png(image)


def short(value: Any) -> str:
    """Return a value in few characters.

    Parameters
    ----------
    value
        The value.
    """
    if isinstance(value, float):
        return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = printable(str(value))
    return text if len(text) <= 24 else text[:23] + "…"


def _ordered(profile: Profile) -> Sequence[ColumnProfile]:
    return [one for one in profile.columns.values() if one.is_ordered and not one.personal][:MOST_COLUMNS]


def _canvas(width: int, height: int) -> tuple[Image, ImageDraw]:
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (width, height), _PAPER)
    return image, ImageDraw.Draw(image)


def _text(draw: ImageDraw, x: float, y: float, text: str, size: int, width: float, fill: str = _INK) -> None:
    from PIL import ImageFont

    font: Any = ImageFont.load_default(size)
    shown = printable(text)[:80]
    while shown and draw.textlength(shown, font) > width:
        shown = shown[:-2].rstrip("…") + "…" if len(shown) > 2 else ""
    draw.text((x, y), shown, fill=fill, font=font)


def _png(image: Image) -> bytes:
    stream = io.BytesIO()
    # Few colours are enough, and make the file small.
    image.quantize(64).save(stream, "PNG", optimize=True)
    return stream.getvalue()

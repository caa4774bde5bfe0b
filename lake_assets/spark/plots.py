"""A plotting backend of the pandas API on Spark: small PNG pictures of lines, drawn by Pillow.

``frame.plot.line(backend="lake_assets.spark.plots")`` returns the bytes of a picture. Spark samples what it plots (at
most ``plotting.max_rows`` rows), so no frame comes to the driver as a whole.
"""

from __future__ import annotations

import io
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas

_WIDTH, _HEIGHT, _LEFT, _TOP, _LINE = 720, 260, 12, 12, 18
_COLOURS = ("#0b62a4", "#c25a00", "#3d8b37", "#7a4fa3", "#1b1b1b", "#8a8a8a")
MOST_LINES = len(_COLOURS)
"""The number of columns that a picture shows at most."""


def plot(data: pandas.DataFrame | pandas.Series, kind: str, title: str = "", **options: Any) -> bytes:
    """Return a PNG with a line for each column of numbers, over the rows in the order of the index.

    Parameters
    ----------
    data
        A sample of the rows.
    kind
        ``line``; no other kind is drawn.
    title
        Text above the picture.
    options
        ``x`` and ``y`` must be None.

    Raises
    ------
    NotImplementedError
        Something else is asked for.
    """
    import pandas
    from PIL import Image, ImageDraw, ImageFont

    others = sorted(name for name, value in options.items() if value is not None)
    if kind != "line" or others:
        raise NotImplementedError(f"lake_assets.spark.plots draws lines, without {', '.join(others) or kind}")
    frame = data.to_frame() if isinstance(data, pandas.Series) else data
    frame = frame.sort_index().select_dtypes("number").iloc[:, :MOST_LINES]
    lines = {str(name): [float(value) for value in frame[name]] for name in frame.columns}
    seen = [value for line in lines.values() for value in line if math.isfinite(value)]
    low, high = min(seen, default=0.0), max(seen, default=0.0)
    span, step = (high - low) or 1.0, (_WIDTH - 2 * _LEFT) / max(1, len(frame) - 1)
    image = Image.new("RGB", (_WIDTH, _HEIGHT + 2 * _TOP + _LINE * (len(lines) + 2)), "#ffffff")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    top = _TOP + _LINE
    draw.text((_LEFT, _TOP), title, fill="#1b1b1b", font=font)
    draw.rectangle((_LEFT, top, _WIDTH - _LEFT, top + _HEIGHT), outline="#d0d0d0")
    for at, (name, line) in enumerate(lines.items()):
        places = [
            (_LEFT + place * step, top + _HEIGHT * (1 - (value - low) / span)) if math.isfinite(value) else None
            for place, value in enumerate(line)
        ]
        for here, there in pairwise(places):
            if here is not None and there is not None:
                draw.line((*here, *there), fill=_COLOURS[at], width=2)
        below = top + _HEIGHT + _LINE * (at + 1)
        draw.line((_LEFT, below + 8, _LEFT + 24, below + 8), fill=_COLOURS[at], width=3)
        draw.text((_LEFT + 32, below), name, fill="#1b1b1b", font=font)
    bounds = f"{low:,.6g} to {high:,.6g}, {len(frame):,} rows"
    draw.text((_LEFT, top + _HEIGHT + 2), bounds, fill="#1b1b1b", font=font)
    stream = io.BytesIO()
    # Few colours are enough, and make the file small.
    image.quantize(32).save(stream, "PNG", optimize=True)
    return stream.getvalue()

"""The frame libraries that IO managers know. None of them is imported to find out which one a frame is of."""

from __future__ import annotations

from lake_assets.frames.arrow import ArrowStreams, ArrowTables
from lake_assets.frames.contract import FrameLibrary
from lake_assets.frames.pandas import PandasFrames
from lake_assets.frames.pandas_on_spark import PandasOnSparkFrames
from lake_assets.frames.polars import PolarsFrames, PolarsLazyFrames
from lake_assets.frames.spark import SparkFrames

LIBRARIES: tuple[FrameLibrary, ...] = (
    ArrowTables(),
    ArrowStreams(),
    PolarsFrames(),
    PolarsLazyFrames(),
    PandasOnSparkFrames(),
    PandasFrames(),
    SparkFrames(),
)
"""One line per kind of frame."""


def supported() -> str:
    """Return the names of all frame classes, for errors."""
    *names, last = (library.name for library in LIBRARIES)
    return f"{', '.join(names)} or {last}"


def library_of_value(value: object) -> FrameLibrary | None:
    """Return the library of a frame; None if the value is not a frame.

    Parameters
    ----------
    value
        Any object.
    """
    return next((library for library in LIBRARIES if library.is_frame(value)), None)


def library_of_annotation(annotation: object) -> FrameLibrary | None:
    """Return the library whose frame an annotation asks for; None if it asks for no frame.

    Parameters
    ----------
    annotation
        The annotation of an input, or the full name of a class.
    """
    if isinstance(annotation, str):
        return next((library for library in LIBRARIES if library.name == annotation), None)
    return next((library for library in LIBRARIES if library.is_annotation(annotation)), None)

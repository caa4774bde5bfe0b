"""The frame libraries that IO managers know. Asking imports none of them."""

from __future__ import annotations

from lake_assets.frames.arrow import ArrowStreams, ArrowTables
from lake_assets.frames.contract import FrameLibrary
from lake_assets.frames.pandas import PandasFrames
from lake_assets.frames.polars import PolarsFrames, PolarsLazyFrames
from lake_assets.frames.spark import SparkFrames

LIBRARIES: tuple[FrameLibrary, ...] = (
    ArrowTables(),
    ArrowStreams(),
    PolarsFrames(),
    PolarsLazyFrames(),
    PandasFrames(),
    SparkFrames(),
)
"""One line a kind of frame."""


def supported() -> str:
    """Return the classes of all frames, as errors list them."""
    *names, last = (library.name for library in LIBRARIES)
    return f"{', '.join(names)} or {last}"


def library_of_value(value: object) -> FrameLibrary | None:
    """Return the library whose frame a value is; None where it is something else."""
    return next((library for library in LIBRARIES if library.is_frame(value)), None)


def library_of_annotation(annotation: object) -> FrameLibrary | None:
    """Return the library whose frame an annotation asks for; None where it asks for something else."""
    return next((library for library in LIBRARIES if library.is_annotation(annotation)), None)

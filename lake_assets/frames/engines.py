"""Which library's frame a value is, or an annotation asks for."""

from __future__ import annotations

import sys
from typing import Literal

Engine = Literal["pandas", "spark"]

SUPPORTED = "pandas.DataFrame or pyspark.sql.DataFrame"


def engine_of_value(value: object) -> Engine | None:
    """Return which library's frame a value is; None for anything else. Imports neither library."""
    modules: dict[Engine, str] = {"pandas": "pandas", "spark": "pyspark.sql"}
    for engine, module in modules.items():
        library = sys.modules.get(module)
        if library is not None and isinstance(value, library.DataFrame):
            return engine
    return None


def engine_of_annotation(annotation: object) -> Engine | None:
    """Return which library's frame a type annotation names; None for anything else."""
    module = getattr(annotation, "__module__", "")
    if getattr(annotation, "__name__", "") != "DataFrame":
        return None
    if module.startswith("pandas."):
        return "pandas"
    return "spark" if module.startswith("pyspark.") else None

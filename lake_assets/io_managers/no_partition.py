"""Inputs of which no partition is asked for, as of the first partition of an asset that reads its own previous one."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from lake_assets.frames.engines import SUPPORTED, Engine, engine_of_annotation
from lake_assets.io_managers.lineage import declared_columns
from lake_assets.layout.partitions import column_names
from lake_assets.resources.spark import session_of

if TYPE_CHECKING:
    from dagster import InputContext
    from pyspark.sql.types import DataType

    from lake_assets.resources.spark import SparkResource


def annotation_of(context: InputContext) -> tuple[Any, bool]:
    """Return what an input is annotated as, without ``Optional`` or ``| None``, and whether it may be None."""
    kind = context.dagster_type.typing_type
    if get_origin(kind) not in (Union, types.UnionType):
        return kind, False
    kinds = [argument for argument in get_args(kind) if argument is not type(None)]
    optional = len(kinds) < len(get_args(kind))
    return (kinds[0] if len(kinds) == 1 else kind), optional


def no_partition(context: InputContext, spark: SparkResource | None) -> Any:
    """Return what an input of no partition is: None, an empty frame or an empty dict, as its annotation says.

    A frame has the columns that the asset's definition declares, and the partition columns.

    Raises
    ------
    TypeError
        The annotation says nothing of that kind.
    """
    kind, optional = annotation_of(context)
    if optional:
        return None
    if get_origin(kind) is dict:
        return {}
    engine = engine_of_annotation(kind)
    if engine is None:
        raise TypeError(
            f"no partition of {context.asset_key.to_user_string()} comes before this one: annotate the input as "
            f"Optional, to be given None, or as {SUPPORTED}, to be given an empty one"
        )
    declared = dict(declared_columns(context.step_context.job_def.asset_layer, context.asset_key))
    partition = column_names(context.asset_partitions_def)
    return _empty_frame(engine, declared | dict.fromkeys(partition, "string"), spark)


def missing(context: InputContext, wanted: Sequence[str], absent: Sequence[str]) -> str:
    """Return, in one line, which of the partitions that an input is to hold are not in the lake, and what to do."""
    name = context.asset_key.to_user_string()
    if wanted == absent == [""]:
        return f"{name} is not in the lake: materialize it first"
    shown = ", ".join(absent[:5]) + (f" and {len(absent) - 5} more" if len(absent) > 5 else "")
    if len(wanted) == 1:
        told = f"{name} {shown} is not in the lake"
    else:
        told = f"{name} {shown} ({len(absent)} of {len(wanted)} partitions) are not in the lake"
    layer = context.step_context.job_def.asset_layer
    made = layer.get_assets_def_for_node(context.step_context.node_handle)
    if made is not None and context.asset_key in made.keys:
        return f"{told}: {name} reads its own earlier partitions, so make them first, one run each"
    return f"{told}: materialize {'it' if len(absent) == 1 else 'them'} first"


def _empty_frame(engine: Engine, columns: dict[str, str], spark: SparkResource | None) -> Any:
    if engine == "pandas":
        import pandas

        return pandas.DataFrame({name: pandas.Series(dtype=object) for name in columns})
    from pyspark.sql.types import StructField, StructType

    return session_of(spark).createDataFrame(
        [], StructType([StructField(name, _type(kind)) for name, kind in columns.items()])
    )


def _type(name: str) -> DataType:
    """Return Spark's type of this name; text where it knows none."""
    from pyspark.errors import PySparkException
    from pyspark.sql.types import DataType, StringType

    try:
        return DataType.fromDDL(name)
    except PySparkException:
        return StringType()

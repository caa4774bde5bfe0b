"""Types and columns of Spark, as those that are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import Column
    from pyspark.sql.types import DataType


def spark_type(kind: pyarrow.DataType) -> DataType:
    """Return Spark's type of a stored one."""
    from pyspark.sql.pandas.types import from_arrow_type

    return from_arrow_type(kind, prefer_timestamp_ntz=True)


def quoted(name: str) -> str:
    """Return a column's name as Spark takes it for one, dots and all."""
    return "`" + name.replace("`", "``") + "`"


def converted(column: Column, held: pyarrow.DataType, wanted: pyarrow.DataType) -> Column:
    """Return a column as a type that was promoted from its own: fields of structs by name."""
    import pyarrow as pa
    from pyspark.sql import functions as sf

    if pa.types.is_null(held):
        return sf.lit(None) if pa.types.is_null(wanted) else sf.lit(None).cast(spark_type(readable(wanted)))
    if held == wanted:
        return column
    if isinstance(held, pa.StructType) and isinstance(wanted, pa.StructType):
        there = {field.name: field.type for field in held}
        fields = [
            converted(column[field.name], there.get(field.name, pa.null()), field.type).alias(field.name)
            for field in wanted
        ]
        return sf.when(column.isNotNull(), sf.struct(*fields))
    if isinstance(held, pa.MapType) and isinstance(wanted, pa.MapType):
        keyed = sf.transform_keys(column, lambda key, _: converted(key, held.key_type, wanted.key_type))
        return sf.transform_values(keyed, lambda _, item: converted(item, held.item_type, wanted.item_type))
    if isinstance(held, pa.ListType) and isinstance(wanted, pa.ListType):
        return sf.transform(column, lambda value: converted(value, held.value_type, wanted.value_type))
    return column.cast(spark_type(wanted))


def converted_columns(held: pyarrow.Schema, schema: pyarrow.Schema) -> list[Column]:
    """Return the columns of ``schema`` from a frame that has those of ``held``."""
    import pyarrow as pa
    from pyspark.sql import functions as sf

    return [
        converted(
            sf.col(quoted(field.name)) if field.name in held.names else sf.lit(None),
            held.field(field.name).type if field.name in held.names else pa.null(),
            field.type,
        ).alias(field.name)
        for field in schema
    ]


def readable(kind: pyarrow.DataType) -> pyarrow.DataType:
    """Return a type that Spark has in Parquet: it knows no column of nulls there, and reads it as integers."""
    import pyarrow as pa

    if pa.types.is_null(kind):
        return pa.int32()
    if isinstance(kind, pa.StructType):
        return pa.struct([(field.name, readable(field.type)) for field in kind])
    if isinstance(kind, pa.MapType):
        return pa.map_(readable(kind.key_type), readable(kind.item_type))
    if isinstance(kind, pa.ListType):
        return pa.list_(readable(kind.value_type))
    return kind

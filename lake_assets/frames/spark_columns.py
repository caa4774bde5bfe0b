"""Converts Spark's columns and types from and to the stored types."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow
    from pyspark.sql import Column
    from pyspark.sql.types import DataType


def spark_type(kind: pyarrow.DataType) -> DataType:
    """Return Spark's type for a stored type.

    Parameters
    ----------
    kind
        A stored type.
    """
    from pyspark.sql.pandas.types import from_arrow_type

    return from_arrow_type(kind, prefer_timestamp_ntz=True)


def quoted(name: str) -> str:
    """Quote a column name for Spark, which would otherwise treat dots in it as field access.

    Parameters
    ----------
    name
        Name of the column.
    """
    return "`" + name.replace("`", "``") + "`"


def converted(column: Column, stored: pyarrow.DataType, wanted: pyarrow.DataType) -> Column:
    """Convert a column to a promoted type. Fields of structs are matched by name.

    Parameters
    ----------
    column
        The column.
    stored
        Its type.
    wanted
        The promoted type.
    """
    import pyarrow as pa
    from pyspark.sql import functions as sf

    if pa.types.is_null(stored):
        return sf.lit(None) if pa.types.is_null(wanted) else sf.lit(None).cast(spark_type(readable_type(wanted)))
    if stored == wanted:
        return column
    if isinstance(stored, pa.StructType) and isinstance(wanted, pa.StructType):
        types = {field.name: field.type for field in stored}
        fields = [
            converted(column[field.name], types.get(field.name, pa.null()), field.type).alias(field.name)
            for field in wanted
        ]
        return sf.when(column.isNotNull(), sf.struct(*fields))
    if isinstance(stored, pa.MapType) and isinstance(wanted, pa.MapType):
        keyed = sf.transform_keys(column, lambda key, _: converted(key, stored.key_type, wanted.key_type))
        return sf.transform_values(keyed, lambda _, item: converted(item, stored.item_type, wanted.item_type))
    if isinstance(stored, pa.ListType) and isinstance(wanted, pa.ListType):
        return sf.transform(column, lambda value: converted(value, stored.value_type, wanted.value_type))
    return column.cast(spark_type(wanted))


def converted_columns(stored: pyarrow.Schema, schema: pyarrow.Schema) -> list[Column]:
    """Convert the columns of a frame to a promoted schema.

    Parameters
    ----------
    stored
        The schema of the frame.
    schema
        The promoted schema.
    """
    import pyarrow as pa
    from pyspark.sql import functions as sf

    return [
        converted(
            sf.col(quoted(field.name)) if field.name in stored.names else sf.lit(None),
            stored.field(field.name).type if field.name in stored.names else pa.null(),
            field.type,
        ).alias(field.name)
        for field in schema
    ]


def readable_type(kind: pyarrow.DataType) -> pyarrow.DataType:
    """Return the type by which Spark reads a stored type from Parquet. The type null is read as integers.

    Parameters
    ----------
    kind
        A stored type.
    """
    import pyarrow as pa

    if pa.types.is_null(kind):
        return pa.int32()
    if isinstance(kind, pa.StructType):
        return pa.struct([(field.name, readable_type(field.type)) for field in kind])
    if isinstance(kind, pa.MapType):
        return pa.map_(readable_type(kind.key_type), readable_type(kind.item_type))
    if isinstance(kind, pa.ListType):
        return pa.list_(readable_type(kind.value_type))
    return kind

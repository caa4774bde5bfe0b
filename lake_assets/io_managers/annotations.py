"""The annotation of an input, and its value when no partition is asked for."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin

from lake_assets._dagster import assets_of_job
from lake_assets.frames.registry import library_of_annotation, supported
from lake_assets.io_managers.lineage import declared_columns
from lake_assets.layout.partitions import column_names

if TYPE_CHECKING:
    from dagster import InputContext

    from lake_assets.frames.contract import FrameLibrary, OpenSession

FRAME = "frame"
"""Metadata key of an input (`AssetIn`): the full name of a class of frames, such as ``pyspark.pandas.DataFrame``.

It stands for the annotation, so that the library is not imported when the definitions are loaded.
"""


def annotation_of(context: InputContext) -> tuple[Any, bool]:
    """Return an input's annotation without ``Optional`` or ``| None``, and whether the input may be None.

    The annotation is the name of a class if the metadata of the input name one (:data:`FRAME`).

    Parameters
    ----------
    context
        The input.
    """
    named = (context.definition_metadata or {}).get(FRAME)
    if named is not None:
        return str(getattr(named, "value", named)), False
    kind = context.dagster_type.typing_type
    if get_origin(kind) not in (Union, types.UnionType):
        return kind, False
    kinds = [argument for argument in get_args(kind) if argument is not type(None)]
    optional = len(kinds) < len(get_args(kind))
    return (kinds[0] if len(kinds) == 1 else kind), optional


def library_of_input(context: InputContext, what: str = "") -> FrameLibrary:
    """Return the frame library that an input's annotation asks for.

    Parameters
    ----------
    context
        The input.
    what
        The name of what is loaded, for errors; by default the asset.

    Raises
    ------
    TypeError
        The annotation is not of a known frame library. The message lists them.
    """
    kind = annotation_of(context)[0]
    library = library_of_annotation(kind)
    if library is None:
        named = kind if isinstance(kind, str) else context.dagster_type.display_name
        raise TypeError(
            f"cannot load {what or context.asset_key.to_user_string()} as {named}: annotate the input as {supported()}"
        )
    return library


def no_partition(context: InputContext, session: OpenSession) -> Any:
    """Return the value of an input without partitions: None, an empty frame or an empty dict, by its annotation.

    An asset that reads its own previous partition gets it for the first partition. A frame has the columns that the
    asset's definition declares, and the partition columns.

    Parameters
    ----------
    context
        The input.
    session
        Starts the Spark session, if the input is a Spark frame.

    Raises
    ------
    TypeError
        The annotation has no empty value.
    """
    kind, optional = annotation_of(context)
    if optional:
        return None
    if get_origin(kind) is dict:
        return {}
    library = library_of_annotation(kind)
    if library is None:
        raise TypeError(
            f"no partition of {context.asset_key.to_user_string()} comes before this one: annotate the input as "
            f"Optional, to be given None, or as {supported()}, to be given an empty one"
        )
    declared = dict(declared_columns(assets_of_job(context), context.asset_key))
    partition = column_names(context.asset_partitions_def)
    return library.empty(declared | dict.fromkeys(partition, "string"), session)

"""What an asset's definition metadata say of its table."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lake_assets._dagster import assets_of_job, run_of
from lake_assets.layout.asset_folders import name_of
from lake_assets.nosql.options import MODES, Options, SaveMode

if TYPE_CHECKING:
    from dagster import OutputContext

KEY = "nosql/key"
"""Definition metadata: the key columns of the table, comma separated.

Without it, the named index of a pandas frame is the key, or there are running numbers in a column ``id``.
"""
SORT_KEY = "nosql/sort_key"
"""Definition metadata: the sort keys, comma separated. They can also follow in ``nosql/key``."""
MODE = "nosql/mode"
"""Definition metadata: a save mode, as of Spark's DataFrameWriter, or create_only; by default append."""
NEWEST_BY = "nosql/newest_by"
"""Definition metadata: for append, the columns (comma separated) that say which of two items is newer and stays."""
UPDATE = "nosql/update"
"""Definition metadata: ``replace`` stored items, or change only the given ``columns``."""
CONDITION = "nosql/condition"
"""Definition metadata: an SQL expression over ``old`` and ``new``. Where it is not true, the item is kept."""
COUNTER = "nosql/counter"
"""Definition metadata: numeric columns, comma separated, that are added. A run and its re-executions add once."""
SET = "nosql/set"
"""Definition metadata: columns, each with the SQL expression over ``old`` and ``new`` that is its value."""
PARTITION = "nosql/partition"
"""Definition metadata: columns, comma separated, that items are grouped by. They come before the key."""
SPREAD = "nosql/spread"
"""Definition metadata: the number of parts that the items of one partition key are spread over."""
TTL = "nosql/ttl"
"""Definition metadata: a column of timestamps. From then on the item is not there any more."""
SHOWS = "nosql/shows"
"""Definition metadata of a sink: the function that returns what the table shows of a commit, as ``module:name``.

It is given DuckDB's connection, the lake and the commit, and returns a relation. `lake-assets verify TABLE` needs it.
"""
ALLOW_OVERWRITE_SCHEMA = "nosql/allow_overwrite_schema"
"""Definition metadata: whether new columns are allowed."""


def definition_of(context: OutputContext) -> Mapping[str, Any]:
    """Return the metadata of an output's asset.

    Parameters
    ----------
    context
        The output.
    """
    return assets_of_job(context).get(context.asset_key).metadata


def mode_of(context: OutputContext) -> SaveMode:
    """Return the save mode of an output's asset.

    Parameters
    ----------
    context
        The output.
    """
    given = _text(definition_of(context), MODE) or "append"
    for mode in MODES:
        if mode == given:
            return mode
    raise ValueError(f"{MODE} of {name_of(context.asset_key)} is {given!r}, not {', '.join(MODES[:-1])} or {MODES[-1]}")


def options_of(context: OutputContext, index: Sequence[str] = ()) -> dict[str, Any]:
    """Return the arguments of a write that an output's asset names.

    Parameters
    ----------
    context
        The output.
    index
        The names of the frame's index, which are the key if the asset names none.
    """
    metadata = definition_of(context)
    counter, expressions = _names(metadata, COUNTER), _expressions(metadata, context)
    key = (*_names(metadata, KEY), *_names(metadata, SORT_KEY)) or tuple(index)
    return {
        "key": key,
        "newest_by": _names(metadata, NEWEST_BY),
        "allow_overwrite_schema": _text(metadata, ALLOW_OVERWRITE_SCHEMA).lower() == "true",
        "options": Options(
            update="columns" if _update(metadata, context) == "columns" else "replace",
            condition=_text(metadata, CONDITION) or None,
            counter=counter,
            set=expressions,
            batch=_batch(context) if counter or expressions or not key else None,
            partition=_names(metadata, PARTITION),
            spread=_number(metadata, SPREAD, context),
            ttl=_text(metadata, TTL) or None,
            run=context.run_id,
        ),
    }


def _text(metadata: Mapping[str, Any], name: str) -> str:
    return str(_value(metadata, name) or "")


def _value(metadata: Mapping[str, Any], name: str) -> Any:
    value = metadata.get(name)
    return getattr(value, "value", value)


def _names(metadata: Mapping[str, Any], name: str) -> tuple[str, ...]:
    text = _text(metadata, name)
    return tuple(text.split(",")) if text else ()


def _number(metadata: Mapping[str, Any], name: str, context: OutputContext) -> int:
    text = _text(metadata, name) or "1"
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{name} of {name_of(context.asset_key)} is {text!r}, not a whole number") from None


def _update(metadata: Mapping[str, Any], context: OutputContext) -> str:
    update = _text(metadata, UPDATE) or "replace"
    if update not in ("replace", "columns"):
        raise ValueError(f"{UPDATE} of {name_of(context.asset_key)} is {update!r}, not replace or columns")
    return update


def _expressions(metadata: Mapping[str, Any], context: OutputContext) -> dict[str, str]:
    found = _value(metadata, SET) or {}
    try:
        given: Any = json.loads(found) if isinstance(found, str) else found
        return {str(name): str(text) for name, text in given.items()}
    except (ValueError, AttributeError):
        raise ValueError(
            f"{SET} of {name_of(context.asset_key)} is {found!r}, not columns with expressions, such as "
            "{'High': 'greatest(old.High, new.High)'}"
        ) from None


def _batch(context: OutputContext) -> str:
    """Return the name of a write that is the same in each retry and re-execution, so that it adds once.

    A write that replaces the table has a name of its own: it adds to nothing, and other rows may come.
    """
    if mode_of(context) == "overwrite":
        return uuid.uuid4().hex
    run = run_of(context)
    keys = ",".join(context.asset_partition_keys) if context.has_asset_partitions else ""
    return f"{name_of(context.asset_key)} {keys} {run.root_run_id or run.run_id}"

"""Errors of the command line: one line on stderr and exit code 1, without a traceback."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any

import typer

from lake_assets.cli.terminal import output_error
from lake_assets.text.masking import mask
from lake_assets.text.printable import printable


class CommandError(Exception):
    """A command failed. The message contains the remedy."""


def as_one_line(command: Callable[..., None]) -> Callable[..., None]:
    """Wrap a command so that every error is printed as one line."""

    @functools.wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter):
            raise
        except Exception as error:
            # Errors of the stores explain themselves. For other errors describe() adds the type.
            reason = (output_error() if isinstance(error, OSError) else None) or describe(error)
            print(printable(f"lake-assets: {reason}"), file=sys.stderr)
            raise typer.Exit(1) from error

    return wrapper


def describe(error: Exception) -> str:
    """Return an error as one line, without secrets."""
    return mask(_describe(error))


def _describe(error: Exception) -> str:
    from lake_assets.backup.folder import BackupError
    from lake_assets.kafka import KafkaFailure
    from lake_assets.lake.errors import LakeError
    from lake_assets.nosql.contract import NoSQLError
    from lake_assets.settings import SettingError
    from lake_assets.spark.errors import EngineError, is_spark_error
    from lake_assets.spark.errors import describe as describe_trace
    from lake_assets.sql.errors import SqlError

    if is_spark_error(error):
        return describe_trace(str(error))
    text = " ".join((getattr(error, "description", None) or str(error)).split())
    known = isinstance(
        error, (BackupError, CommandError, EngineError, KafkaFailure, LakeError, NoSQLError, SettingError, SqlError)
    ) or _is_dagsters(error)
    return text if known and text else f"{type(error).__name__}: {text}".removesuffix(": ")


def _is_dagsters(error: Exception) -> bool:
    # Dagster's errors can only occur if Dagster is loaded. This check must not load it.
    dagster = sys.modules.get("dagster")
    return dagster is not None and isinstance(error, (dagster.Failure, dagster.DagsterError))

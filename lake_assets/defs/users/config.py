"""Run configuration of group `users`."""

# No postponed annotations here: Dagster reads them when the class is made.

from collections.abc import Mapping
from typing import Any

from dagster import Config
from pydantic import Field

from lake_assets.defs.users.schema import PII

WITHOUT_PII = "users_without_pii"


class UsersConfig(Config):
    """A source that replaces the environment's."""

    source: str = Field(
        default="", description="generated, a folder or URL (http, https, s3) of Parquet files; USERS_SOURCE if empty"
    )


class WithoutPiiConfig(Config):
    """The columns with personal data."""

    columns: list[str] = Field(default=list(PII), description="Columns to drop; no file may contain any of them")


def dropped_columns(run_config: Mapping[str, Any]) -> list[str]:
    """Return the columns that a run drops. The check uses them, too, so they are configured once."""
    op = (run_config.get("ops") or {}).get(WITHOUT_PII) or {}
    return WithoutPiiConfig(**(op.get("config") or {})).columns

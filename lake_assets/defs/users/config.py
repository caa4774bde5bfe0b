"""Run configuration of group `users`."""

# No postponed annotations here: Dagster reads them when the class is made.

from collections.abc import Mapping
from typing import Any

from dagster import Config
from pydantic import Field

from lake_assets.defs.users.schema import PII

WITHOUT_PII = "users_without_pii"


class UsersConfig(Config):
    """Another source than the environment's."""

    source: str = Field(
        default="", description="generated, a folder or URL (http, https, s3) of Parquet files; USERS_SOURCE if empty"
    )


class WithoutPiiConfig(Config):
    """What is personal."""

    columns: list[str] = Field(default=list(PII), description="Columns to drop; none of them may be left in any file")


def dropped_columns(run_config: Mapping[str, Any]) -> list[str]:
    """Return the columns that a run drops, for the check: whoever drops fewer says so once."""
    op = (run_config.get("ops") or {}).get(WITHOUT_PII) or {}
    return WithoutPiiConfig(**(op.get("config") or {})).columns

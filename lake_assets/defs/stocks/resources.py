"""The resources of the domain `stocks`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dagster import EnvVar

from lake_assets import environments
from lake_assets.defs.stocks.settings import StocksSettings
from lake_assets.defs.stocks.source import StocksSourceResource
from lake_assets.settings import SourceSettings


def resources(shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the source of the stock files."""
    del shared
    return {"stocks_source": stocks_source()}


def stocks_source() -> StocksSourceResource:
    """Return the source of the settings."""
    settings = StocksSettings.read()
    # Dagster stores and shows the configuration of a resource, so it gets only the name of the variable.
    source = EnvVar("STOCKS_SOURCE") if os.environ.get("STOCKS_SOURCE") else settings.source
    return StocksSourceResource(
        source=source,
        generator_rows=settings.rows,
        links_outside=SourceSettings.read().links_outside,
        s3=environments.s3_settings(),
    )

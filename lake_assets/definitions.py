"""The one code location."""

from __future__ import annotations

from dagster import Definitions

from lake_assets import environments
from lake_assets.defs.publishing import publish_runs
from lake_assets.defs.stocks import checks, jobs, sensors
from lake_assets.defs.stocks.assets import STOCKS

defs = Definitions(
    assets=STOCKS,
    asset_checks=[checks.stocks_audit],
    jobs=[jobs.stocks],
    schedules=[jobs.stocks_hourly],
    sensors=[sensors.new_stock_files, publish_runs],
    resources=environments.resources(),
    executor=environments.executor(),
)

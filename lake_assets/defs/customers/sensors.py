"""The sensor of customers: it requests a run when the database has changed."""

from __future__ import annotations

from datetime import timedelta

from lake_assets.defs.customers.assets import ASSET, CURSOR, database
from lake_assets.defs.customers.settings import CustomersSettings
from lake_assets.from_database.sensors import database_sensor

_settings = CustomersSettings.read()

customers_changed = database_sensor(
    ASSET,
    job="customers",
    url=database,
    table=_settings.table,
    cursor=CURSOR,
    full_after=timedelta(hours=_settings.full_hours) if _settings.full_hours else None,
)

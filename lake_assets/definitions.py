"""The one code location."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from dagster import Definitions

from lake_assets import environments, settings
from lake_assets.defs.stocks import checks, jobs, sensors
from lake_assets.defs.stocks.assets import STOCKS
from lake_assets.defs.users.assets import USERS
from lake_assets.defs.users.checks import users_audit
from lake_assets.defs.users.jobs import users
from lake_assets.defs.users.sensors import new_user_files
from lake_assets.defs.words.assets import WORDS
from lake_assets.defs.words.checks import word_counts_audit, words_checks
from lake_assets.defs.words.jobs import words, words_recount
from lake_assets.defs.words.sensors import consumer_lag, new_text_files
from lake_assets.defs.words.sink import word_counts_topic
from lake_assets.sensors import lake_sensors, sinks_follow_main


def definitions(resources: Mapping[str, Any]) -> Definitions:
    """Return the asset graph on these resources."""
    return Definitions(
        assets=[*STOCKS, *USERS, *WORDS, word_counts_topic],
        asset_checks=[checks.stocks_audit, users_audit, words_checks, word_counts_audit],
        jobs=[jobs.stocks, users, words, words_recount],
        schedules=[jobs.stocks_hourly],
        sensors=[
            sensors.new_stock_files,
            new_user_files,
            consumer_lag,
            new_text_files,
            *lake_sensors(
                sweep_after=timedelta(days=settings.SWEEP_AFTER_DAYS.number(0, 36_500)),
                gc_grace=timedelta(days=settings.GC_GRACE_DAYS.number(0, 36_500)),
            ),
            sinks_follow_main("nosql", "words_outbox"),
        ],
        resources=resources,
        executor=environments.executor(),
    )


defs = definitions(environments.resources())

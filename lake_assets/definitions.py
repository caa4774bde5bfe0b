"""The one code location."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import Definitions

from lake_assets import environments
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
from lake_assets.runs.collecting import collect_garbage
from lake_assets.runs.lake_commits import lake_commits
from lake_assets.runs.publishing import publish_runs
from lake_assets.runs.sinks import sinks_follow_main
from lake_assets.runs.sweeping import sweep_branches


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
            publish_runs,
            sinks_follow_main,
            lake_commits,
            sweep_branches,
            collect_garbage,
        ],
        resources=resources,
        executor=environments.executor(),
    )


defs = definitions(environments.resources())

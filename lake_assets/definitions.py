"""The one code location: everything that stands in ``defs/``, what every lake needs, and the resources."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from dagster import Definitions, PreviewWarning, load_definitions_from_modules

from lake_assets import domains, environments
from lake_assets.runs.collecting import collect_garbage
from lake_assets.runs.lake_commits import lake_commits
from lake_assets.runs.publishing import publish_runs
from lake_assets.runs.sinks import sinks_follow_main
from lake_assets.runs.sweeping import sweep_branches


def definitions(resources: Mapping[str, Any]) -> Definitions:
    """Return the asset graph on these resources.

    Parameters
    ----------
    resources
        Every resource by its key, as :func:`lake_assets.environments.resources` returns them.
    """
    with warnings.catch_warnings():
        # `load_from_defs_folder` needs a pyproject.toml above the package, which an installed wheel does not have.
        warnings.simplefilter("ignore", PreviewWarning)
        found = load_definitions_from_modules(domains.modules())
    platform = Definitions(
        sensors=[publish_runs, sinks_follow_main, lake_commits, sweep_branches, collect_garbage],
        resources=resources,
        executor=environments.executor(),
    )
    return Definitions.merge(found, platform)


defs = definitions(environments.resources())

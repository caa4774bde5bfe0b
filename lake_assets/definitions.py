"""The code location: everything in ``defs/``, the sensors that every lake needs, and the resources."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from dagster import Definitions, PreviewWarning, load_definitions_from_modules

from lake_assets import domains, environments
from lake_assets.runs.sinks import Sink
from lake_assets.sensors import lake_sensors, sinks_follow_main
from lake_assets.settings import RetentionSettings

_LOG = logging.getLogger(__name__)

# The garbage collector need not look at all that Dagster is made of again and again: a fifth of the time of loading.
gc.freeze()


def definitions(resources: Mapping[str, Any]) -> Definitions:
    """Return the definitions of the code location.

    Parameters
    ----------
    resources
        All resources by key, as :func:`lake_assets.environments.resources` returns them.
    """
    for name, nearest in domains.unknown_variables().items():
        _LOG.warning("%s %s", name, domains.explain_unknown(nearest))
    with warnings.catch_warnings():
        # `load_from_defs_folder` needs a pyproject.toml above the package, which an installed wheel does not have.
        warnings.simplefilter("ignore", PreviewWarning)
        found = load_definitions_from_modules(domains.modules())
    retention = RetentionSettings.read()
    platform = Definitions(
        sensors=[
            *lake_sensors(
                sweep_after=timedelta(days=retention.sweep_after_days),
                gc_grace=timedelta(days=retention.gc_grace_days),
            ),
            sinks_follow_main(*(key for key, resource in resources.items() if isinstance(resource, Sink))),
        ],
        resources=resources,
        executor=environments.executor(),
    )
    return Definitions.merge(found, platform)


defs = definitions(environments.resources())

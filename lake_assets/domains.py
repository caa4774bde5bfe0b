"""The domains of the code location: every package in ``defs/``, found and never named.

A module of a domain is found by its name. ``resources.py`` has ``resources(shared)``, which returns the
domain's Dagster resources by key, and may have ``spark_reads_kafka()``, which tells whether the domain's
streams need Spark's Kafka connector. ``settings.py`` has subclasses of
:class:`~lake_assets.settings.Settings`. All other modules may hold assets, checks, jobs, schedules and sensors.
"""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from lake_assets.settings import PLATFORM, Settings, Variable

DEFS = "lake_assets.defs"


def modules() -> list[ModuleType]:
    """Import every module of every domain, and return them."""
    package = importlib.import_module(DEFS)
    return [importlib.import_module(found.name) for found in pkgutil.walk_packages(package.__path__, f"{DEFS}.")]


def all_settings() -> list[type[Settings]]:
    """Return the classes of settings: the platform's, and each domain's."""
    return [
        *PLATFORM,
        *(
            found
            for module in _each("settings")
            for found in vars(module).values()
            if isinstance(found, type) and issubclass(found, Settings) and found.__module__ == module.__name__
        ),
    ]


def all_variables() -> list[Variable]:
    """Return every environment variable that is a setting."""
    return [variable for settings in all_settings() for variable in settings.variables()]


def resources(shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shared resources, and each domain's, by key.

    Parameters
    ----------
    shared
        The platform's resources by key, for the domains to build theirs on.

    Raises
    ------
    ValueError
        Two have one key.
    """
    found = dict(shared)
    for module in _each("resources"):
        own: Mapping[str, Any] = module.resources(shared)
        if twice := sorted(own.keys() & found.keys()):
            raise ValueError(f"{module.__name__} has resources of keys that are taken: {', '.join(twice)}; rename them")
        found |= own
    return found


def spark_reads_kafka() -> bool:
    """Tell whether a domain's streams need Spark's Kafka connector."""
    return any(module.spark_reads_kafka() for module in _each("resources") if hasattr(module, "spark_reads_kafka"))


def _each(name: str) -> Iterator[ModuleType]:
    """Import and yield the module of that name of each domain that has one."""
    package = importlib.import_module(DEFS)
    for domain in pkgutil.iter_modules(package.__path__, f"{DEFS}."):
        if domain.ispkg and importlib.util.find_spec(f"{domain.name}.{name}") is not None:
            yield importlib.import_module(f"{domain.name}.{name}")

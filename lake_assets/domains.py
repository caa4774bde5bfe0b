"""Discovery of the domains of the code location, which are the packages in ``defs/``.

A domain's modules are found by their names. ``resources.py`` has a function ``resources(shared)`` that returns the
domain's Dagster resources by key. It may also have functions ``spark_reads_kafka()`` and ``spark_reads_s3()`` that tell
whether the domain's streams need these connectors of Spark. ``settings.py`` has subclasses of
:class:`~lake_assets.settings.Settings`. All other modules may contain assets, checks, jobs, schedules and sensors.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from types import ModuleType
from typing import Any

from lake_assets.settings import PLATFORM, Settings, Variable

DEFS = "lake_assets.defs"


def modules() -> list[ModuleType]:
    """Import every module of every domain, and return them."""
    package = importlib.import_module(DEFS)
    return [importlib.import_module(found.name) for found in pkgutil.walk_packages(package.__path__, f"{DEFS}.")]


def all_settings() -> list[type[Settings]]:
    """Return the settings classes of the platform and of each domain."""
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
    """Return the environment variables of all settings."""
    return [variable for settings in all_settings() for variable in settings.variables()]


_OTHERS = frozenset({"LAKE_ASSETS_MODULE"})
"""Variables of our prefixes that are no settings: options of the command line."""


def unknown_variables() -> dict[str, str]:
    """Return the environment variables that look like settings but are none, each with the nearest setting.

    These are all names with the prefix ``LAKE_`` or that of a domain. Programs such as Spark, Kafka and lakeFS have
    variables of their own, so of their prefixes only names that are almost a setting count.
    """
    known = {variable.name for variable in all_variables()}
    shared = {_prefix(variable.name) for settings in PLATFORM for variable in settings.variables()}
    own = {_prefix(name) for name in known} - shared | {"LAKE_"}
    found: dict[str, str] = {}
    for name in sorted(os.environ.keys() - known - _OTHERS):
        prefix = _prefix(name)
        nearest = get_close_matches(name, sorted(known), 1, 0.6 if prefix in own else 0.85)
        if prefix in own or (prefix in shared and nearest):
            found[name] = nearest[0] if nearest else ""
    return found


def explain_unknown(nearest: str) -> str:
    """Return what is said of a variable that is no setting.

    Parameters
    ----------
    nearest
        The nearest setting. Empty if none is similar.
    """
    return f"is not a setting, so it has no effect: {f'did you mean {nearest}?' if nearest else 'see docs/settings.md'}"


def _prefix(name: str) -> str:
    return "".join(name.partition("_")[:2])


def resources(shared: Mapping[str, Any]) -> dict[str, Any]:
    """Return the shared resources and those of each domain, by key.

    Parameters
    ----------
    shared
        The platform's resources by key, which the domains can use.

    Raises
    ------
    ValueError
        Two resources have the same key.
    """
    found = dict(shared)
    for module in _each("resources"):
        own: Mapping[str, Any] = module.resources(shared)
        if twice := sorted(own.keys() & found.keys()):
            raise ValueError(f"{module.__name__} has resource keys that are taken: {', '.join(twice)}; rename them")
        found |= own
    return found


def spark_reads_kafka() -> bool:
    """Tell whether the streams of any domain need Spark's Kafka connector."""
    return any(module.spark_reads_kafka() for module in _each("resources") if hasattr(module, "spark_reads_kafka"))


def spark_reads_s3() -> bool:
    """Tell whether the streams of any domain need Spark's S3 connector."""
    return any(module.spark_reads_s3() for module in _each("resources") if hasattr(module, "spark_reads_s3"))


def _each(name: str) -> Iterator[ModuleType]:
    """Import and yield the module of a name in each domain that has one."""
    package = importlib.import_module(DEFS)
    for domain in pkgutil.iter_modules(package.__path__, f"{DEFS}."):
        if domain.ispkg and importlib.util.find_spec(f"{domain.name}.{name}") is not None:
            yield importlib.import_module(f"{domain.name}.{name}")

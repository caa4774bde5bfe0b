"""YAML whose dates and times are texts, as they are written."""

from __future__ import annotations

from typing import Any

import yaml


def of_plain_yaml(text: str) -> Any:
    """Return what a YAML text says. Dates and times are texts, with quotes and without.

    Parameters
    ----------
    text
        The YAML.

    Raises
    ------
    ValueError
        It is no YAML.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (it makes plain values alone, as its base)
    except yaml.YAMLError as error:
        raise ValueError(str(error)) from error


class _Loader(yaml.SafeLoader):
    """Leaves dates and times as they are. YAML 1.1 makes objects of dates, and of 17:30 the number 1050."""


def _as_written(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> str:
    return str(loader.construct_scalar(node))


def _whole(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int | str:
    return _as_written(loader, node) if ":" in node.value else loader.construct_yaml_int(node)


def _floating(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> float | str:
    return _as_written(loader, node) if ":" in node.value else loader.construct_yaml_float(node)


_Loader.add_constructor("tag:yaml.org,2002:timestamp", _as_written)
_Loader.add_constructor("tag:yaml.org,2002:int", _whole)
_Loader.add_constructor("tag:yaml.org,2002:float", _floating)

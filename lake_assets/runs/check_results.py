"""What a check's result says in a log and in an error: its description and its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster import AssetCheckResult, FloatMetadataValue, IntMetadataValue

if TYPE_CHECKING:
    from dagster import DagsterLogManager


def explain(description: str | None, metadata: Mapping[str, Any]) -> str:
    """Return what a check found: its description, and the numbers among its metadata.

    Other metadata are left out: they may be long, or values that must not be repeated.

    Parameters
    ----------
    description, metadata
        Of an `AssetCheckResult`, or of the `AssetCheckEvaluation` that Dagster made of it.
    """
    numbers = [
        f"{name} {value.value:g}" if isinstance(value, FloatMetadataValue) else f"{name} {value.value:,}"
        for name, value in metadata.items()
        if isinstance(value, FloatMetadataValue | IntMetadataValue) and value.value is not None
    ]
    return ": ".join(filter(None, [(description or "").rstrip("."), ", ".join(numbers)])) or "it gave no reason"


def logged(log: DagsterLogManager, result: AssetCheckResult) -> AssetCheckResult:
    """Write a check's result to the run's log with its numbers, and return it.

    Dagster itself logs only that a check did not pass.

    Parameters
    ----------
    log
        Of the check's context.
    result
        What the check is about to return.
    """
    asset = result.asset_key.to_user_string() if result.asset_key is not None else ""
    name = ":".join(filter(None, [asset, result.check_name]))
    found = explain(result.description, result.metadata)
    if result.passed:
        log.info("Check %s passed: %s", name, found)
    else:
        log.warning("Check %s did not pass: %s", name, found)
    return result

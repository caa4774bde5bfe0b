"""Describes a check's result for logs and errors: its description and its numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster import AssetCheckResult, AssetCheckSeverity, FloatMetadataValue, IntMetadataValue

from lake_assets.text.printable import printable

if TYPE_CHECKING:
    from dagster import DagsterLogManager


def explain(description: str | None, metadata: Mapping[str, Any]) -> str:
    """Return a check's description and the numbers in its metadata; empty if it has neither.

    Other metadata are left out. They may be long, or hold values that must not be logged.

    Parameters
    ----------
    description
        Description of the `AssetCheckResult` or `AssetCheckEvaluation`.
    metadata
        Its metadata.
    """
    numbers = [
        f"{name} {value.value:g}" if isinstance(value, FloatMetadataValue) else f"{name} {value.value:,}"
        for name, value in metadata.items()
        if isinstance(value, FloatMetadataValue | IntMetadataValue) and value.value is not None
    ]
    return ": ".join(filter(None, [(description or "").rstrip("."), ", ".join(numbers)]))


def outcome(*, passed: bool, description: str | None, metadata: Mapping[str, Any], warns: bool = False) -> str:
    """Return whether a check passed, and what it found.

    Parameters
    ----------
    passed
        Whether it passed.
    warns
        Whether it only warns where it does not pass.
    description
        Description of its result.
    metadata
        Metadata of its result.
    """
    found = explain(description, metadata)
    failed = "did not pass, which only warns" if warns else "did not pass"
    return ": ".join(filter(None, ["passed" if passed else failed, found]))


def logged(log: DagsterLogManager, result: AssetCheckResult) -> AssetCheckResult:
    """Write a check's result, with its numbers, to the run's log, and return the result.

    Dagster itself logs only that a check did not pass.

    Parameters
    ----------
    log
        ``context.log`` of the check.
    result
        The result that the check is about to return.
    """
    asset = result.asset_key.to_user_string() if result.asset_key is not None else ""
    name = ":".join(filter(None, [asset, result.check_name]))
    warns = result.severity == AssetCheckSeverity.WARN
    found = outcome(passed=result.passed, description=result.description, metadata=result.metadata, warns=warns)
    (log.info if result.passed else log.warning)("Check %s %s", name, printable(found))
    return result

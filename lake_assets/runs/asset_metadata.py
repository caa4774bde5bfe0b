"""Metadata keys of an asset's materializations, observations and check results in Dagster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lake_assets.lake.contract import MAIN

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake

COMMIT = "lake/commit"
"""The commit that holds the data. In a check's result: the commit that the check read."""
SINCE = "lake/since"
"""The commit that a sink reflected before this materialization."""
PREFIX = "lake/prefix"
"""The folder of the asset, or of one partition, in the lake."""
PARTITIONS = "lake/partitions"
"""The number of partitions that an input loaded, where it asked for several."""
MISSING_PARTITIONS = "lake/missing_partitions"
"""The number of partitions that such an input asked for and that are not in the lake."""
FIRST_MISSING = "lake/first_missing"
"""The keys of the first missing partitions."""
BRANCH = "lake/branch"
"""The branch that was written."""
REPOSITORY = "lake/repository"
"""The lake that holds the data."""
PUBLISHED = "lake/published"
"""Whether the data are published: ``yes, by commit …``, with who overrode a check, or ``not published: …``."""
RUN = "lake/run"
"""The run that wrote the data that an observation is about."""
CODE_COMMIT = "lake/code_commit"
"""The Git commit of the code that made the data."""
PREVIEW = "lake/preview"
"""Definition metadata: False keeps the rows of a sensitive asset out of Dagster's event log."""
PERSONAL_COLUMNS = "lake/personal_columns"
"""Definition metadata: names of columns with personal data, as a list. Their values are in no preview."""

ROLLBACK_TO = "rollback/to"
ROLLBACK_BY = "rollback/by"
ROLLBACK_REASON = "rollback/reason"
ROLLBACK_MERGE = "rollback/merge"
DELETION_BY = "deletion/by"
DELETION_REASON = "deletion/reason"

URI = "dagster/uri"
ROW_COUNT = "dagster/row_count"
COLUMN_SCHEMA = "dagster/column_schema"
COLUMN_LINEAGE = "dagster/column_lineage"

DATA_VERSION = "dagster/data_version"
"""Tag of a materialization: its data version."""
CODE_VERSION = "dagster/code_version"
"""Tag of a materialization: the asset's code version."""
INPUT_VERSIONS = "dagster/input_"
"""Beginning of the tags that hold the versions of a materialization's inputs."""


def published_state(branch: str, commit: str) -> str:
    """Return what :data:`PUBLISHED` says of data that are published.

    Parameters
    ----------
    branch
        ``main``, or a working branch.
    commit
        The commit that published them.
    """
    yes = "yes" if branch == MAIN else f"yes, on the working branch {branch} only"
    return f"{yes}, by commit {commit}"


def published_metadata(branch: str, commit: str) -> dict[str, str]:
    """Return the metadata of an event that reports published data: :func:`published_state`.

    Parameters
    ----------
    branch, commit
        As of :func:`published_state`.
    """
    return {PUBLISHED: published_state(branch, commit)}


def place_metadata(
    lake: Lake, branch: str, commit: str, prefix: str | None = None, rows: int | None = None
) -> dict[str, str | int]:
    """Return the metadata that say where in the lake the data of an event are.

    Parameters
    ----------
    lake
        The lake.
    branch
        The branch that was written.
    commit
        The commit that holds the data.
    prefix
        The folder; None if the event is about a whole commit.
    rows
        The number of rows in the folder; None if it is not known.
    """
    metadata: dict[str, str | int] = {COMMIT: commit, BRANCH: branch, REPOSITORY: lake.repository}
    if prefix is not None:
        metadata |= {PREFIX: prefix, URI: f"lake://{commit}/{prefix}"}
    if rows is not None:
        metadata[ROW_COUNT] = rows
    return metadata

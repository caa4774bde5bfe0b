"""Keys of the metadata that Dagster shows of an asset: of its materializations, observations and check results."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lake_assets.lake.contract import Lake

COMMIT = "lake/commit"
"""The commit that holds the bytes. Of a check's result: the commit that it read."""
SINCE = "lake/since"
"""Of a sink: the commit that it reflected before."""
PREFIX = "lake/prefix"
"""The asset's folder in the lake, or a partition's."""
PARTITIONS = "lake/partitions"
"""Of an input of several partitions: how many were loaded."""
MISSING_PARTITIONS = "lake/missing_partitions"
"""Of such an input: how many of those that were asked for are not in the lake."""
FIRST_MISSING = "lake/first_missing"
"""The first few of them."""
BRANCH = "lake/branch"
"""The branch that was written."""
REPOSITORY = "lake/repository"
"""The lake."""
PUBLISHED = "lake/published"
"""Whether ``main`` holds it: ``yes, by commit …``, or ``not published: …`` and why."""
RUN = "lake/run"
"""The run that an observation is about."""
CODE_COMMIT = "lake/code_commit"
"""The Git commit of the code that made it."""
PREVIEW = "lake/preview"
"""Of an asset's definition: False keeps rows of a sensitive asset out of Dagster's event log."""

ROLLBACK_TO = "rollback/to"
ROLLBACK_REASON = "rollback/reason"
ROLLBACK_MERGE = "rollback/merge"
DELETION_BY = "deletion/by"
DELETION_REASON = "deletion/reason"

URI = "dagster/uri"
ROW_COUNT = "dagster/row_count"
COLUMN_SCHEMA = "dagster/column_schema"
COLUMN_LINEAGE = "dagster/column_lineage"

DATA_VERSION = "dagster/data_version"
"""A tag of a materialization; so are the next two."""
CODE_VERSION = "dagster/code_version"
INPUT_VERSIONS = "dagster/input_"
"""How the tags of the versions of a materialization's inputs begin."""


def place_metadata(
    lake: Lake, branch: str, commit: str, prefix: str | None = None, rows: int | None = None
) -> dict[str, str | int]:
    """Return the metadata that say where in the lake an event's data are.

    Parameters
    ----------
    lake
        The lake.
    branch
        The branch that was written.
    commit
        The commit that holds the data.
    prefix
        The folder; None where the event is of a commit as a whole.
    rows
        The number of rows in the folder, where it is known.
    """
    metadata: dict[str, str | int] = {COMMIT: commit, BRANCH: branch, REPOSITORY: lake.repository}
    if prefix is not None:
        metadata |= {PREFIX: prefix, URI: f"lake://{commit}/{prefix}"}
    if rows is not None:
        metadata[ROW_COUNT] = rows
    return metadata

"""A person's correction of ``main``: made on a branch of its own, audited, and merged."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster import DagsterInstance, Failure

from lake_assets.lake.audit import Override
from lake_assets.lake.contract import MAIN, Commit, Lake
from lake_assets.lake.errors import LakeError, MergeConflict, Unaudited
from lake_assets.lake.names import ancestors
from lake_assets.layout.manifest import MANIFEST
from lake_assets.runs.audit import audit_publication
from lake_assets.runs.commit_metadata import CommitMetadata
from lake_assets.runs.lock import acquire_run_lock
from lake_assets.runs.publishing import conflicting

if TYPE_CHECKING:
    from dagster._core.definitions.assets.graph.asset_graph import AssetGraph

ROLLBACK = "rollback-"
"""Beginning of the names of the branches that rollbacks are made on."""
DELETION = "delete-"
"""Beginning of the names of the branches that deletions are made on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A change of ``main`` that a person asked for.

    Parameters
    ----------
    kind
        :data:`ROLLBACK` or :data:`DELETION`.
    head
        ``main`` as it was when the change was planned.
    message
        Of the merge.
    metadata
        Of the merge: who, why, and what.
    refused
        The sentence that an error begins with, such as ``prices is not deleted``.
    override
        The checks that the person overrides.
    back_to
        The commit of ``main`` that the data go back to.
    """

    kind: str
    head: Commit
    message: str
    metadata: CommitMetadata
    refused: str
    override: Override | None = None
    back_to: Commit | None = None


def correct_main(
    lake: Lake, instance: DagsterInstance, graph: AssetGraph, correction: Correction, write: Callable[[str], None]
) -> Commit:
    """Write a correction on a branch of its own, audit it, merge it into ``main``, and return the merge.

    Parameters
    ----------
    lake, instance
        Where the data are, and the event log that says what was checked.
    graph
        Of the code location: its blocking checks decide.
    correction
        What is changed, and why.
    write
        Writes the change on the branch of the name that it is given.

    Raises
    ------
    Failure
        Something else was published to the same places since the correction was planned; ``main`` is as it was.
    """
    branch = f"{correction.kind}{secrets.token_hex(6)}"
    acquire_run_lock(instance, branch)
    lake.create_branch(branch, correction.head.id)
    try:
        write(branch)
        audit = audit_publication(
            lake, instance, graph, lake.head(branch), override=correction.override, back_to=correction.back_to
        )
        return lake.merge(audit.source, MAIN, correction.message, correction.metadata.to_metadata(), audit)
    except (MergeConflict, Unaudited) as error:
        raise Failure(
            f"{correction.refused}: since it was looked at, {MAIN} got other versions of {conflicting(lake, error)}. "
            f"{MAIN} is as it was. Look at it again, and start anew.",
            allow_retries=False,
        ) from error
    finally:
        with suppress(LakeError):
            lake.delete_branch(branch)


def refuse_part(lake: Lake, commit: str, place: str, remedy: str) -> None:
    """Raise where a commit holds a place as a part of what one write made.

    Parameters
    ----------
    lake, commit
        What is looked at.
    place
        A folder.
    remedy
        What to do instead of changing the part.

    Raises
    ------
    Failure
        It names the whole.
    """
    whole = next((above for above in ancestors(place) if lake.fingerprint(commit, f"{above}/{MANIFEST}")), None)
    if whole is not None:
        raise Failure(f"{place!r} is a part of {whole!r}, which was written as a whole: {remedy}.")

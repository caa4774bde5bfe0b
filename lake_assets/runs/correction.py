"""Corrects ``main``, or a working branch, at a person's request: on a branch of its own, audited, and merged."""

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
    from lake_assets._dagster import AssetGraph

ROLLBACK = "rollback-"
"""Prefix of the names of rollback branches."""
DELETION = "delete-"
"""Prefix of the names of deletion branches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """A change of ``main``, or of a working branch, that a person asked for.

    Parameters
    ----------
    kind
        :data:`ROLLBACK` or :data:`DELETION`.
    head
        Head of the corrected branch when the change was planned.
    message
        Message of the merge.
    metadata
        Metadata of the merge: who asked for what, and why.
    refused
        Beginning of an error message, such as ``prices is not deleted``.
    override
        The checks that the person overrides.
    back_to
        The commit whose data are restored.
    into
        The corrected branch.
    """

    kind: str
    head: Commit
    message: str
    metadata: CommitMetadata
    refused: str
    override: Override | None = None
    back_to: Commit | None = None
    into: str = MAIN


def correct(
    lake: Lake, instance: DagsterInstance, graph: AssetGraph, correction: Correction, write: Callable[[str], None]
) -> Commit:
    """Write a correction on its own branch, audit it, merge it, and return the merge.

    Parameters
    ----------
    lake
        The lake.
    instance
        The Dagster instance whose event log holds the check results.
    graph
        The graph of the code location, with its blocking checks.
    correction
        What is changed, and why.
    write
        Writes the change on the branch whose name it gets.

    Raises
    ------
    Failure
        Something else was published to the same places since the correction was planned. Nothing is changed.
    """
    into = correction.into
    branch = f"{correction.kind}{secrets.token_hex(6)}"
    acquire_run_lock(instance, branch)
    lake.create_branch(branch, correction.head.id)
    try:
        write(branch)
        audit = audit_publication(
            lake,
            instance,
            graph,
            lake.head(branch),
            into=into,
            override=correction.override,
            back_to=correction.back_to,
        )
        return lake.merge(audit.source, into, correction.message, correction.metadata.to_metadata(), audit)
    except (MergeConflict, Unaudited) as error:
        raise Failure(
            f"{correction.refused}: since it was planned, {into} got other versions of "
            f"{conflicting(lake, error, into)}. {into} is unchanged. Look at the new versions, then try again.",
            allow_retries=False,
        ) from error
    finally:
        with suppress(LakeError):
            lake.delete_branch(branch)


def refuse_part(lake: Lake, commit: str, place: str, remedy: str) -> None:
    """Raise if a folder is only a part of a place, which one write replaces as a whole.

    Parameters
    ----------
    lake
        The lake.
    commit
        The commit that is examined.
    place
        The folder.
    remedy
        What to do instead.

    Raises
    ------
    Failure
        The folder is a part. The message names the whole.
    """
    whole = next((above for above in ancestors(place) if lake.fingerprint(commit, f"{above}/{MANIFEST}")), None)
    if whole is not None:
        raise Failure(f"{place!r} is a part of {whole!r}, which was written as a whole: {remedy}.")

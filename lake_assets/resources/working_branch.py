"""The branch that a run begins at and publishes to: ``main``, or a working branch.

These name it, and the first one counts: the run's tag :data:`BRANCH_TAG`; the run configuration of the resource
``snapshot``; the run that it re-executes; the setting of the resource. It is stored in the tag when the run begins, so
that the run is published to the same branch later, whoever does it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from dagster import ConfigurableResource, InitResourceContext
from pydantic import Field, PrivateAttr
from typing_extensions import Self

from lake_assets.lake.contract import MAIN

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

BRANCH_TAG = "lake/branch"
"""Run tag: the branch that the run begins at and publishes to. Without it, ``main``."""


class OnBranch(ConfigurableResource["OnBranch"]):
    """A resource that works on ``main`` or on a working branch.

    Parameters
    ----------
    branch
        The branch, for runs that name no other one, and for sensors.
    """

    branch: str = Field(default=MAIN, description="The branch that runs begin at and publish to")
    _target: str = PrivateAttr(default="")

    @property
    def target(self) -> str:
        """In a run, the branch that it begins at and publishes to. Elsewhere the setting."""
        return self._target or self.branch

    def on(self, branch: str) -> Self:
        """Work on a branch, outside of runs, and return this resource.

        Parameters
        ----------
        branch
            The branch.
        """
        self._target = branch
        return self

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """Store the branch that a run works on, before its first step."""
        if context.run is not None and context.instance is not None:
            self._target = record_target(context.instance, context.run, self.branch)


class Sinks(OnBranch):
    """A resource of tables or topics outside the lake. A working branch has its own ones, which no reader knows.

    Parameters
    ----------
    on_branches
        Whether a working branch has any. If not, its runs write none.
    """

    on_branches: bool = Field(default=True, description="Whether a working branch has tables and topics of its own")

    @property
    def off(self) -> bool:
        """Whether nothing is written outside the lake, since this is a working branch without sinks."""
        return self.target != MAIN and not self.on_branches


def target_of(instance: DagsterInstance, run: DagsterRun) -> str:
    """Return the branch that a run begins at and publishes to.

    Parameters
    ----------
    instance
        The Dagster instance.
    run
        The run.
    """
    return run.tags.get(BRANCH_TAG) or _named(instance.get_run_by_id(run.run_id) or run) or MAIN


def record_target(instance: DagsterInstance, run: DagsterRun, setting: str) -> str:
    """Store the branch that a run begins at and publishes to in the run's tag, and return it.

    Parameters
    ----------
    instance
        The Dagster instance.
    run
        The run.
    setting
        The branch that the resource names.
    """
    stored = instance.get_run_by_id(run.run_id) or run
    target = _named(stored)
    if target is None:
        parent = instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
        target = target_of(instance, parent) if parent is not None else setting
    if target != MAIN and BRANCH_TAG not in stored.tags and instance.has_run(run.run_id):
        instance.add_run_tags(run.run_id, {BRANCH_TAG: target})
    return target


def _named(run: DagsterRun) -> str | None:
    """Return the branch that a run names itself, or that was stored when it began."""
    resources = cast("dict[str, Any]", run.run_config.get("resources", {}))
    return run.tags.get(BRANCH_TAG) or resources.get("snapshot", {}).get("config", {}).get("branch") or None


def in_metadata(branch: str) -> str | None:
    """Return a branch as the metadata of commits record it: None for ``main``.

    Parameters
    ----------
    branch
        Name of the branch.
    """
    return None if branch == MAIN else branch


def apart(name: str, branch: str) -> str:
    """Return the name of a table or topic for a branch. Each working branch has one of its own.

    Parameters
    ----------
    name
        The name for ``main``.
    branch
        The branch whose data it holds.
    """
    return name if branch == MAIN else f"{name}--{branch}"

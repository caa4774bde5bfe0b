"""Which process runs which tests: one has all that share a Spark session, a broker or a Dagster server.

pytest-xdist's own groups (`--dist loadgroup`) do nothing with pytest 9.2, which ignores the ids that it changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling


def shared_first(items: list[pytest.Item]) -> None:
    """Sort tests for :class:`FromBothEnds`: first the files with Spark's session or Kafka's broker.

    Those of the Dagster server, in the last folder, are for the other process.
    """
    fixtures: dict[Path, set[str]] = {}
    for item in items:
        fixtures.setdefault(item.path, set()).update(getattr(item, "fixturenames", ()))
    first = {path for path, names in fixtures.items() if names & {"spark", "kafka"} and "dagster" not in names}
    items.sort(key=lambda item: item.path not in first)


class FromBothEnds(LoadScopeScheduling):
    """Gives a file's tests to one process: the first takes files from the front, the others from the back."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid.partition("::")[0]

    def _assign_work_unit(self, node: Any) -> None:
        if node.gateway.id != "gw0":
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)

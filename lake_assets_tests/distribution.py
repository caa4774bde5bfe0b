"""Which process runs which tests: one has all that share a Spark session or a broker; each other server has one, too.

pytest-xdist's own groups (`--dist loadgroup`) do nothing with pytest 9.2, which ignores the ids that it changes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TESTS = Path(__file__).parent

SERVERS = {
    "nosql/": "DynamoDB",
    "defs/stocks/test_table_by_difference.py": "DynamoDB",
    "databases/": "databases",
    "from_database/": "databases",
    "ui/": "Dagster",
}
"""Files, or folders, whose tests share a server: one process has all of them, but for those with Spark's session."""

LONG = (
    *("test_outside_project.py", "messages/", "lake/test_contract.py", "lake/test_backup.py", "cli/test_lineage.py"),
    *("lake/test_lakefs_faults.py", "cli/test_module.py", "defs/users/", "runs/test_working_branches.py"),
    *("defs/stocks/test_stocks_job.py", "test_secrets.py", "cli/test_verifying.py", "lake/test_lakefs_endpoint.py"),
    *("defs/stocks/test_sensors.py", "model/", "databases/", "from_database/", "runs/test_audit.py"),
    *("workers/", "ui/", "processes/", "nosql/"),
)
"""What takes the longest, the longest last: it begins first, so that nothing long is left at the end."""


def shared_first(items: list[pytest.Item]) -> None:
    """Sort tests for :class:`FromBothEnds`: first files with Spark's session or Kafka's broker, last the long ones."""
    fixtures: dict[Path, set[str]] = {}
    for item in items:
        fixtures.setdefault(item.path, set()).update(getattr(item, "fixturenames", ()))
    first = {path for path, names in fixtures.items() if names & {"spark", "kafka"} and "dagster" not in names}

    def place(item: pytest.Item) -> int:
        if item.path in first or TESTS not in item.path.parents:
            return -1
        path = item.path.relative_to(TESTS).as_posix()
        return max((rank for rank, long in enumerate(LONG, 1) if path.startswith(long)), default=0)

    items.sort(key=place)


class FromBothEnds(LoadScopeScheduling):
    """Gives a file's tests to one process: the first takes files from the front, the others from the back."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        path = file.removeprefix(f"{TESTS.name}/")
        shared = "" if "spark" in path else next((SERVERS[start] for start in SERVERS if path.startswith(start)), "")
        return shared or file

    def _assign_work_unit(self, node: Any) -> None:
        if node.gateway.id != "gw0":
            self.workqueue.move_to_end(next(reversed(self.workqueue)), last=False)
        super()._assign_work_unit(node)

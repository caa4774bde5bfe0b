"""One server of each kind for the whole folder, started at first use."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from lake_assets_tests.database_servers import DatabaseServer, start_mariadb, start_postgresql


@pytest.fixture(scope="session")
def postgresql() -> Iterator[DatabaseServer]:
    """PostgreSQL."""
    server = start_postgresql()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def mariadb() -> Iterator[DatabaseServer]:
    """MariaDB."""
    server = start_mariadb()
    yield server
    server.stop()

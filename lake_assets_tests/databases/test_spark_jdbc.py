"""What Spark's workers are told of a database; that they read the same is in the tests of a cluster."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from lake_assets.databases.contract import DatabaseError, Selection
from lake_assets.databases.opening import open_database
from lake_assets.databases.reading import Reading
from lake_assets.databases.spark_jdbc import jdbc_frame
from lake_assets_tests.database_servers import DatabaseServer
from lake_assets_tests.databases.statements import execute


class Session:
    """Stands for a Spark session, and keeps what its reader is given."""

    def __init__(self) -> None:
        self.read = self
        self.given: tuple[Any, ...] = ()
        self.options: dict[str, Any] = {}

    def jdbc(self, *given: Any, **options: Any) -> None:
        self.given, self.options = given, options


def test_other_databases_are_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/one.db"
    execute(url, "CREATE TABLE t (id INTEGER)")
    with (
        closing(open_database(url)) as database,
        pytest.raises(DatabaseError, match="read PostgreSQL only: leave out `spark`"),
    ):
        jdbc_frame(Session(), database, Reading(selection=Selection("t")))  # type: ignore[arg-type]  # pyright: ignore


@pytest.mark.parametrize("selection", [Selection("parted"), Selection(query="SELECT * FROM parted;")], ids=str)
def test_each_range_is_a_partition_and_the_password_is_a_property(
    postgresql: DatabaseServer, selection: Selection
) -> None:
    execute(
        postgresql,
        "DROP TABLE IF EXISTS parted",
        "CREATE TABLE parted (id integer)",
        "INSERT INTO parted SELECT n * 10 FROM generate_series(1, 16) n",
    )
    session: Any = Session()
    with closing(open_database(postgresql.url)) as database:
        jdbc_frame(session, database, Reading(selection=selection, partition_column="id"))
    address, query = session.given
    assert address == "jdbc:postgresql://" + postgresql.url.rpartition("@")[2]
    assert "SELECT" in query
    properties = session.options["properties"]
    assert (properties["user"], properties["password"]) == ("tester", "p/a@s:s")
    assert "SET TRANSACTION SNAPSHOT '" in properties["sessionInitStatement"]
    ranges = session.options["predicates"]
    assert (ranges[0], ranges[-1]) == ('"id" IS NOT NULL AND "id" < 20', '"id" IS NULL')
    assert len(ranges) == 17

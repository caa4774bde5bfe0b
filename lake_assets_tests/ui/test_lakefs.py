"""The same page and daemon on a lakeFS server: runs launched from the page, and by sensors, are published there."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from lake_assets.defs.users.partitions import BATCHES_NAME
from lake_assets.lake.contract import MAIN
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets_tests import lakefs_server
from lake_assets_tests.defs.users import files as users
from lake_assets_tests.ui import queries
from lake_assets_tests.ui.files import add_day
from lake_assets_tests.ui.server import SELECTOR, running, until
from lake_assets_tests.ui.words import counts


@pytest.mark.soak
@pytest.mark.services
@pytest.mark.timeout(1800)
def test_on_lakefs_runs_from_the_page_and_by_every_sensor_of_new_data_are_published(tmp_path: Path) -> None:
    endpoint, _, repository = lakefs_server.fresh_repository().rpartition("/")
    key, secret = lakefs_server.CREDENTIALS
    settings = {
        "LAKE_ENV": "services",
        "LAKE_NOSQL": "lmdb",
        "LAKEFS_ENDPOINT": endpoint,
        "LAKEFS_REPOSITORY": repository,
        "LAKEFS_ACCESS_KEY_ID": key,
        "LAKEFS_SECRET_ACCESS_KEY": secret,
        "USERS_SOURCE": str(tmp_path / "users"),
        "WORDS_SINK": str(tmp_path / "counts.jsonl"),
    }
    source = tmp_path / "source"
    add_day(source, "2017-07-14", ["19"])
    users.add(tmp_path / "users", "one")
    with (
        running(tmp_path, source, **settings) as server,
        closing(LakeFSLake(endpoint, key, secret, repository)) as lake,
    ):
        (server.lines / "1.txt").write_text("dog cat\ndog\n")
        server.query(queries.ADD_PARTITION, repository=SELECTOR, name=BATCHES_NAME, key="one")
        launched = [server.launch("2017-07-14-19:00"), server.launch("one", job="users")]
        assert [server.finished(run) for run in launched] == ["SUCCESS", "SUCCESS"]
        add_day(source, "2017-07-14", ["08"])
        users.add(tmp_path / "users", "two")

        def all_are_there() -> bool:
            places = ("stocks_parquet/day=2017-07-14/hour=08", "users/partition=two")
            return counts(lake) == {"dog": 2, "cat": 1} and all(lake.fingerprint(MAIN, place) for place in places)

        with (
            server.turned_on("new_stock_files"),
            server.turned_on("new_user_files"),
            server.turned_on("new_text_files"),
        ):
            until("what is new is published", all_are_there, 600)
        published = {commit.metadata.get("run_id") for commit in lake.log(MAIN) if len(commit.parents) > 1}
        assert published >= set(launched)
        assert secret not in server.log.read_text()

"""Credentials are those of the resource, everywhere, and nobody is shown them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lake_assets.io_managers.parquet import ParquetIOManager
from lake_assets.resources.kafka import KafkaResource
from lake_assets.resources.lake import EmbeddedLake, LakeFS
from lake_assets.resources.outbox import OutboxResource
from lake_assets.resources.spark import SparkResource, session_of
from lake_assets.spark.session import without_credentials

KEY, SECRET = "a-key-of-nobody", "a-secret-of-nobody"
LAKE = LakeFS(endpoint="https://lake.example:8000", access_key_id=KEY, secret_access_key=SECRET, repository="desk")


def test_the_lake_tells_spark_its_address_and_credentials() -> None:
    conf = LAKE.spark_conf()
    bucket = "spark.hadoop.fs.s3a.bucket.desk"
    assert conf[f"{bucket}.endpoint"] == "https://lake.example:8000"
    assert conf[f"{bucket}.connection.ssl.enabled"] == "true"
    assert (conf[f"{bucket}.access.key"], conf[f"{bucket}.secret.key"]) == (KEY, SECRET)
    assert EmbeddedLake(home="lake").spark_conf() == {}


def test_a_session_starts_without_the_credentials() -> None:
    public, credentials = without_credentials({**LAKE.spark_conf(), "spark.hadoop.fs.x.Password": "p"})
    bucket = "fs.s3a.bucket.desk"
    assert credentials == {f"{bucket}.access.key": KEY, f"{bucket}.secret.key": SECRET, "fs.x.Password": "p"}
    assert not {KEY, SECRET, "p"} & set(public.values())
    assert f"spark.hadoop.{bucket}.endpoint" in public


def test_no_text_of_a_resource_shows_them() -> None:
    kafka = KafkaResource(security_protocol="SASL_SSL", sasl_username=KEY, sasl_password=SECRET)
    spark = SparkResource(lake=LAKE)
    for resource in (
        LAKE,
        spark,
        ParquetIOManager(lake=LAKE, spark=spark),
        kafka,
        OutboxResource(address="a", kafka=kafka),
    ):
        shown = f"{resource} {resource!r}"
        assert SECRET not in shown
        assert KEY not in shown


def test_without_spark_an_io_manager_says_what_it_wants() -> None:
    with pytest.raises(RuntimeError, match=r"spark=SparkResource\(lake=lake\)"):
        session_of(ParquetIOManager(lake=EmbeddedLake(home="lake")).spark)


def test_spark_has_them_and_neither_its_command_line_nor_its_settings_show_them(tmp_path: Path) -> None:
    code = f"""
import os
from pathlib import Path
from lake_assets import SparkResource
spark = SparkResource(master="local[1]", conf={{"spark.hadoop.fs.x.secret.key": {SECRET!r}}})
session = spark.session
assert session._jsc.hadoopConfiguration().get("fs.x.secret.key") == {SECRET!r}
assert {SECRET!r} not in str(session.sparkContext.getConf().getAll())
assert {SECRET!r} not in str(session.sql("SET -v").collect())
shown = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline")
         if (path.parent / "status").read_text().split("PPid:")[1].split()[0] == str(os.getpid())]
assert shown and not any({SECRET!r}.encode() in line for line in shown)
session.stop()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert SECRET not in done.stdout + done.stderr

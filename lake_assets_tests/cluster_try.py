"""`make cluster`: a Spark cluster that shares nothing, lakeFS, DynamoDB Local and Kafka, until Ctrl-C."""

from __future__ import annotations

import shlex
import shutil
import signal
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from lake_assets_tests import dynamodb_server
from lake_assets_tests.kafka_broker import own_broker, remove
from lake_assets_tests.lakefs_server import CREDENTIALS, own_server
from lake_assets_tests.spark_cluster import ROOT, SparkCluster, spark_cluster

FOLDER = ROOT / ".cluster"
TOPIC = "words"


def settings_of(cluster: SparkCluster, running: ExitStack) -> dict[str, str]:
    """Start what the jobs need besides Spark, where the program is there, and return the settings of all."""
    found = {"SPARK_MASTER": cluster.master, "SPARK_CONF": str(FOLDER / "spark.conf"), "LAKE_ENGINE": "spark"}
    found["LAKE_HOME"] = str(FOLDER / "lake")
    try:
        lakefs = own_server()
        running.callback(shutil.rmtree, lakefs.folder, ignore_errors=True)
        running.callback(lakefs.stop)
        lakefs.start()
        found |= {"LAKE_ENV": "services", "LAKEFS_ENDPOINT": lakefs.endpoint}
        found |= {"LAKEFS_ACCESS_KEY_ID": CREDENTIALS[0], "LAKEFS_SECRET_ACCESS_KEY": CREDENTIALS[1]}
    except pytest.skip.Exception as reason:
        print(f"no lakeFS, so the workers reach no lake, and no job runs on them: {reason}")
    try:
        dynamodb = dynamodb_server.own_server()
        running.callback(dynamodb.stop)
        dynamodb.start()
        # DynamoDB Local takes any keys.
        found |= {"LAKE_NOSQL": "dynamodb", "DYNAMODB_ENDPOINT": dynamodb.endpoint, "AWS_DEFAULT_REGION": "us-east-1"}
        found |= {"AWS_ACCESS_KEY_ID": "cluster", "AWS_SECRET_ACCESS_KEY": "cluster"}
    except pytest.skip.Exception as reason:
        found["LAKE_NOSQL"] = "lmdb"
        print(f"no DynamoDB, so tables are on the disk of this machine: {reason}")
    try:
        broker = own_broker()
        running.callback(remove, broker)
        broker.start()
        broker.cluster().create_topic(TOPIC, 2)
        found |= {"KAFKA_SERVERS": broker.servers, "WORDS_SOURCE": f"kafka://{broker.servers}/{TOPIC}"}
    except pytest.skip.Exception as reason:
        print(f"no Kafka: {reason}")
    return found


def main() -> None:
    """Start all, say how to use it, and stop it on Ctrl-C. Nothing of it is kept."""

    def end(*_: object) -> None:
        # A second one must not end it while it stops what it has started.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    file = FOLDER / "settings.sh"
    try:
        with ExitStack() as running:
            cluster = running.enter_context(spark_cluster())
            FOLDER.mkdir(exist_ok=True)
            running.callback(shutil.rmtree, FOLDER, ignore_errors=True)
            settings = settings_of(cluster, running)
            (FOLDER / "spark.conf").write_text(f"{cluster.conf}\n")
            file.write_text("".join(f"export {name}={shlex.quote(value)}\n" for name, value in settings.items()))
            print(file.read_text())
            shown = file.relative_to(Path.cwd()) if file.is_relative_to(Path.cwd()) else file
            print(f"Spark's master has its page on {cluster.page}. In another shell:")
            print(f"  . {shown}")
            print("""  .venv/bin/dagster job execute -m lake_assets.definitions -j stocks \\
    --tags '{"dagster/partition": "2017-07-28-08:00"}'""")
            print("Ctrl-C stops all, and removes it.", flush=True)
            signal.pause()
    except pytest.skip.Exception as reason:
        sys.exit(f"cluster: {reason}")
    except RuntimeError as error:
        sys.exit(f"cluster: {error}")
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()

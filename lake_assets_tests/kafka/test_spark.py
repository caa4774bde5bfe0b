"""Spark reads and writes a topic with the options that a cluster gives it, credentials among them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from lake_assets.kafka import KafkaDenied, Security
from lake_assets.kafka.cluster import KafkaCluster
from lake_assets.settings import SparkSettings
from lake_assets.spark.jars import KAFKA, connector_conf
from lake_assets_tests.kafka_broker import PASSWORD, USER, KafkaBroker, own_broker, remove

# In a process of its own: the shared session is started without the connector.
COPY = """
import json, sys
from pyspark.sql import SparkSession
from lake_assets.spark.session import prepare_process, session_conf
prepare_process()
jars, source, target, options = sys.argv[1], sys.argv[2], sys.argv[3], json.loads(sys.stdin.read())
builder = SparkSession.builder.master("local[1]").config("spark.jars", jars)
for name, value in session_conf().items():
    builder = builder.config(name, value)
spark = builder.getOrCreate()
frame = spark.read.format("kafka").options(**options).option("subscribe", source).load()
frame.select("key", "value").write.format("kafka").options(**options).option("topic", target).save()
spark.stop()
"""


@pytest.fixture
def broker() -> Iterator[KafkaBroker]:
    broker = own_broker(encrypted=True)
    try:
        broker.start()
        yield broker
    finally:
        remove(broker)


@pytest.mark.services
@pytest.mark.soak
def test_client_and_spark_copy_a_topic_on_servers_that_ask_for_a_password_over_tls(broker: KafkaBroker) -> None:
    stranger = KafkaCluster(broker.sasl_servers, Security("SASL_SSL", "PLAIN", USER, PASSWORD))
    with pytest.raises(KafkaDenied, match="certificate"):
        stranger.topics()
    cluster = KafkaCluster(broker.sasl_servers, Security("SASL_SSL", "PLAIN", USER, PASSWORD, str(broker.ca)))
    source, target = broker.fresh_topic(2), broker.fresh_topic()
    producer = cluster.producer()
    for value in (b"dog", b"", b"\xff\xfe", None):
        producer.produce(source, key=b"k", value=value)
    assert producer.flush(30) == 0
    jars = connector_conf(SparkSettings.read().jars.expanduser(), [KAFKA])["spark.jars"]
    done = subprocess.run(
        [sys.executable, "-c", COPY, jars, source, target],
        input=json.dumps(cluster.spark_options()),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert cluster.topic(target).latest == {0: 4}

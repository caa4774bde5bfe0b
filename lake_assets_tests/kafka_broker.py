"""A real Kafka broker for the tests, and by `make kafka` for a try: one node, on loopback, from Maven Central."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from lake_assets.settings import SparkSettings
from lake_assets.spark.jars import Connector, JarsUnavailable, jars
from lake_assets.spark.session import check_java
from lake_assets_tests.ports import free_ports

if TYPE_CHECKING:
    from lake_assets.kafka.cluster import KafkaCluster

# The second says on paper why a broker does not start.
BROKER = Connector(("org.apache.kafka:kafka_2.13:4.1.0", "org.apache.logging.log4j:log4j-slf4j-impl:2.24.3"))

_START = 120
"""Seconds that a broker may take to start, on a machine that is busy with other tests."""

_CONFIGURATION = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},{protocol}://127.0.0.1:{sasl_port},CONTROLLER://127.0.0.1:{controller}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,{protocol}:{protocol},CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
sasl.enabled.mechanisms=PLAIN
listener.name.{listener}.plain.sasl.jaas.config=\
org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}="{password}";
log.dirs={data}
# What is asked for and is not there is an error, not a new topic.
auto.create.topics.enable=false
# One node: transactions and groups have nobody to wait for.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# A killed broker starts again only when its session is over: 9 s unless said.
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
# Small in memory.
log.cleaner.dedupe.buffer.size=8388608
num.network.threads=2
num.io.threads=2
"""

_TLS = """\
listener.name.sasl_ssl.ssl.keystore.type=PKCS12
listener.name.sasl_ssl.ssl.keystore.location={folder}/keys
listener.name.sasl_ssl.ssl.keystore.password=of-the-tests
"""

_LOG = """\
<Configuration status="WARN">
  <Appenders>
    <Console name="out" target="SYSTEM_OUT"><PatternLayout pattern="%d %p %m (%c)%n%throwable"/></Console>
  </Appenders>
  <Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""

USER, PASSWORD = "tester", 'of "these" tests\\'
"""Credentials of the listener that asks for some; good for nothing else."""


class KafkaBroker:
    """One broker: started, stopped, killed, started again on the same ports and data.

    Parameters
    ----------
    folder
        Its configuration, log and data.
    port
        Where it listens on loopback; a free port if 0.
    encrypted
        Whether the listener that asks for credentials speaks TLS, with a certificate of its own making.
    """

    def __init__(self, folder: Path, port: int = 0, encrypted: bool = False) -> None:
        self.folder = folder
        self.ca = folder / "ca.pem"
        self.sasl_protocol = "SASL_SSL" if encrypted else "SASL_PLAINTEXT"
        free, *others = free_ports(3)
        self.servers, self.sasl_servers, controller = (f"127.0.0.1:{number}" for number in (port or free, *others))
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "log4j2.xml").write_text(_LOG)
        (folder / "server.properties").write_text(
            _CONFIGURATION.format(
                port=_port(self.servers),
                sasl_port=_port(self.sasl_servers),
                controller=_port(controller),
                protocol=self.sasl_protocol,
                listener=self.sasl_protocol.lower(),
                data=folder / "data",
                user=USER,
                # A quote for the login module's grammar, a backslash for the file's.
                password=PASSWORD.replace("\\", "\\\\").replace('"', '\\"').replace("\\", "\\\\"),
            )
            + (_TLS.format(folder=folder) if encrypted else "")
        )

    def start(self) -> None:
        """Start it and wait until it takes requests."""
        if not (self.folder / "data" / "meta.properties").exists():
            self._run("kafka.tools.StorageTool", "format", "-t", "lakeassetsLakeAssets11", "-c", self._configuration)
            if self.sasl_protocol == "SASL_SSL":
                self._make_certificate()
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self._command("kafka.Kafka", self._configuration),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C is for whoever started it, who then stops it.
                start_new_session=True,
            )
        end = time.monotonic() + _START
        while not self._takes_requests():
            if self._process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"Kafka does not start: {(self.folder / 'output').read_text()[-4000:]}")

    def _make_certificate(self) -> None:
        store = ["-alias", "broker", "-keystore", str(self.folder / "keys"), "-storepass", "of-the-tests"]
        name = ["-dname", "CN=127.0.0.1", "-ext", "san=ip:127.0.0.1", "-keyalg", "EC", "-validity", "1"]
        for arguments in (
            ["-genkeypair", "-storetype", "PKCS12", *name],
            ["-exportcert", "-rfc", "-file", str(self.ca)],
        ):
            subprocess.run([_java("keytool"), *arguments, *store], capture_output=True, timeout=_START, check=True)

    def _takes_requests(self) -> bool:
        """Ask, for a second at most; the client connects as soon as somebody listens."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        client = AdminClient(
            {
                "bootstrap.servers": self.servers,
                "log_level": 0,
                "reconnect.backoff.ms": 20,
                "reconnect.backoff.max.ms": 50,
            }
        )
        try:
            # A broker that is not yet in service is not among them.
            return bool(client.list_topics(timeout=1).brokers)
        except KafkaException:
            return False

    def stop(self) -> None:
        """Stop it, as an operator would; its data stay."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once, as a power failure would; its data stay."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(number)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(30)
        self._process = None

    def cluster(self, deadline: float = 30.0) -> KafkaCluster:
        """Return the client's side of it."""
        from lake_assets.kafka import Security
        from lake_assets.kafka.cluster import KafkaCluster

        return KafkaCluster(self.servers, Security(), deadline)

    def fresh_topic(self, partitions: int = 1, **config: str) -> str:
        """Make a topic with a name of its own; settings with ``_`` for their dots."""
        name = f"test-{uuid4().hex}"
        settings = {key.replace("_", "."): value for key, value in config.items()}
        self.cluster().create_topic(name, partitions, config=settings)
        return name

    def grow(self, topic: str, partitions: int) -> None:
        """Give a topic so many partitions in all."""
        from confluent_kafka.admin import (
            AdminClient,
            NewPartitions,  # pyright: ignore[reportPrivateImportUsage]  # documented there
        )

        client = AdminClient({"bootstrap.servers": self.servers})
        for grown in client.create_partitions([NewPartitions(topic, partitions)]).values():
            grown.result()

    @property
    def _configuration(self) -> str:
        return str(self.folder / "server.properties")

    def _command(self, *arguments: str) -> list[str]:
        return [
            _java(),
            "-Xms64m",
            "-Xmx256m",
            "-XX:+UseSerialGC",
            # Quicker to start; nobody measures this broker.
            "-XX:TieredStopAtLevel=1",
            f"-Dlog4j2.configurationFile={self.folder / 'log4j2.xml'}",
            "-cp",
            _class_path(),
            *arguments,
        ]

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(self._command(*arguments), capture_output=True, text=True, timeout=_START)
        if done.returncode:
            raise RuntimeError(f"{arguments[0]} failed: {(done.stdout + done.stderr)[-4000:]}")


def own_broker(encrypted: bool = False) -> KafkaBroker:
    """Return a broker for one test alone, not yet started; skips where there is none to be had."""
    try:
        check_java()
        _class_path()
    except (RuntimeError, JarsUnavailable) as error:
        unavailable(str(error))
    return KafkaBroker(Path(tempfile.mkdtemp(prefix="lake-assets-kafka-")), encrypted=encrypted)


def remove(broker: KafkaBroker) -> None:
    """End a broker and delete its data."""
    broker.kill()
    shutil.rmtree(broker.folder, ignore_errors=True)


def _java(program: str = "java") -> str:
    home = os.environ.get("JAVA_HOME")
    return str(Path(home) / "bin" / program) if home else program


def _class_path() -> str:
    """Return the broker's jars, and the Scala library, which Spark's resolver leaves out since pyspark ships it."""
    import pyspark

    folder = jars(SparkSettings.read().jars.expanduser(), BROKER)
    (scala,) = (Path(pyspark.__file__).parent / "jars").glob("scala-library-2.13.*.jar")
    return os.pathsep.join([f"{folder}/*", str(scala)])


def _port(server: str) -> str:
    return server.rpartition(":")[2]


def unavailable(reason: str) -> None:
    """Skip, or fail where servers are required."""
    if os.environ.get("REQUIRE_SERVICES"):
        pytest.fail(f"{reason}, and REQUIRE_SERVICES is set")
    pytest.skip(f"wants a real Kafka broker: {reason}")


def main() -> None:
    """Run a broker until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m lake_assets_tests.kafka_broker", description=main.__doc__)
    parser.add_argument("--port", type=int, default=9092, help="where it listens on loopback (9092)")
    parser.add_argument("--folder", type=Path, default=Path(".kafka"), help="where its data are (.kafka)")
    options = parser.parse_args()

    def end(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, end)
    try:
        check_java()
        broker = KafkaBroker(options.folder.absolute(), options.port)
    except RuntimeError as error:
        sys.exit(f"kafka: {error}")
    except OSError as error:
        sys.exit(f"kafka: port {options.port} or folder {options.folder} cannot be used: {error.strerror}")
    try:
        broker.start()
        print(f"Kafka is on {broker.servers}, its data in {options.folder}. Ctrl-C stops it.", flush=True)
        signal.pause()
    except (RuntimeError, JarsUnavailable) as error:
        sys.exit(f"kafka: {error}")
    except KeyboardInterrupt:
        pass
    finally:
        broker.stop()


if __name__ == "__main__":
    main()

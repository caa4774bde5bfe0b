"""The one place where `LAKE_ENV` picks the resources; assets and IO managers never ask which they run in.

Imports stand in the functions: the command line opens the stores here without loading Dagster.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_assets import settings
from lake_assets.kafka.security import MECHANISMS, PROTOCOLS, Security

if TYPE_CHECKING:
    from dagster import ExecutorDefinition

    from lake_assets.defs.stocks.source import StocksSourceResource
    from lake_assets.kafka.cluster import KafkaCluster
    from lake_assets.lake.embedded import EmbeddedLake
    from lake_assets.lake.lakefs import LakeFSLake
    from lake_assets.nosql.contract import NoSQLStore
    from lake_assets.resources.kafka import KafkaResource
    from lake_assets.resources.lake import LakeResource
    from lake_assets.resources.nosql import NoSQLResource
    from lake_assets.resources.outbox import OutboxResource
    from lake_assets.resources.spark import SparkResource


def lake_home() -> Path:
    """Return the folder of the embedded stores, absolute."""
    return Path(settings.LAKE_HOME.value).expanduser().absolute()


def has_server() -> bool:
    """Tell whether the environment in force is `services`; the embedded one needs none."""
    return settings.LAKE_ENV.choice("embedded", "services") == "services"


def lake_resource() -> LakeResource:
    """Return the lake of the environment in force."""
    from dagster import EnvVar

    from lake_assets.resources.lake import EmbeddedLake, LakeFS

    url = settings.DAGSTER_WEBSERVER_URL.value
    if not has_server():
        return EmbeddedLake(home=str(lake_home()), dagster_url=url)
    return LakeFS(
        endpoint=settings.LAKEFS_ENDPOINT.value,
        access_key_id=EnvVar(settings.LAKEFS_ACCESS_KEY_ID.name),
        secret_access_key=EnvVar(settings.LAKEFS_SECRET_ACCESS_KEY.name),
        repository=settings.LAKEFS_REPOSITORY.value,
        storage_namespace=settings.LAKEFS_STORAGE.value,
        deadline=settings.LAKEFS_DEADLINE.number(1, 3600),
        dagster_url=url,
    )


def nosql_resource() -> NoSQLResource:
    """Return the NoSQL store of the environment in force."""
    from lake_assets.resources.nosql import LMDBNoSQL

    return LMDBNoSQL(folder=str(nosql_home()))


def nosql_home() -> Path:
    """Return the folder of the embedded NoSQL store, absolute."""
    return lake_home() / "nosql"


def open_lake(*, any_format: bool = False) -> EmbeddedLake | LakeFSLake:
    """Open the lake of the environment in force, outside of Dagster; of another format than this program's if asked.

    Raises
    ------
    LakeError
        It cannot be opened.
    SettingError
        The server's credentials are not set.
    """
    if not has_server():
        from lake_assets.lake.embedded import EmbeddedLake

        return EmbeddedLake(lake_home(), any_format=any_format)
    from lake_assets.lake.lakefs import LakeFSLake

    return LakeFSLake(
        settings.LAKEFS_ENDPOINT.value,
        settings.LAKEFS_ACCESS_KEY_ID.given(),
        settings.LAKEFS_SECRET_ACCESS_KEY.given(),
        settings.LAKEFS_REPOSITORY.value,
        settings.LAKEFS_STORAGE.value,
        settings.LAKEFS_DEADLINE.number(1, 3600),
        any_format=any_format,
    )


def open_nosql(*, read_only: bool = False) -> NoSQLStore:
    """Open the NoSQL store of the environment in force, outside of Dagster; made where it is absent.

    Raises
    ------
    NoSQLError
        It cannot be opened.
    """
    from lake_assets.nosql.lmdb.store import LMDBStore

    folder = nosql_home()
    return LMDBStore(folder, read_only=read_only and (folder / "data.mdb").is_file())


def kafka_resource() -> KafkaResource:
    """Return how Kafka is reached; no server is asked before a cluster is used."""
    from dagster import EnvVar

    from lake_assets.resources.kafka import KafkaResource

    # An EnvVar that is not set is an error, and only SASL wants them.
    credentials = settings.KAFKA_SECURITY_PROTOCOL.value.startswith("SASL_")
    return KafkaResource(
        security_protocol=settings.KAFKA_SECURITY_PROTOCOL.choice(*PROTOCOLS),
        sasl_mechanism=settings.KAFKA_SASL_MECHANISM.choice(*MECHANISMS),
        sasl_username=EnvVar(settings.KAFKA_SASL_USERNAME.name) if credentials else "",
        sasl_password=EnvVar(settings.KAFKA_SASL_PASSWORD.name) if credentials else "",
        ssl_ca=settings.KAFKA_SSL_CA.value,
        deadline=settings.KAFKA_DEADLINE.number(1, 3600),
    )


def open_kafka(servers: str) -> KafkaCluster:
    """Return a Kafka cluster by its bootstrap servers, outside of Dagster; nothing is connected to yet.

    Raises
    ------
    SettingError
        The credentials that the protocol asks for are not set.
    """
    from lake_assets.kafka.cluster import KafkaCluster

    protocol = settings.KAFKA_SECURITY_PROTOCOL.choice(*PROTOCOLS)
    credentials = protocol.startswith("SASL_")
    security = Security(
        protocol,
        settings.KAFKA_SASL_MECHANISM.choice(*MECHANISMS),
        settings.KAFKA_SASL_USERNAME.given() if credentials else "",
        settings.KAFKA_SASL_PASSWORD.given() if credentials else "",
        settings.KAFKA_SSL_CA.value,
    )
    return KafkaCluster(servers, security, settings.KAFKA_DEADLINE.number(1, 3600))


def stream_home() -> Path:
    """Return the folder where checkpoints of streams are worked on, absolute."""
    return Path(settings.STREAM_HOME.value or lake_home() / "streams").expanduser().absolute()


def words_outbox_address() -> str:
    """Return where published word counts are delivered: a topic's address, or the path of a file."""
    address = settings.WORDS_SINK.value
    if not address and has_server():
        return f"kafka://{settings.KAFKA_SERVERS.value}/testConsumer"
    if "://" in address:
        return address
    return str(Path(address or lake_home() / "words" / "testConsumer.jsonl").expanduser().absolute())


def words_outbox_resource(kafka: KafkaResource) -> OutboxResource:
    """Return what delivers published word counts; nothing is opened before it is used."""
    from lake_assets.resources.outbox import OutboxResource

    return OutboxResource(address=words_outbox_address(), kafka=kafka)


def stocks_source_resource() -> StocksSourceResource:
    """Return where the stock files come from."""
    from lake_assets.defs.stocks.source import S3Settings, StocksSourceResource

    return StocksSourceResource(
        source=settings.STOCKS_SOURCE.value,
        generator_rows=int(settings.STOCKS_ROWS.number(0, 1e9)),
        s3=S3Settings(endpoint_url=settings.S3_ENDPOINT_URL.value or None),
    )


def spark_resource(lake: LakeResource | None = None, *, kafka: bool = False) -> SparkResource:
    """Return the compute.

    Parameters
    ----------
    lake
        The lake that it reads and writes; None where it touches no data of a lake.
    kafka
        Whether it is to reach Kafka though WORDS_SOURCE is not a topic.
    """
    from lake_assets.resources.spark import SparkResource

    return SparkResource(
        master=settings.SPARK_MASTER.value,
        conf={"spark.driver.memory": settings.SPARK_DRIVER_MEMORY.value},
        lake=lake,
        kafka=kafka or settings.WORDS_SOURCE.value.startswith("kafka:"),
        jars=settings.SPARK_JARS.value,
    )


def resources(spark: SparkResource | None = None) -> dict[str, Any]:
    """Return every resource by its key; ``spark`` takes the place of the environment's compute."""
    from lake_assets.io_managers.nosql import NoSQLIOManager
    from lake_assets.io_managers.parquet import ParquetIOManager
    from lake_assets.io_managers.raw_file import RawFileIOManager
    from lake_assets.io_managers.stream import StreamIOManager
    from lake_assets.resources.lake import SnapshotResource

    lake = lake_resource()
    nosql = nosql_resource()
    kafka = kafka_resource()
    spark = spark or spark_resource(lake)
    return {
        "lake": lake,
        "snapshot": SnapshotResource(),
        "nosql": nosql,
        "kafka": kafka,
        "words_outbox": words_outbox_resource(kafka),
        "spark": spark,
        "stocks_source": stocks_source_resource(),
        "lake_file_io_manager": RawFileIOManager(lake=lake, spark=spark),
        "parquet_io_manager": ParquetIOManager(lake=lake, spark=spark),
        "stream_io_manager": StreamIOManager(lake=lake, spark=spark, home=str(stream_home())),
        "nosql_io_manager": NoSQLIOManager(nosql=nosql, spark=spark),
    }


def executor() -> ExecutorDefinition:
    """Return the executor of runs: by default this process, since a Spark session costs seconds to start."""
    from dagster import in_process_executor, multiprocess_executor

    name = settings.LAKE_EXECUTOR.choice("in_process", "multiprocess")
    return in_process_executor if name == "in_process" else multiprocess_executor

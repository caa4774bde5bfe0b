"""The resources of each environment. Only this module reads `LAKE_ENV`; assets and IO managers do not depend on it.

Imports are inside the functions, so that the command line can open the stores without loading Dagster.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from lake_assets import domains
from lake_assets.kafka.security import Security
from lake_assets.settings import (
    DagsterSettings,
    DynamoDBSettings,
    KafkaSettings,
    LakeFSSettings,
    LakeSettings,
    SourceSettings,
    SparkSettings,
)

if TYPE_CHECKING:
    from dagster import ExecutorDefinition

    from lake_assets.kafka.cluster import KafkaCluster
    from lake_assets.lake.contract import Lake
    from lake_assets.nosql.contract import NoSQLStore
    from lake_assets.resources.kafka import KafkaResource
    from lake_assets.resources.lake import LakeResource
    from lake_assets.resources.nosql import NoSQLResource
    from lake_assets.resources.s3 import S3Settings
    from lake_assets.resources.spark import SparkResource


def lake_home() -> Path:
    """Return the absolute path of the folder of the embedded stores."""
    return LakeSettings.read().home.expanduser().absolute()


def has_server() -> bool:
    """Tell whether the current environment is `services`. The embedded environment needs no server."""
    return LakeSettings.read().env == "services"


def lake_resource() -> LakeResource:
    """Return the lake of the current environment."""
    from dagster import EnvVar

    from lake_assets.resources.lake import EmbeddedLake, LakeFS

    url, branch = DagsterSettings.read().webserver_url, LakeSettings.read().branch
    if not has_server():
        return EmbeddedLake(home=str(lake_home()), dagster_url=url, branch=branch)
    lakefs = LakeFSSettings.read()
    return LakeFS(
        endpoint=lakefs.endpoint,
        access_key_id=EnvVar("LAKEFS_ACCESS_KEY_ID"),
        secret_access_key=EnvVar("LAKEFS_SECRET_ACCESS_KEY"),
        repository=lakefs.repository,
        storage_namespace=lakefs.storage,
        deadline=lakefs.deadline,
        commit_metadata=lakefs.commit_metadata,
        dagster_url=url,
        branch=branch,
    )


def nosql_resource() -> NoSQLResource:
    """Return the NoSQL store of the current environment."""
    from lake_assets.resources.nosql import DynamoDBNoSQL, LMDBNoSQL

    settings = LakeSettings.read()
    if on_dynamodb():
        server = DynamoDBSettings.read()
        return DynamoDBNoSQL(
            prefix=server.prefix,
            endpoint_url=server.endpoint or None,
            writes_per_second=server.writes_per_second,
            tags=server.tags,
            branch=settings.branch,
            on_branches=settings.branch_sinks,
        )
    return LMDBNoSQL(folder=str(nosql_home()), branch=settings.branch, on_branches=settings.branch_sinks)


def on_dynamodb() -> bool:
    """Tell whether the tables of the current environment are in DynamoDB. Otherwise they are in a local folder."""
    choice = LakeSettings.read().nosql
    return choice == "dynamodb" or (choice == "auto" and has_server())


def nosql_home() -> Path:
    """Return the absolute path of the embedded NoSQL store."""
    return lake_home() / "nosql"


def open_lake(*, any_format: bool = False, create: bool = True) -> Lake:
    """Open the lake of the current environment, outside of Dagster.

    Parameters
    ----------
    any_format
        Also open a lake of another format, in order to migrate it.
    create
        Make the lake if it is missing.

    Raises
    ------
    LakeError
        The lake cannot be opened, or is missing.
    SettingError
        The server's credentials are not set.
    """
    from lake_assets.lake.backends import open_lake

    if not has_server():
        return open_lake("embedded", home=lake_home(), any_format=any_format, create=create)
    lakefs = LakeFSSettings.read()
    return open_lake(
        "lakefs",
        endpoint=lakefs.endpoint,
        access_key=lakefs.require("access_key_id"),
        secret_key=lakefs.require("secret_access_key"),
        repository=lakefs.repository,
        storage_namespace=lakefs.storage,
        deadline=lakefs.deadline,
        any_format=any_format,
        create=create,
        commit_metadata=lakefs.commit_metadata,
    )


def open_nosql(*, read_only: bool = False) -> NoSQLStore:
    """Open the NoSQL store of the current environment, outside of Dagster. It is created if it is missing.

    Parameters
    ----------
    read_only
        Whether the caller only reads. A missing store is created all the same.

    Raises
    ------
    NoSQLError
        The store cannot be opened.
    """
    if on_dynamodb():
        from lake_assets.nosql.dynamodb.store import DynamoDBStore

        server = DynamoDBSettings.read()
        return DynamoDBStore(
            server.prefix,
            endpoint_url=server.endpoint or None,
            writes_per_second=server.writes_per_second or None,
            tags=server.tags,
            read_only=read_only,
        )
    from lake_assets.nosql.lmdb.store import LMDBStore

    folder = nosql_home()
    return LMDBStore(folder, read_only=read_only and (folder / "data.mdb").is_file())


def kafka_resource() -> KafkaResource:
    """Return the connection settings of Kafka. Nothing is connected yet."""
    from dagster import EnvVar

    from lake_assets.resources.kafka import KafkaResource

    kafka = KafkaSettings.read()
    # An EnvVar must be set, and only SASL needs these.
    credentials = kafka.security_protocol.startswith("SASL_")
    return KafkaResource(
        security_protocol=kafka.security_protocol,
        sasl_mechanism=kafka.sasl_mechanism,
        sasl_username=EnvVar("KAFKA_SASL_USERNAME") if credentials else "",
        sasl_password=EnvVar("KAFKA_SASL_PASSWORD") if credentials else "",
        ssl_ca=kafka.ssl_ca,
        deadline=kafka.deadline,
    )


def open_kafka(servers: str) -> KafkaCluster:
    """Return a Kafka cluster, outside of Dagster. Nothing is connected yet.

    Parameters
    ----------
    servers
        Bootstrap servers: ``host:port[,host:port]``.

    Raises
    ------
    SettingError
        The protocol needs credentials, and they are not set.
    """
    from lake_assets.kafka.cluster import KafkaCluster

    kafka = KafkaSettings.read()
    credentials = kafka.security_protocol.startswith("SASL_")
    security = Security(
        kafka.security_protocol,
        kafka.sasl_mechanism,
        kafka.require("sasl_username") if credentials else "",
        kafka.require("sasl_password") if credentials else "",
        kafka.ssl_ca,
    )
    return KafkaCluster(servers, security, kafka.deadline)


def stream_home() -> Path:
    """Return the absolute path of the folder for checkpoints of streams during a run."""
    return (SparkSettings.read().stream_home or lake_home() / "streams").expanduser().absolute()


def _working_home() -> str:
    """Return the folder for checkpoints of runs; empty on a cluster that has no folder for them, but lakeFS."""
    spark = SparkSettings.read()
    return "" if spark.on_cluster and spark.stream_home is None and has_server() else str(stream_home())


def s3_settings() -> S3Settings:
    """Return the connection settings of S3 sources."""
    from lake_assets.resources.s3 import S3Settings

    return S3Settings(endpoint_url=SourceSettings.read().s3_endpoint_url or None)


def spark_resource(lake: LakeResource | None = None, *, kafka: bool = False, s3: bool = False) -> SparkResource:
    """Return the Spark resource.

    Parameters
    ----------
    lake
        The lake that Spark reads and writes. None if it uses no lake.
    kafka, s3
        Whether to add the connector of Kafka, or of S3, even if no domain needs it.
    """
    from dagster import EnvVar

    from lake_assets.resources.spark import SparkResource

    spark = SparkSettings.read()
    return SparkResource(
        master=spark.master,
        conf={"spark.driver.memory": spark.driver_memory},
        # An EnvVar must be set. Dagster's page shows only its name.
        conf_lines=EnvVar("SPARK_CONF") if spark.conf.get_secret_value() else "",
        lake=lake,
        kafka=kafka or domains.spark_reads_kafka(),
        s3=s3 or domains.spark_reads_s3(),
        jars=str(spark.jars),
    )


def resources(spark: SparkResource | None = None) -> dict[str, Any]:
    """Return all resources by key, including those of the domains.

    Parameters
    ----------
    spark
        Replaces the environment's Spark resource.
    """
    from lake_assets.io_managers.incremental import IncrementalIOManager
    from lake_assets.io_managers.nosql import NoSQLIOManager
    from lake_assets.io_managers.parquet import ParquetIOManager
    from lake_assets.io_managers.profile import ProfileIOManager
    from lake_assets.io_managers.raw_file import RawFileIOManager
    from lake_assets.io_managers.stream import StreamIOManager
    from lake_assets.resources.compute import ComputeResource
    from lake_assets.resources.lake import SnapshotResource

    lake = lake_resource()
    nosql = nosql_resource()
    spark = spark or spark_resource(lake)
    settings = LakeSettings.read()
    shared = {
        "lake": lake,
        "snapshot": SnapshotResource(),
        "nosql": nosql,
        "kafka": kafka_resource(),
        "spark": spark,
        "compute": ComputeResource(engine=settings.engine, local_bytes=settings.local_bytes, spark=spark),
        "lake_file_io_manager": RawFileIOManager(lake=lake, spark=spark),
        "parquet_io_manager": ParquetIOManager(lake=lake, spark=spark),
        "incremental_io_manager": IncrementalIOManager(lake=lake, spark=spark),
        "profile_io_manager": ProfileIOManager(lake=lake, spark=spark),
        "stream_io_manager": StreamIOManager(lake=lake, spark=spark, home=_working_home()),
        "nosql_io_manager": NoSQLIOManager(nosql=nosql, lake=lake, spark=spark),
    }
    return domains.resources(shared)


def executor() -> ExecutorDefinition:
    """Return the executor of runs. The default is in-process, since starting a Spark session takes seconds."""
    from dagster import in_process_executor, multiprocess_executor

    return in_process_executor if LakeSettings.read().executor == "in_process" else multiprocess_executor

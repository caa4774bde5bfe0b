"""The assets of group `users`: batches of users, the same without personal data, and their publication."""

# No postponed annotations here: Dagster reads them when the decorators run.

from typing import Any

from dagster import AssetExecutionContext, AssetOut, Failure, MetadataValue, asset, multi_asset

from lake_assets import environments
from lake_assets.defs.users.config import UsersConfig, WithoutPiiConfig
from lake_assets.defs.users.partitions import BATCHES, BATCHES_NAME, one_frame
from lake_assets.defs.users.schema import COLUMNS, PERSONAL, PII, table_schema
from lake_assets.defs.users.settings import UsersSettings
from lake_assets.defs.users.source import UsersSourceError, open_source
from lake_assets.lake.errors import PathNotFound
from lake_assets.lake.names import join
from lake_assets.layout.partitions import folders
from lake_assets.resources.lake import LakeResource
from lake_assets.resources.spark import SparkResource
from lake_assets.runs.asset_metadata import COLUMN_SCHEMA, PERSONAL_COLUMNS, PREVIEW
from lake_assets.runs.branch import read_ref
from lake_assets.runs.publishing import published_asset
from lake_assets.settings import SourceSettings

GROUP = "users"
OWNERS = ["team:data-platform"]


# Its op cannot be called `users`: that is the job.
@multi_asset(
    name="read_users",
    group_name=GROUP,
    partitions_def=BATCHES,
    outs={
        "users": AssetOut(
            io_manager_key="parquet_io_manager",
            description="Users as in the source, including personal data. Each batch is one file of the source.",
            kinds={"parquet", "spark", "lake"},
            owners=OWNERS,
            tags={"layer": "raw", "pii": "true"},
            code_version="1",
            metadata={COLUMN_SCHEMA: table_schema(), PREVIEW: False, PERSONAL_COLUMNS: list(PERSONAL)},
        )
    },
)
def read_users(context: AssetExecutionContext, config: UsersConfig, spark: SparkResource) -> Any:
    """Open the files of batches."""
    keys = [context.partition_key] if context.has_partition_key else context.partition_keys
    try:
        source = open_source(
            config.source or UsersSettings.read().source,
            s3=environments.s3_settings().client,
            links_outside=SourceSettings.read().links_outside,
        )
        batches = {key: source.read(spark.session, key) for key in keys}
    except UsersSourceError as error:
        # A retry cannot help.
        raise Failure(str(error), allow_retries=False) from error
    # `dagster job execute` accepts a batch that is not registered, and its later steps would not find it.
    context.instance.add_dynamic_partitions(BATCHES_NAME, keys)
    for key in keys:
        url = MetadataValue.url(source.url(key))
        context.add_asset_metadata({"source": url}, asset_key="users", partition_key=key)
    return one_frame(batches)


@asset(
    group_name=GROUP,
    partitions_def=BATCHES,
    deps=["users"],
    io_manager_key="parquet_io_manager",
    kinds={"parquet", "spark", "lake"},
    owners=OWNERS,
    tags={"layer": "refined", "pii": "false"},
    code_version="1",
    metadata={COLUMN_SCHEMA: table_schema(without=PII), PERSONAL_COLUMNS: list(PERSONAL)},
)
def users_without_pii(
    context: AssetExecutionContext, config: WithoutPiiConfig, lake: LakeResource, spark: SparkResource
) -> Any:
    """Users without personal data: by default without IP address, birthdate, salary and e-mail."""
    names = [column.name for column in COLUMNS]
    unknown = [name for name in config.columns if name not in names]
    if unknown:
        raise Failure(
            f"users has no column {', '.join(map(repr, unknown))} to drop; its columns are {', '.join(names)}",
            allow_retries=False,
        )
    if set(config.columns) == set(names):
        raise Failure("All columns of users would be dropped: keep at least one", allow_retries=False)
    # Not an input, since its annotation would import pyspark with the definitions.
    ref = read_ref(lake.lake, context.instance, context.run)
    batches: dict[str, Any] = {}
    for key, place in folders(BATCHES, context.partition_keys).items():
        try:
            snapshot = lake.lake.path(ref, join("users", place))
        except PathNotFound as error:
            raise Failure(f"users has no batch {key!r} yet: materialize it first ({error})") from error
        batches[key] = spark.session.read.parquet(snapshot.uri)
    return one_frame(batches).drop(*config.columns)


users_published = published_asset(GROUP, [read_users, users_without_pii], owners=OWNERS)

"""The assets of group `users`: batches of users, the same without personal data, and their publication."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Iterator, Sequence

from dagster import AssetExecutionContext, AssetOut, Failure, MetadataValue, Output, asset, multi_asset

from lake_assets import environments
from lake_assets.compute.frame import TaskFrame
from lake_assets.compute.parts import Task
from lake_assets.defs.users.batch_files import UsersSourceError
from lake_assets.defs.users.batches import stored_tasks
from lake_assets.defs.users.config import UsersConfig, WithoutPiiConfig
from lake_assets.defs.users.partitions import BATCHES, BATCHES_NAME
from lake_assets.defs.users.schema import COLUMNS, PERSONAL, PII, arrow_schema, table_schema
from lake_assets.defs.users.settings import UsersSettings
from lake_assets.defs.users.source import open_source
from lake_assets.lake.errors import PathNotFound
from lake_assets.lake.names import join
from lake_assets.layout.partitions import folders
from lake_assets.resources.compute import ComputeResource
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.asset_metadata import COLUMN_SCHEMA, PERSONAL_COLUMNS, PREVIEW
from lake_assets.runs.branch import read_ref
from lake_assets.runs.partitions import partitions_of
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
            kinds={"parquet", "lake"},
            owners=OWNERS,
            tags={"layer": "raw", "pii": "true"},
            code_version="1",
            metadata={COLUMN_SCHEMA: table_schema(), PREVIEW: False, PERSONAL_COLUMNS: list(PERSONAL)},
        )
    },
)
def read_users(
    context: AssetExecutionContext, config: UsersConfig, compute: ComputeResource, lake: LakeResource
) -> Iterator[Output[TaskFrame]]:
    """Read the files of batches."""
    keys = partitions_of(context)
    with lake.scratch() as folder:
        try:
            source = open_source(
                config.source or UsersSettings.read().source,
                s3=environments.s3_settings().client,
                links_outside=SourceSettings.read().links_outside,
            )
            tasks = {key: source.read(key, folder) for key in keys}
        except UsersSourceError as error:
            # A retry cannot help.
            raise Failure(str(error), allow_retries=False) from error
        # `dagster job execute` accepts a batch that is not registered, and its later steps would not find it.
        context.instance.add_dynamic_partitions(BATCHES_NAME, keys)
        for key in keys:
            url = MetadataValue.url(source.url(key))
            context.add_asset_metadata({"source": url}, asset_key="users", partition_key=key)
        # Yielded, not returned: the IO manager reads the files while the scratch folder still exists.
        yield Output(TaskFrame(arrow_schema(), tasks, compute.executor), "users")


@asset(
    group_name=GROUP,
    partitions_def=BATCHES,
    deps=["users"],
    io_manager_key="parquet_io_manager",
    kinds={"parquet", "lake"},
    owners=OWNERS,
    tags={"layer": "refined", "pii": "false"},
    code_version="1",
    metadata={COLUMN_SCHEMA: table_schema(without=PII), PERSONAL_COLUMNS: list(PERSONAL)},
)
def users_without_pii(
    context: AssetExecutionContext, config: WithoutPiiConfig, lake: LakeResource, compute: ComputeResource
) -> TaskFrame:
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
    # Not an input, since a batch is read and written part by part.
    ref = read_ref(lake.lake, context.instance, context.run)
    tasks: dict[str, Sequence[Task]] = {}
    for key, place in folders(BATCHES, partitions_of(context)).items():
        try:
            snapshot = lake.lake.path(ref, join("users", place))
        except PathNotFound as error:
            raise Failure(f"users has no batch {key!r} yet: materialize it first ({error})") from error
        tasks[key] = stored_tasks(snapshot, [name for name in names if name not in config.columns])
    return TaskFrame(arrow_schema(without=config.columns), tasks, compute.executor)


users_published = published_asset(GROUP, [read_users, users_without_pii], profiles=["users_profile"], owners=OWNERS)

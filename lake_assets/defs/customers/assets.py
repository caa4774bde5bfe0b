"""The assets of group `customers`: a table of a database in the lake, its publication, and the table by key."""

# No postponed annotations here: Dagster reads them when the decorators run.

from datetime import timedelta
from typing import TYPE_CHECKING

from dagster import AssetExecutionContext, asset

from lake_assets import environments
from lake_assets.defs.customers.sample import sample_database
from lake_assets.defs.customers.settings import CustomersSettings
from lake_assets.from_database.assets import table_from_database
from lake_assets.io_managers.by_difference import rows_at, update_by_difference
from lake_assets.io_managers.nosql import KEY, MODE, SHOWS, TableUpdate
from lake_assets.lake.contract import Lake
from lake_assets.quality.constraints import Complete, Unique
from lake_assets.quality_assets.checks import constraint_checks
from lake_assets.resources.lake import LakeResource
from lake_assets.resources.nosql import NoSQLResource
from lake_assets.runs.asset_metadata import PERSONAL_COLUMNS
from lake_assets.runs.publishing import published_asset

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

GROUP = "customers"
OWNERS = ["team:data-platform"]
ASSET = "customers"
CURSOR = "updated_at"


def database() -> str:
    """Return the address of the database."""
    address = CustomersSettings.read().database.get_secret_value()
    return address or sample_database(environments.lake_home() / "customers")


_settings = CustomersSettings.read()

customers = table_from_database(
    ASSET,
    url=database,
    table=_settings.table,
    key="id",
    cursor=CURSOR,
    overlap=timedelta(minutes=_settings.overlap_minutes),
    group_name=GROUP,
    owners=OWNERS,
    tags={"layer": "raw"},
    code_version="1",
    metadata={PERSONAL_COLUMNS: ["name"]},
)

customers_audit = constraint_checks(ASSET, [Complete(column="id"), Unique(columns=["id"])], personal=["name"])

customers_published = published_asset(GROUP, [customers], owners=OWNERS)


def shown(connection: "DuckDBPyConnection", lake: Lake, commit: str) -> "DuckDBPyRelation":
    """Return what the table shows of a commit: all customers.

    Parameters
    ----------
    connection, lake, commit
        Where the rows are.
    """
    rows = rows_at(connection, lake, commit, ASSET)
    return rows if rows is not None else connection.sql("SELECT 0::BIGINT AS id WHERE false")


@asset(
    group_name=GROUP,
    deps=["customers_published", ASSET],
    io_manager_key="nosql_io_manager",
    kinds={"table"},
    owners=OWNERS,
    tags={"layer": "sink"},
    code_version="1",
    metadata={
        KEY: "id",
        MODE: "append",
        SHOWS: "lake_assets.defs.customers.assets:shown",
        PERSONAL_COLUMNS: ["name"],
    },
)
def customers_table(context: AssetExecutionContext, lake: LakeResource, nosql: NoSQLResource) -> TableUpdate:
    """Customers by id. This sink is fed only from published commits, by the rows that changed."""
    from_commit = nosql.reflected_commit(context.asset_key)
    # The head is read after the table's commit, so that it is never behind it.
    to_commit = lake.lake.head(lake.target).id
    if nosql.off:
        return TableUpdate(None, to_commit, "off")
    update = update_by_difference(lake.lake, ASSET, from_commit, to_commit=to_commit, shown=shown, key=["id"])
    context.log.info("customers_table: %s", update.describe())
    return update

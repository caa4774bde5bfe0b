"""A factory of sensors that request a run when a database has changed."""

# No postponed annotations here: Dagster reads them when the decorators run.

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from datetime import datetime, timedelta, timezone

from dagster import (
    AssetKey,
    DagsterInstance,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunRequest,
    RunsFilter,
    SensorDefinition,
    SensorEvaluationContext,
    SensorResult,
    SkipReason,
    sensor,
)

from lake_assets.databases.contract import Database, DatabaseError, Selection
from lake_assets.databases.opening import open_database
from lake_assets.databases.reading import Reading, is_beyond
from lake_assets.frames.increment import State, read_state
from lake_assets.from_database.naming import VERSION, Address, address_of, op_of, pool_of
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.branch import head_of
from lake_assets.runs.lock import in_flight
from lake_assets.runs.sinks import Requested

_FULL = "database/full"
"""Tag of a run that is to read all rows: the asset."""


def database_sensor(
    name: str | Sequence[str],
    *,
    job: str,
    url: Address,
    table: str = "",
    query: str = "",
    cursor: str = "",
    full_after: timedelta | None = timedelta(days=1),
) -> SensorDefinition:
    """Return a sensor that requests a run when a database has changed since an asset of it was read.

    It reads no rows. Of a table it compares what the database counts for it: PostgreSQL the changed rows, MariaDB the
    time of the last change, and SQLite its files. Of all it compares the highest value of the cursor with that of the
    published rows. What neither shows, such as deleted rows, is found by a read of all rows once in a while.

    Parameters
    ----------
    name
        Key of the asset.
    job
        Name of the job that materializes the asset.
    url, table, query, cursor
        As of :func:`table_from_database`.
    full_after
        How long after the last request for a read of all rows the next one is requested. None for never.

    Examples
    --------
    >>> customers_changed = database_sensor(
    ...     "customers", job="customers", url=EnvVar("CUSTOMERS_DATABASE"), table="customers", cursor="updated_at"
    ... )
    """
    asset_key = AssetKey.from_coercible([name] if isinstance(name, str) else list(name))
    reading = Reading(selection=Selection(table, query), cursor=cursor)
    label = asset_key.to_user_string()

    @sensor(
        name=f"{'__'.join(asset_key.path)}_changed",
        job_name=job,
        minimum_interval_seconds=30,
        default_status=DefaultSensorStatus.STOPPED,
        description=f"Requests a run when the database of `{label}` has changed; never while another one goes on.",
    )
    def evaluate(context: SensorEvaluationContext, lake: LakeResource) -> SensorResult | SkipReason:
        if run := in_flight(context.instance, pool_of(asset_key)):
            return SkipReason(f"Run {run} goes on: one run reads the database at a time.")
        state = read_state(lake.lake, head_of(lake.lake, lake.branch).id, prefix_of(asset_key))
        read_by, known = _last_read(context.instance, asset_key)
        try:
            with closing(open_database(address_of(url))) as database:
                version = database.version(reading.selection)
                why = _news(database, reading, state, version != known)
        except DatabaseError as error:
            return SkipReason(f"{error}. The next tick tries again.")
        tags = {_FULL: label}
        full = why is None and full_after is not None and _is_due(context.instance, tags, full_after)
        if why is None and not full:
            return SkipReason(f"{database.address} has not changed since it was read.")
        why = why or "it is time to read all rows"
        # A run that succeeds begins anew, whether it found a changed row or not.
        last = json.dumps([read_by, state.position if state is not None else None], sort_keys=True)
        asked = Requested.read(context.cursor, hashlib.sha256(last.encode()).hexdigest())
        if left := asked.pause():
            return SkipReason(f"{why}, but {asked.times} run(s) failed since: see why. The next in {left:.0f} s.")
        context.log.info("%s", why)
        config = {"ops": {op_of(asset_key): {"config": {"full": True}}}} if full else {}
        # No run key, since after a failed run another one may be requested for the same change.
        return SensorResult([RunRequest(run_config=config, tags=tags if full else {})], cursor=asked.again())

    return evaluate


def _news(database: Database, reading: Reading, state: State | None, changed: bool) -> str | None:
    """Return why a database must be read again; None if nothing tells so."""
    if state is None or not reading.is_of(database.address, state.position):
        return f"nothing of {database.address} is published"
    if reading.continues(database.address, state.position) and is_beyond(database, reading, state.position):
        return f"{reading.cursor} is beyond {state.position['mark']}"
    return f"{database.address} has changed" if changed else None


def _last_read(instance: DagsterInstance, key: AssetKey) -> tuple[str, str]:
    """Return the newest run that read a database, and the version that it read. Empty if it did not succeed."""
    event = instance.get_latest_materialization_event(key)
    run = instance.get_run_by_id(event.run_id) if event is not None else None
    made = event.asset_materialization if event is not None else None
    if made is None or run is None or run.status != DagsterRunStatus.SUCCESS:
        return "", ""
    return run.run_id, str(made.metadata[VERSION].value) if VERSION in made.metadata else ""


def _is_due(instance: DagsterInstance, tags: Mapping[str, str], after: timedelta) -> bool:
    last = instance.get_run_records(RunsFilter(tags=dict(tags)), limit=1)
    return not last or datetime.now(timezone.utc) - last[0].create_timestamp >= after

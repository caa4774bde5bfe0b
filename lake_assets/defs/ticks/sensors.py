"""The sensor of ticks: it requests a run while there are messages that `main` does not hold."""

# No postponed annotations here: Dagster reads them when the decorators run.

import hashlib
import json

from dagster import DefaultSensorStatus, RunRequest, SensorEvaluationContext, SensorResult, SkipReason, sensor

from lake_assets.defs.ticks.assets import POOL
from lake_assets.defs.ticks.jobs import ticks
from lake_assets.defs.ticks.source import open_ticks
from lake_assets.frames.increment import read_state
from lake_assets.messages.contract import MessagesError
from lake_assets.resources.kafka import KafkaResource
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.branch import head_of
from lake_assets.runs.lock import in_flight
from lake_assets.runs.sinks import Requested


@sensor(
    job=ticks,
    minimum_interval_seconds=10,
    default_status=DefaultSensorStatus.STOPPED,
    description="Requests a run when TICKS_SOURCE has unpublished messages; never while another one goes on.",
)
def new_ticks(context: SensorEvaluationContext, lake: LakeResource, kafka: KafkaResource) -> SensorResult | SkipReason:
    """Compare the end of the source with the position that is published."""
    if run := in_flight(context.instance, POOL):
        return SkipReason(f"Run {run} goes on: one run reads the stream at a time.")
    head = head_of(lake.lake, lake.branch)
    state = read_state(lake.lake, head.id, "ticks")
    position = state.position if state is not None else {}
    try:
        with open_ticks(kafka) as reader:
            waiting = reader.backlog(position)
    except MessagesError as error:
        return SkipReason(f"{error}. The next tick tries again.")
    if not waiting:
        return SkipReason(f"{reader.name} has no new messages.")
    asked = Requested.read(context.cursor, hashlib.sha256(json.dumps(position, sort_keys=True).encode()).hexdigest())
    if left := asked.pause():
        told = f"{reader.name} has new messages, which the run requested for them did not publish: see why"
        return SkipReason(f"{told}. Next in {left:.0f} s.")
    return SensorResult([RunRequest()], cursor=asked.again())

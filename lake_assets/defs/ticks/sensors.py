"""The sensor of ticks: it requests a run while there are messages that `main` does not hold."""

# No postponed annotations here: Dagster reads them when the decorators run.

from dagster import DefaultSensorStatus, RunRequest, SensorEvaluationContext, SkipReason, sensor

from lake_assets.defs.ticks.jobs import ticks
from lake_assets.defs.ticks.source import open_ticks
from lake_assets.frames.increment import read_state
from lake_assets.messages.contract import MessagesError
from lake_assets.resources.kafka import KafkaResource
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.branch import head_of
from lake_assets.runs.lock import is_alive, unfinished_runs


@sensor(
    job=ticks,
    minimum_interval_seconds=10,
    default_status=DefaultSensorStatus.STOPPED,
    description="Requests a run when TICKS_SOURCE has unpublished messages; never while another one goes on.",
)
def new_ticks(context: SensorEvaluationContext, lake: LakeResource, kafka: KafkaResource) -> RunRequest | SkipReason:
    """Compare the end of the source with the position that is published."""
    if any(run.job_name == ticks.name and is_alive(context.instance, run) for run in unfinished_runs(context.instance)):
        return SkipReason("A run is under way.")
    head = head_of(lake.lake, lake.branch)
    state = read_state(lake.lake, head.id, "ticks")
    try:
        with open_ticks(kafka) as reader:
            waiting = reader.backlog(state.position if state is not None else {})
    except MessagesError as error:
        return SkipReason(f"{error}. The next tick tries again.")
    if not waiting:
        return SkipReason(f"{reader.name} has no new messages.")
    return RunRequest()

"""Where the batch work of a run is done, as a Dagster resource."""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

from typing import Literal

from dagster import ConfigurableResource, ResourceDependency
from pydantic import Field

from lake_assets.compute.executors import Executor, LocalExecutor
from lake_assets.resources.spark import SparkResource, session_of

Engine = Literal["auto", "local", "spark"]


class ComputeResource(ConfigurableResource["ComputeResource"]):
    """Chooses the executor of batch work: this process, or Spark's workers.

    Parameters
    ----------
    engine
        ``auto`` is this process, unless Spark's master is a cluster and the input exceeds ``local_bytes``.
    local_bytes
        The size of the largest input that ``auto`` leaves to this process.
    spark
        Provides the Spark session. It is started only if Spark is chosen.
    """

    engine: Engine = Field(default="auto", description="auto, local or spark")
    local_bytes: int = Field(
        default=2 << 30, ge=0, description="Largest input that auto leaves to this process, in bytes"
    )
    spark: ResourceDependency[SparkResource | None] = None  # pyright: ignore[reportAssignmentType]

    def executor(self, size: int) -> Executor:
        """Return the executor for an input.

        Parameters
        ----------
        size
            Size of the input, in bytes.

        Raises
        ------
        RuntimeError
            Spark is chosen, and there is no Spark resource, or no suitable Java.
        """
        on_cluster = self.spark is not None and not self.spark.master.startswith("local")
        if self.engine == "local" or (self.engine == "auto" and not (on_cluster and size > self.local_bytes)):
            return LocalExecutor()
        from lake_assets.compute.spark import SparkExecutor

        return SparkExecutor(session_of(self.spark))

"""Where the batch work of a run is done, as a Dagster resource."""

# No postponed annotations here: Dagster reads the fields when the class is made.

from dagster import ConfigurableResource

from lake_assets.compute.executors import Executor, LocalExecutor


class ComputeResource(ConfigurableResource["ComputeResource"]):
    """Chooses the executor of batch work."""

    def executor(self, size: int) -> Executor:
        """Return the executor for an input.

        Parameters
        ----------
        size
            Size of the input, in bytes.
        """
        del size
        return LocalExecutor()

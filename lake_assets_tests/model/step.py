"""One step of a run without Dagster's engine: the real IO managers, handed what Dagster hands them.

A run of Dagster's costs a tenth of a second; a step here costs milliseconds. What the step would tell Dagster's event
log is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from logging import getLogger
from types import SimpleNamespace
from typing import Any

import pandas
from dagster import (
    AssetCheckEvaluation,
    AssetCheckKey,
    AssetCheckSeverity,
    AssetKey,
    AssetMaterialization,
    DagsterEvent,
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
    DataVersion,
    JobDefinition,
)
from dagster._core.events import LoadedInputData, StepMaterializationData

from lake_assets.io_managers.lake_io_manager import LakeIOManager
from lake_assets.runs.event_log import DATA_VERSION

_LOG = getLogger(__name__)
_LOG.propagate = False


@dataclass
class Step:
    """A step of a run, as the IO managers see it."""

    instance: DagsterInstance
    dagster_run: DagsterRun
    job_def: JobDefinition
    key: str
    asset_metadata: dict[str | None, dict[str, Any]] = field(default_factory=dict[str | None, dict[str, Any]])
    version: str = ""

    @property
    def step(self) -> SimpleNamespace:
        return SimpleNamespace(key=self.key)

    @property
    def run_id(self) -> str:
        return self.dagster_run.run_id

    def add_asset_metadata(self, metadata: Mapping[str, Any], asset_key: AssetKey, partition_key: str) -> None:
        self.asset_metadata.setdefault(partition_key, {}).update(metadata)

    def set_data_version(self, asset_key: AssetKey, data_version: DataVersion) -> None:
        self.version = data_version.value

    def tell(self, kind: DagsterEventType, about: Any = None) -> None:
        """Report an event of this step."""
        name = self.job_def.name
        event = DagsterEvent(kind.value, name, event_specific_data=about, step_key=self.key)
        self.instance.report_dagster_event(event, self.run_id)

    def _context(self, asset: AssetKey, partitions: Sequence[str], **more: Any) -> Any:
        node = self.job_def.asset_layer.get(asset)
        subset = node.partitions_def.subset_with_partition_keys(partitions) if node.partitions_def else None
        return SimpleNamespace(
            asset_key=asset,
            has_asset_partitions=node.partitions_def is not None,
            asset_partitions_def=node.partitions_def,
            asset_partition_keys=list(partitions),
            _asset_partitions_subset=subset,
            instance=self.instance,
            step_context=self,
            step_key=self.key,
            job_name=self.job_def.name,
            run_id=self.run_id,
            log=_LOG,
            definition_metadata=node.metadata,
            **more,
        )

    def store(
        self, manager: LakeIOManager, asset: AssetKey, partitions: Sequence[str], frame: pandas.DataFrame
    ) -> None:
        """Store an output; Dagster is told by :meth:`told`."""
        general = self.asset_metadata.setdefault(None, {})
        manager.handle_output(
            self._context(asset, partitions, add_output_metadata=general.update, output_metadata=general), frame
        )

    def told(self, asset: AssetKey, partitions: Sequence[str]) -> None:
        """Tell Dagster what was materialized."""
        general = self.asset_metadata.get(None, {})
        tags = {DATA_VERSION: self.version}
        for partition in partitions or [None]:
            metadata = {**general, **self.asset_metadata.get(partition, {})}
            made = AssetMaterialization(asset, metadata=metadata, partition=partition, tags=tags)
            self.tell(DagsterEventType.ASSET_MATERIALIZATION, StepMaterializationData(made))

    def load(self, manager: LakeIOManager, asset: AssetKey, partitions: Sequence[str]) -> Any:
        """Load an input."""
        annotated = SimpleNamespace(typing_type=pandas.DataFrame, display_name="DataFrame")
        context = self._context(asset, partitions, dagster_type=annotated, _user_generated_metadata={})
        frame = manager.load_input(context)
        told = LoadedInputData(asset.path[-1], "parquet_io_manager", metadata=context._user_generated_metadata)
        self.tell(DagsterEventType.LOADED_INPUT, told)
        return frame

    def evaluate(self, check: AssetCheckKey, verdict: str, partition: str | None, metadata: Mapping[str, Any]) -> None:
        """Tell Dagster how a check ended: ``passed``, ``warned`` or ``failed``."""
        evaluation = AssetCheckEvaluation(
            asset_key=check.asset_key,
            check_name=check.name,
            passed=verdict == "passed",
            severity=AssetCheckSeverity.WARN if verdict == "warned" else AssetCheckSeverity.ERROR,
            metadata=metadata,
            blocking=True,
            partition=partition,
        )
        self.tell(DagsterEventType.ASSET_CHECK_EVALUATION, evaluation)

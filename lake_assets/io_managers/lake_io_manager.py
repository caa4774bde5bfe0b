"""What every IO manager of the lake shares: where an output goes, its commit, and what Dagster is told of it.

The call chain of a step's output: Dagster calls :meth:`LakeIOManager.handle_output`; it opens ``lake.write`` on the
run's branch, lets the subclass store the object (:meth:`LakeIOManager._store`), adds a manifest a partition folder,
commits, and records commit, rows, bytes, data version and lineage. An input goes the other way, through
:meth:`LakeIOManager.load_input` and the subclass's :meth:`LakeIOManager._load`.
"""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetKey,
    ConfigurableIOManager,
    DagsterInstance,
    DagsterRun,
    DataVersion,
    InputContext,
    MetadataValue,
    OutputContext,
    ResourceDependency,
)

from lake_assets.io_managers.lineage import column_metadata
from lake_assets.io_managers.manifest import MANIFEST, read_manifest, write_manifest
from lake_assets.io_managers.partitions import Columns, folder, partition_columns
from lake_assets.io_managers.run_branch import RUN_ID, ensure_run_branch, find_head, published_commit
from lake_assets.io_managers.run_link import run_link
from lake_assets.lake.contract import Lake, LakeObject, Snapshot, Write
from lake_assets.lake.errors import PathNotFound
from lake_assets.resources.lake import LakeResource

if TYPE_CHECKING:
    from dagster._core.execution.context.system import StepExecutionContext


PREVIEW = "lake/preview"
"""Asset metadata: False keeps rows of a sensitive asset out of Dagster's event log, which outlives them in the lake."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored of one partition.

    Parameters
    ----------
    rows, version
        Their number, and a version of the content.
    metadata
        Further materialization metadata.
    updated
        Files (path below the prefix to size in bytes) of folders that were not written anew.
    columns
        What the manifest is to keep of each column.
    """

    rows: int
    version: str
    metadata: Mapping[str, Any] = field(default_factory=dict[str, Any])
    updated: Mapping[str, int] = field(default_factory=dict[str, int])
    columns: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Target:
    """Where an asset's partitions lie in the lake.

    Parameters
    ----------
    prefix
        The asset's folder.
    partitions
        Partition key to its columns; None for an unpartitioned asset.
    """

    prefix: str
    partitions: Mapping[str, Columns] | None

    @property
    def folders(self) -> dict[str, str]:
        """Partition key to its folder below the prefix; ``{"": ""}`` for an unpartitioned asset."""
        if self.partitions is None:
            return {"": ""}
        return {key: folder(columns) for key, columns in self.partitions.items()}

    def path(self, key: str) -> str:
        """Return the path of one partition in the lake."""
        return join(self.prefix, self.folders[key])


def join(*parts: str) -> str:
    """Join path parts, leaving out empty ones."""
    return "/".join(part for part in parts if part)


def prefix_of(asset_key: AssetKey) -> str:
    """Return an asset's folder in the lake."""
    return "/".join(asset_key.path)


def read_ref(lake: Lake, instance: DagsterInstance, run: DagsterRun) -> str:
    """Return the commit a step of this run reads: its branch's head, or what it published."""
    head = find_head(lake, run.run_id)
    if head is None:
        head = published_commit(lake, instance, run.run_id)
    if head is None:
        head = lake.head(ensure_run_branch(lake, instance, run))
    return head.id


class _EqualContentError(Exception):
    """What was written is what the branch holds already: leave the write without a commit."""


class LakeIOManager(ConfigurableIOManager):
    """Base of the IO managers that store in the lake."""

    lake: ResourceDependency[LakeResource]

    @abstractmethod
    def _store(self, context: OutputContext, obj: Any, write: Write, target: Target) -> dict[str, Stored]:
        """Store an object below ``write``; return what was stored of each of the target's partitions."""

    @abstractmethod
    def _load(self, context: InputContext, snapshot: Snapshot, target: Target) -> Any:
        """Load an object; ``snapshot`` holds the one partition's folder, or the whole prefix for several."""

    def _updated(self) -> Sequence[str]:
        """Return the folders below an asset's prefix that an output updates, where it replaces all else."""
        return ()

    def _committed(self, obj: Any, lake: Lake, commit: str, prefix: str) -> None:
        """Take note that an object is in a commit now."""
        del obj, lake, commit, prefix

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Store an output on the run's branch, as one commit."""
        lake = self.lake.lake
        target = _target(context)
        branch = self._branch(context)
        # An unpartitioned output replaces the prefix itself, which is what no partitions at all would say.
        replaced = list(target.folders.values()) if target.partitions is not None else None
        commit = ""
        stored: dict[str, Stored] = {}
        try:
            with lake.write(
                branch,
                target.prefix,
                "overwrite",
                _message(context),
                _provenance(context, lake, branch),
                replaced,
                self._updated(),
            ) as write:
                commit = write.base
                stored = self._store(context, obj, write, target)
                if _holds(lake, commit, target, stored):
                    raise _EqualContentError
                for key, part in stored.items():
                    root = join(write.root, target.folders[key])
                    write_manifest(
                        write.filesystem,
                        root,
                        part.rows,
                        part.version,
                        self._updated(),
                        part.updated,
                        part.columns,
                    )
                write.metadata["rows"] = str(sum(part.rows for part in stored.values()))
                if len(stored) > 1:
                    write.metadata |= {f"rows[{key}]": str(part.rows) for key, part in stored.items()}
                write.metadata["data_version"] = _data_version(stored)
            assert write.commit is not None
            commit = write.commit.id
            self._committed(obj, lake, commit, target.prefix)
        except _EqualContentError:
            # The files may differ where the rows do not; those that are published stay, and no sink has to follow.
            context.log.info("%s holds these rows already: no commit", target.prefix)
        self._record(context, lake, branch, commit, target, stored)

    def _branch(self, context: OutputContext) -> str:
        """Return the branch that a run writes."""
        step = context.step_context
        return ensure_run_branch(self.lake.lake, step.instance, step.dagster_run)

    def load_input(self, context: InputContext) -> Any:
        """Load an input as the run's branch holds it.

        Raises
        ------
        PathNotFound
            The asset, or one of its partitions, was never materialized on what this run reads.
        """
        lake = self.lake.lake
        target = _target(context)
        step = context.step_context
        ref = read_ref(lake, step.instance, step.dagster_run)
        _tell_commit(context, ref, target.prefix)
        keys = list(target.folders)
        place = target.path(keys[0]) if len(keys) == 1 else target.prefix
        try:
            snapshot = lake.path(ref, place)
        except PathNotFound as error:
            raise PathNotFound(
                f"{context.asset_key.to_user_string()} {_of(keys)}is not in the lake: materialize it first",
                repository=lake.repository,
                ref=ref,
                path=place,
            ) from error
        return self._load(context, snapshot, target)

    def _record(
        self,
        context: OutputContext,
        lake: Lake,
        branch: str,
        commit: str,
        target: Target,
        stored: Mapping[str, Stored],
    ) -> None:
        step = context.step_context
        previews = (context.definition_metadata or {}).get(PREVIEW, True)
        for key, part in stored.items():
            path = target.path(key)
            files = [item for item in lake.list(commit, path) if not item.path.endswith(f"/{MANIFEST}")]
            metadata: dict[str, Any] = {
                "lake/commit": commit,
                "lake/prefix": path,
                "lake/branch": branch,
                "lake/repository": lake.repository,
                "dagster/uri": f"lake://{commit}/{path}",
                "dagster/row_count": part.rows,
                "size": MetadataValue.int(sum(item.size for item in files)),
                "files": len(files),
                **part.metadata,
                **(self._preview(lake, commit, path, files) if previews else {}),
            }
            if key:
                step.add_asset_metadata(metadata, context.asset_key, key)
            else:
                context.add_output_metadata(metadata)
        context.add_output_metadata(column_metadata(context, self._columns(lake, commit, target)))
        step.set_data_version(context.asset_key, DataVersion(_data_version(stored)))

    def _preview(
        self, lake: Lake, commit: str, path: str, files: Sequence[LakeObject]
    ) -> Mapping[str, MetadataValue[Any]]:
        """Return a look into the files just committed, for the Dagster UI."""
        del lake, commit, path, files
        return {}

    def _columns(self, lake: Lake, commit: str, target: Target) -> Mapping[str, str] | None:
        """Return column name to type as stored, where this storage knows."""
        del lake, commit, target
        return None


def _tell_commit(context: InputContext, commit: str, prefix: str) -> None:
    """Say in the event log which commit an input was read at: of a check's input, it is the commit that was checked.

    Not by ``add_input_metadata``: that observes the asset besides, and refuses an input of several partitions.
    """
    told = {"lake/commit": MetadataValue.text(commit), "lake/prefix": MetadataValue.text(prefix)}
    context._user_generated_metadata = {**context._user_generated_metadata, **told}  # pyright: ignore[reportPrivateUsage]


def _target(context: InputContext | OutputContext) -> Target:
    if not context.has_asset_partitions:
        return Target(prefix_of(context.asset_key), None)
    definition = context.asset_partitions_def
    return Target(
        prefix_of(context.asset_key),
        {key: partition_columns(definition, key) for key in context.asset_partition_keys},
    )


def _message(context: OutputContext) -> str:
    keys = sorted(context.asset_partition_keys) if context.has_asset_partitions else []
    return f"Materialize {context.asset_key.to_user_string()} {_of(keys)}".strip()


def _of(keys: Sequence[str]) -> str:
    if len(keys) > 1:
        return f"{keys[0]} to {keys[-1]} ({len(keys)} partitions) "
    return f"{keys[0]} " if keys and keys[0] else ""


def _provenance(context: OutputContext, lake: Lake, branch: str) -> dict[str, str]:
    """Return who makes a commit, of what, from what: the commit that last changed each input's prefix."""
    step: StepExecutionContext = context.step_context
    layer = step.job_def.asset_layer
    node = layer.get(context.asset_key)
    metadata = {
        RUN_ID: context.run_id,
        "job": context.job_name,
        "step": step.step.key,
        "asset": context.asset_key.to_user_string(),
        **run_link(context.run_id),
    }
    if context.has_asset_partitions:
        keys = sorted(context.asset_partition_keys)
        metadata["partition"] = keys[0] if len(keys) == 1 else f"{keys[0]}...{keys[-1]}"
    if node.code_version:
        metadata["code_version"] = node.code_version
    for parent in sorted(node.parent_keys):
        newest = next(lake.log(branch, 1, prefix_of(parent)), None)
        if newest is not None:
            metadata[f"input:{parent.to_user_string()}"] = newest.id
    return metadata


def _holds(lake: Lake, commit: str, target: Target, stored: Mapping[str, Stored]) -> bool:
    """Return whether a commit holds the rows just written, by its manifests."""
    for key, part in stored.items():
        try:
            manifest = read_manifest(lake.path(commit, join(target.path(key), MANIFEST)))
        except PathNotFound:
            return False
        if (manifest.rows, manifest.data_version) != (part.rows, part.version):
            return False
    return True


def _data_version(stored: Mapping[str, Stored]) -> str:
    if len(stored) == 1:
        return next(iter(stored.values())).version
    versions = "".join(f"{key}={part.version}\n" for key, part in sorted(stored.items()))
    return hashlib.sha256(versions.encode()).hexdigest()[:32]

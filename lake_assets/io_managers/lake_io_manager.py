"""The base class of the IO managers of the lake.

Dagster calls :meth:`LakeIOManager.handle_output` for a step's output. This method

1. opens ``lake.write`` on the run's branch,
2. lets the subclass store the object (:meth:`LakeIOManager._store`),
3. adds a manifest to each partition folder,
4. commits, and
5. records commit, rows, bytes, data version and lineage in Dagster.

For an input, :meth:`LakeIOManager.load_input` finds the partitions (:mod:`.inputs`), and the subclass loads them
(:meth:`LakeIOManager._load`).
"""

# No postponed annotations here: Dagster reads those of ResourceDependency fields when the class is made.

import hashlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dagster import (
    ConfigurableIOManager,
    Failure,
    InputContext,
    MetadataValue,
    OutputContext,
    ResourceDependency,
)

from lake_assets._dagster import (
    add_partition_metadata,
    assets_of_job,
    instance_of,
    run_of,
    set_data_version,
    source_file_of,
)
from lake_assets.content.version import algorithm
from lake_assets.frames.hive_folders import PartitionValues
from lake_assets.io_managers.annotations import no_partition
from lake_assets.io_managers.inputs import FoundInput, find_input
from lake_assets.io_managers.lineage import column_metadata
from lake_assets.io_managers.previews import is_wanted
from lake_assets.io_managers.target import Stored, Target
from lake_assets.lake.contract import Lake, LakeObject, Write
from lake_assets.lake.errors import DataCorrupted, PathNotFound
from lake_assets.lake.names import join
from lake_assets.layout.asset_folders import name_of, prefix_of
from lake_assets.layout.manifest import MANIFEST, read_manifest, write_manifest
from lake_assets.layout.partitioning import columns_in_path, find_misplaced, recorded_windows
from lake_assets.layout.partitions import partition_columns, windows_of
from lake_assets.resources.lake import LakeResource
from lake_assets.resources.spark import SparkResource, session_of
from lake_assets.resources.working_branch import in_metadata, target_of
from lake_assets.runs.asset_metadata import CODE_COMMIT, place_metadata
from lake_assets.runs.branch import ensure_run_branch, read_ref
from lake_assets.runs.code_commit import code_commit
from lake_assets.runs.commit_metadata import CommitMetadata, partition_range
from lake_assets.runs.link import run_url
from lake_assets.runs.partitions import check_partitions
from lake_assets.spark.errors import spark_errors

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class _EqualContentError(Exception):
    """The branch holds the same rows already, so the write ends without a commit."""


class LakeIOManager(ConfigurableIOManager):
    """Base of the IO managers that store in the lake.

    Parameters
    ----------
    lake
        The lake.
    spark
        Provides the Spark session. It is needed only to load Spark frames.
    """

    lake: ResourceDependency[LakeResource]
    spark: ResourceDependency[SparkResource | None] = None  # pyright: ignore[reportAssignmentType]

    @abstractmethod
    def _store(self, context: OutputContext, obj: Any, write: Write, target: Target) -> dict[str, Stored]:
        """Store an object in ``write``, and return for each partition of the target what was stored."""

    @abstractmethod
    def _load(self, context: InputContext, found: FoundInput) -> Any:
        """Load an object from its partitions in the lake."""

    def _beside(self, prefix: str) -> Sequence[str]:
        """Return the folders beside the asset's prefix that an output updates."""
        del prefix
        return ()

    def _committed(self, obj: Any, lake: Lake, commit: str, prefix: str) -> None:
        """Clean up after the commit of an object."""
        del obj, lake, commit, prefix

    def _recomputed_version(
        self, lake: Lake, commit: str, path: str, part: Stored, partition: PartitionValues
    ) -> str | None:
        """Compute the version of what is stored again, with the current algorithm; None if that is not possible.

        ``part`` describes the rows that would replace them. ``partition`` has the partition columns.
        """
        del lake, commit, path, part, partition
        return None

    def handle_output(self, context: OutputContext, obj: Any) -> None:
        """Store an output on the run's branch, in one commit.

        Parameters
        ----------
        context
            The output.
        obj
            The object to store.
        """
        lake = self.lake.lake
        target = _target(context)
        branch = self._branch(context)
        commit = ""
        stored: dict[str, Stored] = {}
        try:
            with self._open(context, lake, branch, target, obj) as write:
                commit = write.base
                write.metadata |= _provenance(context, lake, commit, self.lake.dagster_url)
                _refuse_other_layout(context, lake, commit, target)
                with spark_errors():
                    stored = self._store(context, obj, write, target)
                unchanged = self._unchanged(lake, commit, target, stored)
                if unchanged is not None:
                    stored = unchanged
                    raise _EqualContentError
                self._describe(write, target, stored)
                rows = {key: part.rows for key, part in stored.items()}
                write.metadata |= CommitMetadata(
                    rows=sum(rows.values()),
                    partition_rows=rows if len(rows) > 1 else {},
                    data_version=_data_version(stored),
                ).to_metadata()
            commit = write.commit_id
            self._committed(obj, lake, commit, target.prefix)
        except _EqualContentError:
            # Files with the same rows may differ in bytes. The existing files stay, and no sink has to be updated.
            context.log.info("%s holds these rows already: no commit", target.prefix)
        self._record(context, lake, branch=branch, commit=commit, target=target, stored=stored)

    def _branch(self, context: OutputContext) -> str:
        """Return the branch that the run writes to."""
        return ensure_run_branch(self.lake.lake, instance_of(context), run_of(context))

    def _open(
        self, context: OutputContext, lake: Lake, branch: str, target: Target, obj: Any
    ) -> AbstractContextManager[Write]:
        """Open the write of an object: of the partitions, or of the whole prefix if there are none."""
        del obj
        replaced = list(target.folders.values()) if target.partitions is not None else None
        return lake.write(
            branch,
            target.prefix,
            message=message_of(context),
            partitions=replaced,
            beside=self._beside(target.prefix),
        )

    def _describe(self, write: Write, target: Target, stored: Mapping[str, Stored]) -> None:
        """Write the manifest of each partition."""
        for key, part in stored.items():
            write_manifest(write.filesystem, join(write.root, target.folders[key]), part.manifest(target.windows))

    def load_input(self, context: InputContext) -> Any:
        """Load an input from the run's branch.

        Parameters
        ----------
        context
            The input.

        Raises
        ------
        PathNotFound
            The asset, or one of its partitions, is not in the commit that this run reads.
        """
        lake = self.lake.lake
        found = find_input(context, lake, read_ref(lake, instance_of(context), run_of(context)))
        with spark_errors():
            return no_partition(context, self._session) if found is None else self._load(context, found)

    def _session(self) -> "SparkSession":
        """Start the Spark session, or return it."""
        return session_of(self.spark)

    def _unchanged(
        self, lake: Lake, commit: str, target: Target, stored: Mapping[str, Stored]
    ) -> dict[str, Stored] | None:
        """Return what was stored, with the versions in a commit's manifests; None if the commit holds other rows.

        A manifest says what was written. Somebody may have overwritten the files since, or a disk may have damaged
        them. So what would stay is read and hashed again. Versions of different algorithms are compared by that, too.
        """
        import pyarrow as pa

        unchanged: dict[str, Stored] = {}
        for key, part in stored.items():
            path = target.path(key)
            try:
                manifest = read_manifest(lake.path(commit, join(path, MANIFEST)))
            except PathNotFound:
                return None
            version = manifest.data_version
            if manifest.rows != part.rows or (
                algorithm(version) == algorithm(part.version) and version != part.version
            ):
                return None
            try:
                held = self._recomputed_version(lake, commit, path, part, target.values(key))
            except (OSError, ValueError, pa.ArrowException, DataCorrupted, PathNotFound):
                return None  # Damaged, or no longer of this format: the write replaces it.
            if held != part.version:
                return None
            files = {item.path[len(path) + 1 :]: item.size for item in lake.list(commit, path)}
            files.pop(MANIFEST, None)
            if files != manifest.files:
                # Somebody changed the files but not the manifest. So the manifest's version may be wrong.
                return None
            unchanged[key] = replace(part, version=manifest.data_version)
        return unchanged

    def _record(
        self,
        context: OutputContext,
        lake: Lake,
        *,
        branch: str,
        commit: str,
        target: Target,
        stored: Mapping[str, Stored],
    ) -> None:
        code = _code_commit(context)
        definition = context.definition_metadata or {}
        previews = is_wanted(definition)
        for key, part in stored.items():
            path = target.path(key)
            files = [item for item in lake.list(commit, path) if not item.path.endswith(f"/{MANIFEST}")]
            metadata: dict[str, Any] = {
                **place_metadata(lake, branch, commit, path, part.rows),
                **({CODE_COMMIT: code} if code is not None else {}),
                "size": MetadataValue.int(sum(item.size for item in files)),
                "files": len(files),
                **part.metadata,
                **(self._preview(lake, commit, files, definition) if previews else {}),
            }
            if key:
                add_partition_metadata(context, metadata, key)
            else:
                context.add_output_metadata(metadata)
        context.add_output_metadata(column_metadata(context, self._columns(lake, commit, target)))
        set_data_version(context, _data_version(stored))

    def _preview(
        self, lake: Lake, commit: str, files: Sequence[LakeObject], definition: Mapping[str, Any]
    ) -> Mapping[str, MetadataValue[Any]]:
        """Return a preview of the committed files for Dagster's UI, as the asset's definition allows it."""
        del lake, commit, files, definition
        return {}

    def _columns(self, lake: Lake, commit: str, target: Target) -> Mapping[str, str] | None:
        """Return column name to stored type; None if the storage does not know them."""
        del lake, commit, target
        return None


def _target(context: OutputContext) -> Target:
    check_partitions(context)
    if not context.has_asset_partitions:
        return Target(prefix_of(context.asset_key), None)
    definition = context.asset_partitions_def
    return Target(
        prefix_of(context.asset_key),
        {key: partition_columns(definition, key) for key in context.asset_partition_keys},
        windows_of(definition),
    )


def _refuse_other_layout(context: OutputContext, lake: Lake, commit: str, target: Target) -> None:
    """Refuse a write if the asset has files that are partitioned in another way. A reader would read both."""
    path = find_misplaced(lake, commit, target.prefix, target.columns, target.windows)
    if path is not None:
        name = context.asset_key.to_user_string()
        below = path[len(target.prefix) + 1 :]
        stored = columns_in_path(below)
        if not stored and "/" in below:
            raise Failure(
                f"{path!r} lies in the folder of {name}, but is not one of its files: this lake was made by an older "
                "program. Run `lake-assets migrate`, which moves each asset to a folder of its own.",
                allow_retries=False,
            )
        now, before = _layout(target.columns), _layout(stored)
        if stored == target.columns:
            now, before = (f"{now} ({windows})" for windows in (target.windows, recorded_windows(lake, commit, path)))
        branch = target_of(instance_of(context), run_of(context))
        raise Failure(
            f"{name} is {now} by its definition, and the lake holds it {before}, such as "
            f"{path!r}: take that off {branch} by `lake-assets delete {name}`, then materialize it again in a new run.",
            allow_retries=False,
        )


def _layout(columns: Sequence[str]) -> str:
    return f"partitioned by {', '.join(columns)}" if columns else "unpartitioned"


def message_of(context: OutputContext) -> str:
    """Return the message of the commit of an output.

    Parameters
    ----------
    context
        The output.
    """
    keys = sorted(context.asset_partition_keys) if context.has_asset_partitions else []
    return f"Materialize {context.asset_key.to_user_string()} {_key_range(keys)}".strip()


def _key_range(keys: Sequence[str]) -> str:
    if len(keys) > 1:
        return f"{keys[0]} to {keys[-1]} ({len(keys)} partitions) "
    return f"{keys[0]} " if keys and keys[0] else ""


def _provenance(context: OutputContext, lake: Lake, base: str, url: str) -> dict[str, str]:
    """Return the metadata of a commit: its run, asset and inputs.

    For each input it names the newest commit, as of ``base``, that changed the input's prefix.
    """
    node = assets_of_job(context).get(context.asset_key)
    newest = {name_of(key): next(lake.log(base, 1, prefix_of(key)), None) for key in sorted(node.parent_keys)}
    return CommitMetadata(
        run_id=context.run_id,
        job=context.job_name,
        step=context.step_key,
        asset=name_of(context.asset_key),
        partition=partition_range(context.asset_partition_keys) if context.has_asset_partitions else None,
        code_version=node.code_version,
        code_commit=_code_commit(context),
        branch=in_metadata(target_of(instance_of(context), run_of(context))),
        inputs={name: commit.id for name, commit in newest.items() if commit is not None},
        run_url=run_url(url, context.run_id),
    ).to_metadata()


def _code_commit(context: OutputContext) -> str | None:
    """Return the Git commit of the code that makes an output."""
    return code_commit(source_file_of(assets_of_job(context), context.asset_key))


def _data_version(stored: Mapping[str, Stored]) -> str:
    if len(stored) == 1:
        return next(iter(stored.values())).version
    versions = "".join(f"{key}={part.version}\n" for key, part in sorted(stored.items()))
    return hashlib.sha256(versions.encode()).hexdigest()[:32]

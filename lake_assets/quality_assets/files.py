"""A user's files as an asset with a profile and checks, by one declaration."""

# No postponed annotations here: Dagster reads them when the decorators run.

from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetChecksDefinition,
    AssetExecutionContext,
    AssetKey,
    AssetOut,
    AssetsDefinition,
    Failure,
    MetadataValue,
    Output,
    multi_asset,
)

from lake_assets.lake.contract import Lake
from lake_assets.layout.asset_folders import prefix_of
from lake_assets.quality.constraints import AnyConstraint
from lake_assets.quality.files import format_of
from lake_assets.quality.lake_profiles import schema_at
from lake_assets.quality.questions import Asked
from lake_assets.quality.typed import as_tree, read_typed
from lake_assets.quality_assets.comparison import Comparison
from lake_assets.quality_assets.profiled import profiled
from lake_assets.resources.lake import LakeResource
from lake_assets.runs.asset_metadata import PERSONAL_COLUMNS, PREVIEW
from lake_assets.runs.branch import read_ref
from lake_assets.sources import SourceError, SourceUnavailable, fetch_file, is_local, local_path

if TYPE_CHECKING:
    import pyarrow

_FENCE = "```"


def asset_of_files(
    name: str,
    source: str | Callable[[], str],
    constraints: Sequence[AnyConstraint] = (),
    *,
    group_name: str = "quality",
    owners: Sequence[str] = (),
    personal: Collection[str] = (),
    compare: Comparison | None = None,
    asked: Asked | None = None,
    io_manager_key: str = "parquet_io_manager",
) -> Sequence[AssetsDefinition | AssetChecksDefinition]:
    """Return the asset of a user's files, the lines that are no rows, its profile and its checks.

    The types of CSV and JSON lines are inferred once, over all rows, and shown. Later runs hold the files to the types
    that are published: what does not have them goes to ``<name>_quarantine``. All rows are held in memory.

    Parameters
    ----------
    name
        Name of the asset.
    source
        A local file or folder, a pattern such as ``data/*.csv``, or the address of a file (``https://…``,
        ``s3://…``), or a function that returns it when the asset is made: Parquet, ORC, CSV or JSON lines, the latter
        two also as ``.gz``. Lines that are Python literals are read like JSON.
    constraints
        What the rows must be.
    group_name, owners
        As in :func:`dagster.asset`.
    personal
        Names of columns of which no value is kept in the profile or shown.
    compare, asked
        As of :func:`.profiled`.
    io_manager_key
        The IO manager of the rows.

    Examples
    --------
    >>> reviews = asset_of_files("reviews", "reviews.json.gz", [Complete(column="user_id")])
    >>> published = published_asset("quality", ["reviews", "reviews_quarantine"], profiles=["reviews_profile"])
    """
    rejected = f"{name}_quarantine"
    shared: dict[str, Any] = {"io_manager_key": io_manager_key, "kinds": {"parquet", "lake"}, "owners": owners}

    @multi_asset(
        name=f"read_{name}",
        group_name=group_name,
        outs={
            name: AssetOut(
                description=f"The rows of {name}'s files, with the types that were inferred when they were first read.",
                tags={"layer": "raw"},
                code_version="1",
                metadata={PERSONAL_COLUMNS: list(personal)},
                **shared,
            ),
            rejected: AssetOut(
                description=f"The lines of {name}'s files that are no rows: file, line, reason and raw text.",
                tags={"layer": "quarantine"},
                code_version="1",
                metadata={PREVIEW: not personal},
                **shared,
            ),
        },
    )
    def read(context: AssetExecutionContext, lake: LakeResource) -> Iterator[Output[Any]]:
        ref = read_ref(lake.lake, context.instance, context.run)
        place = source if isinstance(source, str) else source()
        held = _held(lake.lake, ref, prefix_of(AssetKey(name)))
        from pyarrow.fs import LocalFileSystem

        try:
            with _local(place) as (paths, fetched):
                found = read_typed(LocalFileSystem(), paths, held)
        except SourceUnavailable:
            raise  # Another run may succeed.
        except (OSError, ValueError, SourceError) as error:
            # A retry cannot help.
            raise Failure(f"{name}: {error}", allow_retries=False) from error
        tree = as_tree(found.rows.schema)
        context.log.info("%s columns of %s:\n%s", "Held to the" if held is not None else "Inferred the", name, tree)
        metadata = {"files": len(paths), "schema": MetadataValue.md(f"{_FENCE}\n{tree}\n{_FENCE}"), **fetched}
        yield Output(found.rows, name, metadata=metadata)
        if found.rejected.num_rows:
            context.log.warning("%s: %d line(s) are quarantined", name, found.rejected.num_rows)
        yield Output(found.rejected, rejected)

    made, checks = profiled(
        name,
        constraints,
        group_name=group_name,
        owners=owners,
        personal=personal,
        compare=compare,
        asked=asked,
    )
    return [read, made, checks]


@contextmanager
def _local(place: str) -> Generator[tuple[list[str], dict[str, str]]]:
    """Yield the paths of files, and metadata on what was fetched. A file at an address is fetched into a folder."""
    if is_local(place):
        yield _paths(Path(local_path(place, "the files"))), {}
        return
    with TemporaryDirectory() as folder:
        fetched = fetch_file(place, Path(folder))
        yield _paths(fetched.path), {"source": fetched.url, "sha256": fetched.sha256}


def _paths(place: Path) -> list[str]:
    found = place.iterdir() if place.is_dir() else [place] if place.is_file() else place.parent.glob(place.name)
    files = sorted(str(path) for path in found if path.is_file() and format_of(path.name) is not None)
    if not files:
        raise ValueError(
            f"{place.name!r} holds no file that can be read: names must end with .parquet, .orc, .csv, .json or "
            ".jsonl, the last three also with .gz"
        )
    return files


def _held(lake: Lake, ref: str, prefix: str) -> "pyarrow.Schema | None":
    """Return the columns that are published; None if there are none yet."""
    found = schema_at(lake, ref, prefix)
    return found if found is not None and len(found) else None

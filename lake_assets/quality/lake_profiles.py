"""Profiles of what a commit of the lake holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from lake_assets.lake.errors import PathNotFound
from lake_assets.lake.names import is_commit_id
from lake_assets.lake.rows import place_in
from lake_assets.quality.files import file_batches, format_of
from lake_assets.quality.profile import Profile, merged
from lake_assets.quality.profiling import profile_files

if TYPE_CHECKING:
    import pyarrow

    from lake_assets.lake.contract import Lake, Snapshot


def profile_at(lake: Lake, ref: str, prefix: str, personal: Collection[str] = ()) -> Profile:
    """Return the profile of the rows of a folder or file. Its parts are the partition folders below.

    Parameters
    ----------
    lake, ref, prefix
        The place.
    personal
        Names of columns of which no value is kept.

    Raises
    ------
    PathNotFound
        Nothing is there.
    ValueError
        There is no file that has a profile, or files have different columns.
    """
    return merged(profiles_at(lake, ref, prefix, personal))


_KNOWN: OrderedDict[tuple[str, str, tuple[str, ...]], Profile] = OrderedDict()
"""The newest profiles of this process: a run's checks and its profile are of the same files."""
_MOST = 16


def known_profile(lake: Lake, ref: str, prefix: str, personal: Collection[str] = ()) -> Profile:
    """Return the profile of the rows of a folder, which is computed once in a process for the same files.

    Parameters
    ----------
    lake, ref, prefix
        The place.
    personal
        Names of columns of which no value is kept.

    Raises
    ------
    PathNotFound
        Nothing is there.
    ValueError
        There is no file that has a profile, or files have different columns.
    """
    commit = ref if is_commit_id(ref) else lake.head(ref).id
    key = (prefix, lake.fingerprint(commit, prefix) or "", tuple(sorted(personal)))
    found = _KNOWN.get(key)
    if found is None:
        found = _KNOWN[key] = profile_at(lake, commit, prefix, personal)
        while len(_KNOWN) > _MOST:
            _KNOWN.popitem(last=False)
    return found


def profiles_at(lake: Lake, ref: str, prefix: str, personal: Collection[str] = ()) -> Iterator[Profile]:
    """Yield the profile of each partition folder below a folder. Its part is named like the folder.

    Parameters
    ----------
    lake, ref, prefix
        The place.
    personal
        Names of columns of which no value is kept.
    """
    return (profile for _, profile in parts_at(lake, ref, prefix, personal))


def parts_at(lake: Lake, ref: str, prefix: str, personal: Collection[str] = ()) -> Iterator[tuple[str, Profile]]:
    """Yield each partition folder below a folder, by its path from there, with its profile.

    Parameters
    ----------
    lake, ref, prefix
        The place.
    personal
        Names of columns of which no value is kept.
    """
    commit = ref if is_commit_id(ref) else lake.head(ref).id
    for folder, paths in _files(lake, commit, prefix).items():
        snapshot = lake.path(commit, folder)
        files = [place_in(snapshot, path) for path in paths]
        name = folder[len(prefix) :].strip("/")
        key = name or folder.rpartition("/")[2]
        yield name, profile_files(snapshot.filesystem, files, personal=personal, key=key, names=paths)


def rows_at(lake: Lake, ref: str, prefix: str, columns: Collection[str] | None = None) -> pyarrow.Table:
    """Return the rows of a folder or file as one table. A column that some partitions lack is null there.

    Parameters
    ----------
    lake, ref, prefix
        The place.
    columns
        The columns that are wanted; by default all.

    Raises
    ------
    PathNotFound
        Nothing is there.
    ValueError
        There is no file that has a profile, or no such column.
    """
    import pyarrow as pa

    commit = ref if is_commit_id(ref) else lake.head(ref).id
    tables: list[pa.Table] = []
    there: dict[str, None] = {}
    for folder, paths in _files(lake, commit, prefix).items():
        snapshot = lake.path(commit, folder)
        schema, batches = _open(snapshot, paths)
        there |= dict.fromkeys(schema.names)
        wanted = [name for name in schema.names if columns is None or name in columns]
        fields = pa.schema([schema.field(name) for name in wanted])
        tables.append(pa.Table.from_batches((batch.select(wanted) for batch in batches), fields))
    for name in columns or ():
        if name not in there:
            raise ValueError(f"there is no column {name!r}; there are {', '.join(there)}")
    return pa.concat_tables(tables, promote_options="default")


def stream_at(lake: Lake, ref: str, prefix: str) -> pyarrow.RecordBatchReader:
    """Return the rows of a folder or file as a stream, which is read once, in bounded memory.

    Parameters
    ----------
    lake, ref, prefix
        The place.

    Raises
    ------
    ValueError
        Files have different columns.
    """
    import pyarrow as pa

    commit = ref if is_commit_id(ref) else lake.head(ref).id
    found: list[tuple[pa.Schema, Iterator[pa.RecordBatch]]] = []
    for folder, paths in _files(lake, commit, prefix).items():
        snapshot = lake.path(commit, folder)
        found.append(_open(snapshot, paths))
        if not found[0][0].equals(found[-1][0]):
            raise ValueError(f"{prefix}: its files have different columns")
    return pa.RecordBatchReader.from_batches(found[0][0], (batch for _, batches in found for batch in batches))


def schema_at(lake: Lake, ref: str, prefix: str) -> pyarrow.Schema | None:
    """Return the columns of a folder's first file, with its metadata; None if it holds no file with rows.

    Parameters
    ----------
    lake, ref, prefix
        The place.
    """
    commit = ref if is_commit_id(ref) else lake.head(ref).id
    try:
        folder, paths = next(iter(_files(lake, commit, prefix).items()))
    except (PathNotFound, ValueError):
        return None
    snapshot = lake.path(commit, folder)
    return _open(snapshot, paths[:1])[0]


def _open(snapshot: Snapshot, paths: Sequence[str]) -> tuple[pyarrow.Schema, Iterator[pyarrow.RecordBatch]]:
    return file_batches(snapshot.filesystem, [place_in(snapshot, path) for path in paths], names=paths)


def _files(lake: Lake, commit: str, prefix: str) -> dict[str, list[str]]:
    """Return the folders of files that have a profile, with the files of each."""
    found: dict[str, list[str]] = {}
    listed = False
    for item in lake.list(commit, prefix):
        listed = True
        folder, _, name = item.path.rpartition("/")
        if not name.startswith(("_", ".")) and format_of(name):
            found.setdefault(folder, []).append(item.path)
    if not listed:
        raise PathNotFound("nothing is there", repository=lake.repository, ref=commit, path=prefix)
    if not found:
        raise ValueError(f"{prefix!r} holds no file that has a profile: Parquet, ORC, CSV or JSON lines")
    return {folder: sorted(found[folder]) for folder in sorted(found)}

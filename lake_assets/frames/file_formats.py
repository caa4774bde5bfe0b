"""The formats of the files in which an asset's rows are stored: Parquet, ORC and CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

PARQUET, ORC, CSV = "parquet", "orc", "csv"
FORMATS = (PARQUET, ORC, CSV)
"""Each is also the ending of its files."""


def format_of(name: str) -> str | None:
    """Return the format of a file by its name; None if engines read no rows from it.

    Parameters
    ----------
    name
        File name, without a folder.
    """
    before, _, ending = name.rpartition(".")
    return ending if ending in FORMATS and before and name[0] not in "_." else None


def files_of(filesystem: FileSystem, root: str) -> dict[str, str]:
    """Return the files in a folder that hold rows, sorted, each with its format.

    Parameters
    ----------
    filesystem
        File system of the folder.
    root
        Path of the folder.
    """
    from pyarrow.fs import FileSelector, FileType

    infos = filesystem.get_file_info(FileSelector(root))
    names = sorted(info.base_name for info in infos if info.type == FileType.File)
    return {name: kind for name in names if (kind := format_of(name)) is not None}

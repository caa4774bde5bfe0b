"""A frame of tasks: its rows are made where and when they are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from lake_assets.compute.executors import Executor
from lake_assets.compute.parts import NoRows, Part, Task, Write, merged

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem

    from lake_assets.content.version import Content


class PartsFrame(Protocol):
    """Rows that several writers write at once, each into files of its own."""

    parts: dict[str, list[Part]]
    """What was written, by partition, once it was."""

    @property
    def schema(self) -> pyarrow.Schema:
        """The columns of the files."""
        ...

    @property
    def stragglers(self) -> bool:
        """Whether an attempt that was given up may still write after :meth:`write` has returned."""
        ...

    def write(self, filesystem: FileSystem, folders: Mapping[str, str]) -> dict[str, Content]:
        """Write the rows, and return what was written for each partition.

        Parameters
        ----------
        filesystem
            File system of the folders.
        folders
            Partition key to the folder of its files, which are all made.
        """
        ...


class TaskFrame:
    """The rows that tasks make, by partition. An IO manager that stores it runs the tasks, each of which writes a file.

    Parameters
    ----------
    schema
        The columns of every batch of rows.
    tasks
        Partition key to the tasks that make its rows. The key is ``""`` for an unpartitioned asset.
    executor
        Returns what runs the tasks, given the size in bytes of all that they read.

    Examples
    --------
    >>> frame = TaskFrame(schema, {"2017-07-28-08:00": tasks}, compute.executor)
    >>> yield Output(frame, "stocks_parquet")
    >>> frame.counts["2017-07-28-08:00"]["lines"]
    7531
    """

    def __init__(
        self, schema: pyarrow.Schema, tasks: Mapping[str, Sequence[Task]], executor: Callable[[int], Executor]
    ) -> None:
        self.schema = schema
        self.tasks = {key: list(found) or [NoRows()] for key, found in tasks.items()}
        self._executor = executor
        self.parts: dict[str, list[Part]] = {}
        """What the tasks wrote, by partition, once they have."""

    @cached_property
    def executor(self) -> Executor:
        """What runs the tasks."""
        return self._executor(sum(task.size for tasks in self.tasks.values() for task in tasks))

    @property
    def stragglers(self) -> bool:
        """Whether an attempt that was given up may still write after :meth:`write` has returned."""
        return self.executor.stragglers

    @property
    def counts(self) -> dict[str, Mapping[str, int]]:
        """What the tasks of each partition counted, once they were written."""
        return {key: merged(self.schema, parts)[1] for key, parts in self.parts.items()}

    def write(self, filesystem: FileSystem, folders: Mapping[str, str]) -> dict[str, Content]:
        """Run the tasks, and return what was written for each partition.

        Parameters
        ----------
        filesystem
            File system of the folders.
        folders
            Partition key to the folder of its files, which are all made.

        Raises
        ------
        ValueError
            The frame is of other partitions.
        """
        if set(folders) != set(self.tasks):
            raise ValueError(f"the frame is of the partitions {sorted(self.tasks)}, not of {sorted(folders)}")
        writes: list[Write] = []
        for key, tasks in self.tasks.items():
            filesystem.create_dir(folders[key], recursive=True)
            writes += [
                Write(task, self.schema, filesystem, folders[key], f"part-{at:05d}", even_empty=not at)
                for at, task in enumerate(tasks)
            ]
        parts = iter(self.executor.run(writes))
        self.parts = {key: [next(parts) for _ in tasks] for key, tasks in self.tasks.items()}
        return {key: merged(self.schema, found)[0] for key, found in self.parts.items()}

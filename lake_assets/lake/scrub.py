"""Reads stored files back and compares them with what is recorded, all of them or a sample, as fast as is allowed."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from lake_assets.lake.contract import Checked, Lake, LakeObject

_AT_ONCE = 4
"""Files that are read at the same time."""


@dataclass(slots=True)
class Scrub:
    """One pass over stored files, and what it did.

    Parameters
    ----------
    sample
        Percent of the files that are read, chosen anew each time. At least one is.
    rate
        The most that is read, in MB a second. None for as fast as possible.
    hashed
        Number of files whose bytes were hashed and compared.
    unhashed
        Files that were read whole, but whose recorded checksum cannot be computed from their bytes.
    skipped
        Number of files that are not in the sample.
    read
        Bytes read.
    seconds
        Time that it took.
    """

    sample: float = 100
    rate: float | None = None
    hashed: int = 0
    unhashed: list[str] = field(default_factory=list[str])
    skipped: int = 0
    read: int = 0
    seconds: float = 0

    def faults(
        self, lake: Lake, commit: str, objects: Sequence[LakeObject], advance: Callable[[int], None]
    ) -> Iterator[tuple[str, str]]:
        """Yield the path of each damaged or missing file, and what is wrong with it.

        Parameters
        ----------
        lake
            The lake.
        commit
            The commit that holds the files.
        objects
            The files.
        advance
            Called with the size of each file, also of those that are not in the sample.
        """
        began = time.monotonic()
        chosen = self._chosen(objects)
        waiting: deque[tuple[LakeObject, Future[Checked]]] = deque()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            for number, item in enumerate(objects):
                if number not in chosen:
                    self.skipped += 1
                    advance(item.size)
                    continue
                if len(waiting) == _AT_ONCE:
                    yield from self._done(*waiting.popleft(), advance)
                self.read += item.size
                if self.rate is not None:
                    # The file is due when as much as it and those before it may have been read.
                    time.sleep(max(0.0, began + self.read / (self.rate * 1e6) - time.monotonic()))
                waiting.append((item, pool.submit(lake.check, commit, item)))
            while waiting:
                yield from self._done(*waiting.popleft(), advance)
        self.seconds = time.monotonic() - began

    def _chosen(self, objects: Sequence[LakeObject]) -> set[int]:
        every = range(len(objects))
        if self.sample >= 100 or not objects:
            return set(every)
        return set(random.sample(every, max(1, round(len(objects) * self.sample / 100))))

    def _done(
        self, item: LakeObject, checked: Future[Checked], advance: Callable[[int], None]
    ) -> Iterator[tuple[str, str]]:
        found = checked.result()
        advance(item.size)
        if found.hashed:
            self.hashed += 1
        elif not found.fault:
            self.unhashed.append(item.path)
        if found.fault:
            yield item.path, found.fault

    def describe(self) -> str:
        """Return in one line what was done."""
        parts = [f"{self.hashed} file(s) hashed"]
        if self.unhashed:
            parts.append(
                f"{len(self.unhashed)} only read, since their checksum is of unknown parts, such as {self.unhashed[0]}"
            )
        if self.skipped:
            parts.append(f"{self.skipped} not in the sample")
        if self.seconds:
            parts.append(f"{self.read / 1e6 / self.seconds:.0f} MB/s")
        return ", ".join(parts)

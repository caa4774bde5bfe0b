"""A lake commit beside hashlib's sha256 over the same bytes: ``python -m benchmarks.lake_commit [GiB]``.

Both read the files from the page cache; hashlib has them one after the other, in one thread. Best of several, taken
in turns. The target is 0.80 of hashlib's speed or more.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path

from lake_assets.lake.embedded import GitLake

TARGET = 0.80
FILE_SIZE = 64 << 20
BUFFER = 1 << 20


def _fill(folder: Path, size: int) -> list[Path]:
    """Write files of random bytes, new ones each time: the lake stores equal files once."""
    files: list[Path] = []
    for number, start in enumerate(range(0, size, FILE_SIZE)):
        files.append(folder / f"part-{number:05}")
        with files[-1].open("wb") as file:
            for offset in range(start, min(start + FILE_SIZE, size), BUFFER):
                file.write(os.urandom(min(BUFFER, size - offset)))
    return files


def _hash(files: list[Path]) -> float:
    buffer = memoryview(bytearray(BUFFER))
    began = time.perf_counter()
    for path in files:
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                digest.update(buffer[:count])
    return time.perf_counter() - began


def measure(size: int, rounds: int = 3) -> tuple[float, float]:
    """Return seconds of hashlib and of the lake commit for ``size`` bytes, the best of ``rounds``."""
    hashing: list[float] = []
    committing: list[float] = []
    with tempfile.TemporaryDirectory() as home:
        for number in range(rounds):
            lake = GitLake(Path(home) / str(number))
            lake.create_branch("work", "main")
            with lake.write("work", "data") as write:
                files = _fill(Path(write.root), size)
                hashing.append(_hash(files))
                began = time.perf_counter()
            committing.append(time.perf_counter() - began)
            lake.close()
    return min(hashing), min(committing)


def main() -> None:
    """Print both speeds and their ratio."""
    size = int(float(sys.argv[1] if len(sys.argv) > 1 else 1) * (1 << 30))
    hashing, committing = measure(size)
    for name, seconds in (("hashlib sha256", hashing), ("lake commit", committing)):
        print(f"{name:15} {seconds:6.2f} s  {size / seconds / 1e9:5.2f} GB/s")
    print(f"ratio {hashing / committing:.2f} (target {TARGET:.2f} or more)")


if __name__ == "__main__":
    main()

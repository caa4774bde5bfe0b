"""A publication beside writing, hashing and syncing the same bytes: ``python -m benchmarks.durable_publication [GiB]``.

Both write the bytes first; best of several, taken in turns. The target is 1.15 times as long at most.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
import time
from pathlib import Path

from lake_assets.lake.audit import Override
from lake_assets.lake.embedded import GitLake

TARGET = 1.15
FILE_SIZE = 64 << 20
BUFFER = 1 << 20


def _write(folder: Path, size: int, block: bytes) -> list[Path]:
    """Write files, no two alike: the lake stores equal files once."""
    files = [folder / f"part-{number:05}" for number in range(max(1, size // FILE_SIZE))]
    for path in files:
        with path.open("wb") as file:
            file.write(os.urandom(64))
            for _ in range(0, size // len(files), BUFFER):
                file.write(block)
    return files


def _plainly(folder: Path, size: int, block: bytes) -> float:
    buffer = memoryview(bytearray(BUFFER))
    began = time.perf_counter()
    for path in _write(folder, size, block):
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                digest.update(buffer[:count])
            os.fsync(file.fileno())
    return time.perf_counter() - began


def _published(home: Path, size: int, block: bytes) -> float:
    lake = GitLake(home)
    began = time.perf_counter()
    lake.create_branch("work", "main")
    with lake.write("work", "data") as write:
        _write(Path(write.root), size, block)
    lake.merge("work", "main", audit=Override("the benchmark", "it measures"))
    seconds = time.perf_counter() - began
    lake.close()
    return seconds


def measure(size: int, rounds: int = 3) -> tuple[float, float]:
    """Return seconds of plain work and of a publication of ``size`` bytes, the best of ``rounds``."""
    plain: list[float] = []
    published: list[float] = []
    block = os.urandom(BUFFER)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            plain.append(_plainly(Path(folder), size, block))
        with tempfile.TemporaryDirectory() as home:
            published.append(_published(Path(home) / "lake", size, block))
    return min(plain), min(published)


def main() -> None:
    """Print both times and their ratio."""
    size = int(float(sys.argv[1] if len(sys.argv) > 1 else 1) * (1 << 30))
    plain, published = measure(size)
    for name, seconds in (("write, hash, sync", plain), ("publication", published)):
        print(f"{name:18} {seconds:6.2f} s  {size / seconds / 1e9:5.2f} GB/s")
    print(f"ratio {published / plain:.2f} (target {TARGET:.2f} or less)")


if __name__ == "__main__":
    main()

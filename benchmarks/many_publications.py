"""What a run costs the lake after many publications, beside after few: ``python -m benchmarks.many_publications``.

``--lake lakefs`` takes 2,000 publications instead of 20,000, on a server of its own; ``--many N`` another number.
Both lakes are made by the functions that runs use, the embedded ones without their syncs. Runs on the one and on the
other take turns, each with a lake opened anew; medians are compared. The target is 1.2 times at most. Of the embedded
lake it says besides what `gc` of all of it costs, and how long no run may publish meanwhile.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from unittest import mock

import pygit2

from lake_assets.lake.audit import Audit, Entry, Override
from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.embedded import GitLake
from lake_assets.lake.embedded.refs import Refs

TARGET = 1.2
FEW, MANY = 100, {"embedded": 20_000, "lakefs": 2_000}
RUNS = 40
GRACE = timedelta(days=14)

Open = Callable[[], Lake]
Times = dict[str, list[float]]


def _place(number: int) -> str:
    hour = datetime(2017, 1, 1) + timedelta(hours=number)
    return f"day={hour:%Y-%m-%d}/hour={hour:%H}"


def _write(lake: Lake, branch: str, prefix: str, place: str, text: str) -> str:
    with lake.write(branch, prefix, partitions=[place] if place else None, metadata={"run_id": branch}) as write:
        folder = "/".join(filter(None, [write.root, place]))
        write.filesystem.create_dir(folder, recursive=True)
        with write.filesystem.open_output_stream(f"{folder}/part-0.parquet") as stream:
            stream.write(text.encode())
    return write.commit_id


def fill(lake: Lake, count: int) -> None:
    """Publish so many hours of `prices`; before the first, `securities`, which stay as they are."""
    allowed = Override("the benchmark", "it fills the lake")
    for number in range(count):
        name = f"run-{number}"
        lake.create_branch(name, MAIN)
        if number == 0:
            _write(lake, name, "securities", "", "as they are")
        _write(lake, name, "prices", _place(number), str(number))
        lake.merge(name, MAIN, f"Publish {name}", {"run_id": name}, allowed)
        lake.delete_branch(name)


def run(open_lake: Open, number: int, times: Times) -> None:
    """Do what a run of one asset does: it reads `securities`, writes an hour of `prices`, and publishes it."""

    def timed(step: str, work: Callable[[], object]) -> None:
        began = time.perf_counter()
        work()
        times[step].append(time.perf_counter() - began)

    name, place = f"run-{number}", _place(number)
    path = f"prices/{place}"
    opened: list[Lake] = []
    timed("open", lambda: opened.append(open_lake()))
    lake = opened[0]
    timed("branch", lambda: lake.create_branch(name, MAIN))
    timed("read", lambda: (lake.head(name), lake.path(name, "securities"), list(lake.list(name, "securities"))))
    timed("provenance", lambda: list(lake.log(name, 1, "securities")))
    timed("write", lambda: _write(lake, name, "prices", place, f"{name} of {os.getpid()}"))
    timed("check", lambda: (lake.path(name, path), list(lake.list(name, path)), lake.diff(MAIN, name, "prices")))
    head = lake.head(name)

    def publish() -> None:
        lake.unreached([head.id, MAIN], [head.id])
        paths = lake.incoming(head.id, MAIN)
        audit = Audit(head.id, (Entry("prices", place, path, ("prices:whole",)),), None, paths)
        lake.merge(head.id, MAIN, f"Publish {name}", {"run_id": name}, audit)

    timed("publish", publish)
    timed("delete branch", lambda: lake.delete_branch(name))
    timed("log 20", lambda: list(lake.log(MAIN, 20)))
    timed("close", lake.close)


def measure(few: Open, many: Open, counts: tuple[int, int], runs: int = RUNS) -> tuple[Times, Times]:
    """Return the seconds of each step of runs on both lakes, which take turns."""
    found: tuple[Times, Times] = (defaultdict(list), defaultdict(list))
    for turn in range(runs):
        both = [(few, counts[0], found[0]), (many, counts[1], found[1])]
        for open_lake, count, times in both if turn % 2 else reversed(both):
            run(open_lake, count + turn, times)
    return found


def collect(home: Path) -> None:
    """Collect the garbage of a lake and print what it cost."""
    held: list[float] = []
    still = Refs.still

    @contextmanager
    def watched(refs: Refs) -> Generator[None]:
        with still(refs):
            began = time.perf_counter()
            yield
            held.append(time.perf_counter() - began)

    with mock.patch.object(Refs, "still", watched):
        for what in ("gc", "gc with nothing to do"):
            began, cpu = time.perf_counter(), time.process_time()
            found = GitLake(home).collect_garbage(GRACE)
            seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
            files = sum(item.count for item in found)
            print(
                f"{what}: {files:,} files in {seconds:.1f} s ({cpu:.1f} s of CPU), no ref may move for {held[-1]:.2f} s"
            )


@contextmanager
def unsynced() -> Generator[None]:
    """Let the disk write when it likes: a lake that is only measured afterwards need not outlive a power loss."""
    with mock.patch("os.fsync"):
        pygit2.settings.enable_fsync_gitdir(False)
        yield
        pygit2.settings.enable_fsync_gitdir(True)


def report(found: tuple[Times, Times], counts: tuple[int, int]) -> None:
    """Print the medians of both and their ratio."""
    medians = [{step: statistics.median(seconds) * 1000 for step, seconds in times.items()} for times in found]
    totals = [statistics.median(map(sum, zip(*times.values(), strict=True))) * 1000 for times in found]
    print(f"{'ms':15} {f'at {counts[0]:,}':>10} {f'at {counts[1]:,}':>10}")
    for step in medians[0]:
        print(f"{step:15} {medians[0][step]:10.2f} {medians[1][step]:10.2f}")
    print(f"{'a run':15} {totals[0]:10.2f} {totals[1]:10.2f}")
    print(f"ratio {totals[1] / totals[0]:.2f} (target {TARGET:.2f} or less)", flush=True)


def main() -> None:
    """Fill both lakes, and print the costs and their ratio."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.many_publications", description=__doc__)
    parser.add_argument("--lake", choices=("embedded", "lakefs"), default="embedded")
    parser.add_argument("--many", type=int)
    options = parser.parse_args()
    counts = FEW, options.many or MANY[options.lake]
    with ExitStack() as running:
        home = Path(running.enter_context(tempfile.TemporaryDirectory()))
        if options.lake == "lakefs":
            opens = _on_lakefs(running, counts)
        else:
            opens = [partial(GitLake, home / str(count)) for count in counts]
        for open_lake, count in zip(opens, counts, strict=True):
            lake = open_lake()
            with unsynced() if options.lake == "embedded" else nullcontext():
                fill(lake, count)
        # The first question for what changed last long ago reads all of history.
        measure(opens[0], opens[1], counts, 1)
        report(measure(opens[0], opens[1], (counts[0] + 1, counts[1] + 1)), counts)
        if options.lake == "embedded":
            collect(home / str(counts[1]))
            after = (counts[0] + 1 + RUNS, counts[1] + 1 + RUNS)
            print("after it:")
            report(measure(opens[0], opens[1], after), counts)


def _on_lakefs(running: ExitStack, counts: tuple[int, int]) -> list[Open]:
    from lake_assets.lake.lakefs import LakeFSLake
    from lake_assets_tests.lakefs_server import CREDENTIALS, own_server

    server = own_server()
    server.start()
    running.callback(server.stop)
    return [partial(LakeFSLake, server.endpoint, *CREDENTIALS, f"lake-{count}") for count in counts]


if __name__ == "__main__":
    main()

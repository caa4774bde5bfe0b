"""The process that forks Spark's Python workers, where they have the driver's disk: it imports pyspark as installed.

Spark puts pyspark as a zip file, and its own jar, at the front of the path. From a zip, Python compiles each module
anew; and before every task a worker calls ``importlib.invalidate_caches()``, which reads the directories of all zip
files again, up to Python 3.11: 0.2 s of CPU time a task. The zips' content is that of the installed package.
"""

from __future__ import annotations

import sys
from pathlib import Path


def without_zips(path: list[str]) -> list[str]:
    """Return a module search path without what Spark has put on it from inside the installed pyspark.

    Parameters
    ----------
    path
        The path, such as ``sys.path``. Zips of another Spark, as ``SPARK_HOME`` may name one, stay.
    """
    installed = [Path(entry, "pyspark") for entry in path if Path(entry, "pyspark", "__init__.py").is_file()]
    return [entry for entry in path if not any(Path(entry).is_relative_to(home) for home in installed)]


if __name__ == "__main__":
    sys.path[:] = without_zips(sys.path)
    for kept in [entry for entry in sys.path_importer_cache if entry not in sys.path]:
        del sys.path_importer_cache[kept]

    from pyspark.daemon import manager

    manager()

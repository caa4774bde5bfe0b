"""Becomes a Spark worker that sees nothing of the driver: started by the tests in a mount namespace of its own.

Arguments: the master, the worker's address, where it has its image, its folder, and the folders that it does not see.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def main(master: str, host: str, image: str, work: str, hidden: list[str]) -> None:
    """Mount what the worker sees, and become it."""
    interpreter = f"{image}-interpreter"
    _bind(sys.prefix, image)
    _bind(sys.base_prefix, interpreter)
    for folder in hidden:
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)
    if not Path(sys.base_prefix).exists():
        # It lies in a hidden folder. A virtual environment names its interpreter by path.
        _bind(interpreter, sys.base_prefix)
    (home,) = Path(image).glob("lib/python3*/site-packages/pyspark")
    program = ["org.apache.spark.deploy.worker.Worker", master, "--host", host, "--cores", "1"]
    options = ["--memory", "1g", "--work-dir", work, "--webui-port", "0"]
    environment = {"PATH": os.environ["PATH"], "SPARK_HOME": str(home)}
    if "JAVA_HOME" in os.environ:
        environment["JAVA_HOME"] = os.environ["JAVA_HOME"]
    os.chdir(work)
    os.execve(f"{home}/bin/spark-class", [f"{home}/bin/spark-class", *program, *options], environment)


def _bind(source: str, target: str) -> None:
    Path(target).mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "--bind", source, target], check=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4], sys.argv[5:])

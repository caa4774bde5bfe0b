"""Jobs of a code location without Spark. Tests copy this file, and change the copy."""

import gc
import os
import time
from pathlib import Path

from dagster import Definitions, asset, define_asset_job, in_process_executor

VERSION = "first"


@asset
def quick() -> None:
    print(f"quick is {VERSION} in {os.getpid()}")
    Path("quick").write_text(f"{VERSION} {os.getpid()} {os.environ.get('LEFT', 'clean')} {Path.cwd()}")


@asset
def leaves() -> None:
    os.environ["LEFT"] = "by another run"
    os.chdir("/")


@asset
def litters() -> None:
    def slowly(phase: str, info: dict[str, int]) -> None:
        if phase == "start" and info["generation"] == 2:
            time.sleep(1)

    gc.callbacks.append(slowly)


@asset
def fails() -> None:
    raise ValueError("as expected")


@asset
def waits() -> None:
    Path("waits").write_text("")
    while not Path("go").exists():
        time.sleep(0.02)


ALL = (quick, leaves, litters, fails, waits)

defs = Definitions(
    assets=ALL,
    executor=in_process_executor,
    jobs=[define_asset_job(f"{item.key.to_user_string()}_job", [item]) for item in ALL],
)

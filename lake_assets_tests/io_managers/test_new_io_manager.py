"""A new IO manager is one class on `LakeIOManager`: here, notes as text files.

To make it real: put the class into `lake_assets/io_managers/notes.py`, and give it as a resource in the definitions.
"""

from __future__ import annotations

import hashlib
from typing import Any

from dagster import InputContext, OutputContext, StaticPartitionsDefinition, asset

from lake_assets.io_managers.inputs import FoundInput
from lake_assets.io_managers.lake_io_manager import LakeIOManager
from lake_assets.io_managers.target import Stored, Target
from lake_assets.lake.contract import Write
from lake_assets_tests.io_managers.conftest import Workbench

DAYS = StaticPartitionsDefinition(["mon", "tue"])


class NotesIOManager(LakeIOManager):
    """Stores a text a partition, and loads it as a text."""

    def _store(self, context: OutputContext, obj: Any, write: Write, target: Target) -> dict[str, Stored]:
        text = str(obj).encode()
        ((key, folder),) = target.folders.items()
        write.filesystem.create_dir(f"{write.root}/{folder}")
        with write.filesystem.open_output_stream(f"{write.root}/{folder}/note.txt") as file:
            file.write(text)
        return {key: Stored(rows=len(text.splitlines()), version=hashlib.sha256(text).hexdigest())}

    def _load(self, context: InputContext, found: FoundInput) -> str:
        ((key, _),) = found.target.folders.items()
        with found.snapshot.filesystem.open_input_stream(f"{found.snapshot.root}/{found.place(key)}/note.txt") as file:
            return file.read().decode()


def test_a_class_of_two_methods_has_branch_commit_and_metadata(workbench: Workbench) -> None:
    workbench.resources["notes_io_manager"] = NotesIOManager(lake=workbench.resources["lake"])
    seen: list[str] = []

    @asset(io_manager_key="notes_io_manager", partitions_def=DAYS)
    def note() -> str:
        return "first\nsecond\n"

    @asset(io_manager_key="notes_io_manager", partitions_def=DAYS)
    def shout(note: str) -> str:
        seen.append(note)
        return note.upper()

    result = workbench.run(note, shout, partition_key="tue")
    assert seen == ["first\nsecond\n"]
    branch = workbench.branch(result)
    assert sorted(item.path for item in workbench.lake.list(branch, "shout")) == [
        "shout/partition=tue/_manifest.json",
        "shout/partition=tue/note.txt",
    ]
    written = next(event for event in result.get_asset_materialization_events() if event.step_key == "shout")
    metadata = written.materialization.metadata
    assert metadata["dagster/row_count"].value == 2
    assert metadata["lake/commit"].value == workbench.lake.head(branch).id

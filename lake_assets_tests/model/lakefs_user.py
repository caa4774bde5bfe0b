"""Somebody with lakeFS's own interface."""

from __future__ import annotations

from typing import Any

from lake_assets.lake.contract import MAIN, Lake
from lake_assets.lake.errors import LakeError
from lake_assets.lake.lakefs import LakeFSLake
from lake_assets.lake.lakefs.api import StatusError
from lake_assets.lake.lakefs.server import ConflictError
from lake_assets.lake.spec import CommitStep
from lake_assets_tests.model.somebody import LIBRARY


class LakeFSUser:
    """Somebody who works on the server itself: its branches, objects and merges."""

    def __init__(self, lake: Lake) -> None:
        assert isinstance(lake, LakeFSLake)
        self._server: Any = lake._server

    def delete(self, branch: str) -> None:
        self._server.delete_branch(branch)

    def reset(self, branch: str, commit: str) -> None:
        self._server.delete_branch(branch)
        self._server.create_branch(branch, commit)

    def put(self, branch: str, path: str, origin: str | None) -> str:
        if origin is not None:
            self._server.upload(branch, path, self._server.content(LIBRARY, origin))
        else:
            self._server.delete(branch, [path])
        try:
            self._server.commit(branch, CommitStep(message=f"Edit {path}"))
        except StatusError as error:
            # Unlike Git, it makes no commit where that stands there already.
            if "no changes" not in error.message:
                raise
        return self._server.head(branch).id

    def merge(self, source: str) -> str | None:
        try:
            made = self._server.merge(source, MAIN, CommitStep(message=f"Merge {source[:7]}"))
        except (ConflictError, LakeError):
            return None
        return made or None

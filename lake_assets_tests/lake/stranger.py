"""Somebody who uses a lakeFS server by its own API, and knows nothing of lake_assets."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lake_assets_tests import lakefs_server
from lake_assets_tests.lakefs_server import CREDENTIALS


class Stranger:
    """One repository, which is made if a default branch is given."""

    def __init__(self, repository: str, default_branch: str = "") -> None:
        self.endpoint = lakefs_server.shared_endpoint()
        self.repository = repository
        self._authorization = "Basic " + b64encode(":".join(CREDENTIALS).encode()).decode()
        if default_branch:
            body = {"name": repository, "storage_namespace": f"local://{repository}", "default_branch": default_branch}
            self.call("POST", "/repositories", body)

    def call(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None) -> Any:
        """Make a call and return its JSON. ``path`` begins at the API's root, or with '.' at the repository."""
        path = f"/repositories/{self.repository}{path[1:]}" if path.startswith(".") else path
        content = raw if raw is not None or body is None else json.dumps(body).encode()
        kind = "application/json" if raw is None else "application/octet-stream"
        request = urllib.request.Request(f"{self.endpoint}/api/v1{path}", content, method=method)
        request.add_header("Authorization", self._authorization)
        request.add_header("Content-Type", kind)
        with urllib.request.urlopen(request) as answer:
            found = answer.read()
        return json.loads(found) if answer.headers.get_content_type() == "application/json" else found

    def put(self, branch: str, path: str, content: bytes = b"1") -> None:
        self.call("POST", f"./branches/{branch}/objects?path={quote(path, safe='')}", raw=content)

    def commit(self, branch: str, message: str = "By hand") -> str:
        return self.call("POST", f"./branches/{branch}/commits", {"message": message})["id"]

    def unprotect(self) -> None:
        """Remove the rules that protect branches, and wait until the server has noticed."""
        self.call("PUT", "./settings/branch_protection", [])
        self._until(lambda: self.call("DELETE", "./branches/main/objects?path=nothing"))

    def forget(self) -> None:
        """Wait until the server has forgotten the repository, which was deleted."""

        def gone() -> None:
            try:
                self.call("GET", ".")
            except urllib.error.HTTPError as error:
                if error.code == 404:
                    return
            raise urllib.error.URLError("it is still there")

        self._until(gone)

    @staticmethod
    def _until(act: Callable[[], object]) -> None:
        end = time.monotonic() + 30
        while True:
            try:
                act()
            except urllib.error.URLError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
            else:
                return

    def branch(self, name: str, source: str = "main") -> None:
        self.call("POST", "./branches", {"name": name, "source": source})

    def merge(self, source: str, into: str = "main") -> str:
        return self.call("POST", f"./refs/{source}/merge/{into}", {"message": f"Merge {source} by hand"})["reference"]

    def publish(self, *paths: str, content: bytes = b"1") -> str:
        """Bring objects to ``main`` by a branch and a merge, as lakeFS's own page does. Return the merge."""
        self.branch("by-hand")
        for path in paths:
            self.put("by-hand", path, content)
        self.commit("by-hand")
        merged = self.merge("by-hand")
        self.call("DELETE", "./branches/by-hand")
        return merged

    def unpublish(self, *paths: str) -> str:
        """Remove objects from ``main`` in the same way."""
        self.branch("by-hand")
        self.call("POST", "./branches/by-hand/objects/delete", {"paths": list(paths)})
        self.commit("by-hand")
        merged = self.merge("by-hand")
        self.call("DELETE", "./branches/by-hand")
        return merged

    def objects(self, ref: str) -> dict[str, tuple[int, str]]:
        """Return size and checksum of every object, ours included, by path."""
        found: dict[str, tuple[int, str]] = {}
        after = ""
        while True:
            page = self.call("GET", f"./refs/{ref}/objects/ls?amount=1000&after={quote(after, safe='')}")
            found |= {item["path"]: (item["size_bytes"], item["checksum"]) for item in page["results"]}
            if not page["pagination"]["has_more"]:
                return found
            after = page["pagination"]["next_offset"]

    def content(self, ref: str, path: str) -> bytes:
        return self.call("GET", f"./refs/{ref}/objects?path={quote(path, safe='')}")

    def stored(self, ref: str, path: str) -> Path:
        """Return the file in the server's store that holds an object's bytes."""
        item = self.call("GET", f"./refs/{ref}/objects/stat?path={quote(path, safe='')}")
        return Path(item["physical_address"].removeprefix("local://"))

    def require_metadata(self, *names: str) -> None:
        """Let a hook refuse every commit and merge whose metadata lack one of these."""
        lines = [f'if action.commit.metadata["{name}"] == nil then error("{name} is missing") end' for name in names]
        script = "".join(f"          {line}\n" for line in lines)
        action = (
            "name: metadata\non:\n  pre-commit:\n  pre-merge:\nhooks:\n  - id: metadata\n    type: lua\n"
            f"    properties:\n      script: |\n{script}"
        )
        self.put("main", "_lakefs_actions/metadata.yaml", action.encode())

"""Which commit changed a folder last, determined from commit metadata.

The server's own log of a prefix is slow, since it compares each commit with its parent. A write's commit lists the
folders that it changed, so the plain log is enough. An answer that took more than one page is cached in the
repository's metadata.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any

from lake_assets.lake.contract import Commit
from lake_assets.lake.errors import LakeError
from lake_assets.lake.lakefs.api import StatusError
from lake_assets.lake.lakefs.known import Written
from lake_assets.lake.lakefs.server import Server
from lake_assets.lake.names import is_within
from lake_assets.lake.newest import Answer, Found, newest_change

_KEPT = "newest_"
"""Prefix of the keys of cached answers in the repository's metadata."""
_MOST = 500
"""Maximal number of cached answers. If there are more, such as after a migration, all are dropped."""
_AT_ONCE = 200
"""Commits in a page."""
_COMPARED = 20
"""Maximal number of commits that are compared because they do not list their folders. Then the server's log is used."""


class _TooManyComparedError(Exception):
    """Too many commits do not list the folders that they changed."""


def find_newest(server: Server, ref: str, prefix: str) -> Commit | None:
    """Return the newest commit that changed a prefix, among a ref's commit and its ancestors. None if none did."""
    if server.known.changed(ref, prefix):
        return server.commit_at(ref)
    key = f"{_KEPT}{sha256(prefix.encode()).hexdigest()[:32]}"
    read = 0
    compared = 0

    def history() -> Iterator[tuple[str, Sequence[str], Mapping[str, Any]]]:
        nonlocal read
        for item in server.raw_log(ref, _AT_ONCE):
            read += 1
            yield item["id"], item["parents"], item

    def changed(item: Mapping[str, Any]) -> bool:
        nonlocal compared
        # Merges are skipped, as in the server's log of a prefix.
        if len(item["parents"]) != 1:
            return False
        written = Written.parse(item["metadata"])
        answer = written.changed(prefix, item["parents"]) if written is not None else None
        if answer is None:
            compared += 1
            if compared > _COMPARED:
                raise _TooManyComparedError
            differing = server.diff(item["parents"][0], item["id"], prefix)
            answer = any(is_within(found["path"], prefix) for found in differing)
        if answer:
            server.learn(item)
        return answer

    try:
        found = newest_change(history(), changed, Answer.parse(server.note(key)))
    except _TooManyComparedError:
        head = server.head(ref).id
        newest = next(server.log(head, 1, prefix), None)
        found, read = Found(Answer(head, newest.id if newest else None), compared), _AT_ONCE + 1
    if found is None:
        return None
    if read > _AT_ONCE:
        # If this user may not write metadata, the answer is not cached, and the next search repeats the work.
        with suppress(LakeError, StatusError):
            server.forget_notes(_KEPT, _MOST)
            server.set_note(key, found.answer.render())
    return None if found.answer.newest is None else server.commit_at(found.answer.newest)

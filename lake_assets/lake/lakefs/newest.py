"""Which commit changed a folder last, by what commits say of themselves: the server's log of a prefix compares each.

A write's commit says which folders it changed, so pages of the plain log are enough, and few of them: the answer is
kept in the repository's metadata, where it took more than one.
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
"""How the keys of answers begin in the repository's metadata."""
_MOST = 500
"""Answers that are kept; of more, such as a migration asks for, none is, and they are made anew."""
_AT_ONCE = 200
"""Commits of a page."""
_COMPARED = 20
"""Commits that do not say what they changed: of more, such as of an older program's, the server is asked at once."""


class _UntoldError(Exception):
    """Too many commits do not say what they changed."""


def find_newest(server: Server, ref: str, prefix: str) -> Commit | None:
    """Return the newest commit that changed a prefix, of a ref and what it descends from."""
    if server.known.changed(ref, prefix):
        return server.commit_at(ref)
    key = f"{_KEPT}{sha256(prefix.encode()).hexdigest()[:32]}"
    read = 0
    untold = 0

    def history() -> Iterator[tuple[str, Sequence[str], Mapping[str, Any]]]:
        nonlocal read
        for item in server.raw_log(ref, _AT_ONCE):
            read += 1
            yield item["id"], item["parents"], item

    def changed(item: Mapping[str, Any]) -> bool:
        nonlocal untold
        # As in the server's log of a prefix, a merge is none of its commits.
        if len(item["parents"]) != 1:
            return False
        told = Written.parse(item["metadata"])
        answer = told.changed(prefix, item["parents"]) if told is not None else None
        if answer is None:
            untold += 1
            if untold > _COMPARED:
                raise _UntoldError
            differing = server.diff(item["parents"][0], item["id"], prefix)
            answer = any(is_within(found["path"], prefix) for found in differing)
        if answer:
            server.learn(item)
        return answer

    try:
        found = newest_change(history(), changed, Answer.parse(server.note(key)))
    except _UntoldError:
        head = server.head(ref).id
        newest = next(server.log(head, 1, prefix), None)
        found, read = Found(Answer(head, newest.id if newest else None), untold), _AT_ONCE + 1
    if found is None:
        return None
    if read > _AT_ONCE:
        # Where this user may not, the next one reads as much.
        with suppress(LakeError, StatusError):
            server.forget_notes(_KEPT, _MOST)
            server.set_note(key, found.answer.render())
    return None if found.answer.newest is None else server.commit_at(found.answer.newest)

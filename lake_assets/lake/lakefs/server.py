"""The operations of a lakeFS repository that the lake needs, each as one call or as the pages of a listing."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from itertools import islice
from os.path import commonprefix
from typing import Any
from urllib.parse import quote
from uuid import uuid4

from lake_assets.lake.audit import RECORD
from lake_assets.lake.contract import MAIN, Commit
from lake_assets.lake.errors import (
    AlreadyExists,
    LakeError,
    LakeNotFound,
    LakeUnavailable,
    Mendable,
    PathNotFound,
    RefNotFound,
    RepositoryNotFound,
)
from lake_assets.lake.format import FIRST
from lake_assets.lake.format import FORMAT as LAKE_FORMAT
from lake_assets.lake.lakefs import private
from lake_assets.lake.lakefs.api import PAGE, Api, StatusError
from lake_assets.lake.lakefs.known import known_of
from lake_assets.lake.moments import utc
from lake_assets.lake.names import is_commit_id, is_within
from lake_assets.lake.spec import CommitStep

KEY = ".lake.key"
"""Commit metadata key: a unique value, by which a commit or merge is found whose answer was lost."""

FORMAT = ".lake.format"
"""Commit metadata key of our first commit, which adds :data:`END`. Readers see the lake's history from there on."""

END = "\U0010ffff.lake"
"""An object in every commit whose path sorts after all data. It works around a bug of lakeFS.

lakeFS 1.84 merges by walking the sorted paths of both sides. When it has reached the end of one side, it drops a file
that only the other side has, if the next file of the merge base has the same content (`handleAll` in its merge.go
compares contents, not paths). Because of this object, neither side ends before the data do.
"""

_NUMBER = "format"
"""Repository metadata key: the lake's format."""
_NOTE = "lake_assets_"
"""Prefix of our keys in the repository's metadata."""

_NOTES: dict[str, tuple[float, Mapping[str, str]]] = {}
"""Cache of repositories' metadata and their time. It is shared, as each IO manager of a run opens its own lake."""
_NOTES_STAY = 60.0
"""Seconds after which cached metadata are read again."""

_RULES = "/settings/branch_protection"
_PROTECTED = "branch_"
"""Beginning of the key of a working branch in the repository's metadata. Two processes may add keys at once."""

RECENT = 1000
"""Number of commits searched for a key: more than can be made on a branch while a call is retried."""


class ConflictError(Exception):
    """The server refuses a merge or revert, since both sides changed a path. It does not say which path."""


class Server:
    """A repository on a server.

    Parameters
    ----------
    api
        The API of the repository.
    commit_metadata
        Metadata that every commit carries besides its own, such as what a hook of the repository requires.
    """

    def __init__(self, api: Api, commit_metadata: Mapping[str, str] | None = None) -> None:
        self._api = api
        self._commit_metadata = dict(commit_metadata or {})
        self.name = api.name
        self.known = known_of(api.name)

    # Repository

    def open(self, storage_namespace: str, *, create: bool = True) -> None:
        """Create the repository if it is missing, with a protected ``main`` and with :data:`END`.

        Any number of processes may do this at the same time.

        Parameters
        ----------
        storage_namespace
            Where a new repository keeps its objects.
        create
            Create it. Otherwise raise :class:`LakeNotFound`.
        """
        try:
            found: Any = self.object(MAIN, END)
            if found is not None:
                if not isinstance(found, dict) or found.get("path") != END:
                    raise self._api.not_lakefs("what an object is with something else")
                return
            self._refuse_unready(self._repository()["default_branch"])
        except RepositoryNotFound:
            if not create:
                raise LakeNotFound("there is no repository of that name", repository=self.name) from None
            self._api.create_repository(storage_namespace)
        self.set_rule(MAIN, wanted=True)
        place = private.name_for(MAIN)
        self.create_branch(place, MAIN)
        try:
            if self.object(place, END) is None:
                # If several processes do this, their contents differ, and only one merge succeeds.
                self.upload(place, END, uuid4().hex.encode())
                self.commit(place, CommitStep(message="Format"))
                # Set the format before other processes see the lake: without it, they assume the first format.
                self.set_format(LAKE_FORMAT)
                with suppress(ConflictError):
                    step = CommitStep(message="Format", metadata={FORMAT: "1", RECORD: "[]"})
                    self.merge(place, MAIN, step, squash_merge=True)
        finally:
            self.delete_branch(place)

    def _refuse_unready(self, default: str) -> None:
        """Raise if a repository that others made must be mended before it can be a lake."""
        try:
            left = paths_of(self.uncommitted(MAIN))
        except (RefNotFound, RepositoryNotFound) as error:
            if default == MAIN:
                # The server remembers a deleted repository for some seconds.
                raise RepositoryNotFound("the repository was deleted", repository=self.name) from error
            reason = (
                f"this repository's branch is {default!r}, and it has no {MAIN!r}, which is what is published: "
                f"`lake-assets doctor --mend` makes {MAIN!r} from {default!r}"
            )
            raise Mendable(reason, repository=self.name, mend=lambda: self._make_main(default)) from error
        if left:
            some = f"{left[0]!r}{f' and {len(left) - 1} more' if len(left) > 1 else ''}"
            reason = (
                f"{MAIN} has uncommitted changes of another program, {some}: commit them in lakeFS, or "
                "`lake-assets doctor --mend` drops them"
            )
            raise Mendable(reason, repository=self.name, ref=MAIN, mend=lambda: self._drop_left(some))

    def _make_main(self, source: str) -> str:
        with suppress(AlreadyExists):
            self.create_branch(MAIN, source)
        return f"made {MAIN} from {source}"

    def _drop_left(self, some: str) -> str:
        self.reset(MAIN)
        return f"dropped uncommitted changes of {MAIN}: {some}"

    def _repository(self) -> dict[str, Any]:
        try:
            return self._api.call("GET", "")
        except RefNotFound as error:
            raise self._api.not_lakefs("404 where the repository is") from error

    def without_rule(self) -> list[str]:
        """Return the protected branches that no rule of the server protects, sorted."""
        patterns = [rule["pattern"] for rule in self._api.call("GET", _RULES)]
        existing = {name for name, _ in self.branches()}
        return sorted(
            name for name in self.protected() & existing if not any(fnmatchcase(name, pattern) for pattern in patterns)
        )

    def format(self) -> int:
        """Return the number of the lake's format, which is stored in the repository's metadata."""
        return int(self.note(_NUMBER) or FIRST)

    def set_format(self, number: int) -> None:
        """Store the number of the lake's format."""
        self.set_note(_NUMBER, str(number))

    def note(self, key: str) -> str:
        """Return a value of the repository's metadata, cached for a minute. Empty if there is none."""
        asked, notes = _NOTES.get(self.name, (-_NOTES_STAY, {}))
        if time.monotonic() - asked > _NOTES_STAY:
            notes = self._api.call("GET", "/metadata")
            _NOTES[self.name] = time.monotonic(), notes
        return notes.get(_NOTE + key, "")

    def forget_notes(self, beginning: str, most: int) -> None:
        """Remove all repository metadata whose keys have a prefix, if there are more than ``most``."""
        keys = [key for key in self._api.call("GET", "/metadata") if key.startswith(_NOTE + beginning)]
        if len(keys) > most:
            self._api.call("DELETE", "/metadata", body={"keys": keys})

    def set_note(self, key: str, value: str) -> None:
        """Set a value of the repository's metadata. Other keys are unchanged."""
        self._api.call("POST", "/metadata", body={"metadata": {_NOTE + key: value}})
        _NOTES.pop(self.name, None)

    def is_protected(self, branch: str) -> bool:
        """Tell whether only a merge changes a branch. One that another process just made counts after a minute."""
        return branch == MAIN or bool(self.note(_PROTECTED + branch))

    def protected(self) -> set[str]:
        """Return ``main`` and the names of the working branches. Some of these may have no branch."""
        _NOTES.pop(self.name, None)
        beginning = _NOTE + _PROTECTED
        self.note("")
        return {MAIN, *(key[len(beginning) :] for key in _NOTES[self.name][1] if key.startswith(beginning))}

    def protect(self, branch: str) -> None:
        """Let only a merge change a branch, also for other programs."""
        self.set_note(_PROTECTED + branch, "protected")
        self.set_rule(branch, wanted=True)

    def unprotect(self, branch: str) -> None:
        """Remove the protection of a working branch that was deleted."""
        self._api.call("DELETE", "/metadata", body={"keys": [_NOTE + _PROTECTED + branch]})
        _NOTES.pop(self.name, None)
        self.set_rule(branch, wanted=False)

    def set_rule(self, branch: str, *, wanted: bool) -> None:
        """Add or remove the server's rule for a branch."""

        def changed(rules: list[dict[str, Any]]) -> list[dict[str, Any]]:
            if wanted and any(rule["pattern"] == branch for rule in rules):
                return rules
            return [*(rule for rule in rules if rule["pattern"] != branch), *[{"pattern": branch}] * wanted]

        self._api.change_setting(_RULES, changed)

    # Refs

    def head(self, ref: str) -> Commit:
        """Return the commit of a ref."""
        query = {"amount": "1", "limit": "true"}
        page = self._api.call("GET", f"/refs/{_quoted(ref)}/commits", query=query, ref=ref)
        return self.learn(page["results"][0])

    def commit_at(self, name: str) -> Commit:
        """Return a commit by its id, from the cache if it is there."""
        return self.known.commit(name) or self.head(name)

    def learn(self, item: Mapping[str, Any]) -> Commit:
        """Convert the server's JSON of a commit to a commit, and cache it."""
        return self.known.learn(_commit(item))

    def branches(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the commit id of each branch, sorted by name."""
        for item in self._api.pages("/branches", {}):
            yield item["id"], item["commit_id"]

    def tags(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the commit id of each tag, sorted by name."""
        for item in self._api.pages("/tags", {}):
            yield item["id"], item["commit_id"]

    def create_branch(self, name: str, source: str) -> str:
        """Create a branch and return its commit id.

        Parameters
        ----------
        name
            Name of the branch.
        source
            The ref that it starts at.

        Raises
        ------
        AlreadyExists
            A branch of that name existed before this call.
        """

        def made() -> str | None:
            # A branch of that name at another commit was not created by the failed call.
            commit = next((commit for branch, commit in self.branches() if branch == name), None)
            return commit if commit is not None and commit == self.head(source).id else None

        try:
            body = {"name": name, "source": source}
            made_at = self._api.call("POST", "/branches", body=body, ref=source, recover=made)
            return made_at.decode() if isinstance(made_at, bytes) else made_at
        except StatusError as error:
            raise self._exists(error, "a branch of that name already exists", name) from error

    def delete_branch(self, name: str) -> None:
        """Delete a branch. It is not an error if a retry finds it already deleted."""
        self._api.call("DELETE", f"/branches/{_quoted(name)}", ref=name, done=404)

    def create_tag(self, name: str, ref: str) -> None:
        """Create a tag.

        Parameters
        ----------
        name
            Name of the tag.
        ref
            The ref whose commit is tagged.

        Raises
        ------
        AlreadyExists
            A tag of that name exists.
        """
        try:
            self._api.call("POST", "/tags", body={"id": name, "ref": ref}, ref=ref)
        except StatusError as error:
            raise self._exists(error, "a tag of that name already exists", name) from error

    def log(self, ref: str, limit: int | None, prefix: str | None, *, first_parent: bool = False) -> Iterator[Commit]:
        """Yield commits, newest first.

        Parameters
        ----------
        ref
            The ref to start at.
        limit
            Maximal number of commits.
        prefix
            Yield only commits that changed this folder or file.
        first_parent
            Leave out commits of branches that were merged.
        """
        query: dict[str, str | list[str]] = {}
        if prefix:
            query = {"prefixes": [f"{prefix}/"], "objects": [prefix]}
        if first_parent:
            query["first_parent"] = "true"
        if limit is not None and limit <= PAGE:
            query |= {"amount": str(limit), "limit": "true"}
            found = iter(self._api.call("GET", f"/refs/{_quoted(ref)}/commits", query=query, ref=ref)["results"])
        else:
            found = self._api.pages(f"/refs/{_quoted(ref)}/commits", query, ref=ref)
        yield from map(self.learn, islice((item for item in found if item["parents"]), limit))

    def raw_log(self, ref: str, at_once: int) -> Iterator[dict[str, Any]]:
        """Yield commits as the server's JSON, newest first, ``at_once`` in a page."""
        yield from self._api.pages(f"/refs/{_quoted(ref)}/commits", {"amount": str(at_once)}, ref=ref)

    def merge_base(self, source: str, destination: str) -> tuple[str, str, str]:
        """Return the commit ids of both refs, and of their merge base."""
        path = f"/refs/{_quoted(source)}/merge/{_quoted(destination)}"
        found = self._api.call("GET", path, ref=f"{source} into {destination}")
        # lakeFS 1.84 swaps the two ids in its answer. So find out which is which, in case a later version is right.
        both = {found["source_commit_id"], found["destination_commit_id"]}
        theirs = source if is_commit_id(source) else self.head(source).id
        return theirs, next(iter(both - {theirs}), theirs), found["base_commit_id"]

    # Changing branches

    def commit(self, branch: str, step: CommitStep) -> str:
        """Commit the staged changes of a branch, and return the commit's id.

        Parameters
        ----------
        branch
            The branch.
        step
            Message and metadata of the commit.
        """
        key = uuid4().hex
        body = self._keyed(step, key)
        path = f"/branches/{_quoted(branch)}/commits"
        made = self._api.call("POST", path, body=body, ref=branch, recover=lambda: self._commit_of(branch, key))
        return made["id"]

    def merge(self, source: str, into: str, step: CommitStep, **options: Any) -> str | None:
        """Merge, and return the id of the new head. None if there is nothing to merge.

        Parameters
        ----------
        source, into
            The ref to merge, and the branch to merge into.
        step
            Message and metadata of the merge commit.
        options
            Further options of the server's call.

        Raises
        ------
        ConflictError
            Both sides changed a path.
        """
        key = uuid4().hex
        body = {**self._keyed(step, key), **options}
        path = f"/refs/{_quoted(source)}/merge/{_quoted(into)}"
        return self._change(path, body, ref=f"{source} into {into}", branch=into, key=key, answer="reference")

    def revert(self, branch: str, commit: str, step: CommitStep) -> str | None:
        """Undo a commit on a branch, against its first parent. None if nothing is left to undo.

        Parameters
        ----------
        branch, commit
            The branch, and the commit to undo.
        step
            Message and metadata of the new commit.

        Raises
        ------
        ConflictError
            A later commit changed one of the paths.
        """
        key = uuid4().hex
        body = {"ref": commit, "parent_number": 1, "commit_overrides": self._keyed(step, key)}
        path = f"/branches/{_quoted(branch)}/revert"
        return self._change(path, body, ref=f"{commit} on {branch}", branch=branch, key=key, answer="id")

    def _keyed(self, step: CommitStep, key: str) -> dict[str, Any]:
        return {"message": step.message, "metadata": {**self._commit_metadata, **step.metadata, KEY: key}}

    def _change(self, path: str, body: Any, *, ref: str, branch: str, key: str, answer: str) -> str | None:
        def done() -> dict[str, str] | None:
            found = self._commit_of(branch, key)
            return {answer: found["id"]} if found else None

        try:
            made = self._api.call("POST", path, body=body, ref=ref, recover=done)
        except StatusError as error:
            if error.status == 409:
                raise ConflictError from error
            if "no changes" in error.message:
                return None
            raise self._refused(error, ref, branch) from error
        return made[answer] if isinstance(made, dict) and answer in made else self.head(branch).id

    def _commit_of(self, branch: str, key: str) -> dict[str, str] | None:
        """Return the commit of a branch that has a key, or None."""
        for commit in self._api.pages(f"/refs/{_quoted(branch)}/commits", {}, ref=branch, most=RECENT):
            if commit["metadata"].get(KEY) == key:
                return commit
        return None

    def reset(self, branch: str) -> None:
        """Drop the staged changes of a branch."""
        self._api.call("PUT", f"/branches/{_quoted(branch)}", body={"type": "reset"}, ref=branch)

    def keep_days(self, days: int) -> None:
        """Set for how many days the server's garbage collection keeps the data of old commits."""
        self._api.call("PUT", "/settings/gc_rules", body={"default_retention_days": days, "branches": []})

    # Objects

    def objects(self, ref: str, prefix: str, limit: int | None = None, after: str = "") -> Iterator[dict[str, Any]]:
        """Yield the objects whose path begins with ``prefix`` and sorts after ``after``, sorted by path."""
        path = f"/refs/{_quoted(ref)}/objects/ls"
        if limit is not None:
            query = {"prefix": prefix, "amount": str(limit), "after": after}
            yield from self._api.call("GET", path, query=query, ref=ref, folder=prefix)["results"]
            return
        yield from self._api.pages(path, {"prefix": prefix}, ref=ref, folder=prefix, after=after)

    def inside(self, ref: str, folders: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the objects at or below some folders, none of which lies in another, sorted by path.

        It takes at most one call for each folder and thousand objects. Where folders lie close, a call is enough for
        many of them.

        Parameters
        ----------
        ref
            The ref to read.
        folders
            The folders.
        """
        waiting = deque(sorted(set(folders), key=str.encode))
        shared = commonprefix(waiting)  # noqa: RUF071 - a prefix of names, which may end within one
        after = ""
        path = f"/refs/{_quoted(ref)}/objects/ls"
        while waiting:
            after = max(after, _just_before(waiting[0]), key=str.encode)
            query = {"prefix": shared, "amount": str(PAGE), "after": after}
            page = self._api.call("GET", path, query=query, ref=ref, folder=shared)
            for item in page["results"]:
                after = item["path"]
                while waiting and _is_behind(after, waiting[0]):
                    waiting.popleft()
                if not waiting:
                    return
                if is_within(after, waiting[0]):
                    yield item
            if not page["pagination"]["has_more"]:
                return

    def object(self, ref: str, path: str) -> dict[str, Any] | None:
        """Return the object at exactly this path, or None."""
        try:
            return self._api.call(
                "GET", f"/refs/{_quoted(ref)}/objects/stat", query={"path": path}, ref=ref, folder=path
            )
        except RefNotFound:
            return None

    def link(self, branch: str, item: Mapping[str, Any]) -> None:
        """Put an object of another commit on a branch. Its bytes are not copied, and must be there.

        Parameters
        ----------
        branch
            The branch.
        item
            The object, as :meth:`object` returns it.
        """
        *others, last = _addresses(item["physical_address"])
        for address in others:
            self._stage(branch, item, address)
            with suppress(LakeError):
                next(self.blocks(branch, item["path"]), None)
                return
        self._stage(branch, item, last)
        next(self.blocks(branch, item["path"]), None)

    def _stage(self, branch: str, item: Mapping[str, Any], address: str) -> None:
        body = {
            "physical_address": address,
            "checksum": item["checksum"],
            "size_bytes": item["size_bytes"],
            "content_type": item.get("content_type", ""),
            "metadata": item.get("metadata") or {},
        }
        path = item["path"]
        where = f"/branches/{_quoted(branch)}/objects"
        self._api.call("PUT", where, query={"path": path}, body=body, ref=branch, folder=path)

    def content(self, ref: str, path: str) -> bytes:
        """Return the bytes of a small object."""
        return self._api.call("GET", f"/refs/{_quoted(ref)}/objects", query={"path": path}, ref=ref, folder=path)

    def blocks(self, ref: str, path: str) -> Iterator[bytes]:
        """Yield the bytes of an object block by block."""
        yield from self._api.blocks(f"/refs/{_quoted(ref)}/objects", {"path": path}, ref=ref, folder=path)

    def upload(self, branch: str, path: str, content: bytes) -> None:
        """Write a small object."""
        where = f"/branches/{_quoted(branch)}/objects"
        self._api.call("POST", where, query={"path": path}, body=content, ref=branch, folder=path)

    def delete(self, branch: str, paths: Sequence[str]) -> None:
        """Delete objects, a thousand with each call.

        Parameters
        ----------
        branch
            The branch.
        paths
            Paths of the objects.

        Raises
        ------
        LakeUnavailable
            The server's answer lists objects that it could not delete.
        """
        for start in range(0, len(paths), PAGE):
            body = {"paths": list(paths[start : start + PAGE])}
            answer = self._api.call("POST", f"/branches/{_quoted(branch)}/objects/delete", body=body, ref=branch)
            errors = answer.get("errors") if isinstance(answer, dict) else None
            if errors:
                reason = f"lakeFS did not delete {len(errors)} objects: {errors[0].get('message')}; run it again"
                raise LakeUnavailable(reason, repository=self.name, ref=branch, path=errors[0].get("path", ""))

    # Differences

    def uncommitted(self, branch: str) -> Iterator[dict[str, Any]]:
        """Yield the staged changes of a branch: ``type`` (added, removed, changed), ``path`` and ``size_bytes``."""
        return self._api.pages(f"/branches/{_quoted(branch)}/diff", {}, ref=branch)

    def diff(self, left: str, right: str, prefix: str = "") -> Iterator[dict[str, Any]]:
        """Yield the differences between two refs, in the form of :meth:`uncommitted`.

        Parameters
        ----------
        left, right
            The refs.
        prefix
            Compare only paths with this prefix.
        """
        path = f"/refs/{_quoted(left)}/diff/{_quoted(right)}"
        query = {"type": "two_dot", "prefix": prefix}
        return self._api.pages(path, query, ref=f"{left}..{right}", folder=prefix)

    # Errors

    def _exists(self, error: StatusError, reason: str, name: str) -> Exception:
        if error.status == 409:
            return AlreadyExists(reason, repository=self.name, ref=name)
        return self._refused(error, name)

    def _refused(self, error: StatusError, ref: str, branch: str = "") -> Exception:
        if "dirty" in error.message.lower() or "uncommitted" in error.message.lower():
            which = "" if branch in ("", MAIN) else f" --branch {branch}"
            reason = (
                f"the branch {branch or ref!r} has uncommitted changes of another program: "
                f"`lake-assets doctor --mend{which}` drops them"
            )
            return LakeUnavailable(f"{reason} ({error})", repository=self.name, ref=ref)
        return LakeUnavailable(f"lakeFS refuses this ({error})", repository=self.name, ref=ref)

    def missing(self, ref: str, path: str) -> PathNotFound:
        """Return the error for a missing path."""
        return PathNotFound("nothing is there", repository=self.name, ref=ref, path=path)


def _quoted(ref: str) -> str:
    return quote(ref, safe="")


def _commit(item: Mapping[str, Any]) -> Commit:
    # Keys that begin with a dot are internal to lakeFS or to this program.
    metadata = {key: value for key, value in item["metadata"].items() if not key.startswith(".")}
    when = utc(item["creation_date"])
    parents = () if FORMAT in item["metadata"] else tuple(item["parents"])
    return Commit(item["id"], parents, item["message"], metadata, when)


def _is_behind(path: str, folder: str) -> bool:
    """Tell whether a path sorts behind a folder and all that lies in it."""
    return path.encode() >= f"{folder}0".encode()


def _just_before(path: str) -> str:
    """Return a text that sorts before a path and behind most that does."""
    last = ord(path[-1]) - 1
    return path[:-1] + (chr(last) + "\U0010ffff" if last > 0x20 and not 0xD800 <= last < 0xE000 else "")


def _addresses(address: str) -> list[str]:
    """Return what the server may take for the address of an object whose address it shows.

    A local store shows its folder twice in the address of an object that was linked before.
    """
    scheme, _, place = address.partition("://")
    twice = re.match(r"(/.+)\1(?=/)", place) if scheme == "local" else None
    return [f"{scheme}://{place[len(twice[1]) :]}", address] if twice else [address]


def paths_of(items: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the paths of objects or differences."""
    return [item["path"] for item in items]

"""Calls to a lakeFS server: deadline, retries and error translation. The only module that imports `lakefs_client`."""

from __future__ import annotations

import json
import random
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from lakefs_client import ApiClient, Configuration
from urllib3 import PoolManager, Timeout
from urllib3.exceptions import HTTPError

from lake_assets.lake.contract import MAIN
from lake_assets.lake.errors import (
    AlreadyExists,
    LakeError,
    LakeUnavailable,
    ProtectedBranch,
    RefNotFound,
    RepositoryNotFound,
    WriteRefused,
)
from lake_assets.lake.lakefs import connection
from lake_assets.lake.lakefs.address import masked
from lake_assets.text.masking import mask

PAGE = 1000
"""Maximal number of results in one page of a listing: the server's limit."""

Query = Mapping[str, str | list[str]]

_TRANSIENT = frozenset({408, 423, 429, 500, 502, 503, 504})
_LONGEST_PAUSE = 5.0
_BLOCK = 1 << 20

# HTTP status to error. The callers handle 400 and 409, whose meaning depends on the call.
_ERRORS: Mapping[int, tuple[type[LakeError], str]] = {
    401: (LakeUnavailable, "lakeFS refuses these credentials: check LAKEFS_ACCESS_KEY_ID and LAKEFS_SECRET_ACCESS_KEY"),
    403: (ProtectedBranch, "lakeFS forbids this: the branch is protected, or this user lacks the permission"),
    404: (RefNotFound, "no branch, tag or commit of that name"),
    409: (AlreadyExists, "it already exists"),
    410: (LakeUnavailable, "the repository, or this object's data, was removed from lakeFS's store"),
    412: (WriteRefused, "a hook of the repository refused it; see the Actions tab of lakeFS"),
}
_NO_REPOSITORY = "lakeFS has no such repository, or no longer: check LAKEFS_REPOSITORY; a first run makes a new one"


class StatusError(Exception):
    """The server answered with an error.

    Parameters
    ----------
    status
        HTTP status code.
    message
        The server's message.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        # A hook's message has several lines.
        self.message = " ".join(message.split())
        super().__init__(f"{status}: {self.message}")


class _BrokenAnswerError(Exception):
    """The server's answer is not what its header says, such as half of a JSON document."""


class Api:
    """The API of one repository.

    Parameters
    ----------
    endpoint
        The server, such as ``http://127.0.0.1:8000``.
    access_key, secret_key
        Credentials. They never appear in a repr, message or log.
    repository
        Repository id.
    deadline
        Seconds that a call may take, with all its tries and answers.
    """

    def __init__(self, endpoint: str, access_key: str, secret_key: str, repository: str, deadline: float) -> None:
        # Retries are done in call(), which knows how to repeat a call safely.
        configuration = Configuration(host=f"{endpoint}/api/v1/repositories")
        configuration.connection_pool_maxsize = 16
        client: Any = ApiClient(configuration)
        self._pools: PoolManager = client.rest_client.pool_manager
        connection.bound(self._pools)
        self._host: str = configuration.host
        self._endpoint = endpoint
        self._authorization = "Basic " + b64encode(f"{access_key}:{secret_key}".encode()).decode()
        self._deadline = deadline
        self._counting = threading.Lock()
        self.name = mask(f"{endpoint}/{repository}")
        self._repository = repository
        self._root = f"/{quote(repository, safe='')}"
        self.calls: Counter[str] = Counter()
        """Number of calls by operation, including retries: ``{"POST branches": 2, …}``."""

    def __repr__(self) -> str:
        return f"Api({self.name!r})"

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        ref: str = "",
        folder: str = "",
        recover: Callable[[], Any] | None = None,
        done: int | None = None,
        parent: bool = False,
    ) -> Any:
        """Make one call and return its JSON, or its bytes.

        Transient failures are retried with jittered pauses until the deadline. ``recover`` and ``done`` make that safe
        for calls that must not take effect twice.

        Parameters
        ----------
        method, path, query, body
            The request. The path is relative to the repository.
        ref, folder
            For errors.
        recover
            Called before a retry. Returns the answer if the failed call took effect after all, otherwise None.
        done
            A status that means, when a retry gets it, that the failed call took effect.
        parent
            Send the request to the list of repositories, not to this one.

        Raises
        ------
        StatusError
            The status is 400 or 409, whose meaning depends on the call.
        LakeError
            The status is another error. After the deadline it is :class:`LakeUnavailable`.
        """
        with connection.until(time.monotonic() + self._deadline) as end:
            return self._call(
                method,
                path,
                end=end,
                query=query,
                body=body,
                ref=ref,
                folder=folder,
                recover=recover,
                done=done,
                parent=parent,
            )

    def _call(
        self,
        method: str,
        path: str,
        *,
        end: float,
        query: Query | None,
        body: Any,
        ref: str,
        folder: str,
        recover: Callable[[], Any] | None,
        done: int | None,
        parent: bool,
    ) -> Any:
        pause = 0.1
        lost = False
        while True:
            try:
                return self._request(method, "" if parent else self._root + path, query, body, end - time.monotonic())
            except (HTTPError, OSError, _BrokenAnswerError) as error:
                failure: Exception = error
                if never := connection.verdict(error):
                    raise self._unusable(never) from error
                reason = str(error) if isinstance(error, _BrokenAnswerError) else _no_answer(error)
            except StatusError as error:
                if lost and error.status == done:
                    return None
                if error.status not in _TRANSIENT:
                    raise self._translated(error, ref, folder) from error
                failure = error
                reason = f"lakeFS answers {error}"
            if time.monotonic() + pause > end:
                raise LakeUnavailable(
                    f"{reason}; gave up after {self._deadline:g} s: check that the server at this address runs",
                    repository=self.name,
                    ref=ref,
                    path=folder,
                ) from failure
            time.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311
            pause = min(pause * 2, _LONGEST_PAUSE)
            lost = True
            answer = recover() if recover else None
            if answer is not None:
                return answer

    def change_setting(self, path: str, change: Callable[[Any], Any]) -> None:
        """Change a setting of the repository, which the server replaces as a whole. No change of others is lost.

        Parameters
        ----------
        path
            The setting, relative to the repository.
        change
            Returns the new value from the current one, or the same value to leave it. It may be called several times.

        Raises
        ------
        LakeError
            The server refuses it. After the deadline it is :class:`LakeUnavailable`.
        """
        end = time.monotonic() + self._deadline
        while True:
            try:
                with connection.until(end):
                    answer = self._send("GET", self._root + path, None, None, end - time.monotonic(), whole=True)
                    value = json.loads(answer.data)
                    if (new := change(value)) == value:
                        return
                    match = answer.headers.get("ETag", "")
                    self._send("PUT", self._root + path, None, new, end - time.monotonic(), whole=True, match=match)
            except (HTTPError, OSError) as error:
                failure: Exception = error
            except StatusError as error:
                if error.status not in _TRANSIENT | {412}:
                    raise self._translated(error, "", "") from error
                failure = error
            else:
                return
            if time.monotonic() > end:
                reason = f"lakeFS does not change {path} ({failure}); gave up after {self._deadline:g} s"
                raise LakeUnavailable(reason, repository=self.name) from failure
            time.sleep(random.uniform(0.05, 0.2))  # noqa: S311

    def create_repository(self, storage_namespace: str) -> None:
        """Create the repository, or wait for another process that is creating it.

        Parameters
        ----------
        storage_namespace
            Where the repository will keep its objects.

        Raises
        ------
        LakeUnavailable
            The server cannot create it, or the storage namespace contains other data.
        """
        body = {"name": self._repository, "storage_namespace": storage_namespace, "default_branch": "main"}
        end = time.monotonic() + self._deadline
        while True:
            try:
                self.call("POST", "", body=body, parent=True)
            except RefNotFound as error:
                raise self.not_lakefs("404 where repositories are made") from error
            except StatusError as error:
                if error.status == 409:
                    return
                # While another process creates it, its first object exists before the repository does.
                if "found lakeFS objects" not in error.message or time.monotonic() > end:
                    reason = f"lakeFS cannot create the repository; set LAKEFS_STORAGE to an unused place ({error})"
                    raise LakeUnavailable(reason, repository=self.name) from error
                time.sleep(random.uniform(0.05, 0.2))  # noqa: S311
            else:
                return

    def pages(
        self, path: str, query: Query, *, ref: str = "", folder: str = "", most: int | None = None, after: str = ""
    ) -> Iterator[dict[str, Any]]:
        """Yield the results of a listing, page by page.

        Parameters
        ----------
        path, query
            The request.
        ref, folder
            For errors.
        most
            Stop after the page that reaches this number of results.
        after
            Begin after this result.
        """
        seen = 0
        while True:
            asked = {"amount": str(PAGE), **query, "after": after}
            page = self.call("GET", path, query=asked, ref=ref, folder=folder)
            yield from page["results"]
            seen += len(page["results"])
            if not page["pagination"]["has_more"] or (most is not None and seen >= most):
                return
            after = page["pagination"]["next_offset"]

    def blocks(self, path: str, query: Query, *, ref: str, folder: str) -> Iterator[bytes]:
        """Yield the content of an answer block by block, each of which has the deadline. It is not tried again.

        Parameters
        ----------
        path, query
            The request.
        ref, folder
            For errors.

        Raises
        ------
        LakeUnavailable
            The answer ended early.
        LakeError
            The server answered with an error.
        """
        answer: Any = None
        try:
            with connection.until(time.monotonic() + self._deadline):
                answer = self._send("GET", self._root + path, query, None, self._deadline, whole=False)
            while True:
                with connection.until(time.monotonic() + self._deadline):
                    block = answer.read(_BLOCK)
                if not block:
                    return
                yield block
        except StatusError as error:
            raise self._translated(error, ref, folder) from error
        except (HTTPError, OSError) as error:
            raise LakeUnavailable(_no_answer(error), repository=self.name, ref=ref, path=folder) from error
        finally:
            if answer is not None:
                answer.close()

    def _translated(self, error: StatusError, ref: str, folder: str) -> Exception:
        if error.status in (400, 409):
            return error
        kind, remedy = _ERRORS.get(error.status, (LakeUnavailable, "lakeFS refuses this"))
        # For some seconds after a repository was deleted, the server only says that it has no such branch.
        if error.status == 404 and ("repository" in error.message or (ref == MAIN and "ref" in error.message)):
            kind, remedy = RepositoryNotFound, _NO_REPOSITORY
        return kind(f"{remedy} ({error})", repository=self.name, ref=ref, path=folder)

    def _send(
        self, method: str, path: str, query: Query | None, body: Any, timeout: float, *, whole: bool, match: str = ""
    ) -> Any:
        with self._counting:
            self.calls[_operation(method, path)] += 1
        headers = {"Authorization": self._authorization, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/octet-stream" if isinstance(body, bytes) else "application/json"
        if match:
            headers["If-Match"] = match
        pairs = [
            (name, value)
            for name, values in (query or {}).items()
            for value in (values if isinstance(values, list) else [values])
        ]
        answer: Any = self._pools.request(
            method,
            f"{self._host}{path}{'?' + urlencode(pairs) if pairs else ''}",
            headers=headers,
            body=body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode(),
            timeout=Timeout(total=max(timeout, 0.001)),
            retries=False,
            redirect=False,
            preload_content=whole,
        )
        if not 200 <= answer.status < 300:
            raise self._status_error(answer.status, _kind(answer), answer.data, answer.headers.get("Location", ""))
        return answer

    def _request(self, method: str, path: str, query: Query | None, body: Any, timeout: float) -> Any:
        answer = self._send(method, path, query, body, timeout, whole=True)
        content: bytes = answer.data
        kind = _kind(answer)
        if kind != "application/json":
            if kind == "text/html" and not path.endswith("/objects"):
                raise self.not_lakefs(f"{answer.status} with {kind}")
            return content
        try:
            found = json.loads(content)
        except ValueError as error:
            raise _BrokenAnswerError("lakeFS's answer is not a whole JSON document") from error
        if found is None:
            raise self.not_lakefs(f"{answer.status} with null")
        return found

    def _status_error(self, status: int, kind: str, content: bytes, location: str) -> Exception:
        """Return the error of an answer, which tells whether lakeFS gave it."""
        try:
            found = json.loads(content) if kind == "application/json" else None
        except ValueError:
            return _BrokenAnswerError(f"lakeFS's answer ({status}) is not a whole JSON document")
        # Only a conflict has no message: its answer is a reference.
        if isinstance(found, dict) and ("message" in found or status == 409):
            return StatusError(status, str(found.get("message", "no message")))
        if status in _TRANSIENT:
            return StatusError(status, f"no message of lakeFS, but {kind or 'no content'}")
        if b"HTTPS server" in content:
            return self._unusable("it speaks TLS at this port: begin LAKEFS_ENDPOINT with https://")
        if location:
            return self._unusable(f"it sends its callers on to {masked(location)} ({status}): give that address")
        return self.not_lakefs(f"{status} with {kind or 'nothing'}")

    def not_lakefs(self, answer: str) -> LakeUnavailable:
        """Return the error for a server whose answers are not lakeFS's.

        Parameters
        ----------
        answer
            What it answered.
        """
        return self._unusable(f"it is not lakeFS: it answers {answer}")

    def _unusable(self, reason: str) -> LakeUnavailable:
        text = f"LAKEFS_ENDPOINT {self._endpoint} cannot be used, {reason}"
        return LakeUnavailable(text, repository=self.name)


def _operation(method: str, path: str) -> str:
    """Return the operation of a request, without names: ``GET refs/commits``."""
    parts = path.strip("/").split("/")
    # /<repository>/<kind>/<name>/<operation>…
    return " ".join([method, *parts[1:2], *parts[3:4]])


def _kind(answer: Any) -> str:
    return answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()


def _no_answer(error: Exception) -> str:
    cause = getattr(error, "reason", None) or error
    detail = next((str(part) for part in cause.args if isinstance(part, OSError)), "")
    return f"lakeFS does not answer ({type(error).__name__}{': ' + detail if detail else ''})"

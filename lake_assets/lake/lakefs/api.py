"""Calls to a lakeFS server: deadline, retries, and errors as the lake's. Imports `lakefs_client`, alone."""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote

from lakefs_client import ApiClient, Configuration
from lakefs_client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from lake_assets.lake.errors import (
    AlreadyExists,
    LakeError,
    LakeUnavailable,
    ProtectedBranch,
    RefNotFound,
    WriteRefused,
)

PAGE = 1000
"""Most results of one listing; the server's own limit."""

Query = Mapping[str, str | list[str]]

_TRANSIENT = frozenset({408, 423, 429, 500, 502, 503, 504})
_LONGEST_PAUSE = 5.0

# Status to what it means where the caller does not know better; 400 and 409 mean two things each.
_ERRORS: Mapping[int, tuple[type[LakeError], str]] = {
    401: (LakeUnavailable, "lakeFS refuses these credentials: check LAKEFS_ACCESS_KEY_ID and LAKEFS_SECRET_ACCESS_KEY"),
    403: (ProtectedBranch, "lakeFS forbids this: the branch is protected, or this user lacks the permission"),
    404: (RefNotFound, "no branch, tag or commit of that name"),
    409: (AlreadyExists, "it is there already"),
    410: (LakeUnavailable, "the repository, or this object's data, is gone from lakeFS's store"),
    412: (WriteRefused, "a hook of the repository refused it; see the Actions tab of lakeFS"),
}


class StatusError(Exception):
    """The server said no.

    Parameters
    ----------
    status
        HTTP status code.
    message
        The server's own words.
    """

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(f"{status}: {message}")


class Api:
    """The API of one repository.

    Parameters
    ----------
    endpoint
        The server, such as ``http://127.0.0.1:8000``.
    access_key, secret_key
        Credentials; in no repr, message or log.
    repository
        Repository id.
    deadline
        Seconds after which a call that meets nothing but failures gives up.
    """

    def __init__(self, endpoint: str, access_key: str, secret_key: str, repository: str, deadline: float) -> None:
        configuration = Configuration(host=f"{endpoint}/api/v1/repositories", username=access_key, password=secret_key)
        # Here alone it is known which call may be made twice.
        configuration.retries = False  # pyright: ignore[reportAttributeAccessIssue]
        configuration.connection_pool_maxsize = 16
        self._host: str = configuration.host
        self._authorization: str = configuration.get_basic_auth_token()
        self._client: Any = ApiClient(configuration).rest_client
        self._deadline = deadline
        self._counting = threading.Lock()
        self.name = f"{endpoint}/{repository}"
        self._repository = repository
        self._root = f"/{quote(repository, safe='')}"
        self.calls: Counter[str] = Counter()
        """How often each operation was asked for, retries included: ``{"POST branches": 2, …}``."""

    def __repr__(self) -> str:
        return f"Api({self.name!r})"

    def call(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: Any = None,
        *,
        ref: str = "",
        folder: str = "",
        recover: Callable[[], Any] | None = None,
        done: int | None = None,
        parent: bool = False,
    ) -> Any:
        """Make one call and return its JSON, or its bytes.

        A failure that may pass is tried again, with jittered pauses, until the deadline. Two things make that safe for
        what must not happen twice. ``recover`` is asked first whether the lost call had happened, and what it returns,
        unless None, is the answer. ``done`` is a status that, given to a call made again, says that the lost one had.

        Raises
        ------
        StatusError
            400 or 409, which mean different things for different calls.
        LakeError
            Any other refusal, or :class:`LakeUnavailable` past the deadline.
        """
        end = time.monotonic() + self._deadline
        pause = 0.1
        lost = False
        while True:
            try:
                return self._request(method, "" if parent else self._root + path, query, body, end - time.monotonic())
            except (HTTPError, OSError) as error:
                failure: Exception = error
                reason = f"lakeFS does not answer ({type(error).__name__})"
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

    def create_repository(self, storage_namespace: str) -> None:
        """Make the repository, or wait for another process that is making it.

        Raises
        ------
        LakeUnavailable
            The server makes none, or other data lie in the storage namespace.
        """
        body = {"name": self._repository, "storage_namespace": storage_namespace, "default_branch": "main"}
        end = time.monotonic() + self._deadline
        while True:
            try:
                self.call("POST", "", body=body, parent=True)
            except StatusError as error:
                if error.status == 409:
                    return
                # Another process's repository is there only after its first object is.
                if "found lakeFS objects" not in error.message or time.monotonic() > end:
                    reason = f"lakeFS makes no such repository; set LAKEFS_STORAGE to an unused place ({error})"
                    raise LakeUnavailable(reason, repository=self.name) from error
                time.sleep(random.uniform(0.05, 0.2))  # noqa: S311
            else:
                return

    def pages(
        self, path: str, query: Query, *, ref: str = "", folder: str = "", most: int | None = None, after: str = ""
    ) -> Iterator[dict[str, Any]]:
        """Yield the results of a listing, a page at a time; no more than ``most``, rounded up to pages."""
        seen = 0
        while True:
            page = self.call("GET", path, {"amount": str(PAGE), **query, "after": after}, ref=ref, folder=folder)
            yield from page["results"]
            seen += len(page["results"])
            if not page["pagination"]["has_more"] or (most is not None and seen >= most):
                return
            after = page["pagination"]["next_offset"]

    def _translated(self, error: StatusError, ref: str, folder: str) -> Exception:
        if error.status in (400, 409):
            return error
        kind, remedy = _ERRORS.get(error.status, (LakeUnavailable, "lakeFS refuses this"))
        return kind(f"{remedy} ({error})", repository=self.name, ref=ref, path=folder)

    def _request(self, method: str, path: str, query: Query | None, body: Any, timeout: float) -> Any:
        with self._counting:
            self.calls[_operation(method, path)] += 1
        headers = {"Authorization": self._authorization, "Accept": "application/json"}
        if isinstance(body, bytes):
            headers["Content-Type"] = "application/octet-stream"
        pairs = [
            (name, value)
            for name, values in (query or {}).items()
            for value in (values if isinstance(values, list) else [values])
        ]
        try:
            answer = self._client.request(
                method,
                self._host + path,
                query_params=pairs,
                headers=headers,
                body=body,
                _request_timeout=max(timeout, 1.0),
            )
        except ApiException as error:
            raise StatusError(int(error.status or 0), _message(error.body)) from None
        if answer.getheader("Content-Type", "").startswith("application/json"):
            return json.loads(answer.data)
        return answer.data


def _operation(method: str, path: str) -> str:
    """Return what a path asks for, without the names in it: ``GET refs/commits``."""
    parts = path.strip("/").split("/")
    # /<repository>/<kind>/<name>/<operation>…
    return " ".join([method, *parts[1:2], *parts[3:4]])


def _message(body: Any) -> str:
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:300] or "no message"

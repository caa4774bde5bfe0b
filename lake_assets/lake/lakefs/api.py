"""Calls to a lakeFS server: deadline, retries and error translation. The only module that imports `lakefs_client`."""

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
from lake_assets.text.masking import mask

PAGE = 1000
"""Maximal number of results in one page of a listing: the server's limit."""

Query = Mapping[str, str | list[str]]

_TRANSIENT = frozenset({408, 423, 429, 500, 502, 503, 504})
_LONGEST_PAUSE = 5.0

# HTTP status to error. The callers handle 400 and 409, whose meaning depends on the call.
_ERRORS: Mapping[int, tuple[type[LakeError], str]] = {
    401: (LakeUnavailable, "lakeFS refuses these credentials: check LAKEFS_ACCESS_KEY_ID and LAKEFS_SECRET_ACCESS_KEY"),
    403: (ProtectedBranch, "lakeFS forbids this: the branch is protected, or this user lacks the permission"),
    404: (RefNotFound, "no branch, tag or commit of that name"),
    409: (AlreadyExists, "it already exists"),
    410: (LakeUnavailable, "the repository, or this object's data, was removed from lakeFS's store"),
    412: (WriteRefused, "a hook of the repository refused it; see the Actions tab of lakeFS"),
}


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
        self.message = message
        super().__init__(f"{status}: {message}")


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
        Seconds after which a failing call is not tried again.
    """

    def __init__(self, endpoint: str, access_key: str, secret_key: str, repository: str, deadline: float) -> None:
        configuration = Configuration(host=f"{endpoint}/api/v1/repositories", username=access_key, password=secret_key)
        # Retries are done in call(), which knows how to repeat a call safely.
        configuration.retries = False  # pyright: ignore[reportAttributeAccessIssue]
        configuration.connection_pool_maxsize = 16
        self._host: str = configuration.host
        self._authorization: str = configuration.get_basic_auth_token()
        self._client: Any = ApiClient(configuration).rest_client
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
                answer = self._answer("GET", self._root + path, None, None, end - time.monotonic())
                value = json.loads(answer.data)
                if (new := change(value)) == value:
                    return
                match = answer.getheader("ETag", "")
                self._answer("PUT", self._root + path, None, new, end - time.monotonic(), match)
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
        answer = self._answer(method, path, query, body, timeout)
        if answer.getheader("Content-Type", "").startswith("application/json"):
            return json.loads(answer.data)
        return answer.data

    def _answer(self, method: str, path: str, query: Query | None, body: Any, timeout: float, match: str = "") -> Any:
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
        try:
            return self._client.request(
                method,
                self._host + path,
                query_params=pairs,
                headers=headers,
                body=body,
                _request_timeout=max(timeout, 1.0),
            )
        except ApiException as error:
            raise StatusError(int(error.status or 0), _message(error.body)) from None


def _operation(method: str, path: str) -> str:
    """Return the operation of a request, without names: ``GET refs/commits``."""
    parts = path.strip("/").split("/")
    # /<repository>/<kind>/<name>/<operation>…
    return " ".join([method, *parts[1:2], *parts[3:4]])


def _message(body: Any) -> str:
    text = body.decode(errors="replace") if isinstance(body, bytes) else str(body or "")
    try:
        return str(json.loads(text)["message"])
    except (ValueError, KeyError, TypeError):
        return text[:300] or "no message"

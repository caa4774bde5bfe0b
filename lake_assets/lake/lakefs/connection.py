"""HTTP connections on which a whole request has one deadline, however slowly its answer drips."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection

_BOUND = threading.local()
_UNBOUND = 60.0
"""Seconds for one call that has no bound."""


@contextmanager
def until(end: float) -> Generator[float]:
    """Bound everything that this thread receives and sends. Yield the end, which is that of an outer bound if earlier.

    Parameters
    ----------
    end
        On the monotonic clock.
    """
    outer: float | None = getattr(_BOUND, "end", None)
    _BOUND.end = end if outer is None else min(end, outer)
    try:
        yield _BOUND.end
    finally:
        _BOUND.end = outer


def bound(pools: PoolManager) -> None:
    """Let all connections of a pool obey :func:`until`. Servers' certificates are checked.

    Parameters
    ----------
    pools
        The pool manager, before its first connection.
    """
    pools.pool_classes_by_scheme = dict[str, type[HTTPConnectionPool]](http=_Pool, https=_SecurePool)


def verdict(error: BaseException) -> str:
    """Return why a connection can never work, or nothing if another try may work.

    Parameters
    ----------
    error
        What the connection raised.
    """
    causes = [error, *error.args, getattr(error, "reason", None)]
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted ({cause.verify_message}): set SSL_CERT_FILE to its authority's"
        if isinstance(cause, ssl.SSLError) and cause.reason in _NO_TLS:
            return "it does not speak TLS at this port: begin LAKEFS_ENDPOINT with http://, or give the TLS port"
    return ""


_NO_TLS = frozenset(
    {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
)


def _left() -> float:
    end: float | None = getattr(_BOUND, "end", None)
    left = _UNBOUND if end is None else end - time.monotonic()
    if left <= 0:
        raise TimeoutError("the deadline has passed")
    return left


class _Socket(socket.socket):
    def recv_into(self, buffer: Any, nbytes: Any = None, flags: int = 0) -> int:
        self.settimeout(_left())
        return super().recv_into(buffer, nbytes or 0, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.settimeout(_left())
        super().sendall(data, flags)


class _SecureSocket(ssl.SSLSocket):
    def recv_into(self, buffer: Any, nbytes: Any = None, flags: int = 0) -> int:
        self.settimeout(_left())
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: Any, flags: int = 0) -> None:
        self.settimeout(_left())
        super().sendall(data, flags)


class _Connection(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        plain = super()._new_conn()
        timeout = plain.gettimeout()
        own = _Socket(plain.family, plain.type, plain.proto, plain.detach())
        own.settimeout(timeout)
        return own


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection  # pyright: ignore[reportAssignmentType]


class _SecurePool(HTTPSConnectionPool):
    def __init__(self, *args: Any, **options: Any) -> None:
        # Made only where it is wanted: to read the system's certificates takes longer than all calls of an opening.
        context = ssl.create_default_context()
        context.sslsocket_class = _SecureSocket
        super().__init__(*args, **options | {"ssl_context": context})

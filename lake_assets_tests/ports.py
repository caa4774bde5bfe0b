"""Ports for the servers of tests."""

from __future__ import annotations

import random
import socket
from pathlib import Path

_GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 15_000


def free_ports(number: int) -> list[int]:
    """Return ports on loopback that nobody listens on.

    They are below those that the system gives to connections. Otherwise, one could have a port before its server does.

    Parameters
    ----------
    number
        How many.
    """
    given = int(_GIVEN.read_text().split()[0]) if _GIVEN.is_file() else 1 << 15
    # Not Python's own generator, which may have the same seed in several processes.
    candidates = random.SystemRandom().sample(range(_LOWEST, max(given, _LOWEST + 1_000)), 500)
    found: list[int] = []
    while len(found) < number:
        if _is_free(port := candidates.pop()):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as place:
        try:
            place.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

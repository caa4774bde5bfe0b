"""Ports of servers are none that the system gives to connections."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from lake_assets_tests.ports import free_ports


def test_ports_are_different_free_and_not_given_to_connections() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    with ExitStack() as taken:
        for port in ports:
            taken.enter_context(socket.socket()).bind(("127.0.0.1", port))
        asked = [taken.enter_context(socket.socket()) for _ in range(20)]
        for place in asked:
            place.bind(("127.0.0.1", 0))
        assert min(place.getsockname()[1] for place in asked) > max(ports)

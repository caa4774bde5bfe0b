"""Exit with one clear line where a loopback port is taken."""

import socket
import sys

port = int(sys.argv[1])
with socket.socket() as probe:
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        probe.bind(("127.0.0.1", port))
    except OSError:
        sys.exit(f"Port {port} on 127.0.0.1 is taken: stop what listens there, or choose another: make ui PORT=3001")

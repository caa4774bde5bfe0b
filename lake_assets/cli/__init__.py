"""The command line `lake-assets`."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit. Codes: 0, 1 (error, one line on stderr), 2 (wrong usage), 130 (Ctrl-C)."""
    import io
    import signal
    import sys

    # Like any Unix program, end silently when the pipe is closed (`| head`).
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        from lake_assets.cli.app import app, load_env_file

        load_env_file()
        app()
    except KeyboardInterrupt:
        sys.exit(130)

"""The command line `lake-assets`."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit: 0; 1 with one line on stderr; 2 for wrong usage; 130 for Ctrl-C."""
    import io
    import signal
    import sys

    # As any Unix program: whoever closes our pipe (`| head`) ends us, without a word.
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

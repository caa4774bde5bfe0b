"""The command line `lake-assets`."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit. Codes: 0, 1 (error, one line on stderr), 2 (wrong usage), 130 (Ctrl-C)."""
    import io
    import signal
    import sys

    from lake_assets.cli.terminal import open_closed, output_error, protect

    # Like any Unix program, end silently when the pipe is closed (`| head`).
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    open_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    protect()
    code: int | str | None = 0
    problem: str | None = None
    try:
        from lake_assets.cli.app import app
        from lake_assets.cli.env_file import load_env_file

        load_env_file()
        app()
    except SystemExit as end:
        code = end.code
    except KeyboardInterrupt:
        code = 130
    except OSError as error:
        # Of help or version, which no command prints.
        problem = f"standard output cannot be written: {error.strerror}"
    problem = output_error() or problem
    if problem and not code:
        print(f"lake-assets: {problem}", file=sys.stderr)
        code = 1
    sys.exit(code)

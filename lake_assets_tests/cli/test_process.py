"""The installed program, in processes of its own: exit codes, pipes, terminals, signals."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from lake_assets.lake.embedded import GitLake

PROGRAM = str(Path(sys.executable).with_name("lake-assets"))


def run(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, **options)  # type: ignore[call-overload]


def test_the_entry_point_prints_json_and_no_colours_to_a_pipe(lake: GitLake) -> None:
    done = run("ls", "main:blob", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)[0]["path"] == "blob/noise.bin"
    assert "\x1b" not in run("ls", env={**os.environ, "FORCE_COLOR": "1"}).stdout


def test_errors_are_one_line_and_exit_code_1_and_wrong_usage_2(lake: GitLake) -> None:
    failed = run("ls", "nowhere")
    assert (failed.returncode, failed.stdout, failed.stderr.count("\n")) == (1, "", 1)
    assert run("ls", "--nothing").returncode == 2


def test_the_env_file_of_the_working_folder_is_read(lake: GitLake, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("LAKE_ENV=elsewhere\n")
    assert "LAKE_ENV is 'elsewhere'" in run("ls", cwd=tmp_path).stderr


def test_looking_at_the_lake_and_the_store_does_not_load_dagster(lake: GitLake) -> None:
    commands = [["--help"], ["ls"], ["log"], ["branches"], ["diff", "main", "main"], ["tables"]]
    commands += [["path", "main:blob"], ["cat", "main:stocks_parquet"], ["lineage", "stocks_parquet"]]
    commands += [["sql", "SELECT count(*) FROM stocks_parquet"]] if sys.version_info >= (3, 11) else []
    loaded = (
        "import sys; from lake_assets.cli.app import app\n"
        f"for arguments in {commands}:\n"
        "    try: app(arguments)\n"
        "    except SystemExit as end: assert not end.code, arguments\n"
        "print([name for name in ('dagster', 'pyspark', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["[]"]), done.stderr


def test_a_closed_pipe_is_quiet(lake: GitLake) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run([PROGRAM, "log"], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writing)
    assert done.stderr == ""


def test_ctrl_c_is_exit_code_130(lake: GitLake) -> None:
    # The command is stopped within its work: the signal comes when the lake is opened.
    interrupted = (
        "import os, signal; from lake_assets import cli, environments\n"
        "environments.open_lake = lambda **_: os.kill(os.getpid(), signal.SIGINT)\n"
        "import sys; sys.argv = ['lake-assets', 'ls']; cli.main()"
    )
    done = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr


def test_what_the_tests_start_heeds_ctrl_c_also_when_a_shell_runs_them_in_its_background() -> None:
    heeds = "import signal; print(signal.getsignal(signal.SIGINT) == signal.default_int_handler)"
    started = f"import lake_assets_tests.conftest, subprocess, sys; subprocess.run([sys.executable, '-c', {heeds!r}])"
    in_background = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", sys.executable, "-c", started]
    assert subprocess.run(in_background, capture_output=True, text=True, timeout=60).stdout == "True\n"


@pytest.mark.parametrize(("columns", "in_blocks"), [(200, False), (40, True)])
def test_a_terminal_shows_whole_values_however_narrow_it_is(lake: GitLake, columns: int, in_blocks: bool) -> None:
    parent, child = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "TERM": "xterm"}
    process = subprocess.Popen([PROGRAM, "ls"], stdout=child, stderr=child, env=environment)
    os.close(child)
    seen = b""
    while chunk := _read(parent):
        seen += chunk
    os.close(parent)
    assert process.wait(60) == 0
    assert b"\x1b[1m" in seen
    assert b"stocks_parquet/date=2017-07-28/hour=08/part-0.parquet" in seen
    lines = seen.count(b"\r\n")
    assert lines == (7 * 4 if in_blocks else 8)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux's way to say that the other side is closed.
        return b""

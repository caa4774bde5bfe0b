"""`%sql` and `%%sql` in IPython."""

from __future__ import annotations

import functools
import re
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from lake_assets.lake.contract import Lake
from lake_assets_tests.cli.conftest import lake, lake_home
from lake_assets_tests.conftest import REPOSITORY_ROOT

pytestmark = pytest.mark.skipif(sys.version_info < (3, 11), reason="SQL needs Python 3.11")
pytest.importorskip("IPython", reason="IPython is not installed")
__all__ = ["lake", "lake_home"]


@pytest.fixture
def shell(lake: Lake) -> Iterator[Any]:
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    shell.run_line_magic("load_ext", "lake_assets.notebook")
    yield shell
    InteractiveShell.clear_instance()


def test_rows_are_a_frame(shell: Any) -> None:
    frame = shell.run_line_magic("sql", "SELECT hour, count(*) AS n FROM stocks_parquet GROUP BY ALL ORDER BY ALL")
    assert frame.to_dict("list") == {"hour": ["08", "09"], "n": [24, 1]}


def test_variables_a_name_and_a_ref(shell: Any, lake: Lake) -> None:
    shell.user_ns["wanted"] = "09"
    shell.run_cell_magic(
        "sql", f"--ref {lake.head('main').id} found <<", "SELECT ISIN\nFROM stocks_parquet\nWHERE hour = $wanted"
    )
    assert shell.user_ns["found"]["ISIN"].tolist() == ["DE0000000000"]
    assert shell.run_line_magic("sql", "one << SELECT '{x}' AS a") is None
    assert shell.user_ns["one"]["a"].tolist() == ["{x}"]


def test_errors_are_one_line(shell: Any) -> None:
    from IPython.core.error import UsageError

    with pytest.raises(UsageError, match=r"line 1, column 8: there is no value for \$nix"):
        shell.run_line_magic("sql", "SELECT $nix")
    with pytest.raises(UsageError, match="only one query is run"):
        shell.run_line_magic("sql", "DROP TABLE stocks_parquet")


def test_the_page_of_the_notebook_runs_cell_by_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from IPython.core.interactiveshell import InteractiveShell

    web = tmp_path / "web"
    web.mkdir()
    rows = [("DE1", "EUR", 1.0), ("DE2", "USD", 2.0), ("DE1", "EUR", 3.0)]
    (web / "bars.csv").write_text("ISIN,Currency,MaxPrice\n" + "".join(f"{i},{c},{p}\n" for i, c, p in rows))
    handler = functools.partial(_Quiet, directory=str(web))
    monkeypatch.setenv("LAKE_HOME", str(tmp_path / "home"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        text = (REPOSITORY_ROOT / "docs" / "notebook.md").read_text()
        cells = re.findall(r"^```ipython\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        shell = InteractiveShell.instance()
        results = []
        for cell in cells:
            ran = shell.run_cell(cell.replace("127.0.0.1:8000", f"127.0.0.1:{server.server_port}"))
            ran.raise_error()
            results.append(ran.result)
        server.shutdown()
    InteractiveShell.clear_instance()
    types, _, _, shown, counted, *_ = results
    assert list(types.index) == ["ISIN", "Currency", "MaxPrice"]
    assert shown.to_dict("list") == {"ISIN": ["DE1", "DE2"], "Currency": ["EUR", "USD"], "MaxPrice": [3.0, 2.0]}
    assert counted.to_dict("list") == {"items": [2]}
    highest, listed, left = (results[at] for at in (-4, -3, -2))
    assert highest.to_dict("list") == {"Currency": ["EUR", "USD"], "price": [3.0, 2.0], "rows": [2, 1]}
    assert listed[0] == ["bars"]
    assert [path for path, _ in listed[1]] == ["bars_parquet/bars.parquet"]
    assert left == ([], ("main",))


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object, **__: object) -> None:
        """Say nothing."""

"""`%sql` and `%%sql` in IPython."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from lake_assets.lake.contract import Lake
from lake_assets_tests.cli.conftest import lake, lake_home

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

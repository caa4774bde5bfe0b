"""How Spark is told of files by name."""

from __future__ import annotations

import os

import pytest

from lake_assets.spark.session import can_be_escaped, file_uri, prepare_process


@pytest.mark.parametrize(
    ("locale", "expected"),
    [
        ({}, "C.UTF-8"),
        ({"LANG": "C"}, "C.UTF-8"),
        ({"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, "C.UTF-8"),
        ({"LANG": "de_DE.utf8"}, None),
        ({"LC_ALL": "", "LC_CTYPE": "C.UTF-8", "LANG": "C"}, ""),
    ],
)
def test_a_jvm_finds_files_whose_names_are_more_than_ascii(
    locale: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LC_ALL", "LC_CTYPE", "LANG", "PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON", "SPARK_CONF_DIR"):
        monkeypatch.setenv(name, locale.get(name, ""))
        if name not in locale:
            monkeypatch.delenv(name)
    prepare_process()
    assert os.environ.get("LC_ALL") == expected


def test_wildcards_in_a_path_stand_for_themselves() -> None:
    assert file_uri("/a/[1] {b,c}*?\\.txt") == r"file:///a/\[1\] \{b,c\}\*\?\\.txt"
    assert can_be_escaped("/a/08:00.txt")
    assert not can_be_escaped("/a/08:00 [1].txt")

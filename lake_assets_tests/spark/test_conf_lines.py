"""Spark's settings as lines of a variable or a file."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_assets.spark.conf_lines import BadConf, parse_conf


def test_lines_are_settings() -> None:
    text = "\n# a comment\nspark.driver.host = 10.0.0.7\nspark.executor.extraJavaOptions=-Da=b -Dc=d\n"
    assert parse_conf(text) == {
        "spark.driver.host": "10.0.0.7",
        "spark.executor.extraJavaOptions": "-Da=b -Dc=d",
    }
    assert parse_conf(" ") == {}


def test_a_path_is_a_file_of_lines(tmp_path: Path) -> None:
    file = tmp_path / "spark.conf"
    file.write_text("spark.cores.max=4\n")
    assert parse_conf(str(file)) == {"spark.cores.max": "4"}


@pytest.mark.parametrize("text", ["spark.a=1\nsecret-token", "hadoop.x=secret-token", "=secret-token"])
def test_a_line_that_is_none_is_named_without_its_value(text: str) -> None:
    with pytest.raises(BadConf, match=r"SPARK_CONF, line \d: write spark\.<name>=<value>") as caught:
        parse_conf(text)
    assert "secret-token" not in str(caught.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadConf, match="neither lines key=value nor the path of a file"):
        parse_conf(str(tmp_path / "nowhere.conf"))

"""The same text on Spark: the same answers, and the same refusals."""

# ruff: noqa: E501

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow
import pytest

from lake_assets.sql.catalog import LakeCatalog
from lake_assets.sql.engine import Bounds
from lake_assets.sql.errors import SqlError
from lake_assets.sql.on_spark import run_on_spark
from lake_assets.sql.spark_plan import check_plan
from lake_assets_tests.sql.conftest import Ask
from lake_assets_tests.sql.test_hostile import STATEMENTS

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

QUERIES = """
SELECT count(*) AS n, sum(Price) AS s, min(day) AS day, max(hour) AS hour FROM stocks_parquet
SELECT ISIN, Price FROM Stocks_Parquet WHERE Price > 2 ORDER BY Price DESC
SELECT a.ISIN, a.Price, b.Price FROM stocks_parquet a AT (VERSION => 'v1') JOIN stocks_parquet b AT (VERSION => 'main') USING (ISIN) WHERE a.Price <> b.Price
SELECT d.ISIN FROM sales.daily d WHERE NOT EXISTS (SELECT 1 FROM sales.daily o AT (VERSION => 'v' || 1) WHERE o.ISIN = d.ISIN) ORDER BY 1
SELECT daily.ISIN FROM sales.daily ORDER BY 1 LIMIT 2
SELECT sales.daily.ISIN FROM sales.daily WHERE Sales.Daily.Price > 2 ORDER BY sales.daily.ISIN
SELECT ISIN || '-' || CAST(day AS VARCHAR) AS größe FROM stocks_parquet ORDER BY größe
SELECT x FROM (VALUES (1), (2)) v(x) ORDER BY x
SELECT first(day) AS f, last(day) AS l, any_value(hour) AS a FROM stocks_parquet
FROM notes ORDER BY id
SELECT count(*) AS n, max(ISIN) AS last FROM latest WHERE ISIN >= 'DE100'
WITH x AS (SELECT ISIN, Price FROM stocks_parquet) SELECT x.ISIN, y.Price * 2 AS p FROM x JOIN x y USING (ISIN) ORDER BY 1
WITH lake AS (SELECT 1 AS a), b AS (SELECT a + 1 AS a FROM lake) SELECT * FROM b UNION ALL SELECT * FROM lake ORDER BY a
SELECT ISIN, row_number() OVER (ORDER BY Price DESC) AS place, lag(Price) OVER (ORDER BY ISIN) AS before FROM stocks_parquet ORDER BY 1
SELECT ISIN FROM stocks_parquet QUALIFY rank() OVER (ORDER BY Price DESC) <= 2 ORDER BY 1
SELECT CASE WHEN Price > 2 THEN 'high' ELSE 'low' END AS level, count(*) AS n FROM stocks_parquet GROUP BY ALL ORDER BY 1
SELECT Price > 3 AS dear, avg(Price) AS mean FROM stocks_parquet GROUP BY 1 HAVING count(*) > 1 ORDER BY 1
SELECT upper(lower(ISIN)) AS u, substring(ISIN, 3) AS s, length(ISIN) AS l, ISIN LIKE 'DE%' AS b FROM stocks_parquet ORDER BY 1
SELECT coalesce(NULLIF(ISIN, 'DE0'), '-') AS c, CAST(Price AS VARCHAR) AS p FROM stocks_parquet WHERE ISIN IN ('DE0', 'DE2') ORDER BY 1
SELECT regexp_replace(ISIN, '[0-9]', '#') AS r FROM stocks_parquet ORDER BY ISIN LIMIT 1
SELECT DATE '2017-07-28' + INTERVAL 1 DAY AS d, date_trunc('month', DATE '2017-07-28') AS m FROM stocks_parquet LIMIT 1
SELECT * EXCLUDE (Price) FROM stocks_parquet ORDER BY ISIN LIMIT 1
SELECT DISTINCT day FROM stocks_parquet EXCEPT SELECT 'x'
SELECT 7 // 2 AS q, 7 % 2 AS r, 7 / 2 AS f
SELECT ISIN, (SELECT max(Price) FROM stocks_parquet) - Price AS below FROM stocks_parquet ORDER BY Price, ISIN
"""

HOSTILE = """
SELECT reflect('java.lang.System', 'getenv', 'HOME')
SELECT java_method('java.util.UUID', 'randomUUID')
SELECT try_reflect('java.lang.System', 'exit', 1)
SELECT * FROM csv.`/etc/passwd`
SELECT * FROM text.`/etc/passwd`
SELECT * FROM parquet.`file:///etc`
SELECT * FROM delta.`/tmp`
WITH csv AS (SELECT 1) SELECT * FROM csv.`/etc/passwd`
SELECT (SELECT value FROM text.`/etc/passwd` LIMIT 1)
SELECT 1 WHERE EXISTS (SELECT 1 FROM text.`/etc/passwd`)
SELECT 1 WHERE 'x' IN (SELECT value FROM text.`/etc/passwd`)
WITH a AS (SELECT * FROM text.`/etc/passwd`) SELECT * FROM a
WITH a AS (WITH b AS (SELECT reflect('a', 'b')) SELECT * FROM b) SELECT * FROM a
SELECT * FROM known, LATERAL (SELECT * FROM text.`/etc/passwd`)
SELECT TRANSFORM (a) USING 'cat /etc/passwd' AS (b) FROM known
FROM known MAP a USING 'sh' AS b
FROM known REDUCE a USING 'sh' AS b
FROM known INSERT OVERWRITE DIRECTORY '/tmp/x' USING parquet SELECT *
INSERT OVERWRITE LOCAL DIRECTORY '/tmp/x' USING csv SELECT 1
INSERT INTO known VALUES (1)
CREATE TABLE t USING csv OPTIONS (path '/tmp/x') AS SELECT 1
CREATE TEMPORARY VIEW v USING csv OPTIONS (path '/etc/passwd')
CREATE TEMPORARY FUNCTION f AS 'java.lang.Runtime'
ADD JAR '/tmp/x.jar'
ADD FILE '/etc/passwd'
LIST JARS
SET spark.sql.ansi.enabled=false
RESET
CACHE TABLE known
REFRESH TABLE known
DESCRIBE known
SHOW TABLES
SHOW CREATE TABLE known
EXPLAIN SELECT 1
USE default
DROP VIEW known
TRUNCATE TABLE known
LOAD DATA LOCAL INPATH '/etc/passwd' INTO TABLE known
MERGE INTO known USING known s ON true WHEN MATCHED THEN DELETE
EXECUTE IMMEDIATE 'SELECT 1'
BEGIN SELECT 1; END
SELECT * FROM range(10), unknown
SELECT * FROM read_files('/etc')
SELECT * FROM IDENTIFIER('text.`/etc/passwd`')
SELECT IDENTIFIER('reflect')('java.lang.System', 'getenv', 'HOME')
SELECT system.builtin.reflect('a', 'b')
SELECT current_user(), input_file_name()
SELECT current_catalog()
SELECT version()
SELECT raise_error('x')
SELECT aes_decrypt('a', 'b')
SELECT sum(a) FILTER (WHERE reflect('a', 'b') = 'x') FROM known
SELECT transform(array(1), x -> java_method('a', 'b'))
SELECT a FROM known ORDER BY reflect('a', 'b')
SELECT a FROM known GROUP BY a HAVING reflect('a', 'b') = 'x'
SELECT a FROM known LATERAL VIEW explode(array(reflect('a', 'b'))) t AS c
SELECT a FROM known DISTRIBUTE BY a
SELECT /*+ COALESCE(1) */ reflect('a', 'b') FROM known
SELECT count(*) OVER (PARTITION BY reflect('a', 'b')) FROM known
SELECT * FROM spark_catalog.default.known
SELECT * FROM sql_keywords()
SELECT 1; DROP VIEW known
"""


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line]


@pytest.mark.soak
def test_answers_are_those_of_duckdb(spark: SparkSession, catalog: LakeCatalog, ask: Ask) -> None:
    for text in _lines(QUERIES):
        with run_on_spark(text, catalog, spark) as result:
            found = pyarrow.Table.from_batches(list(result), result.schema)
        rows = list(zip(*(column.to_pylist() for column in found.columns), strict=True))
        assert _plain(rows) == _plain(ask(text)), text


def _plain(rows: list[tuple[object, ...]]) -> list[tuple[str, ...]]:
    """Return rows as text: decimals and times of a day are of other types in Spark."""
    return [tuple(str(value).removesuffix(".00").removesuffix(" 00:00:00") for value in row) for row in rows]


def test_hostile_text_is_refused_by_both_lists(
    spark: SparkSession, catalog: LakeCatalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = spark.newSession()
    own.createDataFrame([(1,)], "a int").createOrReplaceTempView("known")
    check_plan(own, "SELECT a, sum(a) FROM known GROUP BY a", ["known"])
    for text in _lines(HOSTILE):
        with pytest.raises(SqlError):
            check_plan(own, text, ["known"])
        with pytest.raises(SqlError), run_on_spark(text, catalog, spark):
            pass
    monkeypatch.setattr("lake_assets.sql.on_spark.check_plan", lambda *_: pytest.fail("the first list let it through"))
    for text in STATEMENTS:
        with pytest.raises(SqlError), run_on_spark(text, catalog, spark):
            pass


def test_what_spark_lacks_is_refused_by_name(spark: SparkSession, catalog: LakeCatalog) -> None:
    for text, message in (
        ("FROM changes('stocks_parquet', 'v1', 'main')", r"changes\(\) is not available on Spark"),
        ("SELECT jaro_winkler_similarity(ISIN, 'x') FROM stocks_parquet", r"the function \w+ is not a"),
        ("SELECT nix FROM stocks_parquet", "nix"),
        ("FROM nix", "there is no asset or table nix"),
    ):
        with pytest.raises(SqlError, match=message), run_on_spark(text, catalog, spark) as result:
            list(result)


def test_what_fails_while_it_runs_is_one_line(spark: SparkSession, catalog: LakeCatalog) -> None:
    for text, message in (
        ("SELECT (SELECT 1 UNION ALL SELECT 1) FROM stocks_parquet", "More than one row returned by a subquery"),
        ("SELECT CAST(ISIN AS INTEGER) FROM stocks_parquet", "cannot be cast"),
    ):
        with pytest.raises(SqlError, match=message) as told, run_on_spark(text, catalog, spark) as result:
            list(result)
        assert "\n" not in str(told.value)


def test_an_error_is_not_logged_besides(
    spark: SparkSession, catalog: LakeCatalog, capfd: pytest.CaptureFixture[str]
) -> None:
    text = "SELECT ISIN FROM stocks_parquet a JOIN stocks_parquet b ON a.ISIN = b.ISIN"
    with pytest.raises(SqlError, match="ISIN"), run_on_spark(text, catalog, spark):
        pass
    assert "stacktrace" not in "".join(capfd.readouterr())


def test_names_of_columns_and_bounds(spark: SparkSession, catalog: LakeCatalog) -> None:
    with run_on_spark("SELECT 1 AS a, 2 AS a", catalog, spark) as result:
        assert (result.schema.names, len(set(result.unique_names))) == (["a", "a"], 2)
    small = Bounds(result_bytes=1000)
    with (
        pytest.raises(SqlError, match="result has more than"),
        run_on_spark("FROM latest", catalog, spark, bounds=small) as r,
    ):
        list(r)


def test_the_session_that_was_active_is_so_afterwards(spark: SparkSession, catalog: LakeCatalog) -> None:
    """A write finds its data source in the active session: `lake_nosql`, say, would be unknown in another one."""
    from pyspark.sql import SparkSession

    with run_on_spark("FROM notes UNION ALL SELECT ISIN, ISIN FROM latest", catalog, spark) as found:
        list(found)
    assert SparkSession.getActiveSession() is spark
    with pytest.raises(SqlError), run_on_spark("SELECT ISIN + nothing FROM latest", catalog, spark):
        pass
    assert SparkSession.getActiveSession() is spark

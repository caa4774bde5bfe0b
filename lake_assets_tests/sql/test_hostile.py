"""What is not a harmless query is refused, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from lake_assets.sql.errors import SqlError
from lake_assets_tests.sql.conftest import Ask

OUT = "OUT/written"

WRITES = f"""
COPY (SELECT 1) TO '{OUT}'
COPY stocks_parquet TO '{OUT}' (FORMAT parquet)
COPY (SELECT 1) TO '{OUT}' (FORMAT csv, HEADER)
COPY stocks_parquet FROM '/etc/passwd'
CREATE TABLE t AS SELECT 1
CREATE TEMP TABLE t (a INT)
CREATE OR REPLACE VIEW stocks_parquet AS SELECT 1
CREATE SCHEMA s
CREATE SEQUENCE s
CREATE MACRO m(a) AS a
CREATE FUNCTION m(a) AS TABLE SELECT a
CREATE TYPE t AS ENUM ('a')
CREATE SECRET s (TYPE s3)
CREATE PERSISTENT SECRET s (TYPE s3)
CREATE INDEX i ON stocks_parquet(ISIN)
INSERT INTO stocks_parquet VALUES ('x', 1)
INSERT INTO stocks_parquet SELECT * FROM stocks_parquet RETURNING *
UPDATE stocks_parquet SET Price = 0
DELETE FROM stocks_parquet
TRUNCATE stocks_parquet
MERGE INTO latest USING stocks_parquet USING (ISIN) WHEN MATCHED THEN DELETE
DROP TABLE stocks_parquet
DROP VIEW stocks_parquet
ALTER TABLE stocks_parquet ADD COLUMN a INT
COMMENT ON TABLE stocks_parquet IS 'x'
ATTACH '{OUT}' AS a
ATTACH ':memory:' AS a
DETACH memory
USE memory
EXPORT DATABASE '{OUT}'
IMPORT DATABASE '/tmp'
INSTALL httpfs
FORCE INSTALL httpfs
INSTALL spatial FROM community
LOAD httpfs
LOAD '/tmp/x.duckdb_extension'
UPDATE EXTENSIONS
PRAGMA database_list
PRAGMA enable_profiling
PRAGMA table_info('stocks_parquet')
SET memory_limit = '1TB'
SET enable_external_access = true
SET GLOBAL enable_external_access = true
SET VARIABLE a = 1
RESET lock_configuration
CHECKPOINT
FORCE CHECKPOINT
VACUUM
ANALYZE
BEGIN
COMMIT
ROLLBACK
PREPARE p AS SELECT 1
EXECUTE p
DEALLOCATE p
CALL pragma_version()
CALL enable_logging()
EXPLAIN ANALYZE COPY (SELECT 1) TO '{OUT}'
EXPLAIN COPY (SELECT 1) TO '{OUT}'
SHOW TABLES
SHOW ALL TABLES
SHOW DATABASES
WITH x AS (COPY (SELECT 1) TO '{OUT}') SELECT * FROM x
WITH x AS MATERIALIZED (COPY (SELECT 1) TO '{OUT}') SELECT 1
WITH x AS (COPY stocks_parquet TO 'SNAPSHOT') SELECT * FROM x
WITH x AS (INSERT INTO latest VALUES ('a', 1) RETURNING *) SELECT * FROM x
WITH x AS (DELETE FROM latest RETURNING *) SELECT * FROM x
WITH x AS (UPDATE latest SET Price = 1 RETURNING *) SELECT * FROM x
WITH x AS (MERGE INTO latest USING stocks_parquet USING (ISIN) WHEN MATCHED THEN DELETE RETURNING *) SELECT * FROM x
WITH RECURSIVE x AS (COPY (SELECT 1) TO '{OUT}') SELECT * FROM x
SELECT * FROM (WITH x AS (COPY (SELECT 1) TO '{OUT}') SELECT * FROM x)
SELECT (WITH x AS (COPY (SELECT 1) TO '{OUT}') SELECT * FROM x)
SELECT 1 WHERE EXISTS (WITH x AS (COPY (SELECT 1) TO '{OUT}') SELECT * FROM x)
DESCRIBE (WITH x AS (COPY (SELECT 1) TO '{OUT}') SELECT * FROM x)
SELECT 1 UNION ALL (WITH x AS (COPY (SELECT 1) TO '{OUT}') SELECT * FROM x)
SELECT * FROM stocks_parquet AT (VERSION => (WITH x AS (COPY (SELECT 1) TO '{OUT}') SELECT 'v1' FROM x))
SELECT 1; COPY (SELECT 1) TO '{OUT}'
SELECT 1; SELECT 2
SELECT 1;;SELECT 2
SELECT 1 /* ; */ ; /* x */ COPY (SELECT 1) TO '{OUT}' -- ; SELECT 1
SELECT $$;$$; COPY (SELECT 1) TO $${OUT}$$
SELECT $a$ $$ ; $a$; DROP VIEW stocks_parquet
SELECT 1) ; COPY (SELECT 1) TO '{OUT}' ; SELECT * FROM (SELECT 1
SELECT 1) AS q; DROP VIEW stocks_parquet; --
SELECT 1 --); COPY (SELECT 1) TO '{OUT}'\\n; COPY (SELECT 1) TO '{OUT}'
"""

READS = """
SELECT * FROM '/etc/passwd'
SELECT * FROM "/etc/passwd"
SELECT * FROM '/etc/*.csv'
SELECT * FROM 'https://example.com/x.parquet'
SELECT * FROM 's3://bucket/x.parquet'
SELECT * FROM read_text('/etc/passwd')
SELECT * FROM read_blob('/etc/passwd')
SELECT * FROM READ_TEXT('/etc/passwd')
SELECT * FROM "read_text"('/etc/passwd')
SELECT * FROM main.read_text('/etc/passwd')
SELECT * FROM system.main.read_text('/etc/passwd')
SELECT * FROM read_csv('/etc/passwd')
SELECT * FROM read_csv_auto('/etc/passwd')
SELECT * FROM read_json('/etc/passwd')
SELECT * FROM read_ndjson_objects('/etc/passwd')
SELECT * FROM read_parquet('SNAPSHOT')
SELECT * FROM parquet_scan('SNAPSHOT')
SELECT * FROM parquet_metadata('SNAPSHOT')
SELECT * FROM parquet_schema('SNAPSHOT')
SELECT * FROM read_duckdb('/tmp/x.db')
SELECT * FROM sniff_csv('/etc/passwd')
SELECT * FROM glob('/etc/*')
SELECT * FROM query('SELECT 1')
SELECT * FROM query_table('stocks_parquet')
SELECT * FROM histogram_values('stocks_parquet', 'Price')
SELECT * FROM json_execute_serialized_sql('{}')
SELECT * FROM duckdb_settings()
SELECT * FROM duckdb_secrets()
SELECT * FROM duckdb_functions()
SELECT * FROM duckdb_tables
SELECT * FROM information_schema.tables
SELECT * FROM pg_catalog.pg_tables
SELECT * FROM pragma_version()
SELECT * FROM pragma_table_info('stocks_parquet')
SELECT * FROM which_secret('s3://b', 's3')
SELECT * FROM arrow_scan(1, 2, 3)
SELECT * FROM pandas_scan(1)
SELECT * FROM python_arrow_scan(1)
SELECT * FROM seq_scan('x')
SELECT * FROM test_all_types()
SELECT * FROM enable_logging()
SELECT * FROM checkpoint()
SELECT * FROM force_checkpoint()
SELECT * FROM lake_assets_rows_0_files, stocks_parquet
SELECT * FROM secret_of_this_process
SELECT getenv('HOME')
SELECT main.getenv('HOME')
SELECT current_setting('temp_directory')
SELECT getvariable('a')
SELECT nextval('s')
SELECT write_log('x')
SELECT sleep_ms(100000)
SELECT pg_sleep(1000)
SELECT json_serialize_plan('SELECT 1')
SELECT json_serialize_sql('SELECT 1')
SELECT json_deserialize_sql('{}')
SELECT [getenv(x) FOR x IN ['HOME']]
SELECT list_transform(['HOME'], lambda x: getenv(x))
SELECT 'HOME'.getenv()
SELECT COLUMNS(c -> getenv(c) IS NULL) FROM stocks_parquet
SELECT * REPLACE (getenv('HOME') AS ISIN) FROM stocks_parquet
SELECT sum(Price) FILTER (WHERE getenv('HOME') = 'x') FROM stocks_parquet
SELECT 1 ORDER BY getenv('HOME')
SELECT 1 LIMIT length(getenv('HOME'))
SELECT 1 FROM stocks_parquet GROUP BY getenv('HOME')
SELECT 1 FROM stocks_parquet QUALIFY row_number() OVER (ORDER BY getenv('HOME')) = 1
SELECT * FROM changes('stocks_parquet', getenv('HOME'), 'v2')
SELECT * FROM stocks_parquet AT (VERSION => getenv('HOME'))
SELECT * FROM stocks_parquet, LATERAL (SELECT * FROM read_text(ISIN))
WITH getenv AS (SELECT 1) SELECT getenv('HOME') FROM getenv
WITH read_text AS (SELECT 1) SELECT * FROM read_text('/etc/passwd')
VALUES (getenv('HOME'))
FROM read_text('/etc/passwd')
TABLE duckdb_settings
DESCRIBE duckdb_settings
SUMMARIZE read_text('/etc/passwd')
SELECT * FROM (PIVOT read_csv('/etc/passwd') ON a IN (1) USING count(*))
SELECT * FROM duckdb_settings, (WITH duckdb_settings AS (SELECT 1) SELECT * FROM duckdb_settings)
"""

secret_of_this_process = {"a": [1]}
STATEMENTS = [line.replace("\\n", "\n") for line in (WRITES + READS).splitlines() if line]


def test_there_are_enough() -> None:
    assert len(set(STATEMENTS)) >= 100


@pytest.mark.parametrize("text", STATEMENTS)
def test_hostile_statement_is_refused(ask: Ask, tmp_path: Path, text: str) -> None:
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(SqlError) as refused:
        ask(text.replace("OUT", str(tmp_path)).replace("SNAPSHOT", str(tmp_path / "part-0.parquet")))

    assert "\n" not in str(refused.value)
    assert sorted(tmp_path.rglob("*")) == before
    assert ask("SELECT count(*) FROM stocks_parquet") == [(5,)]


@pytest.mark.parametrize(
    "text", ["", ";", "-- nothing", "SELECT", "SELECT " + "(" * 100_000, "SELECT 'a\0b'", "\ud800"]
)
def test_what_is_no_statement_is_refused(ask: Ask, text: str) -> None:
    with pytest.raises(SqlError):
        ask(text)

"""Ordinary queries, on the tables of TPC-H: what people ask, in all of the dialect."""

# ruff: noqa: E501

QUERIES = [
    line
    for line in """
SELECT 1
SELECT 1 AS a, 2 AS a, 'x' AS "a b", NULL
VALUES (1, 'a'), (2, 'b')
FROM nation
FROM nation SELECT n_name ORDER BY 1
TABLE region
SELECT * FROM nation ORDER BY n_name DESC LIMIT 3 OFFSET 2
SELECT n_name FROM nation ORDER BY n_regionkey NULLS LAST, n_name LIMIT 20%
SELECT DISTINCT n_regionkey FROM nation ORDER BY 1
SELECT DISTINCT ON (n_regionkey) n_regionkey, n_name FROM nation ORDER BY n_regionkey, n_name
SELECT * EXCLUDE (n_name) FROM nation ORDER BY ALL
SELECT * REPLACE (lower(n_name) AS n_name) FROM nation ORDER BY ALL
SELECT * RENAME (n_name AS name) FROM nation ORDER BY ALL
SELECT COLUMNS('n_.*key') FROM nation ORDER BY ALL
SELECT COLUMNS(lambda c: c LIKE '%name') FROM nation ORDER BY ALL
SELECT min(COLUMNS(*)) FROM nation
SELECT nation.*, r.r_name FROM nation JOIN region r ON n_regionkey = r_regionkey ORDER BY ALL
SELECT n.n_name, r.r_name FROM nation n LEFT JOIN region r ON r.r_regionkey = n.n_nationkey ORDER BY ALL
SELECT n.n_name, r.r_name FROM nation n RIGHT JOIN region r ON r.r_regionkey = n.n_nationkey ORDER BY ALL
SELECT n.n_name, r.r_name FROM nation n FULL JOIN region r ON r.r_regionkey = n.n_nationkey ORDER BY ALL
SELECT count(*) FROM nation CROSS JOIN region
SELECT count(*) FROM nation, region WHERE n_regionkey = r_regionkey
SELECT a.n_name FROM nation a SEMI JOIN region ON r_regionkey = n_nationkey ORDER BY 1
SELECT a.n_name FROM nation a ANTI JOIN region ON r_regionkey = n_nationkey ORDER BY 1
SELECT a.n_nationkey, b.n_nationkey FROM nation a POSITIONAL JOIN nation b ORDER BY ALL
SELECT n_nationkey, r_regionkey FROM nation ASOF JOIN region ON n_nationkey >= r_regionkey ORDER BY ALL
SELECT * FROM nation NATURAL JOIN (SELECT 1 AS n_nationkey) ORDER BY ALL
SELECT n_name, x FROM nation, LATERAL (SELECT n_nationkey + 1 AS x) ORDER BY ALL
SELECT n_name, c FROM nation, LATERAL (SELECT count(*) c FROM customer WHERE c_nationkey = n_nationkey) ORDER BY ALL
SELECT r_name, (SELECT count(*) FROM nation WHERE n_regionkey = r_regionkey) FROM region ORDER BY 1
SELECT n_name FROM nation WHERE n_regionkey IN (SELECT r_regionkey FROM region WHERE r_name = 'ASIA') ORDER BY 1
SELECT n_name FROM nation WHERE EXISTS (SELECT 1 FROM region WHERE r_regionkey = n_nationkey) ORDER BY 1
SELECT n_name FROM nation WHERE n_nationkey > ALL (SELECT r_regionkey FROM region) ORDER BY 1
SELECT n_name FROM nation WHERE n_nationkey = ANY (SELECT r_regionkey FROM region) ORDER BY 1
SELECT n_name FROM nation WHERE (n_nationkey, n_regionkey) IN ((1, 1), (2, 2)) ORDER BY 1
SELECT n_name FROM nation WHERE n_name LIKE 'I%' OR n_name ILIKE 'u%' ORDER BY 1
SELECT n_name FROM nation WHERE n_name SIMILAR TO 'I.*' OR n_name ~ '^U' ORDER BY 1
SELECT n_name FROM nation WHERE n_name NOT LIKE '%A%' AND n_nationkey NOT BETWEEN 3 AND 9 ORDER BY 1
SELECT n_name FROM nation WHERE n_name GLOB 'I*' ORDER BY 1
SELECT n_name LIKE '50!%' ESCAPE '!' FROM nation ORDER BY 1
SELECT regexp_extract(n_name, '([A-Z]).*', 1), regexp_replace(n_name, 'A', 'x', 'g') FROM nation ORDER BY ALL
SELECT regexp_matches(n_name, 'A+'), regexp_full_match(n_name, '[A-Z]+') FROM nation ORDER BY ALL
SELECT regexp_extract_all('a1b22', '[0-9]+'), string_split('a,b', ','), split_part('a,b', ',', 2)
SELECT upper('a') || lower('B'), trim(' x '), lpad('x', 3, '0'), substring('hello', 2, 3), position('l' IN 'hello')
SELECT replace('abc', 'b', 'x'), reverse('abc'), length('héé'), strip_accents('é'), 'abc'[2:3], left('abc', 2)
SELECT concat_ws('-', 'a', NULL, 'b'), format('{} {}', 1, 'a'), printf('%05d', 3), md5('x'), hex('a')
SELECT count(*), count(DISTINCT n_regionkey), sum(n_nationkey), avg(n_nationkey), min(n_name), max(n_name) FROM nation
SELECT count(*) FILTER (WHERE n_nationkey > 5), sum(n_nationkey) FILTER (n_regionkey = 1) FROM nation
SELECT median(o_totalprice), quantile_cont(o_totalprice, [0.25, 0.75]), mode(o_custkey % 7 = 1) FROM orders
SELECT stddev(o_totalprice), var_samp(o_totalprice), corr(o_totalprice, o_custkey), skewness(o_custkey) FROM orders
SELECT approx_count_distinct(o_custkey) > 0, arg_max(o_orderkey, o_totalprice), bool_and(o_custkey >= 0) FROM orders
SELECT string_agg(n_name, ', ' ORDER BY n_name), list(n_nationkey ORDER BY n_nationkey DESC) FROM nation
SELECT n_regionkey, histogram(n_nationkey % 2) FROM nation GROUP BY ALL ORDER BY ALL
SELECT n_regionkey % 2 AS half, count(*) AS n FROM nation GROUP BY half HAVING n > 1 ORDER BY half
SELECT o_orderstatus, o_orderpriority, count(*) FROM orders GROUP BY ROLLUP (o_orderstatus, o_orderpriority) ORDER BY ALL
SELECT o_orderstatus, o_orderpriority, count(*) FROM orders GROUP BY CUBE (o_orderstatus, o_orderpriority) ORDER BY ALL
SELECT o_orderstatus, grouping(o_orderstatus), count(*) FROM orders GROUP BY GROUPING SETS ((o_orderstatus), ()) ORDER BY ALL
SELECT n_name, row_number() OVER (ORDER BY n_name) FROM nation ORDER BY ALL
SELECT n_name, rank() OVER (PARTITION BY n_regionkey ORDER BY n_name), dense_rank() OVER w, ntile(3) OVER w FROM nation WINDOW w AS (ORDER BY n_regionkey, n_name) ORDER BY n_name
SELECT n_name, lag(n_name, 1, 'none') OVER w, lead(n_name) OVER w, first_value(n_name) OVER w FROM nation WINDOW w AS (PARTITION BY n_regionkey ORDER BY n_name) ORDER BY 1
SELECT o_orderkey, sum(o_totalprice) OVER (ORDER BY o_orderkey ROWS BETWEEN 2 PRECEDING AND CURRENT ROW) FROM orders ORDER BY 1 LIMIT 50
SELECT o_orderkey, avg(o_totalprice) OVER (ORDER BY o_orderdate RANGE BETWEEN INTERVAL 10 DAY PRECEDING AND CURRENT ROW EXCLUDE TIES) FROM orders ORDER BY 1 LIMIT 50
SELECT n_name, percent_rank() OVER (ORDER BY n_name), cume_dist() OVER (ORDER BY n_name), nth_value(n_name, 2) OVER (ORDER BY n_name) FROM nation ORDER BY 1
SELECT n_name FROM nation QUALIFY row_number() OVER (PARTITION BY n_regionkey ORDER BY n_name) = 1 ORDER BY 1
SELECT count(DISTINCT n_regionkey) OVER () FROM nation LIMIT 1
SELECT last_value(n_nationkey IGNORE NULLS) OVER (ORDER BY n_nationkey) FROM nation ORDER BY 1
WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS x FROM a) SELECT * FROM a UNION ALL SELECT * FROM b ORDER BY 1
WITH nation AS (SELECT * FROM nation WHERE n_regionkey = 1) SELECT count(*) FROM nation
WITH a AS MATERIALIZED (SELECT random() AS r) SELECT (SELECT r FROM a) = (SELECT r FROM a)
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 10) SELECT sum(n) FROM r
WITH RECURSIVE f(a, b) AS (SELECT 0, 1 UNION SELECT b, a + b FROM f WHERE b < 100) SELECT * FROM f ORDER BY ALL
SELECT n_name FROM nation UNION SELECT r_name FROM region ORDER BY 1
SELECT n_nationkey FROM nation INTERSECT SELECT r_regionkey FROM region ORDER BY 1
SELECT n_nationkey FROM nation EXCEPT ALL SELECT r_regionkey FROM region ORDER BY 1
SELECT 1 AS a UNION ALL BY NAME SELECT 2 AS b ORDER BY ALL
SELECT * FROM (PIVOT nation ON n_regionkey IN (0, 1, 2) USING count(*) GROUP BY n_name) ORDER BY ALL
SELECT * FROM (PIVOT orders ON o_orderstatus IN ('O', 'F') USING sum(o_totalprice) AS s, count(*) AS n GROUP BY o_orderpriority) ORDER BY ALL
PIVOT (SELECT o_orderstatus FROM orders) ON o_orderstatus USING count(*)
SELECT * FROM (PIVOT orders ON o_orderstatus, year(o_orderdate) USING sum(o_totalprice) GROUP BY o_orderpriority) ORDER BY ALL
WITH few AS (SELECT * FROM nation WHERE n_regionkey < 3) SELECT * FROM (PIVOT few ON n_regionkey USING max(n_name)) ORDER BY ALL
SELECT * FROM nation PIVOT (count(*) FOR n_regionkey IN (0, 1)) ORDER BY ALL
SELECT * FROM (UNPIVOT (SELECT 1 AS jan, 2 AS feb) ON jan, feb INTO NAME month VALUE n) ORDER BY ALL
SELECT * FROM (SELECT 1 AS jan, 2 AS feb) UNPIVOT (n FOR month IN (jan, feb)) ORDER BY ALL
SELECT [1, 2, 3], [1, 2][1], [x * 2 FOR x IN [1, 2, 3] IF x > 1], list_sum([1, 2]), len([1])
SELECT list_transform([1, 2], lambda x: x + 1), list_filter([1, 2], lambda x: x > 1), list_reduce([1, 2, 3], lambda a, b: a + b)
SELECT unnest([1, 2, 3]) AS u ORDER BY 1
SELECT n_name, u FROM nation, unnest([n_nationkey, n_regionkey]) AS t(u) ORDER BY ALL
SELECT {'a': 1, 'b': {'c': 'x'}} AS s, struct_extract(s, 'b'), struct_pack(k := 1), row(1, 'a')
SELECT unnest({'a': 1, 'b': 2})
SELECT map(['a'], [1])['a'], map_keys(MAP {'x': 1}), cardinality(MAP {'x': 1, 'y': 2})
SELECT [[1], [2, 3]][2][1], flatten([[1], [2]]), [1, 2] || [3], list_contains([1], 1), list_sort([3, 1, 2])
SELECT '{"a": [1, {"b": 2}]}'::JSON -> 'a' ->> 0, json_extract('{"a": 1}', '$.a'), json_array(1, 'x'), to_json({'a': 1})
SELECT key, value FROM json_each('{"a": 1, "b": 2}') ORDER BY key
SELECT DATE '2024-02-29' + INTERVAL 1 YEAR, date_trunc('month', DATE '2024-02-29'), date_diff('day', DATE '2024-01-01', DATE '2024-03-01')
SELECT extract('dow' FROM DATE '2024-02-29'), date_part('week', DATE '2024-02-29'), strftime(DATE '2024-02-29', '%Y/%m'), last_day(DATE '2024-02-01')
SELECT strptime('2024-02-29', '%Y-%m-%d'), TIMESTAMP '2024-01-01 10:00:00' - INTERVAL '90' MINUTE, age(DATE '2024-02-29', DATE '2023-01-01')
SELECT TIMESTAMPTZ '2024-01-01 10:00:00+02' AT TIME ZONE 'Europe/Berlin', epoch(TIMESTAMP '2024-01-01'), make_date(2024, 1, 2), time_bucket(INTERVAL 5 MINUTE, TIMESTAMP '2024-01-01 10:07:00')
SELECT CAST('1' AS INTEGER), '1.50'::DECIMAL(5, 2), TRY_CAST('x' AS INTEGER), 1::VARCHAR, 'a'::BLOB, '550e8400-e29b-41d4-a716-446655440000'::UUID, 1e3, 0xFF, 1_000
SELECT CASE n_regionkey WHEN 0 THEN 'a' ELSE 'b' END, CASE WHEN n_regionkey > 1 THEN 1 END, coalesce(NULL, 1), nullif(1, 1), ifnull(NULL, 2), if(true, 1, 2) FROM nation ORDER BY ALL
SELECT 1 IS DISTINCT FROM NULL, NULL IS NULL, true AND NOT false, 7 // 2, 7 % 3, 2 ** 3, -5, 5!, ~1, 1 << 3, 6 & 3, @(-2), 1 <> 2, 1 != 2, true IS TRUE
SELECT round(1.234, 2), floor(1.5), ceil(1.2), abs(-1), sqrt(4), ln(1), log10(100), power(2, 3), greatest(1, 2), least(1, 2), pi(), sign(-3), mod(7, 3), gcd(4, 6)
SELECT range FROM range(3) ORDER BY 1
SELECT * FROM generate_series(DATE '2024-01-01', DATE '2024-01-05', INTERVAL 2 DAY) ORDER BY 1
SELECT n_name COLLATE NOCASE AS c FROM nation ORDER BY c COLLATE DE
SELECT $$it's$$, 'it''s', e'a\\tb', "n_name" FROM nation ORDER BY ALL -- a comment
SELECT /* one */ 1 /* two; */ ;
SELECT typeof(1), hash('a') = hash('a'), 1 IN (1, 2), [1] @> [1], 'a' ^@ 'a', bar(1, 0, 2, 4)
SELECT n_name, #1 FROM nation ORDER BY #1
SELECT alias.n FROM (SELECT n_nationkey AS n FROM nation) AS alias(n) ORDER BY 1
SELECT x.a, y.b FROM (VALUES (1), (2)) AS x(a) JOIN (VALUES (1, 'p'), (2, 'q')) AS y(a, b) USING (a) ORDER BY ALL
SELECT count(*) FROM (SELECT * FROM lineitem USING SAMPLE 100 ROWS (reservoir, 42))
SELECT sum(l_quantity) AS q, q * 2 AS twice FROM lineitem
SELECT l_shipmode, sum(l_quantity)::BIGINT q FROM lineitem WHERE l_shipdate >= '1994-01-01' GROUP BY 1 ORDER BY q DESC, 1 LIMIT 3
SELECT n_name.lower().upper() AS n, n.n_name.length() FROM nation n ORDER BY ALL
SELECT ('a b').string_split(' ').list_transform(lambda s: s.upper())
SELECT version(), current_schema(), current_database(), current_catalog()
SELECT variant_typeof(1::VARIANT), variant_extract({'a': 1}::VARIANT, 'a')::INT, variant_keys({'a': 1}::VARIANT)
SELECT switch(1, MAP {1: 'a'}), switch(2, MAP {1: 'a'}, 'z')
SELECT path_join('a', 'b'), json_merge_patch_diff('{"a": 1}', '{"a": 2}'), create_sort_key(1, 'ASC NULLS LAST')
SELECT len(lttb(n_nationkey, n_regionkey, 3 ORDER BY n_nationkey)) FROM nation
SELECT st_astext('POINT(1 2)'::GEOMETRY), st_asgeojson(st_geomfromwkb(st_aswkb('POINT(1 2)'::GEOMETRY)))
SELECT st_intersects_extent('POINT(1 2)'::GEOMETRY, 'POINT(1 2)'::GEOMETRY), st_crs('POINT(1 2)'::GEOMETRY)
SELECT variant_group_object(n_name, n_regionkey::VARIANT)::VARCHAR, variant_group_array(n_name)::VARCHAR FROM (FROM nation ORDER BY 1 LIMIT 2)
SELECT s.a.upper() FROM (SELECT {'a': n_name} AS s FROM nation) ORDER BY 1
SELECT n_name.upper() FROM nation ORDER BY n_name.lower()
DESCRIBE nation
DESCRIBE SELECT n_name, n_nationkey + 1 AS x FROM nation
SUMMARIZE region
""".splitlines()
    if line
]

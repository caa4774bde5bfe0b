"""A user's files: types are inferred once over all rows and held to; lines that are no rows are kept apart."""

from __future__ import annotations

import datetime as dt
import gzip
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.orc
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow.fs import LocalFileSystem

from lake_assets.quality import records
from lake_assets.quality.records import LONGEST, lines
from lake_assets.quality.typed import TypedRows, as_tree, read_typed
from lake_assets_tests.depth import examples

LOCAL = LocalFileSystem()


def read(path: Path, schema: pa.Schema | None = None) -> TypedRows:
    return read_typed(LOCAL, [str(path)], schema)


def reasons(found: TypedRows) -> list[tuple[int, str]]:
    return [(one["line"], one["reason"]) for one in found.rejected.to_pylist()]


def test_the_types_of_csv_are_those_of_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,code,price,day,on,text\n1,007,1.5,2017-07-28,true,x\n2,010,,2017-07-29,false,1\n")
    found = read(path)
    assert as_tree(found.rows.schema).splitlines()[1:] == [
        " |-- id: long (nullable = true)",
        " |-- code: string (nullable = true)",
        " |-- price: double (nullable = true)",
        " |-- day: date (nullable = true)",
        " |-- on: boolean (nullable = true)",
        " |-- text: string (nullable = true)",
    ]
    assert found.rows["price"].to_pylist() == [1.5, None]
    assert found.rejected.num_rows == 0


def test_later_rows_are_held_to_the_types(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,price\n1,1.5\n")
    schema = read(path).rows.schema
    path.write_text("id,price\n1,2.5\nx,cheap\n2,1\n3,4,5\n")
    found = read(path, schema)
    assert found.rows.schema == schema
    assert found.rows["id"].to_pylist() == [1, 2]
    assert reasons(found) == [
        (3, "id is no BIGINT; price is no DOUBLE"),
        (5, "3 fields, and 2 are expected"),
    ]
    assert found.rejected["raw"].to_pylist() == ["x,cheap", "3,4,5"]
    path.write_text("id,prize\n1,1\n")
    with pytest.raises(ValueError, match=r"a\.csv has other columns than before: price is gone, prize is new"):
        read(path, schema)


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["12345678901234567890", "1"], "string"),
        (["9007199254740993", "1.5"], "string"),
        (["-9007199254740991", "1.5e300", " .5", "inf"], "double"),
        (["1e400", "1.5"], "string"),
        (["1_000", "1.5"], "string"),
        (["2017-07-28T08:00:00+02:00", "2017-07-28 06:00Z", "2017/7/28 06:00:00.5-0330"], "timestamp[us, tz=UTC]"),
        (["2017-07-28T08:00:00+02:00", "2017-07-28T08:00:00"], "string"),
        (["2017-07-28T08:00:00.123456000", "2017-07-28"], "timestamp[us]"),
        (["2017-07-28T08:00:00.123456789", "2017-07-28"], "string"),
        (["epoch", "infinity"], "string"),
        (["12017-07-28 08:00:00"], "string"),
    ],
)
def test_a_type_neither_rounds_nor_cuts_a_value(tmp_path: Path, texts: list[str], kind: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["a", *texts, ""]))
    found = read(path)
    assert str(found.rows.schema.field("a").type) == kind
    assert found.rows.num_rows == len(texts)
    if kind == "string":
        assert found.rows["a"].to_pylist() == texts
    assert read(path, found.rows.schema).rows.equals(found.rows)


def test_times_with_a_zone_are_instants(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a\n2017-07-28T08:00:00+02:00\n2017-07-28 06:00Z\n")
    found = read(path)
    assert set(found.rows["a"].cast(pa.timestamp("us")).to_pylist()) == {dt.datetime(2017, 7, 28, 6)}
    path.write_text("a\n2017-07-28 06:00\n")
    assert reasons(read(path, found.rows.schema)) == [(2, "a is no TIMESTAMPTZ")]


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("a,a", "'a' occurs twice"),
        ("a,A", "'a' and 'A' differ in case only"),
        ("a,", "column 2 has no name"),
        ("a,quality record", "'quality record' occurs twice"),
    ],
)
def test_columns_of_csv_have_names_of_their_own(tmp_path: Path, header: str, reason: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\n1,x\n")
    with pytest.raises(ValueError, match=f"a.csv cannot be read: .*{reason}"):
        read(path)


def test_the_first_of_json_lines_may_have_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n{"a": 2}\n', encoding="utf-8-sig")
    assert read(path).rows["a"].to_pylist() == [1, 2]


def test_a_first_line_that_is_too_long_is_one_line_with_a_byte_order_mark_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "LONGEST", 20)
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": "' + "x" * 100 + '"}\n{"a": "y"}\n', encoding="utf-8-sig")
    found = read(path)
    assert found.rows["a"].to_pylist() == ["y"]
    assert reasons(found) == [(1, "the line has more than 20 bytes")]


def test_a_rejected_line_has_its_number_in_the_file_and_stands_as_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'\xef\xbb\xbf\n"id","no\nte"\r\n1,"two\r\nlines"\n\n\nx,"a, ""b""\n"\n2,y,\r"3",z\n"4" ,"z"')
    schema = pa.schema([("id", pa.int64()), ("no\nte", pa.string())])
    found = read(path, schema)
    assert found.rows["id"].to_pylist() == [1, 3]
    assert reasons(found) == [
        (8, "id is no BIGINT"),
        (10, "3 fields, and 2 are expected"),
        (12, "id is no BIGINT"),
    ]
    assert found.rejected["raw"].to_pylist() == ['x,"a, ""b""\n"', "2,y,", '"4" ,"z"']


@pytest.mark.parametrize("text", [b"", b"i\xff\n1\n", b'id\n1\n"' + b"x\n" * (1 << 20)])
def test_a_file_that_is_no_csv_is_named_with_the_remedy(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text)
    with pytest.raises(ValueError, match=r"a\.csv cannot be read: .*; give it a header in UTF-8, and close its quotes"):
        read(path)


def test_a_line_of_csv_that_is_no_utf8_is_rejected_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes("id,name,place\n1,é,x\n".encode() + b'2,\xe9,y\n\n3,"\xe9",\xff\n4\n5,z,\n')
    found = read(path)
    assert found.rows.to_pylist() == [{"id": 1, "name": "é", "place": "x"}, {"id": 5, "name": "z", "place": None}]
    assert reasons(found) == [
        (3, "name is no UTF-8"),
        (5, "name is no UTF-8; place is no UTF-8"),
        (6, "1 fields, and 3 are expected"),
    ]
    assert found.rejected["raw"].to_pylist() == ["2,\ufffd,y", '3,"\ufffd",\ufffd', "4"]


def test_files_of_equal_names_keep_their_rejected_lines_apart(tmp_path: Path) -> None:
    paths = [tmp_path / folder / "a.csv" for folder in ("b", "c")]
    for path, text in zip(paths, ("id\nx\n1\n2,3\n", "id\n\n4\n5\ny\n"), strict=True):
        path.parent.mkdir()
        path.write_text(text)
    found = read_typed(LOCAL, list(map(str, paths)), pa.schema([("id", pa.int64())]))
    assert found.rows["id"].to_pylist() == [1, 4, 5]
    assert [(line, raw) for _, line, _, raw in _rejected(found)] == [(2, "x"), (4, "2,3"), (5, "y")]


def _rejected(found: TypedRows) -> list[tuple[str, int, str, str]]:
    return [(one["file"], one["line"], one["reason"], one["raw"]) for one in found.rejected.to_pylist()]


PIECES = st.sampled_from(
    ["1", "x", ",", ",", '"', '""', "\n", "\n", "\r\n", "\r", " ", "é", "\0", "1,1\n", '"1","1"\n']
)


@settings(max_examples=examples(60))
@given(st.lists(PIECES, max_size=30).map("".join))
def test_lines_of_any_csv_are_rows_or_are_found_where_they_stand(tmp_path: Path, text: str) -> None:
    path, schema = tmp_path / "a.csv", pa.schema([("a", pa.int64()), ("b", pa.int64())])

    def read_lines(content: list[str]) -> TypedRows:
        path.write_text("".join(content), newline="")
        return read(path, schema)

    content = _lines_of("a,b\n" + text)
    found, rest = read_lines(content), list(content)
    for _, line, reason, raw in _rejected(found):
        end = line - 1 + len(_lines_of(raw + "."))
        stands = "".join(content[line - 1 : end])
        assert stands.startswith(raw)
        assert stands.removeprefix(raw) in ("", "\r", "\n", "\r\n")
        assert [one[1:] for one in _rejected(read_lines(["a,b\n", stands]))] == [(2, reason, raw)]
        rest[line - 1 : end] = [""] * (end - line + 1)
    others = read_lines(rest)
    assert others.rows.equals(found.rows)
    assert others.rejected.num_rows == 0


def _lines_of(text: str) -> list[str]:
    return io.StringIO(text, newline="").readlines()


def test_json_lines_and_python_literals_are_read_and_nothing_is_called(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json.gz"
    path.write_bytes(
        gzip.compress(
            b'{"user": "A1", "stars": 5}\n'
            b"{u'user': 'B2', 'stars': 4, 'text': u'it\\'s fine'}\n"
            b"\n"
            b"{'user': __import__('os').system('touch /tmp/x')}\n"
            b"[1, 2]\n"
            b"{'user': " + b"[" * 5000 + b"}\n"
            b'{"user": "\xff"}\n'
            b"{'user': {1, 2}}\n"
        )
    )
    found = read(path)
    assert found.rows.to_pylist() == [
        {"user": "A1", "stars": 5, "text": None},
        {"user": "B2", "stars": 4, "text": "it's fine"},
    ]
    assert [line for line, _ in reasons(found)] == [4, 5, 6, 7, 8]
    path.write_bytes(gzip.compress(b'{"user": "A", "stars": "five"}\n{"user": "B", "extra": 1}\n{"user": "C"}\n'))
    held = read(path, found.rows.schema)
    assert held.rows["user"].to_pylist() == ["C"]
    assert [line for line, _ in reasons(held)] == [1, 2]


def test_parquet_and_orc_keep_their_types(tmp_path: Path) -> None:
    rows = pa.table({"a": pa.array([1, None], pa.int32()), "b": ["x", "y"]})
    pq.write_table(rows, tmp_path / "a.parquet")
    pyarrow.orc.write_table(rows, tmp_path / "a.orc")
    for name in ("a.parquet", "a.orc"):
        assert read(tmp_path / name).rows.equals(rows)
    with pytest.raises(ValueError, match="a is int32 and was int64"):
        read(tmp_path / "a.parquet", pa.schema([("a", pa.int64()), ("b", pa.string())]))
    with pytest.raises(ValueError, match="files of one format"):
        read_typed(LOCAL, [str(tmp_path / "a.parquet"), str(tmp_path / "a.orc")])


def test_a_line_that_is_too_long_is_cut_and_kept_apart() -> None:
    (long, after) = lines(io.BytesIO(b"x" * (3 * LONGEST) + b'\n{"a": 1}\n'))
    assert long.record is None
    assert len(long.raw) == 1000
    assert (after.number, after.record) == (2, {"a": 1})


@settings(max_examples=examples(50))
@given(st.binary(max_size=60))
def test_any_bytes_are_lines(content: bytes) -> None:
    assert all(line.record is not None or line.reason for line in lines(io.BytesIO(content)))

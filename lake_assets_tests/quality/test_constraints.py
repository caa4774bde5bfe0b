"""Constraints: by the profile and by one more pass they say the same; split gives every reason."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.quality import profile
from lake_assets.quality.constraints import (
    AnyConstraint,
    Check,
    Complete,
    Fresh,
    Length,
    Member,
    Pattern,
    Range,
    Refers,
    RowCount,
    Unique,
    of_yaml,
    to_yaml,
)
from lake_assets.quality.suggesting import suggest
from lake_assets.quality.verifying import REASONS, split, verify, verify_by_profile

NOW = dt.datetime(2017, 7, 28, 9, tzinfo=dt.timezone.utc)
ROWS = pa.table(
    {
        "isin": ["DE0005190003", "DE0005190003", "bad", None],
        "price": [1.0, -2.0, 3.0, None],
        "currency": ["EUR", "EUR", "XXX", "EUR"],
        "day": [dt.date(2017, 7, 28)] * 4,
    }
)
BROKEN: list[tuple[AnyConstraint, int]] = [
    (Complete(column="isin"), 1),
    (Unique(columns=["isin"]), 2),
    (Unique(columns=["isin", "currency"]), 2),
    (Range(column="price", min=0), 1),
    (Range(column="day", max="2017-07-27"), 4),
    (Member(column="currency", values=["EUR", "USD"]), 1),
    (Pattern(column="isin", regex="[A-Z]{2}.*"), 1),
    (Length(column="isin", min=12, max=12), 1),
    (Refers(column="currency", rows="currencies", to="code"), 1),
    (Fresh(column="day", max_age=-1e6), 1),
    (RowCount(min=5), 1),
    (Check(sql="price < 3", name="cheap"), 1),
]
HELD: list[AnyConstraint] = [
    Complete(column="isin", at_least=0.75),
    Unique(columns=["price"]),
    Range(column="price", min=-2, max=3),
    Range(column="day", min="2017-01-01"),
    Member(column="currency", values=["EUR", "XXX"]),
    Length(column="currency", min=3, max=3),
    Fresh(column="day", max_age=86400),
    RowCount(min=4, max=4),
    Check(sql="price > -3", name="not_too_cheap"),
]
REFERENCES: dict[str, Any] = {"currencies": pa.table({"code": ["EUR", "USD", None]})}


def test_what_is_broken_is_found_and_counted() -> None:
    found = verify(ROWS, [one for one, _ in BROKEN], references=REFERENCES, now=NOW)
    assert [verdict.bad for verdict in found] == [bad for _, bad in BROKEN]
    assert not any(verdict.passed for verdict in found)


def test_a_stream_with_a_known_profile_is_read_once_and_says_the_same() -> None:
    for constraints in ([one for one, _ in BROKEN], HELD):
        stream = pa.RecordBatchReader.from_batches(ROWS.schema, iter(ROWS.to_batches(max_chunksize=1)))
        found = verify(stream, constraints, known=profile(ROWS), references=REFERENCES, now=NOW)
        assert found == verify(ROWS, constraints, references=REFERENCES, now=NOW)


def test_what_holds_passes() -> None:
    found = verify(ROWS, HELD, now=NOW)
    assert [verdict.constraint.title for verdict in found if not verdict.passed] == []


def test_the_profile_suffices_where_it_can() -> None:
    found = {verdict.constraint.title: verdict.by_profile for verdict in verify(ROWS, HELD, now=NOW)}
    assert [title for title, by_profile in found.items() if not by_profile] == ["not_too_cheap"]


def test_split_gives_every_reason() -> None:
    good, rejected = split(ROWS, [one for one, _ in BROKEN if "day" not in one.title], references=REFERENCES)
    assert good.num_rows == 0
    reasons = rejected[REASONS].to_pylist()
    assert set(reasons[2]) == {
        *("member_currency", "pattern_isin", "length_isin", "refers_currency", "cheap"),
    }
    assert reasons[3] == ["complete_isin"]
    assert rejected.drop_columns([REASONS]).equals(ROWS)


def test_split_keeps_the_good_rows_as_they_are() -> None:
    good, rejected = split(pd.DataFrame({"x": [1, -1, 2]}), [Range(column="x", min=0)])
    assert good["x"].to_pylist() == [1, 2]
    assert rejected.to_pylist() == [{"x": -1, REASONS: ["range_x"]}]


def test_constraints_are_yaml() -> None:
    for constraints in ([one for one, _ in BROKEN], HELD):
        assert of_yaml(to_yaml(constraints)) == constraints
    assert of_yaml("- {kind: complete, column: ISIN, severity: WARN}") == [Complete(column="ISIN", severity="WARN")]
    with pytest.raises(ValueError, match=r"not constraints: .*unknown field `kolumn`"):
        of_yaml("- {kind: complete, kolumn: ISIN}")


@pytest.mark.parametrize(
    "text",
    ["2017-07-28", "2017-7-2", "2017-07-28T09:00:00Z", "2017-07-28 09:00:00.5", "09:00:00", "17:30", "17:30:00.5"],
)
def test_dates_and_times_in_yaml_need_no_quotes(text: str) -> None:
    assert of_yaml(f"- {{kind: range, column: at, min: {text}}}") == [Range(column="at", min=text)]
    assert of_yaml(f"- {{kind: member, column: at, values: [{text}, 1.5, 2]}}") == [
        Member(column="at", values=[text, 1.5, 2])
    ]
    assert of_yaml(f"- {{kind: complete, column: {text}}}") == [Complete(column=text)]
    with pytest.raises(ValueError, match=r"not constraints: Expected `float`, got `str` - at `\$\[0\]\.max_age`"):
        of_yaml(f"- {{kind: fresh, column: at, max_age: {text}}}")


@given(st.dates() | st.times() | st.datetimes() | st.datetimes(timezones=st.just(dt.timezone.utc)))
def test_any_date_or_time_is_the_same_with_and_without_quotes(value: dt.date | dt.time) -> None:
    text = value.isoformat()
    plain = f"- kind: range\n  column: at\n  min: {text}"
    quoted = f"- kind: range\n  column: at\n  min: '{text}'"
    assert of_yaml(plain) == of_yaml(quoted) == of_yaml(to_yaml([Range(column="at", min=text)]))


def test_yaml_that_is_none_is_refused_with_its_place() -> None:
    with pytest.raises(ValueError, match=r"(?s)these are not constraints: .*line [12]"):
        of_yaml("a: [")


@pytest.mark.parametrize("value", [dt.date(2017, 7, 28), dt.datetime(2017, 7, 28), dt.time(9)])
def test_objects_of_dates_and_times_are_refused_with_the_remedy(value: Any) -> None:
    for make in (lambda: Range(column="day", max=value), lambda: Member(column="day", values=[value])):
        with pytest.raises(
            ValueError, match=f"_day': write {re.escape(repr(value))} as the text '{value.isoformat()}'"
        ):
            make()


def test_bounds_of_times_are_in_order_by_their_zones() -> None:
    assert Range(column="at", min="2017-07-28T10:00:00+05:00", max="2017-07-28T09:00:00Z").max
    assert Range(column="at", min="2017-07-28T10:00:00", max="2017-07-28 11:00:00").max
    for low, high in (("2017-07-28T10:00:00Z", "2017-07-28T10:00:00+05:00"), ("b", "a")):
        with pytest.raises(ValueError, match="is above its max"):
            Range(column="at", min=low, max=high)


def test_errors_name_the_constraint() -> None:
    with pytest.raises(ValueError, match=r"'complete_b': there is no column 'b'; there are a"):
        verify(pa.table({"a": [1]}), [Complete(column="b")])
    with pytest.raises(ValueError, match="cannot be verified"):
        verify(pa.table({"a": [1]}), [Check(sql="nonsense(", name="wrong")])
    with pytest.raises(ValueError, match="several constraints have the name 'complete_a'"):
        verify(pa.table({"a": [1]}), [Complete(column="a"), Complete(column="a", at_least=0.5)])


def test_rows_that_are_not_there_are_named_with_the_remedy() -> None:
    refers = Refers(column="currency", rows="currencies", to="code")
    for judge in (verify, split):
        with pytest.raises(
            ValueError, match=r"'refers_currency': no rows are named 'currencies'; there are others: give"
        ):
            judge(ROWS, [refers], references={"others": REFERENCES["currencies"]})
        # The rows have a column of this name, which an inner query would take.
        with pytest.raises(ValueError, match=r"'refers_currency': 'currencies' has no column 'isin'; there are code"):
            judge(ROWS, [Refers(column="currency", rows="currencies", to="isin")], references=REFERENCES)
        with pytest.raises(ValueError, match="cannot be named 'frame'"):
            judge(
                ROWS,
                [Refers(column="currency", rows="Frame", to="code")],
                references={"Frame": pa.table({"code": [""]})},
            )


def test_a_null_refers_to_nothing_also_where_nothing_is_there() -> None:
    rows = pa.table({"currency": ["EUR", None]})
    (verdict,) = verify(
        rows,
        [Refers(column="currency", rows="currencies", to="code")],
        references={"currencies": pa.table({"code": pa.array([], pa.string())})},
    )
    assert verdict.bad == 1


def test_a_condition_reads_no_file() -> None:
    with pytest.raises(ValueError, match="cannot be verified"):
        verify(pa.table({"a": [1]}), [Check(sql="a IN (SELECT 1 FROM read_text('/etc/passwd'))", name="spy")])


def test_suggestions_hold_for_the_rows_they_are_made_from() -> None:
    frame = pa.table(
        {
            "isin": [f"DE000519{at:04}" for at in range(200)],
            "currency": ["EUR", "USD"] * 100,
            "price": [0.5 * at for at in range(200)],
        }
    )
    found = suggest(profile(frame))
    titles = {suggestion.constraint.title for suggestion in found}
    assert titles >= {"unique_isin", "length_isin", "pattern_isin", "member_currency", "range_price", "complete_price"}
    assert all(verdict.passed for verdict in verify(frame, [suggestion.constraint for suggestion in found]))
    assert all(suggestion.evidence for suggestion in found)


def test_suggestions_for_columns_in_any_script_have_names_of_their_own() -> None:
    rows = pa.table({"数量": [1, 2], "価格": [3, 4], "a b": [5, 6], "a_b": [7, 8]})
    found = [suggestion.constraint for suggestion in suggest(profile(rows))]
    assert all(verdict.passed for verdict in verify(rows, found))
    assert of_yaml(to_yaml(found)) == found


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        (pa.array([0.1, 0.2, None], pa.float32()), Member(column="value", values=[0.1, 0.2])),
        (pa.array([0.5, None], pa.float16()), Range(column="value", min=0.5)),
        (pa.array([Decimal("7" * 50)], pa.decimal256(60, 0)), Range(column="value", min=0)),
        (pa.array(["a", None], pa.string_view()), Pattern(column="value", regex="a")),
        (pa.array([b"a", b"b"]), Unique(columns=["value"])),
        (pa.array([0.3, 0.7], pa.float32()), Range(column="value", min=0.3, max=0.7)),
        (pa.array([Decimal("0.1"), Decimal("0.3")]), Range(column="value", min=0.1, max=0.3)),
        (pa.array([[1], [1, 2]]), Length(column="value", min=1, max=2)),
    ],
)
def test_profile_rows_and_split_say_the_same_of_each_type(values: pa.Array, constraint: AnyConstraint) -> None:
    rows = pa.table({"value": values})
    assert verify(rows, [constraint])[0].passed
    assert split(rows, [constraint])[0].num_rows == len(values)
    by_profile = verify_by_profile(profile(rows), [constraint])[0]
    assert by_profile is None or by_profile.passed


@pytest.mark.parametrize(
    ("values", "constraint"),
    [
        (pa.array([10**18 + 1], pa.timestamp("ns")), Range(column="value", max="2001-09-09T01:46:40")),
        (pa.array([10**18 + 1], pa.timestamp("ns")), Range(column="value", min="2001-09-09T01:46:40.000000002")),
        (pa.array([[1], [1, 2]]), Length(column="value", max=1)),
    ],
)
def test_what_a_profile_does_not_know_is_found_in_the_rows(values: pa.Array, constraint: AnyConstraint) -> None:
    rows = pa.table({"value": values})
    assert verify(rows, [constraint])[0].bad == split(rows, [constraint])[1].num_rows == 1


def test_columns_that_differ_in_case_only_are_not_taken_for_each_other() -> None:
    rows = pa.table({"a": [1, 2], "A": [1, 9]})
    for constraint in (Range(column="A", max=5), Check(sql="a < 5")):
        with pytest.raises(ValueError, match="'a' and 'A' differ in case only"):
            split(rows, [constraint])


def test_a_condition_may_end_with_a_comment() -> None:
    assert split(ROWS, [Check(sql="price < 0 -- or so")])[1].equals(split(ROWS, [Check(sql="price < 0")])[1])


def test_a_column_without_a_name_is_looked_for_like_any_other() -> None:
    with pytest.raises(ValueError, match="there is no column ''"):
        verify(ROWS, [Complete(column="")])


def test_nothing_is_suggested_of_values_that_are_not_known() -> None:
    times = pa.array([0, 10**12] * 50, pa.timestamp("s"))  # Python has the first one alone.
    for values in ([b"a", b"b"] * 50, [[1], [2]] * 50, times):
        rows = pa.table({"value": values})
        proposed = [one.constraint for one in suggest(profile(rows))]
        assert not any(isinstance(one, Member) for one in proposed)
        assert split(rows, proposed)[1].num_rows == 0


def test_a_condition_that_fails_on_the_rows_is_one_line() -> None:
    with pytest.raises(ValueError, match=r"^a constraint cannot be verified: Conversion Error.*$"):
        verify(ROWS, [Check(sql="CAST(isin AS INT) > 0", name="number")])
    with pytest.raises(ValueError, match="cannot be verified"):
        split(ROWS, [Check(sql="CAST(isin AS INT) > 0", name="number")])


@pytest.mark.parametrize(
    ("kind", "given", "why"),
    [
        (Complete, {"column": "isin", "severity": "FATAL"}, "is not WARN or ERROR"),
        (RowCount, {"severity": "error"}, "is not WARN or ERROR"),
        (Range, {"column": "price", "min": 5, "max": 1}, "is above its max"),
        (Range, {"column": "day", "min": "2017-07-28", "max": "2017-07-27"}, "is above its max"),
        (Length, {"column": "isin", "min": 12, "max": 2}, "is above its max"),
        (Complete, {"column": "isin", "at_least": 99.0}, "from 0 to 1"),
        (Unique, {"columns": []}, "at least one column"),
    ],
)
def test_a_constraint_that_says_nothing_of_rows_is_refused(kind: type[Any], given: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        kind(**given)
    with pytest.raises(ValueError, match="severity" if "severity" in given else why):
        of_yaml(msgspec.yaml.encode([given | {"kind": kind.__struct_config__.tag}]).decode())


@pytest.mark.parametrize(
    ("values", "personal", "passed", "said"),
    [
        (["2017-07-27", "2017-07-28"], False, True, "the newest t is 2017-07-28"),
        (["2017-07-28T08:59:00Z"], False, True, "the newest t is 2017-07-28T08:59:00Z"),
        (["2016-01-01"], False, False, "the newest t is 2016-01-01"),
        (["soon"], False, False, "the newest t is soon, which is not a time"),
        ([dt.datetime(2017, 7, 28, 8, tzinfo=dt.timezone.utc)], True, False, "since it is a personal column"),
        ([None], False, False, "the newest t is None"),
    ],
)
def test_the_newest_of_iso_texts_is_a_time_and_why_there_is_none_is_told(
    values: list[Any], personal: bool, passed: bool, said: str
) -> None:
    rows = pa.table({"t": values})
    known = profile(rows, personal=["t"] if personal else [])
    (verdict,) = verify(rows, [Fresh(column="t", max_age=86400)], known=known, now=NOW)
    assert verdict.passed is passed
    assert said in verdict.description


def test_what_breaks_a_condition_in_sql_is_told_with_the_condition() -> None:
    rows = pa.table({"a": [1, 2, 3]})
    (verdict,) = verify(rows, [Check(sql="a >\n  2")])
    assert verdict.description == "2 of 3 rows break check: a > 2"

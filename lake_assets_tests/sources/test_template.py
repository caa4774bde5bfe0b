from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lake_assets.defs.stocks.naming import HOURLY_FILES
from lake_assets.sources import SourceError
from lake_assets.sources.template import Template

from .conftest import HOUR, NAME


def hourly(text: str) -> Template[datetime]:
    return Template(text, HOURLY_FILES)


hours = st.builds(
    lambda day, hour: datetime.combine(day, time(hour), timezone.utc),
    st.dates(date(1000, 1, 1), date(9998, 12, 31)),
    st.integers(0, 23),
)
literals = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=12)


@st.composite
def templates(draw: st.DrawFn) -> str:
    placeholders = draw(st.permutations(["{date}", "{hour}", *draw(st.lists(st.sampled_from(["{date}", "{hour}"])))]))
    return "".join(draw(literals) + placeholder for placeholder in placeholders) + draw(literals)


@given(templates(), hours)
def test_what_a_template_makes_of_an_hour_it_reads_back(template: str, hour: datetime) -> None:
    assert hourly(template).parse(hourly(template).at(hour)) == hour


@given(st.text(), hours)
def test_any_text_is_a_base_a_template_or_refused_with_a_reason(text: str, hour: datetime) -> None:
    if ("{" in text or "}" in text) and not {"{date}", "{hour}"} <= set(re.findall(r"{.*?}", text)):
        with pytest.raises(SourceError, match=r"\{date\}"):
            hourly(text)
    else:
        template = hourly(text)
        assert template.parse(template.at(hour)) == hour
        assert template.at(hour).startswith(template.prefix)


@given(templates(), st.text())
def test_any_path_is_an_hour_or_none(template: str, path: str) -> None:
    hour = hourly(template).parse(path)
    assert hour is None or hourly(template).at(hour) == path


@pytest.mark.parametrize("base", ["https://host/stocks", "https://host/stocks/"])
def test_a_base_gets_the_publishers_layout(base: str) -> None:
    assert hourly(base).at(HOUR) == f"https://host/stocks/{NAME}"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("x/{day}/{hour}", "'{day}'"),
        ("x/{date}/{hour:02d}", "'{hour:02d}'"),
        ("x/{date}{hour}{}", "'{}'"),
        ("x/{date}{hour}}", "'}'"),
        ("x/{{date}}{hour}", "'{'"),
    ],
)
def test_another_placeholder_is_refused_naming_it_and_the_allowed_ones(text: str, named: str) -> None:
    with pytest.raises(SourceError, match=r"allowed are \{date\} and \{hour\}") as caught:
        hourly(text)
    assert named in str(caught.value)


@pytest.mark.parametrize(("text", "lacking"), [("x/{date}.csv", "{hour}"), ("x/{hour}.csv", "{date}")])
def test_a_template_for_which_two_hours_would_be_one_file_is_refused(text: str, lacking: str) -> None:
    with pytest.raises(SourceError, match="lacks") as caught:
        hourly(text)
    assert lacking in str(caught.value)


def test_dates_and_hours_that_do_not_exist_are_no_files() -> None:
    template = hourly("{date}_{hour}.csv")
    for name in (
        "2017-02-30_08.csv",
        "2017-07-28_24.csv",
        "2017-07-28_8.csv",
        "2017-07-28_08.csv.bak",
        "٢٠١٧-07-28_08.csv",
    ):
        assert template.parse(name) is None


def test_two_different_dates_in_one_path_are_no_file() -> None:
    assert hourly("").parse("2017-07-28/2017-07-29_BINS_XETR08.csv") is None


def test_an_hour_of_another_time_zone_is_the_same_hour_in_utc() -> None:
    berlin = timezone(timedelta(hours=2))
    assert hourly("").at(datetime(2017, 7, 28, 10, tzinfo=berlin)) == NAME


@pytest.mark.parametrize("hour", [datetime(2017, 7, 28, 8), HOUR.replace(minute=1)])
def test_a_time_that_is_no_utc_hour_is_refused(hour: datetime) -> None:
    with pytest.raises(ValueError, match=r"time zone|whole hour"):
        hourly("").at(hour)


@pytest.mark.parametrize("location", ["https://h/x/", "https://h/x/..", "/x/_hidden.csv", "/x/a%2Fb.csv", "/x/.a"])
def test_a_file_without_a_plain_name_is_kept_under_the_publishers(location: str) -> None:
    assert hourly("").file_name(location, HOUR) == "2017-07-28_BINS_XETR08.csv"

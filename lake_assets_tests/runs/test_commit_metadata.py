"""A commit's metadata: what is written is read back, and what anybody else wrote does no harm."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lake_assets.runs.commit_metadata import CommitMetadata, partition_range

ROWS = st.integers(0, 10**15)
TEXTS = st.text(max_size=8)
OPTIONAL = st.none() | TEXTS
NAMES = st.dictionaries(TEXTS, TEXTS, max_size=3)
METADATA = st.builds(
    CommitMetadata,
    run_id=OPTIONAL,
    job=OPTIONAL,
    step=OPTIONAL,
    asset=OPTIONAL,
    partition=OPTIONAL,
    rows=st.none() | ROWS,
    partition_rows=st.dictionaries(TEXTS, ROWS, max_size=3),
    code_version=OPTIONAL,
    code_commit=OPTIONAL,
    data_version=OPTIONAL,
    inputs=NAMES,
    sources=NAMES,
    branch_head=OPTIONAL,
    rollback_to=OPTIONAL,
    deleted=OPTIONAL,
    by=OPTIONAL,
    reason=OPTIONAL,
    moved=NAMES,
    run_url=OPTIONAL,
)
KEYS = st.sampled_from(["rows", "rows[", "rows[]", "rows[mon]", "moved", "source", "source[", "source[a]b", "input:"])


@given(METADATA)
def test_what_is_written_is_read_back(metadata: CommitMetadata) -> None:
    assert CommitMetadata.parse(metadata.to_metadata()) == metadata


@given(st.dictionaries(KEYS | TEXTS, st.sampled_from(["e30=", "W10=", "²", "٣", "9" * 5000, "-1"]) | TEXTS))
def test_any_metadata_are_parsed(metadata: dict[str, str]) -> None:
    """Older programs, lakeFS's web page and Git itself write commits, too."""
    CommitMetadata.parse(metadata)


def test_the_keys_are_those_of_older_commits() -> None:
    old = {
        "run_id": "abc",
        "job": "stocks",
        "step": "prices",
        "asset": "prices",
        "partition": "mon...tue",
        "code_version": "1",
        "rows": "5",
        "rows[mon]": "2",
        "rows[tue]": "3",
        "data_version": "3f",
        "input:raw": "c0ffee",
        "source[mon]": "file:///mon.csv",
        "source[tue]": "file:///tue.csv",
        "::lakefs::Dagster::url[url:ui]": "http://127.0.0.1:3000/runs/abc",
    }
    made = CommitMetadata.parse(old)
    assert made.to_metadata() == old
    assert made.inputs == {"raw": "c0ffee"}
    assert made.sources == {"mon": "file:///mon.csv", "tue": "file:///tue.csv"}
    assert (made.rows, made.rows_of("tue")) == (5, 3)
    assert made.covers("tue")
    assert not made.covers("wed")


def test_what_a_commit_does_not_say_is_none() -> None:
    assert CommitMetadata.parse({}) == CommitMetadata()
    assert CommitMetadata().to_metadata() == {}


def test_a_range_of_partitions_is_named_by_its_ends() -> None:
    assert partition_range(["tue", "mon", "sun"]) == "mon...tue"
    assert partition_range(["mon"]) == "mon"
    assert partition_range([]) is None

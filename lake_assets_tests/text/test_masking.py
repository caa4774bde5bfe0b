"""One function masks secrets, and an address whose user part is unclear is told by another."""

from __future__ import annotations

import string
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_assets.text.masking import mask, mask_query, unclear_user_part
from lake_assets_tests.depth import examples

SECRET = "PASS"

MASKED = {
    "http://us:PASS/WORD@host/f?token=T": "http://***@host/f?token=***",
    "https://us:p@PASS@host/x": "https://***@host/x",
    "https://us:PA?PASS@host/x#PASS": "https://***@host/x#***",
    "https://us:PASS#x@host/x": "https://***@host/x",
    "https://PASS@host": "https://***@host",
    "https://host/f?PASS": "https://host/f?***",
    "https://host/f?a=1&PASS&day={date}": "https://host/f?a=***&***&day={date}",
    "https://host/f#access=PASS": "https://host/f#***",
    "'http://us:PASS@host/f?t=PASS'; it must be": "'http://***@host/f?t=***'; it must be",
    "//us:PASS@host/f is no folder": "//***@host/f is no folder",
    "//us:PA/PASS@host/f": "//***@host/f",
    "http://host/f;auth=PASS/g?x": "http://host/f;auth=***",
    "http://host/f;PASS": "http://host/f;***",
    "f;auth=PASS": "f;auth=***",
    "https://hooks.host/services/T0/xoxbPASS9aB8cD7eF6gH5": "https://hooks.host/services/T0/***",
    "https://host/token/PASS/{date}.csv": "https://host/token/***/{date}.csv",
    "https://host/0123456789abcdef0123456789abcdef/f": "https://host/***/f",
    "Authorization: Bearer PASSPASS.x": "Authorization: Bearer ***",
    "us:PASS/WORD@host:9092": "***@host:9092",
    "Kafka 'us:PASS@a:9092,b:9092' does not answer": "Kafka '***@a:9092,b:9092' does not answer",
    "postgres://u:p/PASS@h:5/db": "postgres://***@h:5/db",
    "s3://AKIA:PASS/x@bucket/k": "s3://***@bucket/k",
    "s3a://bucket/k?secret=PASS": "s3a://bucket/k?secret=***",
    'org.M required username="u" password="a\\"PASS";': 'org.M required username="***" password="***";',
    "sasl.jaas.config=PASS": "sasl.jaas.config=***",
    "{'fs.s3a.secret.key': 'PASS', 'x': 1}": "{'fs.s3a.secret.key': '***', 'x': 1}",
    '{"password": "a PASS b"}': '{"password": "***"}',
    "AWS_SECRET_ACCESS_KEY=PASS is set": "AWS_SECRET_ACCESS_KEY=*** is set",
    "key AKIAIOSFODNN7EXAMPLE": "key ***",
}

PLAIN = [
    "",
    "s3://bucket/key@v1/part",
    "lake://abc/stocks@x",
    "file:///data/a#b?c.csv",
    "kafka://a:9092,b:9092/topic",
    "http://127.0.0.1:8000/lake",
    "LAKE_ENV is 'elsewhere'; it must be one of embedded, services",
    "stocks_parquet/day=2017-07-28/hour=08@main",
    "set KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD: missing",
    "Missing token: give one",
    "http://127.0.0.1:3000/runs/a55dce30-f090-4b17-affe-cf2ab6534cbc",
    "https://host/2017-07-28/2017-07-28_BINS_XETR08.csv",
    "by the author=ann; //data/x",
    "lake://abc/0123456789abcdef0123456789abcdef01234567/stocks",
]


@pytest.mark.parametrize("text", MASKED)
def test_secrets_are_masked_and_a_masked_text_stays(text: str) -> None:
    assert mask(text) == MASKED[text]
    assert mask(mask(text)) == MASKED[text]


@pytest.mark.parametrize("text", PLAIN)
def test_what_is_no_secret_stays(text: str) -> None:
    assert mask(text) == text


def test_a_query_keeps_its_placeholders() -> None:
    assert mask_query("sig=a{b") == "sig=***"
    assert mask_query("f={date}_{hour}.csv&sig=abc&PASS&") == "f={date}_{hour}.csv&sig=***&***&"


_VISIBLE = st.text(string.ascii_letters + string.digits + string.punctuation, min_size=8, max_size=20)


@settings(max_examples=examples(200))
@given(_VISIBLE, st.sampled_from(["http", "https", "postgres", "amqp", "spark"]))
def test_no_part_of_a_password_is_shown_however_it_is_written(password: str, scheme: str) -> None:
    for spelt in (password, quote(password, safe="")):
        shown = mask(f"cannot open {scheme}://us:{spelt}@host/f")
        assert shown == f"cannot open {scheme}://***@host/f"


@pytest.mark.parametrize(
    "address",
    [
        "http://us:PASS/WORD@host/f?token=T",
        "http://us:12/PASS@host/f",
        "http://us:P@PASS@host/f",
        "http://us:PASS?x@host/f",
        "http://us:PASS#x@host/f",
        "http://us:PASS\\x@host/f",
        "http://us:PASS x@host/f",
        "http://us:PASS%zz@host/f",
        "http://us:[PASS]@host/f",
        "s3://AKIA:PASS/x@bucket/key",
        "us:PASS@host/f",
        "us:PASS/x@host/f",
        "us:PASS x@host/f",
        "http:/us:PASS@host/f",
        "//us:PASS@host/f",
        "//:PASS@host/f",
        "///us:PASS@host/f",
    ],
)
def test_an_address_whose_user_part_is_not_quoted_is_told_without_repeating_it(address: str) -> None:
    problem = unclear_user_part(address)
    assert problem is not None
    assert SECRET not in problem


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/data/a@b",
        "//data/a@b",
        "../data",
        "a@b/c",
        "http://us:P%40SS%2FW@host:80/f?t=1",
        "http://host/{date}?t={hour}",
        "s3://bucket/key@v1",
        "file:///data/x:y@z",
        "kafka://a:9092,b:9092/t",
        "generated:2017-07-24..2017-07-28",
    ],
)
def test_a_clear_address_is_told_nothing(address: str) -> None:
    assert unclear_user_part(address) is None


@given(_VISIBLE)
def test_a_quoted_password_is_clear(password: str) -> None:
    assert unclear_user_part(f"http://us:{quote(password, safe='')}@host/f") is None

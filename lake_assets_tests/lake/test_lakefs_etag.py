"""ETags of objects that were uploaded at once, and in parts."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pytest

from lake_assets.lake.lakefs.etag import RARE, USUAL, ETag

MIB = 1 << 20
CONTENT = bytes(range(256)) * (25 * MIB // 256)


def etag_of(content: bytes, part: int) -> str:
    digests = [hashlib.md5(content[at : at + part]).digest() for at in range(0, len(content), part)]
    return f"{hashlib.md5(b''.join(digests)).hexdigest()}-{len(digests)}"


def checked(recorded: str, content: bytes, parts: Sequence[int] = USUAL) -> ETag:
    etag = ETag(recorded, len(content), parts)
    for at in range(0, len(content), 3 * MIB + 1):
        etag.update(content[at : at + 3 * MIB + 1])
    return etag


@pytest.mark.parametrize(
    ("recorded", "parts"),
    [
        (hashlib.md5(CONTENT).hexdigest(), USUAL),
        (f'"{hashlib.md5(CONTENT).hexdigest()}"', USUAL),
        *((etag_of(CONTENT, size * MIB), USUAL) for size in (8, 10, 64)),
        *((etag_of(CONTENT, size * MIB), RARE) for size in (5, 16)),
        # lakeFS leaves out the number of parts.
        (etag_of(CONTENT, 10 * MIB).partition("-")[0], USUAL),
        (etag_of(CONTENT, 16 * MIB).partition("-")[0], RARE),
    ],
)
def test_the_same_bytes_have_the_etag_and_others_have_not(recorded: str, parts: Sequence[int]) -> None:
    assert checked(recorded, CONTENT, parts).is_known
    assert checked(recorded, CONTENT, parts).fault() == ""
    other = CONTENT[:-1] + b"!"
    assert "is recorded" in checked(recorded, other, parts).fault()


def test_an_empty_object_has_one_of_two_etags() -> None:
    for recorded in (hashlib.md5(b"").hexdigest(), hashlib.md5(hashlib.md5(b"").digest()).hexdigest()):
        assert checked(recorded, b"").fault() == ""


@pytest.mark.parametrize("recorded", ["", "abc", "sha256:00", etag_of(CONTENT, 3 * MIB)])
def test_what_cannot_be_computed_is_not_said_to_be_right_or_wrong(recorded: str) -> None:
    etag = checked(recorded, CONTENT)
    assert not etag.is_known
    assert etag.fault() == ""

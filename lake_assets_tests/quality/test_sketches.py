"""The sketches are those of DataSketches, and keep their published bounds."""

from __future__ import annotations

from typing import Any

import datasketches
import numpy as np
import pytest

from lake_assets.quality.sketches import DISTINCT_ERROR, LOG_REGISTERS, Distinct


@pytest.mark.parametrize("size", [0, 1, 100, 5000, 200_000])
def test_only_values_that_raise_a_register_are_handed_over_and_nothing_is_lost(size: int) -> None:
    words = np.random.default_rng(size).integers(0, 2**64, size, np.uint64)
    found = Distinct()
    found.add(words)
    library: Any = datasketches
    plain = library.hll_sketch(LOG_REGISTERS, library.HLL_8, True)
    for word in words.view(np.int64).tolist():
        plain.update(word)
    if size:
        assert found.state()[40:] == bytes(plain.serialize_compact())[40:]
    assert found.estimate() == pytest.approx(size, rel=DISTINCT_ERROR)


def test_the_estimate_depends_on_the_values_alone() -> None:
    words = np.random.default_rng(7).integers(0, 2**64, 50_000, np.uint64)
    whole, parted = Distinct(), Distinct()
    whole.add(words)
    for at in range(5):
        part = Distinct()
        part.add(words[at::5][::-1])
        parted.merge(Distinct.of_state(part.state()))
    parted.add(words[:100])
    assert parted.estimate() == whole.estimate()

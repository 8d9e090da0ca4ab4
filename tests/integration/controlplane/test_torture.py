"""A few rounds of tests/torture/spend.py: kill what counts money, then count it."""

import sys

import pytest
from support.weir import ROOT

sys.path.insert(0, str(ROOT / "tests/torture"))
from spend import VICTIMS, torture  # noqa: E402


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_every_cent_once(seed):
    faults, summary = torture(2 * len(VICTIMS), seed, clients=4)
    assert not faults, (faults[:5], summary)

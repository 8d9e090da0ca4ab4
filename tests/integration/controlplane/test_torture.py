"""A few rounds of tests/torture/spend.py: kill what counts money, then count it."""

import sys

import pytest
from support.weir import ROOT

sys.path.insert(0, str(ROOT / "tests/torture"))
from spend import VICTIMS, torture  # noqa: E402


@pytest.mark.slow
def test_every_cent_once():
    faults, summary = torture(len(VICTIMS), seed=1, clients=4)
    assert not faults, (faults[:5], summary)

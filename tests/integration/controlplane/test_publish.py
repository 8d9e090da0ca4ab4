"""What data planes are told: everything once, then what changes, as soon as it is committed."""

import time

import pytest
from support.plane import Plane
from support.tenants import sha256


@pytest.fixture
def plane(cp):
    with Plane(cp.plane) as p:
        p.hello()
        p.sync()
        yield p


def hash_of(made):
    return made.json["token"]


# --- the session


def test_key_made_through_the_api_is_seen_at_once(cp, plane):
    made = cp.post("/key/generate", {"models": ["a", "b"], "max_budget": 1.5, "rpm_limit": 7, "key_alias": "the-key"})
    _, key, _ = plane.next("key")
    assert key["hash"] == hash_of(made) and key["models"] == ["a", "b"] and key["alias"] == "the-key"
    assert key["limits"]["max_budget_nusd"] == {"value": 1500000000} and key["limits"]["rpm"] == {"value": 7}
    assert "tpm" not in key["limits"]

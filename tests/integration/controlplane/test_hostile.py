"""Requests made to hurt: each is refused or carried out, none is a fault of the service."""

import json
import re
from pathlib import Path

import pytest
from support.controlplane import ControlPlane

TABLE = (Path(__file__).parents[3] / "proto/routes.def").read_text()
BUILT = re.findall(r'^ADMIN_ROUTE\(\w+, (\w+), "([^"]+)", \w+, (?:CRUD|REPORT), ', TABLE, re.M)
READS = [path for method, path in BUILT if method == "GET"]
WRITES = [(method, path) for method, path in BUILT if method != "GET"]
NAMED = [(method, path) for method, path in BUILT if "{" in path]

# One member each, as JSON, on every route that writes.
MEMBERS = [
    '"max_budget": NaN', '"max_budget": Infinity', '"max_budget": -Infinity', '"max_budget": 1e999', '"max_budget": -1',
    '"max_budget": 1e308', '"max_budget": 18446744073709551616', '"tpm_limit": 9223372036854775807', '"rpm_limit": 2147483648',
    '"max_parallel_requests": 99999999999999999999', '"spend": -1e308', '"reset_to": 1e308', '"budget_reset_at": "9999-99-99"',
    '"budget_reset_at": "0000-00-00T00:00"', '"duration": "99999999999999999999d"', '"budget_duration": "0s"',
    '"budget_duration": "9999999999mo"', '"metadata": {"a": "\\u0000"}', '"metadata": {"\\u0000": 1}', '"metadata": {"a": "\\ud800"}',
    '"user_id": "' + "x" * 900_000 + '"', '"models": [' + "1," * 300_000 + "1]", '"models": [' + '"m",' * 200_000 + '"m"]',
    '"members": [' + "{}," * 300_000 + "{}]", '"keys": [' + "{}," * 300_000 + "{}]", '"metadata": ' + '{"a":' * 63 + "1" + "}" * 63,
    '"metadata": ' + "[" * 100_000, '"metadata": {"__proto__": {"admin": true}}', '"user_id": "a", "user_id": "b"', '"": ""',
]  # fmt: skip
QUERIES = ["page=0", "page=-1", "page=1e18", "page=9007199254740992", "page=99999999999999999999", "size=0", "page_size=1e9",
           "key=%00", "user_id=%FF", "team_id=%F0%9F%92%A5", "search=%25_%5C", "sort_by=1;--", "sort_order=x", "start_date=x",
           "user_id=" + "x" * 6000, "&&=&=", "key_alias=%"]  # fmt: skip
NAMES = ["%00", "%FF", "a%2Fb", "%2e%2e", "..", "%F0%9F%92%A5", "'; DROP TABLE x; --".replace(" ", "%20"), "x" * 6000, "%", "{id}"]


# Enough of the other members that the one under test is looked at.
OTHERS = {"team_id": "none", "key": "sk-0123456789abcdef", "organization_id": "none", "organization_alias": "x", "name": "x"}


@pytest.fixture(scope="module")
def cp(postgres, empty_schema):
    with ControlPlane(postgres.database(template=empty_schema), env={"STORE_MODEL_IN_DB": "True"}) as cp:
        yield cp


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_no_member_is_a_fault(cp, method, path):
    for member in MEMBERS:
        name = re.match('"(.*?)"', member)[1]
        others = json.dumps({k: v for k, v in OTHERS.items() if k != name})[1:-1]
        body = f"{{{others}, {member}}}".encode()
        reply = cp.call(method, re.sub("{.*?}", "x", path), body)
        assert reply.status < 500, (member[:60], reply.body[:300])
        reads_none = method == "DELETE" or path == "/global/spend/reset"
        assert "NaN" not in member or reply.status in (400, 422) or reads_none, (member, reply.body[:300])


@pytest.mark.parametrize("path", READS)
def test_no_query_is_a_fault(cp, path):
    for query in QUERIES:
        reply = cp.get(re.sub("{.*?}", "x", path) + "?" + query)
        assert reply.status < 500, (query[:60], reply.body[:300])


@pytest.mark.parametrize(("method", "path"), NAMED)
def test_no_name_is_a_fault(cp, method, path):
    for name in NAMES:
        reply = cp.call(method, re.sub("{.*?}", lambda _: name, path), None if method == "GET" else {})
        assert reply.status < 500, (name[:60], reply.body[:300])


def test_what_is_wrong_is_listed_with_an_end(cp):
    reply = cp.call("POST", "/key/generate", b'{"tags": [' + b"1," * 40_000 + b"1]}")
    assert reply.status == 422 and len(reply.json["detail"]) == 100


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b'{"models": [' + b'"m",' * 50_001 + b'"m"]}', "Too many values"), (b'{"a":' * 65 + b"1" + b"}" * 65, "Nested too deep"),
        (b'{"key_alias": "\\u0000"}', "A text holds a NUL"), (b"{", "Expecting value"),
    ],
)  # fmt: skip
def test_a_body_that_is_not_read_is_told_why(cp, body, why):
    reply = cp.call("POST", "/key/generate", body)
    assert (reply.status, [e["ctx"]["error"] for e in reply.json["detail"]]) == (422, [why])

"""What data planes are told: everything once, then what changes, as soon as it is committed."""

import base64
import contextlib
import json
import os
import socket
import ssl
import struct
import subprocess
import threading
import time

import pytest
from support import played
from support.controlplane import ControlPlane
from support.mock_provider import free_port
from support.plane import Plane, Refused
from support.tenants import sha256


@pytest.fixture
def plane(cp):
    with Plane(cp.plane) as p:
        p.hello()
        p.sync()
        yield p


def joined(address, join=None, **hello):
    p = Plane(address, join, **hello)
    p.hello()
    p.sync()
    return p


def insert(postgres, cp, table, **columns):
    postgres.sql(cp.database, f"""INSERT INTO "{table}" ({", ".join(columns)}) VALUES ({", ".join(["%s"] * len(columns))})""",
                 *columns.values())  # fmt: skip


def settle(postgres, cp, plane):
    """Until the data plane has all that was committed before."""
    mark = f"mark-{os.urandom(8).hex()}"
    insert(postgres, cp, "LiteLLM_TagTable", tag_name=mark)
    while mark not in plane.entities["tag"]:
        plane.changes()


# --- changes


def test_key_made_through_the_api_is_seen_at_once(cp, plane):
    made = cp.post("/key/generate", {"models": ["a", 'b"{,}'], "max_budget": 1.5, "rpm_limit": 7, "key_alias": "the-key",
                                     "metadata": {"tags": ["x", "y"], "kept": {"a": [1]}}}).json  # fmt: skip
    _, key, _ = plane.next("key")
    assert key["hash"] == made["token"] and key["models"] == ["a", 'b"{,}'] and key["alias"] == "the-key"
    assert key["limits"]["max_budget_nusd"] == {"value": 1500000000} and key["limits"]["rpm"] == {"value": 7}
    assert "tpm" not in key["limits"] and key["tags"] == ["x", "y"]
    assert json.loads(key["metadata"]) == {"kept": {"a": [1]}}
    cp.post("/key/delete", {"keys": [made["key"]]})
    assert plane.next("key") == ("key", {"hash": made["token"]}, True)


def test_a_limit_of_nought_is_a_limit(cp, plane):
    cp.post("/key/generate", {"max_budget": 0, "tpm_limit": 0})
    _, key, _ = plane.next("key")
    assert key["limits"] == {"max_budget_nusd": {}, "tpm": {}}


def test_limits_by_model_and_for_a_while(cp, plane, postgres):
    insert(postgres, cp, "LiteLLM_VerificationToken", token=sha256("limits"), spend="0.1", expires="2031-02-03 04:05:06.789",
           model_max_budget='{"m": {"budget_limit": 2, "time_period": "1d"}, "n": 0.000000001}',
           metadata=json.dumps({"model_rpm_limit": {"m": 5}, "model_tpm_limit": {"n": 6}, "temp_budget_increase": 3,
                                "temp_budget_expiry": "2031-01-01T01:00:00+01:00"}))  # fmt: skip
    _, key, _ = plane.next("key")
    limits = key["limits"]
    assert limits["models"] == [
        {"model": "m", "rpm": {"value": 5}, "max_budget_nusd": {"value": 2000000000}, "budget_duration": "1d"},
        {"model": "n", "tpm": {"value": 6}, "max_budget_nusd": {"value": 1}},
    ]
    assert limits["extra_budget_nusd"] == 3000000000 and limits["extra_until_us"] == 1924992000000000
    assert key["spend_nusd"] == 100000000 and key["expires_us"] == 1927857906789000 and "metadata" not in key


@pytest.mark.parametrize(
    ("table", "columns", "kind", "entity"),
    [
        ("LiteLLM_TeamTable", {"team_id": "t1", "team_alias": "T", "models": "{m}", "soft_budget": 2, "blocked": True},
         "team", {"id": "t1", "alias": "T", "models": ["m"], "blocked": True, "limits": {"soft_budget_nusd": {"value": 2000000000}}}),
        ("LiteLLM_UserTable", {"user_id": "u1", "user_email": "u@x", "user_role": "internal_user", "tpm_limit": 9, "spend": 0.5},
         "user", {"id": "u1", "email": "u@x", "role": "internal_user", "limits": {"tpm": {"value": 9}}, "spend_nusd": 500000000}),
        ("LiteLLM_EndUserTable", {"user_id": "e1", "alias": "E", "blocked": False}, "end_user", {"id": "e1", "alias": "E"}),
        ("LiteLLM_TagTable", {"tag_name": "g1", "models": "{a,b}"}, "tag", {"name": "g1", "models": ["a", "b"]}),
        ("LiteLLM_AccessGroupTable", {"access_group_id": "a1", "access_group_name": "A", "access_model_names": "{x}"},
         "access_group", {"id": "a1", "name": "A", "models": ["x"]}),
        ("LiteLLM_ProjectTable", {"project_id": "p1", "created_by": "x", "updated_by": "x", "model_rpm_limit": '{"m": 4}'},
         "project", {"id": "p1", "limits": {"models": [{"model": "m", "rpm": {"value": 4}}]}}),
        ("LiteLLM_Config", {"param_name": "litellm_settings", "param_value": '{"a": 1}'},
         "setting", {"name": "litellm_settings", "value": '{"a": 1}'}),
        ("LiteLLM_CredentialsTable", {"credential_id": "c1", "credential_name": "C", "credential_values": '{"k": "v"}',
                                      "credential_info": '{"i": 1}', "created_by": "x", "updated_by": "x"},
         "credential", {"name": "C", "values": '{"k":"v"}', "info": '{"i": 1}'}),
        ("LiteLLM_ProxyModelTable", {"model_id": "m1", "model_name": "M", "litellm_params": '{"model": "openai/x"}',
                                     "created_by": "default_user_id", "updated_by": "default_user_id"},
         "model", {"id": "m1", "name": "M", "litellm_params": '{"model":"openai/x"}', "by_proxy_admin": True}),
    ],
)  # fmt: skip
def test_each_kind_comes_changes_and_goes(cp, plane, postgres, table, columns, kind, entity):
    insert(postgres, cp, table, **columns)
    key, value = next(iter(columns.items()))
    _, got, gone = plane.next(kind)
    for json_member in ("value", "values", "litellm_params", "info"):
        if json_member in entity:
            assert json.loads(got.pop(json_member)) == json.loads(entity[json_member])
    assert got == {k: v for k, v in entity.items() if k not in ("value", "values", "litellm_params", "info")} and not gone
    postgres.sql(cp.database, f'DELETE FROM "{table}" WHERE {key} = %s', value)
    assert plane.next(kind)[2] is True


def test_end_user_without_anything_of_its_own_is_not_told(cp, plane, postgres):
    insert(postgres, cp, "LiteLLM_EndUserTable", user_id="plain", blocked=False)
    assert plane.next("end_user") == ("end_user", {"id": "plain"}, True)
    postgres.sql(cp.database, """UPDATE "LiteLLM_EndUserTable" SET blocked = true WHERE user_id = 'plain'""")
    assert plane.next("end_user") == ("end_user", {"id": "plain", "blocked": True}, False)


def test_model_of_somebody_who_is_no_admin_says_so(cp, plane, postgres):
    insert(postgres, cp, "LiteLLM_UserTable", user_id="adm", user_role="proxy_admin")
    for i, (maker, changer, by_admin) in enumerate([("adm", "adm", True), ("someone", "adm", False), ("adm", "someone", False)]):
        insert(postgres, cp, "LiteLLM_ProxyModelTable", model_id=f"who{i}", model_name="w", litellm_params="{}", created_by=maker,
               updated_by=changer)  # fmt: skip
        assert plane.next("model")[1].get("by_proxy_admin", False) is by_admin


def test_budget_row_reaches_all_that_name_it(cp, plane, postgres):
    url = cp.database
    postgres.sql(url, """INSERT INTO "LiteLLM_BudgetTable" (budget_id, max_budget, created_by, updated_by) VALUES ('bb', 1, 'x', 'x');
        INSERT INTO "LiteLLM_TeamTable" (team_id, metadata) VALUES ('bt', '{"team_member_budget_id": "bb"}'), ('bt2', '{}');
        INSERT INTO "LiteLLM_TeamMembership" (user_id, team_id, budget_id) VALUES ('bu', 'bt', NULL), ('bv', 'bt2', 'bb'), ('bw', 'bt2', NULL);
        INSERT INTO "LiteLLM_OrganizationTable" (organization_id, organization_alias, budget_id, created_by, updated_by)
        VALUES ('bo', 'BO', 'bb', 'x', 'x');
        INSERT INTO "LiteLLM_ProjectTable" (project_id, budget_id, created_by, updated_by) VALUES ('bp', 'bb', 'x', 'x');
        INSERT INTO "LiteLLM_EndUserTable" (user_id, budget_id) VALUES ('be', 'bb');
        INSERT INTO "LiteLLM_TagTable" (tag_name, budget_id) VALUES ('bg', 'bb');
        INSERT INTO "LiteLLM_ModelAccessGroupBudgetTable" (access_group_name, budget_id) VALUES ('bm', 'bb')""")  # fmt: skip
    insert(postgres, cp, "LiteLLM_VerificationToken", token=sha256("bk"), budget_id="bb")
    insert(postgres, cp, "LiteLLM_VerificationToken", token=sha256("own"), budget_id="bb", max_budget=7)
    settle(postgres, cp, plane)
    postgres.sql(url, """UPDATE "LiteLLM_BudgetTable" SET max_budget = 2, soft_budget = 1 WHERE budget_id = 'bb'""")
    told = plane.changes()
    limit = {(k, *sorted(str(e.get(i)) for i in ("id", "name", "hash", "user") if e.get(i))): e["limits"] for k, e, _ in told}
    two = {"max_budget_nusd": {"value": 2000000000}, "soft_budget_nusd": {"value": 1000000000}}
    assert limit == {
        ("member", "bu"): two, ("member", "bv"): two, ("organization", "bo"): two, ("project", "bp"): two, ("end_user", "be"): two,
        ("budget", "bb"): {"max_budget_nusd": {"value": 2000000000}}, ("group_budget", "bm"): two,
        ("tag", "bg"): two, ("key", sha256("bk")): two, ("key", sha256("own")): {**two, "max_budget_nusd": {"value": 7000000000}},
    }  # fmt: skip


def test_a_change_of_a_team_tells_of_its_members_only_where_it_is_theirs(cp, plane, postgres):
    url = cp.database
    postgres.sql(url, """INSERT INTO "LiteLLM_BudgetTable" (budget_id, max_budget, created_by, updated_by) VALUES ('tb', 1, 'x', 'x');
        INSERT INTO "LiteLLM_TeamTable" (team_id) VALUES ('tc');
        INSERT INTO "LiteLLM_TeamMembership" (user_id, team_id, budget_id) SELECT 'tu' || i, 'tc', CASE WHEN i = 1 THEN 'tb' END
        FROM generate_series(1, 20) i""")  # fmt: skip
    settle(postgres, cp, plane)
    postgres.sql(url, """UPDATE "LiteLLM_TeamTable" SET team_alias = 'x', metadata = '{"a": 1}' WHERE team_id = 'tc'""")
    assert [(kind, e["id"], gone) for kind, e, gone in plane.changes()] == [("team", "tc", False)]
    postgres.sql(url, """UPDATE "LiteLLM_TeamTable" SET metadata = '{"team_member_budget_id": "tb"}' WHERE team_id = 'tc'""")
    assert {(kind, gone) for kind, _, gone in plane.changes()} == {("team", False), ("member", False)}
    assert len([m for t, m in plane.entities["member"] if t == "tc"]) == 20
    postgres.sql(url, """UPDATE "LiteLLM_TeamTable" SET metadata = '{"team_member_budget_id": "tb", "b": 2}' WHERE team_id = 'tc'""")
    assert [kind for kind, _, _ in plane.changes()] == ["team"]
    postgres.sql(url, """DELETE FROM "LiteLLM_TeamTable" WHERE team_id = 'tc'""")
    plane.next("team")
    assert [m for t, m in plane.entities["member"] if t == "tc"] == ["tu1"]


def test_a_change_of_a_user_tells_of_models_only_where_it_is_theirs(cp, plane, postgres):
    url = cp.database
    postgres.sql(url, """INSERT INTO "LiteLLM_UserTable" (user_id, user_role) VALUES ('pu', 'proxy_admin')""")
    insert(postgres, cp, "LiteLLM_VerificationToken", token=sha256("pk"), user_id="pu")
    insert(postgres, cp, "LiteLLM_ProxyModelTable", model_id="pm", model_name="p", litellm_params="{}", created_by="pu", updated_by="pu")
    settle(postgres, cp, plane)
    postgres.sql(url, """UPDATE "LiteLLM_UserTable" SET user_alias = 'x' WHERE user_id = 'pu'""")
    assert [(kind, e["id"]) for kind, e, _ in plane.changes()] == [("user", "pu")]
    assert plane.entities["model"]["pm"]["by_proxy_admin"] is True
    postgres.sql(url, """UPDATE "LiteLLM_UserTable" SET user_role = 'internal_user' WHERE user_id = 'pu'""")
    assert {kind for kind, _, _ in plane.changes()} == {"user", "model"}
    assert plane.entities["user"]["pu"]["role"] == "internal_user"
    assert "by_proxy_admin" not in plane.entities["model"]["pm"]  # whoever is no admin any more vouches for nothing


def test_aliases_of_a_team(cp, plane, postgres):
    postgres.sql(cp.database, """INSERT INTO "LiteLLM_ModelTable" (id, aliases, created_by, updated_by) VALUES (77, '{"a": "b"}', 'x', 'x');
        INSERT INTO "LiteLLM_TeamTable" (team_id, model_id) VALUES ('at', 77)""")  # fmt: skip
    settle(postgres, cp, plane)
    postgres.sql(cp.database, """UPDATE "LiteLLM_ModelTable" SET aliases = '"{\\"a\\": \\"c\\"}"' WHERE id = 77""")
    assert plane.next("team")[1]["aliases"] == [{"name": "a", "model": "c"}]


def test_rotated_key_leads_to_its_successor(cp, plane):
    old = cp.post("/key/generate", {}).json
    plane.sync()
    new = cp.post(f"/key/{old['token']}/regenerate", {"grace_period": "1h"}).json
    plane.sync()
    keys = plane.entities["key"]
    assert keys[old["token"]]["successor"] == bytes.fromhex(sha256(new["key"])).hex() and keys[old["token"]]["expires_us"]
    assert "successor" not in keys[sha256(new["key"])]
    again = cp.post(f"/key/{sha256(new['key'])}/regenerate", {}).json
    plane.sync()
    assert sha256(new["key"]) not in keys and sha256(again["key"]) in keys


def test_secrets_are_opened(cp, plane):
    assert cp.post("/credentials", {"credential_name": "sealed", "credential_values": {"api_key": "sk-provider-1"}, "credential_info": {}}).status == 200
    assert json.loads(plane.next("credential")[1]["values"]) == {"api_key": "sk-provider-1"}


def test_late_commit_with_a_low_id_is_not_skipped(cp, plane, postgres):
    """The first transaction writes its change first, and commits last."""
    first = subprocess.Popen(["psql", "-X", "-q", "-d", cp.database], stdin=subprocess.PIPE, text=True)
    first.stdin.write("""BEGIN; INSERT INTO "LiteLLM_TagTable" (tag_name) VALUES ('low'); SELECT pg_advisory_lock(99);\n""")
    first.stdin.flush()
    cp.wait(lambda: postgres.sql(cp.database, "SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 99"), what="the first")
    insert(postgres, cp, "LiteLLM_TagTable", tag_name="high")
    assert plane.next("tag")[1]["name"] == "high"
    first.stdin.write("COMMIT;\n")
    first.stdin.flush()
    assert plane.next("tag")[1]["name"] == "low"
    first.stdin.close()
    first.wait()
    ids = dict(postgres.sql(cp.database, "SELECT key[1], id FROM weir.change WHERE tbl = 'LiteLLM_TagTable'"))
    assert int(ids["low"]) < int(ids["high"])


def test_what_ingest_makes_is_no_news(cp, plane, postgres):
    postgres.sql(cp.database, """BEGIN; SET LOCAL weir.quiet = 'on'; INSERT INTO "LiteLLM_EndUserTable" (user_id, blocked) VALUES ('met', true);
                                 COMMIT""")  # fmt: skip
    insert(postgres, cp, "LiteLLM_TagTable", tag_name="behind it")
    assert [(kind, e["name"]) for kind, e, _ in plane.changes()] == [("tag", "behind it")]


def test_undone_change_is_no_news(cp, plane, postgres):
    postgres.sql(cp.database, """BEGIN; INSERT INTO "LiteLLM_TagTable" (tag_name) VALUES ('undone'); ROLLBACK""")
    insert(postgres, cp, "LiteLLM_TagTable", tag_name="done")
    assert plane.next("tag")[1]["name"] == "done"


# --- everything


def test_revision_that_fails_as_it_is_committed_is_none(cp, plane, postgres):
    postgres.sql(cp.database, """CREATE SEQUENCE weir.tries; CREATE FUNCTION fail_twice() RETURNS trigger LANGUAGE plpgsql AS
        'BEGIN IF nextval(''weir.tries'') < 3 THEN RAISE ''not yet''; END IF; RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER fails AFTER INSERT ON weir.revision DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION fail_twice()""")  # fmt: skip
    epoch = plane.have["epoch"]
    try:
        cp.post("/key/generate", {"key_alias": "late"})
        while "late" not in {e.get("alias") for e in plane.entities["key"].values()}:
            plane.changes()
    finally:
        postgres.sql(cp.database, "DROP TRIGGER fails ON weir.revision; DROP FUNCTION fail_twice; DROP SEQUENCE weir.tries")
    known = postgres.sql(cp.database, "SELECT epoch, max(n) FROM weir.revision GROUP BY epoch")
    assert known == [(str(plane.have["epoch"]), str(plane.have["n"]))] and plane.have["epoch"] == epoch


def test_full_sync_in_pages(cp, postgres):
    postgres.sql(cp.database, """INSERT INTO "LiteLLM_VerificationToken" (token, key_alias, models, metadata)
        SELECT encode(sha256(i::text::bytea), 'hex'), 'page-' || i, '{gpt-4o,claude-opus}',
               jsonb_build_object('note', repeat('x', CASE WHEN i % 50 < 5 THEN 5000 ELSE 300 END))
        FROM generate_series(1, 3000) i""")  # fmt: skip
    with Plane(cp.plane) as p:
        p.hello()
        p.changes()
        assert p.full and len(p.pages) > 2 and max(p.pages) <= 512 * 1024 + 1024
        want = {t for (t,) in postgres.sql(cp.database, """SELECT token FROM "LiteLLM_VerificationToken" UNION
                                           SELECT token FROM "LiteLLM_DeprecatedVerificationToken" WHERE revoke_at > now() AT TIME ZONE 'UTC'""")}  # fmt: skip
        assert set(p.entities["key"]) == want
    postgres.sql(cp.database, """DELETE FROM "LiteLLM_VerificationToken" WHERE key_alias LIKE 'page-%'""")


def test_delta_in_pages(cp, plane, postgres):
    settle(postgres, cp, plane)
    postgres.sql(cp.database, """INSERT INTO "LiteLLM_TagTable" (tag_name, models)
        SELECT 'many-' || i, ARRAY[repeat('m', 1000)] FROM generate_series(1, 1500) i""")  # fmt: skip
    told = plane.changes()
    assert not plane.full and len(plane.pages) > 2 and max(plane.pages) <= 512 * 1024 + 1024
    assert {e["name"] for _, e, _ in told} == {f"many-{i}" for i in range(1, 1501)}
    postgres.sql(cp.database, """DELETE FROM "LiteLLM_TagTable" WHERE tag_name LIKE 'many-%'""")


def test_who_comes_back_gets_what_it_missed(cp, postgres, database, start):
    cp = start(database)
    p = joined(cp.plane)
    have = p.have
    p.close()
    insert(postgres, cp, "LiteLLM_TagTable", tag_name="missed")
    with Plane(cp.plane) as p:
        p.have = have
        p.hello()
        assert [e["name"] for _, e, _ in p.changes()] == ["missed"] and not p.full
    cp.stop()
    again = start(database)  # which knows nothing of it but what the database knows
    with Plane(again.plane) as p:
        p.have = have
        p.hello()
        assert [e["name"] for _, e, _ in p.changes(wait=False)] == ["missed"] and not p.full


# --- waiting


def test_answer_waits_for_the_data_planes(cp):
    assert cp.post("/key/generate", {}).header("x-weir-applied") is None
    planes = [joined(cp.plane) for _ in range(3)]
    for p in planes:
        p.follow()
    begun = time.monotonic()
    for _ in range(20):
        reply = cp.post("/key/generate", {})
        assert reply.header("x-weir-applied") == "3/3"
    assert time.monotonic() - begun < 15
    made = reply.json["token"]
    assert all(made in p.entities["key"] for p in planes)
    for p in planes:
        p.close()


def test_data_plane_that_does_not_take_it_is_waited_for_once(cp):
    slow, quick = joined(cp.plane), joined(cp.plane)
    quick.follow()
    begun = time.monotonic()
    assert cp.post("/key/generate", {}).header("x-weir-applied") == "1/2"
    assert 0.9 < time.monotonic() - begun < 5
    begun = time.monotonic()
    assert cp.post("/key/generate", {}).header("x-weir-applied") == "1/2"
    assert time.monotonic() - begun < 0.9
    slow.sync()
    slow.follow()
    cp.wait(lambda: cp.post("/key/generate", {}).header("x-weir-applied") == "2/2", what="it caught up")
    slow.close()
    quick.close()


def test_parked_request_is_answered_by_a_heartbeat(cp, plane):
    begun = time.monotonic()
    assert plane.changes() == [] and 3 < time.monotonic() - begun < 7


# --- the session


def test_hello(cp, postgres, plane):
    welcome = plane.hello(config_hash="x")
    assert welcome["protocol"] == 1 and welcome["heartbeat_ms"] == 4000 and len(welcome["session"]) == 32
    assert plane.hello(protocol=2, oldest=1)["protocol"] == 1  # a newer data plane
    for protocol, oldest in ((0, 0), (3, 2)):
        with pytest.raises(Refused, match="NO_PROTOCOL"):
            plane.hello(protocol=protocol, oldest=oldest)
    with pytest.raises(Refused, match="MALFORMED"):
        plane.hello(pod="00")


def test_unknown_session_is_told_so(cp, plane):
    plane.session = "00" * 16
    with pytest.raises(Refused, match="EXPIRED"):
        plane.page()


@pytest.mark.parametrize("raw", ["", "ff", "0a", "0a0500", "ff" * 1000, "00" * 300, "12" + "80" * 12])
def test_malformed_bytes(cp, plane, raw):
    with pytest.raises(Refused, match="MALFORMED|EXPIRED"):
        plane.ask({"raw": raw})
    plane.page()


def test_request_without_anything_and_bad_cursors(cp, plane):
    with pytest.raises(Refused, match="UNKNOWN_REQUEST"):
        plane.ask({"session": plane.session})
    for cursor in ("00", "66", "63" + "00" * 16, "66" + "ff" * 40, "66" + "00" * 24 + "ff" * 8 + "41"):
        with pytest.raises(Refused, match="MALFORMED"):
            plane.page(cursor)


def test_nodes(cp, postgres):
    p = joined(cp.plane, host='node "1"\n', version="9.9")
    p.status(workers=4, requests=10, in_flight=2, spool_bytes=3, resident_bytes=5, error="full")
    (node,) = [n for n in cp.get("/weir/nodes").json["nodes"] if n["id"] == p.hello_["pod"]]
    assert node["host"] == 'node "1"?' and node["version"] == "9.9" and node["state"] == "current" and node["lag"] == 0
    assert (node["workers"], node["requests"], node["in_flight"], node["spool_bytes"], node["resident_bytes"]) == (4, 10, 2, 3, 5)
    assert node["error"] == "full" and node["config_matches"] is False and node["join"] is None
    insert(postgres, cp, "LiteLLM_TagTable", tag_name="behind")
    cp.wait(lambda: [n for n in cp.get("/weir/nodes").json["nodes"] if n["state"] == "lagging" and n["lag"] == 1], what="a lag")
    p.close()
    cp.wait(lambda: [n for n in cp.get("/weir/nodes").json["nodes"] if n["id"] == p.hello_["pod"] and n["state"] == "gone"],
            what="gone")  # fmt: skip


def test_nodes_of_all_control_planes(postgres, database, start):
    one, two = start(database), start(database)
    p, q = joined(one.plane, host="p"), joined(two.plane, host="q")
    p.follow()
    q.follow()

    def nodes(cp):
        reply = cp.get("/weir/nodes").json
        assert len({n["id"] for n in reply["nodes"]}) == len(reply["nodes"])
        return {n["host"]: (n["state"], n["control_plane"]) for n in reply["nodes"]}, [c["name"] for c in reply["control_planes"]]

    one.wait(lambda: len(nodes(one)[0]) == len(nodes(two)[0]) == 2, what="both know both")
    (of, names), (others, _) = nodes(one), nodes(two)
    assert of == others == {"p": ("current", names[0]), "q": ("current", names[1])} and len(set(names)) == 2
    two.crash()
    one.wait(lambda: nodes(one)[0]["q"][0] == "gone", 30, what="who was with the other is gone")
    again = joined(one.plane, host="q", pod=q.hello_["pod"])
    again.follow()
    assert nodes(one)[0] == {"p": ("current", names[0]), "q": ("current", names[0])}
    postgres.sql(database, "UPDATE weir.control_plane SET at = at - interval '3 minutes'")
    one.wait(lambda: len(nodes(one)[1]) == 1, what="it is forgotten")
    for plane in (p, q, again):
        plane.close()


def test_nodes_and_tokens_are_for_admins(cp, tenants):
    for user, read, write in (("root", 200, 400), ("vera", 200, 403), ("ivy", 401, 401), ("olga", 401, 401)):
        assert cp.get("/weir/nodes", key=tenants.keys[user]).status == read
        assert cp.get("/weir/join", key=tenants.keys[user]).status == read
        assert cp.post("/weir/join", {}, key=tenants.keys[user]).status == write


def test_socket_is_for_its_owner_alone(cp):
    path = cp.plane.removeprefix("ipc://")
    assert os.stat(path).st_mode & 0o777 == 0o600 and os.stat(os.path.dirname(path)).st_mode & 0o777 == 0o700


# --- across machines


@pytest.fixture(scope="module")
def far(postgres, empty_schema):
    """A control plane that is reached over TLS."""
    port = free_port()
    config = {"weir": {"plane_listen": [f"tls+tcp://127.0.0.1:{port}"]}}
    with ControlPlane(postgres.database(template=empty_schema), config) as cp:
        cp.plane = f"tls+tcp://127.0.0.1:{port}"
        yield cp


def join(cp, **body):
    made = cp.post("/weir/join", body)
    assert made.status == 200, made.body
    text = made.json["token"]
    return made.json["id"], json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_joining_over_tls(far):
    _, token = join(far, description="pod 1")
    assert token["addresses"] == [far.plane]
    with joined(far.plane, token) as p:
        p.follow()
        assert far.post("/key/generate", {}).header("x-weir-applied") == "1/1"


@pytest.mark.parametrize("without", [("cert", "key"), ("ca",), ("token",), ("other",)])
def test_certificates_and_tokens_are_wanted(far, postgres, empty_schema, without):
    _, token = join(far)
    if without == ("other",):  # everything is right, of another installation
        with ControlPlane(postgres.database(template=empty_schema), {"general_settings": {"master_key": far.key}}) as cp:
            _, stranger = join(cp, addresses=[far.plane])
        for name in ("cert", "key"):
            token[name] = stranger[name]
    token = {k: v for k, v in token.items() if k not in without}
    with Plane(far.plane, token, connect=False) as p, pytest.raises((Refused, AssertionError, json.JSONDecodeError, BrokenPipeError)):
        assert "error" not in p.connected, p.connected
        p.hello()


def test_client_certificate_does_not_make_a_control_plane(far):
    _, token = join(far)
    usage = subprocess.run(["openssl", "x509", "-noout", "-text"], input=token["cert"], capture_output=True, text=True).stdout
    assert "TLS Web Client Authentication" in usage and "TLS Web Server" not in usage and "CA:FALSE" in usage


def test_key_of_the_authority_is_good_for_its_certificate_alone(far, postgres, empty_schema):
    """S-03: sealed with its place; one that was sealed as LiteLLM seals opens, and is sealed anew."""
    join(far)
    ((certificate, sealed),) = postgres.sql(far.database, "SELECT certificate, sealed_key FROM weir.authority")
    assert sealed.startswith("weir1:") and "PRIVATE" not in sealed
    postgres.sql(far.database, "UPDATE weir.authority SET certificate = certificate || ' '")
    assert far.post("/weir/join", {}).status == 500
    postgres.sql(far.database, "UPDATE weir.authority SET certificate = %s", certificate)
    join(far)
    # as an earlier version kept it: what seals a credential seals the same text
    key = subprocess.run(["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], capture_output=True, text=True, check=True).stdout
    own = subprocess.run(["openssl", "req", "-x509", "-new", "-key", "/dev/stdin", "-subj", "/CN=Weir authority"], input=key,
                         capture_output=True, text=True, check=True).stdout  # fmt: skip
    assert far.post("/credentials", {"credential_name": "old", "credential_values": {"k": key}, "credential_info": {}}).status == 200
    postgres.sql(far.database, """UPDATE weir.authority SET certificate = %s, sealed_key = (SELECT credential_values ->> 'k'
                                  FROM "LiteLLM_CredentialsTable" WHERE credential_name = 'old')""", own)  # fmt: skip
    assert join(far)[1]["ca"] == own
    assert postgres.sql(far.database, "SELECT left(sealed_key, 6) FROM weir.authority") == [("weir1:",)]
    postgres.sql(far.database, "UPDATE weir.authority SET certificate = %s, sealed_key = %s", certificate, sealed)


def test_wrong_token_is_refused(far):
    _, token = join(far)
    with Plane(far.plane, token) as p:
        for wrong in ("", "x", token["token"][:-1], token["token"] + "0"):
            with pytest.raises(Refused, match="FORBIDDEN"):
                p.hello(token=wrong)
        p.hello()


def test_revoked_token_cuts_its_sessions(far, postgres):
    id_, token = join(far)
    other_id, other = join(far)
    p, q = joined(far.plane, token), joined(far.plane, other)
    p.follow()
    q.follow()
    reply = far.call("DELETE", f"/weir/join/{id_}")
    assert reply.status == 200 and reply.json["revoked"]
    far.wait(lambda: p.error is not None, what="the session cut")
    assert "FORBIDDEN" in str(p.error) or "EXPIRED" in str(p.error)
    with Plane(far.plane, token) as again, pytest.raises(Refused, match="FORBIDDEN"):
        again.hello()
    assert far.post("/key/generate", {}).header("x-weir-applied") == "1/1" and q.error is None
    assert far.call("DELETE", f"/weir/join/{id_}").status == 404
    rows = {r["id"]: r for r in far.get("/weir/join").json["joins"]}
    assert rows[id_]["revoked"] and not rows[other_id]["revoked"]
    secrets = postgres.sql(far.database, """SELECT j.hash || coalesce(l.updated_values::text, '') FROM weir.join j
                                            LEFT JOIN "LiteLLM_AuditLog" l ON l.object_id = j.id""")  # fmt: skip
    assert token["token"] not in str(secrets) and token["key"] not in str(secrets)
    p.close()
    q.close()


def raw_client(cp, token, tmp_path):
    """A TLS connection past nng's greeting, and a function that asks over it."""
    for name in ("ca", "cert", "key"):
        (tmp_path / name).write_text(token[name])
    context = ssl.create_default_context(cafile=str(tmp_path / "ca"))
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(tmp_path / "cert", tmp_path / "key")
    s = context.wrap_socket(connection(cp.plane), server_hostname="weir-controlplane")
    s.settimeout(20)
    s.sendall(GREETING)
    assert played._exactly(s, 8)[:4] == GREETING[:4]

    def ask(request):
        body = b"\x80\0\0\1" + played.message(request)
        s.sendall(struct.pack(">Q", len(body)) + body)
        return played.parse(played._exactly(s, struct.unpack(">Q", played._exactly(s, 8))[0])[4:])

    return s, ask


def test_a_certificate_alone_opens_nothing(far, tmp_path):
    """Who has one and says nothing, or has a token that does not hold, is not kept connected."""
    id_, token = join(far)
    silent, _ = raw_client(far, token, tmp_path)
    assert silent.recv(1) == b""
    hello = {1: {1: 1, 2: 1, 4: b"p" * 16, 7: token["token"]}}
    wrong, ask = raw_client(far, token, tmp_path)
    assert ask({1: {**hello[1], 7: "another"}})[3] and wrong.recv(1) == b""
    good, ask = raw_client(far, token, tmp_path)
    session = played.parse(ask(hello)[1][0])[3][0]
    time.sleep(3)
    assert ask({3: {1: 1}, 15: session})[4]  # kept: it has a session
    assert far.call("DELETE", f"/weir/join/{id_}").status == 200
    far.wait(lambda: "node_cut" in far.log(), what="the session cut")
    assert good.recv(1) == b""  # and the connection with it
    for s in (silent, wrong, good):
        s.close()


def test_token_expires(far, postgres):
    _, token = join(far, duration="2s")
    p = joined(far.plane, token)
    p.follow()
    far.wait(lambda: p.error is not None, what="the session cut")
    assert "FORBIDDEN" in str(p.error) or "EXPIRED" in str(p.error)
    p.close()


def test_token_needs_an_address(cp):
    reply = cp.post("/weir/join", {})
    assert reply.status == 400 and "plane_listen" in reply.json["detail"]
    assert cp.post("/weir/join", {"addresses": ["http://x"]}).status == 400
    assert cp.post("/weir/join", {"addresses": ["tls+tcp://x:1"], "duration": "x"}).status == 400


# --- peers that leave in the middle of it

GREETING = b"\x00SP\x00\x00\x30\x00\x00"


def client_hello():
    """The first bytes of a TLS client."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with contextlib.suppress(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname="x").do_handshake()
    return outgoing.read()


def connection(address):
    if address.startswith("ipc://"):
        s = socket.socket(socket.AF_UNIX)
        s.connect(address.removeprefix("ipc://"))
    else:
        s = socket.create_connection(("127.0.0.1", int(address.rsplit(":", 1)[1])))
    return s


def leave(address, sent, reset):
    with connection(address) as s, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        s.sendall(sent)
        if reset == "half":  # the end first, the reset with the answer that is not read
            s.shutdown(socket.SHUT_WR)
            time.sleep(0.01)
        elif reset and s.family == socket.AF_INET:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@pytest.mark.parametrize("where", ["cp", "far"])
@pytest.mark.parametrize("reset", [False, True, "half"])
def test_who_leaves_during_the_greeting_stops_nobody(request, where, reset):
    cp = request.getfixturevalue(where)
    token = join(cp)[1] if where == "far" else None
    whole = GREETING if where == "cp" else client_hello()
    with joined(cp.plane, token) as before:
        for sent in (b"", whole[:3], whole[:-1], whole, whole + GREETING, bytes(64), b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096):
            for _ in range(12):
                leave(cp.plane, sent, reset)
        with connection(cp.plane) as held:
            held.sendall(whole[:5])
            with joined(cp.plane, token):
                pass
        before.sync()  # and the session of who was there goes on


# --- faults


def full_cursor(revision, kind, key):
    """Of everything, behind a key of a kind."""
    return (b"f" + struct.pack("<QQQQ", revision["epoch"], revision["n"], kind, len(key)) + key.encode()).hex()


def away(cp, plane, postgres, begin, end):
    begin()
    try:
        for _ in range(3):
            plane.changes()  # a heartbeat, not an error
        with Plane(cp.plane) as p:
            p.hello()
            p.have = {**plane.have, "n": 0}
            with pytest.raises(Refused, match="AWAY"):
                p.page(full_cursor(plane.have, 3, "nobody asked for this before"))
    finally:
        end()
    cp.wait(lambda: cp.post("/key/generate", {}).status == 200, what="the database back")
    assert plane.next("key")


def test_database_frozen(cp, plane, postgres):
    away(cp, plane, postgres, postgres.freeze, postgres.thaw)


def test_database_stopped(cp, plane, postgres):
    away(cp, plane, postgres, postgres.stop, postgres.start)


def test_restored_backup_begins_an_epoch(cp, plane, postgres):
    have = dict(plane.have)
    cp.post("/key/generate", {})
    plane.sync()
    kept = set(plane.entities["key"])
    # as it was before the key was made: an older state of the same server
    postgres.sql(cp.database, f"DELETE FROM weir.revision WHERE n > {have['n']}")
    postgres.sql(cp.database, """DELETE FROM "LiteLLM_VerificationToken" WHERE created_at = (SELECT max(created_at) FROM "LiteLLM_VerificationToken");
                                 DELETE FROM weir.change""")  # fmt: skip
    cp.wait(lambda: cp.get("/weir/nodes").json["epoch"] > have["epoch"], what="another epoch")
    plane.sync()
    assert plane.have["epoch"] > have["epoch"] and len(plane.entities["key"]) == len(kept) - 1


def test_claim_of_a_newer_revision_begins_an_epoch(cp, plane):
    epoch = plane.have["epoch"]
    plane.have["n"] += 1000
    plane.changes()
    cp.wait(lambda: cp.get("/weir/nodes").json["epoch"] > epoch, what="another epoch")
    plane.sync()
    assert plane.have["epoch"] > epoch


def test_copied_database_begins_an_epoch(cp, plane, postgres, start, empty_schema):
    dump = subprocess.run(["pg_dump", "-d", cp.database], capture_output=True, text=True, check=True).stdout
    url = postgres.database()
    postgres.sql(url, dump)
    copy = start(url)
    with joined(copy.plane) as p:
        assert p.have["epoch"] > plane.have["epoch"] and set(p.entities["key"]) == set(plane.entities["key"])
        n = p.have["n"]
        time.sleep(1.5)
        assert copy.get("/weir/nodes").json["revision"] == n  # and nothing of the other one's counts as new


def test_what_one_control_plane_changes_another_tells_at_once(cp, database, start):
    one, two = start(database), start(database)
    with Plane(two.plane) as p:
        p.hello()
        p.sync()
        begun = time.monotonic()
        for i in range(8):  # each looks by itself once a second
            one.post("/key/generate", {"key_alias": f"k{i}"})
            while f"k{i}" not in {e.get("alias") for e in p.entities["key"].values()}:
                p.changes()
        assert time.monotonic() - begun < 4


def test_two_control_planes_tell_the_same(cp, postgres, database, start):
    one, two = start(database), start(database)
    p, q = joined(one.plane), joined(two.plane)
    assert p.have == q.have
    done = threading.Thread(target=lambda: [two.post("/key/generate", {}) for _ in range(20)])
    done.start()
    for _ in range(20):
        assert one.post("/key/generate", {}).status == 200
    done.join()
    two.wait(lambda: p.sync() is not None and q.sync() is not None and p.have == q.have, what="the same revision")
    assert set(p.entities["key"]) == set(q.entities["key"]) and len(p.entities["key"]) == 40
    # one is killed: who was with it goes on with the other, from where it was
    one.crash()
    two.post("/key/generate", {"key_alias": "after"})
    with Plane(two.plane) as r:
        r.have = p.have
        r.hello()
        assert [e["alias"] for _, e, _ in r.changes()] == ["after"] and not r.full
    p.close()
    q.close()

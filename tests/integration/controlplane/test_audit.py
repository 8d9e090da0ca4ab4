"""The log of changes: read, filtered, and its chain, which shows what was done to it behind our back."""

import json
import threading

import pytest
from support.tenants import sha256


@pytest.fixture(scope="module")
def log(cp, tenants):
    """Five entries on a budget, by two people; the token of a key made meanwhile."""
    cp.post("/budget/new", {"budget_id": "logged", "max_budget": 1})
    cp.post("/budget/update", {"budget_id": "logged", "max_budget": 2}, headers=[("litellm-changed-by", "boss")])
    cp.post("/budget/update", {"budget_id": "logged", "rpm_limit": 3}, key=tenants.keys["root"])
    cp.post("/budget/delete", {"id": "logged"})
    return cp.post("/key/generate", {"team_id": "red", "key_alias": "logged"}).json["token"]


def listed(cp, query, **kw):
    return cp.get(f"/audit?{query}", **kw)


def test_an_entry(cp, log):
    reply = listed(cp, "object_id=logged&sort_order=asc").json
    assert {k: reply[k] for k in ("total", "page", "page_size", "total_pages")} == {
        "total": 4, "page": 1, "page_size": 10, "total_pages": 1}  # fmt: skip
    made, first, *_ = reply["audit_logs"]
    assert (made["action"], made["table_name"], made["changed_by"]) == ("created", "LiteLLM_BudgetTable", "default_user_id")
    assert made["before_value"] is None and made["updated_values"]["max_budget"] == 1
    assert made["changed_by_api_key"] == sha256(cp.key) and made["updated_at"].endswith("Z")
    assert first["before_value"]["max_budget"] == 1 and first["updated_values"]["max_budget"] == 2
    assert cp.get(f"/audit/{made['id']}").json == made


@pytest.mark.parametrize(
    ("query", "actions"),
    [
        ("object_id=logged", ["deleted", "updated", "updated", "created"]), ("object_id=logged&action=updated", ["updated"] * 2),
        ("object_id=logged&changed_by=boss", ["updated"]), ("search=logged&changed_by=root", ["updated"]), ("search=boss", ["updated"]),
        ("table_name=LiteLLM_BudgetTable&search=logged&action=created", ["created"]), ("object_id=logged&sort_by=action&sort_order=asc", ["created", "deleted", "updated", "updated"]),
        ("object_id=logged&start_date=2020-01-01&end_date=2020-01-02", []), ("object_id=logged&start_date=2020-01-01T00:00:00%2B02:00&action=created", ["created"]),
        ("object_id=logged&page_size=3&page=2", ["created"]), ("object_id=logged&page=9", []), ("object_id=log", []), ("object_id=%25", []),
        ("action=created&object_team_id=red&table_name=LiteLLM_VerificationToken", ["created"]), ("object_team_id=nowhere", []),
    ],
)  # fmt: skip
def test_filters(cp, log, query, actions):
    assert [e["action"] for e in listed(cp, query).json["audit_logs"]] == actions


def test_keys_by_hash(cp, log):
    assert [e["object_id"] for e in listed(cp, f"object_key_hash={log}").json["audit_logs"]] == [log]
    assert listed(cp, f"changed_by_api_key={sha256(cp.key)}&page_size=1").json["total"] >= 4


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("page_size=101", 422), ("page_size=0", 422), ("page=0", 422), ("page=x", 422), ("sort_by=before_value", 400), ("sort_by=id;drop", 400),
        ("sort_by=id&sort_order=up", 400), ("start_date=yesterday-ish", 400), ("object_id=%00", 422),
    ],
)  # fmt: skip
def test_queries_that_do_not_fit(cp, query, status):
    assert listed(cp, query).status == status


def test_what_is_not_there(cp):
    reply = cp.get("/audit/none")
    assert (reply.status, reply.json) == (404, {"detail": {"message": "Audit log with ID none not found"}})


@pytest.mark.parametrize("who", ["vera", "ivy", "ines", "ann", "olga", "zoe", "nobody"])
def test_who_reads(cp, tenants, log, who):
    entry = listed(cp, "object_id=logged").json["audit_logs"][0]["id"]
    for path in ("/audit", f"/audit/{entry}"):
        assert (cp.get(path, key=tenants.keys[who]).status == 200) is (who == "vera")
    assert cp.get("/weir/audit/verify", key=tenants.keys[who]).status in (401, 403)


def test_no_secret_is_in_it(cp, postgres, log):
    key = cp.post("/key/generate", {"metadata": {"logging": [{"callback_vars": {"langfuse_secret_key": "sk-lf-hidden-123"}}]}}).json
    cp.post("/credentials", {"credential_name": "c", "credential_info": {"token": "hidden-456"}, "credential_values": {"api_key": "hidden-789"}})
    cp.post("/user/new", {"user_id": "secretive", "user_email": "s@example.com"})
    cp.post("/user/update", {"user_id": "secretive", "password": "Hidden-012-hidden"})
    text = json.dumps(postgres.sql(cp.database, 'SELECT * FROM "LiteLLM_AuditLog"'))
    for secret in ("hidden-123", "hidden-456", "hidden-789", "idden-012", key["key"]):
        assert secret not in text
    assert key["token"] in text


def test_what_has_no_entry_is_not_done(cp, postgres):
    """R-09: nor is the connection worse for it."""
    postgres.sql(cp.database, 'ALTER TABLE "LiteLLM_AuditLog" ADD CONSTRAINT no CHECK (object_id <> %s)', "unheard")
    try:
        for _ in range(3):
            assert cp.post("/budget/new", {"budget_id": "unheard"}).status in (400, 500)
            assert postgres.sql(cp.database, 'SELECT FROM "LiteLLM_BudgetTable" WHERE budget_id = %s', "unheard") == []
            assert cp.post("/budget/new", {}).status == 200
    finally:
        postgres.sql(cp.database, 'ALTER TABLE "LiteLLM_AuditLog" DROP CONSTRAINT no')


def test_a_slow_entry_and_a_slow_commit_are_no_outage(cp, postgres):
    """Each is within a statement's time, both are not, and they are one round trip."""
    postgres.sql(cp.database, """CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(1.2); RETURN NEW; END';
        CREATE TRIGGER slow BEFORE INSERT ON "LiteLLM_AuditLog" FOR EACH ROW EXECUTE FUNCTION slow();
        CREATE CONSTRAINT TRIGGER slow_end AFTER INSERT ON "LiteLLM_AuditLog" DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION slow()""")  # fmt: skip
    try:
        assert cp.post("/key/generate", {}).status == 200
    finally:
        postgres.sql(cp.database, 'DROP TRIGGER slow ON "LiteLLM_AuditLog"; DROP TRIGGER slow_end ON "LiteLLM_AuditLog"; DROP FUNCTION slow')
    assert "database_away" not in cp.log()


# --- the chain


def verify(cp, query=""):
    reply = cp.get(f"/weir/audit/verify{query}")
    assert reply.status == 200, reply.body
    return reply.json


def sealed(cp, n=None):
    """Once nothing waits any more."""
    return cp.wait(lambda: (v := verify(cp))["pending"] == 0 and n in (None, v["verified"]) and v, what="all sealed")


@pytest.fixture
def chain(database, start):
    """A control plane with six entries sealed."""
    cp = start(database)
    for i in range(6):
        cp.post("/budget/new", {"budget_id": f"b{i}", "max_budget": i})
    sealed(cp, 6)
    return cp


def test_a_whole_chain(chain, postgres):
    v = sealed(chain, 6)
    assert (v["broken"], v["broken_total"], v["last"]["seq"]) == ([], 0, 6)
    assert len(v["last"]["hash"]) == 64 and v["last"]["at"].endswith("Z")
    head = v["last"]
    chain.post("/budget/new", {"budget_id": "b6"})
    later = sealed(chain, 7)
    assert later["last"]["seq"] == 7 and later["last"]["hash"] != head["hash"]
    assert verify(chain, f"?after=6&hash={head['hash']}")["verified"] == 1
    assert f"audit_sealed seq=7 hash={later['last']['hash']}" in chain.log()


def test_an_empty_log(database, start):
    assert verify(start(database)) == {"verified": 0, "last": None, "pending": 0, "broken_total": 0, "broken": []}


ENTRY = "(SELECT audit_id FROM weir.audit_seal WHERE seq = 3)"


@pytest.mark.parametrize(
    ("what", "statement", "broken", "verified"),
    [
        ("a value", f"""UPDATE "LiteLLM_AuditLog" SET updated_values = '{{"max_budget": 99}}' WHERE id = {ENTRY}""", [(3, "changed")], 5),
        ("null is not empty", f"""UPDATE "LiteLLM_AuditLog" SET before_value = '{{}}' WHERE id = {ENTRY}""", [(3, "changed")], 5),
        ("who", f"""UPDATE "LiteLLM_AuditLog" SET changed_by = 'innocent' WHERE id = {ENTRY}""", [(3, "changed")], 5),
        ("from column to column", f"""UPDATE "LiteLLM_AuditLog" SET action = 'createdL', table_name = substr(table_name, 2) WHERE id = {ENTRY}""", [(3, "changed")], 5),
        ("when", f"""UPDATE "LiteLLM_AuditLog" SET updated_at = updated_at - interval '1 day' WHERE id = {ENTRY}""", [(3, "changed")], 5),
        ("from where", f"UPDATE weir.audit_origin SET ip = '10.0.0.1' WHERE audit_id = {ENTRY}", [(3, "changed")], 5),
        ("entry", f'DELETE FROM "LiteLLM_AuditLog" WHERE id = {ENTRY}', [(3, "missing")], 5),
        ("origin", f"DELETE FROM weir.audit_origin WHERE audit_id = {ENTRY}", [(3, "missing")], 5),
        ("all of it", f"""DELETE FROM "LiteLLM_AuditLog" WHERE id = {ENTRY}; DELETE FROM weir.audit_origin WHERE audit_id = {ENTRY};
                          DELETE FROM weir.audit_seal WHERE seq = 3""", [(3, "missing")], 4),
        ("and the gap closed", f"""DELETE FROM "LiteLLM_AuditLog" WHERE id = {ENTRY}; DELETE FROM weir.audit_origin WHERE audit_id = {ENTRY};
                                   DELETE FROM weir.audit_seal WHERE seq = 3; UPDATE weir.audit_seal SET seq = 3 WHERE seq = 4;
                                   UPDATE weir.audit_seal SET seq = 4 WHERE seq = 5; UPDATE weir.audit_seal SET seq = 5 WHERE seq = 6""",
         [(3, "changed"), (4, "changed"), (5, "changed")], 2),
        ("the beginning", "DELETE FROM weir.audit_seal WHERE seq <= 2", [(1, "missing"), (None, "never"), (None, "never")], 3),
        ("a link", "UPDATE weir.audit_seal SET mac = sha256('x') WHERE seq = 3", [(3, "changed"), (4, "changed")], 4),
        ("a link of another length", "UPDATE weir.audit_seal SET mac = 'x' WHERE seq = 3", [(3, "no hash"), (4, "changed")], 4),
        ("the key's name", "UPDATE weir.audit_seal SET key = '0123456789abcdef' WHERE seq = 3", [(3, "another key")], 5),
        ("two entries' places", """UPDATE weir.audit_seal SET seq = 9 WHERE seq = 3; UPDATE weir.audit_seal SET seq = 3 WHERE seq = 4;
                                   UPDATE weir.audit_seal SET seq = 4 WHERE seq = 9""", [(3, "changed"), (4, "changed"), (5, "changed")], 3),
    ],
)  # fmt: skip
def test_what_was_done_behind_our_back(chain, postgres, what, statement, broken, verified):
    postgres.sql(chain.database, statement)
    if "never" in str(broken):  # else they would count as new
        postgres.sql(chain.database, """UPDATE weir.audit_origin SET at = at - interval '2 minutes'
                                        WHERE audit_id NOT IN (SELECT audit_id FROM weir.audit_seal)""")  # fmt: skip
    v = verify(chain)
    assert len(v["broken"]) == len(broken) == v["broken_total"], v
    for got, (seq, word) in zip(v["broken"], broken, strict=True):
        assert got["seq"] == seq and word in got["reason"], v
    assert v["verified"] == verified


def test_a_forged_entry_without_the_key_does_not_hold(chain, postgres):
    """Whoever writes the database appends an entry with its origin and a link of their own making."""
    postgres.sql(chain.database, """
        INSERT INTO "LiteLLM_AuditLog" (id, action, table_name, object_id) VALUES ('forged', 'created', 'x', 'y');
        INSERT INTO weir.audit_origin (audit_id, ip, route, request_id, sealed) VALUES ('forged', '', '', '', true);
        INSERT INTO weir.audit_seal (seq, audit_id, mac, key) SELECT 7, 'forged', sha256(mac), key FROM weir.audit_seal WHERE seq = 6""")  # fmt: skip
    v = verify(chain)
    assert [(b["seq"], b["id"]) for b in v["broken"]] == [(7, "forged")] and v["verified"] == 6


def test_a_cut_end_shows_beside_a_noted_head(chain, postgres):
    head = verify(chain)["last"]
    postgres.sql(chain.database, """DELETE FROM "LiteLLM_AuditLog" WHERE id = (SELECT audit_id FROM weir.audit_seal WHERE seq = 6);
        DELETE FROM weir.audit_origin WHERE audit_id = (SELECT audit_id FROM weir.audit_seal WHERE seq = 6);
        DELETE FROM weir.audit_seal WHERE seq = 6""")  # fmt: skip
    assert verify(chain)["broken"] == []
    v = verify(chain, f"?after=6&hash={head['hash']}")
    assert [b["reason"] for b in v["broken"]] == ["it is not the link that was noted"]
    other = "0" * 64
    assert verify(chain, f"?after=5&hash={other}")["broken_total"] == 1


@pytest.mark.parametrize("query", ["?hash=" + "0" * 64, "?after=2&hash=00", "?after=2&hash=" + "g" * 64, "?after=-1", "?after=x"])
def test_a_head_that_is_none(chain, query):
    reply = chain.get("/weir/audit/verify" + query)
    assert reply.status in (400, 422) or reply.json["broken_total"] == 1


def test_an_entry_kept_from_the_chain(chain, postgres):
    postgres.sql(chain.database, """INSERT INTO "LiteLLM_AuditLog" (id, action, table_name, object_id) VALUES ('hidden', 'a', 'x', 'y');
        INSERT INTO weir.audit_origin (audit_id, ip, route, request_id, sealed, at) VALUES ('hidden', '', '', '', true, now() - interval '2 minutes')""")  # fmt: skip
    assert [(b["id"], b["reason"]) for b in verify(chain)["broken"]] == [("hidden", "the entry was never sealed")]


def test_another_secret_opens_no_chain(chain, database, start):
    other = start(database, env={"LITELLM_SALT_KEY": "sk-another-salt"})
    v = verify(other)
    assert v["broken_total"] == 6 and {b["reason"] for b in v["broken"]} == {"sealed under another key"}
    assert sealed(chain, 6)["broken"] == []


def test_two_seal_at_once_and_jobs_off_seals_all_the_same(database, start, postgres):
    cps = [start(database, {"weir": {"jobs": False}}) for _ in range(2)]
    threads = [threading.Thread(target=lambda cp=cp, i=i: [cp.post("/budget/new", {"budget_id": f"{i}-{k}"}) for k in range(40)])
               for i, cp in enumerate(cps)]  # fmt: skip
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sealed(cps[0], 80)["broken"] == []


def one_while_sealed(cp, n):
    """Each answer is of one moment: what the job seals meanwhile is counted once."""
    while True:
        v = verify(cp)
        assert v["verified"] + v["pending"] == n, v
        if not v["pending"]:
            return v


def test_more_than_one_page(chain, postgres):
    postgres.sql(chain.database, """
        INSERT INTO "LiteLLM_AuditLog" (id, action, table_name, object_id, updated_values)
        SELECT 'many-' || i, 'created', 't', i::text, jsonb_build_object('n', i) FROM generate_series(1, 2600) AS i;
        INSERT INTO weir.audit_origin (audit_id, ip, route, request_id) SELECT 'many-' || i, '::1', '/x', 'r' FROM generate_series(1, 2600) AS i""")  # fmt: skip
    assert one_while_sealed(chain, 2606)["broken"] == []
    postgres.sql(chain.database, """UPDATE "LiteLLM_AuditLog" SET action = 'x' WHERE id LIKE 'many-%'""")
    v = verify(chain)
    assert v["broken_total"] == 2600 and len(v["broken"]) == 100 and v["verified"] == 6

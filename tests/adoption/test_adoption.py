"""A database that LiteLLM made is used as it is; one of ours is what LiteLLM would have made."""

import hashlib
import re
import subprocess
from pathlib import Path

import pytest

VIEWS = {"LiteLLM_VerificationTokenView", "MonthlyGlobalSpend", "MonthlyGlobalSpendPerKey", "MonthlyGlobalSpendPerUserPerKey",
         "Last30dKeysBySpend", "Last30dModelsBySpend", "Last30dTopEndUsersSpend", "DailyTagSpend"}  # fmt: skip
SCHEMA = """
    SELECT 'column', table_name::text, column_name::text, udt_name::text, is_nullable, replace(coalesce(column_default, ''), 'ARRAY[]::text[]', '''{}''::text[]')
    FROM information_schema.columns WHERE table_schema = 'public' AND table_name NOT IN (SELECT viewname FROM pg_views)
    UNION ALL SELECT 'index', tablename, indexname, indexdef, '', '' FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', '' FROM pg_constraint
              WHERE connamespace = 'public'::regnamespace
    UNION ALL SELECT 'type', typname, string_agg(enumlabel, ',' ORDER BY enumsortorder), '', '', '' FROM pg_enum e
              JOIN pg_type t ON t.oid = e.enumtypid GROUP BY 2"""
MIGRATIONS = Path(__file__).parents[2] / "controlplane" / "store" / "migrations"
ON = {"general_settings": {"store_model_in_db": True}}


def dump(url):
    """The schema `public` as pg_dump writes it, our triggers and the dump's own token aside."""
    text = subprocess.run(["pg_dump", "--schema-only", "--schema=public", "-d", url], capture_output=True, text=True, check=True, timeout=60).stdout
    text = re.sub(r"(?ms)^--\n-- Name: \S+ weir_(changed|made_or_gone|spent|log_(added|gone|changed|emptied)|daily_(added|gone|changed|written|moved|emptied)).*?(?=^--\n-- (Name|PostgreSQL))", "", text)
    text = re.sub(r"(?ms)^--\n-- Name: TRIGGER weir_changed.*?(?=^--\n-- (Name|PostgreSQL))", "", text)
    return re.sub(r"(?m)^\\(un)?restrict \S+\n", "", text)


def test_nothing_of_its_schema_changes(litellms, start):
    before = dump(litellms)
    assert "weir_changed" not in before and len(before) > 50000
    start(litellms, args=["--adopt"]).stop()
    assert dump(litellms) == before
    start(litellms).stop()  # nor later
    assert dump(litellms) == before


def test_its_rows_stay(litellms, start, postgres, made):
    tables = [t for t in made if t.startswith("LiteLLM_")]
    before = [postgres.sql(litellms, f'SELECT to_jsonb(t) FROM "{t}" t ORDER BY 1') for t in tables]
    start(litellms, args=["--adopt"]).stop()
    assert [postgres.sql(litellms, f'SELECT to_jsonb(t) FROM "{t}" t ORDER BY 1') for t in tables] == before


def test_its_keys_work(litellms, start, made):
    cp = start(litellms, args=["--adopt"])
    keys = made["keys"]
    plain = cp.get("/key/info", key=keys["plain"]).json["info"]
    assert (plain["key_alias"], plain["metadata"], plain["models"], plain["status"]) == ("plain", {"a": 1}, ["gpt-4o"], "active")
    limited = cp.get("/key/info", key=keys["limited"]).json["info"]
    assert (limited["user_id"], limited["team_id"], limited["tpm_limit"], limited["max_budget"]) == ("ann", "red", 5, 2.5)
    assert limited["budget_limits"][0]["max_budget"] == 1 and limited["budget_reset_at"] and limited["expires"]
    assert cp.get("/key/list", key=keys["admin"]).json["total_count"] == 4
    assert cp.get("/key/info", key="sk-unknown").status == 401
    expired = cp.wait(lambda: (r := cp.get("/key/info", key=keys["gone"])).status != 200 and r, what="the key expired")
    assert (expired.status, expired.json["error"]["type"]) == (400, "expired_key")
    # and can be changed: a member who runs the team adds a key within what the team holds
    assert cp.post("/key/generate", {"team_id": "red", "models": ["gpt-4o"]}, key=keys["limited"]).status == 200
    assert cp.post("/key/update", {"key": keys["plain"], "tpm_limit": 9}).json["tpm_limit"] == 9
    new = cp.post("/key/regenerate", {"key": keys["plain"]}).json["key"]
    assert cp.get("/key/info", key=new).status == 200 and cp.get("/key/info", key=keys["plain"]).status == 401


def test_its_sealed_values_open(litellms, start, made):
    cp = start(litellms, ON, args=["--adopt"])
    shown = {c["credential_name"]: c["credential_values"] for c in cp.get("/credentials").json["credentials"]}
    masked = {"api_key": "sk****et", "api_base": "https://api.example.com"}
    assert shown == {"xsalsa20-poly1305": masked, "aes-256-gcm": masked}
    models = {m["model_info"]["id"]: m["litellm_params"] for m in cp.get("/model/info").json["data"]}
    assert set(models) == {"m-xsalsa20-poly1305", "m-aes-256-gcm"}
    for params in models.values():
        assert (params["model"], params["api_base"]) == ("openai/gpt-4o", "https://api.example.com")
    assert cp.post("/key/generate", {}).json["max_budget"] == 11  # its stored settings hold


@pytest.mark.timeout(300)  # LiteLLM takes its time to start, on a busy machine more than a minute
def test_what_we_seal_it_opens(litellms, start, postgres):
    from conftest import PYTHON, SALT

    for algorithm in ("xsalsa20-poly1305", "aes-256-gcm"):
        cp = start(litellms, {"general_settings": {"store_model_in_db": True, "encryption_algorithm": algorithm}}, args=["--adopt"])
        name = f"ours-{algorithm}"
        cp.post("/credentials", {"credential_name": name, "credential_info": {}, "credential_values": {"api_key": "sk-ours"}})
        cp.stop()
        sealed = postgres.sql(litellms, "SELECT credential_values ->> 'api_key' FROM \"LiteLLM_CredentialsTable\" WHERE credential_name = %s", name)[0][0]
        opens = "import sys; from litellm.proxy.common_utils.encrypt_decrypt_utils import decrypt_value_helper as d; print(d(sys.argv[1], 'x'))"
        out = subprocess.run([PYTHON, "-c", opens, sealed], capture_output=True, text=True, timeout=120,
                             env={"LITELLM_SALT_KEY": SALT, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONDONTWRITEBYTECODE": "1"})  # fmt: skip
        assert out.stdout.strip() == "sk-ours", out.stderr[-2000:]


# --- the other way round


def test_ours_is_what_its_migrations_make(postgres, empty, start):
    url = postgres.database()
    start(url).stop()
    ours, theirs = set(postgres.sql(url, SCHEMA)), set(postgres.sql(postgres.url(empty), SCHEMA))
    # spend logs are by day: their indexes stand on a table without rows of its own, and a key holds the time
    key = 'request_id, "startTime"'
    logs = {r for r in ours if "LiteLLM_SpendLogs" in r[1] and r[0] != "column"}
    ours = ours - logs | {(*r[:3], r[3].replace(" ON ONLY ", " ON ").replace(key, "request_id") if r[2].endswith("pkey") else
                           r[3].replace(" ON ONLY ", " ON "), *r[4:]) for r in logs}  # fmt: skip
    extra = {r for r in ours - theirs if r[1] != "_prisma_migrations"}
    assert not extra and not theirs - ours


def test_its_migrator_finds_nothing_to_do(postgres, steps, start):
    url = postgres.database()
    start(url).stop()
    recorded = postgres.sql(url, """SELECT migration_name, checksum FROM _prisma_migrations
                                    WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL ORDER BY 1""")  # fmt: skip
    assert recorded == [(s.parent.name, hashlib.sha256(s.read_bytes()).hexdigest()) for s in steps]


def test_its_views_are_there(postgres, start):
    url = postgres.database()
    cp = start(url)
    found = {v for (v,) in postgres.sql(url, "SELECT viewname FROM pg_views WHERE schemaname = 'public'")}
    assert found == VIEWS
    token = cp.post("/key/generate", {"key_alias": "seen"}).json["token"]
    postgres.sql(url, """INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, spend, "startTime", "endTime", model, "user", end_user, request_tags)
                         SELECT i::text, 'x', %s, 0.5, now(), now(), 'm', 'u', 'e', '["t"]' FROM generate_series(1, 4) AS i""", token)  # fmt: skip
    assert postgres.sql(url, 'SELECT key_alias, team_spend FROM "LiteLLM_VerificationTokenView" WHERE token = %s', token) == [("seen", "")]
    for view, expected in {
        "MonthlyGlobalSpend": "spend = 2", "MonthlyGlobalSpendPerKey": f"spend = 2 AND api_key = '{token}'",
        "MonthlyGlobalSpendPerUserPerKey": "spend = 2 AND \"user\" = 'u'", "Last30dKeysBySpend": "key_alias = 'seen' AND total_spend = 2",
        "Last30dModelsBySpend": "model = 'm' AND total_spend = 2", "Last30dTopEndUsersSpend": "end_user = 'e' AND total_events = 4",
        "DailyTagSpend": "individual_request_tag = 't' AND log_count = 4 AND total_spend = 2 AND spend_date = current_date",
    }.items():  # fmt: skip
        assert postgres.sql(url, f'SELECT count(*) FROM "{view}" WHERE {expected}') == [("1",)], view


def test_a_litellm_that_started_on_ours_is_left_as_it_is(postgres, start):
    """Its views and record of migrations came before ours did."""
    url = postgres.database()
    start(url).stop()
    postgres.sql(url, """DROP VIEW "MonthlyGlobalSpend";
        CREATE MATERIALIZED VIEW "MonthlyGlobalSpend" AS SELECT 1 AS spend; DELETE FROM _prisma_migrations WHERE migration_name < '2026';
        UPDATE _prisma_migrations SET checksum = 'theirs'""")  # fmt: skip
    # as our migration finds it
    postgres.sql(url, "SET search_path = public;" + (MIGRATIONS / "0005_litellm_start.sql").read_text())
    assert postgres.sql(url, "SELECT count(*), count(DISTINCT migration_name) FROM _prisma_migrations")[0][0] == "220"
    assert postgres.sql(url, "SELECT count(*) > 0 FROM _prisma_migrations WHERE checksum = 'theirs'") == [("t",)]
    assert postgres.sql(url, "SELECT count(*) FROM pg_matviews") == [("1",)]

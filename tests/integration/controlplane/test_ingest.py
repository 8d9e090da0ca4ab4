"""What data planes spooled becomes spend: rows, daily totals, columns, exactly once."""

import datetime
import json
import random
import threading
from decimal import Decimal
from fractions import Fraction

import pytest
from support.spool import Door, Spool, record

LOGS = '"LiteLLM_SpendLogs"'
DAILY = {  # table: its entity's column, the same of the logs
    "User": ("user_id", '"user"'), "Team": ("team_id", "team_id"), "Organization": ("organization_id", "organization_id"),
    "EndUser": ("end_user_id", "end_user"),
}  # fmt: skip
DAY_US = 86400 * 1000000


@pytest.fixture
def door(database):
    with Door(database) as d:
        yield d


def us(text):
    """2026-01-02T03:04:05 as microseconds."""
    at = datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.timezone.utc)
    return int(at.timestamp()) * 1000000


def one(postgres, database, sql, *args):
    rows = postgres.sql(database, sql, *args)
    assert len(rows) == 1, rows
    return rows[0]


def logged(postgres, database, what="count(*)"):
    """Nano-dollars of all rows, exactly, and something else of them."""
    nano, other = one(postgres, database, f"SELECT sum(round(spend::numeric * 1000000000)::bigint), {what} FROM {LOGS}")
    return int(nano), other


def seed(postgres, database):
    postgres.sql(database, """
        INSERT INTO "LiteLLM_BudgetTable" (budget_id, created_by, updated_by) VALUES ('b', 'x', 'x');
        INSERT INTO "LiteLLM_OrganizationTable" (organization_id, organization_alias, budget_id, created_by, updated_by)
            VALUES ('o1', 'o', 'b', 'x', 'x'), ('o2', 'o', 'b', 'x', 'x');
        INSERT INTO "LiteLLM_UserTable" (user_id) VALUES ('u1'), ('u2'), ('litellm-proxy-budget');
        INSERT INTO "LiteLLM_TeamTable" (team_id, members_with_roles) VALUES ('t1', '[{"user_id": "u1", "role": "user"}]'), ('t2', '[]');
        INSERT INTO "LiteLLM_OrganizationMembership" (user_id, organization_id, spend) VALUES ('u1', 'o1', NULL);
        INSERT INTO "LiteLLM_ProjectTable" (project_id, created_by, updated_by) VALUES ('p1', 'x', 'x');
        INSERT INTO "LiteLLM_TagTable" (tag_name) VALUES ('a');
        INSERT INTO "LiteLLM_VerificationToken" (token, user_id, team_id) VALUES ('k1', 'u1', 't1'), ('k2', 'u2', NULL)
    """)  # fmt: skip


def some_records(rng, n, start_us=us("2026-03-01T12:00:00"), span_us=2 * DAY_US):
    out = []
    for _ in range(n):
        parts = {k: rng.choice([0, rng.randrange(10**6)]) for k in ("input_nusd", "output_nusd", "cache_read_nusd", "cache_write_nusd")}
        at = start_us + rng.randrange(span_us)
        out.append(record(
            key=rng.choice(["k1", "k2", "gone"]), user=rng.choice(["u1", "u2", "u3", ""]), team=rng.choice(["t1", "t2", ""]),
            organization=rng.choice(["o1", "o2", ""]), project=rng.choice(["p1", ""]), end_user=rng.choice(["", "e1", "e2", "e3"]),
            tags=rng.sample(["a", "b", "c"], rng.randrange(3)), user_agent=rng.choice(["", "curl/8.1", "bare"]),
            model="m", group=rng.choice(["g1", "g2"]), upstream_model=rng.choice(["m1", "m2"]), api=rng.randrange(8),
            error=rng.choice(["", "", "upstream_timeout"]), retried=rng.random() < 0.1, attempt=rng.randrange(1, 4),
            start_us=at, end_us=at + rng.randrange(10**7), usage={k: rng.randrange(1000) for k in (
                "input", "cache_read", "cache_write", "cache_write_1h", "audio_in", "image_in", "output", "reasoning",
                "audio_out", "image_out")}, cost_nusd=sum(parts.values()), **parts))  # fmt: skip
    return out


def nusd(dollars):
    """The whole nano-dollars whose nearest double this is: it must be the nearest."""
    n = round(Fraction(float(dollars)) * 10**9)
    assert n / 10**9 == float(dollars), dollars
    return n


def audit(postgres, database, records):
    """Every table that is added to says what the rows say, and the rows what was recorded."""
    total = sum(r["cost_nusd"] for r in records)
    rows = postgres.sql(database, f"SELECT spend FROM {LOGS}")
    assert len(rows) == len(records)
    assert sum(nusd(r[0]) for r in rows) == total
    assert one(postgres, database, f"SELECT count(DISTINCT request_id) FROM {LOGS}") == (str(len(records)),)
    sums = "sum((round(spend::numeric, 9) * 1000000000)::bigint), sum(prompt_tokens), sum(completion_tokens)"
    final = "NOT coalesce((metadata->'weir'->>'retried')::bool, false)"
    requests = f"count(*) FILTER (WHERE {final})"
    counts = f"{requests}, count(*) FILTER (WHERE status = 'failure' AND {final})"
    key = 'api_key, model, custom_llm_provider, to_char("startTime", \'YYYY-MM-DD\')'
    for table, (column, of) in DAILY.items():
        where = f"WHERE {of} <> ''" if table in ("Organization", "EndUser") else ""
        raw = postgres.sql(database, f"SELECT {of}, {key}, {sums}, {counts} FROM {LOGS} {where} GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5")
        daily = postgres.sql(database, f"""SELECT {column}, api_key, model, custom_llm_provider, date, {sums}, sum(api_requests), sum(failed_requests)
            FROM "LiteLLM_Daily{table}Spend" GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5""")  # fmt: skip
        assert daily == raw, table
        assert all(nusd(r[0]) >= 0 for r in postgres.sql(database, f'SELECT spend FROM "LiteLLM_Daily{table}Spend"'))
    raw = postgres.sql(database, f"""SELECT tag, {key}, {sums}, {counts} FROM {LOGS}, jsonb_array_elements_text(request_tags) tag
        GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5""")  # fmt: skip
    daily = postgres.sql(database, f"""SELECT tag, api_key, model, custom_llm_provider, date, {sums}, sum(api_requests), sum(failed_requests)
        FROM "LiteLLM_DailyTagSpend" GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5""")  # fmt: skip
    assert daily == raw
    for table, n in (("DailyGlobalSpend", "api_requests"), ("DailyModelUsage", "request_count")):
        daily = postgres.sql(database, f'SELECT date, model_group, model, {sums}, sum({n}) FROM "LiteLLM_{table}" GROUP BY 1, 2, 3 ORDER BY 1, 2, 3')
        assert daily == postgres.sql(database, f"""SELECT to_char("startTime", 'YYYY-MM-DD'), model_group, model, {sums},
            {requests} FROM {LOGS} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"""), table  # fmt: skip
    for kind, table, column, of in (
        ("key", "VerificationToken", "token", "api_key"), ("user", "UserTable", "user_id", '"user"'),
        ("team", "TeamTable", "team_id", "team_id"), ("organization", "OrganizationTable", "organization_id", "organization_id"),
        ("end_user", "EndUserTable", "user_id", "end_user"),
    ):  # fmt: skip
        raw = dict(postgres.sql(database, f"SELECT {of}, {sums.split(', sum(p')[0]} FROM {LOGS} GROUP BY 1"))
        for name, spend in postgres.sql(database, f'SELECT {column}, spend FROM "LiteLLM_{table}"'):
            if name != "litellm-proxy-budget":
                assert nusd(spend) == int(raw.get(name, 0)), (table, name)
        exact = dict(postgres.sql(database, "SELECT id, spend_nusd FROM weir.total WHERE kind = %s", kind))
        assert exact == {k: v for k, v in raw.items() if k or kind == "key"}, kind


# --- once, exactly


def test_what_was_recorded_is_what_is_spent(postgres, database, door):
    seed(postgres, database)
    rng, spool = random.Random(5), Spool()
    records = some_records(rng, 400)
    for i in range(0, 400, 50):
        door.take(spool.batch(*records[i : i + 50]))
    audit(postgres, database, records)
    total = sum(r["cost_nusd"] for r in records)
    assert nusd(one(postgres, database, "SELECT spend FROM \"LiteLLM_UserTable\" WHERE user_id = 'litellm-proxy-budget'")[0]) == total
    spent = {
        "member": sum(r["cost_nusd"] for r in records if r["team"] == "t1" and r["user"] == "u1"),
        "organization member": sum(r["cost_nusd"] for r in records if r["organization"] == "o1" and r["user"] == "u1"),
        "project": sum(r["cost_nusd"] for r in records if r["project"]),
        "tag": sum(r["cost_nusd"] for r in records if "a" in r["tags"]),
    }
    # a member of the team without a row got one, others did not
    assert [(u, t, nusd(s), nusd(x)) for u, t, s, x in postgres.sql(
        database, 'SELECT user_id, team_id, spend, total_spend FROM "LiteLLM_TeamMembership"')] == [("u1", "t1", spent["member"], spent["member"])]  # fmt: skip
    assert nusd(one(postgres, database, 'SELECT spend FROM "LiteLLM_OrganizationMembership"')[0]) == spent["organization member"]
    assert nusd(one(postgres, database, 'SELECT spend FROM "LiteLLM_ProjectTable"')[0]) == spent["project"]
    assert [(t, nusd(s)) for t, s in postgres.sql(database, 'SELECT tag_name, spend FROM "LiteLLM_TagTable"')] == [("a", spent["tag"])]
    key = one(postgres, database, "SELECT spend, total_spend, last_active IS NOT NULL FROM \"LiteLLM_VerificationToken\" WHERE token = 'k1'")
    assert key[0] == key[1] and key[2] == "t"


def test_all_segments_sent_again_count_once(postgres, database, door):
    """M-02: in their order, each by itself, in one transaction, and by another control plane."""
    seed(postgres, database)
    spool, rng = Spool(), random.Random(6)
    records, batches = some_records(rng, 180), []
    for i in range(0, 180, 20):
        batches.append(spool.batch(*records[i : i + 20]))
        if i % 60 == 40:  # the segment ends
            batches.append({**spool.place(b""), "next_segment": spool.segment + 1, "next_offset": 0})
            spool.next_segment()
    for b in batches:
        door.take(b)
    end = [batches[-1]["next_segment"], batches[-1]["next_offset"]]
    assert end == [4, 0]
    for b in batches:  # each is answered with where the spool stands
        assert door.ask(b)["taken"] == [end]
    assert door.ask(*batches)["taken"] == [end] * 12
    with Door(database) as other:
        for b in rng.sample(batches, 12):
            assert other.ask(b)["taken"] == [end]
    audit(postgres, database, records)
    assert one(postgres, database, "SELECT records FROM weir.spool") == ("180",)


def test_batches_of_several_spools_in_one_transaction(postgres, database, door):
    seed(postgres, database)
    rng, spools = random.Random(7), [Spool() for _ in range(3)]
    records = some_records(rng, 160)
    batches = [spools[i % 3].batch(*records[i * 10 : i * 10 + 10]) for i in range(16)]
    door.take(*batches[:3])
    got = door.ask(*batches[3:])["taken"]
    assert got == [[b["next_segment"], b["next_offset"]] for b in batches[3:]]
    audit(postgres, database, records)


def test_two_control_planes_at_once(postgres, database):
    seed(postgres, database)
    rng = random.Random(8)
    spools = [(Spool(), some_records(rng, 300)) for _ in range(2)]

    def ship(spool, records):
        with Door(database) as d:
            for i in range(0, 300, 15):
                d.take(spool.batch(*records[i : i + 15]))

    threads = [threading.Thread(target=ship, args=s) for s in spools]
    for t in threads:
        t.start()
    for t in threads:
        t.join(timeout=120)
    audit(postgres, database, [r for _, records in spools for r in records])


def test_one_spool_at_two_control_planes(postgres, database):
    """A link that changes over sends the same again: whoever is first takes it."""
    seed(postgres, database)
    spool, records = Spool(), some_records(random.Random(9), 200)
    batches = [spool.batch(*records[i : i + 20]) for i in range(0, 200, 20)]

    def ship():
        with Door(database) as d:
            for b in batches:
                at = d.ask(b)["taken"][0]
                assert at[1] >= b["next_offset"]

    threads = [threading.Thread(target=ship) for _ in range(2)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(timeout=120)
    audit(postgres, database, records)


@pytest.mark.parametrize("seed_", range(3))
def test_a_backend_killed_at_any_moment(postgres, database, seed_):
    """Killed between insert and answer: sent again until it is acknowledged, counted once."""
    seed(postgres, database)
    rng, spool = random.Random(seed_), Spool()
    records = some_records(rng, 300)
    batches = [spool.batch(*records[i : i + 30]) for i in range(0, 300, 30)]
    with Door(database) as d:
        d.take(batches[0])
        for b in batches[1:]:
            d.send(b)
            threading.Event().wait(rng.random() * 0.02)
            postgres.sql(postgres.url("postgres"), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'weir-ingest'"
                                                   f" AND datname = '{postgres.name(database)}'")  # fmt: skip
            got = d.answer()
            for _ in range(100):
                if "taken" in got:
                    break
                assert got["error"] == "closed", got
                threading.Event().wait(0.05)
                got = d.ask(b)
            assert got["taken"] == [[b["next_segment"], b["next_offset"]]]
    audit(postgres, database, records)


def test_the_database_away(postgres, database, door):
    seed(postgres, database)
    spool, records = Spool(), some_records(random.Random(3), 40)
    first, second = spool.batch(*records[:20]), spool.batch(*records[20:])
    door.take(first)
    postgres.sql(postgres.url("postgres"), f"ALTER DATABASE {postgres.name(database)} ALLOW_CONNECTIONS false")
    postgres.sql(postgres.url("postgres"), f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{postgres.name(database)}'")
    assert door.ask(second)["error"] == "closed"
    postgres.sql(postgres.url("postgres"), f"ALTER DATABASE {postgres.name(database)} ALLOW_CONNECTIONS true")
    for _ in range(100):
        if "taken" in door.ask(second):
            break
        threading.Event().wait(0.1)
    audit(postgres, database, records)


def test_spend_is_no_change(postgres, database, door):
    """Data planes are told of a member that got a row, not of spend, nor of end users that were seen."""
    seed(postgres, database)
    postgres.sql(database, "DELETE FROM weir.change")
    spool = Spool()
    door.take(spool.batch(record(key="k1", user="u1", team="t1", organization="o1", end_user="e", tags=["a"], project="p1", cost_nusd=1)))
    assert postgres.sql(database, "SELECT tbl, key, gone FROM weir.change") == [("LiteLLM_TeamMembership", "{u1,t1}", "f")]
    postgres.sql(database, "INSERT INTO \"LiteLLM_EndUserTable\" (user_id) VALUES ('e2')")
    assert one(postgres, database, "SELECT count(*) FROM weir.change WHERE tbl = 'LiteLLM_EndUserTable'") == ("1",)


def test_groups_of_models_with_a_budget(postgres, database, door):
    table = '"LiteLLM_ModelAccessGroupBudgetTable"'
    postgres.sql(database, f"INSERT INTO {table} (access_group_name) VALUES ('a'), ('b'), ('c')")
    spool = Spool()
    door.take(spool.batch(record(cost_nusd=1, budget_groups=["a", "b", "a"]), record(cost_nusd=2), record(cost_nusd=4, budget_groups=["b", "gone"])))
    spent = dict(postgres.sql(database, f"SELECT access_group_name, round(spend::numeric * 1000000000)::bigint FROM {table}"))
    assert spent == {"a": "1", "b": "5", "c": "0"}
    assert dict(postgres.sql(database, "SELECT id, spend_nusd FROM weir.total WHERE kind = 'access_group'")) == {"a": "1", "b": "5", "gone": "4"}
    assert postgres.sql(database, "SELECT DISTINCT tbl FROM weir.spent WHERE tbl LIKE '%AccessGroup%'") == [(table.strip('"'),)]


# --- what lies in a spool


def test_gaps_are_recorded(postgres, database, door):
    spool = Spool()
    door.take(spool.batch(record(cost_nusd=1)))
    lost = spool.batch(record(cost_nusd=2))
    got = door.take(spool.batch(record(cost_nusd=4)))
    assert got["gaps"] == 1
    assert postgres.sql(database, "SELECT from_segment, from_offset, to_segment, to_offset FROM weir.spool_gap") == [
        ("1", str(lost["from"]), "1", str(lost["next_offset"]))
    ]
    # too late: what was skipped does not come back
    assert door.ask(lost)["taken"] == [[1, spool.offset]]
    assert logged(postgres, database) == (5, "2")


def test_a_cursor_that_fell_back_is_no_gap(postgres, database, door):
    """A database that lost what it had committed answers where it stands; only what its reader no longer has is a gap."""
    spool = Spool()

    def after(b, of):
        return {**b, "after_segment": of["next_segment"], "after_offset": of["next_offset"]}

    first = spool.batch(record(cost_nusd=1))
    second = after(spool.batch(record(cost_nusd=2)), first)
    third = after(spool.batch(record(cost_nusd=4)), second)
    at = [1, first["next_offset"]]
    door.take(first)
    assert door.ask(third)["taken"] == [at]
    assert door.ask({**third, "records": ""})["taken"] == [at]
    assert door.ask(third, after(spool.batch(record(cost_nusd=8)), third))["taken"] == [at, at]
    assert logged(postgres, database) == (1, "1") and one(postgres, database, "SELECT count(*) FROM weir.spool_gap") == ("0",)
    assert door.take(second, third)["gaps"] == 0
    assert logged(postgres, database) == (7, "3")
    # nothing is left of what follows
    spool.batch(record(cost_nusd=16))
    later = after(spool.batch(record(cost_nusd=32)), third)
    assert door.take(later)["gaps"] == 1
    assert logged(postgres, database) == (39, "4")


def test_a_question_moves_nothing(postgres, database, door):
    spool = Spool()
    empty = {**spool.place(b""), "segment": 0, "next_segment": 0}
    assert door.ask(empty)["taken"] == [[0, 0]]
    b = spool.batch(record(cost_nusd=1))
    door.take(b)
    assert door.ask(empty)["taken"] == [[1, b["next_offset"]]]
    assert door.ask({**empty, "segment": 9, "next_segment": 9})["taken"] == [[1, b["next_offset"]]]
    # a segment that ended
    door.take({**spool.place(b""), "next_segment": 2, "next_offset": 0})
    spool.next_segment()
    assert door.take(spool.batch(record(cost_nusd=1)))["gaps"] == 0
    assert postgres.sql(database, "SELECT segment FROM weir.spool") == [("2",)]


@pytest.mark.parametrize("change", [
    {"spool": "00"}, {"segment": 2**63}, {"from": 2**63}, {"next_offset": 0}, {"next_segment": 0},
    {"after_segment": 2}, {"after_segment": 1, "after_offset": 1},
])  # fmt: skip
def test_what_is_no_batch(database, door, change):
    assert door.ask({**Spool().batch(record()), **change})["error"] == "invalid"


def test_damage_is_skipped(postgres, database, door):
    spool = Spool()
    raws = [spool.raw(record(cost_nusd=1 << i)) for i in range(6)]
    broken = bytearray(raws[1])
    broken[40] ^= 1
    torn = raws[3][: len(raws[3]) // 2]
    got = door.take(spool.place(raws[0] + bytes(broken) + raws[2] + torn + raws[4] + b"\0" * 5000 + raws[5] + b"rest"))
    assert got["damaged"] == 4 and got["refused"] == 0
    assert logged(postgres, database) == (1 + 4 + 16 + 32, "4")
    assert one(postgres, database, "SELECT records, damaged FROM weir.spool") == ("4", "4")


def test_bytes_no_database_takes(postgres, database, door):
    spool = Spool()
    bad = b"a\0b\xff\xfe\xc3(\xe2\x82" + "ü€𝄞".encode()
    door.take(spool.batch(record(
        cost_nusd=3, key=bad, user=bad, team=bad, organization=bad, end_user=bad, project=bad, model=bad, group=bad,
        upstream_model=bad, provider=bad, api_base=bad, response_id=bad, request_id=bad, client_ip=bad, trace_id=bad, user_agent=bad,
        error=bad, key_alias=bad, deployment=bad, tags=[bad, b"\0", "x" * 300])))  # fmt: skip
    row = one(postgres, database, f"SELECT request_id, \"user\", end_user, metadata->>'user_agent', spend FROM {LOGS}")
    text = "a?b??" + "?(??" + "ü€𝄞"
    assert row == (text, text, text, text, "3e-09")
    assert postgres.sql(database, 'SELECT tag FROM "LiteLLM_DailyTagSpend" ORDER BY tag COLLATE "C"') == [
        ("?",), ("User-Agent: " + text,), (text,), ("x" * 300,),
    ]  # fmt: skip


def test_records_that_are_no_usage_are_set_aside(postgres, database, door):
    spool = Spool()
    good = [spool.raw(record(cost_nusd=1 << i)) for i in range(3)]
    odd = [
        spool.raw(b"\xff\xff\xff\xff"), spool.raw(record(), type=9), spool.raw(record(cost_nusd=-1)),
        spool.raw(record(cost_nusd=10**15)), spool.raw(record(usage={"input": 2**63})),
    ]  # fmt: skip
    data = good[0] + odd[0] + odd[1] + good[1] + odd[2] + odd[3] + odd[4] + good[2]
    got = door.take(spool.place(data))
    assert (got["records"], got["refused"], got["damaged"]) == (8, 5, 0)
    kept = postgres.sql(database, "SELECT encode(record, 'hex'), why, \"offset\" FROM weir.spool_refused ORDER BY \"offset\"")
    assert [(r, data.index(bytes.fromhex(r))) for r, _, _ in kept] == [(r.hex(), int(at)) for r, (_, _, at) in zip(odd, kept)]
    assert [w for _, w, _ in kept] == ["not a message", "not usage"] + ["implausible amounts"] * 3
    assert logged(postgres, database) == (7, "3")


def test_what_the_database_refuses_does_not_stop_the_rest(postgres, database, door):
    seed(postgres, database)
    postgres.sql(database, """ALTER TABLE "LiteLLM_SpendLogs" ADD CONSTRAINT no CHECK (model <> 'poison');
                              ALTER TABLE "LiteLLM_DailyTagSpend" ADD CONSTRAINT no CHECK (tag <> 'poison')""")
    spool, records = Spool(), some_records(random.Random(4), 100)
    for i in (0, 13, 14, 99):
        records[i]["upstream_model"] = "poison"
    records[50]["tags"] = ["poison"]
    batches = [spool.batch(*records[i : i + 25]) for i in range(0, 100, 25)]
    got = door.take(*batches)
    assert (got["records"], got["refused"]) == (100, 5)
    good = [r for i, r in enumerate(records) if i not in (0, 13, 14, 50, 99)]
    audit(postgres, database, good)
    assert one(postgres, database, "SELECT count(*), bool_and(why LIKE '%%23514%%') FROM weir.spool_refused") == ("5", "t")
    assert one(postgres, database, "SELECT records, refused FROM weir.spool") == ("100", "5")
    assert door.ask(batches[0])["taken"] == [[1, spool.offset]]


def test_a_database_that_refuses_everything_is_away(postgres, database, door):
    postgres.sql(database, 'ALTER TABLE "LiteLLM_SpendLogs" ADD CONSTRAINT no CHECK (false) NOT VALID')
    spool = Spool()
    b = spool.batch(*(record(cost_nusd=1) for _ in range(100)))
    assert door.ask(b)["error"] == "closed"
    postgres.sql(database, 'ALTER TABLE "LiteLLM_SpendLogs" DROP CONSTRAINT no')
    at = door.ask(b)["taken"]  # what was set aside until then stays so
    rest = {**b, "from": at[0][1], "records": b["records"][2 * at[0][1] :]}
    if rest["records"]:
        door.take(rest)
    n, refused = one(postgres, database, f"SELECT (SELECT count(*) FROM {LOGS}), (SELECT count(*) FROM weir.spool_refused)")
    assert int(n) + int(refused) == 100 and int(refused) <= 64


# --- rows


def test_a_row_as_litellm_fills_it(postgres, database, door):
    rec = record(
        request_id="00000000-0000-0000-0000-00000000abcd", response_id="chatcmpl-1", model="gpt", group="gpt", deployment="dep",
        key="hash", key_alias="mine", user="u", team="t", organization="o", project="p", end_user="e", client_ip="10.1.2.3",
        trace_id="trace", user_agent="curl/8.1", tags=["x", "y"], start_us=us("2026-02-03T04:05:06") + 7999,
        first_us=us("2026-02-03T04:05:06") + 500000, end_us=us("2026-02-03T04:05:08"), overhead_ns=180000, cost_nusd=123456789,
        input_nusd=100000000, cache_read_nusd=456789, output_nusd=23000000, stream=True,
        usage={"input": 10, "cache_read": 5, "cache_write": 3, "output": 7, "reasoning": 2, "seen": True})  # fmt: skip
    door.take(Spool().batch(rec))
    row = json.loads(one(postgres, database, f"SELECT to_jsonb(s) FROM {LOGS} s")[0])
    meta = row.pop("metadata")
    assert row.pop("created_at") and row.pop("updated_at")
    assert row == {
        "request_id": "chatcmpl-1", "call_type": "acompletion", "api_key": "hash", "spend": 0.123456789, "total_tokens": 27,
        "prompt_tokens": 18, "completion_tokens": 9, "startTime": "2026-02-03T04:05:06.007", "endTime": "2026-02-03T04:05:08",
        "completionStartTime": "2026-02-03T04:05:06.5", "model": "gpt-4o", "model_id": "dep", "model_group": "gpt",
        "custom_llm_provider": "openai", "api_base": "https://api.openai.com/v1", "user": "u", "cache_hit": "False",
        "cache_key": "Cache OFF", "request_tags": ["x", "y", "User-Agent: curl", "User-Agent: curl/8.1"], "team_id": "t",
        "end_user": "e", "requester_ip_address": "10.1.2.3", "messages": {}, "response": {}, "proxy_server_request": {},
        "session_id": "trace", "status": "success", "mcp_namespaced_tool_name": None, "organization_id": "o", "agent_id": None,
        "request_duration_ms": 1993, "litellm_call_id": "00000000-0000-0000-0000-00000000abcd", "billing_agent_id": None,
    }  # fmt: skip
    assert meta["user_api_key"] == "hash" and meta["user_api_key_alias"] == "mine" and meta["status"] == "success"
    assert meta["usage_object"]["prompt_tokens_details"] == {"text_tokens": 10, "cached_tokens": 5, "cache_creation_tokens": 3}
    assert meta["additional_usage_values"] == {"cache_read_input_tokens": 5, "cache_creation_input_tokens": 3}
    assert meta["cost_breakdown"]["total_cost"] == 0.123456789 and meta["cost_breakdown"]["input_cost"] == 0.100456789
    assert meta["litellm_overhead_time_ms"] == 0.18 and "error_information" not in meta


def test_failures(postgres, database, door):
    spool = Spool()
    door.take(spool.batch(
        record(response_id="", request_id="c1", error="upstream_status", status=502, upstream_status=429, attempt=1, retried=True),
        record(response_id="", request_id="c1", error="upstream_timeout", status=504, upstream_status=0, attempt=2),
        record(response_id="r", error="client_gone", client_gone=True, status=499, usage={"output": 3}, cost_nusd=9),
        record(response_id="", request_id="c2", error="client_gone", client_gone=True, status=499),
        record(response_id="", request_id="", exchanges=7, cost_nusd=70, key="sum")))  # fmt: skip
    assert postgres.sql(database, f"""SELECT request_id, status, metadata->'error_information'->>'error_code',
        metadata->'error_information'->>'error_class', session_id FROM {LOGS} ORDER BY request_id""")[:4] == [
        ("c1", "failure", "504", "Timeout", "c1"), ("c1-attempt-0", "failure", "429", "RateLimitError", "c1"),
        ("c2", "failure", "499", "APIError", "c2"), ("r", "success", "", "", one(postgres, database, f"SELECT litellm_call_id FROM {LOGS} WHERE request_id = 'r'")[0]),
    ]  # fmt: skip
    assert one(postgres, database, """SELECT sum(api_requests), sum(successful_requests), sum(failed_requests)
        FROM "LiteLLM_DailyUserSpend" WHERE api_key = 'k'""") == ("3", "1", "2")  # fmt: skip
    assert one(postgres, database, "SELECT api_requests FROM \"LiteLLM_DailyUserSpend\" WHERE api_key = 'sum'") == ("7",)
    assert one(postgres, database, "SELECT requests, spend_nusd FROM weir.total WHERE kind = 'key' AND id = 'sum'") == ("7", "70")


def test_an_upstream_that_repeats_its_ids_is_billed(postgres, database, door):
    spool, other = Spool(), Spool()
    at = us("2026-05-05T12:00:00")
    same = [record(response_id="same", cost_nusd=1 << i, start_us=at, end_us=at) for i in range(8)]
    again = {**same[0], "cost_nusd": 1 << 8}  # the same call and attempt as well
    door.take(spool.batch(*same[:3]))
    door.take(spool.batch(*same[3:6]), other.batch(*same[6:], again))
    door.take(other.batch({**again, "cost_nusd": 1 << 9}))
    assert logged(postgres, database, "count(DISTINCT request_id)") == (1023, "10")
    assert one(postgres, database, f"SELECT count(*) FROM {LOGS} WHERE request_id = 'same'") == ("1",)
    assert one(postgres, database, f"SELECT bool_and(starts_with(request_id, 'same')) FROM {LOGS}") == ("t",)


def test_amounts_no_integer_column_holds(postgres, database, door):
    many = 10**12
    door.take(Spool().batch(*(record(usage={"input": many, "output": many}, cost_nusd=10**14) for _ in range(3))))
    assert one(postgres, database, f"SELECT max(prompt_tokens), max(total_tokens), sum(spend) FROM {LOGS}") == (str(2**31 - 1), str(2**31 - 1), "300000")
    assert one(postgres, database, 'SELECT sum(prompt_tokens), sum(spend) FROM "LiteLLM_DailyUserSpend"') == (str(3 * many), "300000")


def test_doubles_stay_the_nearest(postgres, database, door):
    """A thousand additions of what no double holds: LiteLLM's column is as near as a double can be."""
    postgres.sql(database, "INSERT INTO \"LiteLLM_VerificationToken\" (token, spend) VALUES ('k1', 1234.000000001)")
    rng, spool, total = random.Random(11), Spool(), 1234000000001
    for _ in range(40):
        costs = [rng.randrange(1, 10**7) for _ in range(25)]
        total += sum(costs)
        door.take(spool.batch(*(record(key="k1", cost_nusd=c) for c in costs)))
    spend = one(postgres, database, "SELECT spend FROM \"LiteLLM_VerificationToken\" WHERE token = 'k1'")[0]
    assert float(spend) == float(Decimal(total) / 10**9)


@pytest.mark.parametrize("seed_", range(4))
def test_usage_of_any_shape(postgres, database, door, seed_):
    """Tokens and their prices in any mixture, against arithmetic of any precision."""
    rng, spool, records = random.Random(seed_), Spool(), []
    names = ("input", "cache_read", "cache_write", "cache_write_1h", "audio_in", "image_in", "output", "reasoning", "audio_out", "image_out")
    for _ in range(150):
        usage = {k: rng.choice([0, rng.randrange(10), rng.randrange(10**7)]) for k in names}
        usage["tier"] = rng.randrange(4)
        records.append(record(usage=usage, cost_nusd=rng.choice([0, 1, rng.randrange(10**5), rng.randrange(10**13)])))
    door.take(*(spool.batch(*records[i : i + 30]) for i in range(0, 150, 30)))
    rows = {r[0]: r[1:] for r in postgres.sql(database, f"SELECT request_id, prompt_tokens, completion_tokens, total_tokens, spend, metadata FROM {LOGS}")}
    for r in records:
        u = r["usage"]
        prompt, completion = sum(u[k] for k in names[:6]), sum(u[k] for k in names[6:])
        row = rows[r["response_id"]]
        assert tuple(map(int, row[:3])) == (prompt, completion, prompt + completion)
        assert float(row[3]) == float(Decimal(r["cost_nusd"]) / 10**9)
        said = json.loads(row[4])["usage_object"]
        assert (said["prompt_tokens"], said["completion_tokens"]) == (prompt, completion)
        assert said.get("cache_read_input_tokens", 0) == u["cache_read"]
        assert said["completion_tokens_details"].get("reasoning_tokens", 0) == u["reasoning"]
    got = one(postgres, database, """SELECT sum(prompt_tokens), sum(completion_tokens), sum(cache_read_input_tokens),
        sum(cache_creation_input_tokens), sum(spend) FROM "LiteLLM_DailyUserSpend" """)  # fmt: skip
    assert tuple(map(int, got[:4])) == (
        sum(r["usage"][k] for r in records for k in names[:6]), sum(r["usage"][k] for r in records for k in names[6:]),
        sum(r["usage"]["cache_read"] for r in records), sum(r["usage"]["cache_write"] + r["usage"]["cache_write_1h"] for r in records),
    )  # fmt: skip
    assert nusd(got[4]) == sum(r["cost_nusd"] for r in records)


# --- what triggers would do


INDEX = [
    "SELECT at, series, spend, call_id, total_tokens, end_user, request_id, error FROM weir.log ORDER BY request_id",
    "SELECT * FROM weir.log_series ORDER BY id",
    """SELECT hour, day, series, end_user, sum(n), round(sum(spend)::numeric, 9), sum(prompt_tokens), sum(completion_tokens), sum(total_tokens)
       FROM weir.log_delta GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4""",
    """SELECT day, tag, "user", team_id, sum(n), round(sum(spend)::numeric, 9) FROM weir.log_delta_tag GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4""",
]  # fmt: skip


def test_entries_are_what_the_trigger_makes_of_the_rows(postgres, database, door):
    """Of rows in partitions, in the default one, of failures, of names that need quotes, beyond what integers hold."""
    rng, spool = random.Random(16), Spool()
    odd = {"key": 'k"1\\,(', "key_alias": "a, b", "user": "", "team": 't"', "end_user": "é'", "deployment": "d 1", "provider": "", "tags": ["x,y", '"', "\\"]}
    records = some_records(rng, 300) + [
        record(**odd, cost_nusd=3), record(**odd, cost_nusd=4, error="upstream_status", status=502, upstream_status=429),
        record(error="upstream_timeout", status=504, request_id="", response_id="", exchanges=5, cost_nusd=70),
        record(usage={"input": 10**12, "output": 10**12}, cost_nusd=10**14), record(key_alias="alone"),
        *(record(start_us=us(t), end_us=us(t), key="far", cost_nusd=1) for t in ("2001-01-01T00:00:00", "2001-01-01T23:59:59.999", "2090-02-28T01:00:00")),
    ]  # fmt: skip
    door.take(spool.batch(*records[:200]), Spool().batch(*records[200:]))
    made = [postgres.sql(database, q) for q in INDEX]
    assert len(made[0]) == len(records) and one(postgres, database, "SELECT covered_from, failures FROM weir.log_state") == ("infinity", "0")
    assert one(postgres, database, "SELECT count(*) FROM weir.spend_logs_default") == ("3",)
    postgres.sql(database, """BEGIN; TRUNCATE weir.log, weir.log_series, weir.log_delta, weir.log_delta_tag;
                              SELECT weir.log_take('-infinity', 'infinity'); COMMIT""")
    for q, was in zip(INDEX, made):
        assert postgres.sql(database, q) == was, q
    # and whoever takes rows away takes out all of it
    door.take(spool.batch(*some_records(rng, 50)))
    postgres.sql(database, f"DELETE FROM {LOGS}")
    assert one(postgres, database, "SELECT count(*) FROM weir.log") == ("0",)
    for table in ("log_delta", "log_delta_tag"):
        key = "hour, series, end_user" if table == "log_delta" else 'day, tag, "user", team_id'
        left = f"SELECT sum(n) AS n, abs(sum(spend)) < 1e-9 AS ok FROM weir.{table} GROUP BY {key}"
        assert one(postgres, database, f"SELECT bool_and(n = 0 AND ok) FROM ({left}) x") == ("t",), table


def test_the_triggers_are_others_as_before(postgres, database, door):
    """In the session of whoever says nothing, and after those who said something."""
    door.take(Spool().batch(record(cost_nusd=1)))
    postgres.sql(database, f"""BEGIN; SET LOCAL weir.ingest = on; COMMIT;
        INSERT INTO {LOGS} (request_id, call_type, spend, "startTime", "endTime") VALUES ('theirs', 'x', 1, now(), now())""")
    assert one(postgres, database, "SELECT count(*) FROM weir.log WHERE request_id = 'theirs'") == ("1",)


def test_an_entry_that_cannot_be_made_refuses_no_record(postgres, database, door):
    postgres.sql(database, "ALTER TABLE weir.log ADD CONSTRAINT none CHECK (request_id <> 'odd')")
    got = door.take(Spool().batch(*(record(response_id=i, cost_nusd=1) for i in ("even", "odd", "other"))))
    assert (got["records"], got["refused"]) == (3, 0) and logged(postgres, database) == (3, "3")
    assert one(postgres, database, "SELECT covered_from, failures > 0 FROM weir.log_state") == ("infinity", "t")


@pytest.mark.parametrize("kind", ["user", "team", "organization", "customer", "tag"])
def test_late_usage_takes_the_sums_of_its_day_out_of_use(postgres, database, door, kind):
    def days():
        return postgres.sql(database, "SELECT kind, date, is_summed FROM weir.daily_day ORDER BY 1, 2")

    at = us("2026-05-05T12:00:00")
    entity = {"user": {"user": "u"}, "team": {"team": "t"}, "organization": {"organization": "o"}, "customer": {"end_user": "e"}, "tag": {"tags": ["x"]}}
    mine = {"user", "team", kind}  # rows of nobody are rows of these tables
    named = {"user_agent": "", "tags": [], **entity[kind], "start_us": at, "end_us": at, "cost_nusd": 1}
    today = datetime.datetime.now(datetime.timezone.utc)
    door.take(Spool().batch(record(**{**named, "start_us": us(today.strftime("%Y-%m-%dT%H:%M:%S")), "end_us": us(today.strftime("%Y-%m-%dT%H:%M:%S"))})))
    assert days() == []
    door.take(Spool().batch(record(**named)))
    assert days() == sorted((k, "2026-05-05", "f") for k in mine)
    while postgres.sql(database, "SELECT weir.daily_sum_up()") == [("t",)]:
        pass
    assert days() == sorted((k, "2026-05-05", "t") for k in mine)
    door.take(Spool().batch(record(**{**named, "start_us": at + DAY_US, "end_us": at + DAY_US})))
    door.take(Spool().batch(record(**named)))
    assert days() == sorted((k, d, "f") for k in mine for d in ("2026-05-05", "2026-05-06"))
    postgres.sql(database, "UPDATE weir.daily_day SET is_summed = true; UPDATE \"LiteLLM_DailyUserSpend\" SET spend = 2 WHERE date = '2026-05-05'")
    assert ("user", "2026-05-05", "f") in days() and ("user", "2026-05-06", "t") in days()


def test_what_it_writes_goes_to_the_disk_at_once(postgres, database, door):
    """Not all of it at the next checkpoint, which others' commits wait for."""
    postgres.sql(database, f"""CREATE TABLE public.seen (after text);
        CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            INSERT INTO public.seen VALUES (current_setting('backend_flush_after')); RETURN NULL; END $$;
        CREATE TRIGGER see AFTER INSERT ON {LOGS} FOR EACH ROW EXECUTE FUNCTION see()""")
    door.take(Spool().batch(record(cost_nusd=1)))
    assert one(postgres, database, "SELECT after FROM public.seen") == ("512kB",)


# --- days


def test_days_are_utc_days(postgres, database, door):
    """Daylight saving elsewhere, leap days, midnight, years that end: the server's zone is Berlin's."""
    times = [
        "2026-03-28T23:59:59", "2026-03-29T00:59:59", "2026-03-29T01:00:00", "2026-10-25T00:30:00", "2026-10-25T23:59:59",
        "2028-02-28T23:59:59", "2028-02-29T00:00:00", "2028-02-29T23:59:59", "2028-03-01T00:00:00", "2026-12-31T23:59:59",
        "2027-01-01T00:00:00", "2000-02-29T12:00:00", "2100-02-28T23:59:59", "2100-03-01T00:00:00",
    ]  # fmt: skip
    spool = Spool()
    records = [record(start_us=us(t) + 999999, end_us=us(t) + 2999999, cost_nusd=1 << i, key=t) for i, t in enumerate(times)]
    door.take(spool.batch(*records))
    assert sorted(postgres.sql(database, 'SELECT api_key, date FROM "LiteLLM_DailyUserSpend"')) == sorted((t, t[:10]) for t in times)
    assert sorted(postgres.sql(database, f'SELECT api_key, to_char("startTime", \'YYYY-MM-DD"T"HH24:MI:SS\') FROM {LOGS}')) == sorted((t, t) for t in times)


def test_partitions(postgres, database, door):
    today = datetime.datetime.now(datetime.timezone.utc).replace(hour=12, minute=0, second=0, microsecond=0, tzinfo=None)
    spool = Spool()
    ago = [0, 1, 30, 399, 500, 9000, -3, -40]
    at = {d: us((today - datetime.timedelta(days=d)).isoformat()) for d in ago}
    door.take(spool.batch(*(record(start_us=at[d], end_us=at[d], cost_nusd=1, response_id=f"r{d}") for d in ago)))
    got = dict(postgres.sql(database, f"SELECT request_id, c.relname FROM {LOGS} s JOIN pg_class c ON c.oid = s.tableoid"))
    for d in ago:
        day = (today - datetime.timedelta(days=d)).strftime("%Y%m%d")
        expected = f"spend_logs_{day}" if -7 <= d <= 400 else "spend_logs_default"
        assert got[f"r{d}"] == expected, d
    # a partition that comes later takes its rows along
    assert one(postgres, database, "SELECT weir.spend_partition(%s::date)", (today - datetime.timedelta(days=500)).date()) == ("t",)
    assert one(postgres, database, f"SELECT tableoid::regclass::text LIKE '%%spend_logs_2%%' FROM {LOGS} WHERE request_id = 'r500'") == ("t",)
    # clocks that are wrong: the record's day is when it came, or the end's
    door.take(spool.batch(record(start_us=0, end_us=0, response_id="zero", cost_nusd=1), record(start_us=-5, end_us=at[1], response_id="end", cost_nusd=1),
                          record(start_us=2**62, end_us=2**62, response_id="far", cost_nusd=1)))  # fmt: skip
    assert {r for (r,) in postgres.sql(database, f"SELECT request_id FROM {LOGS} WHERE \"startTime\" > now() AT TIME ZONE 'UTC' - interval '1 minute'"
                                                 f" AND \"startTime\" < now() AT TIME ZONE 'UTC' + interval '1 minute'")} >= {"zero", "far"}  # fmt: skip
    # LiteLLM's views and lookups
    assert one(postgres, database, 'SELECT count(*) > 0 FROM "MonthlyGlobalSpend"') == ("t",)
    assert one(postgres, database, f"SELECT count(*) FROM {LOGS} WHERE request_id = 'r30'") == ("1",)


def test_a_database_of_litellms(postgres, database):
    """Not by day: the table stays as it is, ids are unique by its primary key."""
    postgres.sql(database, """
        CREATE TABLE public.plain (LIKE "LiteLLM_SpendLogs" INCLUDING DEFAULTS, PRIMARY KEY (request_id));
        DROP TABLE "LiteLLM_SpendLogs" CASCADE; ALTER TABLE public.plain RENAME TO "LiteLLM_SpendLogs";
        ALTER TABLE "LiteLLM_SpendLogs" DROP COLUMN litellm_call_id, DROP COLUMN organization_id;
        DROP TABLE "LiteLLM_DailyGlobalSpend", "LiteLLM_DailyModelUsage";
        ALTER TABLE "LiteLLM_DailyUserSpend" DROP COLUMN endpoint, DROP COLUMN timed_requests;
        CREATE UNIQUE INDEX u ON "LiteLLM_DailyUserSpend" (user_id, date, api_key, model, custom_llm_provider, mcp_namespaced_tool_name);
        ALTER TABLE "LiteLLM_VerificationToken" DROP COLUMN total_spend CASCADE;
        INSERT INTO "LiteLLM_VerificationToken" (token) VALUES ('k')""")
    with Door(database) as door:
        spool = Spool()
        at = us("2026-05-05T12:00:00")
        door.take(spool.batch(record(response_id="same", cost_nusd=1, start_us=at, api=0), record(cost_nusd=2, start_us=at, api=6)))
        door.take(spool.batch(record(response_id="same", cost_nusd=4, start_us=at + 3 * DAY_US, end_us=at + 3 * DAY_US)))
    assert logged(postgres, database) == (7, "3")
    assert one(postgres, database, "SELECT spend FROM \"LiteLLM_VerificationToken\" WHERE token = 'k'") == ("7e-09",)
    assert postgres.sql(database, 'SELECT date, api_requests FROM "LiteLLM_DailyUserSpend" ORDER BY 1') == [("2026-05-05", "2"), ("2026-05-08", "1")]


def test_without_tags_of_user_agents(postgres, database):
    with Door(database, agent_tags=False) as door:
        door.take(Spool().batch(record(user_agent="curl/8", tags=["x", "x", ""])))
    assert postgres.sql(database, 'SELECT tag FROM "LiteLLM_DailyTagSpend"') == [("x",)]

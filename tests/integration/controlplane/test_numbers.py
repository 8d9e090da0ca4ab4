"""Daily activity says what SQL says of the raw rows: from records through ingest to each route, without a look at what is
summed up in between."""

import random
import time

import pytest
from support.spool import Door, Spool

from test_ingest import seed, some_records, us

DAYS = ("2026-02-28", "2026-03-03")  # over the end of a month that might have had a leap day
KINDS = {"user": '"user"', "team": "team_id", "organization": "organization_id", "customer": "end_user", "tag": None}
FINAL = "NOT coalesce((metadata->'weir'->>'retried')::bool, false)"
METRICS = {
    "spend": "sum(round(spend::numeric, 9))", "prompt_tokens": "sum(prompt_tokens)", "completion_tokens": "sum(completion_tokens)",
    "total_tokens": "sum(total_tokens)", "api_requests": f"count(*) FILTER (WHERE {FINAL})",
    "failed_requests": f"count(*) FILTER (WHERE status = 'failure' AND {FINAL})",
    "successful_requests": f"count(*) FILTER (WHERE status = 'success' AND {FINAL})",
    "cache_read_input_tokens": "sum(coalesce((metadata->'additional_usage_values'->>'cache_read_input_tokens')::bigint, 0))",
    "cache_creation_input_tokens": "sum(coalesce((metadata->'additional_usage_values'->>'cache_creation_input_tokens')::bigint, 0))",
}  # fmt: skip


@pytest.fixture(scope="module")
def filled(cp, postgres):
    seed(postgres, cp.database)
    records = some_records(random.Random(11), 600, us(f"{DAYS[0]}T06:00:00"), 3 * 86400 * 1000000)
    spool = Spool()
    with Door(cp.database) as door:
        for i in range(0, 600, 100):
            door.take(spool.batch(*records[i : i + 100]))
    return cp


def raw(postgres, cp, of, where, *by):
    """Metrics of the rows by these columns; of a tag's, each row once for each of its tags."""
    tags = ", jsonb_array_elements_text(request_tags) AS t(tag)" if of is None else ""
    rows = postgres.sql(cp.database, f"""SELECT {", ".join([*by, *METRICS.values()])} FROM "LiteLLM_SpendLogs"{tags}
        WHERE "startTime" >= '{DAYS[0]}' AND "startTime" < '{DAYS[1]}'::date + 1 AND {where} GROUP BY {", ".join(map(str, range(1, len(by) + 1)))}""")  # fmt: skip
    return {tuple(r[: len(by)]): dict(zip(METRICS, map(float, r[len(by) :]))) for r in rows}


def said(metrics):
    return {k: float(metrics[k]) for k in METRICS}


def same(got, want, what):
    assert want and got.keys() == want.keys(), (what, got.keys() ^ want.keys())
    for k in want:
        assert got[k] == pytest.approx(want[k], abs=1e-9, rel=0), (what, k)


@pytest.mark.parametrize("kind", KINDS)
def test_daily_activity_is_the_sum_of_the_rows(filled, postgres, kind):
    cp, of = filled, KINDS[kind]
    entity = of or "tag"
    where = f"{entity} <> ''" if kind not in ("user", "team") else "true"
    reply = cp.get(f"/{kind}/daily/activity/aggregated?start_date={DAYS[0]}&end_date={DAYS[1]}")
    assert reply.status == 200, reply.body
    days = reply.json["results"]
    date = """to_char("startTime", 'YYYY-MM-DD')"""
    if kind != "tag":  # of tags a row of two would count twice
        same({(d["date"],): said(d["metrics"]) for d in days}, raw(postgres, cp, of, where, date), f"{kind} by day")
    for part, column in (("entities", entity), ("api_keys", "api_key"), ("models", "model")):
        if kind == "tag" and part != "entities":
            continue
        got = {(d["date"], k): said(v["metrics"]) for d in days for k, v in d["breakdown"][part].items() if k not in ("unattributed", "Unassigned")}
        want = {k: v for k, v in raw(postgres, cp, of, where, date, column).items() if k[1]}
        got = {k: v for k, v in got.items() if k[1]}
        same(got, want, f"{kind} by day and {part}")
    if kind == "user":
        total = raw(postgres, cp, of, where, "'all'")[("all",)]
        meta = reply.json["metadata"]
        assert {k: float(meta[f"total_{k}" if not k.startswith("total") else k]) for k in ("spend", "api_requests", "failed_requests")} == pytest.approx(
            {k: total[k] for k in ("spend", "api_requests", "failed_requests")}, abs=1e-9)  # fmt: skip


def test_global_activity_is_the_sum_of_the_rows(filled, postgres):
    cp = filled
    settled = "SELECT covered_from = '-infinity' AND NOT EXISTS (SELECT FROM weir.log_delta) FROM weir.log_state"
    end = time.monotonic() + 10
    while postgres.sql(cp.database, settled) != [("t",)]:
        assert time.monotonic() < end
        time.sleep(0.1)
    reply = cp.get(f"/global/activity?start_date={DAYS[0]}&end_date={DAYS[1]}")
    assert reply.status == 200, reply.body
    rows = postgres.sql(cp.database, f"""SELECT count(*), sum(total_tokens) FROM "LiteLLM_SpendLogs" WHERE "startTime" >= '{DAYS[0]}'
        AND "startTime" < '{DAYS[1]}'::date + 1""")  # fmt: skip
    assert (str(reply.json["sum_api_requests"]), str(reply.json["sum_total_tokens"])) == rows[0]

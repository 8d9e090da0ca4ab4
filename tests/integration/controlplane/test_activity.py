"""/<kind>/daily/activity and what lies below: numbers counted by hand, who sees them, pages, days, files."""

import csv
import datetime
import io
import subprocess
from decimal import Decimal
from urllib.parse import urlencode

import pytest
from support.ledger import Ledger
from support.tenants import sha256

DAYS = {"start_date": "2026-01-01", "end_date": "2026-01-03"}
ZERO = {
    "spend": 0.0, "flat_cost": 0.0, "ptu_hours": 0.0, "prompt_tokens": 0, "completion_tokens": 0, "cache_read_input_tokens": 0,
    "cache_creation_input_tokens": 0, "compression_saved_tokens": 0, "compression_savings_spend": 0.0,
    "prompt_caching_savings_spend": 0.0, "gateway_injected_caching_savings_spend": 0.0, "autorouter_savings_spend": 0.0,
    "total_tokens": 0, "successful_requests": 0, "failed_requests": 0, "api_requests": 0, "total_response_time_ms": 0,
    "timed_requests": 0,
}  # fmt: skip
KINDS = ("user", "team", "organization", "customer", "tag", "agent")
OF = {"user": "user_id", "team": "team_ids", "organization": "organization_ids", "customer": "end_user_ids", "end_user": "end_user_ids",
      "tag": "tags", "agent": "agent_ids"}  # fmt: skip
ENTITIES = {"user": ("ann", "bob"), "team": ("red", "blue"), "organization": ("one", "two")}


def get(cp, path, key=..., **query):
    return cp.get(path + "?" + urlencode({**DAYS, **query}), **({} if key is ... else {"key": key}))


def metrics(**some):
    return {**ZERO, **some, "total_tokens": some.get("prompt_tokens", 0) + some.get("completion_tokens", 0)}


@pytest.fixture(scope="module")
def keys(tenants):
    """Two keys with aliases, ann's and bob's of team red, and one that was deleted."""
    a, b = (tenants.make_key(user_id=u, team_id="red", key_alias=f"of-{u}") for u in ("ann", "bob"))
    tenants._sql("""INSERT INTO "LiteLLM_DeletedVerificationToken" (id, token, key_alias, team_id, user_id, deleted_at)
                    VALUES ('d1', 'gone', 'older', 'red', 'ann', '2026-01-01'), ('d2', 'gone', 'of-gone', 'red', 'ann', '2026-01-02');
                    UPDATE "LiteLLM_UserTable" SET user_email = user_id || '@example.com', user_alias = 'A' WHERE user_id = 'ann';
                    UPDATE "LiteLLM_TeamTable" SET team_alias = 'Red' WHERE team_id = 'red';
                    INSERT INTO "LiteLLM_EndUserTable" (user_id, alias, blocked) VALUES ('cus', 'Cus', false)""")  # fmt: skip
    return {"ann": sha256(a), "bob": sha256(b), "gone": "gone"}


@pytest.fixture
def ledger(cp, postgres):
    ledger = Ledger(postgres, cp.database)
    yield ledger
    ledger.clear()


# --- numbers


def fill(ledger, kind, keys):
    one, two = ENTITIES.get(kind, ("x", "y"))
    ledger.add(kind, one, "2026-01-01", keys["ann"], spend=0.1, prompt_tokens=7, completion_tokens=2, cache_read_input_tokens=5)
    ledger.add(kind, one, "2026-01-01", keys["ann"], model="m-2", model_group="", spend=0.2, prompt_tokens=1, completion_tokens=1,
               api_requests=3, successful_requests=1, failed_requests=2)  # fmt: skip
    ledger.add(kind, two, "2026-01-01", keys["bob"], spend=0.4, custom_llm_provider="", endpoint="", total_response_time_ms=9, timed_requests=1)
    ledger.add(kind, two, "2026-01-03", "", model="", model_group="", spend=0.8, mcp_namespaced_tool_name="mcp-x",
               compression_saved_tokens=4, compression_savings_spend=0.001)  # fmt: skip
    ledger.add(kind, one, "2025-12-31", keys["ann"], spend=1000)
    ledger.add(kind, one, "2026-01-04", keys["ann"], spend=1000)
    return one, two


def check_numbers(body, keys, one, two):
    later, first = body["results"]
    assert (first["date"], later["date"]) == ("2026-01-01", "2026-01-03")
    row_1 = metrics(spend=0.1, prompt_tokens=7, completion_tokens=2, cache_read_input_tokens=5, api_requests=1, successful_requests=1)
    row_2 = metrics(spend=0.2, prompt_tokens=1, completion_tokens=1, api_requests=3, successful_requests=1, failed_requests=2)
    row_3 = metrics(spend=0.4, prompt_tokens=10, completion_tokens=5, api_requests=1, successful_requests=1, total_response_time_ms=9, timed_requests=1)
    of_ann = metrics(spend=0.3, prompt_tokens=8, completion_tokens=3, cache_read_input_tokens=5, api_requests=4, successful_requests=2, failed_requests=2)
    day = metrics(spend=0.7, prompt_tokens=18, completion_tokens=8, cache_read_input_tokens=5, api_requests=5, successful_requests=3,
                  failed_requests=2, total_response_time_ms=9, timed_requests=1)  # fmt: skip
    assert first["metrics"] == day
    b, ann, bob = first["breakdown"], keys["ann"], keys["bob"]
    assert {k: v["metrics"] for k, v in b["api_keys"].items()} == {ann: of_ann, bob: row_3}
    assert b["api_keys"][ann]["metadata"] == {"key_alias": "of-ann", "team_id": "red", "user_id": "ann", "user_email": "ann@example.com",
                                              "key_exists": True}  # fmt: skip
    m_1 = {k: row_1[k] + row_3[k] for k in row_1}
    assert set(b["models"]) == {"m-1", "m-2"} and b["models"]["m-2"]["metrics"] == row_2
    assert b["models"]["m-1"]["metrics"] == pytest.approx(m_1)
    assert {k: v["metrics"] for k, v in b["models"]["m-1"]["api_key_breakdown"].items()} == {ann: row_1, bob: row_3}
    assert set(b["model_groups"]) == {"m", "m-2"}  # without a group it is the model
    assert {k: v["metrics"]["spend"] for k, v in b["providers"].items()} == {"openai": 0.3, "unknown": 0.4}
    assert {k: v["metrics"]["spend"] for k, v in b["endpoints"].items()} == {"/chat/completions": 0.3}
    assert {k: v["metrics"] for k, v in b["entities"].items()} == {one: of_ann, two: row_3}
    assert {k: v["metrics"] for k, v in b["entities"][one]["api_key_breakdown"].items()} == {ann: of_ann}
    assert b["mcp_servers"] == b["guardrails"] == {}
    b = later["breakdown"]
    assert set(b["api_keys"]) == {"unattributed"} and b["api_keys"]["unattributed"]["metadata"]["key_alias"] == "Unattributed"
    assert set(b["models"]) == {"unknown-model"} and set(b["model_groups"]) == {"unknown-model-group"}
    assert b["mcp_servers"]["mcp-x"]["metrics"]["compression_savings_spend"] == 0.001
    total = body["metadata"]
    assert (total["total_spend"], total["total_tokens"], total["total_api_requests"], total["total_failed_requests"]) == (1.5, 41, 6, 2)
    assert (total["total_compression_saved_tokens"], total["total_response_time_ms"], total["total_flat_cost"]) == (4, 9, 0.0)


@pytest.mark.parametrize("summed", [False, True], ids=["live", "summed"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("below", ["", "/aggregated"])
def test_numbers_are_those_of_the_rows(cp, ledger, keys, kind, below, summed):
    one, two = fill(ledger, kind, keys)
    if summed:
        assert ledger.sum_up() >= {(kind, "2026-01-01"), (kind, "2026-01-03")}
    reply = get(cp, f"/{kind}/daily/activity{below}")
    assert reply.status == 200, reply.body
    check_numbers(reply.json, keys, one, two)
    meta = reply.json["metadata"]
    assert (meta["page"], meta["total_pages"], meta["has_more"]) == (1, 1, False)
    if below:
        assert (meta["api_key_limit"], meta["total_api_keys"], meta["entity_total_api_keys"]) == (100, 3, {one: 1, two: 2})


# --- sums of days that are over


SUMMED = ["", "/aggregated", "/aggregated/keys", "/aggregated/users", "/aggregated/cache_leakage_keys", "/aggregated?api_key_limit=1",
          "/aggregated?model=m-2", "/aggregated?user_id=ann", "/aggregated?api_key=unattributed", "/aggregated/search?search=of-",
          "/aggregated/model_top_keys?model_group=m", "/export?export_type=daily&format=json", "?page_size=2&page=2",
          "/aggregated/keys?limit=1&offset=7"]  # fmt: skip


def reports(cp):
    return [(r := cp.get(f"/user/daily/activity{below}{'&' if '?' in below else '?'}{urlencode(DAYS)}")).status == 200 and r.json for below in SUMMED]


def without_sums(cp, ledger):
    """What the reports say when they read rows alone."""
    assert ledger.sql("BEGIN; CREATE TABLE weir.kept AS TABLE weir.daily_day; TRUNCATE weir.daily_day; COMMIT") == []
    said = reports(cp)
    ledger.sql("""BEGIN; TRUNCATE weir.daily_day; -- the job may have been there meanwhile
                  INSERT INTO weir.daily_day TABLE weir.kept; DROP TABLE weir.kept; COMMIT""")
    return said


def test_who_changes_a_summed_day_is_seen_at_once_and_after(cp, ledger, keys):
    fill(ledger, "user", keys)
    ledger.sum_up()
    for change in (
        "UPDATE {} SET spend = spend * 2, prompt_tokens = 77 WHERE date = '2026-01-01'",
        "UPDATE {} SET date = '2026-01-02' WHERE date = '2026-01-03'", "UPDATE {} SET date = '2026-01-03' WHERE date = '2026-01-01'",
        "DELETE FROM {} WHERE date = '2026-01-03' AND model = 'm-2'", "DELETE FROM {} WHERE date = '2026-01-03'",
        "INSERT INTO {} (id, user_id, date, api_key, model, spend, updated_at) VALUES ('late', 'ann', '2026-01-01', 'k', 'm-9', 4, now())",
        """INSERT INTO {} (id, user_id, date, api_key, model, spend, updated_at) VALUES ('late', 'ann', '2026-01-01', 'k', 'm-9', 4, now())
           ON CONFLICT (id) DO UPDATE SET spend = 5""",
    ):  # fmt: skip
        before = reports(cp)
        ledger.sql(change.format('"LiteLLM_DailyUserSpend"'))
        at_once = reports(cp)
        assert at_once == without_sums(cp, ledger) != before
        ledger.sum_up()
        assert reports(cp) == at_once
    ledger.clear()
    assert reports(cp)[1]["results"] == []


def test_a_day_is_summed_up_when_it_is_over(ledger, keys):
    today = datetime.datetime.now(datetime.timezone.utc).date()
    for date in (today, today - datetime.timedelta(days=2)):
        ledger.add("user", "ann", date.isoformat(), keys["ann"])
    over = (today - datetime.timedelta(days=2)).isoformat()
    assert [d for d in ledger.sum_up() if d[1] >= over] == [("user", over)]
    assert ledger.sql("SELECT count(*) FROM weir.daily_day WHERE date >= %s", today.isoformat()) == [("0",)]


def test_a_day_somebody_writes_to_is_summed_up_behind_them(cp, ledger, keys):
    ledger.add("user", "ann", "2026-01-01", keys["ann"], spend=1)
    ledger.sum_up()
    ledger.sql("UPDATE weir.daily_day SET is_summed = false WHERE kind = 'user' AND date = '2026-01-01'")
    psql = ["psql", "-X", "-q", "-A", "-t", "-d", cp.database]
    with subprocess.Popen(psql, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        writer.stdin.write("""BEGIN; UPDATE "LiteLLM_DailyUserSpend" SET spend = 2; SELECT 'written';\n""")
        writer.stdin.flush()
        assert writer.stdout.readline() == "written\n"
        with subprocess.Popen([*psql, "-c", "SELECT weir.daily_sum_up()"], stdout=subprocess.PIPE) as job:
            try:
                cp.wait(lambda: ledger.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                                           " AND query LIKE 'SELECT weir.daily_sum_up%'") == [("1",)], what="the job waits")  # fmt: skip
            finally:
                writer.communicate("COMMIT;\n", timeout=20)
    assert ledger.sql("SELECT spend FROM weir.daily_sum WHERE kind = 'user' AND date = '2026-01-01'") == [("2",)] * 3


def test_the_alias_of_customers_has_the_same(cp, ledger, keys):
    fill(ledger, "customer", keys)
    for below in ("", "/aggregated", "/aggregated/keys", "/export"):
        assert get(cp, f"/end_user/daily/activity{below}").body == get(cp, f"/customer/daily/activity{below}").body


def test_objects_are_named(cp, ledger, keys):
    for kind, entity, known in [
        ("user", "ann", {"user_email": "ann@example.com", "user_alias": "A"}), ("team", "red", {"team_alias": "Red"}),
        ("organization", "one", {"organization_alias": "One"}), ("customer", "cus", {"alias": "Cus"}), ("tag", "t", {}),
        ("team", "unknown", {}),
    ]:  # fmt: skip
        ledger.add(kind, entity, "2026-01-01", keys["ann"])
        for below in ("", "/aggregated"):
            day = get(cp, f"/{kind}/daily/activity{below}").json["results"][0]
            assert day["breakdown"]["entities"][entity]["metadata"] == known
    ledger.add("team", "", "2026-01-02", keys["ann"])
    ledger.add("team", None, "2026-01-02", keys["ann"], model="other")
    for below in ("", "/aggregated"):
        day = get(cp, f"/team/daily/activity{below}").json["results"][0]
        assert {k: v["metrics"]["api_requests"] for k, v in day["breakdown"]["entities"].items()} == {"Unassigned": 2}


def test_keys_that_are_gone_are_known(cp, ledger, keys):
    ledger.add("user", "zoe", "2026-01-01", "lost")
    ledger.add("user", "zoe", "2026-01-01", "gone")
    ledger.add("user", "", "2026-01-01", "raw:odd")
    for below in ("", "/aggregated"):
        of = get(cp, f"/user/daily/activity{below}").json["results"][0]["breakdown"]["api_keys"]
        assert of["gone"]["metadata"] == {"key_alias": "of-gone", "team_id": "red", "user_id": "ann", "user_email": "ann@example.com",
                                          "key_exists": False}  # fmt: skip
        assert (of["lost"]["metadata"]["user_id"], of["lost"]["metadata"]["key_alias"]) == ("zoe", None)
        assert set(of) == {"gone", "lost", "raw:raw:odd"}


# --- filters and days


def test_filters(cp, ledger, keys):
    fill(ledger, "team", keys)

    def spend(**query):
        paged, all_ = (get(cp, f"/team/daily/activity{below}", **query).json["metadata"]["total_spend"] for below in ("", "/aggregated"))
        assert paged == all_
        return paged

    assert spend() == 1.5
    assert spend(team_ids="red") == 0.3 and spend(team_ids="red,blue") == 1.5 and spend(team_ids="none") == 0
    assert spend(exclude_team_ids="red") == 1.2 and spend(exclude_team_ids="red,blue") == 0 and spend(team_ids="red", exclude_team_ids="red") == 0
    assert spend(model="m-2") == 0.2 and spend(model="unknown-model") == 0.8
    assert spend(api_key=keys["bob"]) == 0.4 and spend(api_key="unattributed") == 0.8 and spend(api_key="none") == 0
    assert spend(team_ids="", model="", api_key="") == 1.5
    assert spend(start_date="2026-01-02") == 0.8 and spend(start_date="2025-12-31", end_date="2026-01-04") == 2001.5


@pytest.mark.parametrize("kind", KINDS)
def test_days_that_are_none(cp, kind):
    missing = "Please provide start_date and end_date"
    invalid = "start_date and end_date must be valid YYYY-MM-DD dates"
    for below in ("", "/aggregated", "/aggregated/keys", "/export"):
        path = f"/{kind}/daily/activity{below}"
        for query, text in [
            ("", missing), ("start_date=2026-01-01", missing), ("end_date=2026-01-01", missing),
            ("start_date=&end_date=2026-01-01", invalid), ("start_date=2026-1-1&end_date=2026-01-02", invalid),
            ("start_date=2026-01-01&end_date=2026-02-29", invalid), ("start_date=20260101&end_date=20260102", invalid),
            ("start_date=2026-01-02&end_date=2026-01-01", "end_date must be on or after start_date"),
        ]:  # fmt: skip
            reply = cp.get(f"{path}?{query}")
            assert (reply.status, reply.json) == (400, {"detail": {"error": text}})
        reply = get(cp, path, start_date="2026-01-01", end_date="2027-02-06")
        assert reply.status == (400 if below else 200)
        assert get(cp, path, start_date="2026-01-01", end_date="2027-02-05").status == 200


def test_a_range_that_ends_today_takes_in_the_day_of_utc(cp, ledger, keys):
    now = datetime.datetime.now(datetime.UTC)
    today, before = (now - datetime.timedelta(days=d) for d in (0, 1))
    ledger.add("user", "ann", f"{before:%Y-%m-%d}", keys["ann"], spend=1)
    ledger.add("user", "ann", f"{today:%Y-%m-%d}", keys["ann"], spend=2)
    west = now.hour * 60 + now.minute + 1  # where the day before is not over
    for below in ("", "/aggregated"):

        def spend(below=below, **query):
            range_ = {"start_date": f"{before:%Y-%m-%d}", "end_date": f"{before:%Y-%m-%d}", **query}
            return get(cp, f"/user/daily/activity{below}", **range_).json["metadata"]["total_spend"]

        assert spend() == spend(timezone=west) == spend(include_current_utc_day="true") == 1
        assert spend(timezone=west, include_current_utc_day="true") == 3
        assert spend(timezone=0, include_current_utc_day="true") == 1  # their today is UTC's: the range is past
        assert spend(timezone=0, include_current_utc_day="true", end_date=f"{today:%Y-%m-%d}") == 3
    assert get(cp, "/user/daily/activity", timezone="x").status == 422


# --- pages


def test_pages_are_of_rows(cp, ledger, keys):
    for day in (1, 2, 3):
        for i in range(5):
            ledger.add("team", "red", f"2026-01-0{day}", keys["ann"], model=f"m-{day}-{i}", spend=1)
    seen = []
    for page in range(1, 6):
        body = get(cp, "/team/daily/activity", page=page, page_size=3).json
        seen += [m for d in body["results"] for m in d["breakdown"]["models"]]
        meta = body["metadata"]
        assert (meta["page"], meta["total_pages"], meta["has_more"], meta["total_spend"]) == (page, 5, page < 5, 3)
    assert len(set(seen)) == 15 and [m[2] for m in seen] == ["3"] * 5 + ["2"] * 5 + ["1"] * 5
    assert len(get(cp, "/team/daily/activity").json["results"]) == 2  # ten rows
    for page in (6, 10**6, 2**50):
        body = get(cp, "/team/daily/activity", page=page, page_size=3).json
        assert (body["results"], body["metadata"]["total_pages"], body["metadata"]["has_more"]) == ([], 5, False)


def test_pages_that_cannot_be(cp):
    for query, text in [
        ({"page": 0}, "page and page_size must be >= 1, got page=0, page_size=10"),
        ({"page_size": -1}, "page and page_size must be >= 1, got page=1, page_size=-1"),
        ({"page_size": 5001}, "page_size must be <= 5000, got page_size=5001"),
    ]:  # fmt: skip
        reply = get(cp, "/team/daily/activity", **query)
        assert (reply.status, reply.json) == (400, {"detail": text})
    for query in ({"page": 0}, {"page_size": 1001}, {"page_size": 0}, {"page": "x"}):
        assert get(cp, "/user/daily/activity", **query).status == 422
    for limit in (0, 1001):
        assert get(cp, "/team/daily/activity/aggregated", api_key_limit=limit).status == 422


def test_only_keys_of_most_spend_are_listed_and_all_counted(cp, ledger):
    for day in range(1, 29):  # several slices
        for i in range(5):
            ledger.add("user", f"u{i}", f"2026-01-{day:02}", f"key-{i}", spend=i + 1)
    body = get(cp, "/user/daily/activity/aggregated", end_date="2026-01-28", api_key_limit=2).json
    assert [d["date"] for d in body["results"]] == [f"2026-01-{d:02}" for d in range(28, 0, -1)]
    for day in body["results"]:
        assert set(day["breakdown"]["api_keys"]) == {"key-4", "key-3"} and day["metrics"]["spend"] == 15
        assert set(day["breakdown"]["entities"]) == {f"u{i}" for i in range(5)}
        assert set(day["breakdown"]["entities"]["u4"]["api_key_breakdown"]) == {"key-4"}
        assert day["breakdown"]["entities"]["u0"]["api_key_breakdown"] == {}
    meta = body["metadata"]
    assert (meta["total_spend"], meta["total_api_keys"], meta["api_key_limit"]) == (28 * 15, 5, 2)
    assert meta["entity_total_api_keys"] == {f"u{i}": 1 for i in range(5)}


# --- who


def visible(cp, tenants, path, who, **query):
    """The entities somebody reads, or how they are refused."""
    reply = get(cp, path, key=tenants.keys[who], **query)
    if reply.status != 200:
        return reply.status, reply.json.get("detail", {}).get("error") if isinstance(reply.json.get("detail"), dict) else None
    return {e for d in reply.json["results"] for e in d["breakdown"]["entities"]}


@pytest.mark.parametrize("below", ["", "/aggregated"])
def test_users_see_themselves(cp, tenants, ledger, keys, below):
    path = f"/user/daily/activity{below}"
    for user in ("ann", "bob", "zoe"):
        ledger.add("user", user, "2026-01-01", keys["ann"])
    for who in ("master", "root", "vera"):
        assert visible(cp, tenants, path, who) == {"ann", "bob", "zoe"} and visible(cp, tenants, path, who, user_id="bob") == {"bob"}
    for who in ("ann", "bob", "zoe"):
        assert visible(cp, tenants, path, who) == visible(cp, tenants, path, who, user_id=who) == {who}
    assert visible(cp, tenants, path, "ivy") == visible(cp, tenants, path, "ines") == set()
    assert visible(cp, tenants, path, "ann", user_id="bob") == (403, "Non-admin users can only view their own spend data.")
    assert visible(cp, tenants, path, "olga", user_id="bob")[0] == 403
    status, text = visible(cp, tenants, path, "nobody")
    assert status == 403 and text.startswith("Service-account keys cannot query user analytics.")


@pytest.mark.parametrize("below", ["", "/aggregated", "/aggregated/keys", "/export"])
def test_teams_are_for_their_members(cp, tenants, ledger, keys, below):
    path = f"/team/daily/activity{below}"
    ledger.add("team", "red", "2026-01-01", keys["ann"], spend=1)
    ledger.add("team", "red", "2026-01-01", keys["bob"], spend=2)
    ledger.add("team", "blue", "2026-01-01", "other", spend=4)

    def spend(who, **query):
        reply = get(cp, path, key=tenants.keys[who], **({"format": "json"} if below == "/export" else {}), **query)
        if reply.status != 200:
            return reply.status, reply.json["detail"]["error"]
        if below == "/export":
            return sum(row["spend"] for row in reply.json)
        if below == "/aggregated/keys":
            return sum(row["metrics"]["spend"] for row in reply.json["api_keys"])
        return reply.json["metadata"]["total_spend"]

    assert spend("master") == spend("root") == spend("vera") == 7 and spend("vera", team_ids="blue") == 4
    assert spend("ann") == spend("ann", team_ids="red") == 3  # its admin: all of it
    assert spend("bob") == spend("bob", team_ids="red") == 2  # a member: what their own keys spent
    assert spend("bob", api_key=keys["bob"]) == 2 and spend("bob", api_key=keys["ann"]) == 0
    assert spend("zoe") == 4 and spend("ivy") == spend("ines") == 0
    for who in ("zoe", "ivy", "ines", "olga"):
        for team in ("red", "none"):
            assert spend(who, team_ids=team) == (404, f"User does not belong to Team= {team}. Call `/user/info` to see user's teams")
    assert spend("zoe", team_ids="blue,red")[0] == 404
    assert spend("nobody") == (404, "User= None not found")
    tenants._sql("""UPDATE "LiteLLM_TeamTable" SET team_member_permissions = '{/team/daily/activity}' WHERE team_id = 'red'""")
    assert spend("bob") == 3
    tenants._sql("""UPDATE "LiteLLM_TeamTable" SET team_member_permissions = '{}' WHERE team_id = 'red'""")


@pytest.mark.parametrize("below", ["", "/aggregated"])
def test_organizations_are_for_their_admins(cp, tenants, ledger, keys, below):
    path = f"/organization/daily/activity{below}"
    for organization in ("one", "two"):
        ledger.add("organization", organization, "2026-01-01", keys["ann"])
    assert visible(cp, tenants, path, "root") == visible(cp, tenants, path, "vera") == {"one", "two"}
    assert visible(cp, tenants, path, "olga") == visible(cp, tenants, path, "olga", organization_ids="one") == {"one"}
    for who in ("ann", "ivy", "nobody"):
        assert visible(cp, tenants, path, who) == set()
        for organization in ("one", "none"):
            assert visible(cp, tenants, path, who, organization_ids=organization) == (
                403, f"User is not org_admin for Organization= {organization}.")  # fmt: skip
    assert visible(cp, tenants, path, "olga", organization_ids="one,two")[0] == 403


@pytest.mark.parametrize("below", ["", "/aggregated"])
def test_tags_are_of_ones_own_keys(cp, tenants, ledger, keys, below):
    path = f"/tag/daily/activity{below}"
    for tag, key in (("a", keys["ann"]), ("b", keys["bob"])):
        ledger.add("tag", tag, "2026-01-01", key)
    assert visible(cp, tenants, path, "root") == visible(cp, tenants, path, "vera") == {"a", "b"}
    assert visible(cp, tenants, path, "ann") == {"a"} and visible(cp, tenants, path, "ann", tags="a,b") == {"a"}
    assert visible(cp, tenants, path, "ann", api_key=keys["bob"]) == visible(cp, tenants, path, "ines") == set()
    assert visible(cp, tenants, path, "root", tags="b") == {"b"}
    assert visible(cp, tenants, path, "nobody")[0] == 401


@pytest.mark.parametrize("kind", ["customer", "end_user", "agent"])
def test_customers_and_agents_are_for_admins(cp, tenants, kind):
    for who in ("master", "root", "vera"):
        assert get(cp, f"/{kind}/daily/activity", key=tenants.keys[who]).status == 200
    for who in ("olga", "ann", "bob", "ivy", "ines", "nobody"):
        assert get(cp, f"/{kind}/daily/activity", key=tenants.keys[who]).status in (401, 403)


# --- keys, users


def test_keys_by_spend(cp, ledger, keys):
    for i in range(7):
        ledger.add("tag", "t", "2026-01-01", f"key-{i}", spend=i, prompt_tokens=i, cache_read_input_tokens=1)
    ledger.add("tag", "t", "2026-01-02", keys["ann"], spend=100, model="m-2", model_group="big")
    ledger.add("tag", "t", "2026-01-02", "", spend=50)
    path = "/tag/daily/activity/aggregated"
    body = get(cp, f"{path}/keys", limit=3).json
    assert [k["api_key"] for k in body["api_keys"]] == [keys["ann"], "unattributed", "key-6"]
    assert (body["total_api_keys"], body["offset"], body["limit"]) == (9, 0, 3)
    assert body["api_keys"][0]["metadata"]["key_alias"] == "of-ann" and body["api_keys"][1]["metadata"]["key_alias"] == "Unattributed"
    assert body["api_keys"][0]["metrics"] == {"spend": 100.0, "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15,
                                              "api_requests": 1, "successful_requests": 1, "failed_requests": 0,
                                              "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0}  # fmt: skip
    body = get(cp, f"{path}/keys", limit=3, offset=8).json
    assert ([k["api_key"] for k in body["api_keys"]], body["total_api_keys"]) == (["key-0"], 9)
    body = get(cp, f"{path}/keys", offset=100).json
    assert (body["api_keys"], body["total_api_keys"]) == ([], 9)
    body = get(cp, f"{path}/model_top_keys", model_group="m", limit=2).json
    assert (body["model"], body["by_model_group"], [k["api_key"] for k in body["api_keys"]]) == ("m", True, ["unattributed", "key-6"])
    body = get(cp, f"{path}/model_top_keys", model_group="m-2", by_model_group="false").json
    assert (body["by_model_group"], [k["api_key"] for k in body["api_keys"]]) == (False, [keys["ann"]])
    for route, query in (("keys", {"limit": 101}), ("keys", {"offset": -1}), ("model_top_keys", {}), ("model_top_keys", {"model_group": ""}),
                         ("search", {}), ("search", {"search": ""})):  # fmt: skip
        assert get(cp, f"{path}/{route}", **query).status == 422


def test_keys_are_found_by_alias_user_and_email(cp, ledger, keys):
    for key in (keys["ann"], keys["bob"], "gone", "100%"):
        ledger.add("team", "red", "2026-01-01", key)
        ledger.add("team", "red", "2026-01-02", key, spend=1)

    def found(search):
        body = get(cp, "/team/daily/activity/aggregated/search", search=search).json
        assert all(k["metrics"] == metrics(spend=1.25, prompt_tokens=20, completion_tokens=10, api_requests=2, successful_requests=2)
                   for k in body["api_keys"])  # fmt: skip
        return {k["api_key"] for k in body["api_keys"]}

    assert found("OF-bob") == found("bob") == found(keys["bob"][:20]) == {keys["bob"]}
    assert found("ann@example") == {keys["ann"], "gone"} and found("of-gone") == {"gone"}
    assert found("%") == {"100%"} and found("_") == set() and found("nothing") == set()


def test_users_by_spend_and_cache_leakage(cp, ledger, keys):
    ledger.add("user", "ann", "2026-01-01", keys["ann"], spend=1, prompt_tokens=100, cache_read_input_tokens=100)
    ledger.add("user", "bob", "2026-01-01", keys["bob"], spend=3, prompt_tokens=100, cache_read_input_tokens=40)
    ledger.add("user", "bob", "2026-01-02", keys["bob"], spend=3, failed_requests=1)
    ledger.add("user", None, "2026-01-01", "k", spend=2)
    ledger.add("user", "", "2026-01-01", "k", spend=2, model="x")
    path = "/user/daily/activity/aggregated"
    body = get(cp, f"{path}/users").json
    assert (body["total_users"], body["offset"], body["limit"]) == (3, 0, 50)
    assert [(u["user_id"], u["spend"]) for u in body["users"]] == [("bob", 6), (None, 4), ("ann", 1)]
    assert body["users"][2] == {"user_id": "ann", "user_email": "ann@example.com", "user_alias": "A", "spend": 1.0, "prompt_tokens": 100,
                                "completion_tokens": 5, "total_tokens": 105, "api_requests": 1, "successful_requests": 1,
                                "failed_requests": 0}  # fmt: skip
    body = get(cp, f"{path}/users", offset=9).json
    assert (body["users"], body["total_users"]) == ([], 3)
    body = get(cp, f"{path}/cache_leakage_keys").json
    assert [k["api_key"] for k in body["api_keys"]] == [keys["bob"], "k"]


# --- files


def read_csv(reply):
    assert (reply.status, reply.header("content-type")) == (200, "text/csv; charset=utf-8"), reply.body
    assert reply.header("cache-control") == "no-store"
    return list(csv.DictReader(io.StringIO(reply.body.decode(), newline="")))


HEAD = ("date,entity_id,entity_alias,api_key,key_alias,user_id,user_email,model,spend,flat_cost,prompt_tokens,completion_tokens,"
        "api_requests,successful_requests,failed_requests,cache_read_input_tokens,cache_creation_input_tokens")  # fmt: skip


def test_export(cp, ledger, keys):
    fill(ledger, "team", keys)
    path = "/team/daily/activity/export"

    def rows(type_):
        reply = get(cp, path, export_type=type_)
        assert reply.header("content-disposition") == f'attachment; filename="team-usage-2026-01-01-2026-01-03-{type_}.csv"'
        assert reply.body.startswith(HEAD.encode() + b"\r\n")
        found = read_csv(reply)
        as_json = get(cp, path, export_type=type_, format="json")
        assert as_json.header("content-type") == "application/json"
        assert [{k: "" if v is None else str(v) for k, v in r.items()} for r in as_json.json] == found
        return found

    daily = rows("daily")
    assert [(r["date"], r["entity_id"], r["entity_alias"], r["spend"], r["api_requests"]) for r in daily] == [
        ("2026-01-01", "blue", "", "0.4", "1"), ("2026-01-01", "red", "Red", "0.3", "4"), ("2026-01-03", "blue", "", "0.8", "1")]  # fmt: skip
    by_key = rows("daily_with_keys")
    assert [(r["entity_id"], r["api_key"], r["key_alias"], r["user_id"], r["user_email"]) for r in by_key] == [
        ("blue", keys["bob"], "of-bob", "bob", ""), ("red", keys["ann"], "of-ann", "ann", "ann@example.com"),
        ("blue", "unattributed", "Unattributed", "", "")]  # fmt: skip
    assert [(r["entity_id"], r["model"], r["prompt_tokens"]) for r in rows("daily_with_models")] == [
        ("blue", "m-1", "10"), ("red", "m-1", "7"), ("red", "m-2", "1"), ("blue", "unknown-model", "10")]  # fmt: skip
    assert [(r["user_id"], r["spend"]) for r in rows("daily_with_users")] == [("bob", "0.4"), ("ann", "0.3"), ("", "0.8")]
    assert get(cp, path, start_date="2020-01-01", end_date="2020-01-02").body == HEAD.encode() + b"\r\n"
    assert get(cp, path, start_date="2020-01-01", end_date="2020-01-02", format="json").json == []
    for query in ({"export_type": "hourly"}, {"format": "xml"}):
        assert get(cp, path, **query).status == 422


def test_cells_are_no_formulas(cp, ledger, keys):
    names = ['=HYPERLINK("http://x")', "+1", "-2", "@sum", "\tx", 'say "hi", all', "two\nlines"]
    for name in names:
        ledger.add("customer", name, "2026-01-01", keys["ann"])
    found = {r["entity_id"] for r in read_csv(get(cp, "/customer/daily/activity/export"))}
    assert found == {"'" + n if n[0] in "=+-@\t" else n for n in names}
    assert {r["entity_id"] for r in get(cp, "/customer/daily/activity/export", format="json").json} == set(names)


def test_a_large_export_is_whole(cp, ledger, postgres, tenants):
    postgres.sql(cp.database, """INSERT INTO "LiteLLM_DailyEndUserSpend" (id, end_user_id, date, api_key, model, spend, api_requests, updated_at)
        SELECT 'r' || d || '-' || i, 'customer-' || i, '2026-01-0' || d, 'k', 'm', 0.5, 1, now()
        FROM generate_series(1, 3) d, generate_series(1, 9001) i""")  # fmt: skip
    for type_ in ("daily", "daily_with_models"):
        reply = get(cp, "/customer/daily/activity/export", export_type=type_)
        found = read_csv(reply)
        assert len({(r["date"], r["entity_id"]) for r in found}) == len(found) == 27003 and reply.header("transfer-encoding") == "chunked"
    body = get(cp, "/customer/daily/activity/export", format="json").json
    assert len(body) == 27003 and sum(r["spend"] for r in body) == 27003 / 2
    body = get(cp, "/customer/daily/activity/aggregated").json
    assert body["metadata"]["total_spend"] == 27003 / 2 and [len(d["breakdown"]["entities"]) for d in body["results"]] == [9001] * 3
    postgres.sql(cp.database, """INSERT INTO "LiteLLM_DailyEndUserSpend" (id, end_user_id, date, api_key, updated_at)
        SELECT 'x' || i, 'x' || i, '2026-01-01', 'k', now() FROM generate_series(1, 42000) i""")  # fmt: skip
    reply = get(cp, "/customer/daily/activity/aggregated")
    assert (reply.status, reply.json["detail"]["error"][:22]) == (400, "More than 50000 object")


FOCUS = ("BilledCost BillingAccountId BillingAccountName BillingAccountType BillingCurrency BillingPeriodEnd BillingPeriodStart ChargeCategory "
         "ChargeClass ChargeDescription ChargeFrequency ChargePeriodEnd ChargePeriodStart ConsumedQuantity ConsumedUnit ContractedCost "
         "ContractedUnitPrice EffectiveCost InvoiceIssuerName InvoiceId ListCost ListUnitPrice AvailabilityZone PricingCurrency "
         "PricingCategory PricingQuantity PricingUnit ProviderName PublisherName RegionId RegionName ResourceId ResourceName ResourceType "
         "ServiceCategory ServiceSubcategory ServiceName SubAccountId SubAccountName SubAccountType Tags").split()  # fmt: skip


def test_focus(cp, tenants, ledger, keys):
    ledger.add("user", "ann", "2026-01-31", keys["ann"], spend=1e-9, api_requests=2)
    ledger.add("user", "ann", "2026-01-31", keys["ann"], spend=2e-9, endpoint="/embeddings")
    ledger.add("user", "zoe", "2026-02-01", "none", spend=3, model="=x", custom_llm_provider="")
    range_ = {"start_date": "2026-01-01", "end_date": "2026-02-28"}
    first, second = get(cp, "/spend/export/focus", format="json", **range_).json
    assert sorted(first) == sorted(FOCUS)
    assert (first["BilledCost"], first["ConsumedQuantity"], first["BillingAccountId"], first["BillingAccountName"]) == (3e-9, 3, keys["ann"], "of-ann")
    assert (first["ChargePeriodStart"], first["ChargePeriodEnd"]) == ("2026-01-31T00:00:00Z", "2026-02-01T00:00:00Z")
    assert (first["BillingPeriodStart"], first["BillingPeriodEnd"]) == ("2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z")
    assert (first["SubAccountId"], first["SubAccountName"], first["SubAccountType"], first["ProviderName"]) == ("red", "Red", "Team", "openai")
    assert first["Tags"] == {"team_id": "red", "team_alias": "Red", "organization_id": "one", "organization_alias": "One", "user_id": "ann",
                             "user_email": "ann@example.com", "api_key_alias": "of-ann", "model": "m-1", "model_group": "m",
                             "custom_llm_provider": "openai"}  # fmt: skip
    assert (second["SubAccountId"], second["SubAccountType"], second["ProviderName"], second["BillingPeriodEnd"]) == (None, None, None, "2026-03-01T00:00:00Z")
    reply = get(cp, "/spend/export/focus", **range_)
    assert reply.header("content-disposition") == 'attachment; filename="focus-2026-01-01-2026-02-28.csv"'
    rows = read_csv(reply)
    assert list(rows[0]) == FOCUS and [Decimal(r["BilledCost"]) for r in rows] == [Decimal("3e-9"), 3] and rows[1]["ResourceId"] == "'=x"
    for who, status in (("vera", 200), ("ann", 401), ("nobody", 401)):
        assert get(cp, "/spend/export/focus", key=tenants.keys[who]).status == status
    assert get(cp, "/spend/export/focus", start_date="x").status == 400


# --- tags and those behind them


def test_users_behind_tags(cp, ledger, keys):
    today = datetime.datetime.now(datetime.UTC).date()
    on = lambda ago: f"{today - datetime.timedelta(days=ago):%Y-%m-%d}"  # noqa: E731
    for ago, tag, key in [(0, "a", keys["ann"]), (0, "a", keys["bob"]), (0, "User-Agent:x", keys["ann"]), (3, "a", keys["ann"]),
                          (8, "a", keys["bob"]), (40, "a", keys["ann"]), (300, "a", keys["ann"]), (0, "b", "unknown")]:  # fmt: skip
        ledger.add("tag", tag, on(ago), key)
    day = [(r["tag"], r["date"], r["active_users"]) for r in cp.get("/tag/dau").json["results"]]
    assert day == [("a", on(0), 2), ("User-Agent:x", on(0), 1), ("a", on(3), 1)]
    assert cp.get("/tag/dau").json["results"][0]["period_start"] is None
    assert {r["tag"] for r in cp.get("/tag/dau?tag_filter=AGENT").json["results"]} == {"User-Agent:x"}
    assert {r["tag"] for r in cp.get("/tag/dau?tag_filters=a&tag_filters=b&tag_filter=x").json["results"]} == {"a"}
    weeks = [(r["date"][:6], r["active_users"], r["period_end"]) for r in cp.get("/tag/wau?tag_filters=a").json["results"]]
    assert weeks == [("Week 2", 1, f"{today + datetime.timedelta(days=1 - 35)} 00:00:00"), ("Week 6", 1, f"{today + datetime.timedelta(days=1 - 7)} 00:00:00"),
                     ("Week 7", 2, f"{today + datetime.timedelta(days=1)} 00:00:00")]  # fmt: skip
    week = cp.get("/tag/wau?tag_filters=a").json["results"][2]
    start = today - datetime.timedelta(days=5)
    assert (week["date"], week["period_start"]) == (f"Week 7 ({start:%b %d})", f"{start} 00:00:00")
    months = [(r["date"].split(" (")[0], r["active_users"]) for r in cp.get("/tag/mau?tag_filters=a").json["results"]]
    assert months == [("Month 6", 1), ("Month 7", 2)]
    assert {r["tag"] for r in cp.get("/tag/distinct").json["results"]} == {"a", "b", "User-Agent:x"}


def test_tags_summed_up(cp, ledger, keys):
    ledger.add("tag", "a", "2026-01-01", keys["ann"], spend=0.1)
    ledger.add("tag", "a", "2026-01-02", keys["bob"], spend=0.2, api_requests=2, failed_requests=1)
    ledger.add("tag", "b", "2026-01-01", "unknown")
    results = get(cp, "/tag/summary").json["results"]
    assert results[0] == {"tag": "a", "unique_users": 2, "total_requests": 3, "successful_requests": 2, "failed_requests": 1,
                          "total_tokens": 30, "total_spend": 0.3}  # fmt: skip
    assert (results[1]["tag"], results[1]["unique_users"]) == ("b", 0)
    reply = get(cp, "/tag/summary", end_date="2026-1")
    assert reply.status == 400 and reply.json["detail"].startswith("Invalid date format. Use YYYY-MM-DD: ")
    assert cp.get("/tag/summary").status == 422


def test_what_users_did_under_a_tag(cp, ledger, keys):
    today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    ledger.add("tag", "a", today, keys["ann"], successful_requests=5, api_requests=6, failed_requests=1)
    ledger.add("tag", "b", today, keys["ann"])
    ledger.add("tag", "a", today, keys["bob"], spend=0.5)
    ledger.add("tag", "a", "2020-01-01", keys["bob"], spend=9)
    body = cp.get("/tag/user-agent/per-user-analytics").json
    assert body["results"][0] == {"user_id": "ann", "user_email": "ann@example.com", "user_agent": "a", "successful_requests": 6,
                                  "failed_requests": 1, "total_requests": 7, "total_tokens": 30, "spend": 0.5}  # fmt: skip
    assert (body["total_count"], body["page"], body["page_size"], body["total_pages"]) == (2, 1, 50, 1)
    body = cp.get("/tag/user-agent/per-user-analytics?page=2&page_size=1&tag_filter=a").json
    assert ([u["user_id"] for u in body["results"]], body["total_count"], body["total_pages"]) == (["bob"], 2, 2)
    body = cp.get("/tag/user-agent/per-user-analytics?page=9").json
    assert (body["results"], body["total_count"]) == ([], 2)
    body = cp.get("/tag/user-agent/per-user-analytics?tag_filters=none").json
    assert (body["results"], body["total_count"], body["total_pages"]) == ([], 0, 0)


def test_budgets_of_providers(cp, tenants, start, database, postgres):
    reply = cp.get("/provider/budgets")
    assert reply.status == 404 and reply.json["error"]["message"].startswith("No provider budget config found.")
    assert cp.get("/provider/budgets", key=tenants.keys["ann"]).status == 401
    config = {
        "router_settings": {"provider_budget_config": {"openai": {"budget_limit": 10.5, "time_period": "7d"}, "azure": {"max_budget": 1}}},
        "weir": {"accept_unenforced": ["router_settings.provider_budget_config"]},
    }
    other = start(database, config)
    today = datetime.datetime.now(datetime.UTC)
    ledger = Ledger(postgres, database)
    for ago, spend in ((0, 1), (6, 2), (7, 4)):
        ledger.add("user", "u", f"{today - datetime.timedelta(days=ago):%Y-%m-%d}", "k", spend=spend)
    providers = other.get("/provider/budgets").json["providers"]
    assert providers["azure"] == {"budget_limit": 1, "time_period": None, "spend": 0.0, "budget_reset_at": None}
    assert {k: providers["openai"][k] for k in ("budget_limit", "time_period", "spend")} == {"budget_limit": 10.5, "time_period": "7d", "spend": 3.0}
    assert providers["openai"]["budget_reset_at"].endswith("T00:00:00.000Z")

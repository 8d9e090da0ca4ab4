"""Pages of packed log rows: each order and filter gives what SQL over the rows gives, wherever its rows lie: in blocks, in
none, in one that was written to since."""

import json
import subprocess
from urllib.parse import urlencode

import pytest
from support.controlplane import ControlPlane

WINDOW = {"start_date": "2026-03-01 00:00:00", "end_date": "2026-05-31 23:59:59"}
ROWS, BLOCK = 20000, 6000

# Some of one millisecond, values that many have, some without a first token or a model.
FILL = """
INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, spend, total_tokens, prompt_tokens, completion_tokens,
    "startTime", "endTime", "completionStartTime", model, "user", metadata, team_id, end_user, status, request_duration_ms)
SELECT 'req-' || md5(i::text), 'acompletion', 'key-' || h % 40, CASE WHEN i % 9 = 0 THEN 0 ELSE h % 5000 / 1e6 END, h % 300, 1, 1, at,
    at + h % 900 * interval '1 s', CASE h % 4 WHEN 0 THEN NULL WHEN 1 THEN at + h % 900 * interval '1 s' ELSE at + h % 70 * interval '7 ms' END,
    CASE WHEN i % 50 = 0 THEN '' ELSE 'model-' || h % 7 END, 'user-' || h % 5,
    CASE WHEN h % 6 = 0 THEN jsonb_build_object('error_information', jsonb_build_object('error_message', 'upstream said no, ' || h % 100)) ELSE '{{}}' END,
    'team-' || h % 2, CASE WHEN h % 13 < 8 THEN 'customer-1' ELSE '' END, CASE WHEN h % 20 = 0 THEN 'failure' END,
    CASE WHEN i % 3 = 0 THEN h % 60000 END
FROM (SELECT i, i * 2654435761 % 1000003 AS h, timestamp '2026-03-02' + i / 3 * interval '311 s' AS at FROM generate_series({}, {}) AS i) AS a
"""

ELAPSED = """coalesce(request_duration_ms, (extract(epoch FROM ("endTime" - "startTime")) * 1000)::bigint)"""
FIRST = """CASE WHEN "completionStartTime" <> "endTime" THEN "completionStartTime" - "startTime" END"""
ORDERS = {"startTime": '"startTime"', "spend": "spend", "total_tokens": "total_tokens", "endTime": '"endTime"', "request_duration_ms": ELAPSED, "model": "model",
          "ttft_ms": FIRST}  # fmt: skip
ERROR = "metadata -> 'error_information' ->> 'error_message'"
FILTERS = [({}, "true"), ({"api_key": "key-7"}, "api_key = 'key-7'"), ({"model": "model-3"}, "model = 'model-3'"),
           ({"status_filter": "success"}, "status IS NULL"), ({"team_id": "team-1", "user_id": "user-2"}, "team_id = 'team-1' AND \"user\" = 'user-2'"),
           ({"start_date": "2026-03-04 12:34:56", "end_date": "2026-03-19 01:02:03"}, "\"startTime\" BETWEEN '2026-03-04 12:34:56' AND '2026-03-19 01:02:03'"),
           ({"start_date": "2026-03-07 00:00:00", "end_date": "2026-03-07 07:00:00", "user_id": "user-1"},
            "\"startTime\" BETWEEN '2026-03-07' AND '2026-03-07 07:00:00' AND \"user\" = 'user-1'"), ({"user_id": "nobody"}, "false"),
           ({"min_spend": 0.0012}, "spend >= 0.0012"), ({"max_spend": 0.003, "model": "model-3"}, "spend <= 0.003 AND model = 'model-3'"),
           ({"min_spend": 0.002, "max_spend": 0.002005, "status_filter": "success"}, "spend BETWEEN 0.002 AND 0.002005 AND status IS NULL"),
           ({"error_message": "said no"}, ERROR + " LIKE '%said no%'"), ({"error_message": "no, 1", "model": "model-3"}, ERROR + " LIKE '%no, 1%' AND model = 'model-3'"),
           ({"end_user": "customer-1"}, "end_user = 'customer-1'"),
           ({"end_user": "customer-1", "max_spend": 0.003, "start_date": "2026-03-04 12:34:56"},
            "end_user = 'customer-1' AND spend <= 0.003 AND \"startTime\" >= '2026-03-04 12:34:56'"),
           ({"end_user": "customer-1", "error_message": "said no"}, "end_user = 'customer-1' AND " + ERROR + " LIKE '%said no%'"),
           ({"min_spend": 0.01}, "spend >= 0.01"), ({"max_spend": 0, "start_date": "2026-03-04 12:34:56"}, "spend = 0 AND \"startTime\" >= '2026-03-04 12:34:56'")]  # fmt: skip


class World:
    def __init__(self, cp, postgres):
        self.cp, self.postgres = cp, postgres
        self.sql('''ALTER FUNCTION weir.log_pack RENAME TO log_pack_now; -- not the job, which makes larger blocks
                    CREATE FUNCTION weir.log_pack(integer, integer) RETURNS boolean LANGUAGE sql RETURN false''')
        self.sql(FILL.format(1, ROWS))
        self.settled()
        self.pack()

    def sql(self, text, *args):
        return self.postgres.sql(self.cp.database, text, *args)

    def settled(self):
        done = "SELECT covered_from = '-infinity' AND NOT EXISTS (SELECT FROM weir.log_delta) FROM weir.log_state"
        self.cp.wait(lambda: self.sql(done) == [("t",)], what="index and sums")

    def pack(self):
        """What the job does, of smaller blocks."""
        self.cp.wait(lambda: self.sql(f"SELECT weir.log_pack_now({BLOCK}, {BLOCK})") == [("f",)] and self.blocks()[0][1] == "0", what="blocks")

    def blocks(self):
        return self.sql("SELECT count(*), count(*) FILTER (WHERE n IS NULL), sum(n) FROM weir.log_block")

    def ids(self, **query):
        reply = self.cp.get("/spend/logs/v2?" + urlencode({**WINDOW, **query}))
        assert reply.status == 200, reply.body
        return [r["request_id"] for r in reply.json["data"]], reply.json["total"]

    def agrees(self, query, where, by, order):
        expected = [r for (r,) in self.sql(f"""SELECT request_id FROM "LiteLLM_SpendLogs" WHERE {where}
            ORDER BY {ORDERS[by]} {order} NULLS LAST, "startTime" {order}, request_id {order}""")]  # fmt: skip
        last = max(len(expected) - 1, 0) // 90
        # what is found by an index, in its order, is counted as far as LiteLLM counts
        is_capped = (by in ("startTime", "spend") and "min_spend" in query) or (by == "startTime" and "end_user" in query)
        most = 10000 if is_capped else len(expected)
        for page in sorted({0, 1, last // 3, last // 2, last, last + 1}):
            got, total = self.ids(**query, sort_by=by, sort_order=order, page=page + 1, page_size=90)
            assert total == min(len(expected), most)
            assert got == expected[90 * page : 90 * page + 90], page


@pytest.fixture(scope="module")
def world(postgres, empty_schema):
    with ControlPlane(postgres.database(template=empty_schema)) as cp:
        yield World(cp, postgres)


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("by", ORDERS)
@pytest.mark.parametrize(("query", "where"), FILTERS, ids=[json.dumps(q) for q, _ in FILTERS])
def test_every_order_of_every_filter(world, query, where, by, order):
    assert world.blocks()[0][:2] == ("3", "0")
    world.agrees(query, where, by, order)


# Between, before and behind entries of a block, of their times and values; at a mark of one, and the first of all.
LATE = """
UPDATE "LiteLLM_SpendLogs" SET spend = 7, total_tokens = 9999, "endTime" = "startTime" - interval '1 day', model = 'a-model',
    request_duration_ms = -4, "completionStartTime" = "startTime" + interval '1 day' WHERE "startTime" = timestamp '2026-03-02' + 2222 * interval '311 s';
UPDATE "LiteLLM_SpendLogs" SET "startTime" = "startTime" + interval '9 days' WHERE "startTime" = timestamp '2026-03-02' + 1111 * interval '311 s';
DELETE FROM "LiteLLM_SpendLogs" l USING (SELECT at, request_id FROM weir.log_place WHERE seq % 7 = 0) m WHERE m.request_id = l.request_id;
INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, spend, total_tokens, prompt_tokens, completion_tokens, "startTime", "endTime",
    "completionStartTime", model, "user", metadata, team_id, end_user, status, request_duration_ms)
SELECT CASE WHEN n % 2 = 0 THEN 'a-' ELSE 'z-' END || request_id, call_type, api_key, spend, total_tokens, prompt_tokens, completion_tokens, "startTime",
    "endTime", "completionStartTime", model, "user", metadata, team_id, end_user, status, request_duration_ms
FROM (SELECT *, row_number() OVER (ORDER BY "startTime", request_id) AS n FROM "LiteLLM_SpendLogs") t WHERE n % 151 IN (0, 1);
DELETE FROM "LiteLLM_SpendLogs" WHERE request_id LIKE 'a-req-%0';
"""
LATE_FILTERS = [f for f in FILTERS if not f[0] or "start_date" in f[0] or "end_user" in f[0] or "max_spend" in f[0]]


@pytest.fixture(scope="module")
def late(world):
    world.sql(LATE)
    world.settled()
    yield world


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("by", ORDERS)
@pytest.mark.parametrize(("query", "where"), LATE_FILTERS, ids=[json.dumps(q) for q, _ in LATE_FILTERS])
def test_a_block_is_read_with_what_was_written_to_it_since(late, query, where, by, order):
    late.agrees(query, where, by, order)


def test_a_block_that_was_written_to_is_still_read(late):
    assert late.sql("SELECT count(DISTINCT block), bool_or(at = 'infinity') FROM weir.log_touched") == [("3", "f")]
    late.sql("ALTER TABLE weir.log_packed RENAME TO log_packed_away")
    assert late.cp.get("/spend/logs/v2?" + urlencode({**WINDOW, "sort_by": "endTime"})).status == 500
    late.sql("ALTER TABLE weir.log_packed_away RENAME TO log_packed")


@pytest.mark.parametrize("by", ORDERS)
def test_a_block_that_much_was_written_to_is_not_read(late, by):
    if late.sql("SELECT count(*) FROM weir.log_touched WHERE at = 'infinity'") == [("0",)]:
        late.sql("""UPDATE "LiteLLM_SpendLogs" SET spend = spend + 1 WHERE "startTime" BETWEEN '2026-03-10' AND '2026-03-12'""")
        late.settled()
    assert late.sql("SELECT count(DISTINCT block) FROM weir.log_touched WHERE at = 'infinity'") == [("1",)]
    for order in ("asc", "desc"):
        late.agrees({"user_id": "user-2"}, "\"user\" = 'user-2'", by, order)


def test_blocks_are_packed_anew_and_become_one(world):
    world.sql("""DELETE FROM "LiteLLM_SpendLogs" WHERE "startTime" BETWEEN '2026-03-08' AND '2026-03-09'""")
    world.settled()
    world.sql("UPDATE weir.log_touched SET since = since - interval '1 minute'")
    world.pack()
    assert world.sql("SELECT count(*) FROM weir.log_touched") == [("0",)]
    for n in range(7):
        world.sql(FILL.format(ROWS + 1 + 1000 * n, ROWS + 1000 + 1000 * n))
        world.settled()
        world.sql(f"""INSERT INTO weir.log_block (since, until) SELECT max(until), (SELECT max(at) FROM weir.log) FROM weir.log_block""")
        world.pack()
    blocks = int(world.blocks()[0][0])
    assert blocks == 10
    while world.sql(f"SELECT weir.log_pack_now({10 * BLOCK}, {100 * BLOCK})") == [("t",)]:
        pass
    assert int(world.blocks()[0][0]) == 3 and world.sql("SELECT count(DISTINCT block) FROM weir.log_packed") == [("3",)]
    for by in ORDERS:
        world.agrees({"model": "model-2"}, "model = 'model-2'", by, "desc")


def test_whoever_began_before_a_block_is_waited_for(world):
    world.sql(FILL.format(2 * ROWS, 2 * ROWS + BLOCK))
    world.settled()
    writer = subprocess.Popen(["psql", "-X", "-q", "-A", "-t", "-d", world.cp.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    writer.stdin.write("BEGIN; SELECT 'began' FROM pg_current_xact_id();\n")
    writer.stdin.flush()
    assert writer.stdout.readline() == "began\n"
    n = world.blocks()[0][0]
    world.sql("INSERT INTO weir.log_block (since, until) SELECT max(until), (SELECT max(at) FROM weir.log) FROM weir.log_block")
    while world.sql("SELECT weir.log_pack_now(100000, 100000)") == [("t",)]:
        pass
    assert world.blocks()[0][1] == "1"
    writer.stdin.write("COMMIT;\n")
    writer.stdin.close()
    writer.wait(10)
    world.pack()
    assert world.blocks()[0][:2] == (str(int(n) + 1), "0")


def test_usage_of_an_outage_is_packed_once_it_has_come(world):
    world.sql(FILL.format(3 * ROWS, 3 * ROWS + BLOCK))
    world.settled()
    n = int(world.blocks()[0][0])
    world.sql("""UPDATE weir.log_pace SET at = now() - interval '2 s';
        INSERT INTO weir.spool (id, segment, "offset", records) VALUES ('a pod', 0, 0, 30000)""")
    assert world.sql(f"SELECT weir.log_pack_now({BLOCK}, {BLOCK})") == [("f",)]
    assert int(world.blocks()[0][0]) == n
    world.pack()  # no more came
    assert int(world.blocks()[0][0]) == n + 1


def test_as_much_as_there_always_is_does_not_keep_packing_from_it(world):
    world.sql(FILL.format(3 * ROWS + BLOCK + 1, 3 * ROWS + 2 * BLOCK))
    world.settled()
    n = int(world.blocks()[0][0])
    world.sql("""UPDATE weir.log_pace SET at = now() - interval '2 s', calm_at = now() - interval '6 min';
        UPDATE weir.spool SET records = records + 30000""")
    world.pack()
    assert int(world.blocks()[0][0]) == n + 1


COLUMNS = """call_type, api_key, spend, total_tokens, prompt_tokens, completion_tokens, "startTime", "endTime", "completionStartTime", model, "user",
    metadata, team_id, end_user, status, request_duration_ms"""


def rested(world):
    world.settled()
    world.sql("UPDATE weir.log_touched SET since = since - interval '1 min'")
    world.pack()


def test_a_block_that_grew_is_packed_in_parts(world):
    since, until = world.sql("SELECT since, until FROM weir.log_block ORDER BY since LIMIT 1")[0]
    world.sql(f"""INSERT INTO "LiteLLM_SpendLogs" (request_id, {COLUMNS}) SELECT 'more-' || n || request_id, {COLUMNS}
        FROM "LiteLLM_SpendLogs", generate_series(1, 3) AS n WHERE "startTime" >= '{since}' AND "startTime" < '{until}'""")
    rested(world)
    blocks = world.sql("SELECT since, until, n FROM weir.log_block ORDER BY since")
    assert blocks[0][0] == since and until in [u for _, u, _ in blocks[1:]]
    assert all(int(n) <= 2 * BLOCK for s, _, n in blocks if s < until)
    assert all(until <= since for (_, until, _), (since, _, _) in zip(blocks, blocks[1:], strict=False))
    world.agrees({"model": "model-3"}, "model = 'model-3'", "total_tokens", "desc")


def test_the_time_of_a_block_that_emptied_is_the_next_ones(world):
    since, until = world.sql("SELECT since, until FROM weir.log_block ORDER BY since LIMIT 1")[0]
    world.sql(f"""DELETE FROM "LiteLLM_SpendLogs" WHERE "startTime" < '{until}'""")
    rested(world)
    first = world.sql("SELECT since, until FROM weir.log_block ORDER BY since LIMIT 1")[0]
    assert first[0] == since and first[1] > until
    world.agrees({"model": "model-3"}, "model = 'model-3'", "endTime", "asc")


def test_entries_of_a_series_that_came_meanwhile(world):
    """They have no code yet: they are read as they are until the block is packed again."""
    which = "SELECT id FROM weir.log_series WHERE level = 0 AND model = 'model-5' AND api_key = 'key-11'"
    world.sql(f"DELETE FROM weir.log_code WHERE series IN ({which})")
    touch = """UPDATE "LiteLLM_SpendLogs" SET spend = spend WHERE request_id IN (SELECT request_id FROM weir.log_place WHERE seq = 3)"""
    where = ({"model": "model-5", "api_key": "key-11"}, "model = 'model-5' AND api_key = 'key-11'", "total_tokens", "desc")
    world.sql(touch)
    rested(world)
    assert world.sql("SELECT count(*) > 0 FROM weir.log_touched") == [("t",)]
    world.agrees(*where)
    world.sql(f"UPDATE weir.log_series SET by_key = NULL WHERE id IN ({which})")
    rested(world)
    assert world.sql("SELECT count(*) FROM weir.log_touched") == [("0",)]
    world.agrees(*where)


def test_no_block_stays_when_all_rows_go(world):
    world.sql('TRUNCATE "LiteLLM_SpendLogs"')
    assert world.blocks()[0][0] == "0" and world.ids(sort_by="model") == ([], 0)

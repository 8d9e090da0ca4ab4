"""How long rows of spend are kept: whole days where the table is by day, some rows at a time elsewhere."""

import datetime

import pytest
from support.spend_log import BY_DAY, PLAIN, Log

HOUR = datetime.timedelta(hours=1)
DAYS = 24 * HOUR


def keeping(period, **more):
    return {"general_settings": {"maximum_spend_logs_retention_period": period, **more}}


@pytest.fixture
def log(postgres, database, request):
    log = Log(postgres, database)
    log.sql(request.param)
    for i, ago in enumerate([HOUR, 6 * DAYS + 23 * HOUR, 7 * DAYS + HOUR, 9 * DAYS, 20 * DAYS, 39 * DAYS, 400 * DAYS]):
        log.row(f"r{i}", 5, ago=ago)
    return log


def gone(cp, log, *left):
    cp.wait(lambda: log.sql("SELECT done_at FROM weir.retention WHERE done_at IS NOT NULL"), what="nothing older is left")
    assert log.ids() == sorted(left)


@pytest.mark.parametrize("log", [PLAIN], indirect=True)
@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_rows_go_some_at_a_time(start, database, log, batch):
    cp = start(database, keeping("7d"), env={"SPEND_LOG_CLEANUP_BATCH_SIZE": str(batch)})
    gone(cp, log, "r0", "r1")
    assert cp.log().count("retention rows=") == -(-5 // batch) or batch == 1
    [(kept,)] = log.sql("SELECT kept_from BETWEEN (now() AT TIME ZONE 'UTC') - interval '7 days 1 minute'"
                        " AND (now() AT TIME ZONE 'UTC') - interval '7 days' FROM weir.retention")  # fmt: skip
    assert kept == "t"


@pytest.mark.parametrize("log", [BY_DAY], indirect=True)
def test_days_go_as_a_whole(start, database, log):
    before = len(log.sql("SELECT inhrelid FROM pg_inherits WHERE inhparent = '\"LiteLLM_SpendLogs\"'::regclass"))
    cp = start(database, keeping("7d"))
    cp.wait(lambda: log.sql("SELECT done_at FROM weir.retention WHERE done_at IS NOT NULL"), what="nothing older is left")
    # r2 is of the day that the end falls into, unless that is yesterday's already
    assert set(log.ids()) - {"r2"} == {"r0", "r1"}
    after = len(log.sql("SELECT inhrelid FROM pg_inherits WHERE inhparent = '\"LiteLLM_SpendLogs\"'::regclass"))
    assert before - after == 33 and cp.log().count("retention dropped=weir.") == 33
    assert log.sql("SELECT kept_from = date_trunc('day', kept_from) FROM weir.retention") == [("t",)]
    assert 'rows=1 before' in cp.log()  # that of the default partition


@pytest.mark.parametrize("log", [PLAIN], indirect=True)
@pytest.mark.parametrize(
    "config",
    [
        {}, {**keeping("7d"), "weir": {"jobs": False}}, keeping("500d"),
        keeping("7d", maximum_spend_logs_cleanup_cron="0 0 30 2 *"), keeping("never"), keeping("7d", maximum_spend_logs_cleanup_cron="61 * * * *"),
        keeping("0d"),
    ],
)  # fmt: skip
def test_what_leaves_everything(start, database, log, config):
    cp = start(database, config)
    cp.post("/budget/new", {"max_budget": 1})
    cp.wait(lambda: "audit_sealed" in cp.log(), what="jobs had their turn")
    assert len(log.ids()) == 7
    wrong = config.get("general_settings", {}).get("maximum_spend_logs_retention_period") in ("never", "0d") or "61 *" in str(config)
    assert ("job name=retention" in cp.log()) is wrong


@pytest.mark.parametrize("log", [PLAIN], indirect=True)
def test_the_database_may_say_so(start, database, log):
    log.sql("""INSERT INTO "LiteLLM_Config" (param_name, param_value)
               VALUES ('general_settings', '{"maximum_spend_logs_retention_period": "10d"}')""")
    cp = start(database, {"general_settings": {"store_model_in_db": True}})
    gone(cp, log, "r0", "r1", "r2", "r3")


@pytest.mark.parametrize("log", [PLAIN], indirect=True)
def test_an_interval_and_a_schedule_are_waited_for(start, database, log):
    cp = start(database, keeping("7d", maximum_spend_logs_retention_interval="1h"))
    gone(cp, log, "r0", "r1")
    cp.stop()
    log.row("late", 1, ago=30 * DAYS)
    start(database, keeping("7d", maximum_spend_logs_retention_interval="1h")).stop()
    assert "late" in log.ids()
    log.sql("UPDATE weir.retention SET done_at = now() - interval '61 minutes'")
    cp = start(database, keeping("7d", maximum_spend_logs_retention_interval="1h"))
    cp.wait(lambda: "late" not in log.ids(), what="the next time")
    log.row("later", 1, ago=30 * DAYS)
    log.sql("UPDATE weir.retention SET done_at = now() - interval '61 minutes'")
    cp.stop()
    cp = start(database, keeping("7d", maximum_spend_logs_cleanup_cron="* * * * *"))
    cp.wait(lambda: "later" not in log.ids(), what="its minute")

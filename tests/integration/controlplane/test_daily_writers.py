"""Others write daily tables as well, each in its way: the days of what they wrote, and no others, are noted in their
transaction (weir.daily_day), so that sums of a day are those of its rows."""

import contextlib
import datetime

import pytest
from support.ledger import TABLES, Ledger

USER, TAG = '"LiteLLM_DailyUserSpend"', '"LiteLLM_DailyTagSpend"'
ONE, TWO, THREE, FOUR = (f"2026-01-0{i}" for i in (1, 2, 3, 4))


@pytest.fixture
def ledger(postgres, database):
    """A row of each table on each day; all days have sums."""
    ledger = Ledger(postgres, database)
    ledger.sql("".join(f"""INSERT INTO "{table}" (id, {of}, date, api_key, updated_at) VALUES ('{kind}-{date}', 'x', '{date}', 'k', now());"""
                       for kind, (table, of) in TABLES.items() for date in (ONE, TWO, THREE, FOUR)) +
               "DO $$ BEGIN WHILE weir.daily_sum_up() LOOP END LOOP; END $$")  # fmt: skip
    assert ledger.sql("SELECT count(*) FROM weir.daily_day WHERE is_summed") == [("24",)]
    return ledger


def noted(ledger):
    return sorted(ledger.sql("SELECT kind, date FROM weir.daily_day WHERE NOT is_summed"))


def row(*dates, table=USER):
    """The beginning of an INSERT of rows that are new."""
    of = "tag" if table == TAG else "user_id"
    values = ", ".join(f"('new-{i}', 'x', '{date}', 'new', now())" for i, date in enumerate(dates))
    return f"INSERT INTO {table} AS t (id, {of}, date, api_key, updated_at) VALUES {values}"


def update(*dates, table=USER):
    return f"UPDATE {table} SET spend = spend + 1 WHERE date = ANY ('{{{','.join(dates)}}}')"


UPSERT = " ON CONFLICT (id) DO UPDATE SET spend = 7"
KNOWN = f"INSERT INTO {USER} AS t (id, user_id, date, api_key, updated_at) VALUES ('user-{TWO}', 'x', '{TWO}', 'k', now())"

WRITTEN = {
    "insert": (row(ONE, THREE, ONE), {ONE, THREE}),
    "of a day that has none": (row("2025-12-31"), {"2025-12-31"}),
    "update": (update(TWO, THREE), {TWO, THREE}),
    "update of no row": (update("2024-01-01"), set()),
    "delete": (f"DELETE FROM {USER} WHERE date >= '{THREE}'", {THREE, FOUR}),
    "moved": (f"UPDATE {USER} SET date = '2026-02-01' WHERE date = '{ONE}'", {ONE, "2026-02-01"}),
    "upsert of a new one": (row(TWO) + UPSERT, {TWO}),
    "upsert of a known one": (KNOWN + UPSERT, {TWO}),
    "upsert of both": (f"{KNOWN}, ('new', 'x', '{FOUR}', 'k', now()){UPSERT}", {TWO, FOUR}),
    "upsert that leaves it": (f"{KNOWN} ON CONFLICT DO NOTHING", set()),
    "upsert that leaves it for a condition": (f"{KNOWN}{UPSERT} WHERE t.spend > 1000", set()),
    "merge": (f"""MERGE INTO {USER} t USING (VALUES ('{ONE}', 2), ('{FOUR}', 0), ('2025-01-01', 3)) v (date, n) ON t.id = 'user-' || v.date
        WHEN MATCHED AND v.n = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET spend = v.n
        WHEN NOT MATCHED THEN INSERT (id, user_id, date, api_key, updated_at) VALUES (v.date, 'x', v.date, 'k', now())""",
              {ONE, FOUR, "2025-01-01"}),
    "copy": (f"COPY {USER} (id, user_id, date, api_key, updated_at) FROM STDIN (DELIMITER ',');\n"
             f"a,x,{ONE},k,2026-01-01\nb,x,{FOUR},k,2026-01-01\n\\.\n", {ONE, FOUR}),
    "statements of a transaction": (f"BEGIN; {update(ONE)}; {row(THREE)}; {update(ONE, TWO)}; COMMIT", {ONE, TWO, THREE}),
    "rolled back": (f"BEGIN; {update(ONE)}; ROLLBACK", set()),
    "one after another": (f"BEGIN; {update(ONE)}; ROLLBACK; {update(TWO)}", {TWO}),
    "savepoint": (f"BEGIN; {update(ONE)}; SAVEPOINT s; {update(TWO)}; ROLLBACK TO s; {update(THREE)}; COMMIT", {ONE, THREE}),
    "savepoint, then the same": (f"BEGIN; SAVEPOINT s; {update(TWO)}; ROLLBACK TO s; {update(TWO)}; COMMIT", {TWO}),
    "savepoint released": (f"BEGIN; SAVEPOINT s; {update(TWO)}; RELEASE s; {update(ONE)}; COMMIT", {ONE, TWO}),
    "a statement that fails": (f"""BEGIN; {update(ONE)}; DO $$ BEGIN {update(TWO)}; {row(THREE)}, (NULL, 'x', '{FOUR}', 'k', now());
        EXCEPTION WHEN not_null_violation THEN {update(FOUR)}; END $$; COMMIT""", {ONE, FOUR}),
    "summed up between": (f"{update(ONE, TWO)}; UPDATE weir.daily_day SET is_summed = true; {update(ONE)}", {ONE}),
    "summed up in between": (f"BEGIN; {update(ONE, TWO)}; UPDATE weir.daily_day SET is_summed = true; {update(ONE)}; COMMIT", {ONE}),
    "what is no day": (row("", "0\n" + ONE, "1 user", "'; --".replace("'", "''")), {"", "0\n" + ONE, "1 user", "'; --"}),
    "as after ingest": (f"BEGIN; SET LOCAL weir.ingest = on; {update(ONE)}; COMMIT; {update(TWO)}", {TWO}),
}  # fmt: skip


@pytest.mark.parametrize("how", WRITTEN)
def test_the_days_written_to_are_noted(ledger, how):
    statements, dates = WRITTEN[how]
    ledger.sql(statements)
    assert noted(ledger) == sorted(("user", d) for d in dates)


@pytest.mark.parametrize("kind", TABLES)
def test_of_each_table(ledger, kind):
    table, of = TABLES[kind]
    ledger.sql(f"""BEGIN; UPDATE "{table}" SET spend = 2 WHERE date = '{TWO}'; DELETE FROM "{table}" WHERE date = '{ONE}';
        INSERT INTO "{table}" (id, {of}, date, api_key, updated_at) VALUES ('new', 'x', '{FOUR}', 'new', now()); COMMIT""")
    assert noted(ledger) == [(kind, ONE), (kind, TWO), (kind, FOUR)]


def test_two_tables_in_one_statement(ledger):
    ledger.sql(f"WITH a AS ({update(ONE)}), b AS ({update(TWO, table=TAG)}) {row(THREE)}")
    assert noted(ledger) == [("tag", TWO), ("user", ONE), ("user", THREE)]


def test_statements_within_a_statement(ledger):
    """Somebody's own trigger writes daily tables, some of which is taken back."""
    ledger.sql(f"""
        CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            BEGIN
                {update(ONE)}; {update(ONE, table=TAG)};
                RAISE division_by_zero;
            EXCEPTION WHEN division_by_zero THEN
                {update(TWO)}; {update(FOUR, table=TAG)};
            END;
            RETURN NULL;
        END $$;
        CREATE TRIGGER z AFTER INSERT ON {USER} FOR EACH ROW EXECUTE FUNCTION theirs()""")
    ledger.sql(row(THREE, "2025-12-31"))
    assert noted(ledger) == [("tag", FOUR), ("user", "2025-12-31"), ("user", TWO), ("user", THREE)]


def test_more_days_than_are_remembered(ledger):
    days = [(datetime.date(2015, 1, 1) + datetime.timedelta(days=i)).isoformat() for i in range(3000)]
    ledger.sql(row(*days, *days[::-1]).replace("'new', now()", "'new' || random(), now()"))
    assert noted(ledger) == [("user", d) for d in days]


def test_a_day_that_is_not_over_is_not(ledger):
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    ledger.sql(row(today, ONE))
    assert noted(ledger) == [("user", ONE)]


def test_whoever_may_write_needs_no_right_of_ours(ledger, postgres):
    with contextlib.ExitStack() as after:
        ledger.sql("CREATE ROLE theirs; GRANT ALL ON ALL TABLES IN SCHEMA public TO theirs")
        after.callback(postgres.sql, ledger.database, "DROP OWNED BY theirs; DROP ROLE theirs")
        ledger.sql(f"SET ROLE theirs; {row(ONE)}; {update(TWO)}; DELETE FROM {USER} WHERE date = '{FOUR}'")
        assert noted(ledger) == [("user", ONE), ("user", TWO), ("user", FOUR)]


def test_no_trigger_is_handed_rows_that_ingest_writes(ledger):
    """The server copies them for such a one, though it is skipped; older ones are replaced."""
    handed = """SELECT count(*) FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid
                WHERE relname ~ '^LiteLLM_Daily' AND tgnewtable IS NOT NULL"""
    assert ledger.sql(handed) == [("0",)]
    for name in ("added", "changed", "gone", "moved", "emptied"):
        ledger.sql(f"DROP TRIGGER weir_daily_{name} ON {USER}")
    ledger.sql("SELECT weir.daily_watch('public')")
    assert ledger.sql(handed) != [("0",)]
    ledger.sql("SELECT weir.ingest_watch()")
    assert ledger.sql(handed) == [("0",)]
    ledger.sql(row(ONE))
    assert ("user", ONE) in noted(ledger)

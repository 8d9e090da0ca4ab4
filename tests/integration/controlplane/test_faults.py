"""The database in trouble: the API answers within its bound and comes back by itself, and nothing wrong is written.

Frozen, stopped, restarted and read-only servers are in test_database.py.
"""

import os
import signal
import threading
import time

import pytest
from support.link import Link
from support.tenants import sha256

FAULTY = """
    CREATE SEQUENCE weir.tries;
    CREATE FUNCTION weir.fail() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.key_alias = 'faulty' AND nextval('weir.tries') <= TG_ARGV[1]::int THEN
            RAISE EXCEPTION 'as the test wants it' USING ERRCODE = TG_ARGV[0];
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER fail BEFORE INSERT ON "LiteLLM_VerificationToken" FOR EACH ROW EXECUTE FUNCTION weir.fail(%s, %s)"""


def count(postgres, url, table, where="true"):
    return int(postgres.sql(url, f"SELECT count(*) FROM {table} WHERE {where}")[0][0])


def nothing_of_it(postgres, url, alias):
    """Neither the key nor its entry."""
    assert count(postgres, url, '"LiteLLM_VerificationToken"', f"key_alias = '{alias}'") == 0
    assert count(postgres, url, '"LiteLLM_AuditLog"', f"updated_values ->> 'key_alias' = '{alias}'") == 0


def make(cp, alias):
    begun = time.monotonic()
    reply = cp.post("/key/generate", {"key_alias": alias})
    return reply, time.monotonic() - begun


def refused_soon(cp, alias):
    reply, took = make(cp, alias)
    assert reply.status == 503 and reply.json["error"]["type"] == "no_db_connection" and reply.header("retry-after")
    assert took < 4, took  # two seconds, and the sanitizers
    assert cp.get("/health/liveliness", key=None).status == 200


def back(cp):
    cp.wait(lambda: make(cp, None)[0].status == 200, timeout=30, what="the database back")


# --- what the server says (every class of SQLSTATE)


@pytest.mark.parametrize(
    ("code", "status", "tries"),
    [
        ("53100", 503, 1), ("53200", 503, 1), ("53400", 503, 1), ("58030", 503, 1), ("57P01", 503, 1), ("57P02", 503, 1), ("57P03", 503, 1),
        ("25006", 503, 1), ("08006", 503, 1), ("57014", 503, 1), ("55P03", 503, 4), ("40001", 503, 4), ("40P01", 503, 4), ("0A000", 503, 4),
        ("23505", 409, 1), ("23503", 400, 1), ("23514", 400, 1), ("22P02", 400, 1), ("54000", 400, 1), ("42P01", 500, 1), ("42501", 500, 1),
        ("XX000", 500, 1), ("P0001", 500, 1),
    ],
)  # fmt: skip
def test_what_the_server_says(database, start, postgres, code, status, tries):
    postgres.sql(database, FAULTY, code, 99)
    cp = start(database)
    reply, took = make(cp, "faulty")
    assert reply.status == status and reply.json["error"]["code"] == str(status), reply.body
    assert "as the test wants it" not in reply.body.decode() and took < 4
    assert postgres.sql(database, "SELECT last_value FROM weir.tries") == [(str(tries),)]
    nothing_of_it(postgres, database, "faulty")
    back(cp)


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_what_met_others_is_done_again(database, start, postgres, code):
    postgres.sql(database, FAULTY, code, 2)
    cp = start(database)
    assert make(cp, "faulty")[0].status == 200
    assert count(postgres, database, '"LiteLLM_VerificationToken"', "key_alias = 'faulty'") == 1
    assert count(postgres, database, '"LiteLLM_AuditLog"', "updated_values ->> 'key_alias' = 'faulty'") == 1


# --- a link that loses or delays


@pytest.fixture
def link(postgres):
    link = Link(postgres.dir / ".s.PGSQL.5432")
    yield link
    link.stop()


@pytest.fixture
def behind(link, database, start):
    return start(database.split("?")[0].replace("@localhost", f"@127.0.0.1:{link.port}"))


def test_packets_are_dropped(behind, database, link, postgres):
    make(behind, None)
    link.cut()
    refused_soon(behind, "lost")
    begun = time.monotonic()
    assert [make(behind, "lost")[0].status for _ in range(20)] == [503] * 20
    assert time.monotonic() - begun < 20  # known to be away: most are told at once
    link.mend()
    back(behind)
    nothing_of_it(postgres, database, "lost")


def test_a_slow_server_is_no_fault(behind, link):
    link.delay = 0.2
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(behind.get("/key/list").status)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    link.delay = 0.0
    assert statuses == [200] * 8 and "db_away" not in behind.log()
    assert behind.get("/health/readiness", key=None).status == 200


# --- no more connections


def test_out_of_connections(database, start, postgres):
    name, admin = postgres.name(database), postgres.url("postgres")
    postgres.sql(database, f"""CREATE ROLE busy_{name} LOGIN; ALTER DATABASE {name} OWNER TO busy_{name};
        GRANT ALL ON SCHEMA public, weir TO busy_{name}; GRANT ALL ON ALL TABLES IN SCHEMA public, weir TO busy_{name};
        GRANT ALL ON ALL SEQUENCES IN SCHEMA weir TO busy_{name}""")  # fmt: skip
    # the limit does not bind superusers
    cp = start(database.replace("weir@", f"busy_{name}@"), env={"DISABLE_SCHEMA_UPDATE": "true"})
    back(cp)
    postgres.sql(admin, f"""ALTER DATABASE {name} CONNECTION LIMIT 0;
        SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'""")  # fmt: skip
    refused_soon(cp, "crowded")
    postgres.sql(admin, f"ALTER DATABASE {name} CONNECTION LIMIT 50")
    back(cp)
    nothing_of_it(postgres, database, "crowded")


# --- another state than before


def test_an_older_backup(database, start, postgres):
    name, admin = postgres.name(database), postgres.url("postgres")
    cp = start(database)
    old = make(cp, "old")[0].json["key"]
    cp.wait(lambda: cp.get("/weir/audit/verify").json["verified"] == 1, what="sealed")
    end = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"

    def copy(source, target):  # nobody may be connected: those who are come back at once
        for _ in range(100):
            try:
                return postgres.sql(admin, f"ALTER DATABASE {source} ALLOW_CONNECTIONS false; {end}; CREATE DATABASE {target} TEMPLATE {source}")
            except AssertionError:
                time.sleep(0.05)
        raise AssertionError(f"{source} is in use")

    copy(name, f"{name}_backup")
    postgres.sql(admin, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true; ALTER DATABASE {name}_backup ALLOW_CONNECTIONS true")
    back(cp)
    new = make(cp, "new")[0].json["key"]
    assert cp.get("/key/info", key=new).status == 200
    postgres.sql(admin, f"DROP DATABASE {name} WITH (FORCE)")
    refused_soon(cp, "between")
    copy(f"{name}_backup", name)
    postgres.sql(admin, f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
    back(cp)
    assert cp.get("/key/info", key=old).status == 200
    assert cp.get("/key/info", key=new).status == 401  # known to be none
    nothing_of_it(postgres, database, "between")
    v = cp.wait(lambda: (v := cp.get("/weir/audit/verify").json)["pending"] == 0 and v, what="sealed again")
    assert v["broken"] == [] and v["verified"] >= 2


# --- the end


def test_what_was_accepted_is_finished(database, start, postgres):
    cp = start(database)
    answers, failed = [], []

    def work(i):
        for k in range(1000):
            try:
                answers.append(cp.post("/key/generate", {"key_alias": f"{i}-{k}"}))
            except (OSError, EOFError):
                failed.append(f"{i}-{k}")
                return

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    cp.wait(lambda: len(answers) > 20, what="some answers")
    os.kill(cp.process.pid, signal.SIGTERM)
    for t in threads:
        t.join()
    cp.inquest()
    assert {a.status for a in answers} == {200} and len(failed) == 6
    made = {t for (t,) in postgres.sql(database, 'SELECT token FROM "LiteLLM_VerificationToken"')}
    assert made == {sha256(a.json["key"]) for a in answers}  # each that was made was answered, and the reverse
    assert count(postgres, database, '"LiteLLM_AuditLog"') == len(made)

"""What may happen to a database while somebody uses it: name -> (begin, end), each of a Postgres and a URL."""


def set_read_only(pg, url, value):
    name = pg.name(url)
    pg.sql(pg.url("postgres"), f"ALTER DATABASE {name} SET default_transaction_read_only = {value}")
    end_connections(pg, url)


def end_connections(pg, url):
    pg.sql(pg.url("postgres"), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", pg.name(url))


def out_of_connections(pg, url, limit):
    pg.sql(pg.url("postgres"), f"ALTER DATABASE {pg.name(url)} CONNECTION LIMIT {limit}")
    if limit == 0:
        end_connections(pg, url)


def lowly(pg, url):
    """The URL of somebody whom limits bind, which superusers' are not, and who may migrate."""
    name = pg.name(url)
    pg.sql(pg.url("postgres"), f"CREATE ROLE low_{name} LOGIN; ALTER DATABASE {name} OWNER TO low_{name}")
    pg.sql(url, f"GRANT ALL ON SCHEMA public TO low_{name}")
    return url.replace("weir@", f"low_{name}@")


TROUBLE = {
    "stopped": (lambda pg, url: pg.stop("fast"), lambda pg, url: pg.start()),
    "frozen": (lambda pg, url: pg.freeze(), lambda pg, url: pg.thaw()),
    "read-only": (lambda pg, url: set_read_only(pg, url, "on"), lambda pg, url: set_read_only(pg, url, "off")),
    "out of connections": (lambda pg, url: out_of_connections(pg, url, 0), lambda pg, url: out_of_connections(pg, url, -1)),
}

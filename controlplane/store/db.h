#pragma once

/*
 * PostgreSQL for pool threads: connections of one lane, leased, each wait with a deadline. A server
 * that is frozen, full, read-only or gone costs a caller DB_WAIT_MS once; then everybody is told so
 * at once, until a probe with growing pauses finds it back.
 *
 *   db.c       connections: lease, connect, circuit
 *   tx.c       statements on a leased connection
 *   db_url.c   DATABASE_URL as LiteLLM writes it
 */

#include "common/err.h"

enum { DB_WAIT_MS = 2000 }; /* for a round trip that should take one millisecond */

enum db_fault {
    DB_OK,
    DB_AWAY,      /* unreachable, frozen, read-only, out of connections */
    DB_SLOW,      /* the statement ran into its timeout */
    DB_RETRY,     /* deadlock, serialisation, a plan gone stale: all of it again may work */
    DB_UNIQUE,    /* a row of that key exists */
    DB_REFERENCE, /* a row refers to, or is referred to by, another */
    DB_DATA,      /* a value the database does not take */
    DB_CANCELLED, /* whoever asked is gone */
    DB_NOMEM,
    DB_BUG, /* a statement that does not fit this database */
};

/* How long, and for whom, a thread may wait. */
struct db_wait {
    uint64_t deadline_ns;          /* monotonic; of the whole unit of work */
    const _Atomic bool *cancelled; /* NULL: never */
    int wake_fd;                   /* readable when *cancelled became true; -1: none */
};

/* What is known of the server, shared by the lanes. Zeroed and db_health_init() before use. */
struct db_health;
MUST_CHECK enum errc db_health_new(struct db_health **ret_h, struct err *e);
struct db_health *db_health_free(struct db_health *h);
/* It is a replica's, which nothing but reports are read from. */
void db_health_of_replica(struct db_health *h);
/* False while it is known to be away. */
bool db_health_is_up(struct db_health *h);

struct db_options {       /* borrowed by db_new(), which copies */
    const char *conninfo; /* for libpq: db_url_read() */
    const char *schema;   /* of LiteLLM's tables */
    const char *name;     /* of the lane, for pg_stat_activity */
    unsigned max_conns;
    unsigned statement_timeout_ms;
    bool no_prepare;      /* behind a pooler that forgets prepared statements */
    bool plans_each_time; /* with the values at hand */
    bool is_replica;      /* it need not be writable, and others serve while it is away */
    bool writes_much;     /* it goes to the disk as it is written, not at a checkpoint */
};

struct db;
MUST_CHECK enum errc db_new(struct db **ret_db, const struct db_options *o, struct db_health *h,
                            struct err *e);
/* Every lease must be back. */
struct db *db_free(struct db *db);
DEFINE_AUTO_FREE(db)
const struct db_options *db_options(const struct db *db);

/* ---- for tx.c ---- */

struct db_conn;

/* Lends a connection: an idle one (*ret_is_used then true: it may have died in its sleep) or a new
 * one. DB_AWAY, DB_CANCELLED, DB_NOMEM with the reason in `e`. */
enum db_fault db_lend(struct db *db, const struct db_wait *w, struct db_conn **ret_c,
                      bool *ret_is_used, struct err *e);

/* Ends the statement that runs on it, in the server as well; does not wait for it. */
void db_conn_cancel(struct db_conn *c);

/* Takes it back, to be used again or (`broken`) closed. */
void db_return(struct db *db, struct db_conn **take_c, bool broken);

/* The server did not answer, or said that it cannot serve: opens the circuit, drops idle ones. */
void db_is_away(struct db *db);

/* poll() on the connection until `deadline_ns` or the wait's end; DB_OK when it is ready. */
enum db_fault db_conn_poll(struct db_conn *c, short events, uint64_t deadline_ns,
                           const struct db_wait *w);

struct pg_conn *db_conn_pg(struct db_conn *c);

/* Statements prepared on this connection: as many as there is room for, the others go unprepared.
 */
bool db_conn_knows(const struct db_conn *c, uint64_t statement);
bool db_conn_may_learn(const struct db_conn *c);
void db_conn_learn(struct db_conn *c, uint64_t statement);

/* What an SQLSTATE means here. */
enum db_fault db_fault_of(const char *sqlstate);
/* ERRC_CLOSED: all of it again may work, once the server is back. */
enum errc errc_from_fault(enum db_fault f);
const char *db_fault_name(enum db_fault f);

/* Connections of a lane, and what all lanes know of the server. */

#include "store/db.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"

enum {
    CONNS_MAX = 64,
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 2000,
    SLICE_MS = 250, /* how often a wait looks whether others found the server away */
    KNOWN_SLOTS = 1024,
    CANCELS_MAX = 8,
};

struct db_conn {
    PGconn *pg;
    uint64_t known[KNOWN_SLOTS]; /* open addressing; 0 is free */
    unsigned n_known;
};

struct db_health {
    pthread_mutex_t lock;
    uint64_t away_until_ns; /* 0: it is up; else nobody tries before */
    unsigned failures;
    bool is_probing; /* one caller tries */
    struct err why;  /* the last failure's */
    bool is_replica;
    atomic_bool is_away;
};

struct db {
    struct db_options o;
    char *conninfo, *schema, *name;
    struct db_health *health;
    pthread_mutex_t lock;
    pthread_cond_t returned;
    struct db_conn *idle[CONNS_MAX]; /* the last one returned is lent first */
    unsigned n_idle, n_open;
};

/* ---- what is known of the server ---- */

enum errc db_health_new(struct db_health **ret_h, struct err *e)
{
    struct db_health *h = calloc(1, sizeof *h);

    if (!h || pthread_mutex_init(&h->lock, NULL)) {
        free(h);
        return err_set(e, ERRC_NOMEM, 0, "database");
    }
    *ret_h = h;
    return ERRC_OK;
}

struct db_health *db_health_free(struct db_health *h)
{
    if (h)
        (void)pthread_mutex_destroy(&h->lock);
    free(h);
    return NULL;
}

void db_health_of_replica(struct db_health *h)
{
    h->is_replica = true;
}

bool db_health_is_up(struct db_health *h)
{
    return !atomic_load(&h->is_away);
}

/* May this caller try to connect? While the server is away one at a time, with pauses. */
static bool health_may_connect(struct db_health *h)
{
    bool may = true;

    (void)pthread_mutex_lock(&h->lock);
    if (h->failures) {
        may = !h->is_probing && clock_mono_ns() >= h->away_until_ns;
        h->is_probing |= may;
    }
    (void)pthread_mutex_unlock(&h->lock);
    return may;
}

static void health_connected(struct db_health *h)
{
    (void)pthread_mutex_lock(&h->lock);
    if (h->failures)
        log_info(h->is_replica ? "replica_back" : "database_back", "after=%u", h->failures);
    h->failures = 0;
    h->is_probing = false;
    atomic_store(&h->is_away, false);
    (void)pthread_mutex_unlock(&h->lock);
}

/* Whoever tried went away before it could tell. */
static void health_gave_up(struct db_health *h)
{
    (void)pthread_mutex_lock(&h->lock);
    h->is_probing = false;
    (void)pthread_mutex_unlock(&h->lock);
}

static void health_failed(struct db_health *h, const char *why)
{
    (void)pthread_mutex_lock(&h->lock);
    if (!h->failures || strncmp(h->why.msg, why, sizeof h->why.msg - 1) != 0)
        log_error(
            h->is_replica ? "replica_away" : "database_away", "why=\"%s\" consequence=\"%s\"", why,
            h->is_replica ? "reports are read from the database" : "requests are answered 503");
    (void)snprintf(h->why.msg, sizeof h->why.msg, "%s", why);
    unsigned shift = MIN(h->failures, 5);
    uint64_t now = clock_mono_ns();
    uint64_t pause = MIN(clock_ms(BACKOFF_MIN_MS << shift), clock_ms(BACKOFF_MAX_MS));
    h->failures = MIN(h->failures + 1, 1000000);
    h->away_until_ns = now + pause / 2 + now % (pause / 2 + 1); /* no two planes in step */
    h->is_probing = false;
    atomic_store(&h->is_away, true);
    (void)pthread_mutex_unlock(&h->lock);
}

/* ---- one connection ---- */

static void discard_notice(void *ctx, const char *text)
{
    (void)ctx;
    (void)text;
}

static struct db_conn *conn_free(struct db_conn *c)
{
    if (c && c->pg)
        PQfinish(c->pg); /* does not wait: the socket is non-blocking */
    free(c);
    return NULL;
}

/*
 * ---- cancelling ----
 *
 * libpq does it on a connection of its own, and waits without a bound: so it is done on a thread
 * of its own, and left undone while many are at it. The server notices within a second then that
 * the connection is closed.
 */

static atomic_uint n_cancelling; /* the threads outlive every object they could count in */

static void *cancel_main(void *arg)
{
    PGcancel *cancel = arg;
    char why[256];

    (void)PQcancel(cancel, why, sizeof why);
    PQfreeCancel(cancel);
    (void)atomic_fetch_sub(&n_cancelling, 1);
    return NULL;
}

void db_conn_cancel(struct db_conn *c)
{
    PGcancel *cancel = NULL;
    pthread_attr_t attr;
    pthread_t thread;

    if (atomic_fetch_add(&n_cancelling, 1) < CANCELS_MAX)
        cancel = PQgetCancel(c->pg);
    if (cancel && pthread_attr_init(&attr) == 0) {
        (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
        if (pthread_create(&thread, &attr, cancel_main, cancel) == 0)
            cancel = NULL;
        (void)pthread_attr_destroy(&attr);
        if (!cancel)
            return;
    }
    PQfreeCancel(cancel);
    (void)atomic_fetch_sub(&n_cancelling, 1);
}

PGconn *db_conn_pg(struct db_conn *c)
{
    return c->pg;
}

bool db_conn_knows(const struct db_conn *c, uint64_t statement)
{
    for (unsigned i = 0; i < KNOWN_SLOTS; i++) {
        uint64_t at = c->known[(statement + i) % KNOWN_SLOTS];
        if (at == statement)
            return true;
        if (at == 0)
            return false;
    }
    return false;
}

bool db_conn_may_learn(const struct db_conn *c)
{
    return c->n_known < KNOWN_SLOTS / 2;
}

void db_conn_learn(struct db_conn *c, uint64_t statement)
{
    unsigned i = 0;

    while (c->known[(statement + i) % KNOWN_SLOTS])
        i++;
    c->known[(statement + i) % KNOWN_SLOTS] = statement;
    c->n_known++;
}

enum db_fault db_conn_poll(struct db_conn *c, short events, uint64_t deadline_ns,
                           const struct db_wait *w)
{
    bool may_wake = w->cancelled && w->wake_fd >= 0;
    struct pollfd fds[2] = {{.fd = PQsocket(c->pg), .events = events},
                            {.fd = w->wake_fd, .events = POLLIN}};

    for (;;) {
        uint64_t now = clock_mono_ns(), end = MIN(deadline_ns, w->deadline_ns);
        if (w->cancelled && atomic_load(w->cancelled))
            return DB_CANCELLED;
        if (now >= end)
            return DB_AWAY;
        int left = (int)MIN((end - now) / 1000000 + 1, (uint64_t)SLICE_MS);
        int n = poll(fds, may_wake ? 2 : 1, left);
        if (n < 0 && errno != EINTR)
            return DB_AWAY;
        if (n > 0 && fds[0].revents)
            return DB_OK;
    }
}

/* Runs a statement of our own while connecting. */
static enum db_fault conn_setup(struct db *db, struct db_conn *c, const struct db_wait *w,
                                uint64_t deadline_ns, struct err *e)
{
    static const char sql[] =
        "SELECT set_config('search_path', $1, false), set_config('TimeZone', 'UTC', false),"
        " set_config('statement_timeout', $2, false), set_config('lock_timeout', $2, false),"
        " set_config('idle_in_transaction_session_timeout', '10000', false),"
        " set_config('application_name', $3, false),"
        " set_config('default_transaction_isolation', 'read committed', false),"
        " set_config('plan_cache_mode', $4, false),"
        " CASE WHEN current_setting('server_version_num')::int >= 140000"
        " THEN set_config('client_connection_check_interval', '1000', false) END,"
        " (SELECT set_config('backend_flush_after', least($5::int, max_val::int)::text, false)"
        "  FROM pg_settings WHERE name = 'backend_flush_after' AND $5::int > 0)";
    char timeout[16];
    const char *values[] = {db->schema, timeout, db->name,
                            db->o.plans_each_time ? "force_custom_plan" : "auto",
                            db->o.writes_much ? "64" : "0"}; /* pages */
    enum db_fault fault = DB_OK;

    (void)snprintf(timeout, sizeof timeout, "%u", db->o.statement_timeout_ms);
    if (!PQsendQueryParams(c->pg, sql, ARRAY_LEN(values), NULL, values, NULL, NULL, 0) ||
        PQflush(c->pg) < 0)
        fault = DB_AWAY;
    while (!fault && PQisBusy(c->pg)) {
        fault = db_conn_poll(c, POLLIN, deadline_ns, w);
        if (!fault && !PQconsumeInput(c->pg))
            fault = DB_AWAY;
    }
    PGresult *r = fault ? NULL : PQgetResult(c->pg);
    if (!fault && PQresultStatus(r) != PGRES_TUPLES_OK) {
        (void)err_set(e, ERRC_PROTO, 0, "settings refused: %s", PQresultErrorMessage(r));
        fault = DB_AWAY;
    }
    PQclear(r);
    while (!fault && (r = PQgetResult(c->pg)))
        PQclear(r);
    return fault;
}

static enum db_fault conn_open(struct db *db, const struct db_wait *w, struct db_conn **ret_c,
                               struct err *e)
{
    static const char *const keys[] = {
        "dbname",           "application_name", "gssencmode", "target_session_attrs",
        "tcp_user_timeout", "client_encoding",  NULL};
    const char *values[] = {
        db->conninfo, db->name, "disable", db->o.is_replica ? "any" : "read-write",
        "5000",       "UTF8",   NULL};
    struct db_conn *c = calloc(1, sizeof *c);
    uint64_t deadline = clock_mono_ns() + clock_ms(DB_WAIT_MS);
    enum db_fault fault = DB_OK;

    if (!c)
        return DB_NOMEM;
    c->pg = PQconnectStartParams(keys, values, 1);
    if (!c->pg) {
        conn_free(c);
        return DB_NOMEM;
    }
    (void)PQsetNoticeProcessor(c->pg, discard_notice, NULL);
    PostgresPollingStatusType st =
        PQstatus(c->pg) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;
    while (!fault && st != PGRES_POLLING_OK && st != PGRES_POLLING_FAILED) {
        fault = db_conn_poll(c, st == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline, w);
        if (!fault)
            st = PQconnectPoll(c->pg);
    }
    if (!fault && (st == PGRES_POLLING_FAILED || PQsetnonblocking(c->pg, 1))) {
        /* libpq's text holds host and user, never the password */
        (void)err_set(e, ERRC_CLOSED, 0, "%s", PQerrorMessage(c->pg));
        fault = DB_AWAY;
    } else if (fault == DB_AWAY) {
        (void)err_set(e, ERRC_TIMEOUT, 0, "no connection within %d ms", DB_WAIT_MS);
    }
    if (!fault)
        fault = conn_setup(db, c, w, deadline, e);
    if (fault)
        conn_free(c);
    else
        *ret_c = c;
    return fault;
}

/* ---- leases ---- */

static void drop_idle(struct db *db)
{
    (void)pthread_mutex_lock(&db->lock);
    while (db->n_idle) {
        conn_free(db->idle[--db->n_idle]);
        db->n_open--;
    }
    (void)pthread_cond_broadcast(&db->returned);
    (void)pthread_mutex_unlock(&db->lock);
}

void db_is_away(struct db *db)
{
    health_failed(db->health, "no answer");
    drop_idle(db);
}

/* True: *ret_c is an idle one, or NULL and the right to open one. */
static bool take_slot(struct db *db, const struct db_wait *w, struct db_conn **ret_c)
{
    struct timespec until = clock_timespec(w->deadline_ns);
    bool got = false, late = false;

    (void)pthread_mutex_lock(&db->lock);
    while (!got && !late) {
        got = true;
        if (db->n_idle) {
            *ret_c = db->idle[--db->n_idle];
        } else if (db->n_open < db->o.max_conns) {
            db->n_open++;
            *ret_c = NULL;
        } else {
            got = false;
            late = pthread_cond_timedwait(&db->returned, &db->lock, &until) != 0;
        }
    }
    (void)pthread_mutex_unlock(&db->lock);
    return got;
}

static void give_slot(struct db *db, struct db_conn *c)
{
    (void)pthread_mutex_lock(&db->lock);
    if (c)
        db->idle[db->n_idle++] = c;
    else
        db->n_open--;
    (void)pthread_cond_signal(&db->returned);
    (void)pthread_mutex_unlock(&db->lock);
}

enum db_fault db_lend(struct db *db, const struct db_wait *w, struct db_conn **ret_c,
                      bool *ret_is_used, struct err *e)
{
    struct db_conn *c;

    if (!take_slot(db, w, &c)) {
        (void)err_set(e, ERRC_LIMIT, 0, "no free connection in time");
        return DB_SLOW;
    }
    *ret_is_used = c != NULL;
    if (!c) {
        enum db_fault fault = DB_AWAY;
        (void)err_set(e, ERRC_CLOSED, 0, "the database is away");
        if (health_may_connect(db->health)) {
            fault = conn_open(db, w, &c, e);
            if (!fault)
                health_connected(db->health);
            else if (fault == DB_AWAY)
                health_failed(db->health, e->msg);
            else
                health_gave_up(db->health);
        }
        if (fault) {
            give_slot(db, NULL);
            return fault;
        }
    }
    *ret_c = c;
    return DB_OK;
}

void db_return(struct db *db, struct db_conn **take_c, bool broken)
{
    struct db_conn *c = TAKE(*take_c);

    if (broken || PQstatus(c->pg) != CONNECTION_OK || PQtransactionStatus(c->pg) != PQTRANS_IDLE)
        c = conn_free(c);
    give_slot(db, c);
}

const struct db_options *db_options(const struct db *db)
{
    return &db->o;
}

enum errc db_new(struct db **ret_db, const struct db_options *o, struct db_health *h, struct err *e)
{
    struct db *db = calloc(1, sizeof *db);
    pthread_condattr_t attr;

    ASSERT(o->max_conns > 0 && o->max_conns <= CONNS_MAX);
    if (!db)
        return err_set(e, ERRC_NOMEM, 0, "database");
    db->o = *o;
    db->health = h;
    db->conninfo = strdup(o->conninfo);
    db->schema = strdup(o->schema);
    db->name = strdup(o->name);
    if (!db->conninfo || !db->schema || !db->name) {
        free(db->conninfo);
        free(db->schema);
        free(db->name);
        free(db);
        return err_set(e, ERRC_NOMEM, 0, "database");
    }
    db->o.conninfo = db->conninfo;
    db->o.schema = db->schema;
    db->o.name = db->name;
    (void)pthread_mutex_init(&db->lock, NULL); /* of default attributes: cannot fail on Linux */
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&db->returned, &attr);
    (void)pthread_condattr_destroy(&attr);
    *ret_db = db;
    return ERRC_OK;
}

struct db *db_free(struct db *db)
{
    if (!db)
        return NULL;
    drop_idle(db);
    ASSERT(db->n_open == 0);
    (void)pthread_cond_destroy(&db->returned);
    (void)pthread_mutex_destroy(&db->lock);
    free(db->conninfo);
    free(db->schema);
    free(db->name);
    free(db);
    return NULL;
}

/* ---- what the server says ---- */

enum db_fault db_fault_of(const char *sqlstate)
{
    static const struct {
        const char *prefix; /* the most particular first */
        enum db_fault fault;
    } rows[] = {
        {"40", DB_RETRY},   {"55P03", DB_RETRY},  {"0A000", DB_RETRY}, /* stale plan */
        {"26", DB_RETRY},                                              /* its statement is gone */
        {"57014", DB_SLOW}, {"25006", DB_AWAY},                        /* read-only */
        {"57P", DB_AWAY},   {"08", DB_AWAY},      {"53", DB_AWAY},         {"58", DB_AWAY},
        {"25P0", DB_AWAY},  {"23505", DB_UNIQUE}, {"23503", DB_REFERENCE}, {"23001", DB_REFERENCE},
        {"23", DB_DATA},    {"22", DB_DATA},      {"54", DB_DATA},
    };

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strncmp(sqlstate, rows[i].prefix, strlen(rows[i].prefix)) == 0)
            return rows[i].fault;
    return DB_BUG;
}

enum errc errc_from_fault(enum db_fault f)
{
    switch (f) {
    case DB_OK:
        return ERRC_OK;
    case DB_AWAY:
    case DB_SLOW:
    case DB_RETRY:
    case DB_CANCELLED:
        return ERRC_CLOSED;
    case DB_NOMEM:
        return ERRC_NOMEM;
    case DB_UNIQUE:
    case DB_REFERENCE:
    case DB_DATA:
    case DB_BUG:
        break;
    }
    return ERRC_INVALID;
}

const char *db_fault_name(enum db_fault f)
{
    static const char *const names[] = {"ok",        "away", "slow",      "retry", "unique",
                                        "reference", "data", "cancelled", "nomem", "bug"};
    return names[f];
}

/* Statements: sent, awaited with a deadline, their faults translated. */

#include "store/tx.h"

#include <libpq-fe.h>
#include <poll.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/num.h"

void tx_init(struct tx *tx, struct db *db, struct arena *arena, const struct db_wait *w)
{
    *tx = (struct tx){.db = db, .arena = arena, .wait = *w};
}

static void tx_fail(struct tx *tx, enum db_fault fault, const char *fmt, ...) PRINTF(3, 4);

static void tx_fail(struct tx *tx, enum db_fault fault, const char *fmt, ...)
{
    va_list ap;

    if (tx->fault)
        return;
    tx->fault = fault;
    tx->err.code = ERRC_PROTO;
    va_start(ap, fmt);
    (void)vsnprintf(tx->err.msg, sizeof tx->err.msg, fmt, ap);
    va_end(ap);
    for (char *p = tx->err.msg; *p; p++)
        if (*p == '\n')
            *p = ' ';
}

/* ---- values to libpq's form: text, NUL-terminated ---- */

static const char *texts_literal(struct arena *a, const struct db_arg *v)
{
    size_t n = 3;

    for (size_t i = 0; i < v->n; i++)
        n += 3 + 2 * v->texts[i].n;
    char *out = arena_alloc(a, n), *p = out;
    if (!out)
        return NULL;
    *p++ = '{';
    for (size_t i = 0; i < v->n; i++) {
        if (i)
            *p++ = ',';
        *p++ = '"';
        for (size_t k = 0; k < v->texts[i].n; k++) {
            char c = v->texts[i].p[k];
            if (c == '"' || c == '\\')
                *p++ = '\\';
            *p++ = c;
        }
        *p++ = '"';
    }
    *p++ = '}';
    *p = '\0';
    return out;
}

static const char *arg_text(struct arena *a, const struct db_arg *v)
{
    switch (v->type) {
    case ARG_NULL:
        return NULL;
    case ARG_TEXT:
        return v->text.n ? arena_str(a, v->text).p : "";
    case ARG_INT:
        return arena_printf(a, "%lld", (long long)v->i).p;
    case ARG_NUM:
        return arena_printf(a, "%.17g", v->num).p;
    case ARG_BOOL:
        return v->i ? "true" : "false";
    case ARG_TEXTS:
        return texts_literal(a, v);
    case ARG_BINARY:
        return v->text.p;
    }
    return NULL;
}

/* ---- waiting ---- */

/* Until the whole result is here. Nobody waits longer than the lane's statement timeout and what a
 * round trip may cost. */
static bool await(struct tx *tx)
{
    PGconn *pg = db_conn_pg(tx->conn);
    unsigned budget = DB_WAIT_MS, timeout = db_options(tx->db)->statement_timeout_ms;
    struct db_wait w = tx->wait;

    if (timeout > DB_WAIT_MS && tx->has_run)
        budget = timeout + DB_WAIT_MS;
    if (timeout <= DB_WAIT_MS)
        w.cancelled = NULL; /* it will not be long: a connection costs more */
    uint64_t deadline = clock_mono_ns() + budget * UINT64_C(1000000);
    if (tx->no_cancel)
        w = (struct db_wait){.deadline_ns = UINT64_MAX, .wake_fd = -1};
    for (;;) {
        int flushed = PQflush(pg);
        if (flushed < 0)
            return false;
        if (!flushed && !PQisBusy(pg))
            return true;
        enum db_fault fault =
            db_conn_poll(tx->conn, flushed ? POLLIN | POLLOUT : POLLIN, deadline, &w);
        if (fault) {
            tx_fail(tx, fault, fault == DB_CANCELLED ? "cancelled" : "no answer in time");
            tx->is_broken = true;
            if (fault == DB_CANCELLED)
                db_conn_cancel(tx->conn);
            if (fault == DB_AWAY && clock_mono_ns() >= deadline)
                db_is_away(tx->db);
            else if (fault == DB_AWAY)
                tx->fault = DB_SLOW; /* the request's own time is up */
            return false;
        }
        if (!PQconsumeInput(pg))
            return false;
    }
}

/* It is the server's last word on this connection. */
static bool is_fatal(const PGconn *pg, const PGresult *r)
{
    const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);

    return severity ? strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0
                    : PQresultStatus(r) == PGRES_FATAL_ERROR && PQstatus(pg) == CONNECTION_BAD;
}

/* The result of what was sent, the last one of several; NULL: the connection is lost, or given up.
 */
static PGresult *collect(struct tx *tx)
{
    PGconn *pg = db_conn_pg(tx->conn);
    PGresult *last = NULL, *r;
    bool is_dead;

    do {
        is_dead = !await(tx);
        r = is_dead ? NULL : PQgetResult(pg);
        is_dead |= r && is_fatal(pg, r);
        if (r) {
            PQclear(last);
            last = r;
        }
    } while (r && !is_dead);
    if (!is_dead)
        return last;
    PQclear(last);
    tx->is_broken = true;
    return NULL;
}

static bool tx_lease(struct tx *tx)
{
    if (tx->conn)
        return true;
    struct err e = {0};
    enum db_fault fault = db_lend(tx->db, &tx->wait, &tx->conn, &tx->is_used, &e);
    if (fault)
        tx_fail(tx, fault, "%s", e.msg);
    return !fault;
}

static void tx_release(struct tx *tx)
{
    if (tx->conn)
        db_return(tx->db, &tx->conn, tx->is_broken);
    tx->is_broken = false;
}

static void keep(struct tx *tx, PGresult *r)
{
    if (tx->n_results == tx->cap_results) {
        unsigned cap = tx->cap_results ? 2 * tx->cap_results : 16;
        PGresult **more = arena_alloc(tx->arena, cap * sizeof *more);
        if (!more) {
            PQclear(r);
            tx_fail(tx, DB_NOMEM, "no memory");
            return;
        }
        if (tx->n_results)
            memcpy(more, tx->results, tx->n_results * sizeof *more);
        tx->results = more;
        tx->cap_results = cap;
    }
    tx->results[tx->n_results++] = r;
}

static uint64_t fnv1a(const char *s)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);

    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT64_C(0x100000001b3);
    return h ? h : 1;
}

enum {
    ARGS_MAX = 64,
    LATER_MAX = 32, /* then they go at once */
};

struct statement {
    struct statement *next;
    const char *sql;
    bool is_script;   /* without values, not prepared, alone */
    bool is_prepared; /* in this round trip: a result of its own comes before */
    uint64_t id;      /* its name, where it is prepared */
    const char *value[ARGS_MAX];
    int length[ARGS_MAX], format[ARGS_MAX]; /* of binary ones */
    int n;
};

/* Its values as texts in the arena; sets the fault without memory. */
static void statement_init(struct tx *tx, struct statement *st, const char *sql,
                           const struct db_arg *args, int n_args)
{
    ASSERT(n_args <= ARGS_MAX);
    st->next = NULL;
    st->sql = sql;
    st->is_script = st->is_prepared = false;
    st->id = fnv1a(sql);
    st->n = n_args;
    for (int i = 0; i < n_args; i++) {
        st->value[i] = arg_text(tx->arena, &args[i]);
        st->length[i] = (int)args[i].text.n;
        st->format[i] = args[i].type == ARG_BINARY;
        if (!st->value[i] && args[i].type != ARG_NULL)
            tx_fail(tx, DB_NOMEM, "no memory");
    }
}

static bool send_statement(struct tx *tx, struct statement *st)
{
    PGconn *pg = db_conn_pg(tx->conn);
    bool is_known = db_conn_knows(tx->conn, st->id);
    char name[24];

    st->is_prepared = false;
    if (db_options(tx->db)->no_prepare || (!is_known && !db_conn_may_learn(tx->conn)))
        return PQsendQueryParams(pg, st->sql, st->n, NULL, st->value, st->length, st->format, 0);
    (void)snprintf(name, sizeof name, "w%016llx", (unsigned long long)st->id);
    if (!is_known) {
        if (!PQsendPrepare(pg, name, st->sql, st->n, NULL))
            return false;
        st->is_prepared = true;
        db_conn_learn(tx->conn, st->id);
    }
    return PQsendQueryPrepared(pg, name, st->n, st->value, st->length, st->format, 0);
}

/* Each answers when it is done, and so has its own time; but not BEGIN, which takes none. */
static bool send_all(struct tx *tx, struct statement *all)
{
    PGconn *pg = db_conn_pg(tx->conn);

    if (all->is_script)
        return PQsendQuery(pg, all->sql);
    if (!PQenterPipelineMode(pg))
        return false;
    for (struct statement *st = all; st; st = st->next)
        if (!send_statement(tx, st) || (st->n && st->next && !PQsendFlushRequest(pg)))
            return false;
    return PQpipelineSync(pg);
}

static bool is_fine(const PGresult *r)
{
    ExecStatusType st = PQresultStatus(r);

    return st == PGRES_TUPLES_OK || st == PGRES_COMMAND_OK;
}

/* How many rows the statement wrote. */
static uint64_t changed_by(PGresult *r)
{
    static const char *const verbs[] = {"INSERT", "UPDATE", "DELETE"};
    const char *status = PQcmdStatus(r);
    uint64_t n;

    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strncmp(status, verbs[i], strlen(verbs[i])) == 0 && num_u64(str_of(PQcmdTuples(r)), &n))
            return n;
    return 0;
}

/* Of all that was sent: the result of the first that failed, else of the last one. What a statement
 * outside of a transaction did is committed after its own result, and may fail then. */
static PGresult *collect_all(struct tx *tx, const struct statement *st)
{
    bool is_prepare = st->is_prepared;
    PGresult *kept = NULL, *r;

    while ((r = collect(tx)) && PQresultStatus(r) != PGRES_PIPELINE_SYNC) {
        tx->has_run = true;
        tx->is_broken |= is_prepare && !is_fine(r); /* it was said to be known */
        tx->n_changed += changed_by(r);
        if (!kept || is_fine(kept)) {
            PQclear(kept);
            kept = r;
        } else {
            PQclear(r);
        }
        if (!is_prepare && st)
            st = st->next;
        is_prepare = !is_prepare && st && st->is_prepared;
    }
    PQclear(r);
    if (r && PQexitPipelineMode(db_conn_pg(tx->conn)))
        return kept;
    PQclear(kept);
    tx->is_broken = true;
    return NULL;
}

/* One round trip; NULL with the fault set, or without when the connection died and no statement of
 * this unit has run: then it is tried once more. */
static PGresult *round_trip(struct tx *tx, struct statement *all)
{
    PGresult *r = NULL;

    if (send_all(tx, all))
        r = all->is_script ? collect(tx) : collect_all(tx, all);
    else
        tx->is_broken = true;
    if (!r && (!tx->is_used || tx->has_run))
        tx_fail(tx, DB_AWAY, "%s", PQerrorMessage(db_conn_pg(tx->conn)));
    return r;
}

static void translate_error(struct tx *tx, const PGresult *r)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    const char *constraint = PQresultErrorField(r, PG_DIAG_CONSTRAINT_NAME);
    enum db_fault fault = state ? db_fault_of(state) : DB_AWAY;

    (void)snprintf(tx->sqlstate, sizeof tx->sqlstate, "%s", state ? state : "");
    tx_fail(tx, fault, "%s %s%s%s", tx->sqlstate, text ? text : "connection lost",
            constraint ? " constraint=" : "", constraint ? constraint : "");
    if (fault == DB_AWAY || fault == DB_RETRY)
        tx->is_broken = true;
}

/* Its rows, which the unit keeps; none and the fault of one that failed. */
static struct rows rows_of(struct tx *tx, PGresult *r)
{
    tx->has_run = true;
    keep(tx, r);
    if (tx->fault)
        return (struct rows){0};
    if (!is_fine(r)) {
        translate_error(tx, r);
        return (struct rows){0};
    }
    return (struct rows){r, PQntuples(r)};
}

static struct rows run(struct tx *tx, struct statement *all)
{
    PGresult *r = NULL;

    ASSERT(!tx->asked);
    if (tx->wait.cancelled && !tx->no_cancel && atomic_load(tx->wait.cancelled))
        tx_fail(tx, DB_CANCELLED, "cancelled");
    while (!tx->fault && !r) {
        if (!tx_lease(tx))
            break;
        r = round_trip(tx, all);
        if (!r && !tx->fault)
            tx_release(tx); /* it died in its sleep: another */
    }
    return r ? rows_of(tx, r) : (struct rows){0};
}

/* What waits goes, and `last` with it (NULL: nothing). */
static struct rows run_later(struct tx *tx, struct statement *last)
{
    struct statement *all = tx->later, **end = &all;

    while (*end)
        end = &(*end)->next;
    *end = last;
    tx->later = NULL;
    return all ? run(tx, all) : (struct rows){0};
}

struct rows tx_query(struct tx *tx, const char *sql, const struct db_arg *args, int n_args)
{
    struct statement st;

    statement_init(tx, &st, sql, args, n_args);
    return run_later(tx, &st);
}

void tx_later(struct tx *tx, const char *sql, const struct db_arg *args, int n_args)
{
    struct statement *st = arena_alloc(tx->arena, sizeof *st), **end = &tx->later;
    unsigned n = 1;

    if (!st) {
        tx_fail(tx, DB_NOMEM, "no memory");
        return;
    }
    statement_init(tx, st, sql, args, n_args);
    for (; *end; n++)
        end = &(*end)->next;
    *end = st;
    if (n == LATER_MAX)
        (void)run_later(tx, NULL);
}

void tx_ask(struct tx *tx, const char *sql, const struct db_arg *args, int n_args)
{
    struct statement *st = arena_alloc(tx->arena, sizeof *st);

    (void)run_later(tx, NULL);
    if (!st) {
        tx_fail(tx, DB_NOMEM, "no memory");
        return;
    }
    statement_init(tx, st, sql, args, n_args);
    if (!tx_ok(tx) || !tx_lease(tx))
        return;
    if (send_all(tx, st)) {
        tx->asked = st;
        return;
    }
    tx_fail(tx, DB_AWAY, "%s", PQerrorMessage(db_conn_pg(tx->conn)));
    tx->is_broken = true;
}

struct rows tx_answer(struct tx *tx)
{
    const struct statement *st = tx->asked;
    PGresult *r = st ? collect_all(tx, st) : NULL;

    tx->asked = NULL;
    if (st && !r)
        tx_fail(tx, DB_AWAY, "%s", PQerrorMessage(db_conn_pg(tx->conn)));
    return r ? rows_of(tx, r) : (struct rows){0};
}

static struct rows run_script(struct tx *tx, const char *sql)
{
    struct statement st = {.sql = sql, .is_script = true};

    (void)run_later(tx, NULL);
    return run(tx, &st);
}

void tx_script(struct tx *tx, const char *sql)
{
    (void)run_script(tx, sql);
}

/* ---- COPY ---- */

void tx_copy_begin(struct tx *tx, const char *sql)
{
    ASSERT(tx->is_open || !tx_ok(tx));
    (void)run_later(tx, NULL); /* a connection that died in its sleep has shown then */
    if (!tx_ok(tx))
        return;
    PGconn *pg = db_conn_pg(tx->conn);
    PGresult *r = PQsendQuery(pg, sql) && await(tx) ? PQgetResult(pg) : NULL;
    if (PQresultStatus(r) == PGRES_COPY_IN) {
        PQclear(r);
        return;
    }
    if (r)
        translate_error(tx, r);
    PQclear(r);
    tx_fail(tx, DB_AWAY, "%s", PQerrorMessage(pg));
    tx->is_broken = true;
}

/* Until libpq holds nothing more of it. */
static void copy_flush(struct tx *tx)
{
    PGconn *pg = db_conn_pg(tx->conn);
    uint64_t deadline = clock_mono_ns() +
                        (db_options(tx->db)->statement_timeout_ms + DB_WAIT_MS) * UINT64_C(1000000);
    int left;

    while ((left = PQflush(pg)) > 0) {
        enum db_fault fault = db_conn_poll(tx->conn, POLLIN | POLLOUT, deadline, &tx->wait);
        if (!fault && PQconsumeInput(pg))
            continue;
        tx_fail(tx, fault ? fault : DB_AWAY, "no answer in time");
        tx->is_broken = true;
        return;
    }
    if (left < 0) {
        tx_fail(tx, DB_AWAY, "%s", PQerrorMessage(pg));
        tx->is_broken = true;
    }
}

void tx_copy_put(struct tx *tx, struct str bytes)
{
    if (!tx_ok(tx) || !bytes.n)
        return;
    if (PQputCopyData(db_conn_pg(tx->conn), bytes.p, (int)bytes.n) <= 0) {
        tx_fail(tx, DB_AWAY, "%s", PQerrorMessage(db_conn_pg(tx->conn)));
        tx->is_broken = true;
        return;
    }
    copy_flush(tx);
}

void tx_copy_end(struct tx *tx)
{
    if (!tx_ok(tx))
        return;
    if (PQputCopyEnd(db_conn_pg(tx->conn), NULL) <= 0) {
        tx_fail(tx, DB_AWAY, "%s", PQerrorMessage(db_conn_pg(tx->conn)));
        tx->is_broken = true;
        return;
    }
    PGresult *r = collect(tx);
    if (!r) {
        tx_fail(tx, DB_AWAY, "%s", PQerrorMessage(db_conn_pg(tx->conn)));
        return;
    }
    keep(tx, r);
    if (PQresultStatus(r) != PGRES_COMMAND_OK)
        translate_error(tx, r);
}

/* Alone where the next statement may take long: it shows whether the server answers at all. */
static void begin(struct tx *tx, const char *sql)
{
    ASSERT(!tx->is_open);
    if (db_options(tx->db)->statement_timeout_ms <= DB_WAIT_MS)
        TX_LATER0(tx, sql);
    else
        (void)TX_QUERY0(tx, sql);
    tx->is_open = tx_ok(tx);
}

void tx_begin(struct tx *tx)
{
    begin(tx, "BEGIN");
}

void tx_begin_read_only(struct tx *tx)
{
    begin(tx, "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY");
}

void tx_end_read_only(struct tx *tx)
{
    if (tx->is_open)
        (void)TX_QUERY0(tx, "COMMIT");
    tx->is_open = tx->is_open && !tx_ok(tx); /* else tx_end() undoes it */
}

void tx_open_cursor(struct tx *tx, const char *sql, const struct db_arg *args, int n_args)
{
    struct str declare = arena_printf(tx->arena, "DECLARE piece NO SCROLL CURSOR FOR %s", sql);

    tx_begin_read_only(tx);
    if (tx_ok(tx) && declare.n)
        (void)tx_query(tx, declare.p, args, n_args);
}

struct rows tx_fetch(struct tx *tx, unsigned most)
{
    char sql[64];

    (void)snprintf(sql, sizeof sql, "FETCH %u FROM piece", most);
    tx_forget(tx);
    /* not prepared: what it gives is the cursor's */
    return tx_ok(tx) ? run_script(tx, sql) : (struct rows){0};
}

void tx_open_bytes(struct tx *tx, const char *sql, const struct db_arg *args, int n_args)
{
    struct str declare =
        arena_printf(tx->arena, "DECLARE bytes BINARY NO SCROLL CURSOR FOR %s", sql);

    ASSERT(tx->is_open || !tx_ok(tx));
    if (tx_ok(tx) && declare.n)
        (void)tx_query(tx, declare.p, args, n_args);
}

static void forget_piece(struct tx *tx)
{
    if (tx->has_piece)
        PQclear(tx->results[--tx->n_results]);
    tx->has_piece = false;
}

struct rows tx_fetch_bytes(struct tx *tx, unsigned most)
{
    char sql[64];

    (void)snprintf(sql, sizeof sql, "FETCH %u FROM bytes", most);
    forget_piece(tx);
    unsigned n = tx->n_results;
    struct rows r = tx_ok(tx) ? run_script(tx, sql) : (struct rows){0};
    tx->has_piece = tx->n_results > n;
    return r;
}

void tx_close_bytes(struct tx *tx)
{
    forget_piece(tx);
    if (tx_ok(tx))
        (void)run_script(tx, "CLOSE bytes");
}

bool tx_commit(struct tx *tx)
{
    if (!tx_ok(tx))
        return false;
    ASSERT(tx->is_open);
    tx->no_cancel = true;
    (void)TX_QUERY0(tx, "COMMIT");
    tx->is_open = !tx_ok(tx);
    return tx_ok(tx);
}

void tx_forget(struct tx *tx)
{
    for (unsigned i = 0; i < tx->n_results; i++)
        PQclear(tx->results[i]);
    tx->has_piece = false;
    tx->results = NULL; /* the arena may be reset as well */
    tx->n_results = tx->cap_results = 0;
}

void tx_end(struct tx *tx)
{
    enum db_fault fault = tx->fault;

    tx->later = NULL;
    (void)tx_answer(tx);
    if (tx->conn && !tx->is_broken && PQtransactionStatus(db_conn_pg(tx->conn)) != PQTRANS_IDLE) {
        tx->fault = DB_OK;
        tx->no_cancel = true;
        (void)TX_QUERY0(tx, "ROLLBACK");
        tx->is_broken |= tx->fault != DB_OK;
    }
    tx->fault = fault;
    tx->is_open = tx->no_cancel = tx->has_run = false;
    tx_release(tx);
    tx_forget(tx);
}

int tx_socket(const struct tx *tx)
{
    return PQsocket(db_conn_pg(tx->conn));
}

int tx_backend(const struct tx *tx)
{
    return tx->conn ? PQbackendPID(db_conn_pg(tx->conn)) : 0;
}

bool tx_notified(struct tx *tx, int own, bool *ret_news)
{
    PGconn *pg = db_conn_pg(tx->conn);
    PGnotify *n;

    *ret_news = false;
    tx->is_broken |= !PQconsumeInput(pg);
    while (!tx->is_broken && (n = PQnotifies(pg))) {
        *ret_news |= n->be_pid != own;
        PQfreemem(n);
    }
    return !tx->is_broken;
}

/* ---- cells ---- */

int64_t rows_affected(struct rows r)
{
    uint64_t n = 0;

    /* libpq's text of a constant result */
    if (r.r && num_u64(str_of(PQcmdTuples((PGresult *)(uintptr_t)r.r)), &n))
        return (int64_t)n;
    return 0;
}

bool rows_is_null(struct rows r, int row, int col)
{
    return !r.r || row >= r.n || col >= PQnfields(r.r) || PQgetisnull(r.r, row, col);
}

struct str rows_text(struct rows r, int row, int col)
{
    if (rows_is_null(r, row, col))
        return (struct str){0};
    return (struct str){PQgetvalue(r.r, row, col), (size_t)PQgetlength(r.r, row, col)};
}

int64_t rows_int(struct rows r, int row, int col)
{
    int64_t v;

    return num_i64(rows_text(r, row, col), &v) ? v : 0;
}

double rows_num(struct rows r, int row, int col)
{
    struct str s = rows_text(r, row, col);

    return s.n ? strtod(s.p, NULL) : 0;
}

bool rows_bool(struct rows r, int row, int col)
{
    return str_eq(rows_text(r, row, col), STR("t"));
}

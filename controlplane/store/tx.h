#pragma once

/*
 * A unit of work: statements on one leased connection, alone or in a transaction. Faults stick:
 * the first one is kept, later statements return no rows, and one tx_ok() or tx_commit() at the end
 * decides; whoever runs the unit answers for the fault. Statements are constants, or composed of
 * constants and the catalogue's names (store/row.c); values travel beside them (threats R-06).
 */

#include "common/arena.h"

#include "store/db.h"

struct tx {
    enum db_fault fault;
    char sqlstate[6];
    struct err err;     /* for the log, never for the client */
    bool is_open;       /* in a transaction */
    bool no_cancel;     /* its end may not be interrupted any more */
    uint64_t n_changed; /* rows written by INSERT, UPDATE and DELETE so far */

    /* private */
    struct db *db;
    struct db_conn *conn;
    struct arena *arena;
    struct db_wait wait;
    bool is_used, is_broken, has_run, has_piece; /* of tx_fetch_bytes(), the last of the results */
    struct statement *later;                     /* they wait for the next one */
    struct statement *asked;                     /* sent, not answered */
    struct pg_result **results;                  /* in the arena; cleared by tx_end() */
    unsigned n_results, cap_results;
};

/* `db` and `arena` are borrowed until tx_end(). Takes no connection yet. */
void tx_init(struct tx *tx, struct db *db, struct arena *arena, const struct db_wait *w);

/* BEGIN; what follows is one transaction until tx_commit() or tx_end(). The one that only reads
 * sees one state of the database. */
void tx_begin(struct tx *tx);
void tx_begin_read_only(struct tx *tx);

/* Ends a transaction that only read; the next one may follow. */
void tx_end_read_only(struct tx *tx);

/* True when everything is written; the fault sticks otherwise, and may leave open whether it was.
 */
bool tx_commit(struct tx *tx);

static inline bool tx_ok(const struct tx *tx)
{
    return tx->fault == DB_OK;
}

/* Frees the rows read so far: for units that read more than memory holds. The arena may then be
 * reset too. */
void tx_forget(struct tx *tx);

/* Undoes what is not committed, gives the connection back, frees all rows. */
void tx_end(struct tx *tx);

/*
 * ---- LISTEN: a unit of work that keeps its connection ----
 *
 * The socket to poll for reading; then takes what came, news when it is of another process of the
 * server than `own` (tx_backend() of who runs the statements). False: the connection is lost.
 */
int tx_socket(const struct tx *tx);
int tx_backend(const struct tx *tx); /* 0: it has no connection */
MUST_CHECK bool tx_notified(struct tx *tx, int own, bool *ret_news);

/* ---- values ---- */

enum db_arg_type { ARG_NULL, ARG_TEXT, ARG_INT, ARG_NUM, ARG_BOOL, ARG_TEXTS, ARG_BINARY };

struct db_arg {
    enum db_arg_type type;
    struct str text; /* ARG_BINARY: its type's own form (store/array.h) */
    int64_t i;
    double num;
    const struct str *texts;
    size_t n;
};

#define DB_NULL        ((struct db_arg){.type = ARG_NULL})
#define DB_TEXT(s)     ((struct db_arg){.type = ARG_TEXT, .text = (s)})
#define DB_INT(v)      ((struct db_arg){.type = ARG_INT, .i = (v)})
#define DB_NUM(v)      ((struct db_arg){.type = ARG_NUM, .num = (v)})
#define DB_BOOL(v)     ((struct db_arg){.type = ARG_BOOL, .i = (v)})
#define DB_TEXTS(p, c) ((struct db_arg){.type = ARG_TEXTS, .texts = (p), .n = (c)}) /* text[] */
/* NULL for an absent text. */
#define DB_TEXT_OR_NULL(s) ((s).p ? DB_TEXT(s) : DB_NULL)

/* ---- statements ---- */

struct rows {
    const struct pg_result *r; /* NULL: none */
    int n;
};

struct rows tx_query(struct tx *tx, const char *sql, const struct db_arg *args, int n_args);
#define TX_QUERY(tx, sql, ...)                                                                     \
    tx_query((tx), (sql), (const struct db_arg[]){__VA_ARGS__},                                    \
             (int)ARRAY_LEN(((const struct db_arg[]){__VA_ARGS__})))
/* Without values. */
#define TX_QUERY0(tx, sql) tx_query((tx), (sql), NULL, 0)

/*
 * One whose rows nobody reads: it goes in the round trip of the next statement, before that, and
 * its fault is that one's. tx_end() drops what still waits.
 */
void tx_later(struct tx *tx, const char *sql, const struct db_arg *args, int n_args);
#define TX_LATER(tx, sql, ...)                                                                     \
    tx_later((tx), (sql), (const struct db_arg[]){__VA_ARGS__},                                    \
             (int)ARRAY_LEN(((const struct db_arg[]){__VA_ARGS__})))
#define TX_LATER0(tx, sql) tx_later((tx), (sql), NULL, 0)

/*
 * One that the database works on while the caller does something else: the next call is
 * tx_answer(), for its rows, or tx_end(), which waits for it. It is not tried again when the
 * connection turns out to be dead.
 */
void tx_ask(struct tx *tx, const char *sql, const struct db_arg *args, int n_args);
#define TX_ASK(tx, sql, ...)                                                                       \
    tx_ask((tx), (sql), (const struct db_arg[]){__VA_ARGS__},                                      \
           (int)ARRAY_LEN(((const struct db_arg[]){__VA_ARGS__})))
struct rows tx_answer(struct tx *tx);

/* Several statements in one text, without values and without rows; for migrations. */
void tx_script(struct tx *tx, const char *sql);

/*
 * COPY ... FROM STDIN: what tx_copy_put() is given goes out as it comes, without rows that come
 * back. After tx_copy_end() all of it is taken or the fault is set.
 */
void tx_copy_begin(struct tx *tx, const char *sql);
void tx_copy_put(struct tx *tx, struct str bytes);
void tx_copy_end(struct tx *tx);

/* How many rows a statement changed. */
int64_t rows_affected(struct rows r);

/*
 * ---- results larger than memory: a piece at a time ----
 *
 * tx_open_cursor() begins a transaction that only reads; each tx_fetch() gives the next rows,
 * `most` of them, none at the end, and frees those of the one before; tx_end_read_only() ends it.
 */
enum { TX_PIECE = 2000 /* rows of some KiB */ };
void tx_open_cursor(struct tx *tx, const char *sql, const struct db_arg *args, int n_args);
struct rows tx_fetch(struct tx *tx, unsigned most);

/*
 * The same of bytes as the database has them (numbers big-endian, bytea), in a transaction that is
 * open: one cursor after the other, no statements between, other results stay. tx_fetch_bytes()
 * frees the rows of the one before.
 */
void tx_open_bytes(struct tx *tx, const char *sql, const struct db_arg *args, int n_args);
struct rows tx_fetch_bytes(struct tx *tx, unsigned most);
void tx_close_bytes(struct tx *tx);

/* ---- cells; of a row or column that is not there: NULL ---- */
bool rows_is_null(struct rows r, int row, int col);
struct str rows_text(struct rows r, int row, int col); /* empty for NULL; NUL behind it */
int64_t rows_int(struct rows r, int row, int col);     /* 0 for NULL */
double rows_num(struct rows r, int row, int col);
bool rows_bool(struct rows r, int row, int col);

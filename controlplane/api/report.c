#include "api/report.h"

#include "common/clock.h"

#include "daemon.h"
#include "stream.h"

enum { LAG_MAX_MS = 10 * 1000, PROGRESS_MS = 60 * 1000 };

/* ---- where they read ---- */

/*
 * How far the replica is behind what the writer had written by now; 0 of a server that replays
 * nothing (a replica by other means than streaming). False: it cannot tell.
 */
static bool is_near(struct call *c, struct str written)
{
    struct rows r = TX_QUERY(
        &c->store.tx,
        "SELECT CASE WHEN NOT pg_is_in_recovery() OR pg_last_wal_replay_lsn() >= $1::pg_lsn THEN 0"
        " ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()),"
        "  1e6) * 1000 END::bigint",
        DB_TEXT(written));

    return tx_ok(&c->store.tx) && r.n == 1 && rows_int(r, 0, 0) <= LAG_MAX_MS;
}

static void read_from(struct call *c, struct db *db)
{
    struct tx *tx = &c->store.tx;

    tx_end(tx);
    tx_init(tx, db, c->store.arena, &c->wait);
}

void report_begin(struct call *c)
{
    struct tx *tx = &c->store.tx;

    if (!c->d->replica || c->avoid_replica || !tx_ok(tx))
        return;
    struct rows r = TX_QUERY0(tx, "SELECT pg_current_wal_lsn()");
    struct str written = arena_str(&c->arena, rows_text(r, 0, 0));
    if (!tx_ok(tx))
        return;
    read_from(c, c->d->replica);
    c->on_replica = is_near(c, written);
    if (!c->on_replica && tx->fault != DB_CANCELLED)
        read_from(c, c->d->db[LANE_REPORT]);
}

/* ---- how they go out ---- */

static bool write_piece(void *ctx, struct str piece)
{
    struct out *o = ctx;
    struct call *c = o->c;

    if (!c->stream)
        c->stream = stream_new(c, o->type);
    if (!c->stream || !stream_write(c->stream, piece))
        return false;
    /* whoever reads on may read on */
    c->store.tx.wait.deadline_ns =
        MAX(c->wait.deadline_ns, clock_mono_ns() + PROGRESS_MS * UINT64_C(1000000));
    return true;
}

void out_begin(struct out *o, struct call *c, struct str type)
{
    *o = (struct out){.c = c, .type = type};
    o->w = jw_init_sink(&c->arena, write_piece, o);
}

void out_begin_file(struct out *o, struct call *c, struct str type, struct str name)
{
    c->headers = arena_printf(&c->arena,
                              "Content-Disposition: attachment; filename=\"" STR_FMT
                              "\"\r\nCache-Control: no-store\r\n",
                              STR_ARG(name));
    out_begin(o, c, type);
}

bool out_wants(const struct out *o)
{
    return tx_ok(&o->c->store.tx) && arena_ok(&o->c->arena);
}

void out_end(struct out *o)
{
    struct call *c = o->c;
    struct str rest = jw_finish(&o->w);

    reply_text(c, o->type, rest);
    if (c->stream && out_wants(o) && stream_write(c->stream, rest))
        stream_end(c->stream);
}

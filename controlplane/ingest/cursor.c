#include "ingest/cursor.h"

#include "common/num.h"

struct spool_place cursor_lock(struct tx *tx, struct str spool)
{
    static const char find[] = "SELECT segment, \"offset\" FROM weir.spool"
                               " WHERE id = decode($1, 'hex') FOR NO KEY UPDATE";
    struct rows r = TX_QUERY(tx, find, DB_TEXT(spool));

    if (tx_ok(tx) && !r.n) {
        (void)TX_QUERY(tx,
                       "INSERT INTO weir.spool (id, segment, \"offset\")"
                       " VALUES (decode($1, 'hex'), 0, 0) ON CONFLICT DO NOTHING",
                       DB_TEXT(spool));
        r = TX_QUERY(tx, find, DB_TEXT(spool));
    }
    return (struct spool_place){(uint64_t)rows_int(r, 0, 0), (uint64_t)rows_int(r, 0, 1)};
}

void cursor_advance(struct tx *tx, struct str spool, struct spool_place to,
                    const struct spool_counts *more)
{
    (void)TX_QUERY(tx,
                   "UPDATE weir.spool SET segment = $2, \"offset\" = $3, records = records + $4,"
                   " refused = refused + $5, damaged = damaged + $6, at = clock_timestamp()"
                   " WHERE id = decode($1, 'hex')",
                   DB_TEXT(spool), DB_INT((int64_t)to.segment), DB_INT((int64_t)to.offset),
                   DB_INT((int64_t)more->records), DB_INT((int64_t)more->refused),
                   DB_INT((int64_t)more->damaged));
}

void cursor_gap(struct tx *tx, struct str spool, struct spool_place from, struct spool_place to)
{
    (void)TX_QUERY(tx,
                   "INSERT INTO weir.spool_gap (spool, from_segment, from_offset, to_segment,"
                   " to_offset) VALUES (decode($1, 'hex'), $2, $3, $4, $5)",
                   DB_TEXT(spool), DB_INT((int64_t)from.segment), DB_INT((int64_t)from.offset),
                   DB_INT((int64_t)to.segment), DB_INT((int64_t)to.offset));
}

void cursor_refuse(struct tx *tx, struct str spool, struct spool_place at, struct str record,
                   const char *why)
{
    char *hex = arena_alloc(tx->arena, 2 * record.n + 1);
    struct str text = {hex, hex ? num_put_hex(hex, record.p, record.n) : 0};

    (void)TX_QUERY(tx,
                   "INSERT INTO weir.spool_refused (spool, segment, \"offset\", record, why)"
                   " VALUES (decode($1, 'hex'), $2, $3, decode($4, 'hex'), $5)"
                   " ON CONFLICT DO NOTHING",
                   DB_TEXT(spool), DB_INT((int64_t)at.segment), DB_INT((int64_t)at.offset),
                   DB_TEXT(text), DB_TEXT(str_of(why)));
}

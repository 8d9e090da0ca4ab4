#include "ingest/cursor.h"

struct spool_place cursor_lock(struct tx *tx, struct str spool)
{
    static const char find[] = "SELECT segment, \"offset\" FROM weir.spool"
                               " WHERE id = decode($1, 'hex') FOR UPDATE";
    struct rows r = TX_QUERY(tx, find, DB_TEXT(spool));

    if (tx_ok(tx) && !r.n) {
        (void)TX_QUERY(tx,
                       "INSERT INTO weir.spool (id, segment, \"offset\")"
                       " VALUES (decode($1, 'hex'), 1, 0) ON CONFLICT DO NOTHING",
                       DB_TEXT(spool));
        r = TX_QUERY(tx, find, DB_TEXT(spool));
    }
    return (struct spool_place){(uint64_t)rows_int(r, 0, 0), (uint64_t)rows_int(r, 0, 1)};
}

void cursor_advance(struct tx *tx, struct str spool, struct spool_place to, uint64_t records,
                    uint64_t damaged)
{
    (void)TX_QUERY(tx,
                   "UPDATE weir.spool SET segment = $2, \"offset\" = $3, records = records + $4,"
                   " damaged = damaged + $5, at = clock_timestamp() WHERE id = decode($1, 'hex')",
                   DB_TEXT(spool), DB_INT((int64_t)to.segment), DB_INT((int64_t)to.offset),
                   DB_INT((int64_t)records), DB_INT((int64_t)damaged));
}

void cursor_gap(struct tx *tx, struct str spool, struct spool_place from, struct spool_place to)
{
    (void)TX_QUERY(tx,
                   "INSERT INTO weir.spool_gap (spool, from_segment, from_offset, to_segment,"
                   " to_offset) VALUES (decode($1, 'hex'), $2, $3, $4, $5)",
                   DB_TEXT(spool), DB_INT((int64_t)from.segment), DB_INT((int64_t)from.offset),
                   DB_INT((int64_t)to.segment), DB_INT((int64_t)to.offset));
}

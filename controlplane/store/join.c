#include "store/join.h"

#define TIME(column) "to_char(" column " AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')"
#define SHOWN                                                                                      \
    "jsonb_build_object('id', id, 'description', description, 'addresses', addresses,"             \
    " 'created_at', " TIME("created_at") ", 'created_by', created_by, 'expires', " TIME(           \
        "expires_at") ", 'revoked', " TIME("revoked_at") ")"

static yyjson_mut_val *first(struct store *s, struct rows r)
{
    return r.n ? store_json(s, rows_text(r, 0, 0)) : NULL;
}

yyjson_mut_val *join_insert(struct store *s, const struct join_row *row)
{
    return first(s,
                 TX_QUERY(&s->tx,
                          "INSERT INTO weir.\"join\" (id, hash, description, addresses, created_by,"
                          " expires_at) VALUES ($1, $2, $3, $4::text[], $5,"
                          " to_timestamp(nullif($6::float8, 0) / 1000000)) RETURNING " SHOWN,
                          DB_TEXT(row->id), DB_TEXT(row->hash), DB_TEXT_OR_NULL(row->description),
                          DB_TEXTS(row->addresses, row->n_addresses), DB_TEXT(row->created_by),
                          DB_INT(row->expires_us)));
}

yyjson_mut_val *join_revoke(struct store *s, struct str id)
{
    return first(s, TX_QUERY(&s->tx,
                             "UPDATE weir.\"join\" SET revoked_at = clock_timestamp()"
                             " WHERE id = $1 AND revoked_at IS NULL RETURNING " SHOWN,
                             DB_TEXT(id)));
}

yyjson_mut_val *join_all(struct store *s)
{
    struct rows r =
        TX_QUERY(&s->tx, "SELECT " SHOWN " FROM weir.\"join\" ORDER BY created_at DESC LIMIT $1",
                 DB_INT(1000));
    yyjson_mut_val *list = row_list(s);

    for (int i = 0; i < r.n; i++)
        row_append(s, list, store_json(s, rows_text(r, i, 0)));
    return list;
}

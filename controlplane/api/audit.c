/* The audit log read (litellm-controlplane.md 2.12), and its chain verified. */

#include "api/parts.h"
#include "audit/chain.h"
#include "config.h"
#include "daemon.h"
#include "store/filter.h"

enum { COUNT_MAX = 100000 };

static const char *order_of(struct call *c)
{
/* Entries of one millisecond stand in the order they were written. */
#define WRITTEN "(SELECT o.seq FROM weir.audit_origin o WHERE o.audit_id = t.id)"
#define COLUMN(name)                                                                               \
    {                                                                                              \
#name, "t." #name ", " WRITTEN ", t.id", "t." #name " DESC, " WRITTEN " DESC, t.id"        \
    }
    static const struct sort_column rows[] = {
        COLUMN(updated_at), COLUMN(changed_by), COLUMN(changed_by_api_key),
        COLUMN(action),     COLUMN(table_name), COLUMN(object_id),
        COLUMN(id),
    };
#undef COLUMN
#undef WRITTEN
    bool asc = str_ieq(in_text(c, "sort_order"), STR("asc"));

    return sort_order(c, rows, ARRAY_LEN(rows), asc ? rows[0].asc : rows[0].desc);
}

static void filter_entries(struct call *c, struct filter *f)
{
    static const struct {
        const char *name, *condition;
    } rows[] = {
        {"changed_by", "t.changed_by = $?"},
        {"changed_by_api_key", "t.changed_by_api_key = $?"},
        {"action", "t.action = $?"},
        {"table_name", "t.table_name = $?"},
        {"object_id", "t.object_id = $?"},
        {"start_date", "t.updated_at >= ($?::timestamptz AT TIME ZONE 'UTC')"},
        {"end_date", "t.updated_at <= ($?::timestamptz AT TIME ZONE 'UTC')"},
        {"search", "$? IN (t.id, t.changed_by, t.object_id, t.changed_by_api_key)"},
    };
    static const char *const inside[][2] = {{"object_team_id", "team_id"},
                                            {"object_key_hash", "token"}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (in_text(c, rows[i].name).n)
            FILTER_ADD(f, rows[i].condition, DB_TEXT(in_text(c, rows[i].name)));
    for (size_t i = 0; i < ARRAY_LEN(inside); i++) {
        struct str v = in_text(c, inside[i][0]), name = str_of(inside[i][1]);
        if (v.n)
            FILTER_ADD(
                f,
                "strpos(t.before_value ->> $?, $?) > 0 OR strpos(t.updated_values ->> $?, $?) > 0",
                DB_TEXT(name), DB_TEXT(v), DB_TEXT(name), DB_TEXT(v));
    }
}

void api_audit_list(struct call *c)
{
    struct store *s = &c->store;
    struct filter f = filter_init(s);
    int64_t page = in_int(c, "page"), size = in_int(c, "page_size"), total;
    const char *order = order_of(c);
    yyjson_mut_val *out = row_new(s);

    if (!order)
        return;
    filter_entries(c, &f);
    total = filter_count(s, TABLE_AUDIT, &f, COUNT_MAX);
    row_put(s, out, "audit_logs", filter_page(s, TABLE_AUDIT, &f, order, size, (page - 1) * size));
    row_put_int(s, out, "total", total);
    row_put_int(s, out, "page", page);
    row_put_int(s, out, "page_size", size);
    row_put_int(s, out, "total_pages", (total + size - 1) / size);
    reply(c, out);
}

void api_audit_info(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_param(c, 0);
    yyjson_mut_val *row = store_get(s, TABLE_AUDIT, id);

    if (row) {
        reply(c, row);
        return;
    }
    refuse_message(c, 404, "Audit log with ID " STR_FMT " not found", STR_ARG(id));
}

void api_audit_verify(struct call *c)
{
    struct chain_from from = {.seq = in_int(c, "after"), .mac = in_text(c, "hash")};
    yyjson_mut_val *out;

    if (from.mac.n && (from.mac.n != 2 * CHAIN_MAC || !from.seq)) {
        refuse(c, 400, "hash is of 64 hex digits, and that of the entry `after` names");
        return;
    }
    out = chain_verify(&c->store, &c->d->config->seal, &from);
    if (out)
        reply(c, out);
}

#include "audit/audit.h"

#include "api/sealed.h"

static const char *const actions[] = {"created", "updated", "deleted", "blocked", "rotated"};

/* Members of rows that are secrets themselves. Inside others a name tells (api/sealed.h). */
static const char *const secrets[] = {"password", "credential_values", "litellm_params",
                                      "param_value"};

struct str audit_actor(const struct call *c)
{
    if (c->caller.changed_by.n)
        return c->caller.changed_by;
    return c->caller.user_id.n ? c->caller.user_id : STR("default_user_id");
}

/* Secrets masked; nulls left out of rows, but not of changes: null is what the member became. */
static struct str value_of(struct call *c, const yyjson_mut_val *row, bool with_nulls)
{
    struct store *s = &c->store;
    yyjson_mut_val *out = row_new(s), *k, *v;
    size_t i, n;

    yyjson_mut_obj_foreach((yyjson_mut_val *)(uintptr_t)row, i, n, k, v)
    {
        bool is_secret = false;
        for (size_t x = 0; x < ARRAY_LEN(secrets); x++)
            is_secret |= yyjson_mut_equals_str(k, secrets[x]);
        if (with_nulls || !yyjson_mut_is_null(v))
            row_put(s, out, yyjson_mut_get_str(k),
                    is_secret ? yyjson_mut_str(s->doc, "********") : values_mask(c, v));
    }
    return row_json(s, out);
}

void audit_write(struct call *c, enum audit_action action, enum table t, struct str object_id,
                 const yyjson_mut_val *before, const yyjson_mut_val *after)
{
    struct store *s = &c->store;
    struct str id = store_uuid(s);

    ASSERT(s->tx.is_open || !tx_ok(&s->tx));
    if (!before && !after)
        return; /* nothing was written */
    c->n_audits++;
    TX_LATER(&s->tx,
             "WITH entry AS (INSERT INTO \"LiteLLM_AuditLog\" (id, updated_at, changed_by,"
             "  changed_by_api_key, action, table_name, object_id, before_value, updated_values)"
             " VALUES ($1, now(), $2, $3, $4, $5, $6, $7::jsonb, $8::jsonb))"
             " INSERT INTO weir.audit_origin (audit_id, ip, route, request_id)"
             " VALUES ($1, $9, $10, $11)",
             DB_TEXT(id), DB_TEXT(audit_actor(c)), DB_TEXT(c->caller.key_hash),
             DB_TEXT(str_of(actions[action])), DB_TEXT(str_of(s->catalog->table[t].name)),
             DB_TEXT(object_id), before ? DB_TEXT(value_of(c, before, false)) : DB_NULL,
             after ? DB_TEXT(value_of(c, after, before != NULL)) : DB_NULL, DB_TEXT(call_ip(c)),
             DB_TEXT(c->route->path), DB_TEXT(str_of(c->request_id)));
}

/* What a key's row is made of: columns, metadata, moments, the key itself
 * (litellm-controlplane.md 3.1, 3.2). */

#include <sys/random.h>

#include "common/clock.h"
#include "common/digest.h"
#include "common/gateway/duration.h"

#include "api/keys_priv.h"
#include "api/parts.h"
#include "audit/audit.h"
#include "config.h"
#include "daemon.h"

enum { KEY_BYTES_MAX = 64 };

/* Members of a request that are columns of the same name. */
static const char *const columns[] = {
    "key_alias",
    "models",
    "spend",
    "max_budget",
    "user_id",
    "team_id",
    "agent_id",
    "tpm_limit",
    "rpm_limit",
    "tpd_limit",
    "allowed_routes",
    "max_parallel_requests",
    "config",
    "permissions",
    "allowed_cache_controls",
    "model_max_budget",
    "aliases",
    "budget_fallbacks",
    "blocked",
    "budget_id",
    "router_settings",
    "organization_id",
    "project_id",
    "access_group_ids",
    "auto_rotate",
    "rotation_interval",
};

/* Members that are kept in the row's metadata. */
static const char *const in_metadata[] = {
    "model_rpm_limit",
    "model_tpm_limit",
    "mcp_rpm_limit",
    "tag_rpm_limit",
    "rpm_limit_type",
    "tpm_limit_type",
    "enforced_params",
    "temp_budget_increase",
    "temp_budget_expiry",
    "guardrails",
    "policies",
    "prompts",
    "tags",
    "disable_global_guardrails",
    "allowed_vector_store_indexes",
    "throttle_on_budget_exceeded",
    "allowed_passthrough_routes",
};

/* Columns that hold an object even when null was sent. */
static const char *const never_null[] = {"aliases", "config", "permissions", "model_max_budget",
                                         "budget_fallbacks"};

struct str key_random(struct call *c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned n = MIN(config_u32(&c->d->config->file, SETTING_ENV_LENGTH_OF_LITELLM_GENERATED_KEY),
                     KEY_BYTES_MAX);
    unsigned char raw[KEY_BYTES_MAX];
    char *out = arena_alloc(&c->arena, 3 + (size_t)n * 2 + 4), *p = out;
    uint32_t bits = 0;
    unsigned have = 0;

    if (!out)
        return (struct str){0};
    if (getrandom(raw, n, 0) != (ssize_t)n)
        abort(); /* a kernel without entropy makes no keys */
    memcpy(p, "sk-", 3);
    p += 3;
    for (unsigned i = 0; i < n; i++) {
        bits = bits << 8 | raw[i];
        for (have += 8; have >= 6; have -= 6)
            *p++ = digits[bits >> (have - 6) & 63];
    }
    if (have)
        *p++ = digits[bits << (6 - have) & 63];
    *p = '\0';
    return (struct str){out, (size_t)(p - out)};
}

/* Texts of moments, from durations; a key that never expires has none. */
void key_put_moments(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req)
{
    struct store *s = &c->store;
    int64_t now = clock_wall_us();
    struct duration d;

    if (row_sent(req, "duration")) {
        bool ends = duration_parse(row_text(req, "duration"), &d);
        row_put_text(s, row, "expires",
                     ends ? store_time(s, duration_after(d, now)) : (struct str){0});
    }
    limit_put_period(c, row, req);
    if (row_bool(req, "auto_rotate") && duration_parse(row_text(req, "rotation_interval"), &d))
        row_put_text(s, row, "key_rotation_at", store_time(s, duration_after(d, now)));
}

bool key_put_metadata(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req,
                      const yyjson_mut_val *stored)
{
    struct store *s = &c->store;
    yyjson_mut_val *sent = row_val(req, "metadata"), *made;
    yyjson_mut_val *account = row_val(stored, "service_account_id");
    bool changes = row_sent(req, "metadata") != NULL;

    made = sent ? row_copy(s, sent) : changes || !stored ? row_new(s) : row_copy(s, stored);
    if (account) {
        if (row_val(made, "service_account_id") &&
            !yyjson_mut_equals(row_val(made, "service_account_id"), account)) {
            refuse_text(c, 400,
                        "service_account_id is immutable once set and cannot be changed via "
                        "update.");
            return false;
        }
        row_put(s, made, "service_account_id", account);
    }
    for (size_t i = 0; i < ARRAY_LEN(in_metadata); i++) {
        yyjson_mut_val *v = row_val(req, in_metadata[i]);
        changes |= v != NULL;
        if (v)
            row_put(s, made, in_metadata[i], v);
    }
    if (changes || !stored)
        row_put(s, row, "metadata", made);
    return true;
}

void key_put_columns(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req, bool is_new)
{
    struct store *s = &c->store;

    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        yyjson_mut_val *v = row_sent(req, columns[i]);
        if (v && !(is_new && yyjson_mut_is_null(v)))
            row_put(s, row, columns[i], v);
    }
    for (size_t i = 0; i < ARRAY_LEN(never_null); i++)
        if (yyjson_mut_is_null(yyjson_mut_obj_get(row, never_null[i])))
            row_put(s, row, never_null[i], row_new(s));
}

void key_put_routes(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req)
{
    static const struct {
        struct str type;
        const char *group;
    } types[] = {
        {STR_INIT("llm_api"), "llm_api_routes"},
        {STR_INIT("management"), "management_routes"},
        {STR_INIT("read_only"), "info_routes"},
    };
    struct store *s = &c->store;
    struct str type = row_text(req, "key_type");

    if (!type.n)
        return;
    row_put_text(s, row, "key_type", type);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        if (!str_eq(type, types[i].type))
            continue;
        yyjson_mut_val *list = row_list(s);
        (void)yyjson_mut_arr_add_str(s->doc, list, types[i].group);
        row_put(s, row, "allowed_routes", list);
    }
}

void key_put_name(struct call *c, yyjson_mut_val *row, struct str key)
{
    if (!config_bool(&c->d->config->file, SETTING_ENV_DISABLE_KEY_NAME))
        row_put_text(&c->store, row, "key_name", key_masked(&c->arena, key));
}

/* A budget of its own for an alert. */
static void put_soft_budget(struct call *c, yyjson_mut_val *row, const yyjson_mut_val *req)
{
    struct store *s = &c->store;
    yyjson_mut_val *budget;
    double soft;

    if (!row_num(req, "soft_budget", &soft))
        return;
    budget = row_new(s);
    struct str id = store_uuid(s), by = audit_actor(c);
    row_put_text(s, budget, "budget_id", id);
    row_put_num(s, budget, "soft_budget", soft);
    if (row_val(req, "model_max_budget"))
        row_put(s, budget, "model_max_budget", row_val(req, "model_max_budget"));
    row_put_text(s, budget, "created_by", by);
    row_put_text(s, budget, "updated_by", by);
    (void)store_insert(s, TABLE_BUDGET, budget);
    audit_created(c, TABLE_BUDGET, id, budget);
    row_put_text(s, row, "budget_id", id);
}

yyjson_mut_val *key_new_row(struct call *c, const yyjson_mut_val *req, struct str key)
{
    struct store *s = &c->store;
    yyjson_mut_val *row = row_new(s);

    row_put_text(s, row, "token", sha256_hex(&c->arena, key));
    key_put_name(c, row, key);
    key_put_columns(c, row, req, true);
    key_put_moments(c, row, req);
    limit_put_windows(c, row, req);
    key_put_routes(c, row, req);
    if (!key_put_metadata(c, row, req, NULL))
        return NULL;
    object_permission_put(c, row, req, (struct str){0});
    put_soft_budget(c, row, req);
    if (!row_val(row, "models"))
        row_put(s, row, "models", row_list(s));
    row_put_text(s, row, "created_by", c->caller.user_id);
    row_put_text(s, row, "updated_by", c->caller.user_id);
    return row;
}

#include "auth/caller.h"

#include "common/clock.h"
#include "common/digest.h"

static const struct {
    enum role role;
    const char *name;
} roles[] = {
    {ROLE_ADMIN, "proxy_admin"},
    {ROLE_VIEWER, "proxy_admin_viewer"},
    {ROLE_USER, "internal_user"},
    {ROLE_USER_VIEWER, "internal_user_viewer"},
};

const char *role_name(enum role r)
{
    for (size_t i = 0; i < ARRAY_LEN(roles); i++)
        if (roles[i].role == r)
            return roles[i].name;
    return "None";
}

enum role role_of(struct str name)
{
    for (size_t i = 0; i < ARRAY_LEN(roles); i++)
        if (str_eq(name, str_of(roles[i].name)))
            return roles[i].role;
    return ROLE_USER;
}

static bool is_hash(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f')))
            return false;
    return s.n == 64;
}

struct str key_hash_of(struct arena *a, struct str key)
{
    return is_hash(key) ? key : sha256_hex(a, key);
}

struct str key_masked(struct arena *a, struct str key)
{
    struct str last = str_from(key, key.n > 4 ? key.n - 4 : 0);

    return arena_printf(a, "sk-..." STR_FMT, STR_ARG(last));
}

struct str key_shown(struct arena *a, struct str key)
{
    return is_hash(key) ? key : key_masked(a, key);
}

struct str key_abbreviated(struct arena *a, struct str key)
{
    if (key.n <= 8)
        return STR("****");
    return arena_printf(a, "%.4s****%.4s", key.p, key.p + key.n - 4);
}

static bool refuse(struct caller_refusal *r, unsigned status, const char *type, const char *param,
                   struct str message)
{
    *r = (struct caller_refusal){status, type, param, message};
    return false;
}

/* The credential, bare; false with a refusal. */
static bool find_key(const struct caller_header *h, struct arena *a, struct str *ret_key,
                     struct caller_refusal *r)
{
    enum bearer found = bearer_find(h->key_header, h->get, h->ctx, ret_key);

    if (found == BEARER_FOUND)
        return true;
    if (h->key_header.n)
        return refuse(r, 401, "auth_error", "None",
                      arena_printf(a,
                                   "Authentication Error, No LiteLLM Virtual Key pass. Please "
                                   "set header=" STR_FMT ": Bearer <api_key>",
                                   STR_ARG(h->key_header)));
    return refuse(r, 401, "auth_error", "None",
                  found == BEARER_NONE
                      ? STR("Authentication Error, No api key passed in.")
                      : STR("Authentication Error, Malformed API Key passed in. Ensure Key has "
                            "`Bearer ` prefix."));
}

/* The key's row with those of its team and user, and the user's organizations. */
static bool find_row(struct caller *c, struct store *s)
{
    struct rows r =
        TX_QUERY(&s->tx,
                 "SELECT to_jsonb(k), to_jsonb(t), to_jsonb(u),"
                 " (SELECT jsonb_agg(to_jsonb(m)) FROM \"LiteLLM_OrganizationMembership\" m"
                 "  WHERE m.user_id = k.user_id)"
                 " FROM \"LiteLLM_VerificationToken\" k"
                 " LEFT JOIN \"LiteLLM_TeamTable\" t ON t.team_id = k.team_id"
                 " LEFT JOIN \"LiteLLM_UserTable\" u ON u.user_id = k.user_id"
                 " WHERE k.token = coalesce("
                 "  (SELECT token FROM \"LiteLLM_VerificationToken\" WHERE token = $1),"
                 "  (SELECT d.active_token_id FROM \"LiteLLM_DeprecatedVerificationToken\" d"
                 "   WHERE d.token = $1 AND d.revoke_at > now()))",
                 DB_TEXT(c->key_hash));

    if (!r.n)
        return false;
    c->key = store_row(s, TABLE_KEY, rows_text(r, 0, 0));
    c->team = store_row(s, TABLE_TEAM, rows_text(r, 0, 1));
    c->user = store_row(s, TABLE_USER, rows_text(r, 0, 2));
    c->orgs = store_json(s, rows_text(r, 0, 3));
    return c->key != NULL;
}

static bool check_state(struct caller *c, struct store *s, struct str key, struct caller_refusal *r)
{
    struct str expires = row_text(c->key, "expires");
    struct str now = store_time(s, clock_wall_us());

    if (expires.p && memcmp(expires.p, now.p, MIN(expires.n - 1, now.n)) < 0)
        return refuse(r, 400, "expired_key", key_masked(s->arena, key).p,
                      arena_printf(s->arena,
                                   "Authentication Error - Expired Key. Key Expiry time " STR_FMT
                                   " and current time " STR_FMT "Z",
                                   STR_ARG(expires), STR_ARG(now)));
    if (row_bool(c->key, "blocked"))
        return refuse(r, 401, "auth_error", "None",
                      STR("Authentication Error, Key is blocked. Update via `/key/unblock` if "
                          "you're admin."));
    if (c->team && row_bool(c->team, "blocked"))
        return refuse(r, 401, "auth_error", "None",
                      arena_printf(s->arena,
                                   "Authentication Error, Team=" STR_FMT
                                   " is blocked. Update via `/team/unblock` if your admin.",
                                   STR_ARG(row_text(c->team, "team_id"))));
    return true;
}

bool caller_find(struct caller *c, struct store *s, const struct caller_header *h,
                 struct caller_refusal *r)
{
    struct arena *a = s->arena;
    struct str key = {0};

    *c = (struct caller){.changed_by = h->get(h->ctx, STR("litellm-changed-by"), NULL)};
    if (h->master_key.n && !find_key(h, a, &key, r))
        return false;
    if (!h->master_key.n || bearer_is(key, h->master_key)) {
        c->role = ROLE_ADMIN;
        c->is_master = true;
        c->user_id = STR("default_user_id");
        c->key_hash = sha256_hex(a, h->master_key);
        return true;
    }
    if (!str_starts(key, STR("sk-")))
        return refuse(
            r, 401, "auth_error", "None",
            arena_printf(a,
                         "Authentication Error, LiteLLM Virtual Key expected. Received=" STR_FMT
                         ", expected to start with 'sk-'.",
                         STR_ARG(key_abbreviated(a, key))));
    c->key_hash = sha256_hex(a, key);
    if (!find_row(c, s))
        return refuse(r, 401, "token_not_found_in_db", "key",
                      arena_printf(a,
                                   "Authentication Error, Invalid proxy server token passed. "
                                   "Received API Key = " STR_FMT ", Key Hash (Token) =" STR_FMT
                                   ". Unable to find token in cache or "
                                   "`LiteLLM_VerificationTokenTable`",
                                   STR_ARG(key_masked(a, key)), STR_ARG(c->key_hash)));
    if (!check_state(c, s, key, r))
        return false;
    c->key_hash = row_text(c->key, "token");
    c->user_id = row_text(c->key, "user_id");
    c->is_session = str_eq(row_text(c->key, "team_id"), STR("litellm-dashboard"));
    c->role = c->user ? role_of(row_text(c->user, "user_role")) : ROLE_NONE;
    return true;
}

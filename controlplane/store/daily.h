#pragma once

/*
 * LiteLLM's daily tables: sums by day, key, model, provider, endpoint and MCP tool, one table for
 * each kind of object. Of days that are over there are sums of fewer lines beside them
 * (store/migrations/0012_daily_sums.sql), read instead where they say as much.
 *
 * Rows of provisioned capacity (LiteLLM's key "__ptu_flat_cost__") are nobody's requests and left
 * out.
 */

#include "store/store.h"

#define DAILY_KINDS_OF(X)                                                                          \
    X(USER, "user", "LiteLLM_DailyUserSpend", "user_id")                                           \
    X(TEAM, "team", "LiteLLM_DailyTeamSpend", "team_id")                                           \
    X(ORGANIZATION, "organization", "LiteLLM_DailyOrganizationSpend", "organization_id")           \
    X(CUSTOMER, "customer", "LiteLLM_DailyEndUserSpend", "end_user_id")                            \
    X(TAG, "tag", "LiteLLM_DailyTagSpend", "tag")                                                  \
    X(AGENT, "agent", "LiteLLM_DailyAgentSpend", "agent_id")

enum daily_kind {
#define X(id, name, table, entity) DAILY_##id,
    DAILY_KINDS_OF(X)
#undef X
        DAILY_KINDS,
};

struct daily_list { /* of ids; not given: any */
    bool is_given;
    const struct str *id;
    size_t n;
};

struct daily_scope {
    enum daily_kind kind;
    struct str from, to; /* YYYY-MM-DD, both included */
    struct str model;    /* empty: any */
    struct daily_list entities, excluded, keys;
};

/* What a statement that adds up tells apart beside days; columns of other grains are at random. */
enum daily_grain {
    DAILY_ROWS,      /* all there is: it reads LiteLLM's rows */
    DAILY_BY_CELL,   /* model, group, provider, endpoint, tool */
    DAILY_BY_ENTITY, /* the object */
    DAILY_BY_KEY,    /* object and key */
};

/*
 * A statement over the scope; its parts are constants:
 *
 *     WITH k AS (SELECT <columns> <metrics> FROM <table> d WHERE <scope> <tail>) <outer>
 *
 * `metrics` is one of metrics.h, or NULL; `outer` NULL: the rows of k themselves. The object is
 * d.entity; values beyond the scope's are $7 and so on. Beyond DAILY_ROWS d.n is how many rows a
 * line adds up.
 */
struct daily_statement {
    const char *columns, *metrics, *tail, *outer;
    enum daily_grain grain;
};
enum { DAILY_ARGS = 6, DAILY_EXTRA_MAX = 8 };
struct rows daily_query(struct store *s, const struct daily_scope *scope,
                        const struct daily_statement *st, const struct db_arg *extra, int n_extra);
#define DAILY_QUERY(s, scope, st, ...)                                                             \
    daily_query((s), (scope), (st), (const struct db_arg[]){__VA_ARGS__},                          \
                (int)ARRAY_LEN(((const struct db_arg[]){__VA_ARGS__})))
#define DAILY_QUERY0(s, scope, st) daily_query((s), (scope), (st), NULL, 0)

/* The same as a cursor: tx_fetch(). */
void daily_open_cursor(struct store *s, const struct daily_scope *scope,
                       const struct daily_statement *st);

/* What is known of keys, by key: key_alias, team_id, user_id, user_email, key_exists as JSON. */
struct rows daily_keys(struct store *s, const struct str *keys, size_t n);
/* The same of objects of a kind: their names. A tag has none. */
struct rows daily_entities(struct store *s, enum daily_kind kind, const struct str *ids, size_t n);

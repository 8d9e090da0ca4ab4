#pragma once

/*
 * LiteLLM's daily tables: sums by day, key, model, provider, endpoint and MCP tool, one table for
 * each kind of object.
 *
 * Rows of provisioned capacity (LiteLLM's key "__ptu_flat_cost__") are nobody's requests and left
 * out.
 */

#include "store/store.h"

#define DAILY_KINDS_OF(X)                                                                          \
    X(USER, "LiteLLM_DailyUserSpend", "user_id")                                                   \
    X(TEAM, "LiteLLM_DailyTeamSpend", "team_id")                                                   \
    X(ORGANIZATION, "LiteLLM_DailyOrganizationSpend", "organization_id")                           \
    X(CUSTOMER, "LiteLLM_DailyEndUserSpend", "end_user_id")                                        \
    X(TAG, "LiteLLM_DailyTagSpend", "tag")                                                         \
    X(AGENT, "LiteLLM_DailyAgentSpend", "agent_id")

enum daily_kind {
#define X(id, table, entity) DAILY_##id,
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

/*
 * A statement over the scope; its parts are constants:
 *
 *     WITH k AS (SELECT <columns> <metrics> FROM <table> d WHERE <scope> <tail>) <outer>
 *
 * `metrics` is one of metrics.h, or NULL; `outer` NULL: the rows of k themselves. The object is
 * d.entity; values beyond the scope's are $7 and so on.
 */
struct daily_statement {
    const char *columns, *metrics, *tail, *outer;
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

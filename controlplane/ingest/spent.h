#pragma once

/*
 * What a record of the spool says of one exchange, fit for the database: texts are UTF-8 without
 * NUL, times are days that exist, amounts are such that sums of them hold. Pure.
 */

#include "common/arena.h"
#include "common/date.h"
#include "common/gateway/spool_record.h"

#include "weir.pb-c.h"

enum {
    SPENT_TAGS = 34, /* 32 of the request, two of the user agent */
    SPENT_BUDGET_GROUPS = 8,
};

struct spent {
    const Weir__UsageRecord *m; /* its numbers */
    const Weir__Usage *u;       /* never NULL */
    struct spool_id place;      /* no two records of a spool have the same */
    struct str spool, raw;      /* its spool in hex, the whole record: the caller's */
    struct str id;              /* of the row: ids.c */
    struct str call_id, response_id, asked, group, deployment, model, provider, api_base;
    struct str key, key_alias, team, user, organization, project, end_user;
    struct str ip, trace, agent, error;
    struct str *tags, *budget_groups;
    size_t n_tags, n_budget_groups;
    int64_t start_ms, first_ms, end_ms; /* wall clock */
    int32_t day;                        /* since 1970, UTC, of the start */
    char date[DATE_TEXT];
    int64_t prompt, completion, cache_read, cache_written, nusd;
    int64_t requests; /* of the caller: 0 for one that was tried again */
    bool is_failure;
    int64_t series, hour; /* of its entry: entries.c */
};

enum spent_read {
    SPENT_OK,
    SPENT_OTHER,       /* not usage: a newer data plane's */
    SPENT_BROKEN,      /* not a message */
    SPENT_IMPLAUSIBLE, /* amounts no exchange has */
};

/*
 * Reads a whole record. `a` holds what is not borrowed from it; overflow sticks there. With
 * `agent_tags` the user agent becomes tags as LiteLLM makes them. `now_ms` stands for a time that
 * cannot be.
 */
enum spent_read spent_read(struct spent *ret, const struct spool_entry *en, bool agent_tags,
                           int64_t now_ms, struct arena *a);
const char *spent_read_name(enum spent_read r);

/* "acompletion", and "/chat/completions", which is empty where LiteLLM has none. */
struct str spent_call_type(const struct spent *s);
struct str spent_endpoint(const struct spent *s);

/* The status that a failure is told by, and LiteLLM's name of it. */
unsigned spent_error_status(const struct spent *s);
struct str spent_error_class(const struct spent *s);

static inline int64_t spent_duration_ms(const struct spent *s)
{
    return s->end_ms > s->start_ms ? s->end_ms - s->start_ms : 0;
}

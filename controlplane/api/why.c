/*
 * GET /weir/requests/{id}: what was decided for a request, exchange by exchange, from its rows:
 * where it went, what came back, what that cost and by which reckoning. Found by our id or the
 * provider's; of others' requests nothing is said.
 */

#include "api/reply.h"
#include "daemon.h"

enum { EXCHANGES_MAX = 100 };

/* ---- which rows ---- */

#define COLUMNS                                                                                    \
    "SELECT to_jsonb(x)::text FROM (SELECT request_id, litellm_call_id, session_id, call_type,"    \
    " api_key, \"user\", team_id, organization_id, end_user, status, model, model_group, "         \
    "model_id,"                                                                                    \
    " custom_llm_provider, api_base, spend, prompt_tokens, completion_tokens, \"startTime\","      \
    " \"completionStartTime\", \"endTime\", request_tags, requester_ip_address, metadata"          \
    " FROM \"LiteLLM_SpendLogs\" WHERE "
#define NEWEST " ORDER BY \"startTime\" DESC LIMIT 1) x"

/* A row is found by its own id, which is the provider's mostly; by ours through the session, which
 * is the same unless the client names one; else through the entry that each row has. */
static yyjson_mut_val *find(struct store *s, struct str id)
{
    static const char *const by[] = {
        COLUMNS "request_id = $1" NEWEST,
        COLUMNS "session_id = $1 AND litellm_call_id = $1" NEWEST,
        COLUMNS "(\"startTime\", request_id) IN (SELECT at, request_id FROM weir.log"
                " WHERE call_id = weir.log_hash($1)) AND litellm_call_id = $1" NEWEST,
    };
    yyjson_mut_val *row = NULL;

    for (size_t i = 0; i < ARRAY_LEN(by) && !row && tx_ok(&s->tx); i++) {
        struct rows r = TX_QUERY(&s->tx, by[i], DB_TEXT(id));
        row = r.n ? store_json(s, rows_text(r, 0, 0)) : NULL;
    }
    return row;
}

/* All exchanges of the row's request, in order; of an old row of LiteLLM itself alone. */
static yyjson_mut_val *exchanges_of(struct store *s, yyjson_mut_val *row)
{
    struct str call = row_text(row, "litellm_call_id");
    yyjson_mut_val *list = row_list(s);

    if (!call.n) {
        row_append(s, list, row);
        return list;
    }
    struct rows r = TX_QUERY(
        &s->tx,
        COLUMNS
        "session_id = $1 AND litellm_call_id = $2 ORDER BY"
        " (metadata -> 'weir' ->> 'attempt')::integer NULLS FIRST, \"startTime\", request_id"
        " LIMIT $3) x",
        DB_TEXT(row_text(row, "session_id")), DB_TEXT(call), DB_INT(EXCHANGES_MAX));
    for (int i = 0; i < r.n; i++)
        row_append(s, list, store_json(s, rows_text(r, i, 0)));
    return list;
}

/* Who may ask: the key itself, its user, who runs its team, who sees everything. */
static bool is_visible(struct call *c, const yyjson_mut_val *row)
{
    const struct caller *who = &c->caller;
    struct str key = row_text(row, "api_key"), team_id = row_text(row, "team_id");

    if (rbac_sees_all(who) || rbac_is_self(who, row_text(row, "user")) ||
        (key.n && str_eq(key, who->key_hash)))
        return true;
    yyjson_mut_val *team = team_id.n ? store_get(&c->store, TABLE_TEAM, team_id) : NULL;
    return team && rbac_runs_team(who, team);
}

/* ---- in words ---- */

static const struct {
    const char *code, *text;
} errors[] = {
#define ERROR(id, status, type, code, message) {code, message},
#include "proto/errors.def"
#undef ERROR
};

static const char *error_text(struct str code)
{
    for (size_t i = 0; i < ARRAY_LEN(errors); i++)
        if (str_eq(code, str_of(errors[i].code)))
            return errors[i].text;
    return "";
}

static double num(const yyjson_mut_val *v, const char *name)
{
    double d = 0;

    return row_num(v, name, &d) ? d : 0;
}

static long long whole(const yyjson_mut_val *v, const char *name)
{
    return (long long)num(v, name);
}

/* "$0.0000125": up to a billionth, without zeros that say nothing. */
static struct str dollars(struct arena *a, double usd)
{
    struct str s = arena_printf(a, "$%.9f", usd);

    while (s.n > 4 && s.p[s.n - 1] == '0')
        s.n--;
    return s;
}

static struct str where_to(struct call *c, const yyjson_mut_val *row, const yyjson_mut_val *ours)
{
    struct str asked = row_text(ours, "asked_model"), group = row_text(row, "model_group");
    struct str base = row_text(row, "api_base"), id = row_text(row, "model_id");
    struct str at = rbac_sees_all(&c->caller) && base.n
                        ? arena_printf(&c->arena, " at " STR_FMT, STR_ARG(base))
                        : STR("");

    if (asked.n)
        asked = arena_printf(&c->arena, " (asked for as " STR_FMT ")", STR_ARG(asked));
    return arena_printf(&c->arena,
                        "Attempt %lld: " STR_FMT STR_FMT " went to deployment " STR_FMT ": " STR_FMT
                        " of " STR_FMT STR_FMT ".",
                        MAX(whole(ours, "attempt"), 1LL), STR_ARG(group.n ? group : STR("it")),
                        STR_ARG(asked), STR_ARG(id.n ? id : STR("unknown")),
                        STR_ARG(row_text(row, "model")),
                        STR_ARG(row_text(row, "custom_llm_provider")), STR_ARG(at));
}

static struct str what_came(struct call *c, const yyjson_mut_val *ours)
{
    struct arena *a = &c->arena;
    struct str code = row_text(ours, "error"), out;
    long long upstream = whole(ours, "upstream_status");

    if (row_bool(ours, "died"))
        return STR("The worker that served it died; what had passed by then was settled.");
    if (!code.n)
        return arena_printf(a, "It answered %lld after %.3f ms, the first byte after %.3f ms.",
                            upstream, num(ours, "upstream_ms"), num(ours, "first_byte_ms"));
    out = arena_printf(a, "It failed after %.3f ms: " STR_FMT, num(ours, "upstream_ms"),
                       STR_ARG(code));
    if (upstream)
        out = arena_printf(a, STR_FMT ", the provider answered %lld", STR_ARG(out), upstream);
    return arena_printf(a, STR_FMT ". %s", STR_ARG(out), error_text(code));
}

static const char *reckoning(const yyjson_mut_val *row, const yyjson_mut_val *ours)
{
    if (row_bool(ours, "estimated"))
        return "estimated";
    return whole(row, "prompt_tokens") || whole(row, "completion_tokens") ? "reported" : "none";
}

static struct str what_it_cost(struct call *c, const yyjson_mut_val *row,
                               const yyjson_mut_val *ours, const yyjson_mut_val *cost)
{
    struct arena *a = &c->arena;
    const char *how = reckoning(row, ours);
    struct str total = dollars(a, num(row, "spend")), in = dollars(a, num(cost, "input_cost"));
    struct str out = dollars(a, num(cost, "output_cost"));

    if (str_eq(str_of(how), STR("none")))
        return STR("No tokens were counted, and nothing was billed.");
    return arena_printf(
        a, "%lld tokens in, %lld out, %s; " STR_FMT ": input " STR_FMT ", output " STR_FMT "%s.",
        whole(row, "prompt_tokens"), whole(row, "completion_tokens"),
        str_eq(str_of(how), STR("reported")) ? "as the provider reported"
                                             : "estimated, for the provider did not report them",
        STR_ARG(total), STR_ARG(in), STR_ARG(out),
        row_bool(ours, "unpriced") ? "; no price is known for some of it" : "");
}

static void put_words(struct call *c, yyjson_mut_val *list, const yyjson_mut_val *row)
{
    struct store *s = &c->store;
    const yyjson_mut_val *metadata = row_val(row, "metadata"), *ours = row_val(metadata, "weir");

    row_append_text(s, list, where_to(c, row, ours));
    row_append_text(s, list, what_came(c, ours));
    if (row_bool(ours, "client_gone"))
        row_append_text(s, list, STR("The client left before the end."));
    row_append_text(s, list, what_it_cost(c, row, ours, row_val(metadata, "cost_breakdown")));
    if (row_bool(ours, "retried"))
        row_append_text(s, list, STR("It was tried again."));
    else
        row_append_text(
            s, list, arena_printf(&c->arena, "The client got status %lld.", whole(ours, "status")));
}

/* ---- as members ---- */

/* Dollars of a million tokens, as it was billed. */
static void put_price(struct store *s, yyjson_mut_val *out, const char *name, double usd,
                      double tokens)
{
    if (tokens > 0 && usd > 0)
        row_put_num(s, out, name, usd * 1e6 / tokens);
}

static void put_cost(struct store *s, yyjson_mut_val *out, const yyjson_mut_val *metadata)
{
    const yyjson_mut_val *cost = row_val(metadata, "cost_breakdown");
    const yyjson_mut_val *usage = row_val(metadata, "usage_object");
    double read = num(cost, "cache_read_cost"), written = num(cost, "cache_creation_cost");
    double n_read = num(usage, "cache_read_input_tokens");
    double n_written = num(usage, "cache_creation_input_tokens");
    yyjson_mut_val *price = row_new(s);

    put_price(s, price, "input", num(cost, "input_cost") - read - written,
              num(usage, "prompt_tokens") - n_read - n_written);
    put_price(s, price, "cache_read", read, n_read);
    put_price(s, price, "cache_write", written, n_written);
    put_price(s, price, "output", num(cost, "output_cost"), num(usage, "completion_tokens"));
    row_put(s, out, "cost", cost);
    row_put(s, out, "usd_per_million_tokens", price);
    row_put(s, out, "usage", usage);
}

static yyjson_mut_val *exchange(struct call *c, const yyjson_mut_val *row)
{
    static const struct {
        const char *name, *column;
        enum { OF_ROW, OF_METADATA, OF_OURS } place;
    } members[] = {
        {"attempt", "attempt", OF_OURS},
        {"row", "request_id", OF_ROW},
        {"response_id", "response_id", OF_OURS},
        {"deployment", "model_id", OF_ROW},
        {"provider", "custom_llm_provider", OF_ROW},
        {"model", "model", OF_ROW},
        {"started", "startTime", OF_ROW},
        {"first_token", "completionStartTime", OF_ROW},
        {"ended", "endTime", OF_ROW},
        {"outcome", "status", OF_ROW},
        {"status", "status", OF_OURS},
        {"upstream_status", "upstream_status", OF_OURS},
        {"error", "error", OF_OURS},
        {"connect_ms", "connect_ms", OF_OURS},
        {"first_byte_ms", "first_byte_ms", OF_OURS},
        {"upstream_ms", "upstream_ms", OF_OURS},
        {"overhead_ms", "litellm_overhead_time_ms", OF_METADATA},
        {"prompt_tokens", "prompt_tokens", OF_ROW},
        {"completion_tokens", "completion_tokens", OF_ROW},
        {"spend", "spend", OF_ROW},
    };
    static const char *const flags[] = {"stream", "unpriced", "client_gone",
                                        "died",   "reused",   "retried"};
    struct store *s = &c->store;
    const yyjson_mut_val *metadata = row_val(row, "metadata"), *ours = row_val(metadata, "weir");
    yyjson_mut_val *out = row_new(s), *words = row_list(s);

    for (size_t i = 0; i < ARRAY_LEN(members); i++) {
        const yyjson_mut_val *from = members[i].place == OF_ROW        ? row
                                     : members[i].place == OF_METADATA ? metadata
                                                                       : ours;
        row_put(s, out, members[i].name, row_val(from, members[i].column));
    }
    if (rbac_sees_all(&c->caller))
        row_put(s, out, "api_base", row_val(row, "api_base"));
    row_put_text(s, out, "reckoning", str_of(reckoning(row, ours)));
    for (size_t i = 0; i < ARRAY_LEN(flags); i++)
        row_put_bool(s, out, flags[i], row_bool(ours, flags[i]));
    put_cost(s, out, metadata);
    put_words(c, words, row);
    row_put(s, out, "why", words);
    return out;
}

/* What all exchanges of a request have in common. */
static void put_request(struct call *c, yyjson_mut_val *out, yyjson_mut_val *row)
{
    static const struct {
        const char *name, *column;
        bool is_in_metadata;
    } members[] = {
        {"call_type", "call_type", false},
        {"asked_model", "model_group", false},
        {"key", "api_key", false},
        {"key_alias", "user_api_key_alias", true},
        {"team", "team_id", false},
        {"user", "user", false},
        {"organization", "organization_id", false},
        {"project", "user_api_key_project_id", true},
        {"end_user", "end_user", false},
        {"tags", "request_tags", false},
        {"session_id", "session_id", false},
        {"ip", "requester_ip_address", false},
        {"user_agent", "user_agent", true},
    };
    struct store *s = &c->store;
    const yyjson_mut_val *metadata = row_val(row, "metadata");
    struct str call = row_text(row, "litellm_call_id");
    struct str asked = row_text(row_val(metadata, "weir"), "asked_model");

    row_put_text(s, out, "request_id", call.n ? call : row_text(row, "request_id"));
    for (size_t i = 0; i < ARRAY_LEN(members); i++)
        row_put(s, out, members[i].name,
                row_val(members[i].is_in_metadata ? metadata : row, members[i].column));
    if (asked.n)
        row_put_text(s, out, "asked_model", asked);
}

void api_why(struct call *c)
{
    struct store *s = &c->store;
    struct str id = in_param(c, 0);
    yyjson_mut_val *row = find(s, id), *out = row_new(s), *list = row_list(s), *one;
    double spend = 0;
    size_t i, n;

    if (!row || !is_visible(c, row)) {
        refuse(c, 404,
               "No exchange of request " STR_FMT
               " was recorded. One that was refused before it went to a provider stands in the "
               "access log alone.",
               STR_ARG(id));
        return;
    }
    yyjson_mut_val *rows = exchanges_of(s, row);
    yyjson_mut_arr_foreach(rows, i, n, one)
    {
        spend += num(one, "spend");
        (void)yyjson_mut_arr_append(list, exchange(c, one)); /* fresh: no copy */
    }
    put_request(c, out, row);
    row_put_num(s, out, "spend", spend);
    row_put(s, out, "exchanges", list);
    reply(c, out);
}

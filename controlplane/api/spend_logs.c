/* Log rows: pages for scripts (/spend/logs/v2) and dashboards (/spend/logs/ui), one row's bodies,
 * the rows of a session (litellm-controlplane.md 2.10). */

#include "common/digest.h"

#include "api/spend_priv.h"

enum { PAGE_MAX = 1000000000 };

#define BATCH "('acreate_batch', 'create_batch', 'aretrieve_batch', 'retrieve_batch')"

/* ---- what is asked for ---- */

static bool is_v2(const struct call *c)
{
    return str_eq(c->route->path, STR("/spend/logs/v2"));
}

/* "2026-01-31 23:59:59", or a day alone; p NULL: neither. */
static struct str read_time(struct call *c, struct str s, bool day_may)
{
    int32_t day;
    struct str clock = str_from(s, DATE_TEXT);
    bool is_day = s.n >= DATE_TEXT && day_read((struct str){s.p, DATE_TEXT}, &day);

    if (is_day && day_may && !clock.n)
        return arena_printf(&c->arena, STR_FMT " 00:00:00", STR_ARG(s));
    if (!is_day || clock.n != 9 || clock.p[0] != ' ')
        return (struct str){0};
    for (size_t i = 1; i < clock.n; i++) {
        bool is_colon = i == 3 || i == 6;
        if (is_colon ? clock.p[i] != ':' : clock.p[i] < '0' || clock.p[i] > '9')
            return (struct str){0};
    }
    if (memcmp(clock.p + 1, "23", 2) > 0 || clock.p[4] > '5' || clock.p[7] > '5')
        return (struct str){0};
    return s;
}

static bool read_window(struct call *c, struct str *ret_from, struct str *ret_until)
{
    const struct {
        const char *name;
        struct str *ret;
    } rows[] = {{"start_date", ret_from}, {"end_date", ret_until}};

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (!in_text(c, rows[i].name).p) {
            refuse_as(c, 400, "bad_request", NULL, "Start date and end date are required");
            return false;
        }
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str text = str_trim(in_text(c, rows[i].name));
        *rows[i].ret = read_time(c, text, is_v2(c));
        if (rows[i].ret->p)
            continue;
        refuse_text(c, 400, "Invalid date format: " STR_FMT ". Expected: %s", STR_ARG(text),
                    is_v2(c) ? "'YYYY-MM-DD' or 'YYYY-MM-DD HH:MM:SS'" : "'YYYY-MM-DD HH:MM:SS'");
        return false;
    }
    return true;
}

static void refuse_choice(struct call *c, const char *name, const char *offered)
{
    refuse_as(c, 400, "bad_request", name, "Invalid %s: " STR_FMT ". Must be one of: %s", name,
              STR_ARG(in_text(c, name)), offered);
}

static bool read_order(struct call *c, struct log_query *q)
{
    struct str by = in_text(c, "sort_by"), direction = in_text(c, "sort_order");

    for (q->sort = 0; q->sort < LOG_SORTS; q->sort++)
        if (str_eq(by, str_of(log_sort_names[q->sort])))
            break;
    q->asc = str_ieq(direction, STR("asc"));
    if (q->sort == LOG_SORTS)
        refuse_choice(c, "sort_by",
                      "endTime, model, request_duration_ms, spend, startTime, total_tokens, "
                      "ttft_ms");
    else if (direction.p && !q->asc && !str_ieq(direction, STR("desc")))
        refuse_choice(c, "sort_order", "asc, desc");
    return !c->status;
}

/* The condition of a member that takes one of some words; false with a 400. */
struct word {
    const char *name, *word, *condition;
    unsigned levels;
};
static bool where_word(struct call *c, struct log_query *q, const char *name,
                       const struct word *rows, size_t n, const char *offered)
{
    struct str word = in_text(c, name);

    if (!word.p)
        return true;
    for (size_t i = 0; i < n; i++)
        if (str_eq(str_of(rows[i].name), str_of(name)) && str_eq(word, str_of(rows[i].word))) {
            LOG_WHERE0(q, rows[i].levels, rows[i].condition, rows[i].condition);
            return true;
        }
    refuse_choice(c, name, offered);
    return false;
}

static bool where_words(struct call *c, struct log_query *q)
{
    static const struct word rows[] = {
        {"cache_hit_filter", "hit", "lower(cache_hit) = 'true'", LOG_OF_MODEL},
        {"cache_hit_filter", "miss", "cache_hit IS NULL OR lower(cache_hit) <> 'true'",
         LOG_OF_MODEL},
        {"span_type", "mcp", "call_type IN " MCP, LOG_OF_BOTH},
        {"span_type", "agent", "call_type = " AGENT, LOG_OF_BOTH},
        {"span_type", "batch", "call_type IN " BATCH, LOG_OF_BOTH},
        {"span_type", "llm",
         "call_type NOT IN " MCP " AND call_type <> " AGENT " AND call_type NOT IN " BATCH,
         LOG_OF_BOTH},
    };

    return where_word(c, q, "cache_hit_filter", rows, ARRAY_LEN(rows), "hit, miss") &&
           where_word(c, q, "span_type", rows, ARRAY_LEN(rows), "llm, agent, mcp, batch");
}

static void where_texts(struct call *c, struct log_query *q)
{
#define ERROR_OF "t.metadata -> 'error_information' ->> "
    static const struct {
        const char *name, *series, *row;
        unsigned levels;
    } rows[] = {
        {"team_id", "team_id = $?", "t.team_id = $?", LOG_OF_BOTH},
        {"user_id", "\"user\" = $?", "t.\"user\" = $?", LOG_OF_KEY},
        {"api_key", "api_key = $?", "t.api_key = $?", LOG_OF_KEY},
        {"model", "model = $?", "t.model = $?", LOG_OF_MODEL},
        {"model_id", "model_id = $?", "t.model_id = $?", LOG_OF_MODEL},
        {"model_group", "model_group = $?", "t.model_group = $?", LOG_OF_MODEL},
        {"key_alias", "key_alias LIKE $?", "t.metadata ->> 'user_api_key_alias' LIKE $?",
         LOG_OF_ROW},
        {"error_code", "error_code = $?", ERROR_OF "'error_code' = $?", LOG_OF_MODEL},
    };
#undef ERROR_OF

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str v = in_text(c, rows[i].name);
        if (!v.p)
            continue;
        bool is_part = str_eq(str_of(rows[i].name), STR("key_alias"));
        struct db_arg arg = DB_TEXT(is_part ? filter_contains(&c->arena, v) : v);
        log_where(q, rows[i].levels, rows[i].series, rows[i].row, &arg, 1);
    }
}

static void where_rest(struct call *c, struct log_query *q)
{
    struct str status = in_text(c, "status_filter");
    static const struct str health = {"litellm-internal-health-check", 29};

    if (in_bool(c, "group_by_session") && !in_text(c, "search").p)
        status = (struct str){0}; /* of the session then */
    if (str_eq(status, STR("success")))
        LOG_WHERE0(q, LOG_OF_MODEL, "status = 'success' OR status IS NULL",
                   "t.status = 'success' OR t.status IS NULL");
    else if (status.p)
        LOG_WHERE(q, LOG_OF_MODEL, "status = $?", "t.status = $?", DB_TEXT(status));
    if (in_bool(c, "exclude_internal_health_checks"))
        LOG_WHERE(q, LOG_OF_KEY, "api_key NOT IN ($?, $?)", "t.api_key NOT IN ($?, $?)",
                  DB_TEXT(health), DB_TEXT(sha256_hex(&c->arena, health)));
    if (in_text(c, "end_user").p)
        log_where_end_user(q, in_text(c, "end_user"));
    if (in_text(c, "session_id").p)
        log_where_session(&c->store, q, in_text(c, "session_id"));
    if (in_set(c, "min_spend"))
        log_where_least(q, in_num(c, "min_spend"));
    if (in_set(c, "max_spend"))
        log_where_most(q, in_num(c, "max_spend"));
    if (in_set(c, "used_client_oauth_token"))
        log_where_token(&c->store, q,
                        in_bool(c, "used_client_oauth_token") ? STR("true") : STR("false"));
}

/* False with an answer. */
static bool read_query(struct call *c, struct log_query *q)
{
    struct str team = in_text(c, "team_id"), request = in_text(c, "request_id");
    bool any_time = request.p && !is_v2(c) && !in_text(c, "search").p;
    struct spend_scope scope;

    *q = log_query_init(&c->store);
    q->limit = in_int(c, "page_size");
    q->offset = (MIN(in_int(c, "page"), PAGE_MAX) - 1) * q->limit;
    if (!read_order(c, q) || !where_words(c, q))
        return false;
    if (!any_time && !read_window(c, &q->from, &q->until))
        return false;
    if (team.p && !spend_reads_team(c, team)) {
        refuse(c, 403, "Not authorized to view team spend for team_id=" STR_FMT, STR_ARG(team));
        return false;
    }
    scope = spend_scope_of(c);
    spend_begin(c);
    if (!team.p)
        spend_where(q, &scope);
    where_texts(c, q);
    where_rest(c, q);
    if (request.p)
        log_where_request(&c->store, q, request);
    if (in_text(c, "error_message").p)
        log_where_error(q, in_text(c, "error_message"));
    if (in_text(c, "search").p) /* of a dashboard's, a request of this id counts whenever it was */
        log_where_any(&c->store, q, in_text(c, "search"), !is_v2(c));
    return true;
}

/* ---- answers ---- */

/* Everything that matches, where no page is asked for. */
static void reply_all(struct call *c, const struct log_query *q)
{
    struct filter f;
    struct str sql = log_all(&c->store, q, &f);

    reply_cursor(c, sql, f.args, f.n, TX_PIECE);
}

/* An object's text with `more` ("\"a\":1", or empty) behind its members. */
static struct str with_members(struct arena *a, struct str object, struct str more)
{
    if (!more.n)
        return object;
    return arena_printf(a, STR_FMT "," STR_FMT "}", (int)object.n - 1, object.p, STR_ARG(more));
}

void spend_reply_page(struct call *c, const struct log_page *p, const struct str *more,
                      struct str behind)
{
    int64_t size = in_int(c, "page_size");
    struct jw w = jw_init(&c->arena);

    if (wants_csv(c)) {
        reply_rows(c, p->rows);
        return;
    }
    jw_obj(&w);
    jw_key(&w, STR("data"));
    jw_arr(&w);
    for (int i = 0; i < p->rows.n; i++)
        jw_put_raw(&w, with_members(&c->arena, rows_text(p->rows, i, 0),
                                    more ? more[i] : (struct str){0}));
    jw_end(&w);
    jw_key(&w, STR("total"));
    jw_put_i64(&w, p->total);
    jw_key(&w, STR("page"));
    jw_put_i64(&w, in_int(c, "page"));
    jw_key(&w, STR("page_size"));
    jw_put_i64(&w, size);
    jw_key(&w, STR("total_pages"));
    jw_put_i64(&w, p->total / size + (p->total % size != 0));
    jw_key(&w, STR("total_is_capped"));
    jw_put_bool(&w, p->is_capped);
    jw_end(&w);
    reply_text(c, STR("application/json"), with_members(&c->arena, jw_finish(&w), behind));
}

void api_spend_logs_v2(struct call *c)
{
    struct log_query q;
    struct log_page p;

    if (!read_query(c, &q))
        return;
    if (in_bool(c, "group_by_session") && !in_text(c, "search").p)
        (void)spend_sessions(c, &q, &p);
    else if (wants_csv(c) && !in_sent(c, "page")) {
        reply_all(c, &q);
        return;
    } else
        log_page(&c->store, &q, &p);
    spend_reply_page(c, &p, NULL, (struct str){0});
}

/* ---- what dashboards see beside ---- */

/* Sums of the sessions that rows belong to, as members; of the same key only, since anybody can
 * name a session. */
struct str *spend_session_sums(struct call *c, struct rows page)
{
    static const char head[] =
        "WITH k AS (SELECT * FROM unnest($1::text[], $2::text[]) WITH ORDINALITY u (id, key, o)),"
        " s AS (SELECT session_id, api_key, count(*) AS n, sum(spend) AS spend,"
        "  count(*) FILTER (WHERE call_type IN " MCP ") AS mcp,"
        "  coalesce(sum(spend) FILTER (WHERE call_type IN " MCP "), 0) AS mcp_spend,"
        "  count(*) FILTER (WHERE lower(cache_hit) = 'true') AS hits,"
        "  count(*) FILTER (WHERE call_type NOT IN " MCP " AND call_type <> " AGENT ") AS llm,"
        "  count(*) FILTER (WHERE call_type = " AGENT ") AS agent,"
        "  sum(prompt_tokens) AS p, sum(completion_tokens) AS c, sum(total_tokens) AS t,"
        "  (array_agg(DISTINCT left(model, 256)) FILTER (WHERE model <> ''))[1:11] AS models, sum(";
    static const char tail[] =
        ") AS ms FROM \"LiteLLM_SpendLogs\" t WHERE session_id = ANY ($1::text[])"
        "   AND api_key = ANY ($2::text[]) AND session_id <> '' GROUP BY 1, 2)"
        " SELECT CASE WHEN s.n IS NULL THEN '{\"session_total_count\":1}' ELSE (jsonb_build_object("
        "   'session_total_count', s.n, 'session_total_spend', s.spend,"
        "   'session_total_duration_ms', s.ms, 'session_cache_hit_count', s.hits,"
        "   'session_llm_count', s.llm, 'session_agent_count', s.agent,"
        "   'session_total_prompt_tokens', s.p, 'session_total_completion_tokens', s.c,"
        "   'session_total_tokens', s.t,"
        "   'session_models', to_jsonb(coalesce(s.models[1:10], '{}')),"
        "   'session_models_truncated', coalesce(cardinality(s.models), 0) > 10)"
        "  || CASE WHEN s.mcp > 0 THEN jsonb_build_object('mcp_tool_call_count', s.mcp,"
        "   'mcp_tool_call_spend', s.mcp_spend) ELSE '{}' END)::text END"
        " FROM k LEFT JOIN s ON s.session_id = k.id AND s.api_key = k.key ORDER BY k.o";
    size_t n = (size_t)page.n;
    struct str *ids = arena_alloc(&c->arena, 3 * (n + 1) * sizeof *ids);
    struct str *keys = ids + n + 1, *more = keys + n + 1;

    if (!ids)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        yyjson_mut_val *row = store_json(&c->store, rows_text(page, (int)i, 0));
        ids[i] = row_text(row, "session_id");
        keys[i] = row_text(row, "api_key");
    }
    struct str sql = arena_printf(&c->arena, "%s%s%s", head, log_duration(&c->store), tail);
    struct rows r = sql.n ? TX_QUERY(&c->store.tx, sql.p, DB_TEXTS(ids, n), DB_TEXTS(keys, n))
                          : (struct rows){0};
    for (size_t i = 0; i < n; i++) {
        struct str object = rows_text(r, (int)i, 0);
        more[i] = object.n > 2 ? (struct str){object.p + 1, object.n - 2} : (struct str){0};
    }
    return more;
}

void api_spend_logs_ui(struct call *c)
{
    struct str request = in_text(c, "request_id");
    struct log_query q;
    struct log_page p;

    if (!read_query(c, &q))
        return;
    if (in_bool(c, "group_by_session") && !in_text(c, "search").p) {
        struct str behind = spend_sessions(c, &q, &p);
        spend_reply_page(c, &p, spend_session_sums(c, p.rows), behind);
        return;
    }
    if (wants_csv(c) && !in_sent(c, "page")) {
        reply_all(c, &q);
        return;
    }
    log_page(&c->store, &q, &p);
    if (request.p && !p.total && !rbac_sees_all(&c->caller)) {
        refuse(c, 403, "Not authorized to view spend log for request_id=" STR_FMT,
               STR_ARG(request));
        return;
    }
    spend_reply_page(c, &p, spend_session_sums(c, p.rows), (struct str){0});
}

/* ---- one row, one session ---- */

void api_spend_logs_bodies(struct call *c)
{
    struct str id = in_param(c, 0);
    struct spend_scope scope = spend_scope_of(c);
    struct log_query q = log_query_init(&c->store);
    struct filter f;

    spend_begin(c);
    spend_where(&q, &scope);
    log_where_request(&c->store, &q, id);
    f = q.rows;
    f.args[f.n++] = DB_TEXT(id);
    struct str sql =
        arena_printf(&c->arena,
                     "SELECT json_build_object('messages', t.messages, 'response', t.response,"
                     " 'proxy_server_request', t.proxy_server_request) FROM \"LiteLLM_SpendLogs\" t"
                     " WHERE " STR_FMT " ORDER BY (t.request_id = $%d) DESC LIMIT 1",
                     STR_ARG(f.sql), f.n);
    struct rows r = sql.n ? tx_query(&c->store.tx, sql.p, f.args, f.n) : (struct rows){0};
    if (r.n)
        reply_json(c, rows_text(r, 0, 0));
    else if (scope.all)
        reply_text(c, STR("application/json"), STR("null"));
    else
        refuse(c, 403, "Not authorized to view spend log for request_id=" STR_FMT, STR_ARG(id));
}

void api_spend_logs_session(struct call *c)
{
    struct spend_scope scope = spend_scope_of(c);
    struct log_query q = log_query_init(&c->store);
    struct log_page p;

    spend_begin(c);
    q.limit = in_int(c, "page_size");
    q.offset = (MIN(in_int(c, "page"), PAGE_MAX) - 1) * q.limit;
    spend_where(&q, &scope);
    LOG_WHERE_ROW(&q, "t.session_id = $?", DB_TEXT(in_text(c, "session_id")));
    log_page(&c->store, &q, &p);
    spend_reply_page(c, &p, NULL, (struct str){0});
}

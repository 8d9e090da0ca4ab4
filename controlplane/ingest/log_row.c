/* Each column of LiteLLM_SpendLogs that is not left to its default: how it is filled. */

#include "ingest/log_row.h"

#include "common/jw.h"

#include "store/array.h"

/* ---- metadata ---- */

static void put_text(struct jw *w, const char *key, struct str s)
{
    jw_key(w, str_of(key));
    if (s.n)
        jw_put_str(w, s);
    else
        jw_put_null(w);
}

static void put_count(struct jw *w, const char *key, uint64_t v)
{
    jw_key(w, str_of(key));
    jw_put_u64(w, v);
}

/* One that is only told when there is something to tell. */
static void put_some(struct jw *w, const char *key, uint64_t v)
{
    if (v)
        put_count(w, key, v);
}

static void put_flag(struct jw *w, const char *key, bool v)
{
    if (!v)
        return;
    jw_key(w, str_of(key));
    jw_put_bool(w, true);
}

static void put_dollars(struct jw *w, const char *key, int64_t nusd)
{
    jw_key(w, str_of(key));
    jw_put_pico(w, MIN(MAX(nusd, -INT64_MAX / 1000), INT64_MAX / 1000) * 1000);
}

static void put_ms(struct jw *w, const char *key, uint64_t ns)
{
    jw_key(w, str_of(key));
    jw_put_pico(w, (int64_t)(MIN(ns, UINT64_C(9000000000000)) / 1000) * INT64_C(1000000000));
}

static void put_details(struct jw *w, const char *key, uint64_t cached, uint64_t written,
                        uint64_t reasoning, uint64_t text, uint64_t audio, uint64_t image)
{
    jw_key(w, str_of(key));
    jw_obj(w);
    put_count(w, "text_tokens", text);
    put_some(w, "cached_tokens", cached);
    put_some(w, "cache_creation_tokens", written);
    put_some(w, "reasoning_tokens", reasoning);
    put_some(w, "audio_tokens", audio);
    put_some(w, "image_tokens", image);
    jw_end(w);
}

static void put_usage(struct jw *w, const struct spent *s)
{
    const Weir__Usage *u = s->u;

    jw_key(w, STR("usage_object"));
    jw_obj(w);
    put_count(w, "prompt_tokens", (uint64_t)s->prompt);
    put_count(w, "completion_tokens", (uint64_t)s->completion);
    put_count(w, "total_tokens", (uint64_t)(s->prompt + s->completion));
    put_details(w, "prompt_tokens_details", u->cache_read, (uint64_t)s->cache_written, 0, u->input,
                u->audio_in, u->image_in);
    put_details(w, "completion_tokens_details", 0, 0, u->reasoning, u->output, u->audio_out,
                u->image_out);
    put_some(w, "cache_read_input_tokens", u->cache_read);
    put_some(w, "cache_creation_input_tokens", (uint64_t)s->cache_written);
    jw_end(w);
    jw_key(w, STR("additional_usage_values"));
    jw_obj(w);
    put_some(w, "cache_read_input_tokens", u->cache_read);
    put_some(w, "cache_creation_input_tokens", (uint64_t)s->cache_written);
    jw_end(w);
}

static void put_cost(struct jw *w, const struct spent *s)
{
    const Weir__UsageRecord *m = s->m;

    jw_key(w, STR("cost_breakdown"));
    jw_obj(w);
    put_dollars(w, "input_cost", m->input_nusd + m->cache_read_nusd + m->cache_write_nusd);
    put_dollars(w, "output_cost", m->output_nusd);
    put_dollars(w, "total_cost", s->nusd);
    if (m->cache_read_nusd)
        put_dollars(w, "cache_read_cost", m->cache_read_nusd);
    if (m->cache_write_nusd)
        put_dollars(w, "cache_creation_cost", m->cache_write_nusd);
    jw_end(w);
}

static void put_error(struct jw *w, const struct spent *s)
{
    char code[16];

    (void)snprintf(code, sizeof code, "%u", spent_error_status(s));
    jw_key(w, STR("error_information"));
    jw_obj(w);
    put_text(w, "error_code", str_of(code));
    put_text(w, "error_class", spent_error_class(s));
    put_text(w, "llm_provider", s->provider);
    jw_key(w, STR("error_message"));
    jw_put_str(w, s->error);
    jw_key(w, STR("traceback"));
    jw_put_str(w, (struct str){"", 0});
    jw_end(w);
}

static void put_list(struct jw *w, const struct str *texts, size_t n)
{
    jw_arr(w);
    for (size_t i = 0; i < n; i++)
        jw_put_str(w, texts[i]);
    jw_end(w);
}

/* What was decided for the exchange, and what it took. */
static void put_ours(struct jw *w, const struct spent *s)
{
    const Weir__UsageRecord *m = s->m;

    jw_key(w, STR("weir"));
    jw_obj(w);
    if (s->response_id.n)
        put_text(w, "response_id", s->response_id);
    if (!str_eq(s->asked, s->group))
        put_text(w, "asked_model", s->asked);
    if (s->is_failure || s->error.n)
        put_text(w, "error", s->error);
    put_count(w, "attempt", m->attempt);
    put_count(w, "status", m->status);
    put_count(w, "upstream_status", m->upstream_status);
    put_ms(w, "upstream_ms", m->upstream_ns);
    put_ms(w, "first_byte_ms", m->first_byte_ns);
    put_ms(w, "connect_ms", m->connect_ns);
    put_count(w, "bytes_in", m->bytes_in);
    put_count(w, "bytes_out", m->bytes_out);
    put_some(w, "web_searches", s->u->web_searches);
    put_some(w, "tier", s->u->tier);
    put_some(w, "exchanges", m->exchanges);
    if (s->n_budget_groups) {
        jw_key(w, STR("budget_groups"));
        put_list(w, s->budget_groups, s->n_budget_groups);
    }
    put_flag(w, "stream", m->stream);
    put_flag(w, "estimated", s->u->estimated);
    put_flag(w, "unpriced", m->unpriced);
    put_flag(w, "client_gone", m->client_gone);
    put_flag(w, "died", m->died);
    put_flag(w, "reused", m->reused);
    put_flag(w, "retried", m->retried);
    jw_end(w);
}

struct str log_row_metadata(const struct spent *s, struct arena *a)
{
    struct jw w = jw_init(a);

    jw_obj(&w);
    put_text(&w, "user_api_key", s->key);
    put_text(&w, "user_api_key_alias", s->key_alias);
    put_text(&w, "user_api_key_team_id", s->team);
    put_text(&w, "user_api_key_user_id", s->user);
    put_text(&w, "user_api_key_org_id", s->organization);
    put_text(&w, "user_api_key_project_id", s->project);
    put_text(&w, "requester_ip_address", s->ip);
    put_text(&w, "user_agent", s->agent);
    put_text(&w, "litellm_call_id", s->call_id);
    put_text(&w, "status", s->is_failure ? STR("failure") : STR("success"));
    put_usage(&w, s);
    put_cost(&w, s);
    put_ms(&w, "litellm_overhead_time_ms", s->m->overhead_ns);
    put_count(&w, "attempted_retries", s->m->attempt ? s->m->attempt - 1 : 0);
    put_flag(&w, "billed_retry_attempt", s->m->retried);
    if (s->is_failure)
        put_error(&w, s);
    put_ours(&w, s);
    jw_end(&w);
    return jw_finish(&w);
}

static struct str tags_json(const struct spent *s, struct arena *a)
{
    struct jw w = jw_init(a);

    if (!s->n_tags)
        return STR("[]");
    put_list(&w, s->tags, s->n_tags);
    return jw_finish(&w);
}

/* ---- columns ---- */

enum kind { TEXT, TEXT_OR_NULL, INT, DOUBLE, TIME, JSON };

struct cell {
    struct str text;
    int64_t n; /* INT; TIME: milliseconds; DOUBLE: nano-dollars */
};

/* X(column, kind, its cell) */
#define COLUMNS(X)                                                                                 \
    X("request_id", TEXT, .text = s->id)                                                           \
    X("call_type", TEXT, .text = spent_call_type(s))                                               \
    X("api_key", TEXT, .text = s->key)                                                             \
    X("spend", DOUBLE, .n = s->nusd)                                                               \
    X("total_tokens", INT, .n = s->prompt + s->completion)                                         \
    X("prompt_tokens", INT, .n = s->prompt)                                                        \
    X("completion_tokens", INT, .n = s->completion)                                                \
    X("startTime", TIME, .n = s->start_ms)                                                         \
    X("endTime", TIME, .n = s->end_ms)                                                             \
    X("completionStartTime", TIME, .n = s->first_ms)                                               \
    X("model", TEXT, .text = s->model)                                                             \
    X("model_id", TEXT, .text = s->deployment)                                                     \
    X("model_group", TEXT, .text = s->group)                                                       \
    X("custom_llm_provider", TEXT, .text = s->provider)                                            \
    X("api_base", TEXT, .text = s->api_base)                                                       \
    X("user", TEXT, .text = s->user)                                                               \
    X("metadata", JSON, .text = log_row_metadata(s, a))                                            \
    X("cache_hit", TEXT, .text = STR("False"))                                                     \
    X("cache_key", TEXT, .text = STR("Cache OFF"))                                                 \
    X("request_tags", JSON, .text = tags_json(s, a))                                               \
    X("team_id", TEXT, .text = s->team)                                                            \
    X("organization_id", TEXT, .text = s->organization)                                            \
    X("end_user", TEXT, .text = s->end_user)                                                       \
    X("requester_ip_address", TEXT_OR_NULL, .text = s->ip)                                         \
    X("session_id", TEXT, .text = s->trace.n ? s->trace : s->call_id)                              \
    X("status", TEXT, .text = s->is_failure ? STR("failure") : STR("success"))                     \
    X("request_duration_ms", INT, .n = spent_duration_ms(s))                                       \
    X("litellm_call_id", TEXT_OR_NULL, .text = s->call_id)

#define X(column, kind, ...) {STR_INIT(column), kind},
static const struct {
    struct str name;
    enum kind kind;
} columns[] = {COLUMNS(X)};
#undef X

static_assert(ARRAY_LEN(columns) <= 32, "bits of struct log_rows");

bool log_rows_are_whole(const struct catalog *c)
{
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        if (!catalog_column(c, TABLE_SPEND_LOGS, columns[i].name))
            return false;
    return true;
}

void log_rows_init(struct log_rows *l, const struct catalog *c, struct arena *a)
{
    struct str names = {"", 0};

    *l = (struct log_rows){0};
    for (size_t i = 0; i < ARRAY_LEN(columns); i++) {
        if (!catalog_column(c, TABLE_SPEND_LOGS, columns[i].name))
            continue;
        names = arena_printf(a, STR_FMT "%s\"" STR_FMT "\"", STR_ARG(names), l->n ? ", " : "",
                             STR_ARG(columns[i].name));
        l->columns |= UINT32_C(1) << i;
        l->n++;
    }
    l->names = names;
}

static void put_cell(struct copy *to, enum kind kind, const struct cell *v)
{
    switch (kind) {
    case TEXT:
        copy_text(to, v->text);
        break;
    case TEXT_OR_NULL:
        if (v->text.n)
            copy_text(to, v->text);
        else
            copy_null(to);
        break;
    case INT:
        copy_i32(to, v->n);
        break;
    case DOUBLE:
        copy_f64(to, (double)v->n / 1e9);
        break;
    case TIME:
        copy_timestamp(to, v->n);
        break;
    case JSON:
        copy_jsonb(to, v->text);
        break;
    }
}

/* The arena is reset. */
static void put_row(struct copy *to, const struct log_rows *l, const struct spent *s,
                    struct arena *a)
{
#define X(column, kind, ...) {__VA_ARGS__},
    const struct cell cells[] = {COLUMNS(X)};
#undef X

    copy_row(to, l->n);
    for (size_t i = 0; i < ARRAY_LEN(columns); i++)
        if (l->columns & UINT32_C(1) << i)
            put_cell(to, columns[i].kind, &cells[i]);
    if (!arena_ok(a))
        to->tx->fault = DB_NOMEM;
    arena_reset(a);
}

/* ---- where they go ---- */

static bool has_day(const int64_t *days, size_t n, int64_t day)
{
    bool has = false;

    for (size_t i = 0; i < n && !has; i++)
        has = days[i] == day;
    return has;
}

/* The days of these records that have a partition, in the arena. */
static int64_t *find_days(struct tx *tx, struct spent *const *s, size_t n, size_t *ret_n)
{
    static const char sql[] =
        "SELECT d.day FROM unnest($1::bigint[]) AS d (day) JOIN pg_inherits i ON i.inhrelid ="
        " to_regclass('weir.spend_logs_' || to_char('epoch'::date + d.day::integer, 'YYYYMMDD'))"
        " AND i.inhparent = to_regclass('\"LiteLLM_SpendLogs\"') AND NOT i.inhdetachpending";
    int64_t *days = arena_alloc(tx->arena, (n + 1) * sizeof *days);

    *ret_n = 0;
    for (size_t i = 0; days && i < n; i++)
        if (!(i && s[i]->day == s[i - 1]->day) && !has_day(days, *ret_n, s[i]->day))
            days[(*ret_n)++] = s[i]->day;
    struct rows r = TX_QUERY(tx, sql, array_of_ints(tx->arena, days, *ret_n));
    for (int i = 0; days && i < r.n; i++)
        days[i] = rows_int(r, i, 0);
    *ret_n = (size_t)r.n;
    return days;
}

static void begin(struct copy *copy, struct tx *tx, const struct log_rows *l, const char *table)
{
    copy_begin(copy, tx,
               arena_printf(tx->arena, "COPY %s (" STR_FMT ") FROM STDIN (FORMAT binary)", table,
                            STR_ARG(l->names))
                   .p);
}

/* One partition does not keep others, nor statement's triggers, busy with each row. */
static void add_day(struct tx *tx, struct copy *copy, const struct log_rows *l,
                    struct spent *const *s, size_t n, int64_t day, struct arena *scratch)
{
    struct date d = date_of_day(day);
    char table[64];

    (void)snprintf(table, sizeof table, "weir.spend_logs_%04d%02u%02u", (int)d.year, d.month,
                   d.day);
    begin(copy, tx, l, table);
    for (size_t i = 0; i < n && tx_ok(tx); i++)
        if (s[i]->day == day)
            put_row(copy, l, s[i], scratch);
    copy_end(copy);
}

void log_rows_add(struct tx *tx, struct copy *copy, const struct log_rows *l,
                  struct spent *const *s, size_t n, bool by_day, struct arena *scratch)
{
    size_t n_days = 0, put = 0;
    int64_t *days = by_day ? find_days(tx, s, n, &n_days) : NULL;

    for (size_t i = 0; i < n_days && tx_ok(tx); i++)
        add_day(tx, copy, l, s, n, days[i], scratch);
    for (size_t i = 0; i < n && tx_ok(tx); i++) {
        if (has_day(days, n_days, s[i]->day))
            continue;
        if (!put++)
            begin(copy, tx, l, "\"LiteLLM_SpendLogs\"");
        put_row(copy, l, s[i], scratch);
    }
    if (put)
        copy_end(copy);
    if (!arena_ok(tx->arena))
        tx->fault = DB_NOMEM;
    tx_forget(tx);
    arena_reset(tx->arena);
}

#include "ingest/spent.h"

#include "common/gateway/api.h"
#include "common/json_string.h"

enum { DAY_MS = 86400000 };

static const int64_t tokens_max = INT64_C(1000000000000);      /* of one exchange, each kind */
static const int64_t cost_max_nusd = INT64_C(100000000000000); /* 100,000 dollars */
static const int64_t start_min_ms = INT64_C(946684800000);     /* 2000 ... */
static const int64_t start_max_ms = INT64_C(253402214400000);  /* ... to 9999 */

const char *spent_read_name(enum spent_read r)
{
    static const char *const names[] = {"ok", "not usage", "not a message", "implausible amounts"};

    return names[r];
}

/* ---- memory of protobuf-c: the arena, given back at once ---- */

static void *pb_alloc(void *ctx, size_t n)
{
    return arena_alloc(ctx, n ? n : 1);
}

static void pb_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p;
}

/* ---- texts ---- */

/* One byte for a bad one: a text never grows. */
static struct str clean(ProtobufCBinaryData b, struct arena *a)
{
    struct str s = {(const char *)b.data, b.len};

    if (!s.n || (!memchr(s.p, '\0', s.n) && str_is_utf8(s)))
        return s.n ? s : (struct str){"", 0};
    char *out = arena_alloc(a, s.n);
    if (!out)
        return (struct str){"", 0};
    memcpy(out, s.p, s.n);
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)out[i];
        size_t n = c && c < 0x80 ? 1 : str_utf8_length(str_from(s, i));
        if (!n)
            out[i] = '?';
        i += n ? n : 1;
    }
    return (struct str){out, s.n};
}

static void add_once(struct str *to, size_t *n, size_t max, struct str one)
{
    for (size_t i = 0; i < *n; i++)
        if (str_eq(to[i], one))
            return;
    if (one.n && *n < max)
        to[(*n)++] = one;
}

static void add_tag(struct spent *s, struct str tag)
{
    add_once(s->tags, &s->n_tags, SPENT_TAGS, tag);
}

static void read_budget_groups(struct spent *s, struct arena *a)
{
    size_t n = MIN(s->m->n_budget_groups, (size_t)SPENT_BUDGET_GROUPS);

    s->budget_groups = n ? arena_alloc(a, n * sizeof *s->budget_groups) : NULL;
    for (size_t i = 0; s->budget_groups && i < n; i++)
        add_once(s->budget_groups, &s->n_budget_groups, n, clean(s->m->budget_groups[i], a));
}

/* The request's, and "User-Agent: curl", "User-Agent: curl/8.1". */
static void read_tags(struct spent *s, bool agent_tags, struct arena *a)
{
    struct str name, rest;
    size_t n = s->m->n_tags + (agent_tags && s->agent.n ? 2 : 0);

    if (!n)
        return;
    s->tags = arena_alloc(a, MIN(n, (size_t)SPENT_TAGS) * sizeof *s->tags);
    if (!s->tags)
        return;
    for (size_t i = 0; i < s->m->n_tags && i + 2 < SPENT_TAGS; i++)
        add_tag(s, clean(s->m->tags[i], a));
    if (!agent_tags || !s->agent.n)
        return;
    if (str_cut(s->agent, '/', &name, &rest))
        add_tag(s, arena_printf(a, "User-Agent: " STR_FMT, STR_ARG(name)));
    add_tag(s, arena_printf(a, "User-Agent: " STR_FMT, STR_ARG(s->agent)));
}

static void read_texts(struct spent *s, struct arena *a)
{
    const Weir__UsageRecord *m = s->m;
    const struct {
        struct str *to;
        ProtobufCBinaryData from;
    } texts[] = {
        {&s->call_id, m->request_id},
        {&s->response_id, m->response_id},
        {&s->asked, m->model},
        {&s->group, m->group},
        {&s->deployment, m->deployment},
        {&s->model, m->upstream_model},
        {&s->provider, m->provider},
        {&s->api_base, m->api_base},
        {&s->key, m->key},
        {&s->key_alias, m->key_alias},
        {&s->team, m->team},
        {&s->user, m->user},
        {&s->organization, m->organization},
        {&s->project, m->project},
        {&s->end_user, m->end_user},
        {&s->ip, m->client_ip},
        {&s->trace, m->trace_id},
        {&s->agent, m->user_agent},
        {&s->error, m->error},
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i].to = clean(texts[i].from, a);
    if (!s->model.n)
        s->model = s->asked;
}

/* ---- times ---- */

static bool is_time(int64_t ms)
{
    return ms >= start_min_ms && ms < start_max_ms;
}

static void read_times(struct spent *s, int64_t now_ms)
{
    int64_t start = s->m->start_us / 1000, end = s->m->end_us / 1000, first = s->m->first_us / 1000;

    if (!is_time(end))
        end = is_time(start) ? start + (int64_t)MIN(s->m->total_ns / 1000000, (uint64_t)DAY_MS)
                             : now_ms;
    if (!is_time(start))
        start = end;
    s->start_ms = start;
    s->end_ms = end;
    s->first_ms = is_time(first) ? first : end; /* as LiteLLM does without a stream */
    s->day = (int32_t)(start / DAY_MS);
    (void)date_put(s->date, s->day);
}

/* ---- amounts ---- */

static bool read_amounts(struct spent *s)
{
    const Weir__Usage *u = s->u;
    const uint64_t counts[] = {u->input,     u->cache_read, u->cache_write, u->cache_write_1h,
                               u->audio_in,  u->image_in,   u->output,      u->reasoning,
                               u->audio_out, u->image_out,  s->m->exchanges};
    const int64_t costs[] = {s->m->cost_nusd, s->m->input_nusd, s->m->output_nusd,
                             s->m->cache_read_nusd, s->m->cache_write_nusd};

    for (size_t i = 0; i < ARRAY_LEN(counts); i++)
        if (counts[i] > (uint64_t)tokens_max)
            return false;
    for (size_t i = 0; i < ARRAY_LEN(costs); i++)
        if (costs[i] < 0 || costs[i] > cost_max_nusd)
            return false;
    s->prompt = (int64_t)(u->input + u->cache_read + u->cache_write + u->cache_write_1h +
                          u->audio_in + u->image_in);
    s->completion = (int64_t)(u->output + u->reasoning + u->audio_out + u->image_out);
    s->cache_read = (int64_t)u->cache_read;
    s->cache_written = (int64_t)(u->cache_write + u->cache_write_1h);
    s->nusd = s->m->cost_nusd;
    s->requests = s->m->retried ? 0 : s->m->exchanges ? (int64_t)s->m->exchanges : 1;
    /* whoever left in the middle was served until then */
    s->is_failure = s->error.n && !(s->m->client_gone && (s->completion || s->nusd));
    return true;
}

enum spent_read spent_read(struct spent *ret, const struct spool_entry *en, bool agent_tags,
                           int64_t now_ms, struct arena *a)
{
    static const Weir__Usage none = WEIR__USAGE__INIT;
    ProtobufCAllocator memory = {pb_alloc, pb_free, a};

    *ret = (struct spent){.place = en->id};
    if (en->type != SPOOL_USAGE)
        return SPENT_OTHER;
    ret->m = weir__usage_record__unpack(&memory, en->body.n, (const uint8_t *)en->body.p);
    if (!ret->m)
        return SPENT_BROKEN;
    ret->u = ret->m->usage ? ret->m->usage : &none;
    read_texts(ret, a);
    read_times(ret, now_ms);
    read_tags(ret, agent_tags, a);
    read_budget_groups(ret, a);
    return read_amounts(ret) ? SPENT_OK : SPENT_IMPLAUSIBLE;
}

/* ---- LiteLLM's names of what was called ---- */

static const struct {
    struct str call_type, endpoint;
} calls[API_COUNT] = {
    [API_CHAT] = {STR_INIT("acompletion"), STR_INIT("/chat/completions")},
    [API_COMPLETIONS] = {STR_INIT("atext_completion"), STR_INIT("/completions")},
    [API_EMBEDDINGS] = {STR_INIT("aembedding"), STR_INIT("/embeddings")},
    [API_MODERATIONS] = {STR_INIT("amoderation"), STR_INIT("/moderations")},
    [API_MESSAGES] = {STR_INIT("anthropic_messages"), {"", 0}},
    [API_COUNT_TOKENS] = {STR_INIT("acount_tokens"), {"", 0}},
    [API_RESPONSES] = {STR_INIT("aresponses"), STR_INIT("/responses")},
    [API_INPUT_TOKENS] = {STR_INIT("acount_tokens"), {"", 0}},
};

struct str spent_call_type(const struct spent *s)
{
    return s->m->api < API_COUNT ? calls[s->m->api].call_type : STR("acompletion");
}

struct str spent_endpoint(const struct spent *s)
{
    return s->m->api < API_COUNT ? calls[s->m->api].endpoint : (struct str){"", 0};
}

/* ---- failures ---- */

unsigned spent_error_status(const struct spent *s)
{
    return s->m->upstream_status >= 400 ? s->m->upstream_status : s->m->status;
}

/* The class of LiteLLM's exception for a status. */
struct str spent_error_class(const struct spent *s)
{
    static const struct {
        unsigned status;
        struct str name;
    } rows[] = {
        {400, STR_INIT("BadRequestError")},
        {401, STR_INIT("AuthenticationError")},
        {403, STR_INIT("PermissionDeniedError")},
        {404, STR_INIT("NotFoundError")},
        {408, STR_INIT("Timeout")},
        {422, STR_INIT("UnprocessableEntityError")},
        {429, STR_INIT("RateLimitError")},
        {500, STR_INIT("InternalServerError")},
        {502, STR_INIT("BadGatewayError")},
        {503, STR_INIT("ServiceUnavailableError")},
        {504, STR_INIT("Timeout")},
    };

    unsigned status = spent_error_status(s);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].status == status)
            return rows[i].name;
    return STR("APIError");
}

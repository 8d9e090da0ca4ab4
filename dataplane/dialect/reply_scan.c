/* The watch tree of replies, and the arithmetic that makes their counters disjoint. */

#include "dialect/reply_scan.h"

#include "common/num.h"

enum reply_field {
    RF_NONE,
    RF_MODEL,
    RF_ID,
    RF_ERROR,
    RF_TYPE,
    RF_USAGE,
    RF_CHOICES,
    RF_CHOICE, /* an element of choices */
    RF_FINISH,
    RF_TEXT,
    RF_TIER,
    RF_SEQUENCE,
    RF_COUNT, /* + enum usage_count */
};

#define N(name, count)                                                                             \
    {                                                                                              \
        .key = STR_INIT(name), .id = RF_COUNT + (count)                                            \
    }
#define TEXT(name)                                                                                 \
    {                                                                                              \
        .key = STR_INIT(name), .id = RF_TEXT                                                       \
    }

static const struct json_watch input_details[] = {
    N("cached_tokens", UC_CACHED),
    N("audio_tokens", UC_AUDIO_IN),
    N("image_tokens", UC_IMAGE_IN),
    N("cache_write_tokens", UC_CACHE_WRITTEN),
    N("cache_creation_tokens", UC_CACHE_WRITTEN),
};
static const struct json_watch output_details[] = {
    N("reasoning_tokens", UC_REASONING),
    N("thinking_tokens", UC_REASONING),
    N("audio_tokens", UC_AUDIO_OUT),
    N("image_tokens", UC_IMAGE_OUT),
};
static const struct json_watch cache_creation[] = {
    N("ephemeral_5m_input_tokens", UC_CACHE_CREATION_5M),
    N("ephemeral_1h_input_tokens", UC_CACHE_CREATION_1H),
};
static const struct json_watch server_tools[] = {
    N("web_search_requests", UC_WEB_SEARCHES),
};
static const struct json_watch usage[] = {
    N("prompt_tokens", UC_PROMPT),
    N("completion_tokens", UC_COMPLETION),
    N("total_tokens", UC_TOTAL),
    N("input_tokens", UC_PROMPT),
    N("output_tokens", UC_COMPLETION),
    {.key = STR_INIT("prompt_tokens_details"), JSON_WATCH_CHILDREN(input_details)},
    {.key = STR_INIT("completion_tokens_details"), JSON_WATCH_CHILDREN(output_details)},
    {.key = STR_INIT("input_tokens_details"), JSON_WATCH_CHILDREN(input_details)},
    {.key = STR_INIT("output_tokens_details"), JSON_WATCH_CHILDREN(output_details)},
    N("cache_read_input_tokens", UC_CACHE_READ),
    N("cache_creation_input_tokens", UC_CACHE_CREATION),
    {.key = STR_INIT("cache_creation"), JSON_WATCH_CHILDREN(cache_creation)},
    {.key = STR_INIT("server_tool_use"), JSON_WATCH_CHILDREN(server_tools)},
    N("prompt_cache_hit_tokens", UC_CACHED),
    N("cached_tokens", UC_CACHED), /* Moonshot */
    {.key = STR_INIT("service_tier"), .id = RF_TIER},
};
#define USAGE                                                                                      \
    {                                                                                              \
        .key = STR_INIT("usage"), .id = RF_USAGE, JSON_WATCH_CHILDREN(usage)                       \
    }

/* The value of "usage" by itself. */
static const struct json_watch usage_root = {JSON_WATCH_CHILDREN(usage)};

static const struct json_watch function_members[] = {TEXT("arguments")};
static const struct json_watch tool_call_members[] = {
    {.key = STR_INIT("function"), JSON_WATCH_CHILDREN(function_members)},
};
static const struct json_watch tool_call = {JSON_WATCH_CHILDREN(tool_call_members)};
static const struct json_watch message_members[] = {
    TEXT("content"),
    TEXT("reasoning_content"),
    TEXT("reasoning"),
    TEXT("refusal"),
    {.key = STR_INIT("tool_calls"), .elements = &tool_call},
};
static const struct json_watch choice_members[] = {
    {.key = STR_INIT("delta"), JSON_WATCH_CHILDREN(message_members)},
    {.key = STR_INIT("message"), JSON_WATCH_CHILDREN(message_members)},
    {.key = STR_INIT("finish_reason"), .id = RF_FINISH},
    TEXT("text"),
};
static const struct json_watch choice = {.id = RF_CHOICE, JSON_WATCH_CHILDREN(choice_members)};

/* Messages: content blocks of a whole reply, deltas of a stream. */
static const struct json_watch block_members[] = {TEXT("text"), TEXT("thinking")};
static const struct json_watch block = {JSON_WATCH_CHILDREN(block_members)};
static const struct json_watch delta_members[] = {
    TEXT("text"),
    TEXT("partial_json"),
    TEXT("thinking"),
    {.key = STR_INIT("stop_reason"), .id = RF_FINISH},
};

/* What a nested message (Messages) or response (Responses) holds. */
static const struct json_watch inner_members[] = {
    {.key = STR_INIT("model"), .id = RF_MODEL},
    {.key = STR_INIT("id"), .id = RF_ID},
    USAGE,
    {.key = STR_INIT("service_tier"), .id = RF_TIER},
};

static const struct json_watch root_members[] = {
    {.key = STR_INIT("id"), .id = RF_ID},
    {.key = STR_INIT("type"), .id = RF_TYPE},
    {.key = STR_INIT("model"), .id = RF_MODEL},
    {.key = STR_INIT("choices"), .id = RF_CHOICES, .elements = &choice},
    USAGE,
    {.key = STR_INIT("delta"), .id = RF_TEXT, JSON_WATCH_CHILDREN(delta_members)},
    {.key = STR_INIT("message"), JSON_WATCH_CHILDREN(inner_members)},
    {.key = STR_INIT("response"), JSON_WATCH_CHILDREN(inner_members)},
    {.key = STR_INIT("content"), .elements = &block},
    {.key = STR_INIT("error"), .id = RF_ERROR},
    {.key = STR_INIT("sequence_number"), .id = RF_SEQUENCE},
    {.key = STR_INIT("service_tier"), .id = RF_TIER},
};
static const struct json_watch root = {JSON_WATCH_CHILDREN(root_members)};

static const struct {
    struct str type;
    bool terminal, failed;
} event_types[] = {
    {STR_INIT("message_stop"), true, false},
    {STR_INIT("response.completed"), true, false},
    {STR_INIT("response.incomplete"), true, false},
    {STR_INIT("response.failed"), true, true},
    {STR_INIT("error"), true, true},
};

static enum usage_tier tier_of(struct jstr name)
{
    return jstr_is(name, STR("priority")) ? TIER_PRIORITY
           : jstr_is(name, STR("flex"))   ? TIER_FLEX
           : jstr_is(name, STR("batch"))  ? TIER_BATCH
                                          : TIER_DEFAULT;
}

void reply_scan_tier(struct reply_scan *r, struct jstr name)
{
    r->tier = (uint8_t)tier_of(name);
}

void reply_scan_id(struct reply_scan *r, struct jstr id)
{
    if (r->response_id_n || !id.n || id.n > REPLY_ID_MAX ||
        !str_is_printable((struct str){id.p, id.n}))
        return;
    r->response_id_n = (uint16_t)id.n;
    memcpy(r->response_id, id.p, id.n);
}

static void reply_on_count(struct reply_scan *r, enum usage_count c, const struct json_member *m)
{
    uint64_t v;

    /* Absurd or negative counts are not believed; null means unchanged (threats U-10). */
    if (m->type != JSON_NUMBER || !num_u64(m->text, &v) || v > UINT32_MAX)
        return;
    r->count[c] = v;
    r->counted |= BIT(c);
}

static void reply_on_member(void *ctx, const struct json_member *m)
{
    struct reply_scan *r = ctx;
    uint64_t sequence;

    if (m->id >= RF_COUNT) {
        reply_on_count(r, (enum usage_count)(m->id - RF_COUNT), m);
        return;
    }
    switch ((enum reply_field)m->id) {
    case RF_MODEL:
        if (m->type == JSON_STRING && r->model.at == r->model.end)
            r->model = (struct span){m->at, m->end};
        break;
    case RF_ID:
        if (m->type != JSON_STRING || r->id.at != r->id.end)
            break;
        r->id = (struct span){m->at, m->end};
        if (!r->response_id_n)
            reply_scan_id(r, (struct jstr){json_text_inner(m->text).p, json_text_inner(m->text).n});
        break;
    case RF_ERROR:
        if (m->type != JSON_NULL && m->type != JSON_FALSE && !str_eq(m->text, STR("\"\"")) &&
            !str_eq(m->text, STR("0"))) {
            r->error = (struct span){m->at, m->end};
            r->failed = true;
        }
        break;
    case RF_TYPE:
        for (size_t i = 0; i < ARRAY_LEN(event_types); i++)
            if (json_text_is(m->text, event_types[i].type)) {
                r->terminal = event_types[i].terminal;
                r->failed |= event_types[i].failed;
            }
        break;
    case RF_USAGE:
        r->usage_object |= m->type == JSON_OBJECT;
        break;
    case RF_CHOICE:
        r->choice_seen = true;
        break;
    case RF_CHOICES:
        r->choices_empty = m->type == JSON_ARRAY && !r->choice_seen;
        break;
    case RF_FINISH:
        if (m->type == JSON_STRING && m->end - m->at > 2)
            r->terminal = true;
        break;
    case RF_TEXT:
        if (m->type == JSON_STRING)
            r->text_bytes += m->end - m->at - 2;
        break;
    case RF_TIER:
        if (m->type != JSON_STRING)
            break; /* null means unchanged */
        struct str name = json_text_inner(m->text);
        reply_scan_tier(r, (struct jstr){name.p, name.n});
        break;
    case RF_SEQUENCE:
        if (num_u64(m->text, &sequence) && sequence < UINT32_MAX)
            r->next_sequence = sequence + 1;
        break;
    case RF_NONE:
    case RF_COUNT:
        break;
    }
}

void reply_scan_init(struct reply_scan *r)
{
    memset(r->count, 0, sizeof r->count);
    r->counted = 0;
    r->tier = TIER_DEFAULT;
    r->finished = false;
    r->text_bytes = r->next_sequence = 0;
    r->response_id_n = 0;
    reply_scan_begin(r);
}

void reply_scan_begin(struct reply_scan *r)
{
    json_scan_init(&r->json, &root, reply_on_member, r);
    r->model = r->id = r->error = (struct span){0};
    r->usage_object = r->choice_seen = r->choices_empty = r->terminal = r->failed = false;
}

void reply_scan_usage(struct reply_scan *r, struct str usage_json)
{
    json_scan_init(&r->json, &usage_root, reply_on_member, r);
    (void)json_scan_feed(&r->json, usage_json.p,
                         usage_json.n); /* what cannot be read counts nothing */
}

enum json_scan_state reply_scan_feed(struct reply_scan *r, const char *p, size_t n)
{
    return json_scan_feed(&r->json, p, n);
}

uint64_t reply_scan_open(struct reply_scan *r)
{
    const struct json_scan *s = &r->json;
    const struct json_level *l = &s->level[s->depth < JSON_WATCH_DEPTH ? s->depth : 0];

    /* only a scalar keeps text from feed to feed */
    if (!s->depth || !s->text_n || s->in_key || !l->member ||
        (l->member->id != RF_MODEL && l->member->id != RF_ID) ||
        reply_scan_feed(r, "", 0) != JSON_SCAN_MORE)
        return UINT64_MAX;
    return l->at;
}

/* Takes a part out of what is left of a whole, never more than that: a provider's parts may add up
 * to more than its whole. */
static uint64_t part_take(uint64_t *left, uint64_t part)
{
    part = MIN(part, *left);
    *left -= part;
    return part;
}

void reply_usage(const struct reply_scan *r, enum dialect dialect, struct usage *u)
{
    const uint64_t *c = r->count;

    *u = (struct usage){.tier = r->tier, .seen = r->counted != 0};
    u->web_searches = (uint32_t)c[UC_WEB_SEARCHES];
    u->input = c[UC_PROMPT];
    u->output = c[UC_COMPLETION];
    if (dialect == DIALECT_ANTHROPIC) {
        /* B.8: input_tokens excludes what was read from and written to the cache */
        u->cache_read = c[UC_CACHE_READ];
        u->cache_write_1h = c[UC_CACHE_CREATION_1H];
        u->cache_write = c[UC_CACHE_CREATION_5M];
        if (r->counted & BIT(UC_CACHE_CREATION)) {
            u->cache_write = c[UC_CACHE_CREATION];
            u->cache_write_1h = part_take(&u->cache_write, u->cache_write_1h);
        }
    } else {
        /* A.8: prompt_tokens includes all of its details */
        u->cache_read = part_take(&u->input, c[UC_CACHED]);
        u->cache_write = part_take(&u->input, c[UC_CACHE_WRITTEN]);
        u->audio_in = part_take(&u->input, c[UC_AUDIO_IN]);
        u->image_in = part_take(&u->input, c[UC_IMAGE_IN]);
    }
    /* Some leave reasoning out of completion_tokens and only in the total (providers.md section 5,
     * xai). */
    if (r->counted & BIT(UC_TOTAL) && c[UC_TOTAL] == c[UC_PROMPT] + u->output + c[UC_REASONING])
        u->output += c[UC_REASONING];
    u->reasoning = part_take(&u->output, c[UC_REASONING]);
    u->audio_out = part_take(&u->output, c[UC_AUDIO_OUT]);
    u->image_out = part_take(&u->output, c[UC_IMAGE_OUT]);
}

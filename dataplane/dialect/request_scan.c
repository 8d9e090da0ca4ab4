/* The table of fields as a watch tree, and what is taken from each member when it is complete. */

#include "dialect/request_scan.h"

enum {
    APIS_ALL = (1 << API_COUNT) - 1,
    APIS_OPENAI = 1 << API_CHAT | 1 << API_COMPLETIONS | 1 << API_EMBEDDINGS | 1 << API_MODERATIONS,
};

static const struct {
    struct str name;
    uint8_t what;
    uint8_t apis;
} fields[] = {
#define FIELD(n, id, w, a) [FIELD_##id] = {STR_INIT(n), FIELD_##w, a},
#include "common/gateway/fields.def"
#undef FIELD
};

static const struct json_watch stream_options_watch[] = {
    {.key = STR_INIT("include_usage"), .id = FIELD_INCLUDE_USAGE},
};
static const struct json_watch metadata_watch[] = {
    {.key = STR_INIT("user_id"), .id = FIELD_METADATA_USER_ID},
    {.key = STR_INIT("tags"), .id = FIELD_METADATA_TAGS},
    {.key = STR_INIT("session_id"), .id = FIELD_METADATA_SESSION_ID},
    {.key = STR_INIT("trace_id"), .id = FIELD_METADATA_TRACE_ID},
};
static const struct json_watch litellm_metadata_watch[] = {
    {.key = STR_INIT("user"), .id = FIELD_LITELLM_METADATA_USER},
    {.key = STR_INIT("tags"), .id = FIELD_LITELLM_METADATA_TAGS},
    {.key = STR_INIT("session_id"), .id = FIELD_METADATA_SESSION_ID},
    {.key = STR_INIT("trace_id"), .id = FIELD_METADATA_TRACE_ID},
};

#define CHILDREN_STREAM_OPTIONS JSON_WATCH_CHILDREN(stream_options_watch)
#define CHILDREN_METADATA       JSON_WATCH_CHILDREN(metadata_watch)
#define CHILDREN_OURS           JSON_WATCH_CHILDREN(litellm_metadata_watch)

static const struct json_watch root_children[] = {
    {.key = STR_INIT("stream_options"), .id = FIELD_STREAM_OPTIONS, CHILDREN_STREAM_OPTIONS},
    {.key = STR_INIT("metadata"), .id = FIELD_METADATA, CHILDREN_METADATA},
    {.key = STR_INIT("litellm_metadata"), .id = FIELD_LITELLM_METADATA, CHILDREN_OURS},
#define FIELD(name_, field_, what_, apis_) {.key = STR_INIT(name_), .id = FIELD_##field_},
#include "common/gateway/fields.def"
#undef FIELD
};
static const uint8_t root_tags[JSON_WATCH_TAGS(ARRAY_LEN(root_children))] = {
    JSON_WATCH_TAG("stream_options"),
    JSON_WATCH_TAG("metadata"),
    JSON_WATCH_TAG("litellm_metadata"),
#define FIELD(name_, field_, what_, apis_) JSON_WATCH_TAG(name_),
#include "common/gateway/fields.def"
#undef FIELD
};
static const struct json_watch root = {JSON_WATCH_CHILDREN(root_children), .tags = root_tags};

struct str field_name(enum field f)
{
    return f > FIELD_NONE && (size_t)f < ARRAY_LEN(fields) ? fields[f].name : (struct str){0};
}

enum field_what field_what(enum field f, enum api api)
{
    if (f == FIELD_NONE || (size_t)f >= ARRAY_LEN(fields) || !(fields[f].apis & BIT(api)))
        return FIELD_READ;
    return (enum field_what)fields[f].what;
}

/* The string value as text, decoded into the arena. */
static struct str scan_text(struct request_scan *s, const struct json_member *m)
{
    struct str inner = json_text_inner(m->text);

    if (m->type != JSON_STRING || !inner.n)
        return (struct str){0};
    char *out = arena_alloc(s->arena, inner.n + 1);
    if (!out)
        return (struct str){0};
    size_t n = json_unescape(out, inner);
    return n == SIZE_MAX ? (struct str){0} : (struct str){out, n};
}

static bool scan_bool(struct request_scan *s, const struct json_member *m)
{
    if (m->type != JSON_TRUE && m->type != JSON_FALSE && m->type != JSON_NULL)
        s->bad_value = true;
    return m->type == JSON_TRUE;
}

/* Where end user and session are named, the better place last. */
enum { USER_NOWHERE, USER_SAFETY_IDENTIFIER, USER_METADATA, USER_OURS, USER_USER };
enum { SESSION_NOWHERE, SESSION_METADATA_TRACE, SESSION_METADATA, SESSION_TRACE, SESSION_OWN };

static void scan_better(struct request_scan *s, const struct json_member *m, uint8_t from,
                        struct str *text, uint8_t *text_from)
{
    if (from <= *text_from)
        return;
    struct str better = scan_text(s, m);
    if (better.n) {
        *text = better;
        *text_from = from;
    }
}

static void scan_user(struct request_scan *s, const struct json_member *m, uint8_t from)
{
    scan_better(s, m, from, &s->user, &s->user_from);
}

static void scan_session(struct request_scan *s, const struct json_member *m, uint8_t from)
{
    scan_better(s, m, from, &s->session, &s->session_from);
}

static void scan_tags(struct request_scan *s, const struct json_member *m)
{
    bool ours = m->id == FIELD_LITELLM_METADATA_TAGS;

    s->has_metadata_tags |= !ours;
    if (s->tags_ours && !ours)
        return;
    s->tags_ours = ours;
    s->tags_at = m->at;
    s->tags_end = m->end;
}

static void scan_model(struct request_scan *s, const struct json_member *m)
{
    s->model = scan_text(s, m);
    for (size_t i = 0; i < s->model.n; i++) /* it may become part of a path or header */
        s->bad_value |= (unsigned char)s->model.p[i] < 0x20 || s->model.p[i] == 0x7f;
}

static void scan_on_member(void *ctx, const struct json_member *m)
{
    struct request_scan *s = ctx;

    switch (m->id) { /* most members need nothing */
    case FIELD_MODEL:
        scan_model(s, m);
        break;
    case FIELD_STREAM:
        s->stream = scan_bool(s, m);
        break;
    case FIELD_INCLUDE_USAGE:
        s->repeated |= s->has_include_usage;
        s->has_include_usage = true;
        s->include_usage = scan_bool(s, m);
        s->include_usage_at = m->at;
        s->include_usage_end = m->end;
        return;
    case FIELD_METADATA_USER_ID:
        s->repeated |= s->has_metadata_user;
        s->has_metadata_user = true;
        scan_user(s, m, USER_METADATA);
        return;
    case FIELD_LITELLM_METADATA_USER:
        scan_user(s, m, USER_OURS);
        return;
    case FIELD_METADATA_TAGS:
    case FIELD_LITELLM_METADATA_TAGS:
        scan_tags(s, m);
        return;
    case FIELD_METADATA_SESSION_ID:
        scan_session(s, m, SESSION_METADATA);
        return;
    case FIELD_METADATA_TRACE_ID:
        scan_session(s, m, SESSION_METADATA_TRACE);
        return;
    case FIELD_LITELLM_SESSION_ID:
        scan_session(s, m, SESSION_OWN);
        break;
    case FIELD_LITELLM_TRACE_ID:
        scan_session(s, m, SESSION_TRACE);
        break;
    case FIELD_USER:
        scan_user(s, m, USER_USER);
        break;
    case FIELD_SAFETY_IDENTIFIER:
        scan_user(s, m, USER_SAFETY_IDENTIFIER);
        break;
    default:
        break;
    }
    if (s->n_members == s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : 16;
        struct member *bigger =
            cap <= MEMBERS_MAX ? arena_alloc(s->arena, cap * sizeof *bigger) : NULL;
        if (!bigger) {
            s->too_many = true;
            return;
        }
        if (s->n_members)
            memcpy(bigger, s->member, s->n_members * sizeof *bigger);
        s->member = bigger;
        s->cap = cap;
    }
    if (m->id && s->at[m->id])
        s->repeated = true;
    s->member[s->n_members++] = (struct member){
        .key_at = m->key_at,
        .key_end = m->key_end,
        .at = m->at,
        .end = m->end,
        .prev_end = m->prev_end,
        .field = m->id,
        .type = m->type,
        .key_escaped = m->key_escaped,
    };
    if (m->id)
        s->at[m->id] = (uint16_t)s->n_members;
}

void request_scan_init(struct request_scan *s, struct arena *a)
{
    json_scan_init(&s->json, &root, scan_on_member, s);
    s->json.all_members = true;
    s->json.word = STR("cache_control");
    s->arena = a;
    s->member = NULL;
    s->n_members = s->cap = 0;
    memset(s->at, 0, sizeof s->at);
    s->stream = s->include_usage = s->has_include_usage = s->bad_value = false;
    s->repeated = s->too_many = s->has_metadata_user = false;
    s->model = s->user = s->session = (struct str){0};
    s->user_from = USER_NOWHERE;
    s->session_from = SESSION_NOWHERE;
    s->include_usage_at = s->include_usage_end = 0;
    s->tags_at = s->tags_end = 0;
    s->has_metadata_tags = s->tags_ours = false;
}

enum request_scan_result request_scan_feed(struct request_scan *s, const char *p, size_t n)
{
    switch (json_scan_feed(&s->json, p, n)) {
    case JSON_SCAN_MORE:
        return REQUEST_SCAN_MORE;
    case JSON_SCAN_DONE:
        return json_scan_root(&s->json) == JSON_OBJECT ? REQUEST_SCAN_DONE : REQUEST_SCAN_BAD;
    case JSON_SCAN_DEEP:
        return REQUEST_SCAN_DEEP;
    case JSON_SCAN_BAD:
        break;
    }
    return REQUEST_SCAN_BAD;
}

struct str member_name(const struct member *m, const char *body, struct arena *a)
{
    struct str name = {body + m->key_at + 1, m->key_end - m->key_at - 2};

    if (LIKELY(!m->key_escaped))
        return name;
    char *out = arena_alloc(a, name.n);
    size_t n = out ? json_unescape(out, name) : SIZE_MAX;
    return n == SIZE_MAX ? (struct str){0} : (struct str){out, n};
}

/* Over all bytes, eight at a time, from a start that nobody outside knows. */
static uint64_t name_hash(struct str name, uint64_t h)
{
    uint64_t word = 0;

    for (h ^= name.n; name.n >= sizeof word; name = str_from(name, sizeof word)) {
        memcpy(&word, name.p, sizeof word);
        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 32;
    }
    word = 0;
    if (name.n)
        memcpy(&word, name.p, name.n);
    h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ h >> 32;
}

bool request_scan_repeats(const struct request_scan *s, const char *body)
{
    size_t slots = 16;

    if (s->repeated || s->n_members == 0)
        return s->repeated;
    while (slots < s->n_members * 2u)
        slots *= 2;
    uint16_t *slot = arena_zalloc(s->arena, slots * sizeof *slot); /* 1 + index of a name */
    struct str *name = arena_alloc(s->arena, s->n_members * sizeof *name);
    for (uint32_t i = 0; slot && name && i < s->n_members; i++) {
        if (s->member[i].field != FIELD_NONE)
            continue; /* seen when it was scanned */
        name[i] = member_name(&s->member[i], body, s->arena);
        size_t at = name_hash(name[i], (uint64_t)(uintptr_t)name) % slots;
        for (; slot[at]; at = (at + 1) % slots)
            if (str_eq(name[slot[at] - 1], name[i]))
                return true;
        slot[at] = (uint16_t)(i + 1);
    }
    return false;
}

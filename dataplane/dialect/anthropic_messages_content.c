/*
 * Messages and content blocks into turns (wire-formats.md B.3). A row of `kinds` a block type; what
 * has no row is kept whole.
 */

#include "dialect/anthropic_messages_priv.h"

/* Where a block goes: to the end of a turn, or of what a tool result holds. */
struct place {
    struct turn *turn;
    struct block *result;
};

static struct block *block_add(struct messages_reading *r, struct place at, enum block_kind kind)
{
    return at.result ? neutral_inner(r->n, at.result, kind) : neutral_block(r->n, at.turn, kind);
}

#define GET(obj, member) JSON_GET(r->t, obj, member)

static struct str cache_of(struct messages_reading *r, const struct json_val *v)
{
    const struct json_val *cache = GET(v, "cache_control");

    return json_has_type(cache, JSON_OBJECT) ? json_raw(r->t, cache) : (struct str){0};
}

/* --- texts of which one is made --------------------------------------------------------------
 */

struct joining {
    char *p; /* NULL: only counts */
    size_t n;
};

static void join(struct joining *j, struct jstr text, const char *before)
{
    struct str gap = text.n && j->n ? str_of(before) : (struct str){0};

    if (j->p && text.n) {
        memcpy(j->p + j->n, gap.p ? gap.p : "", gap.n);
        memcpy(j->p + j->n + gap.n, text.p, text.n);
    }
    j->n += gap.n + text.n;
}

/* The texts of a string or a list of blocks, each on a line. */
static void join_content(struct messages_reading *r, struct joining *j,
                         const struct json_val *content, const char *before)
{
    join(j, json_text(r->t, content), before);
    if (!json_has_type(content, JSON_ARRAY))
        return;
    JSON_ELEMENTS(r->t, content, e)
    {
        join(j, json_text(r->t, GET(e, "text")), before);
        before = "\\n";
    }
}

/* --- block types -----------------------------------------------------------------------------
 */

static bool text_read(struct messages_reading *r, struct place at, const struct json_val *v)
{
    const struct json_val *text = GET(v, "text");
    struct block *b = block_add(r, at, BLOCK_TEXT);

    if (!json_has_type(text, JSON_STRING))
        return messages_bad(r, "content has a text block without text.");
    if (!b)
        return false;
    b->text = json_text(r->t, text);
    b->cache = cache_of(r, v);
    return true;
}

static bool source_read(struct messages_reading *r, struct block *b, const struct json_val *source)
{
    const struct json_val *type = GET(source, "type");

    if (json_is(r->t, type, "base64") || json_is(r->t, type, "text")) {
        b->source = json_is(r->t, type, "text") ? MEDIA_TEXT : MEDIA_BASE64;
        b->media_type = neutral_media_type(r->n, json_text(r->t, GET(source, "media_type")));
        b->text = json_text(r->t, GET(source, "data"));
    } else if (json_is(r->t, type, "file")) {
        b->source = MEDIA_FILE;
        b->text = json_text(r->t, GET(source, "file_id"));
    } else if (json_is(r->t, type, "url")) {
        if (!neutral_data_url(r->n, b, json_text(r->t, GET(source, "url"))))
            return messages_bad(r, "content has a source whose data is no base64.");
    }
    return b->text.n || messages_bad(r, "content has a source that is not understood.");
}

static bool image_read(struct messages_reading *r, struct place at, const struct json_val *v)
{
    struct block *b = block_add(r, at, BLOCK_IMAGE);

    if (!b)
        return false;
    b->cache = cache_of(r, v);
    return source_read(r, b, GET(v, "source"));
}

static bool blocks_read(struct messages_reading *r, struct place at, const struct json_val *v);

/* {"type":"content"}: the texts as one document, images beside it. */
static bool content_source_read(struct messages_reading *r, struct place at, struct block *b,
                                const struct json_val *content)
{
    struct joining j = {0};

    b->source = MEDIA_TEXT;
    b->media_type = JSTR("text/plain");
    join_content(r, &j, content, "");
    j.p = arena_alloc(r->n->arena, j.n + 1);
    if (!j.p)
        return false;
    b->text.p = j.p;
    j.n = 0;
    join_content(r, &j, content, "");
    b->text.n = j.n;
    if (!json_has_type(content, JSON_ARRAY))
        return true;
    JSON_ELEMENTS(r->t, content, e)
    if (json_is(r->t, GET(e, "type"), "image") && !image_read(r, at, e))
        return false;
    return true;
}

static bool document_read(struct messages_reading *r, struct place at, const struct json_val *v)
{
    const struct json_val *source = GET(v, "source"), *citations = GET(v, "citations");
    struct block *b = block_add(r, at, BLOCK_DOCUMENT);

    if (!b)
        return false;
    b->name = json_text(r->t, GET(v, "title"));
    b->cache = cache_of(r, v);
    if (json_has_type(citations, JSON_OBJECT))
        b->citations = json_raw(r->t, citations);
    if (json_is(r->t, GET(source, "type"), "content"))
        return content_source_read(r, at, b, GET(source, "content"));
    return source_read(r, b, source);
}

/* Nobody else has search results: title, source and texts as one text. */
static bool search_result_read(struct messages_reading *r, struct place at,
                               const struct json_val *v)
{
    struct block *b = block_add(r, at, BLOCK_TEXT);
    struct joining j = {0};

    if (!b)
        return false;
    for (unsigned pass = 0; pass < 2; pass++) {
        j.n = 0;
        join(&j, json_text(r->t, GET(v, "title")), "");
        join(&j, json_text(r->t, GET(v, "source")), "\\n");
        join_content(r, &j, GET(v, "content"), "\\n\\n");
        if (!j.p && !(j.p = arena_alloc(r->n->arena, j.n + 1)))
            return false;
    }
    b->text = (struct jstr){j.p, j.n};
    b->cache = cache_of(r, v);
    return true;
}

/*
 * E.3, F.34: a signature may be another provider's, sealed by this gateway's writer, or by LiteLLM
 * in a conversation begun there.
 */
static void signature_read(struct block *b, struct jstr signature, bool is_redacted)
{
    static const struct str foreign = STR_INIT("litellm_encrypted_reasoning:");
    struct str s = {signature.p, signature.n};

    if (reasoning_open(b, signature))
        return;
    b->is_redacted = is_redacted;
    b->signature = signature;
    if (str_starts(s, foreign)) {
        s = str_from(s, foreign.n);
        b->origin = API_RESPONSES;
        b->signature = (struct jstr){s.p, s.n};
    }
}

static bool thinking_read(struct messages_reading *r, struct place at, const struct json_val *v)
{
    struct block *b = block_add(r, at, BLOCK_REASONING);

    if (!b)
        return false;
    b->text = json_text(r->t, GET(v, "thinking")); /* as signed */
    signature_read(b, json_text(r->t, GET(v, "signature")), false);
    return true;
}

static bool redacted_thinking_read(struct messages_reading *r, struct place at,
                                   const struct json_val *v)
{
    struct block *b = block_add(r, at, BLOCK_REASONING);

    if (b)
        signature_read(b, json_text(r->t, GET(v, "data")), true);
    return b;
}

static bool tool_use_read(struct messages_reading *r, struct place at, const struct json_val *v)
{
    struct block *b = block_add(r, at, BLOCK_TOOL_CALL);
    const struct json_val *input = GET(v, "input");

    if (!b)
        return false;
    b->id = json_text(r->t, GET(v, "id"));
    b->name = json_text(r->t, GET(v, "name"));
    b->input = input ? json_raw(r->t, input) : STR("{}");
    b->cache = cache_of(r, v);
    if (!b->id.n || !b->name.n || (input && input->type != JSON_OBJECT))
        return messages_bad(r, "content has a tool_use without id, name or input object.");
    return true;
}

static bool tool_result_read(struct messages_reading *r, struct place at, const struct json_val *v)
{
    struct block *b = block_add(r, at, BLOCK_TOOL_RESULT);
    const struct json_val *content = GET(v, "content");

    if (!b)
        return false;
    b->id = json_text(r->t, GET(v, "tool_use_id"));
    b->is_error = json_true(GET(v, "is_error"));
    b->cache = cache_of(r, v);
    if (!b->id.n)
        return messages_bad(r, "content has a tool_result without tool_use_id.");
    return !content || blocks_read(r, (struct place){.result = b}, content);
}

static bool opaque_read(struct messages_reading *r, struct place at, const struct json_val *v)
{
    struct block *b = block_add(r, at, BLOCK_OPAQUE);

    if (b)
        b->raw = json_raw(r->t, v);
    return b;
}

static const struct {
    struct str type;
    bool (*read)(struct messages_reading *r, struct place at, const struct json_val *v);
    bool top; /* not inside a tool result */
} kinds[] = {
    {STR_INIT("text"), text_read, false},
    {STR_INIT("tool_use"), tool_use_read, true},
    {STR_INIT("tool_result"), tool_result_read, true},
    {STR_INIT("thinking"), thinking_read, true},
    {STR_INIT("redacted_thinking"), redacted_thinking_read, true},
    {STR_INIT("image"), image_read, false},
    {STR_INIT("document"), document_read, false},
    {STR_INIT("search_result"), search_result_read, false},
};

static bool block_read(struct messages_reading *r, struct place at, const struct json_val *v)
{
    struct jstr type = json_text(r->t, GET(v, "type"));

    if (!json_has_type(v, JSON_OBJECT) || !type.n)
        return messages_bad(r, "content must be a list of blocks with a type.");
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (jstr_is(type, kinds[i].type) && !(kinds[i].top && at.result))
            return kinds[i].read(r, at, v);
    return opaque_read(r, at, v);
}

/* A string is a text block's shorthand. */
static bool blocks_read(struct messages_reading *r, struct place at, const struct json_val *v)
{
    if (json_has_type(v, JSON_STRING)) {
        struct block *b = block_add(r, at, BLOCK_TEXT);
        if (b)
            b->text = json_text(r->t, v);
        return b;
    }
    if (!json_has_type(v, JSON_ARRAY))
        return messages_bad(r, "content must be a string or a list.");
    JSON_ELEMENTS(r->t, v, e)
    if (!block_read(r, at, e))
        return false;
    return true;
}

/* --- messages --------------------------------------------------------------------------------
 */

bool messages_system_read(struct messages_reading *r, const struct json_val *v)
{
    if (!v)
        return true;
    if (v->type != JSON_STRING && v->type != JSON_ARRAY) {
        r->f->param = STR("system");
        return fault_set(r->f, r->n->arena, ERROR_BAD_FIELD, "system must be a string or a list.");
    }
    return blocks_read(r, (struct place){.turn = neutral_turn(r->n, ROLE_SYSTEM)}, v);
}

static bool message_read(struct messages_reading *r, const struct json_val *v)
{
    static const struct {
        struct str name;
        enum role role;
    } roles[] = {
        {STR_INIT("user"), ROLE_USER},
        {STR_INIT("assistant"), ROLE_ASSISTANT},
        {STR_INIT("system"), ROLE_SYSTEM},
    };
    struct jstr role = json_text(r->t, GET(v, "role"));

    for (size_t i = 0; i < ARRAY_LEN(roles); i++)
        if (jstr_is(role, roles[i].name))
            return blocks_read(r, (struct place){.turn = neutral_turn(r->n, roles[i].role)},
                               GET(v, "content"));
    return messages_bad(r, "role must be user, assistant or system.");
}

bool messages_turns_read(struct messages_reading *r, const struct json_val *messages)
{
    JSON_ELEMENTS(r->t, messages, v)
    {
        if (!message_read(r, v))
            return false;
        r->message++;
    }
    return true;
}

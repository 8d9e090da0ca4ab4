/* The messages of a chat request: a table of roles, one of content parts (wire-formats.md A.3, A.4,
 * A.11). */

#include "dialect/openai_chat_priv.h"

static bool bad_message(struct reading *r, const char *what)
{
    return BAD(r, "messages.%u.%s", r->message, what);
}

static bool bad_part(struct reading *r, const char *what)
{
    return BAD(r, "messages.%u.content.%u.%s", r->message, r->part, what);
}

/* --- content parts ------------------------------------------------------------------------------
 */

static struct block *add(struct reading *r, enum block_kind kind)
{
    return r->result ? neutral_inner(r->n, r->result, kind) : neutral_block(r->n, r->turn, kind);
}

void chat_add_text(struct reading *r, enum block_kind kind, struct jstr text)
{
    struct block *b = add(r, kind);

    if (b)
        b->text = text;
}

static struct block *last_added(const struct reading *r)
{
    return r->result ? r->result->last_inner : r->turn ? r->turn->last : NULL;
}

/* A mark of the prompt cache, in either spelling, on what holds it. */
static void read_mark(struct reading *r, const struct json_val *obj, struct block *b)
{
    const struct json_val *mark = JSON_GET(r->t, obj, "cache_control");

    if (!b)
        return;
    if (json_has_type(mark, JSON_OBJECT))
        b->cache = json_raw(r->t, mark);
    else if (json_has_type(JSON_GET(r->t, obj, "prompt_cache_breakpoint"), JSON_OBJECT))
        b->cache = STR("{\"type\":\"ephemeral\"}");
}

static bool read_text_part(struct reading *r, const struct json_val *part)
{
    const struct json_val *text = JSON_GET(r->t, part, "text");

    if (!json_has_type(text, JSON_STRING))
        return bad_part(r, "text");
    chat_add_text(r, BLOCK_TEXT, text_of(r, text));
    return true;
}

static bool read_refusal_part(struct reading *r, const struct json_val *part)
{
    chat_add_text(r, BLOCK_REFUSAL, text_of(r, JSON_GET(r->t, part, "refusal")));
    return true;
}

static bool read_image_part(struct reading *r, const struct json_val *part)
{
    const struct json_val *image = JSON_GET(r->t, part, "image_url");
    const struct json_val *url =
        json_has_type(image, JSON_STRING) ? image : JSON_GET(r->t, image, "url");
    struct block *b;

    if (!json_has_type(url, JSON_STRING))
        return bad_part(r, "image_url");
    if (!(b = add(r, BLOCK_IMAGE)))
        return true;
    b->detail = text_of(r, JSON_GET(r->t, image, "detail"));
    return neutral_data_url(r->n, b, text_of(r, url)) || bad_part(r, "image_url.url");
}

static bool read_audio_part(struct reading *r, const struct json_val *part)
{
    MEMBERS(r->t, JSON_GET(r->t, part, "input_audio"), m, NAME("data"), NAME("format"));
    struct block *b;

    if (!json_has_type(m[0], JSON_STRING))
        return bad_part(r, "input_audio.data");
    if ((b = add(r, BLOCK_AUDIO))) {
        b->source = MEDIA_BASE64;
        b->text = text_of(r, m[0]);
        b->media_type = text_of(r, m[1]);
    }
    return true;
}

/* file_data is a data URL, or base64 alone; some clients put a URL where the id belongs. */
static bool read_file_part(struct reading *r, const struct json_val *part)
{
    MEMBERS(r->t, JSON_GET(r->t, part, "file"), m, NAME("file_data"), NAME("file_id"),
            NAME("filename"), NAME("format"));
    struct jstr data = text_of(r, m[0]), id = text_of(r, m[1]);
    struct block *b;

    if (!data.n && !id.n)
        return bad_part(r, "file");
    if (!(b = add(r, BLOCK_DOCUMENT)))
        return true;
    b->name = text_of(r, m[2]);
    b->media_type = neutral_media_type(r->n, text_of(r, m[3]));
    if (!data.n) {
        b->source = jstr_starts(id, STR("http")) ? MEDIA_URL : MEDIA_FILE;
        b->text = id;
        return true;
    }
    if (!neutral_data_url(r->n, b, data))
        return bad_part(r, "file.file_data");
    if (b->source == MEDIA_URL && !jstr_starts(data, STR("http"))) {
        b->source = MEDIA_BASE64;
        b->media_type = b->media_type.n ? b->media_type : media_sniff(data);
    }
    if (b->source == MEDIA_BASE64 && jstr_starts(b->media_type, STR("image")))
        b->kind = BLOCK_IMAGE;
    return true;
}

/* Blocks in Anthropic's words, which clients of LiteLLM send in chat. */
static bool read_foreign_part(struct reading *r, const struct json_val *part)
{
    struct block *b = add(r, BLOCK_OPAQUE);

    if (b) {
        b->origin = API_MESSAGES;
        b->raw = json_raw(r->t, part);
    }
    return true;
}

static bool read_thinking(struct reading *r, const struct json_val *v);

static const struct chat_row parts[] = {
    {STR_INIT("text"), read_text_part},
    {STR_INIT("image_url"), read_image_part},
    {STR_INIT("input_audio"), read_audio_part},
    {STR_INIT("file"), read_file_part},
    {STR_INIT("refusal"), read_refusal_part},
    {STR_INIT("thinking"), read_thinking},
    {STR_INIT("redacted_thinking"), read_thinking},
    {STR_INIT("document"), read_foreign_part},
    {STR_INIT("search_result"), read_foreign_part},
};

static bool read_part(struct reading *r, const struct json_val *part)
{
    if (json_has_type(part, JSON_STRING)) {
        chat_add_text(r, BLOCK_TEXT, text_of(r, part));
        return true;
    }
    chat_read_fn read = chat_row(r, parts, ARRAY_LEN(parts), JSON_GET(r->t, part, "type"));
    if (!read)
        return bad_part(r, "type");
    if (!read(r, part))
        return false;
    read_mark(r, part, last_added(r));
    return true;
}

/* A text, a list of parts, or nothing at all (F.24, F.25). */
static bool read_content(struct reading *r, const struct json_val *content)
{
    if (!content)
        return true;
    if (content->type == JSON_STRING) {
        chat_add_text(r, BLOCK_TEXT, text_of(r, content));
        return true;
    }
    if (content->type != JSON_ARRAY)
        return bad_message(r, "content");
    r->part = 0;
    JSON_ELEMENTS(r->t, content, part)
    {
        if (!read_part(r, part))
            return false;
        r->part++;
    }
    return true;
}

/* --- reasoning of turns that are replayed --------------------------------------------------------
 */

/* A block of thinking_blocks: ours sealed, or as Anthropic signed it. */
static bool read_thinking(struct reading *r, const struct json_val *v)
{
    MEMBERS(r->t, v, m, NAME("thinking"), NAME("signature"), NAME("data"));
    struct block *b = add(r, BLOCK_REASONING);
    struct jstr sealed = m[2] ? text_of(r, m[2]) : text_of(r, m[1]);

    if (!b)
        return true;
    b->text = text_of(r, m[0]);
    if (!sealed.n || reasoning_open(b, sealed))
        return true;
    b->origin = API_MESSAGES;
    b->is_redacted = m[2] != NULL;
    b->signature = sealed;
    return true;
}

/* An item of reasoning_items, as the Responses API made it. */
static bool read_reasoning_item(struct reading *r, const struct json_val *v)
{
    MEMBERS(r->t, v, m, NAME("id"), NAME("encrypted_content"), NAME("summary"));
    struct block *b = add(r, BLOCK_REASONING);

    if (!b)
        return true;
    b->origin = API_RESPONSES;
    b->id = text_of(r, m[0]);
    b->signature = text_of(r, m[1]);
    if (!json_has_type(m[2], JSON_ARRAY))
        return true;
    JSON_ELEMENTS(r->t, m[2], summary)
    {
        struct jstr text = text_of(r, JSON_GET(r->t, summary, "text"));
        struct block *more = b->text.p ? neutral_inner(r->n, b, BLOCK_TEXT) : b;
        if (more)
            more->text = text;
    }
    return true;
}

/* OpenRouter wants its list back as it was: that is the signature. */
static void read_reasoning_details(struct reading *r, const struct json_val *details)
{
    struct block *b = add(r, BLOCK_REASONING);
    struct str raw = json_raw(r->t, details);

    if (!b)
        return;
    b->signature = jstr_encode(raw, r->n->arena);
    JSON_ELEMENTS(r->t, details, v)
    {
        MEMBERS(r->t, v, m, NAME("text"), NAME("summary"));
        struct jstr text = text_of(r, m[0] ? m[0] : m[1]);
        struct block *more = !text.n ? NULL : b->text.n ? neutral_inner(r->n, b, BLOCK_TEXT) : b;
        if (more)
            more->text = text;
    }
}

static bool is_list(const struct json_val *v)
{
    return json_has_type(v, JSON_ARRAY) && v->n > 2;
}

/* The richest form that is there; the others repeat it. */
static void read_reasoning(struct reading *r, const struct json_val *message)
{
    MEMBERS(r->t, message, m, NAME("thinking_blocks"), NAME("reasoning_items"),
            NAME("reasoning_details"), NAME("reasoning_content"), NAME("reasoning"));
    struct jstr text = text_of(r, json_has_type(m[3], JSON_STRING) ? m[3] : m[4]);

    if (is_list(m[0]) || is_list(m[1])) {
        chat_read_fn read = is_list(m[0]) ? read_thinking : read_reasoning_item;
        JSON_ELEMENTS(r->t, is_list(m[0]) ? m[0] : m[1], v)
        {
            (void)read(r, v);
        }
    } else if (is_list(m[2])) {
        read_reasoning_details(r, m[2]);
    } else if (text.n) {
        chat_add_text(r, BLOCK_REASONING, text);
    }
}

/* --- calls and results ---------------------------------------------------------------------------
 */

static void read_arguments(struct reading *r, const struct json_val *v, struct block *b)
{
    if (json_has_type(v, JSON_OBJECT)) /* F.23 */
        b->input = json_raw(r->t, v);
    else
        b->arguments = text_of(r, v);
}

static bool read_call(struct reading *r, const struct json_val *v)
{
    MEMBERS(r->t, v, m, NAME("id"), NAME("function"), NAME("custom"));
    struct block *b = add(r, BLOCK_TOOL_CALL);

    if (!b)
        return true;
    b->id = text_of(r, m[0]);
    b->is_custom = m[2] && !m[1];
    const struct json_val *called = b->is_custom ? m[2] : m[1];
    b->name = text_of(r, JSON_GET(r->t, called, "name"));
    if (!b->name.n)
        return bad_message(r, "tool_calls");
    if (b->is_custom)
        b->text = text_of(r, JSON_GET(r->t, called, "input"));
    else
        read_arguments(r, JSON_GET(r->t, called, "arguments"), b);
    r->has_custom |= b->is_custom;
    r->calls = r->calls ? r->calls : b;
    read_mark(r, v, b);
    return true;
}

static bool read_calls(struct reading *r, const struct json_val *v)
{
    if (!json_has_type(v, JSON_ARRAY))
        return true;
    JSON_ELEMENTS(r->t, v, call)
    {
        if (!read_call(r, call))
            return false;
    }
    return true;
}

/* The deprecated form has no id; a pure function of the place makes one. */
static bool read_function_call(struct reading *r, const struct json_val *v)
{
    MEMBERS(r->t, v, m, NAME("name"), NAME("arguments"));
    struct str id = arena_printf(r->n->arena, "call_function_%u", r->message);
    struct block *b = add(r, BLOCK_TOOL_CALL);

    if (!b)
        return true;
    b->name = text_of(r, m[0]);
    if (!b->name.n)
        return bad_message(r, "function_call");
    b->id = r->function_id = (struct jstr){id.p, id.n};
    read_arguments(r, m[1], b);
    return true;
}

/* Among the calls just made; more than a model makes are not looked through. */
static bool answers_custom(const struct reading *r, struct jstr id)
{
    enum { CALLS_MAX = 128 };
    const struct block *b = r->has_custom ? r->calls : NULL;

    for (unsigned i = 0; b && i < CALLS_MAX; b = b->next, i++)
        if (b->kind == BLOCK_TOOL_CALL && jstr_same(b->id, id))
            return b->is_custom;
    return false;
}

/* Results of a run of messages stand in one turn. */
static bool read_result(struct reading *r, const struct json_val *message, struct jstr id)
{
    if (!r->in_results)
        r->turn = neutral_turn(r->n, ROLE_USER);
    r->in_results = true;
    struct block *b = neutral_block(r->n, r->turn, BLOCK_TOOL_RESULT);
    if (!b)
        return true;
    b->id = id;
    b->is_custom = answers_custom(r, id);
    b->is_error = json_true(JSON_GET(r->t, message, "is_error"));
    r->result = b;
    bool ok = read_content(r, JSON_GET(r->t, message, "content"));
    r->result = NULL;
    read_mark(r, message, b);
    return ok;
}

/* --- messages ------------------------------------------------------------------------------------
 */

static void begin_turn(struct reading *r, enum role role, const struct json_val *message)
{
    r->turn = neutral_turn(r->n, role);
    r->in_results = false;
    if (r->turn)
        r->turn->name = text_of(r, JSON_GET(r->t, message, "name"));
}

static bool read_plain(struct reading *r, enum role role, const struct json_val *message)
{
    begin_turn(r, role, message);
    if (!read_content(r, JSON_GET(r->t, message, "content")))
        return false;
    read_mark(r, message, last_added(r));
    return true;
}

static bool read_system(struct reading *r, const struct json_val *message)
{
    return read_plain(r, ROLE_SYSTEM, message);
}

static bool read_developer(struct reading *r, const struct json_val *message)
{
    return read_plain(r, ROLE_DEVELOPER, message);
}

static bool read_user(struct reading *r, const struct json_val *message)
{
    return read_plain(r, ROLE_USER, message);
}

static bool read_assistant(struct reading *r, const struct json_val *message)
{
    MEMBERS(r->t, message, m, NAME("content"), NAME("refusal"), NAME("tool_calls"),
            NAME("function_call"), NAME("audio"));

    begin_turn(r, ROLE_ASSISTANT, message);
    r->calls = NULL;
    r->has_custom = false;
    read_reasoning(r, message);
    if (!read_content(r, m[0]))
        return false;
    read_mark(r, message, last_added(r));
    if (json_has_type(m[1], JSON_STRING))
        chat_add_text(r, BLOCK_REFUSAL, text_of(r, m[1]));
    if (json_has_type(m[4], JSON_OBJECT)) { /* what was said before, by its id */
        struct block *b = add(r, BLOCK_AUDIO);
        if (b) {
            b->source = MEDIA_FILE;
            b->text = text_of(r, JSON_GET(r->t, m[4], "id"));
        }
    }
    return read_calls(r, m[2]) &&
           (!json_has_type(m[3], JSON_OBJECT) || read_function_call(r, m[3]));
}

static bool read_tool(struct reading *r, const struct json_val *message)
{
    const struct json_val *id = JSON_GET(r->t, message, "tool_call_id");

    if (!json_has_type(id, JSON_STRING))
        return bad_message(r, "tool_call_id");
    return read_result(r, message, text_of(r, id));
}

static bool read_function(struct reading *r, const struct json_val *message)
{
    return read_result(r, message, r->function_id.n ? r->function_id : JSTR("call_function"));
}

static const struct chat_row roles[] = {
    {STR_INIT("user"), read_user},           {STR_INIT("assistant"), read_assistant},
    {STR_INIT("tool"), read_tool},           {STR_INIT("system"), read_system},
    {STR_INIT("developer"), read_developer}, {STR_INIT("function"), read_function},
};

bool chat_read_messages(struct reading *r, const struct json_val *v)
{
    if (v->type != JSON_ARRAY)
        return BAD(r, "messages");
    r->message = 0;
    JSON_ELEMENTS(r->t, v, message)
    {
        chat_read_fn read = chat_row(r, roles, ARRAY_LEN(roles), JSON_GET(r->t, message, "role"));
        if (!read)
            return bad_message(r, "role");
        if (!read(r, message))
            return false;
        r->message++;
    }
    return true;
}

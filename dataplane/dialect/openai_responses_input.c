/*
 * Items of a conversation become turns. Items that follow each other belong to one answer of the
 * model (reasoning, message, calls) and then form one turn of the assistant; outputs that follow
 * each other form one turn of the user.
 */

#include "dialect/openai_responses_priv.h"

typedef bool (*read_fn)(struct responses_reading *r, const struct json_val *v);

struct kind {
    struct str type;
    read_fn read;
};

bool responses_item_bad(struct responses_reading *r, const char *what)
{
    r->f->param = STR("input");
    return fault_set(r->f, r->n->arena, ERROR_BAD_FIELD, "input.%u: %s", r->item, what);
}

static const struct kind *kind_of(struct responses_reading *r, const struct kind *kinds, size_t n,
                                  struct jstr type)
{
    struct str plain = jstr_decode(type, r->n->arena);

    for (size_t i = 0; i < n; i++)
        if (str_eq(plain, kinds[i].type))
            return &kinds[i];
    return NULL;
}

/* --- turns --------------------------------------------------------------------------------------
 */

static struct turn *turn_new(struct responses_reading *r, enum role role)
{
    r->has_text = r->has_call = r->has_only_results = false;
    return neutral_turn(r->n, role);
}

/*
 * The turn of the answer the item belongs to. `opens`: it is reasoning or a message, which begins
 * another one behind a message; but calls must stay beside each other, before their outputs.
 */
static struct turn *assistant_turn(struct responses_reading *r, bool opens)
{
    struct turn *t = r->n->last;

    if (t && t->role == ROLE_ASSISTANT && !(opens && r->has_text && !r->has_call))
        return t;
    return turn_new(r, ROLE_ASSISTANT);
}

static struct turn *results_turn(struct responses_reading *r)
{
    if (!r->n->last || !r->has_only_results) {
        turn_new(r, ROLE_USER);
        r->has_only_results = true;
    }
    return r->n->last;
}

/* --- parts --------------------------------------------------------------------------------------
 */

/* NULL when the arena failed, which whoever reads the request notices. */
static struct block *part_new(struct responses_reading *r, enum block_kind kind)
{
    return r->result ? neutral_inner(r->n, r->result, kind) : neutral_block(r->n, r->n->last, kind);
}

static struct str cache_of(struct responses_reading *r, const struct json_val *v)
{
    const struct json_val *mark = JSON_GET(r->t, v, "prompt_cache_breakpoint");

    return json_raw(r->t, mark ? mark : JSON_GET(r->t, v, "cache_control"));
}

static bool part_text(struct responses_reading *r, const struct json_val *part)
{
    const struct json_val *text = JSON_GET(r->t, part, "text");
    struct block *b = part_new(r, BLOCK_TEXT);

    if (!json_has_type(text, JSON_STRING))
        return responses_item_bad(r, "a text part without text");
    if (!b)
        return true;
    b->text = json_text(r->t, text);
    b->cache = cache_of(r, part);
    return true;
}

static bool part_refusal(struct responses_reading *r, const struct json_val *part)
{
    struct block *b = part_new(r, BLOCK_REFUSAL);

    if (b)
        b->text = json_text_at(r->t, part, STR("refusal"));
    return true;
}

/* Where a part's media comes from: a data URL or address, else a file. */
static bool media_source(struct responses_reading *r, struct block *b, struct jstr url,
                         struct jstr file_id)
{
    if (url.n)
        return neutral_data_url(r->n, b, url) ||
               responses_item_bad(r, "the data URL is no valid base64");
    if (!file_id.n)
        return responses_item_bad(r, "a part without data, URL or file");
    b->source = MEDIA_FILE;
    b->text = file_id;
    return true;
}

static bool part_image(struct responses_reading *r, const struct json_val *part)
{
    const struct json_val *url = JSON_GET(r->t, part, "image_url");
    struct block *b = part_new(r, BLOCK_IMAGE);

    if (!b)
        return true;
    b->detail = json_text_at(r->t, part, STR("detail"));
    b->cache = cache_of(r, part);
    if (json_has_type(url, JSON_OBJECT)) { /* as chat writes it */
        if (!b->detail.n)
            b->detail = json_text_at(r->t, url, STR("detail"));
        url = JSON_GET(r->t, url, "url");
    }
    return media_source(r, b, json_text(r->t, url), json_text_at(r->t, part, STR("file_id")));
}

static bool part_file(struct responses_reading *r, const struct json_val *part)
{
    struct jstr data = json_text_at(r->t, part, STR("file_data")),
                url = json_text_at(r->t, part, STR("file_url"));
    struct block *b = part_new(r, BLOCK_DOCUMENT);

    if (!b)
        return true;
    b->name = json_text_at(r->t, part, STR("filename"));
    b->cache = cache_of(r, part);
    if (!data.n)
        return media_source(r, b, url, json_text_at(r->t, part, STR("file_id")));
    if (!media_source(r, b, data, JSTR_NONE))
        return false;
    if (b->source == MEDIA_URL) { /* bare base64 */
        b->source = MEDIA_BASE64;
        b->media_type = media_sniff(data);
    }
    return true;
}

static bool part_audio(struct responses_reading *r, const struct json_val *part)
{
    const struct json_val *audio = JSON_GET(r->t, part, "input_audio");
    struct block *b = part_new(r, BLOCK_AUDIO);

    if (!b)
        return true;
    b->source = MEDIA_BASE64;
    b->text = json_text_at(r->t, audio, STR("data"));
    b->media_type = json_text_at(r->t, audio, STR("format"));
    b->cache = cache_of(r, part);
    return b->text.n || responses_item_bad(r, "an audio part without data");
}

static const struct kind parts[] = {
    {STR_INIT("input_text"), part_text},     {STR_INIT("output_text"), part_text},
    {STR_INIT("text"), part_text},           {STR_INIT("summary_text"), part_text},
    {STR_INIT("reasoning_text"), part_text}, {STR_INIT("input_image"), part_image},
    {STR_INIT("input_file"), part_file},     {STR_INIT("refusal"), part_refusal},
    {STR_INIT("input_audio"), part_audio},
};

/* A string, or a list of parts. */
static bool content_read(struct responses_reading *r, const struct json_val *content)
{
    if (json_has_type(content, JSON_STRING)) {
        struct block *b = part_new(r, BLOCK_TEXT);
        if (b)
            b->text = json_text(r->t, content);
        return true;
    }
    if (!json_has_type(content, JSON_ARRAY))
        return !content || responses_item_bad(r, "content is neither text nor a list");
    JSON_ELEMENTS(r->t, content, part)
    {
        const struct kind *k =
            kind_of(r, parts, ARRAY_LEN(parts), json_text_at(r->t, part, STR("type")));
        if (!k)
            return responses_item_bad(r, "a part of an unknown type");
        if (!k->read(r, part))
            return false;
    }
    return true;
}

/* --- items --------------------------------------------------------------------------------------
 */

static bool item_message(struct responses_reading *r, const struct json_val *item)
{
    static const struct {
        struct str name;
        enum role role;
    } roles[] = {
        {STR_INIT("user"), ROLE_USER},
        {STR_INIT("assistant"), ROLE_ASSISTANT},
        {STR_INIT("system"), ROLE_SYSTEM},
        {STR_INIT("developer"), ROLE_DEVELOPER},
    };
    struct jstr role = json_text_at(r->t, item, STR("role"));
    struct str cache = cache_of(r, item);
    size_t i = 0;

    while (i < ARRAY_LEN(roles) && !jstr_is(role, roles[i].name))
        i++;
    if (i == ARRAY_LEN(roles))
        return responses_item_bad(r, "a message needs a role");
    struct turn *t =
        roles[i].role == ROLE_ASSISTANT ? assistant_turn(r, true) : turn_new(r, roles[i].role);
    if (!t)
        return true;
    r->has_text = true;
    t->phase = json_text_at(r->t, item, STR("phase"));
    if (!content_read(r, JSON_GET(r->t, item, "content")))
        return false;
    if (t->last && cache.n && !t->last->cache.n)
        t->last->cache = cache;
    return true;
}

/* Texts of a list of parts, each a block inside. */
static void reasoning_texts(struct responses_reading *r, struct block *b,
                            const struct json_val *list)
{
    if (!json_has_type(list, JSON_ARRAY))
        return;
    JSON_ELEMENTS(r->t, list, part)
    {
        struct jstr text = json_text_at(r->t, part, STR("text"));
        struct block *in = b->text.p ? neutral_inner(r->n, b, BLOCK_TEXT) : b;
        if (in && text.p)
            in->text = text;
    }
}

static bool item_reasoning(struct responses_reading *r, const struct json_val *item)
{
    struct jstr sealed = json_text_at(r->t, item, STR("encrypted_content"));
    struct block *b = neutral_block(r->n, assistant_turn(r, true), BLOCK_REASONING);

    if (!b)
        return true;
    if (!reasoning_open(b, sealed)) {
        b->id = json_text_at(r->t, item, STR("id"));
        b->signature = sealed;
    }
    reasoning_texts(r, b, JSON_GET(r->t, item, "summary"));
    if (!b->text.n)
        reasoning_texts(r, b, JSON_GET(r->t, item, "content"));
    return true;
}

static struct jstr call_id(struct responses_reading *r, const struct json_val *item)
{
    struct jstr id = json_text_at(r->t, item, STR("call_id"));

    return id.n ? id : json_text_at(r->t, item, STR("id"));
}

static struct block *call_new(struct responses_reading *r, const struct json_val *item)
{
    struct jstr id = call_id(r, item), name = json_text_at(r->t, item, STR("name"));

    if (!id.n || !name.n) {
        (void)responses_item_bad(r, "a call needs call_id and name");
        return NULL;
    }
    struct block *b = neutral_block(r->n, assistant_turn(r, false), BLOCK_TOOL_CALL);
    r->has_call = true;
    if (!b)
        return NULL;
    b->id = id;
    b->name = responses_flat_name(r, json_text_at(r->t, item, STR("namespace")), name);
    b->cache = cache_of(r, item);
    return b;
}

static bool item_call(struct responses_reading *r, const struct json_val *item)
{
    const struct json_val *arguments = JSON_GET(r->t, item, "arguments");
    struct block *b = call_new(r, item);

    if (!b)
        return !arena_ok(r->n->arena);
    if (json_has_type(arguments, JSON_OBJECT))
        b->input = json_raw(r->t, arguments);
    else
        b->arguments = json_text(r->t, arguments);
    return true;
}

static bool item_custom_call(struct responses_reading *r, const struct json_val *item)
{
    struct block *b = call_new(r, item);

    if (!b)
        return !arena_ok(r->n->arena);
    b->is_custom = true;
    b->text = json_text_at(r->t, item, STR("input"));
    return true;
}

static bool output_read(struct responses_reading *r, const struct json_val *item, bool is_custom)
{
    const struct json_val *output = JSON_GET(r->t, item, "output");
    struct jstr id = json_text_at(r->t, item, STR("call_id"));

    if (!id.n)
        return responses_item_bad(r, "an output needs call_id");
    struct block *b = neutral_block(r->n, results_turn(r), BLOCK_TOOL_RESULT);
    if (!b)
        return true;
    b->id = id;
    b->is_custom = is_custom;
    b->cache = cache_of(r, item);
    r->result = b;
    bool ok = true;
    if (json_has_type(output, JSON_OBJECT)) { /* what a careless client did not make text */
        struct block *text = part_new(r, BLOCK_TEXT);
        if (text)
            text->text = jstr_encode(json_raw(r->t, output), r->n->arena);
    } else {
        ok = content_read(r, output);
    }
    r->result = NULL;
    return ok;
}

static bool item_output(struct responses_reading *r, const struct json_val *item)
{
    return output_read(r, item, false);
}

static bool item_custom_output(struct responses_reading *r, const struct json_val *item)
{
    return output_read(r, item, true);
}

static bool item_reference(struct responses_reading *r, const struct json_val *item)
{
    (void)item;
    return responses_item_bad(r, "item_reference: no item with this id is known here");
}

static bool item_tools(struct responses_reading *r, const struct json_val *item)
{
    return responses_tools_read(r, JSON_GET(r->t, item, "tools"), true);
}

/*
 * What only an upstream of this API understands, hosted tools and what is newer than this; others
 * leave it out. What clients answer with stands in turns of theirs.
 */
static bool item_opaque(struct responses_reading *r, const struct json_val *item, struct jstr type)
{
    struct str s = {type.p, type.n};
    bool of_client = str_ends(s, STR("_output")) || str_ends(s, STR("_response")) ||
                     str_ends(s, STR("_trigger"));
    struct block *b =
        neutral_block(r->n, of_client ? results_turn(r) : assistant_turn(r, false), BLOCK_OPAQUE);

    if (b)
        b->raw = json_raw(r->t, item);
    return true;
}

static const struct kind items[] = {
    {STR_INIT("message"), item_message},
    {STR_INIT("function_call"), item_call},
    {STR_INIT("function_call_output"), item_output},
    {STR_INIT("reasoning"), item_reasoning},
    {STR_INIT("custom_tool_call"), item_custom_call},
    {STR_INIT("custom_tool_call_output"), item_custom_output},
    {STR_INIT("item_reference"), item_reference},
    {STR_INIT("additional_tools"), item_tools},
};

/* The type of an item may be left out where its members tell it. */
static struct jstr item_type(struct responses_reading *r, const struct json_val *item)
{
    struct jstr type = json_text_at(r->t, item, STR("type"));

    return type.n                                  ? type
           : JSON_GET(r->t, item, "role")          ? JSTR("message")
           : json_text_at(r->t, item, STR("id")).n ? JSTR("item_reference")
                                                   : type;
}

bool responses_items_read(struct responses_reading *r, const struct json_val *list)
{
    r->item = 0;
    JSON_ELEMENTS(r->t, list, item)
    {
        struct jstr type = item_type(r, item);
        const struct kind *k = kind_of(r, items, ARRAY_LEN(items), type);
        if (!type.n)
            return responses_item_bad(r, "an item needs a type");
        if (!(k ? k->read(r, item) : item_opaque(r, item, type)))
            return false;
        r->item++;
    }
    return true;
}

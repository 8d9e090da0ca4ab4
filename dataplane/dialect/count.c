/*
 * Texts by their length (common/gateway/tokens.h), what frames a message or a tool by a constant,
 * and media by what models charge for one of usual size: their bytes say little. The names of
 * members tell what is text: no shape is refused.
 */

#include "dialect/count.h"

#include "common/gateway/tokens.h"

enum {
    PER_REQUEST = 3, /* the reply's beginning */
    PER_MESSAGE = 4, /* role and separators */
    PER_NAME = 1,
    PER_TOOLS = 9,
    PER_IMAGE = 1000,        /* about a megapixel */
    PER_IMAGE_LOW = 85,      /* detail: low */
    PER_PAGE = 2000,         /* of a PDF, text and picture */
    BYTES_PER_PAGE = 100000, /* as base64 */
    BYTES_PER_AUDIO_TOKEN = 2000,
};

/* Members whose value is no text for the model. */
static const struct str silent[] = {
    STR_INIT("type"),          STR_INIT("role"),        STR_INIT("id"),
    STR_INIT("status"),        STR_INIT("call_id"),     STR_INIT("tool_call_id"),
    STR_INIT("tool_use_id"),   STR_INIT("signature"),   STR_INIT("encrypted_content"),
    STR_INIT("cache_control"), STR_INIT("index"),       STR_INIT("is_error"),
    STR_INIT("phase"),         STR_INIT("annotations"),
};

enum media { MEDIA_NONE, MEDIA_IMAGE, MEDIA_DOCUMENT, MEDIA_AUDIO };

static const struct {
    struct str type;
    enum media media;
} media_types[] = {
    {STR_INIT("image"), MEDIA_IMAGE},       {STR_INIT("image_url"), MEDIA_IMAGE},
    {STR_INIT("input_image"), MEDIA_IMAGE}, {STR_INIT("document"), MEDIA_DOCUMENT},
    {STR_INIT("file"), MEDIA_DOCUMENT},     {STR_INIT("input_file"), MEDIA_DOCUMENT},
    {STR_INIT("input_audio"), MEDIA_AUDIO},
};

struct count {
    const struct json_tape *t;
    struct tokens tokens;
};

static void add_raw(struct count *c, const struct json_val *v)
{
    struct str raw = json_raw(c->t, v);

    tokens_add(&c->tokens, (struct jstr){raw.p, raw.n});
}

/* The longest text in a value: the data of media, wherever its API puts it. */
static size_t longest_text(const struct json_tape *t, const struct json_val *v)
{
    size_t n = 0;

    for (const struct json_val *at = v; at < t->v + v->next; at++)
        if (at->type == JSON_STRING)
            n = MAX(n, (size_t)at->n);
    return n;
}

static enum media media_of(const struct json_tape *t, const struct json_val *object)
{
    const struct json_val *type = JSON_GET(t, object, "type");

    for (size_t i = 0; type && i < ARRAY_LEN(media_types); i++)
        if (jstr_is(json_text(t, type), media_types[i].type))
            return media_types[i].media;
    return MEDIA_NONE;
}

/* True: it was counted. A document that is text is not: its text counts. */
static bool count_media(struct count *c, const struct json_val *object)
{
    const struct json_tape *t = c->t;
    const struct json_val *source = JSON_GET(t, object, "source");
    const struct json_val *image = JSON_GET(t, object, "image_url");

    switch (media_of(t, object)) {
    case MEDIA_NONE:
        return false;
    case MEDIA_IMAGE:
        c->tokens.whole += json_is(t, JSON_GET(t, object, "detail"), "low") ||
                                   json_is(t, JSON_GET(t, image, "detail"), "low")
                               ? PER_IMAGE_LOW
                               : PER_IMAGE;
        return true;
    case MEDIA_AUDIO:
        c->tokens.whole += longest_text(t, object) / BYTES_PER_AUDIO_TOKEN + 1;
        return true;
    case MEDIA_DOCUMENT:
        if (json_is(t, JSON_GET(t, source, "type"), "text") ||
            json_is(t, JSON_GET(t, source, "type"), "content"))
            return false;
        c->tokens.whole += PER_PAGE * (longest_text(t, object) / BYTES_PER_PAGE + 1);
        return true;
    }
    return false;
}

static bool is_silent(const struct json_tape *t, const struct json_val *key)
{
    for (size_t i = 0; i < ARRAY_LEN(silent); i++)
        if (jstr_is(json_text(t, key), silent[i]))
            return true;
    return false;
}

/* As deep as the tape allows: JSON_TAPE_DEPTH. */
static void count_value(struct count *c, const struct json_val *v)
{
    const struct json_tape *t = c->t;

    if (v->type == JSON_STRING) {
        tokens_add(&c->tokens, json_text(t, v));
    } else if (v->type == JSON_ARRAY) {
        JSON_ELEMENTS(t, v, e)
        count_value(c, e);
    } else if (v->type == JSON_OBJECT && !count_media(c, v)) {
        JSON_MEMBERS(t, v, key, value)
        {
            if (is_silent(t, key))
                continue;
            if (json_is(t, key, "name"))
                c->tokens.whole += PER_NAME;
            if (value->type == JSON_OBJECT && (json_is(t, key, "input") || json_is(t, key, "args")))
                add_raw(c, value); /* of a tool call: names and brackets are its text */
            else
                count_value(c, value);
        }
    }
}

/* Text, one message, or a list of messages. */
static void count_messages(struct count *c, const struct json_val *v)
{
    if (v->type != JSON_ARRAY) {
        c->tokens.whole += PER_MESSAGE;
        count_value(c, v);
        return;
    }
    JSON_ELEMENTS(c->t, v, e)
    {
        c->tokens.whole += PER_MESSAGE;
        count_value(c, e);
    }
}

uint64_t count_prompt(const struct json_tape *t)
{
    static const struct str prompts[] = {
        STR_INIT("system"), STR_INIT("instructions"), STR_INIT("messages"),
        STR_INIT("input"),  STR_INIT("prompt"),       STR_INIT("contents"),
    };
    const struct json_val *root = json_root(t), *v;
    struct count c = {.t = t};
    bool any = false;

    for (size_t i = 0; i < ARRAY_LEN(prompts); i++)
        if ((v = json_get(t, root, prompts[i])) != NULL) {
            count_messages(&c, v);
            any = true;
        }
    if (!any)
        return 0;
    c.tokens.whole += PER_REQUEST;
    if (json_has_type(v = JSON_GET(t, root, "tools"), JSON_ARRAY) && v->next > v - t->v + 1) {
        c.tokens.whole += PER_TOOLS;
        add_raw(&c, v);
    }
    if ((v = JSON_GET(t, root, "response_format")) != NULL ||
        (v = JSON_GET(t, root, "output_config")) != NULL)
        add_raw(&c, v);
    return tokens_total(&c.tokens);
}

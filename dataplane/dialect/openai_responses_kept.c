/* Conversations that are kept: how their items are written, and shown again page by page. */

#include "dialect/openai_responses.h"
#include "dialect/openai_responses_priv.h"

enum { PAGE_DEFAULT = 20, PAGE_MAX = 100 };

static void comma(struct jout *o, bool *any)
{
    if (*any)
        jout_lit(o, ",");
    *any = true;
}

static bool has(const struct json_tape *t, const struct json_val *item, struct str key)
{
    return json_get(t, item, key) != NULL;
}

size_t responses_put_digits(char *out, const uint64_t id[2], unsigned item)
{
    static const char hex[] = "0123456789abcdef";

    for (unsigned i = 0; i < 32; i++)
        out[i] = hex[id[i / 16] >> (60 - i % 16 * 4) & 15];
    for (unsigned i = 0; i < 4; i++)
        out[32 + i] = hex[item >> (12 - i * 4) & 15];
    return RESPONSES_ID_DIGITS;
}

static void put_id(struct jout *o, struct str type, const uint64_t id[2], unsigned at)
{
    static const struct {
        struct str type, prefix;
    } rows[] = {
        {STR_INIT("message"), STR_INIT("msg_")},
        {STR_INIT("function_call"), STR_INIT("fc_")},
        {STR_INIT("function_call_output"), STR_INIT("fco_")},
        {STR_INIT("custom_tool_call"), STR_INIT("ctc_")},
        {STR_INIT("custom_tool_call_output"), STR_INIT("ctco_")},
        {STR_INIT("reasoning"), STR_INIT("rs_")},
    };
    char digits[RESPONSES_ID_DIGITS];
    struct str prefix = STR("item_");

    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (str_eq(type, rows[i].type))
            prefix = rows[i].prefix;
    jout_lit(o, "\"id\":\"");
    jout_raw(o, prefix);
    jout_raw(o, (struct str){digits, responses_put_digits(digits, id, at & 0x7fff)});
    jout_lit(o, "\"");
}

/* Text as the one part of a list that it stands for. */
static void put_content(struct jout *o, struct jstr text, bool is_output)
{
    if (is_output)
        jout_lit(o, "[{\"type\":\"output_text\",\"text\":\"");
    else
        jout_lit(o, "[{\"type\":\"input_text\",\"text\":\"");
    jout_text(o, text);
    if (is_output)
        jout_lit(o, "\",\"annotations\":[]}]");
    else
        jout_lit(o, "\"}]");
}

/* An item with what may be left out of it: id, type, content as a list. */
static void put_item(struct jout *o, const struct json_tape *t, const struct json_val *item,
                     const uint64_t id[2], unsigned at)
{
    struct jstr named = json_text_at(t, item, STR("type"));
    struct str type = named.n ? (struct str){named.p, named.n} : STR("message");
    bool is_output = json_is(t, JSON_GET(t, item, "role"), "assistant"), any = false;

    jout_lit(o, "{");
    if (!has(t, item, STR("id"))) {
        put_id(o, type, id, at);
        any = true;
    }
    if (!named.n) {
        comma(o, &any);
        jout_lit(o, "\"type\":\"message\"");
    }
    JSON_MEMBERS(t, item, key, v)
    {
        if (v->type == JSON_NULL && json_is(t, key, "id"))
            continue;
        comma(o, &any);
        jout_string(o, json_text(t, key));
        jout_lit(o, ":");
        if (v->type == JSON_STRING && json_is(t, key, "content"))
            put_content(o, json_text(t, v), is_output);
        else
            jout_line(o, json_raw(t, v));
    }
    jout_lit(o, "}");
}

void responses_keep_input(struct jout *o, struct str earlier, const struct json_tape *body,
                          const uint64_t id[2])
{
    const struct json_val *input = JSON_GET(body, json_root(body), "input");
    bool any = earlier.n > 2; /* "[]" */
    unsigned at = 0;

    jout_lit(o, "[");
    if (any)
        jout_raw(o, (struct str){earlier.p + 1, earlier.n - 2});
    if (json_has_type(input, JSON_STRING)) {
        comma(o, &any);
        jout_lit(o, "{");
        put_id(o, STR("message"), id, at);
        jout_lit(o, ",\"type\":\"message\",\"role\":\"user\",\"content\":");
        put_content(o, json_text(body, input), false);
        jout_lit(o, "}");
    }
    if (!json_has_type(input, JSON_ARRAY))
        return;
    JSON_ELEMENTS(body, input, item)
    {
        comma(o, &any);
        put_item(o, body, item, id, at++);
    }
}

void responses_keep_output(const void *writer, struct jout *o)
{
    const struct responses_writer *w = writer;
    bool is_first = o->buf->n && o->buf->p[o->buf->n - 1] == '[';

    if (w->output.n && !is_first)
        jout_lit(o, ",");
    jout_raw(o, (struct str){w->output.p, w->output.n});
    jout_lit(o, "]");
}

/* --- references ---------------------------------------------------------------------------------
 */

enum { REFERENCES_MAX = 256 }; /* of a request: each is a search through a conversation */

bool responses_item_owner(struct jstr item_id, uint64_t ret[2])
{
    uint64_t v[2] = {0, 0};

    if (item_id.n < RESPONSES_ID_DIGITS + 1 || item_id.n >= RESPONSES_ID_MAX ||
        item_id.p[item_id.n - RESPONSES_ID_DIGITS - 1] != '_')
        return false;
    const char *p = item_id.p + item_id.n - RESPONSES_ID_DIGITS;
    for (unsigned i = 0; i < RESPONSES_ID_DIGITS; i++) {
        bool is_digit = p[i] >= '0' && p[i] <= '9';
        if (!is_digit && !(p[i] >= 'a' && p[i] <= 'f'))
            return false;
        if (i < 32)
            v[i / 16] = v[i / 16] << 4 | (uint64_t)(is_digit ? p[i] - '0' : p[i] - 'a' + 10);
    }
    memcpy(ret, v, sizeof v);
    return true;
}

/* Behind the end of the object that begins at p; NULL: it has none. */
static const char *object_end(const char *p, const char *end)
{
    unsigned depth = 0;

    while (p && p < end) {
        char c = *p++;
        if (c == '"')
            p = json_string_end(p, end);
        else if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return p;
    }
    return NULL;
}

bool responses_item_find(struct str items, struct jstr id, struct str *ret)
{
    static const struct str head = STR_INIT("{\"id\":\"");
    char text[RESPONSES_ID_MAX + 16];
    const char *end;
    size_t at;

    if (id.n >= RESPONSES_ID_MAX)
        return false;
    memcpy(text, head.p, head.n); /* as ids that were made here stand: no text can look like it */
    memcpy(text + head.n, id.p, id.n);
    text[head.n + id.n] = '"';
    at = str_find(items, (struct str){text, head.n + id.n + 1});
    end = at == SIZE_MAX ? NULL : object_end(items.p + at, items.p + items.n);
    if (!end)
        return false;
    *ret = (struct str){items.p + at, (size_t)(end - items.p) - at};
    return true;
}

static bool is_reference(const struct json_tape *t, const struct json_val *item)
{
    const struct json_val *type = JSON_GET(t, item, "type");

    return type ? json_is(t, type, "item_reference")
                : !has(t, item, STR("role")) && has(t, item, STR("id"));
}

bool responses_has_references(const struct json_tape *body)
{
    const struct json_val *input = JSON_GET(body, json_root(body), "input");

    if (!json_has_type(input, JSON_ARRAY))
        return false;
    JSON_ELEMENTS(body, input, item)
    if (is_reference(body, item))
        return true;
    return false;
}

void responses_resolve(struct jout *o, const struct json_tape *body, responses_find_fn find,
                       void *ctx)
{
    struct str text = json_raw(body, json_root(body)), item_text;
    const struct json_val *input = JSON_GET(body, json_root(body), "input");
    size_t from = json_root(body)->at, at = 0;
    unsigned n = 0;

    JSON_ELEMENTS(body, input, item)
    {
        if (!is_reference(body, item))
            continue;
        if (n++ == REFERENCES_MAX)
            break;
        if (!find(ctx, json_text_at(body, item, STR("id")), &item_text))
            continue;
        jout_raw(o, (struct str){text.p + at, item->at - from - at});
        jout_raw(o, item_text);
        at = item->at - from + item->n;
    }
    jout_raw(o, str_from(text, at));
}

/* --- pages --------------------------------------------------------------------------------------
 */

static bool id_is(const struct json_tape *t, const struct json_val *item, struct str id)
{
    return jstr_is(json_text_at(t, item, STR("id")), id);
}

/* The place of `after` among the first `n` items; n: none has that id. */
static uint32_t place_of(const struct json_tape *t, struct str after, uint32_t n)
{
    uint32_t i = 0;

    JSON_ELEMENTS(t, json_root(t), item)
    {
        if (i == n || id_is(t, item, after))
            break;
        i++;
    }
    return i;
}

static uint32_t items_before(const struct json_tape *t, size_t n_input)
{
    uint32_t n = 0;

    JSON_ELEMENTS(t, json_root(t), item)
    {
        if (item->at >= n_input)
            break;
        n++;
    }
    return n;
}

static void put_page(struct jout *o, const struct json_tape *t, const struct json_val *const *item,
                     uint32_t n, bool ascending, bool has_more)
{
    jout_lit(o, "{\"object\":\"list\",\"data\":[");
    for (uint32_t i = 0; i < n; i++) {
        if (i)
            jout_lit(o, ",");
        jout_raw(o, json_raw(t, item[ascending ? i : n - 1 - i]));
    }
    jout_lit(o, "],\"first_id\":");
    for (unsigned i = 0; i < 2; i++) {
        if (i)
            jout_lit(o, ",\"last_id\":");
        if (n)
            jout_string(o, json_text_at(t, item[(i == 0) == ascending ? 0 : n - 1], STR("id")));
        else
            jout_lit(o, "null");
    }
    jout_lit(o, ",\"has_more\":");
    jout_raw(o, has_more ? STR("true") : STR("false"));
    jout_lit(o, "}");
}

bool responses_items_page(struct jout *o, const struct json_tape *items, size_t n_input,
                          const struct responses_page *page)
{
    const struct json_val *item[PAGE_MAX];
    uint32_t limit = page->limit ? MIN(page->limit, (uint32_t)PAGE_MAX) : PAGE_DEFAULT;
    uint32_t all = items_before(items, n_input), from = 0, to = all, n = 0, i = 0;

    if (page->after.n) {
        uint32_t at = place_of(items, page->after, all);
        if (at == all)
            return false;
        from = page->ascending ? at + 1 : 0;
        to = page->ascending ? all : at;
    }
    bool has_more = to - from > limit;
    if (page->ascending)
        to = MIN(to, from + limit);
    else if (has_more)
        from = to - limit;
    JSON_ELEMENTS(items, json_root(items), v)
    {
        if (i >= to)
            break;
        if (i++ >= from)
            item[n++] = v;
    }
    put_page(o, items, item, n, page->ascending, has_more);
    return true;
}

/*
 * Tool calls out of a chat reply, from fragments as servers send them (F.20 to F.23): numbered or
 * not, numbered alike, with ids late, often or never, arguments as text, as text in text or as the
 * object itself. A call begins as soon as its name is known and its id is, or will not be.
 */

#include "dialect/openai_chat_reply.h"

struct fragment {
    bool has_index, is_custom;
    uint64_t index;
    struct jstr id, name, text;
};

/* --- arguments -----------------------------------------------------------------------------------
 */

static void progress_byte(struct progress *p, char c)
{
    if (p->escaped) {
        p->escaped = false;
    } else if (p->in_string) {
        p->in_string = c != '"';
        p->escaped = c == '\\';
    } else if (c == '"') {
        p->in_string = p->begun = true;
    } else if (c == '{' || c == '[') {
        p->begun = true;
        p->depth++;
    } else if ((c == '}' || c == ']') && p->depth) {
        p->depth--;
    }
}

/* The byte that an escape of the outer text stands for, as far as it matters here. */
static char escaped_byte(const char *p, const char *end, size_t *ret_n)
{
    static const char quote[] = "\\u0022", slash[] = "\\u005c";

    if (p[1] != 'u' || end - p < 6) {
        *ret_n = 2;
        return p[1] == '"' || p[1] == '\\' ? p[1] : 'x';
    }
    *ret_n = 6;
    return memcmp(p, quote, 6) == 0 ? '"' : str_ieq((struct str){p, 6}, STR(slash)) ? '\\' : 'x';
}

static void progress_feed(struct progress *p, struct jstr text)
{
    const char *at = text.p, *end = text.n ? at + text.n : at;

    while (at < end) {
        size_t n = 1;
        if (p->in_string && !p->escaped) { /* quotes inside are escaped outside */
            const char *stop = memchr(at, '\\', (size_t)(end - at));
            if (!(at = stop))
                return;
        }
        progress_byte(p, *at == '\\' && end - at > 1 ? escaped_byte(at, end, &n) : *at);
        at += n;
    }
}

static bool is_complete(const struct chat_call *call)
{
    return call->progress.begun && !call->progress.depth && !call->progress.in_string;
}

/* Arguments that are the object itself, as text. */
static struct jstr object_text(struct chat_reader *r, struct str raw)
{
    struct jout out = jout_init(r->env.pool, &r->compact);

    r->compact.n = 0;
    jout_escaped(&out, raw);
    r->env.arena->failed |= out.failed;
    return (struct jstr){r->compact.p, r->compact.n};
}

/* --- one call ------------------------------------------------------------------------------------
 */

/* Waits until it is known what it is part of. */
static void keep_early(struct chat_reader *r, struct chat_call *call, struct jstr piece)
{
    if (call->early.n + piece.n > READER_KEEPS ||
        !buf_add(r->env.pool, &call->early, piece.p, piece.n))
        r->env.arena->failed = true;
}

/* The text of a wrapped call that `piece` holds; none while it is not known to be wrapped. */
static struct jstr unwrap(struct chat_reader *r, struct chat_call *call, struct jstr piece)
{
    struct jout out = jout_init(r->env.pool, &r->plain);

    r->plain.n = 0;
    wrapped_feed(&call->wrapped, piece, &out);
    r->env.arena->failed |= out.failed;
    if (call->wrapped.state == WRAPPED_TEXT || call->wrapped.state == WRAPPED_DONE) {
        call->early.n = 0;
        return (struct jstr){r->plain.p, r->plain.n};
    }
    keep_early(r, call, piece);
    return call->wrapped.state == WRAPPED_PLAIN ? (struct jstr){call->early.p, call->early.n}
                                                : JSTR_NONE;
}

static void deliver(struct chat_reader *r, const struct chat_choice *c, struct chat_call *call,
                    struct jstr text)
{
    if (!call->is_decided && !jstr_is_blank(text)) {
        call->is_decided = true;
        call->is_wrapped = call->wrapped.is_twice = wrapped_is_twice(text);
    }
    if (call->is_wrapped && call->wrapped.state != WRAPPED_PLAIN)
        text = unwrap(r, call, text);
    chat_delta(r, c, BLOCK_TOOL_CALL, call->block, &call->half, text);
}

/* An id for a call that has none: told apart by the reply and the call's number in it. */
static struct jstr made_id(struct chat_reader *r)
{
    struct str id = arena_printf(r->env.arena, "call_%.*s_%u", (int)r->id_n, r->id, r->made_ids++);

    return (struct jstr){id.p, id.n};
}

static void call_begin(struct chat_reader *r, struct chat_choice *c, struct chat_call *call)
{
    const struct neutral *asked = r->env.request;
    struct buf early = call->early;

    if (!call->id.n)
        call->id = made_id(r);
    chat_close_block(r, c);
    call->block = r->blocks++;
    call->is_open = true;
    c->called = true;
    c->n_open++;
    call->early = (struct buf){0};
    struct jstr text = {early.p, early.n};
    call->is_wrapped = !call->is_custom && neutral_is_wrapped(asked, call->name);
    call->is_decided = call->is_custom |= call->is_wrapped;
    chat_emit(r, c,
              &(struct event){.kind = EVENT_BLOCK,
                              .block_kind = BLOCK_TOOL_CALL,
                              .block = call->block,
                              .id = call->id,
                              .name = neutral_original_name(asked, call->name),
                              .is_custom = call->is_custom});
    if (text.n)
        deliver(r, c, call, text);
    buf_free(r->env.pool, &early);
}

static bool may_begin(const struct chat_call *call)
{
    return call->name.n && (call->id.n || call->fragments > 1 || is_complete(call));
}

static void call_end(struct chat_reader *r, struct chat_choice *c, struct chat_call *call)
{
    if (!call->is_open && !call->is_closed && call->name.n)
        call_begin(r, c, call);
    if (!call->is_open)
        return;
    if (call->wrapped.state == WRAPPED_HEAD) /* a head without end is what it said */
        chat_delta(r, c, BLOCK_TOOL_CALL, call->block, &call->half,
                   (struct jstr){call->early.p, call->early.n});
    chat_close(r, c, BLOCK_TOOL_CALL, call->block, &call->half);
    call->is_open = false;
    call->is_closed = true;
    c->n_open--;
}

/* --- which call ----------------------------------------------------------------------------------
 */

static struct chat_call *call_named(const struct chat_choice *c, const struct fragment *f)
{
    for (struct chat_call *call = c->calls; call; call = call->next)
        if (f->has_index ? call->has_index && call->index == f->index : jstr_same(call->id, f->id))
            return call;
    return NULL;
}

/* A second call under the number of one that is complete, or has not begun its arguments (F.21). */
static bool is_another(const struct chat_call *call, const struct fragment *f)
{
    bool other_id = f->id.n && call->id.n && !jstr_same(f->id, call->id);
    bool other_name = call->name.n && !jstr_same(f->name, call->name);

    if (!f->name.n || !call->name.n)
        return false;
    if (other_id)
        return other_name || is_complete(call) || !call->progress.begun;
    if (f->id.n && call->id.n)
        return false;
    return is_complete(call) ? f->text.n != 0 : other_name && !f->has_index;
}

static struct chat_call *call_new(struct chat_reader *r, struct chat_choice *c,
                                  const struct fragment *f)
{
    struct chat_call *call =
        c->n_calls < CHAT_CALLS_MAX ? arena_zalloc(r->env.arena, sizeof *call) : NULL;

    if (!call)
        return NULL;
    call->has_index = f->has_index;
    call->index = f->index;
    call->is_custom = f->is_custom;
    call->next = c->calls;
    c->calls = call;
    c->n_calls++;
    return call;
}

static struct chat_call *call_of(struct chat_reader *r, struct chat_choice *c,
                                 const struct fragment *f)
{
    struct chat_call *call = f->has_index || f->id.n ? call_named(c, f) : c->calls;

    if (!call && !f->has_index && !f->name.n)
        call = c->calls; /* more of the last one, under an id of its own */
    return call && !is_another(call, f) ? call : call_new(r, c, f);
}

static void read_fragment(struct chat_reader *r, struct chat_choice *c, const struct fragment *f)
{
    struct chat_call *call = call_of(r, c, f);

    if (!call || call->is_closed)
        return;
    if (!call->id.n && f->id.n && !call->is_open)
        call->id = jstr_copy(f->id, r->env.arena);
    if (!call->name.n && f->name.n) /* F.22: the first holds */
        call->name = jstr_copy(f->name, r->env.arena);
    call->fragments = (uint8_t)MIN(call->fragments + 1, 2);
    progress_feed(&call->progress, f->text);
    if (call->is_open) {
        deliver(r, c, call, f->text);
        return;
    }
    if (f->text.n)
        keep_early(r, call, f->text);
    if (may_begin(call))
        call_begin(r, c, call);
}

/* --- fragments -----------------------------------------------------------------------------------
 */

static void read_called(struct chat_reader *r, const struct json_tape *t,
                        const struct json_val *called, struct fragment *f)
{
    MEMBERS(t, called, m, NAME("name"), NAME("arguments"), NAME("input"));
    const struct json_val *text = m[1] ? m[1] : m[2];

    f->name = json_text(t, m[0]);
    f->text = json_text(t, text);
    if (json_has_type(text, JSON_OBJECT))
        f->text = object_text(r, json_raw(t, text));
}

void chat_read_calls(struct chat_reader *r, struct chat_choice *c, const struct json_tape *t,
                     const struct json_val *list)
{
    if (!json_has_type(list, JSON_ARRAY))
        return;
    JSON_ELEMENTS(t, list, v)
    {
        MEMBERS(t, v, m, NAME("index"), NAME("id"), NAME("function"), NAME("custom"));
        struct fragment f = {.is_custom = m[3] && !m[2], .id = json_text(t, m[1])};
        f.has_index = json_u64(t, m[0], &f.index);
        read_called(r, t, m[2] ? m[2] : m[3], &f);
        read_fragment(r, c, &f);
    }
}

void chat_read_function_call(struct chat_reader *r, struct chat_choice *c,
                             const struct json_tape *t, const struct json_val *call)
{
    struct fragment f = {.has_index = true, .index = UINT64_MAX};

    if (!json_has_type(call, JSON_OBJECT))
        return;
    read_called(r, t, call, &f);
    read_fragment(r, c, &f);
}

bool chat_calls_complete(const struct chat_choice *c)
{
    for (const struct chat_call *call = c->calls; call; call = call->next)
        if (!call->is_closed && !is_complete(call))
            return false;
    return true;
}

bool chat_calls_cut(const struct chat_choice *c)
{
    for (const struct chat_call *call = c->calls; call; call = call->next)
        if (!call->is_closed && call->progress.begun && !is_complete(call) &&
            (call->is_wrapped || !call->is_custom))
            return true;
    return false;
}

/* The list has the newest first; they begin and end in their order. */
void chat_close_calls(struct chat_reader *r, struct chat_choice *c)
{
    struct chat_call *order[CHAT_CALLS_MAX];
    unsigned n = 0;

    for (struct chat_call *call = c->calls; call; call = call->next)
        order[n++] = call;
    while (n)
        call_end(r, c, order[--n]);
}

void chat_free_calls(struct chat_reader *r, struct chat_choice *c)
{
    for (struct chat_call *call = c->calls; call; call = call->next)
        buf_free(r->env.pool, &call->early);
}

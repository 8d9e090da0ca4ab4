/*
 * Content blocks of a reply (wire-formats.md B.3, B.9, E.1.6, F.20). Blocks do not interleave:
 * parts of a later block wait until the first is closed, which is when its end is told, or when
 * another begins and the JSON of the first's arguments is complete.
 */

#include "common/num.h"

#include "dialect/anthropic_messages_priv.h"

enum { WAITING_MAX = 256, WAITING_BYTES_MAX = 8 * 1024 * 1024 };

#define EVENT(name) "event: " name "\ndata: {\"type\":\"" name "\""

/* --- arguments -------------------------------------------------------------------------------
 */

static void scan_byte(struct arguments_scan *s, char c)
{
    if (s->escaped) {
        s->escaped = false;
    } else if (s->in_string) {
        s->escaped = c == '\\';
        s->in_string = c != '"';
    } else if (c == '"') {
        s->in_string = true;
    } else if (c == '{' || c == '[') {
        s->depth++;
        s->seen = true;
    } else if ((c == '}' || c == ']') && s->depth) {
        s->depth--;
    }
}

/* A \u escape of ASCII; 'u' for all others, which mean nothing here. */
static char unicode_byte(const char *p)
{
    unsigned v = 0;

    for (unsigned i = 0; i < 4; i++)
        v = v << 4 | (unsigned)(p[i] <= '9' ? p[i] - '0' : char_lower(p[i]) - 'a' + 10);
    return v < 0x80 ? (char)v : 'u';
}

/* A fragment is the inside of a string: JSON text with escapes around its own. */
static void scan_text(struct arguments_scan *s, struct jstr text)
{
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        if (c == '\\' && i + 1 < text.n) {
            c = text.p[++i];
            if (c == 'u' && i + 4 < text.n) {
                c = unicode_byte(text.p + i + 1);
                i += 4;
            }
        }
        scan_byte(s, c);
    }
}

static bool is_complete(const struct arguments_scan *s)
{
    return s->seen && !s->depth && !s->in_string;
}

/* --- as events -------------------------------------------------------------------------------
 */

static void put_start(struct messages_blocks *b)
{
    jout_lit(b->o, EVENT("content_block_start") ",\"index\":");
    jout_u64(b->o, b->index);
    jout_lit(b->o, ",\"content_block\":");
}

static struct str delta_of(const struct messages_piece *p)
{
    return p->kind == BLOCK_TOOL_CALL   ? STR("\"input_json_delta\",\"partial_json\":\"")
           : p->kind == BLOCK_REASONING ? STR("\"thinking_delta\",\"thinking\":\"")
                                        : STR("\"text_delta\",\"text\":\"");
}

/* Makes what stands before each delta of the first piece. */
static void lead_make(struct messages_blocks *b, const struct messages_piece *p)
{
    static const struct str head = STR_INIT(EVENT("content_block_delta") ",\"index\":");
    static const struct str middle = STR_INIT(",\"delta\":{\"type\":");
    struct str tail = delta_of(p);
    char *at = b->lead;

    static_assert(sizeof b->lead >= sizeof EVENT("content_block_delta") + 9 + 20 + 18 + 38,
                  "room for any lead");
    memcpy(at, head.p, head.n);
    at += head.n;
    at += num_put_u64(at, b->index);
    memcpy(at, middle.p, middle.n);
    at += middle.n;
    memcpy(at, tail.p, tail.n);
    b->lead_n = (uint8_t)(at + tail.n - b->lead);
}

static void put_lead(struct messages_blocks *b)
{
    jout_raw(b->o, (struct str){b->lead, b->lead_n});
}

static void put_call_head(struct messages_blocks *b, const struct messages_piece *p)
{
    jout_lit(b->o, "{\"type\":\"tool_use\",\"id\":");
    jout_string(b->o, p->id);
    jout_lit(b->o, ",\"name\":");
    jout_string(b->o, p->name);
    jout_lit(b->o, ",\"input\":");
}

static void stream_open(struct messages_blocks *b, struct messages_piece *p)
{
    put_start(b);
    if (p->kind == BLOCK_TOOL_CALL) {
        put_call_head(b, p);
        jout_lit(b->o, "{}}");
    } else if (p->kind == BLOCK_REASONING) {
        jout_lit(b->o, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}");
    } else {
        jout_lit(b->o, "{\"type\":\"text\",\"text\":\"\"}");
    }
    jout_lit(b->o, "}\n\n");
    lead_make(b, p);
    p->open = true;
    if (p->is_custom) { /* free text as the one string of an object */
        put_lead(b);
        jout_lit(b->o, "{\\\"" WRAPPED_MEMBER "\\\":\\\"\"}}\n\n");
    }
}

static void stream_text(struct messages_blocks *b, struct messages_piece *p, struct jstr text)
{
    if (!text.n)
        return;
    if (!p->open)
        stream_open(b, p);
    put_lead(b);
    if (p->is_custom)
        jout_escaped(b->o, (struct str){text.p, text.n});
    else
        jout_raw(b->o, (struct str){text.p, text.n});
    jout_lit(b->o, "\"}}\n\n");
    if (p->kind == BLOCK_TOOL_CALL && !p->is_custom)
        scan_text(&b->scan, text);
}

static void stream_signature(struct messages_blocks *b, const struct messages_piece *p)
{
    jout_lit(b->o, EVENT("content_block_delta") ",\"index\":");
    jout_u64(b->o, b->index);
    jout_lit(b->o, ",\"delta\":{\"type\":\"signature_delta\",\"signature\":\"");
    jout_raw(b->o, (struct str){p->signature.p, p->signature.n});
    jout_lit(b->o, "\"}}\n\n");
}

static void stream_citation(struct messages_blocks *b, struct str citation)
{
    jout_lit(b->o, EVENT("content_block_delta") ",\"index\":");
    jout_u64(b->o, b->index);
    jout_lit(b->o, ",\"delta\":{\"type\":\"citations_delta\",\"citation\":");
    jout_raw(b->o, citation);
    jout_lit(b->o, "}}\n\n");
}

static void stream_stop(struct messages_blocks *b)
{
    jout_lit(b->o, EVENT("content_block_stop") ",\"index\":");
    jout_u64(b->o, b->index++);
    jout_lit(b->o, "}\n\n");
}

/* A block that is complete in its start. */
static void put_complete(struct messages_blocks *b, struct str head, struct str body,
                         struct str tail)
{
    if (b->stream)
        put_start(b);
    else if (b->index++)
        jout_lit(b->o, ",");
    jout_raw(b->o, head);
    jout_raw(b->o, body);
    jout_raw(b->o, tail);
    if (b->stream) {
        jout_lit(b->o, "}\n\n");
        stream_stop(b);
    }
}

/* Reasoning that only its origin can read, or whose text was never shown. */
static void put_redacted(struct messages_blocks *b, const struct messages_piece *p)
{
    put_complete(b, STR("{\"type\":\"redacted_thinking\",\"data\":\""),
                 (struct str){p->signature.p, p->signature.n}, STR("\"}"));
}

static bool is_sealed_only(const struct messages_piece *p)
{
    return p->signature.n && (p->is_redacted || p->is_foreign);
}

static void stream_close(struct messages_blocks *b, struct messages_piece *p)
{
    if (p->kind == BLOCK_OPAQUE) {
        put_complete(b, STR(""), (struct str){p->text.p, p->text.n}, STR(""));
        return;
    }
    if (p->kind == BLOCK_REASONING && p->signature.n && !p->open) {
        if (is_sealed_only(p)) {
            put_redacted(b, p);
            return;
        }
        stream_open(b, p);
    }
    if (!p->open)
        return;
    if (p->is_custom) {
        put_lead(b);
        jout_lit(b->o, "\\\"}\"}}\n\n");
    }
    if (p->kind == BLOCK_REASONING && p->signature.n)
        stream_signature(b, p);
    stream_stop(b);
}

/* --- as a whole ------------------------------------------------------------------------------
 */

/* The arguments as the object they are; {} when they are none (E.1.3, F.6). */
static void whole_input(struct messages_blocks *b, const struct messages_piece *p)
{
    size_t at = b->o->buf->n;
    struct json_tape t;

    if (p->is_custom) {
        jout_lit(b->o, "{\"" WRAPPED_MEMBER "\":\"");
        jout_raw(b->o, (struct str){p->text.p, p->text.n});
        jout_lit(b->o, "\"}");
        return;
    }
    json_tape_init(&t, b->o->pool);
    jout_unescaped(b->o, (struct jstr){p->text.p, p->text.n});
    if (!b->o->failed &&
        (json_tape_read(&t, b->o->buf->p + at, b->o->buf->n - at) != JSON_TAPE_DONE ||
         json_root(&t)->type != JSON_OBJECT)) {
        b->o->buf->n = at;
        jout_lit(b->o, "{}");
    }
    json_tape_deinit(&t);
}

static void whole_put(struct messages_blocks *b, struct messages_piece *p)
{
    struct str text = {p->text.p, p->text.n}, signature = {p->signature.p, p->signature.n};
    struct jout *o = b->o;

    if (p->kind == BLOCK_OPAQUE) {
        put_complete(b, STR(""), text, STR(""));
        return;
    }
    if (p->kind == BLOCK_REASONING && !text.n && is_sealed_only(p)) {
        put_redacted(b, p);
        return;
    }
    if (p->kind != BLOCK_TOOL_CALL && !text.n && !signature.n)
        return;
    if (b->index++)
        jout_lit(o, ",");
    if (p->kind == BLOCK_TOOL_CALL) {
        put_call_head(b, p);
        whole_input(b, p);
    } else if (p->kind == BLOCK_REASONING) {
        jout_lit(o, "{\"type\":\"thinking\",\"thinking\":\"");
        jout_raw(o, text);
        jout_lit(o, "\",\"signature\":\"");
        jout_raw(o, signature);
        jout_lit(o, "\"");
    } else {
        jout_lit(o, "{\"type\":\"text\",\"text\":\"");
        jout_raw(o, text);
        jout_lit(o, "\"");
        if (p->citations.n) {
            jout_lit(o, ",\"citations\":[");
            jout_raw(o, (struct str){p->citations.p, p->citations.n});
            jout_lit(o, "]");
        }
    }
    jout_lit(o, "}");
}

/* --- order -----------------------------------------------------------------------------------
 */

static void keep(struct messages_blocks *b, struct buf *to, struct str s)
{
    if (!buf_add(b->o->pool, to, s.p, s.n))
        b->o->failed = true;
}

/* A piece comes to the front: what waited of it is written. */
static void piece_begin(struct messages_blocks *b, struct messages_piece *p)
{
    b->scan = (struct arguments_scan){0};
    if (!b->stream || p->kind == BLOCK_OPAQUE)
        return;
    if (p->kind == BLOCK_TOOL_CALL)
        stream_open(b, p);
    stream_text(b, p, (struct jstr){p->text.p, p->text.n});
    p->text.n = 0;
}

/* Closes the first piece and all behind it that have ended. */
static void first_end(struct messages_blocks *b)
{
    struct messages_piece *p;

    do {
        p = b->first;
        if (b->stream)
            stream_close(b, p);
        else
            whole_put(b, p);
        b->first = p->next;
        p->next = b->spare;
        b->spare = p;
        if (!b->first) {
            b->last = NULL;
            return;
        }
        b->waiting--;
        b->waiting_bytes -= MIN(b->waiting_bytes, b->first->text.n);
        piece_begin(b, b->first);
    } while (b->first->ended);
}

/* Calls behind a call that is complete need not wait for its end to be told. */
static void advance(struct messages_blocks *b)
{
    while (b->stream && b->waiting && b->first->kind == BLOCK_TOOL_CALL && is_complete(&b->scan))
        first_end(b);
}

static struct messages_piece *piece_find(struct messages_blocks *b, uint32_t block)
{
    struct messages_piece *p = b->first;

    while (p && p->block != block)
        p = p->next;
    return p;
}

static struct jstr text_copy(struct messages_blocks *b, struct jstr j)
{
    struct str copy = arena_str(b->arena, (struct str){j.p, j.n});

    return (struct jstr){copy.p, copy.n};
}

/* Ids of any upstream in the alphabet of this API (E.0). */
static struct jstr id_of(struct messages_blocks *b, const struct event *e)
{
    struct neutral here = {.arena = b->arena};

    struct jstr id = neutral_id(&here, e->id, MESSAGES_ID_MAX);

    return id.p == e->id.p ? text_copy(b, id) : id;
}

static void piece_add(struct messages_blocks *b, const struct event *e, enum block_kind kind)
{
    struct messages_piece *p = b->spare;

    if (p) {
        struct buf text = p->text, signature = p->signature, citations = p->citations;
        b->spare = p->next;
        text.n = signature.n = citations.n = 0;
        *p = (struct messages_piece){.text = text, .signature = signature, .citations = citations};
    } else if (!(p = arena_zalloc(b->arena, sizeof *p))) {
        b->failed = true;
        return;
    }
    p->block = e->block;
    p->kind = (uint8_t)kind;
    p->is_custom = kind == BLOCK_TOOL_CALL && e->is_custom;
    if (kind == BLOCK_TOOL_CALL) {
        p->id = id_of(b, e);
        p->name = text_copy(b, e->name);
        b->called = true;
    }
    if (b->last)
        b->last->next = p;
    else
        b->first = p;
    b->last = p;
    if (b->first == p) {
        piece_begin(b, p);
        return;
    }
    b->failed |= ++b->waiting > WAITING_MAX;
    advance(b);
}

static void piece_text(struct messages_blocks *b, struct messages_piece *p, struct jstr text)
{
    if (b->stream && p == b->first) {
        stream_text(b, p, text);
        advance(b);
        return;
    }
    keep(b, &p->text, (struct str){text.p, text.n});
    if (p != b->first)
        b->waiting_bytes += text.n;
    b->failed |= b->stream && b->waiting_bytes > WAITING_BYTES_MAX;
}

/* Signatures of others travel sealed, so that they find their way back (E.3). */
static void piece_signature(struct messages_blocks *b, struct messages_piece *p,
                            const struct event *e)
{
    struct jstr s = e->signature;

    p->is_foreign = e->origin != API_MESSAGES;
    p->is_redacted = e->is_redacted;
    if (p->is_foreign)
        s = reasoning_seal(b->arena, (enum api)e->origin, e->id, e->signature, e->is_redacted);
    p->signature.n = 0; /* replaces */
    keep(b, &p->signature, (struct str){s.p, s.n});
}

static void piece_ended(struct messages_blocks *b, struct messages_piece *p)
{
    p->ended = true;
    if (p == b->first)
        first_end(b);
}

static void piece_citation(struct messages_blocks *b, struct messages_piece *p, struct str raw)
{
    if (b->stream && p == b->first && p->open) {
        stream_citation(b, raw);
        return;
    }
    if (p->citations.n)
        keep(b, &p->citations, STR(","));
    keep(b, &p->citations, raw);
}

static void opaque_add(struct messages_blocks *b, const struct event *e)
{
    if (e->origin != API_MESSAGES)
        return;
    piece_add(b, e, BLOCK_OPAQUE);
    if (!b->last || b->failed)
        return;
    keep(b, &b->last->text, e->raw);
    b->last->ended = true;
    if (b->last == b->first)
        first_end(b);
}

void messages_blocks_event(struct messages_blocks *b, const struct event *e)
{
    struct messages_piece *p;

    if (e->kind == EVENT_BLOCK)
        piece_add(b, e, (enum block_kind)e->block_kind);
    else if (e->kind == EVENT_OPAQUE)
        opaque_add(b, e);
    else if (!(p = piece_find(b, e->block))) /* E.1.6: a block cannot be opened again */
        b->failed |= e->kind == EVENT_DELTA && !jstr_is_blank(e->text);
    else if (e->kind == EVENT_DELTA)
        piece_text(b, p, e->text);
    else if (e->kind == EVENT_SIGNATURE)
        piece_signature(b, p, e);
    else if (e->kind == EVENT_CITATION && e->origin == API_MESSAGES)
        piece_citation(b, p, e->raw);
    else if (e->kind == EVENT_BLOCK_END)
        piece_ended(b, p);
}

void messages_blocks_end(struct messages_blocks *b)
{
    for (struct messages_piece *p = b->first; p; p = p->next)
        p->ended = true;
    if (b->first)
        first_end(b);
}

void messages_blocks_init(struct messages_blocks *b, const struct writer_env *env, struct jout *o)
{
    *b = (struct messages_blocks){.o = o, .arena = env->arena, .stream = env->stream};
}

static void pieces_free(struct messages_blocks *b, struct messages_piece *p)
{
    for (; p; p = p->next) {
        buf_free(b->o->pool, &p->text);
        buf_free(b->o->pool, &p->signature);
        buf_free(b->o->pool, &p->citations);
    }
}

void messages_blocks_deinit(struct messages_blocks *b)
{
    pieces_free(b, b->first);
    pieces_free(b, b->spare);
    b->first = b->spare = NULL;
}

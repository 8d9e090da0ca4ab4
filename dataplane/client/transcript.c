#include "client/transcript.h"

#include "client/conn.h"
#include "dialect/translate.h"

enum { FOLD_ARENA = 256 * 1024 }; /* what a stream's ids and the like may take */

struct transcript {
    struct buf request, reply;
    uint64_t request_bytes;
    bool redacts, is_cut; /* of the reply nothing is kept */
    int64_t start_us;
    uint32_t attempt;
    /* of a stream, which becomes a whole reply */
    bool folds;
    struct translate fold;
    struct reply_scan scan;
    struct arena arena;
};

/* ---- what key, team and request want ---- */

enum word { WORD_NONE, WORD_TRUE, WORD_FALSE };

/* true, false, "true" or "False". */
static enum word word_of(struct str json)
{
    struct str s = json.n && json.p[0] == '"' ? json_text_inner(json) : json;

    return str_ieq(s, STR("true")) ? WORD_TRUE : str_ieq(s, STR("false")) ? WORD_FALSE : WORD_NONE;
}

static bool either_says(const struct caller *c, struct str name, enum word w)
{
    return word_of(metadata_member(&c->key, name)) == w ||
           word_of(metadata_member(&c->team, name)) == w;
}

static enum word body_word(const struct request *r, enum field f)
{
    const struct member *m = request_member(&r->scan, f);

    return m ? word_of((struct str){r->conn->body.p + m->at, m->end - m->at}) : WORD_NONE;
}

static bool header_is_set(const struct request *r, struct str name)
{
    return str_trim(request_header(r->conn, name, NULL)).n > 0;
}

static void on_callback_var(void *ctx, const struct json_member *m)
{
    enum word w = word_of(m->text);

    if (w != WORD_NONE)
        *(enum word *)ctx = w;
}

/* {"turn_off_message_logging": true}, or that in the callback_vars of an entry of "logging". */
static enum word turns_off(const struct identity_found *f)
{
    static const struct json_watch flag = {.key = STR_INIT("turn_off_message_logging"), .id = 1};
    static const struct json_watch vars = {
        .key = STR_INIT("callback_vars"), .children = &flag, .n_children = 1};
    static const struct json_watch entry = {.children = &vars, .n_children = 1};
    static const struct json_watch root = {.elements = &entry};
    struct str logging = metadata_member(f, STR("logging"));
    enum word w = word_of(metadata_member(f, STR("turn_off_message_logging")));
    struct json_scan scan;

    if (w != WORD_NONE || !logging.n || logging.p[0] != '[')
        return w;
    json_scan_init(&scan, &root, on_callback_var, &w);
    (void)json_scan_feed(&scan, logging.p, logging.n); /* checked when it was found */
    return w;
}

static bool is_wanted(const struct request *r)
{
    bool may_decline = !(r->snapshot->h->settings.flags & SNAP_IGNORE_NO_LOG);

    return !request_is_item(r) && request_api(r) != API_COUNT_TOKENS &&
           !(may_decline && body_word(r, FIELD_NO_LOG) == WORD_TRUE) &&
           !either_says(&r->caller, STR("store_prompts_in_spend_logs"), WORD_FALSE);
}

/* Who asks for redaction gets it; who asks for none has to be allowed to. */
static bool is_redacted(const struct request *r)
{
    enum word asked = body_word(r, FIELD_TURN_OFF_MESSAGE_LOGGING);
    bool lifts = asked == WORD_FALSE || header_is_set(r, STR("litellm-disable-message-redaction"));

    if (asked == WORD_TRUE || header_is_set(r, STR("x-litellm-enable-message-redaction")) ||
        header_is_set(r, STR("litellm-enable-message-redaction")))
        return true;
    if (lifts && either_says(&r->caller, STR("allow_client_message_redaction_opt_out"), WORD_TRUE))
        return false;
    enum word set = turns_off(&r->caller.key);
    if (set == WORD_NONE)
        set = turns_off(&r->caller.team);
    return set == WORD_NONE ? r->snapshot->h->settings.flags & SNAP_REDACT : set == WORD_TRUE;
}

/* ---- what is kept ---- */

static void end_fold(struct transcript *x)
{
    if (x->folds)
        translate_deinit(&x->fold);
    x->folds = false;
    arena_reset(&x->arena);
}

static void forget_reply(struct request *r)
{
    end_fold(r->transcript);
    buf_free(&r->cx->transcript_bufs, &r->transcript->reply);
    r->transcript->is_cut = false;
}

void transcript_skip(struct request *r)
{
    forget_reply(r);
    r->transcript->is_cut = true;
}

static bool keep(struct request *r, struct buf *to, struct str s)
{
    return s.n <= r->snapshot->h->settings.transcript_max_bytes &&
           buf_add(&r->cx->transcript_bufs, to, s.p, s.n);
}

void transcript_begin(struct request *r)
{
    const struct record *rec = &r->meter->record;
    struct transcript *x = r->transcript;

    if (x) {
        forget_reply(r);
    } else {
        struct str body = {r->conn->body.p, r->conn->body.n};
        if (!is_wanted(r) || !(x = arena_zalloc(&r->arena, sizeof *x)))
            return;
        r->transcript = x;
        arena_init(&x->arena, &r->cx->arenas, FOLD_ARENA);
        x->redacts = is_redacted(r);
        x->request_bytes = body.n;
        (void)keep(r, &x->request, body); /* else its size is told */
    }
    x->start_us = rec->start_us;
    x->attempt = rec->attempt;
}

static bool begin_fold(struct request *r)
{
    struct transcript *x = r->transcript;
    struct context *cx = r->cx;

    if (!dialect_of(request_api(r)))
        return false;
    translate_init(&x->fold, request_api(r), request_api(r), &cx->transcript_bufs, &cx->arenas,
                   &x->arena);
    x->folds = true;
    x->fold.request.include_usage = true;
    reply_scan_init(&x->scan);
    const struct translate_reply reply = {
        .scan = &x->scan,
        .model = r->quoted_model,
        .now_s = (uint64_t)(context_wall_us(cx, r->body_ns) / 1000000),
        .seed = {context_random(cx), context_random(cx)},
    };
    return translate_reply_begin(&x->fold, &reply);
}

void transcript_events(struct request *r, struct str events)
{
    struct transcript *x = r->transcript;

    if (x->is_cut || !events.n)
        return;
    if ((!x->folds && !begin_fold(r)) ||
        !translate_events(&x->fold, events.p, events.n, &x->reply) ||
        x->fold.folded > r->snapshot->h->settings.transcript_max_bytes)
        transcript_skip(r);
}

void transcript_reply(struct request *r, struct str reply)
{
    struct transcript *x = r->transcript;

    if (!x->is_cut && !keep(r, &x->reply, reply))
        transcript_skip(r);
}

/* A stream that was cut leaves no reply. */
static struct str whole_reply(struct request *r)
{
    struct transcript *x = r->transcript;

    if (x->folds && !translate_events_end(&x->fold, &x->reply))
        transcript_skip(r);
    else if (x->folds && !x->fold.done)
        x->reply.n = 0;
    if (x->reply.n > r->snapshot->h->settings.transcript_max_bytes)
        transcript_skip(r);
    return (struct str){x->reply.p, x->reply.n};
}

void transcript_close(struct request *r)
{
    struct transcript *x = r->transcript;
    struct context *cx = r->cx;
    struct str reply = whole_reply(r);
    struct transcript_entry en = {
        .flags = x->redacts ? TRANSCRIPT_REDACT : 0,
        .start_us = x->start_us,
        .attempt = x->attempt,
        .request_bytes = x->request_bytes,
        .reply_bytes = x->is_cut ? MAX(r->bytes_out, 1) : reply.n,
    };

    memcpy(en.call, r->id, sizeof en.call);
    bool done = transcript_put(transcripts_region(&cx->transcripts, cx->region_index), &en,
                               (struct str){x->request.p, x->request.n}, reply);
    metric_add(cx->region, done ? METRIC_TRANSCRIPTS : METRIC_TRANSCRIPTS_DROPPED, 1);
    transcript_drop(r);
}

void transcript_drop(struct request *r)
{
    struct transcript *x = r->transcript;

    if (!x)
        return;
    forget_reply(r);
    buf_free(&r->cx->transcript_bufs, &x->request);
    r->transcript = NULL;
}

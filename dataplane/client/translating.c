/*
 * The body on its way, each step only where it is needed:
 *
 *   client's ── edits of its API ──▶ client_body ── translate ──▶ upstream_body ── edits of the
 *   upstream's API ──▶ pieces
 */

#include "client/translating.h"

#include "common/num.h"

#include "client/conn.h"
#include "client/reply.h"
#include "client/upstream_request.h"
#include "provider/edit.h"

/* The deployment has edits for requests of `api`; *ret_joins: some look into texts. */
static bool has_edits(const struct request *r, enum api api, bool *ret_joins)
{
    const struct snap_edit *e;
    bool any = false;

    *ret_joins = false;
    for (uint32_t i = 0; (e = SNAP_AT(r->snapshot, r->deployment->edits, struct snap_edit, i)); i++)
        if (e->apis & BIT(api)) {
            any = true;
            *ret_joins |= e->op == EDIT_FLATTEN;
        }
    return any;
}

/* A Messages body cannot be without max_tokens: the deployment's default comes before one that the
 * writer makes up. */
static void take_default(struct request *r, struct neutral *n)
{
    const struct snap_edit *e;

    for (uint32_t i = 0; (e = SNAP_AT(r->snapshot, r->deployment->edits, struct snap_edit, i)); i++)
        if (e->op == EDIT_DEFAULT && e->apis & BIT(r->upstream_api) && !n->max_tokens &&
            str_eq(snap_str(r->snapshot, e->a), STR("max_tokens")) &&
            !num_u64(snap_str(r->snapshot, e->b), &n->max_tokens))
            n->max_tokens = 0;
}

/* A refusal by a row of errors.def; always false. */
static bool refuse(struct request *r, const struct fault *f)
{
    struct error_facts facts = reply_facts(r, f->error, f->detail);

    facts.param = f->param;
    reply_error(r, &facts, error_rows[f->error].code, f->error == ERROR_OVERLOADED);
    return false;
}

static bool overloaded(struct request *r)
{
    return refuse(r, &(struct fault){.error = ERROR_OVERLOADED});
}

struct filling {
    struct request *r;
    struct buf *out;
    bool ok;
};

static void fill(void *ctx, const char *p, size_t n)
{
    struct filling *f = ctx;

    if (!buf_add(&f->r->cx->bufs, f->out, p, n))
        f->ok = false;
}

/* The client's body with the edits for its API; false when the client was refused. */
static bool edit_client_body(struct request *r, struct str *ret_body)
{
    struct filling f = {.r = r, .out = &r->translation->client_body, .ok = true};
    struct str body = {r->conn->body.p, r->conn->body.n};
    struct body_edit b;

    switch (upstream_request_edit(r, &b, request_api(r), &r->scan, body)) {
    case BODY_EDIT_OK:
        break;
    case BODY_EDIT_UNSUPPORTED:
        upstream_request_unsupported(r, b.refused);
        return false;
    case BODY_EDIT_LIMIT:
        return overloaded(r);
    }
    *ret_body = body;
    if (!b.n)
        return true;
    body_edit_emit(&b, fill, &f);
    *ret_body = (struct str){f.out->p, f.out->n};
    return f.ok || overloaded(r);
}

/* The edits of the upstream's API over what was written. */
static bool edit_upstream_body(struct request *r, bool edits, struct body_edit *b)
{
    struct translation *x = r->translation;
    struct str body = {x->upstream_body.p, x->upstream_body.n};

    *b = body_edit_none(body);
    if (edits) {
        request_scan_init(&x->scan, &r->arena);
        if (request_scan_feed(&x->scan, body.p, body.n) != REQUEST_SCAN_DONE || x->scan.too_many)
            return overloaded(r);
        switch (upstream_request_edit(r, b, r->upstream_api, &x->scan, body)) {
        case BODY_EDIT_OK:
            break;
        case BODY_EDIT_UNSUPPORTED:
            upstream_request_unsupported(r, b->refused);
            return false;
        case BODY_EDIT_LIMIT:
            return overloaded(r);
        }
    }
    if (x->out.holes.n)
        body_edit_fill(b, (const struct jout_hole *)(const void *)x->out.holes.p,
                       x->out.holes.n / sizeof(struct jout_hole));
    return true;
}

bool translating_request(struct request *r, struct body_edit *b)
{
    struct context *cx = r->cx;
    struct str body;
    bool joins;

    translating_end(r);
    struct translation *x = r->translation = arena_zalloc(&r->arena, sizeof *x);
    if (!x)
        return overloaded(r);
    translate_init(&x->t, request_api(r), r->upstream_api, &cx->bufs, &cx->arenas, &r->arena);
    if (!kept_begin(r, &x->kept, &x->t) || !edit_client_body(r, &body))
        return false;
    if (!translate_read(&x->t, body))
        return refuse(r, &x->t.fault);
    if (x->t.history.n) /* it stands in the body now */
        x->t.request.previous_id = JSTR_NONE;
    bool edits = has_edits(r, r->upstream_api, &joins);
    take_default(r, &x->t.request);
    struct upstream_model m = upstream_request_reader(r);
    x->out = jout_init(&cx->bufs, &x->upstream_body);
    x->out.lend_min = joins ? SIZE_MAX : TRANSLATE_LEND_MIN;
    if (!translate_write(&x->t, &x->out, &m))
        return refuse(r, &x->t.fault);
    return edit_upstream_body(r, edits, b);
}

bool translating_reply_begin(struct request *r)
{
    struct context *cx = r->cx;
    bool raw = r->snapshot->h->settings.flags & SNAP_RAW_MODEL_NAME;

    if (!r->translation) {
        struct translation *x = r->translation = arena_zalloc(&r->arena, sizeof *x);
        if (!x)
            return false;
        translate_init(&x->t, request_api(r), request_api(r), &cx->bufs, &cx->arenas, &r->arena);
    }
    struct translate *t = &r->translation->t;
    t->request.stream = r->is_stream;
    t->request.include_usage =
        r->scan.include_usage || r->snapshot->h->settings.flags & SNAP_ALWAYS_STREAM_USAGE;
    struct kept *kept = &r->translation->kept;
    if (!kept->keeps)
        t->request.echo[ECHO_STORE] = STR("false");
    struct translate_reply reply = {
        .scan = &r->relay.scan,
        .model = raw ? upstream_request_quoted_model(r) : r->quoted_model,
        .now_s = (uint64_t)(context_wall_us(cx, r->body_ns) / 1000000),
        .seed = {kept->keeps ? kept->id.v[0] : context_random(cx),
                 kept->keeps ? kept->id.v[1] : context_random(cx)},
        .response_id = {kept->client_id.p, kept->client_id.n},
        .stream = r->is_stream,
        .secret = upstream_request_secret(r),
    };
    return translate_reply_begin(t, &reply);
}

void translating_done(struct request *r)
{
    struct translation *x = r->translation;

    if (x->t.done)
        kept_finish(r, &x->kept, &x->t);
}

void translating_forget(struct request *r)
{
    struct translation *x = r->translation;

    if (!x)
        return;
    translate_forget(&x->t);
    kept_forget(r, &x->kept);
    jout_deinit(&x->out);
    buf_free(&r->cx->bufs, &x->client_body);
    buf_free(&r->cx->bufs, &x->upstream_body);
}

void translating_end(struct request *r)
{
    if (!r->translation)
        return;
    translating_forget(r);
    kept_end(r, &r->translation->kept);
    translate_deinit(&r->translation->t);
    r->translation = NULL;
}
